"""Layouts of Starfish libraries: the dataset of each grid point."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixjobs.declarations import attribute_text
from mixjobs.errors import LibraryError
from mixjobs.typing import Floats

_LETTERS = {"t": "T", "g": "logg", "z": "Z", "a": "alpha"}  # in keys such as t5000g4.5z-0.5a0.2
_ATTRIBUTES = ("temp", "logg", "Z", "alpha")  # attributes of each spectrum in the oldest layout
_KEY_PART = re.compile(r"([a-zA-Z]+)(-?\d+(?:\.\d+)?)")
_SIGNED_ZERO = re.compile(r"[-+](0(?:\.0*)?)(?![\d.])")


@dataclass(frozen=True, eq=False)
class GridSpectra:
    """Spectra of a file.

    Attributes
    ----------
    points : (N, D) array
    names : tuple of D str
        As spelled in the file.
    keys : tuple of N str
        Names of the datasets in the group `flux`.
    """

    points: Floats
    names: tuple[str, ...]
    keys: tuple[str, ...]


def find_spectra(file: Any, path: str) -> GridSpectra:
    """Find the grid points and their spectra in a file of any layout.

    Raises
    ------
    LibraryError
        The file has no spectra, or a grid point has none.
    """
    if not len(file["flux"]):
        raise LibraryError(
            f"{path}: no spectra, as the group 'flux' is empty; copy the file again",
            path=path,
            name="flux",
        )
    if "grid_points" in file:
        return _current_layout(file, path)
    if "pars" in file:
        return _layout_of_02(file, path)
    return _oldest_layout(file, path)


def _current_layout(file: Any, path: str) -> GridSpectra:
    points = _points(file, "grid_points", path)
    names = tuple(
        attribute_text(n) for n in np.atleast_1d(file["grid_points"].attrs.get("names", ()))
    )
    pattern = file["flux"].attrs.get("key_name")
    if len(names) != points.shape[1] or pattern is None:
        raise LibraryError(
            f"{path}: expected an attribute 'names' of 'grid_points' with {points.shape[1]} names "
            "and an attribute 'key_name' of 'flux'; write the library again",
            path=path,
            name="grid_points",
            value=names,
        )
    try:
        keys = [attribute_text(pattern).format(*point) for point in points]
    except (AttributeError, IndexError, KeyError, ValueError):
        raise LibraryError(
            f"{path}: key_name {attribute_text(pattern)!r} does not fit {points.shape[1]} "
            "parameters; correct it",
            path=path,
            name="key_name",
            value=attribute_text(pattern),
        ) from None
    return GridSpectra(points, names, _existing(keys, points, file, path))


def _layout_of_02(file: Any, path: str) -> GridSpectra:
    """Read the parameter names and the pattern of the keys from the keys themselves."""
    points = _points(file, "pars", path)
    parts = _KEY_PART.findall(next(iter(file["flux"])))
    if len(parts) != points.shape[1]:
        raise LibraryError(
            f"{path}: 'pars' has {points.shape[1]} parameters, "
            f"but keys such as {next(iter(file['flux']))!r} have {len(parts)}",
            path=path,
            name="pars",
            value=points.shape[1],
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
    return GridSpectra(points, names, _existing(keys, points, file, path))


def _oldest_layout(file: Any, path: str) -> GridSpectra:
    """Read the parameters from the attributes of each spectrum; without them, from its key."""
    spectra, keys = file["flux"], tuple(file["flux"])
    names = tuple(n for n in _ATTRIBUTES if n in spectra[keys[0]].attrs)
    if names:
        points = [_values(spectra[key].attrs, names, key, path) for key in keys]
        return GridSpectra(np.array(points) + 0.0, names, keys)
    parts = [_KEY_PART.findall(key) for key in keys]
    letters = {tuple(letter for letter, _ in part) for part in parts}
    if len(letters) > 1 or letters == {()}:
        raise LibraryError(
            f"{path}: cannot determine the parameters: there is no 'grid_points' or 'pars', and "
            f"neither the attributes nor keys such as {keys[0]!r} contain them",
            path=path,
            value=keys[0],
        )
    names = tuple(_LETTERS.get(letter, letter) for letter in letters.pop())
    return GridSpectra(np.array([[float(v) for _, v in part] for part in parts]) + 0.0, names, keys)


def _values(attributes: Any, names: tuple[str, ...], key: str, path: str) -> list[float]:
    try:
        return [float(attributes[name]) for name in names]
    except (KeyError, TypeError, ValueError):
        raise LibraryError(
            f"{path}: spectrum {key!r} lacks some of the attributes {', '.join(names)}",
            path=path,
            name=key,
        ) from None


def _points(file: Any, name: str, path: str) -> Floats:
    """Return the grid points (N, D) as float64; a float32 0.3 becomes exactly 0.3."""
    try:
        values = file[name][()]
        if values.dtype == np.float32:
            values = values.astype(str)
        points = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
    except (AttributeError, TypeError, ValueError):
        raise LibraryError(
            f"{path}: {name!r}: expected numbers, one row per point and one column per parameter",
            path=path,
            name=name,
        ) from None
    return points + 0.0  # no negative zero


def _existing(keys: list[str], points: Floats, file: Any, path: str) -> tuple[str, ...]:
    """Return the key of each point as stored in the file, where zero may be written as -0.0."""
    stored = {_SIGNED_ZERO.sub(r"\1", key): key for key in file["flux"]}
    keys = [_SIGNED_ZERO.sub(r"\1", key) for key in keys]
    missing = [k for k in keys if k not in stored]
    if missing:
        raise LibraryError(
            f"{path}: no spectrum for {len(missing)} of {len(keys)} grid points, such as "
            f"{missing[0]!r}; write the library again or remove the points",
            path=path,
            value=missing[0],
        )
    if len(set(keys)) < len(keys):
        _, first, counts = np.unique(keys, return_index=True, return_counts=True)
        repeated = int(first[counts > 1][0])
        raise LibraryError(
            f"{path}: several grid points share the key {keys[repeated]!r} "
            f"(such as {points[repeated].tolist()}): remove repeated points, or write the library "
            "again with more digits in key_name",
            path=path,
            value=keys[repeated],
        )
    return tuple(stored[k] for k in keys)
