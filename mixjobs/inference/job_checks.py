"""What a job asks for beside what its store can answer, before anything runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from mixjobs.errors import InvalidInput
from mixjobs.inference.order_fits import EpochOrder
from mixjobs.inference.parameters import Parameters
from mixjobs.inference.priors import Prior
from mixjobs.store.emulator import read_order
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
