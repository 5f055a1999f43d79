"""Which dataset of a Starfish file belongs to which grid point."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixjobs.errors import LibraryError
from mixjobs.typing import Floats

# The field's name for each of the names that Starfish files use.
_FIELD = {"t": "teff", "temp": "teff", "teff": "teff", "logg": "logg", "g": "logg"} | {
    "z": "feh", "feh": "feh", "[fe/h]": "feh", "m/h": "feh", "[m/h]": "feh",
    "alpha": "alpha", "a": "alpha",
}  # fmt: skip
_LETTERS = {"t": "T", "g": "logg", "z": "Z", "a": "alpha"}  # in keys such as t5000g4.5z-0.5a0.2
_ATTRIBUTES = ("temp", "logg", "Z", "alpha")  # of each spectrum, in the oldest layout
_KEY_PART = re.compile(r"([a-zA-Z]+)(-?\d+(?:\.\d+)?)")
_SIGNED_ZERO = re.compile(r"[-+](0(?:\.0*)?)(?![\d.])")


@dataclass(frozen=True, eq=False)
class Found:
    """The grid points of a file, its own parameter names, and the key of each point."""

    points: Floats
    names: tuple[str, ...]
    keys: tuple[str, ...]


def field_name(original: str) -> str:
    """Return the field's name of a parameter, or its own where there is none.

    Examples
    --------
    >>> field_name("T"), field_name("Z"), field_name("mass_loss")
    ('teff', 'feh', 'mass_loss')
    """
    return _FIELD.get(original.lower(), original)


def text(value: Any) -> str:
    """Return an attribute as text; h5py gives strings of fixed length as bytes."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def find_spectra(file: Any, path: str) -> Found:
    """Find the grid points and their spectra, in whichever layout the file has.

    Raises
    ------
    LibraryError
        No spectra, or a grid point without one.
    """
    if not len(file["flux"]):
        raise LibraryError(f"{path}: the library holds no spectra ('flux' is empty)")
    if "grid_points" in file:
        return _current_layout(file, path)
    if "pars" in file:
        return _layout_of_02(file, path)
    return _oldest_layout(file, path)


def _current_layout(file: Any, path: str) -> Found:
    points = _points(file, "grid_points", path)
    names = tuple(text(n) for n in np.atleast_1d(file["grid_points"].attrs.get("names", ())))
    pattern = file["flux"].attrs.get("key_name")
    if len(names) != points.shape[1] or pattern is None:
        raise LibraryError(
            f"{path}: 'grid_points' needs an attribute 'names' with {points.shape[1]} names, "
            "and 'flux' an attribute 'key_name'"
        )
    try:
        keys = [text(pattern).format(*point) for point in points]
    except (AttributeError, IndexError, KeyError, ValueError):
        raise LibraryError(
            f"{path}: key_name {text(pattern)!r} does not fit {points.shape[1]} parameters"
        ) from None
    return Found(points, names, _existing(keys, points, file, path))


def _layout_of_02(file: Any, path: str) -> Found:
    """No names and no key pattern: both are read off the keys themselves."""
    points = _points(file, "pars", path)
    parts = _KEY_PART.findall(next(iter(file["flux"])))
    if len(parts) != points.shape[1]:
        raise LibraryError(
            f"{path}: 'pars' has {points.shape[1]} parameters, "
            f"and keys such as {next(iter(file['flux']))!r} have {len(parts)}"
        )
    names = tuple(_LETTERS.get(letter, letter) for letter, _ in parts)
    decimals = [len(number.partition(".")[2]) for _, number in parts]
    keys = [
        "".join(
            f"{letter}{value:.{n}f}"
            for (letter, _), value, n in zip(parts, p, decimals, strict=True)
        )
        for p in points
    ]
    return Found(points, names, _existing(keys, points, file, path))


def _oldest_layout(file: Any, path: str) -> Found:
    """No table of points: parameters are attributes of each spectrum, or only in its key."""
    spectra, keys = file["flux"], tuple(file["flux"])
    names = tuple(n for n in _ATTRIBUTES if n in spectra[keys[0]].attrs)
    if names:
        points = [_values(spectra[key].attrs, names, key, path) for key in keys]
        return Found(np.array(points) + 0.0, names, keys)
    parts = [_KEY_PART.findall(key) for key in keys]
    letters = {tuple(letter for letter, _ in found) for found in parts}
    if len(letters) > 1 or letters == {()}:
        raise LibraryError(
            f"{path}: no 'grid_points', no 'pars', and neither attributes nor keys such as "
            f"{keys[0]!r} tell the parameters"
        )
    names = tuple(_LETTERS.get(letter, letter) for letter in letters.pop())
    return Found(np.array([[float(v) for _, v in found] for found in parts]) + 0.0, names, keys)


def _values(attributes: Any, names: tuple[str, ...], key: str, path: str) -> list[float]:
    try:
        return [float(attributes[name]) for name in names]
    except (KeyError, TypeError, ValueError):
        raise LibraryError(
            f"{path}: spectrum {key!r} has no attributes {', '.join(names)} as others have"
        ) from None


def _points(file: Any, name: str, path: str) -> Floats:
    """Grid points (N, D) as float64; a float32 0.3 is meant as 0.3."""
    try:
        values = file[name][()]
        if values.dtype == np.float32:
            values = values.astype(str)
        points = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
    except (AttributeError, TypeError, ValueError):
        raise LibraryError(
            f"{path}: {name!r} must be numbers, a row a point and a column a parameter"
        ) from None
    return points + 0.0  # no negative zero


def _existing(keys: list[str], points: Floats, file: Any, path: str) -> tuple[str, ...]:
    """Return the key in the file of each point; it may have -0.0 where the point has 0."""
    there = {_SIGNED_ZERO.sub(r"\1", key): key for key in file["flux"]}
    keys = [_SIGNED_ZERO.sub(r"\1", key) for key in keys]
    lost = [k for k in keys if k not in there]
    if lost:
        raise LibraryError(
            f"{path}: {len(lost)} of {len(keys)} grid points have no spectrum, "
            f"the first is {lost[0]!r}; write the library again or remove the points"
        )
    if len(set(keys)) < len(keys):
        _, first, counts = np.unique(keys, return_index=True, return_counts=True)
        twice = int(first[counts > 1][0])
        raise LibraryError(
            f"{path}: several grid points share the key {keys[twice]!r} "
            f"(as {points[twice].tolist()}): repeated points, or a key_name with too few digits"
        )
    return tuple(there[k] for k in keys)
