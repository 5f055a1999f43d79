"""What ``mixjobs spectrum`` is asked for: components, their parameters, one that varies, files."""

from __future__ import annotations

import math
import re
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mixjobs.cli.options import parse_floats, parse_theta
from mixjobs.errors import InvalidInput, OutputExists
from mixjobs.grid import Grid
from mixjobs.interpolation.cells import outside_grid
from mixjobs.model.layout import Layout, weight_names
from mixjobs.typing import Floats

FIGURES = (".png", ".pdf", ".svg")
HDF5 = (".h5", ".hdf5")
ENDINGS = (".ecsv", *HDF5, *FIGURES)
_MOST_VALUES = 1000  # of the parameter that varies: all spectra are held at once


@dataclass(frozen=True, eq=False)
class Asked:
    """The mixture that is asked for.

    Attributes
    ----------
    components : list of K str
        "library" or "blackbody", as `load_mixture` takes them.
    own : list of K dicts
        Each component's parameters by their names in the library.
    shared : list of str
        Parameters that the components have in common.
    fractions : list of K - 1 floats
    varied : tuple or None
        Name, as it was given, and values (n,).
    """

    components: list[str]
    own: list[dict[str, float]]
    shared: list[str]
    fractions: list[float]
    varied: tuple[str, Floats] | None

    def parameters(self, layout: Layout) -> tuple[dict[str, Floats], str | None]:
        """Return the values by the layout's names, and in its order; and which one varies."""
        found = dict(zip(weight_names(len(self.own), "c"), self.fractions, strict=True))
        for own, columns in zip(self.own, layout.columns, strict=True):
            found |= {layout.all_names[column]: own[name] for name, column in columns.items()}
        values: dict[str, Floats] = {name: np.array(found[name]) for name in layout.all_names}
        if self.varied is None:
            return values, None
        given, scan = self.varied
        name = given if given in values else re.sub(r"(?<!_)(\d)$", r"_\1", given)
        if name not in values:
            raise InvalidInput(
                f"--vary {given}: unknown parameter {given!r}; there are {', '.join(values)}"
            )
        values[name] = scan
        return values, name


def read_components(args: Namespace, grid: Grid) -> Asked:
    """Read the options that say what the mixture is of.

    Raises
    ------
    InvalidInput, OutsideGrid
        One that cannot be used.
    """
    thetas = [parse_theta(args.theta1, grid, "theta1")]
    if args.theta2 is not None:
        thetas.append(_theta2(args.theta2, thetas[0], grid))
    for k, theta in enumerate(thetas):
        if any(theta[d] != axis[0] for d, axis in enumerate(grid.axes) if len(axis) == 1):
            raise outside_grid(grid, theta, f"component {k + 1}")
    own = [{grid.names[d]: float(theta[d]) for d in grid.free} for theta in thetas]
    shared = [name for name in own[0] if name != "teff" and len({o[name] for o in own}) == 1]
    for name in ("vsini", "rv"):
        velocities = _velocities(getattr(args, name), name, len(own))
        shared += [name] if len(velocities) == 1 else []
        for k, component in enumerate(own):
            component[name] = velocities[k % len(velocities)]
    varied = _vary(args.vary or [])
    if varied and (numbered := re.fullmatch(r"(.+?)_?\d", varied[0])):
        shared = [name for name in shared if name != numbered[1]]  # it is varied in one alone
    black = args.black_body or []
    components = ["library"] * len(own) + ["blackbody"] * len(black)
    own += [{"teff": teff} for teff in black]
    fractions = _fractions(args.c, len(own), varied[0] if varied else None)
    return Asked(components, own, shared, fractions, varied)


def _theta2(text: str, theta1: Floats, grid: Grid) -> Floats:
    """Read theta2 (D,); by name, what it leaves out is theta1's, but for Teff."""
    if "=" not in text:
        return parse_theta(text, grid, "theta2")
    named = {part.partition("=")[0].strip() for part in text.split(",")}
    values = zip(grid.names, theta1.tolist(), strict=True)
    rest = [f"{name}={value!r}" for name, value in values if name not in {*named, "teff"}]
    return parse_theta(",".join([text, *rest]), grid, "theta2")


def _velocities(text: str, option: str, n_stars: int) -> list[float]:
    """Read one velocity for all components of the library, or one for each."""
    velocities = _floats(text, option)
    if len(velocities) not in {1, n_stars}:
        expected = "one velocity in km/s" + (", or two, as in 3,-20" if n_stars == 2 else "")
        raise InvalidInput(f"--{option} {text}: expected {expected}")
    return velocities


def _fractions(text: str | None, n_components: int, varied: str | None) -> list[float]:
    """Read the fractions of the components after the first; one that varies may be left out."""
    names = weight_names(n_components, "c")
    if text is None:
        if names not in ([], [varied]):
            raise InvalidInput(
                f"{n_components} components need --c, the solid-angle fraction of "
                f"{'component 2' if len(names) == 1 else 'each but the first'}; expected 0 to 1"
            )
        return [0.0] * len(names)
    if not names:
        raise InvalidInput(f"--c {text} is of a second component; give --theta2 too, or no --c")
    fractions = _floats(text, "c")
    if len(fractions) != len(names):
        raise InvalidInput(
            f"--c {text}: expected {len(names)} fraction(s) from 0 to 1, one for each component "
            "after the first"
        )
    return fractions


def _floats(text: str, option: str) -> list[float]:
    try:
        return parse_floats(text)
    except InvalidInput:
        raise InvalidInput(
            f"--{option} {text!r}: expected a number, or numbers separated by commas"
        ) from None


def _vary(texts: Sequence[str]) -> tuple[str, Floats] | None:
    """Read NAME=LOW:HIGH:N, given once or not at all."""
    if not texts:
        return None
    name, _, scan = texts[0].partition("=")
    if len(texts) > 1:
        names = [text.partition("=")[0].replace("_", "") for text in texts]
        if len(set(names)) < len(names):
            raise InvalidInput(f"--vary gives {name} twice; give it once")
        raise InvalidInput(f"--vary gives {len(texts)} parameters; vary one at a time")
    try:
        low, high, number = scan.split(":")
        ends, n = (float(low), float(high)), int(number)
    except ValueError:
        ends, n = (math.nan, math.nan), 0
    if not (-math.inf < ends[0] < ends[1] < math.inf and 2 <= n <= _MOST_VALUES and name):
        raise InvalidInput(
            f"--vary {texts[0]!r}: expected NAME=LOW:HIGH:N with N from 2 to {_MOST_VALUES}, "
            "as in teff_2=3000:4000:5"
        )
    return name, np.linspace(*ends, n)


def plan_files(args: Namespace, numbers: Sequence[int], most: int) -> dict[Path, Sequence[int]]:
    """Return the files to write, and the rows of the orders in each; at most `most` in a figure.

    Raises
    ------
    InvalidInput
        An unknown ending, a folder that is not there, a file named twice, or the observed spectrum.
    OutputExists
        A file that is there, unless it may be overwritten.
    """
    files: dict[Path, Sequence[int]] = {}
    for output in map(Path, args.output):
        _check_output(output)
        for path, rows in _parts(output, numbers, most):
            if path in files:
                raise InvalidInput(f"-o {path}: named twice; give each file a name of its own")
            files[path] = rows
    for path in files:
        if path.is_dir():
            raise InvalidInput(f"-o {path}: is a folder; name a file")
        if args.wavelengths and path.exists() and path.samefile(args.wavelengths):
            raise InvalidInput(f"-o {path}: is the observed spectrum itself; give another name")
        if path.exists() and not args.overwrite:
            raise OutputExists(f"{path}: exists already; give another name, or --overwrite")
    return files


def _check_output(output: Path) -> None:
    if output.suffix.lower() not in ENDINGS:
        raise InvalidInput(
            f"-o {output}: unknown ending {output.suffix!r}; expected {', '.join(ENDINGS)}"
        )
    if not output.parent.is_dir():
        raise InvalidInput(f"-o {output}: there is no folder {output.parent}; make it first")


def _parts(output: Path, numbers: Sequence[int], most: int) -> list[tuple[Path, Sequence[int]]]:
    rows = range(len(numbers))
    if output.suffix.lower() not in FIGURES or len(rows) <= most:
        return [(output, rows)]
    parts = [rows[first : first + most] for first in range(0, len(rows), most)]
    ending = "_orders_{}_to_{}"
    return [
        (output.with_stem(output.stem + ending.format(numbers[p[0]], numbers[p[-1]])), p)
        for p in parts
    ]
