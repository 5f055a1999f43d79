"""The components of a mixture and their parameters, from the arguments of `evaluate_spectra`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mixjobs.errors import InvalidInput
from mixjobs.grid import Grid, Theta
from mixjobs.interpolation.cells import outside_grid
from mixjobs.model.layout import Layout, weight_names
from mixjobs.typing import Floats
from mixjobs.units import by_name, to_value, without_unit


@dataclass(frozen=True, eq=False)
class ComponentValues:
    """The components of a mixture and their parameters.

    Attributes
    ----------
    components : list of K str
        "library" or "blackbody", as `load_mixture` takes them.
    own : list of K dicts
        Parameters of each component, by their names in the library.
    shared : list of str
        Parameters that the components share.
    fractions : list of K - 1 floats
        Filling factors.
    varied : tuple or None
        Name of the parameter that varies, as the user gave it, and its values (n,).
    """

    components: list[str]
    own: list[dict[str, float]]
    shared: list[str]
    fractions: list[float]
    varied: tuple[str, Floats] | None

    def values(self, layout: Layout) -> tuple[dict[str, Floats], str | None]:
        """Return the values by the names of the layout, and the name that varies."""
        numbers = dict(zip(weight_names(len(self.own), "c"), self.fractions, strict=True))
        for own, columns in zip(self.own, layout.columns, strict=True):
            numbers |= {layout.all_names[column]: own[name] for name, column in columns.items()}
        values: dict[str, Floats] = {name: np.array(numbers[name]) for name in layout.all_names}
        if self.varied is None:
            return values, None
        given, scan = self.varied
        name = given if given in values else re.sub(r"(?<!_)(\d)$", r"_\1", given)
        if name not in values:
            raise InvalidInput(
                f"vary gives an unknown parameter {given!r}; choose from {', '.join(values)}",
                name="vary", value=given,
            )  # fmt: skip
        values[name] = scan
        return values, name


def component_values(
    grid: Grid, theta1: Theta, theta2: Theta | None, c: ArrayLike | None,
    velocities: Mapping[str, ArrayLike], blackbodies: ArrayLike,
    vary: Mapping[str, ArrayLike] | None,
) -> ComponentValues:  # fmt: skip
    """Check the arguments of `mixjobs.evaluate_spectra` that describe the components.

    `velocities` has the arguments ``vsini`` and ``rv``; the others have the same names.

    Raises
    ------
    InvalidInput, OutsideGrid
        An argument is invalid.
    """
    thetas = [one_theta(grid, theta1, "theta1")]
    if theta2 is not None:
        thetas.append(one_theta(grid, _complete(theta2, thetas[0], grid), "theta2"))
    for k, theta in enumerate(thetas):
        if any(theta[d] != axis[0] for d, axis in enumerate(grid.axes) if len(axis) == 1):
            raise outside_grid(grid, theta, f"component {k + 1}")
    own = [{grid.names[d]: float(theta[d]) for d in grid.free} for theta in thetas]
    shared = [name for name in own[0] if name != "teff" and len({o[name] for o in own}) == 1]
    for name, given in velocities.items():
        numbers = _velocities(given, name, len(own))
        shared += [name] if len(numbers) == 1 else []
        for k, component in enumerate(own):
            component[name] = numbers[k % len(numbers)]
    varied = _scan(vary)
    if varied and (numbered := re.fullmatch(r"(.+?)_?\d", varied[0])):
        shared = [
            name for name in shared if name != numbered[1]
        ]  # the parameter varies in one component only
    teffs = _numbers(to_value(blackbodies, "K", "blackbodies"), "blackbodies")
    components = ["library"] * len(own) + ["blackbody"] * len(teffs)
    own += [{"teff": teff} for teff in teffs]
    fractions = _fractions(c, len(own), varied[0] if varied else None)
    return ComponentValues(components, own, shared, fractions, varied)


def one_theta(grid: Grid, given: Theta, argument: str) -> Floats:
    """Return theta as an array (D,).

    Raises
    ------
    InvalidInput
        An unknown or missing parameter, several theta, or values that are not numbers. The `name`
        of the error is `argument`.
    """
    try:
        theta = grid.theta(given)
    except InvalidInput as error:
        text = str(error)
        whose = argument if text.startswith("theta ") else f"{argument}: "
        raise InvalidInput(whose + text.removeprefix("theta"), name=argument, value=given) from None
    if theta.ndim != 1:
        raise InvalidInput(
            f"{argument} has shape {theta.shape}; expected ({len(grid.names)},), a single theta",
            name=argument, value=given,
        )  # fmt: skip
    return theta


def _complete(theta2: Theta, theta1: Floats, grid: Grid) -> Theta:
    """Add to a mapping the parameters of theta1 that it omits, except teff."""
    named = by_name(theta2)
    if named is None:
        return theta2
    values = zip(grid.names, theta1.tolist(), strict=True)
    return {name: value for name, value in values if name != "teff"} | dict(named)


def _velocities(given: ArrayLike, name: str, n_stars: int) -> list[float]:
    numbers = _numbers(to_value(given, "km/s", name), name)
    if len(numbers) not in {1, n_stars}:
        each = f", or {n_stars}, one for each star" if n_stars > 1 else ""
        raise InvalidInput(
            f"{name} = {given!r}; expected one velocity in km/s{each}", name=name, value=given
        )
    return numbers


def _fractions(given: ArrayLike | None, n_components: int, varied: str | None) -> list[float]:
    """Return the filling factors after the first; one that varies may be omitted."""
    names = weight_names(n_components, "c")
    if given is None:
        if names not in ([], [varied]):
            which = "component 2" if len(names) == 1 else "each component after the first"
            raise InvalidInput(
                f"{n_components} components need c; give the filling factor of {which}, from 0 "
                "to 1",
                name="c",
            )
        return [0.0] * len(names)
    numbers = _numbers(to_value(given, "", "c"), "c")
    if len(numbers) != len(names):
        numbers_of = "filling factor" if len(names) == 1 else "filling factors"
        raise InvalidInput(
            f"c = {given!r}; expected {len(names)} {numbers_of}, one for each component after the "
            "first"
            if names
            else f"c = {given!r} needs a second component; add one, or leave c out",
            name="c", value=given,
        )  # fmt: skip
    return numbers


def _numbers(given: Any, name: str) -> list[float]:
    try:
        return [float(value) for value in np.atleast_1d(np.asarray(given, dtype=np.float64))]
    except (TypeError, ValueError):
        raise InvalidInput(
            f"{name} = {given!r}: expected a number or a list of numbers", name=name, value=given
        ) from None


def _scan(vary: Mapping[str, ArrayLike] | None) -> tuple[str, Floats] | None:
    if not vary:
        return None
    if len(vary) > 1:
        raise InvalidInput(
            f"vary gives {len(vary)} parameters ({', '.join(vary)}); vary one at a time",
            name="vary", value=list(vary),
        )  # fmt: skip
    ((name, given),) = vary.items()
    parameter = re.sub(r"_?\d$", "", name)
    values = np.array(_numbers(without_unit(given, parameter), "vary"))
    if not len(values) or not all(map(math.isfinite, values)):
        raise InvalidInput(
            f"vary {name} = {given!r}: expected finite numbers", name="vary", value=given
        )
    return name, values
