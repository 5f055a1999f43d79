"""Which dataset of a Starfish file belongs to which grid point."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixjobs.errors import LibraryError

Floats = NDArray[np.float64]

# The field's name for each of the names that Starfish files use.
_FIELD = {"t": "teff", "temp": "teff", "teff": "teff", "logg": "logg", "g": "logg"} | {
    "z": "feh", "feh": "feh", "[fe/h]": "feh", "m/h": "feh", "alpha": "alpha", "a": "alpha"
}  # fmt: skip
_LETTERS = {"t": "T", "g": "logg", "z": "Z", "a": "alpha"}  # in keys such as t5000g4.5z-0.5a0.2
_ATTRIBUTES = ("temp", "logg", "Z", "alpha")  # of each spectrum, in the oldest layout
_KEY_PART = re.compile(r"([a-zA-Z]+)(-?\d+(?:\.\d+)?)")


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
    points = _points(file["grid_points"])
    names = tuple(str(n) for n in file["grid_points"].attrs.get("names", ()))
    pattern = file["flux"].attrs.get("key_name")
    if len(names) != points.shape[1] or pattern is None:
        raise LibraryError(
            f"{path}: 'grid_points' needs an attribute 'names' with {points.shape[1]} names, "
            "and 'flux' an attribute 'key_name'"
        )
    try:
        keys = [str(pattern).format(*point) for point in points]
    except (IndexError, KeyError, ValueError):
        raise LibraryError(
            f"{path}: key_name {pattern!r} does not fit {points.shape[1]} parameters"
        ) from None
    return Found(points, names, _existing(keys, points, file, path))


def _layout_of_02(file: Any, path: str) -> Found:
    """No names and no key pattern: both are read off the keys themselves."""
    points = _points(file["pars"])
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
    keys = tuple(file["flux"])
    first = file["flux"][keys[0]].attrs
    names = tuple(n for n in _ATTRIBUTES if n in first)
    if names:
        points = np.array([[float(file["flux"][k].attrs[n]) for n in names] for k in keys])
        return Found(points, names, keys)
    parsed = [_KEY_PART.findall(key) for key in keys]
    names = tuple(_LETTERS.get(letter, letter) for letter, _ in parsed[0])
    if not names or any(len(parts) != len(names) for parts in parsed):
        raise LibraryError(
            f"{path}: no 'grid_points', no 'pars', and neither attributes nor keys such as "
            f"{keys[0]!r} tell the parameters"
        )
    return Found(np.array([[float(v) for _, v in parts] for parts in parsed]), names, keys)


def _points(dataset: Any) -> Floats:
    """Grid points as float64; a float32 0.3 is meant as 0.3."""
    values = np.atleast_2d(dataset[()])
    if values.dtype == np.float32:
        values = values.astype(str)
    return np.asarray(values, dtype=np.float64) + 0.0  # no negative zero


def _existing(keys: list[str], points: Floats, file: Any, path: str) -> tuple[str, ...]:
    """Check that each point has a spectrum of its own; a key may have -0.0 where a point has 0."""
    there = {re.sub(r"-(0(?:\.0*)?)(?![\d.])", r"\1", key): key for key in file["flux"]}
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
