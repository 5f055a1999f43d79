"""First draws, after which the noise of each order is determined once more.

The search for the optimum uses one set of noise parameters for all orders. With noise of its own in
each order the optimum moves, and the noise with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from mixjobs.inference.log_probability import LogProbability
from mixjobs.inference.optimum import start_walkers
from mixjobs.inference.order_noise import OrderNoise, noise_rules
from mixjobs.inference.parameters import Parameters
from mixjobs.inference.sampler import short_chain
from mixjobs.typing import Floats

N_STEPS = 100  # of the first draws


def hold_order_noise(
    log_probability: LogProbability,
    free: Parameters,
    starts: Floats,
    walkers: int,
    seed: int,
) -> tuple[LogProbability, Floats]:
    """Hold the noise of each order at its optimum, found at the best start and after first draws.

    Parameters
    ----------
    log_probability : LogProbability
        With the noise parameters fixed at the values of the search.
    free : Parameters
        The same parameters before the noise was fixed.
    starts : (ensembles, P) array
        Optima from the search.
    walkers : int
        Of one ensemble.
    seed : int

    Returns
    -------
    LogProbability
        With the noise held.
    (ensembles, P) array
        The most probable of the first draws of each ensemble.
    """
    rules = noise_rules(free)
    best = starts[np.argmax(log_probability(starts))]
    first = log_probability.hold_noise(best, rules)
    walker_starts = start_walkers(first, starts, walkers, seed)
    draws = np.array([
        _best_draw(first, start, [seed, 3, e]) for e, start in enumerate(walker_starts)
    ])  # fmt: skip
    second = first.hold_noise(draws[np.argmax(first(draws))], rules)
    return second, draws


def _best_draw(log_probability: LogProbability, start: Floats, seed: list[int]) -> Floats:
    """Return the most probable walker (P,) at the end of a short chain."""
    draws = short_chain(
        log_probability, start, log_probability(start), bounds=log_probability.parameters.bounds,
        n_steps=N_STEPS, seed=seed,
    )  # fmt: skip
    last: Floats = draws[-1]
    best: Floats = last[np.argmax(log_probability(last))]
    return best


def noise_content(log_probability: LogProbability, starts: Floats) -> dict[str, Any]:
    """Return the noise that is held and the new starts as plain numbers, for JSON."""
    orders = [
        {"epoch": order.epoch + 1, "number": order.number, **noise.to_dict()}
        for order, noise in zip(log_probability.plan.orders, log_probability.noise, strict=True)
    ]
    named = [dict(zip(log_probability.names, start, strict=True)) for start in starts.tolist()]
    return {"orders": orders, "starts": named}


def with_noise(log_probability: LogProbability, content: Mapping[str, Any]) -> LogProbability:
    """Hold the noise that `noise_content` describes; a KeyError or TypeError says what it lacks."""
    noise = tuple(map(OrderNoise.from_dict, content["orders"]))
    if len(noise) != len(log_probability.plan.orders):
        raise KeyError("noise of some orders")
    return replace(log_probability, noise=noise)
