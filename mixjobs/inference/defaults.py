"""Priors and fixed values of the parameters that a job file leaves out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from mixjobs.config.sample import SampleConfig
from mixjobs.errors import InvalidInput
from mixjobs.inference.order_likelihoods import EpochOrder, LikelihoodPlan
from mixjobs.inference.parameters import Parameters
from mixjobs.inference.priors import Normal, Prior, Uniform
from mixjobs.model.components import LibraryModel
from mixjobs.model.mixture import MixtureModel
from mixjobs.store.emulator import read_attributes, read_order
from mixjobs.wavelengths import SPEED_OF_LIGHT

Range = tuple[float, float]

_TAIL = 1e-6  # of a prior's probability on either side, that need not be within
_FINER = 3.0  # times finer than the library's pixels, from which on a spectrum is told of


def check_within(parameters: Parameters, ranges: Mapping[str, Range]) -> list[str]:
    """Check that fixed values and priors have something in common with what a model answers.

    Parameters
    ----------
    ranges : dict
        What the model answers, by name; of what each epoch has for itself, by its plain name or
        by its own.

    Returns
    -------
    list of str
        Notes of the priors that go beyond.

    Raises
    ------
    InvalidInput
        A value, or a whole prior, lies outside.
    """
    notes = []
    for name, rule in parameters.rules.items():
        known = ranges.get(name, ranges.get(re.sub(r"_e\d+$", "", name)))
        if known is None or not isinstance(rule, float | Prior):
            continue
        low, high = known
        can = f"the model answers {low:.6g} to {high:.6g}"
        if isinstance(rule, float):
            if not low <= rule <= high:
                raise InvalidInput(f"{name} is fixed at {rule:g}; {can}")
            continue
        first, last = rule.quantile(np.array([_TAIL, 1 - _TAIL])).tolist()
        if last < low or first > high:
            raise InvalidInput(f"{name} has the prior {rule}; {can}, which it leaves out")
        if rule.bounds[0] < low or rule.bounds[1] > high:
            notes.append(f"{name}: {can}; the prior goes beyond, where nothing is probable")
    return notes


def finer_than_library(store: str | Path, orders: Iterable[EpochOrder]) -> list[str]:
    """Return a note of the orders whose pixels are much finer than the library's, if any are."""
    finer: dict[int, float] = {}
    for order in orders:
        step = SPEED_OF_LIGHT * float(np.median(np.diff(np.log(order.wavelength))))
        times = read_order(Path(store), order.number)[0].grid.dv / step
        if times > _FINER:
            finer[order.number] = max(times, finer.get(order.number, 0.0))
    if not finer:
        return []
    numbers = ", ".join(map(str, finer))
    return [
        f"order(s) {numbers}: the data's pixels are up to {max(finer.values()):.2g} times finer "
        "than the library's, so lines that the data show are in no model; average the spectrum "
        "over wider pixels first, or take a finer library"
    ]


_BLACK_BODY_TEFF = (500.0, 10_000.0)
_LN_NOISE = Normal(0.0, 1.0)
_LOG_AMPLITUDE = Uniform(-4.0, -0.5)
_PART_OF_ORDER = 0.25  # the longest correlation of the noise


def _usual(model: MixtureModel, plan: LikelihoodPlan) -> tuple[dict[str, Prior], dict[str, float]]:
    """Return priors of what the user says nothing about, and what is fixed: it has one value.

    Velocities go as far as the store was built for.
    """
    made = read_attributes(Path(plan.store))
    max_velocity = _max_velocity(model)
    rv, vsini = (min(float(made[name]), max_velocity) for name in ("max_rv", "max_vsini"))
    ranges = _ranges(model, plan, rv, vsini, _BLACK_BODY_TEFF)
    priors: dict[str, Prior] = {"ln_noise": _LN_NOISE, "log_amplitude": _LOG_AMPLITUDE}
    priors["log_length"] = _log_length(plan)
    priors |= {name: Uniform(low, high) for name, (low, high) in ranges.items() if low < high}
    return priors, {name: low for name, (low, high) in ranges.items() if low == high}


def _max_velocity(model: MixtureModel) -> float:
    velocities = [
        source.max_velocity for source in model.sources if isinstance(source, LibraryModel)
    ]
    return min(velocities, default=np.inf)


def _ranges(
    model: MixtureModel, plan: LikelihoodPlan, rv: float, vsini: float, black_body: Range
) -> dict[str, Range]:
    """Return from where to where each parameter of the mixture goes, velocities as given."""
    found: dict[str, Range] = {"c": (0.0, 1.0)}
    shifts = [float(epoch["barycentric_velocity"]) for epoch in plan.epochs]
    for source, columns in zip(model.sources, model.layout.columns, strict=True):
        for own, column in columns.items():
            name = model.layout.every[column]
            if not isinstance(source, LibraryModel):
                found.setdefault(name, black_body)
            elif own == "vsini":
                found[name] = 0.0, vsini
            elif own == "rv":
                found[name] = min(shifts) - rv, max(shifts) + rv
                if len(shifts) > 1:
                    found |= {f"{name}_e{e}": (v - rv, v + rv) for e, v in enumerate(shifts, 1)}
            else:
                axis = source.grid.axes[source.grid.names.index(own)]
                found.setdefault(name, (float(axis[0]), float(axis[-1])))
    return found


def _log_length(plan: LikelihoodPlan) -> Uniform:
    """From a pixel to a part of the narrowest order, in log10 of km/s."""
    waves = [order.wavelength[order.used] for order in plan.orders]
    steps = [SPEED_OF_LIGHT * np.median(np.diff(np.log(wave))) for wave in waves]
    widths = [SPEED_OF_LIGHT * np.log(wave[-1] / wave[0]) for wave in waves]
    low, high = np.median(steps), _PART_OF_ORDER * min(widths)
    return Uniform(float(np.log10(low)), float(np.log10(max(high, 2 * low))))


def _constraints(job: SampleConfig, model: MixtureModel) -> list[str]:
    """Return the user's, or that of two stars of one library: component 2 is the cooler."""
    if job.parameters.constraints is not None:
        return job.parameters.constraints
    one_library = len(model.sources) == 2 and model.sources[0] is model.sources[1]
    free = not any(
        isinstance(job.parameters.plain_settings.get(n), str | float) for n in ("teff_1", "teff_2")
    )
    both = {"teff_1", "teff_2"} <= set(model.parameters)
    return ["teff_2 < teff_1"] if one_library and both and free else []
