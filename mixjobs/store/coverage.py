"""Whether a library's grid is dense enough for a fit: an estimate of coverage and bias."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mixjobs.display import Summarised, counted
from mixjobs.errors import InvalidInput
from mixjobs.grid import Grid
from mixjobs.interpolation import default_method
from mixjobs.interpolation.cross_validation import AxisFolds, axis_folds
from mixjobs.model.coverage import Coverage, coverage, linear_fit
from mixjobs.model.emulator import OrderEmulator
from mixjobs.model.joint_error import joint_error
from mixjobs.model.linear_mixture import linear_orders
from mixjobs.model.mixture import MixtureModel
from mixjobs.store.emulator import read_attributes, read_order
from mixjobs.store.format import Store, open_store
from mixjobs.store.joint_error import read_joint_error
from mixjobs.store.loading import load_mixture, order_numbers
from mixjobs.typing import Floats
from mixjobs.units import to_integer, to_value, without_unit
from mixjobs.wavelengths import SPEED_OF_LIGHT

DEFAULTS = {"c": 0.3, "vsini": 5.0, "rv": 0.0}
_N_COMPONENTS = 2
_PIXELS_PER_FWHM = 4
_STEPS = {"c": 0.002, "vsini": 0.02, "rv": 0.02}  # of derivatives; velocities in FWHM
_GRID_STEP = 0.01  # of the smallest step of an axis
_ERRORS = 64  # true errors, drawn from the held-out ones
_NEAREST = 16  # held-out points of an axis that are used for a component
_LEAST = (0.58, 0.90)  # coverage of regions that count as reliable
_LARGE_BIAS = 0.5  # sd


@dataclass(frozen=True, eq=False, repr=False)
class CoverageEstimate(Summarised):
    """Expected coverage and bias of a planned fit; made by `estimate_coverage`.

    Attributes
    ----------
    store : str
    star : dict
        Parameters of the star, with the assumed ones.
    parameters : tuple of str
        The P parameters that the fit determines.
    orders : tuple of int
    snr : float
        Per pixel, with four pixels per resolution element.
    resolution : float
    epochs : int
    now : Coverage
        With the library's grid.
    denser : Coverage
        With two more values on each axis, if the error falls as the third power of the step.
    held : dict
        Parameters of the star that the fit does not determine, with their values.
    assumed : tuple of str
        What the user did not give, and what the grid does not tell.
    ranges : dict
        Width of the grid along each axis, and 1 for c.
    """

    store: str
    star: dict[str, float]
    parameters: tuple[str, ...]
    orders: tuple[int, ...]
    snr: float
    resolution: float
    epochs: int
    now: Coverage
    denser: Coverage
    held: dict[str, float]
    assumed: tuple[str, ...]
    ranges: dict[str, float]

    @property
    def dense_enough(self) -> bool:
        """Whether the joint regions are reliable."""
        return bool((self.now.joint >= _LEAST).all())

    @property
    def verdict(self) -> str:
        """Whether the grid is dense enough for this star, in one sentence."""
        lost = [
            n for n, sd in zip(self.parameters, self.now.sd, strict=True) if sd > self._range(n)
        ]
        if lost:
            return (
                f"the data do not constrain {', '.join(lost)}: the standard error exceeds the full "
                "range, where a linear estimate is meaningless; plan a higher S/N, more orders, or "
                "fewer free parameters"
            )
        shifts = self.now.bias / self.now.sd
        worst = int(np.argmax(shifts))
        name, times = self.parameters[worst], f"{shifts[worst]:.2g} times its standard error"
        now, denser = (f"{100 * c.joint[1]:.0f} % of cases" for c in (self.now, self.denser))
        if not self.dense_enough:
            return (
                "the grid is too coarse for this star: the joint 95 % region would contain the "
                f"truth in {now} ({denser} with two more values on each axis), and interpolation "
                f"would shift {name} by {times}"
            )
        enough = (
            "the grid is dense enough for this star: the joint 95 % region would contain the truth "
            f"in {now}"
        )
        if shifts[worst] > _LARGE_BIAS:
            return (
                f"{enough}; but interpolation would shift {name} by {times}, and a denser grid "
                "would give narrower intervals"
            )
        return (
            f"{enough}, and interpolation would not shift any parameter by more than {times} "
            f"(the largest shift is that of {name})"
        )

    def _range(self, name: str) -> float:
        """Return the range that a parameter can have; infinite for velocities."""
        return self.ranges.get(name, self.ranges.get(name.partition("_")[0], np.inf))

    def _facts(self) -> Mapping[str, object]:
        return {
            "store": self.store,
            "orders": counted(len(self.orders), "order"),
            "parameters": ", ".join(self.parameters),
            "verdict": self.verdict,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the estimate as plain numbers, for JSON."""
        content = {name: value for name, value in vars(self).items() if name != "_summary"}
        for name in ("now", "denser"):
            content[name] = {key: value.tolist() for key, value in vars(content[name]).items()}
        return {**content, "dense_enough": self.dense_enough, "verdict": self.verdict}


def estimate_coverage(
    store: str | Path | Store,
    star: Mapping[str, float],
    *,
    snr: float,
    orders: Sequence[int] | None = None,
    parameters: Sequence[str] | None = None,
    shared: Sequence[str] | None = None,
    epochs: int = 1,
    resolution: float | None = None,
    degree: int = 4,
) -> CoverageEstimate:
    """Estimate how reliable a planned fit of two components would be, in seconds.

    The fit is linear around the star. The interpolation error that it assumes comes from half of
    the held-out grid points. True errors are drawn from the other half, near the star, with the
    size that the error has between the grid points.

    Parameters
    ----------
    store : str, Path or Store
        With an emulator.
    star : mapping
        Parameters of the star: those of `mixjobs.load_mixture`. If left out, c is 0.3, vsini 5 and
        rv 0 km/s. A parameter that has one value in the library may be given with that value.
    snr : float
        Signal-to-noise ratio per pixel, with four pixels per resolution element.
    orders : sequence of int, optional
        By default all orders that have an emulator.
    parameters : sequence of str, optional
        Parameters that the fit determines; the others are held at their values. By default all,
        except rv and vsini in a store that was built for none, which are held at 0.
    shared : sequence of str, optional
        Parameters that the components have in common; by default all but `teff`.
    epochs : int
        Number of spectra of each order.
    resolution : float, optional
        Resolving power of the instrument; by default the lowest that the emulator allows.
    degree : int
        Of the continua.

    Raises
    ------
    MissingFile, StoreError
        The store cannot be read, or has no emulator.
    InvalidInput
        A parameter is unknown, missing, not determined by the data, or too close to the end of the
        grid; or a value is not a number within its limits.
    """
    opened = store if isinstance(store, Store) else open_store(store)
    numbers = order_numbers(opened.path, orders)
    lowest = float(read_attributes(opened.path)["min_resolution"])
    width = lowest if resolution is None else _number(resolution, "resolution", lowest, 1e7)
    snr, epochs = _number(snr, "snr", 1, 1e5), to_integer(epochs, "epochs")
    _number(epochs, "epochs", 1, 1000)
    _number(to_integer(degree, "degree"), "degree", 0, 50)
    if not isinstance(star, Mapping):
        raise InvalidInput(f"star = {star!r}: expected parameters by name", name="star", value=star)
    numeric = {name: _number(without_unit(value, name), name) for name, value in star.items()}
    given = _without_constants(numeric, opened.grid)
    emulators = [read_order(opened.path, number)[0] for number in numbers]
    pixels = {n: _pixels(emulator, width) for n, emulator in zip(numbers, emulators, strict=True)}
    model = load_mixture(
        opened.path, shared=shared, wavelengths=pixels, resolution=width, outside="nan"
    )
    at_rest = _at_rest(opened, model)
    defaults = {n: v for n, v in DEFAULTS.items() if n in model.parameters}
    values = defaults | dict.fromkeys(at_rest, 0.0) | given
    values |= {name: values.pop(name) for name in model.parameters if name in values}
    free = _determined(model, parameters, at_rest)
    plan = _Plan(opened, numbers, emulators, model, values, free, snr, epochs, width, degree)
    grid = opened.grid
    assumed = [f"{n} = {values[n]:g}" for n in defaults if n not in (*given, *at_rest)]
    assumed += [f"resolution = {width:g}"] if resolution is None else []
    method = default_method(grid)
    axes, (_, error) = axis_folds(grid, method), read_joint_error(opened, method)
    shrinkage = {axis.name: ((axis.n_values - 1) / (axis.n_values + 1)) ** 3 for axis in axes}
    denser = {name: factor * shrinkage[name] for name, factor in error.factors.items()}
    return CoverageEstimate(
        str(opened.path), values, free, tuple(numbers), snr, width, epochs,
        plan.coverage(axes, error.factors), plan.coverage(axes, denser),
        {name: value for name, value in values.items() if name not in free},
        (*assumed, *_without_error(grid)),
        {"c": 1.0} | {grid.names[d]: float(np.ptp(grid.axes[d])) for d in grid.free},
    )  # fmt: skip


def _without_constants(star: Mapping[str, float], grid: Grid) -> dict[str, float]:
    """Leave out parameters that are constant in the library; refuse any other value of them."""
    constants = {
        full: float(axis[0])
        for name, axis in zip(grid.names, grid.axes, strict=True)
        for full in (name, *(f"{name}_{k}" for k in range(1, _N_COMPONENTS + 1)))
        if len(axis) == 1
    }
    for name in (n for n in star if n in constants):
        value, only = star[name], constants[name]
        if not np.isclose(value, only, rtol=1e-9, atol=1e-9):
            raise InvalidInput(
                f"{name} = {value:g}: the library has only {only:g}; give that value, or leave "
                f"{name} out",
                name=name,
                value=value,
            )
    return {name: value for name, value in star.items() if name not in constants}


def _without_error(grid: Grid) -> list[str]:
    """Name the axes along which no point can be held out."""
    two = [grid.names[d] for d in grid.free if len(grid.axes[d]) == 2]
    return [f"no interpolation error along {name}, which has two values" for name in two]


def _number(value: Any, name: str, low: float = -np.inf, high: float = np.inf) -> float:
    """Check that a value is a finite number within limits."""
    plain = to_value(value, "", name)
    if isinstance(plain, bool) or not isinstance(plain, int | float | np.integer | np.floating):
        raise InvalidInput(f"{name} = {plain!r}: expected a number", name=name, value=plain)
    number = float(plain)
    if not (np.isfinite(number) and low <= number <= high):
        limits = f"{low:g} to {high:g}" if np.isfinite([low, high]).all() else "a finite number"
        raise InvalidInput(f"{name} = {number:g}: expected {limits}", name=name, value=number)
    return number


def _at_rest(store: Store, model: MixtureModel) -> list[str]:
    """Name the velocities for which a store was built with the limit 0."""
    attributes = read_attributes(store.path)
    zero = [name for name in ("rv", "vsini") if not float(attributes[f"max_{name}"])]
    return [name for name in model.parameters if name.partition("_")[0] in zero]


def _determined(
    model: MixtureModel, parameters: Sequence[str] | None, at_rest: Sequence[str]
) -> tuple[str, ...]:
    """Return the parameters that the fit determines, by default all but the velocities at rest."""
    if isinstance(parameters, str):
        raise InvalidInput(
            f"parameters = {parameters!r}: expected a list of names",
            name="parameters",
            value=parameters,
        )
    moving = [name for name in model.parameters if name not in at_rest]
    free = tuple(moving if parameters is None else parameters)
    choices, fault = ", ".join(model.parameters), ""
    if not free:
        fault = f"no parameters: expected some of {choices}"
    for name in free:
        if name not in model.parameters:
            fault = fault or f"parameters: unknown {name!r}; choose from {choices}"
        elif free.count(name) > 1:
            fault = fault or f"parameters name {name} twice; give it once"
    if fault:
        raise InvalidInput(fault, name="parameters", value=list(free))
    return free


def _pixels(emulator: OrderEmulator, resolution: float) -> Floats:
    """Return pixels over an order, four for each FWHM."""
    step = 1 / (_PIXELS_PER_FWHM * resolution)
    first, last = np.log(emulator.wavelength[[0, -1]])
    return np.exp(np.arange(first + step, last - step, step))


@dataclass(frozen=True, eq=False)
class _Plan:
    """A planned fit; see `estimate_coverage`."""

    store: Store
    numbers: Sequence[int]
    emulators: Sequence[OrderEmulator]
    model: MixtureModel
    star: Mapping[str, float]
    parameters: Sequence[str]
    snr: float
    epochs: int
    resolution: float
    degree: int

    def coverage(self, axes: Sequence[AxisFolds], factors: Mapping[str, float]) -> Coverage:
        """Estimate coverage and bias, with the factors from held-out errors to true ones."""
        store = self.store
        rows = [store.orders.number.tolist().index(number) for number in self.numbers]
        log_means = list(np.log(store.mean_flux[rows]))
        weights = [emulator.weights for emulator in self.emulators]
        n_pixels = [emulator.grid.n_pixels for emulator in self.emulators]
        stating, testing = (
            [replace(axis, folds=axis.folds[k::2] or axis.folds) for axis in axes] for k in (0, 1)
        )
        stated = joint_error(stating, weights, log_means, n_pixels, factors)
        values = [np.column_stack(pair) for pair in zip(weights, log_means, strict=True)]
        errors = self._true_errors(testing, np.concatenate(values, axis=1), factors)
        ends = np.cumsum([value.shape[1] for value in values])[:-1]
        linear = linear_orders(
            self.model, self.star, self._steps(), stated.columns,
            [np.split(error, ends, axis=1) for error in errors], self.degree,
        )  # fmt: skip
        return coverage(linear_fit(linear * self.epochs, self.snr))

    def _steps(self) -> dict[str, float]:
        """Return the step of each parameter's derivative."""
        grid, fwhm = self.store.grid, SPEED_OF_LIGHT / self.resolution
        smallest = {grid.names[d]: float(np.diff(grid.axes[d]).min()) for d in grid.free}
        steps = {}
        for name in self.parameters:
            base = name.partition("_")[0]
            if base in smallest:
                steps[name] = _GRID_STEP * smallest[base]
            else:
                steps[name] = _STEPS[base] * (1.0 if base == "c" else fwhm)
        return steps

    def _true_errors(
        self, axes: Sequence[AxisFolds], values: Floats, factors: Mapping[str, float]
    ) -> list[Floats]:
        """Draw errors (E, K_all) of each component from those held out near it."""
        grid, free = self.store.grid, list(self.store.grid.free)
        places = grid.points[:, free] / [np.diff(grid.axes[d]).mean() for d in free]
        held_out = [factors[axis.name] * axis.errors(values) for axis in axes]
        samples, _ = self.model.read({name: [value] for name, value in self.star.items()})
        close = samples.correlation[0] > np.exp(-0.5)  # within one step of the grid
        drawn = []
        for k, component in enumerate(samples.components):
            rng = np.random.default_rng(int(np.argmax(close[k])))  # the same errors if close
            total = np.zeros((_ERRORS, values.shape[1]))
            for axis, errors in zip(axes, held_out, strict=True):
                distances = np.abs(places[axis.predicted] - component.steps[0]).sum(axis=1)
                nearest = np.argsort(distances, kind="stable")[:_NEAREST]
                chosen = errors[rng.choice(nearest, _ERRORS)]
                total += rng.choice([-1, 1], _ERRORS)[:, None] * chosen
            drawn.append(total)
        return drawn
