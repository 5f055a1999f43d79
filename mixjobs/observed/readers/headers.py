"""What the header of a file declares about its velocities and its orders."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixjobs.declarations import Declaration, attribute_text
from mixjobs.errors import UnreadableFile
from mixjobs.limits import MAX_RV_OF_EARTH
from mixjobs.observed.content import Frame

Header = list[tuple[str, Any]]

# Reference frames of FITS (Greisen et al. 2006, table 12) that the wavelengths may be in.
_FRAMES: dict[str, Frame] = {
    "barycent": "barycentric", "barycenter": "barycentric", "barycentric": "barycentric",
    "heliocen": "barycentric", "heliocentric": "barycentric", "topocent": "topocentric",
    "topocentric": "topocentric", "topocenter": "topocentric",
}  # fmt: skip
_VELOCITY = ("barycentric_velocity", "bcv")
# Keywords of pipelines. Most have applied the correction; they disagree on its sign and unit.
_CORRECTION = re.compile(
    r"(^|[\s_])(berv|bary_?corr?|bary_?vel|hel(io)?_?corr?|hel(io)?_?vel|v_?helio|v_?bary|ssb_?vel)$",
    re.IGNORECASE,
)
_CARD_UNIT = re.compile(r"^\s*\[([^\]]+)\]")  # at the start of a comment, as FITS has it
_NUMBER = re.compile(r"\d+")


def entries(header: Iterable[tuple[str, Any]], *names: str) -> Header:
    """Return the entries of a header with any of these names, in any case."""
    return [(key, value) for key, value in header if str(key).lower() in names]


def card_entries(header: Any) -> Header:
    """Return the entries of a FITS header; a velocity with the unit that its comment states."""
    return [(card.keyword, _with_unit(card)) for card in header.cards]


def _with_unit(card: Any) -> Any:
    unit = _CARD_UNIT.match(str(card.comment))
    if unit is None or str(card.keyword).lower() not in _VELOCITY:
        return card.value
    return f"{card.value} {unit[1]}"


def correction_notes(header: Iterable[tuple[str, Any]]) -> list[str]:
    """Say which velocity corrections a header states that are not used.

    Examples
    --------
    >>> [note.split(":")[0] for note in correction_notes([("HIERARCH ESO QC BERV", 5.1)])]
    ['HIERARCH ESO QC BERV = 5.1 is not used']
    """
    notes = [
        f"{key} = {value} is not used: it is assumed that the wavelengths are corrected for it; if "
        "they are not, give barycentric_velocity"
        for key, value in header
        if _CORRECTION.search(str(key).strip()) and not isinstance(value, bool)
    ]
    return list(dict.fromkeys(notes))


def barycentric_velocity(path: Path, header: Header) -> float | None:
    """Return the velocity of the Earth towards the star that a header declares, km/s.

    Raises
    ------
    UnreadableFile
        It is not a velocity, or there are two.
    """
    velocities = {velocity_of(path, key, value) for key, value in entries(header, *_VELOCITY)}
    if len(velocities) > 1:
        both = " and ".join(f"{velocity:g}" for velocity in sorted(velocities))
        raise UnreadableFile(
            f"{path}: declares two barycentric velocities, {both} km/s; "
            "expected one: correct the file",
            path=path, name="barycentric_velocity", value=sorted(velocities),
        )  # fmt: skip
    return velocities.pop() if velocities else None


def velocity_of(path: Path, key: str, value: Any) -> float:
    """Return a barycentric velocity in km/s, from a number or a quantity.

    Raises
    ------
    UnreadableFile
        It is not a velocity, or not one that the Earth can have.
    """
    from astropy import units

    try:
        velocity = float(units.Quantity(value, "km/s").value)
    except (units.UnitsError, TypeError, ValueError):
        velocity = np.nan
    if not np.isfinite(velocity):
        raise UnreadableFile(
            f"{path}: {key} is {value!r}; expected a velocity in km/s",
            path=path, name=str(key), value=value,
        )  # fmt: skip
    if abs(velocity) > MAX_RV_OF_EARTH:
        raise UnreadableFile(
            f"{path}: {key} is {velocity:g} km/s; that of the Earth is at most 32 km/s: is it in "
            "m/s? Correct the file, or remove this keyword and give barycentric_velocity",
            path=path, name=str(key), value=velocity,
        )  # fmt: skip
    return velocity


def reference_frame(header: Header) -> tuple[Frame | None, list[Declaration]]:
    """Return the frame that ``SPECSYS`` declares."""
    for key, value in entries(header, "specsys"):
        text = attribute_text(value).strip()
        frame = _FRAMES.get(text.lower())
        if frame:
            return frame, [Declaration("frame", f"{key} = {text!r}", frame)]
    return None, []


def number_in_name(name: str) -> int | None:
    """Return the number of an order in the name of an extension.

    Examples
    --------
    >>> number_in_name("ORDER92"), number_in_name("order_007"), number_in_name("m091")
    (92, 7, 91)
    >>> number_in_name("COADD") is None, number_in_name("A1B2") is None
    (True, True)
    """
    numbers = _NUMBER.findall(name)
    return int(numbers[0]) if len(numbers) == 1 else None


def whole_numbers(path: Path, name: str, values: Any) -> list[int]:
    """Return order numbers, given as whole numbers, floats or strings of digits.

    Raises
    ------
    UnreadableFile
        A number is missing or not whole.
    """
    masked: NDArray[Any] = np.ma.asarray(values)
    missing = bool(np.ma.getmaskarray(masked).any())
    if masked.dtype.kind in "OSU" and not missing:
        masked = _digits(masked)
    whole = masked.dtype.kind in "iuf" and masked.ndim == 1 and not missing
    if not whole or not bool(np.all(np.asarray(masked) == np.round(np.asarray(masked)))):
        found = "missing values" if missing else f"{masked.dtype.name} of shape {masked.shape}"
        if whole:
            found = f"{float(masked[masked != np.round(masked)][0]):g}"
        raise UnreadableFile(
            f"{path}: {name} contains {found}; expected a whole number for each order",
            path=path, name=name,
        )  # fmt: skip
    return [int(value) for value in np.asarray(masked)]


def _digits(values: NDArray[Any]) -> NDArray[Any]:
    try:
        return np.array([int(attribute_text(value).strip()) for value in values.ravel()])
    except ValueError:
        return values


def distinct(numbers: Sequence[int | None]) -> list[int] | None:
    """Return numbers if all are given, each once; otherwise None."""
    given = [number for number in numbers if number is not None]
    return given if len(given) == len(numbers) == len(set(given)) else None
