"""Comparison of one component with all of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mixjobs.errors import InvalidInput, UnreadableFile
from mixjobs.inference.expressions import NOISE, Tie
from mixjobs.inference.parameters import Parameters
from mixjobs.typing import Floats

if TYPE_CHECKING:  # reading a comparison does not need the store
    from distributed import Client

    from mixjobs.inference.log_probability import LogProbability

_FRACTION = re.compile(r"c(_\d+)?(_e\d+)?")


@dataclass(frozen=True)
class Optimum:
    """The optimum of a model.

    Attributes
    ----------
    parameters : dict
        Free parameters by name.
    ln_likelihood : float
        Sum over all orders, with the continua marginalised.
    """

    parameters: dict[str, float]
    ln_likelihood: float


@dataclass(frozen=True)
class Comparison:
    """One component compared with all of them.

    Attributes
    ----------
    n_components : int
        Number of components of the larger model.
    n_pixels : int
        Number of pixels used.
    one_component, all_components : Optimum
    """

    n_components: int
    n_pixels: int
    one_component: Optimum
    all_components: Optimum

    @property
    def difference(self) -> float:
        """Difference in ln likelihood at the optima, all components minus one."""
        return self.all_components.ln_likelihood - self.one_component.ln_likelihood

    def __str__(self) -> str:
        return (
            f"difference in ln likelihood at the optima, {self.n_components} components minus 1: "
            f"{self.difference:.1f}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as plain numbers, for JSON."""
        return {**asdict(self), "ln_likelihood_difference": self.difference}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Comparison:
        """Read the output of `to_dict`.

        Raises
        ------
        UnreadableFile
            A key is missing.
        """
        try:
            optima = (Optimum(**content[name]) for name in ("one_component", "all_components"))
            return cls(content["n_components"], content["n_pixels"], *optima)
        except (KeyError, TypeError) as error:
            raise UnreadableFile(f"the comparison with one component lacks {error}") from None


def compare(
    log_probability: LogProbability, best: Floats, seed: int, client: Client | None = None
) -> Comparison | None:
    """Compare component 1 alone with all components.

    The noise parameters must be free, because each model has its own optimum of the noise.

    Parameters
    ----------
    log_probability : LogProbability
    best : (P,) array
        Free parameters at the optimum of all components.
    seed : int
        Seed of the search for the optimum of one component.
    client : Client, optional
        A Dask client, to distribute the orders of one component.

    Returns
    -------
    Comparison or None
        None if component 1 cannot stand alone; see `single_component`.
    """
    from mixjobs.inference.optimum import find_optimum

    single = single_component(log_probability, client)
    if single is None:
        return None
    plan = log_probability.plan
    one_component = _optimum(single, find_optimum(single, seed))
    return Comparison(
        _n_components(plan.components),
        int(sum(order.used.sum() for order in plan.orders)),
        one_component,
        _best_of_all(log_probability, best, one_component),
    )


def _best_of_all(log_probability: LogProbability, best: Floats, one_component: Optimum) -> Optimum:
    """Return the better of two optima: the sampled one, and that of one component with c = 0."""
    sampled = _optimum(log_probability, best)
    no_light = {name: 0.0 for name in sampled.parameters if is_fraction(name)}
    nested = sampled.parameters | no_light
    x = np.array([one_component.parameters.get(name, value) for name, value in nested.items()])
    if not np.isfinite(log_probability(x)):
        return sampled
    return max(sampled, _optimum(log_probability, x), key=lambda optimum: optimum.ln_likelihood)


def _n_components(components: int | Sequence[str]) -> int:
    return components if isinstance(components, int) else len(components)


def _optimum(log_probability: LogProbability, x: Floats) -> Optimum:
    ln_likelihood = float(log_probability.by_order(x[None])[0, 1:].sum())
    return Optimum(dict(zip(log_probability.names, x.tolist(), strict=True)), ln_likelihood)


def single_component(
    log_probability: LogProbability, client: Client | None = None
) -> LogProbability | None:
    """Return the log-probability of component 1 alone.

    Only component 1 is loaded, so the grids of the others do not limit it. Its parameters keep
    their names and priors; constraints are dropped.

    Returns
    -------
    LogProbability or None
        None if there is only one component, if component 1 is a blackbody, or if none of its
        parameters is free.
    """
    from mixjobs.inference.log_probability import make_log_probability
    from mixjobs.store.loading import BLACKBODY

    plan = log_probability.plan
    components = ["library"] if isinstance(plan.components, int) else list(plan.components[:1])
    if _n_components(plan.components) == 1 or components == [BLACKBODY]:
        return None
    first = [plan.orders[0].number]
    mixture = plan.load_model(plan.components, orders=first)
    single = plan.load_model(components, orders=first)
    columns = mixture.layout.columns[0]
    base_names = [mixture.layout.all_names[columns[name]] for name in single.parameters]
    base_names += [name for name in log_probability.parameters.base_names if name in NOISE]
    try:
        parameters = reduced(log_probability.parameters, base_names)
    except InvalidInput:  # none is free
        return None
    return make_log_probability(parameters, replace(plan, components=components), client)


def reduced(parameters: Parameters, base_names: Sequence[str]) -> Parameters:
    """Keep some parameters of each epoch, and those to which they are tied; drop constraints.

    Raises
    ------
    InvalidInput
        None of them is free.
    """
    columns = [parameters.base_names.index(name) for name in base_names]
    epoch_names = tuple(tuple(names[i] for i in columns) for names in parameters.epoch_names)
    kept = [name for names in epoch_names for name in names]
    for name in kept:  # the list grows: a tie may lead to another tie
        rule = parameters.rules[name]
        if isinstance(rule, Tie):
            kept.append(rule.name)
    rules = {name: rule for name, rule in parameters.rules.items() if name in kept}
    return Parameters(tuple(base_names), epoch_names, rules)


def is_fraction(name: str) -> bool:
    """Whether a parameter is the filling factor of a component, in one epoch or in all.

    Examples
    --------
    >>> [name for name in ("c", "c_2", "c_e1", "c_3_e2", "teff_2") if is_fraction(name)]
    ['c', 'c_2', 'c_e1', 'c_3_e2']
    """
    return _FRACTION.fullmatch(name) is not None
