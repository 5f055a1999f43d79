"""What the commands share: reading the words of a command line, and saying something."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from mixjobs.errors import InvalidInput
from mixjobs.grid import Grid
from mixjobs.typing import Floats


def say(text: str) -> None:
    """Print a line for a person, on standard error."""
    print(text, file=sys.stderr, flush=True)


def parse_range(text: str) -> tuple[float, float]:
    """Read LOW:HIGH.

    Examples
    --------
    >>> parse_range("3000:4500")
    (3000.0, 4500.0)
    """
    low, colon, high = text.partition(":")
    try:
        return float(low), float(high if colon else "x")
    except ValueError:
        raise InvalidInput(
            f"{text!r} is not a range; expected LOW:HIGH, such as 3000:4500"
        ) from None


def parse_select(texts: Iterable[str]) -> dict[str, tuple[float, float]]:
    """Read NAME=LOW:HIGH of several parameters.

    Examples
    --------
    >>> parse_select(["teff=3000:4500", "feh=-0.5:0.5"])
    {'teff': (3000.0, 4500.0), 'feh': (-0.5, 0.5)}
    """
    ranges: dict[str, tuple[float, float]] = {}
    for text in texts:
        name, equals, limits = text.partition("=")
        if not equals:
            raise InvalidInput(f"--select {text!r}; expected NAME=LOW:HIGH, as in teff=3000:4500")
        if name in ranges:
            raise InvalidInput(f"--select gives {name} twice; give one range for each parameter")
        ranges[name] = parse_range(limits)
    return ranges


def parse_floats(text: str) -> list[float]:
    """Read numbers separated by commas.

    Examples
    --------
    >>> parse_floats("6000,4.0,0")
    [6000.0, 4.0, 0.0]
    """
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InvalidInput(f"{text!r} is not a list of numbers such as 5000,5500,6000") from None


def parse_theta(text: str, grid: Grid, option: str) -> Floats:
    """Read theta (D,) by position (``6000,4.0,0``) or by name (``teff=6000,logg=4.0``)."""
    try:
        return _theta(text, grid)
    except InvalidInput as error:
        raise InvalidInput(f"--{option} {text}: {error}") from None


def _theta(text: str, grid: Grid) -> Floats:
    if "=" not in text:
        return grid.theta(parse_floats(text))
    values: dict[str, float] = {}
    for part in text.split(","):
        name, _, number = part.partition("=")
        if name.strip() in values:
            raise InvalidInput(f"theta {text!r} gives {name.strip()} twice; give it once")
        (values[name.strip()],) = parse_floats(number)
    return grid.theta(values)


def make_folder(path: str | Path) -> Path:
    """Make a folder for output, if it is not there yet.

    Raises
    ------
    InvalidInput
        It cannot be made, or is a file.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(
            f"{folder}: cannot be made a folder ({error.strerror}); name another"
        ) from None
    return folder
