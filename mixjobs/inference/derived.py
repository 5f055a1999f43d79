"""What follows from the parameters in every order: flux ratios, shares of the light, veiling."""

from __future__ import annotations

import numpy as np

from mixjobs.inference.order_fits import read_table
from mixjobs.inference.target import LogProbability
from mixjobs.model.components import BlackBody
from mixjobs.model.mixture import MixtureModel
from mixjobs.typing import Floats


def derived(log_probability: LogProbability, theta: Floats) -> dict[str, Floats]:
    """Evaluate what is derived from theta (n, P) in each of the M orders.

    Returns
    -------
    dict of (n, M) arrays
        ``q`` and ``light_fraction_2`` of component 2, with three components or more ``q_2``,
        ``q_3`` and so on; where one is a black body, ``veiling``: its light over that of the
        stars. Nothing of one component.
    """
    plan, tables = log_probability.plan, log_probability.parameters.table(theta)
    by_epoch = []
    for epoch in plan.load(range(len(plan.orders))).epochs:
        values, _ = read_table(tables[epoch.epoch], epoch)
        by_epoch.append(light_of(epoch.model, values))
    return {
        name: np.concatenate([found[name] for found in by_epoch], axis=1) for name in by_epoch[0]
    }


def light_of(model: MixtureModel, values: Floats) -> dict[str, Floats]:
    """Evaluate the same of one model, at its parameters (n, n_params)."""
    n_components = len(model.sources)
    if n_components == 1:
        return {}
    light = model.light(values)
    evenly = values.copy()  # q is the light at equal fractions, also where c is 0
    evenly[:, -(n_components - 1) :] = 1 / n_components
    q = model.light(evenly) * n_components
    fraction = light / light.sum(axis=1, keepdims=True)
    found = {}
    for k in range(1, n_components):
        found["q" if n_components == 2 else f"q_{k + 1}"] = q[:, k]
        found[f"light_fraction_{k + 1}"] = fraction[:, k]
    black = np.array([isinstance(source, BlackBody) for source in model.sources])
    if black.any():
        with np.errstate(divide="ignore"):  # inf where there are no stars
            found["veiling"] = light[:, black].sum(axis=1) / light[:, ~black].sum(axis=1)
    return found
