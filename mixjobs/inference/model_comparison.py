"""Comparison of one component with all of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mixjobs.errors import InvalidInput
from mixjobs.inference.bayes_factor import BayesFactor, bayes_factor
from mixjobs.inference.convergence import assess
from mixjobs.inference.expressions import Tie, is_noise, resolve
from mixjobs.inference.parameters import Parameters
from mixjobs.inference.run_folder import COMPARISON, RunFolder, unreadable_result
from mixjobs.inference.segments import Chain
from mixjobs.typing import Floats

if TYPE_CHECKING:  # reading a comparison does not need the store
    from distributed import Client

    from mixjobs.inference.defaults import ModelDomain
    from mixjobs.inference.log_probability import LogProbability

_TEFF = ("teff_1", "teff_2")
_MAX_HOLE_FRACTION = 0.01  # of a prior; holes change the prior in ways that no marginal describes
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
    bayes_factor : BayesFactor or None
        Of one component over two, from the posterior.
    no_bayes_factor : str
        Why there is none; empty if there is one, or if an earlier version wrote the comparison.
    """

    n_components: int
    n_pixels: int
    one_component: Optimum
    all_components: Optimum
    bayes_factor: BayesFactor | None = None
    no_bayes_factor: str = ""

    @property
    def difference(self) -> float:
        """Difference in ln likelihood at the optima, all components minus one."""
        return self.all_components.ln_likelihood - self.one_component.ln_likelihood

    def __str__(self) -> str:
        text = (
            f"difference in ln likelihood at the optima, {self.n_components} components minus 1: "
            f"{self.difference:.1f}"
        )
        if self.bayes_factor is not None:
            return f"{text}\n{self.bayes_factor}"
        return f"{text}\nno Bayes factor: {self.no_bayes_factor}" if self.no_bayes_factor else text

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as plain numbers, for JSON."""
        return {**asdict(self), "ln_likelihood_difference": self.difference}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Comparison:
        """Read the output of `to_dict`; a KeyError or TypeError states what it lacks."""
        factor = content.get("bayes_factor")
        return cls(
            content["n_components"],
            content["n_pixels"],
            Optimum(**content["one_component"]),
            Optimum(**content["all_components"]),
            None if factor is None else BayesFactor.from_dict(factor),
            content.get("no_bayes_factor", ""),
        )


def stored_comparison(folder: RunFolder) -> Comparison | None:
    """Read the comparison of a run; None if it is not stored.

    Raises
    ------
    UnreadableFile
    """
    content = folder.read_json(COMPARISON)
    try:
        return None if content is None else Comparison.from_dict(content)
    except (KeyError, TypeError) as error:
        raise unreadable_result(folder.path / COMPARISON, error) from None


def compare(
    log_probability: LogProbability,
    chain: Chain,
    seed: int,
    client: Client | None = None,
    *,
    compressed: bool = False,
) -> Comparison | None:
    """Compare component 1 alone with all components.

    Noise parameters that are fixed have the same values for one component and for all.

    Parameters
    ----------
    log_probability : LogProbability
        That of the chain.
    chain : Chain
    seed : int
        Seed of the search for the optimum of one component.
    client : Client, optional
        A Dask client, to distribute the orders of one component.
    compressed : bool
        Whether to search for the optimum of one component without pixels, near the velocities of
        the chain.

    Returns
    -------
    Comparison or None
        None if component 1 cannot stand alone; see `single_component`.
    """
    from mixjobs.inference.optimum import find_optimum
    from mixjobs.inference.preparation import find_optimum_near

    single = single_component(log_probability, client)
    if single is None:
        return None
    plan = log_probability.plan
    if compressed:
        best = dict(zip(log_probability.names, chain.best().tolist(), strict=True))
        around = np.array([best[name] for name in single.names])
        one_component = _optimum(single, find_optimum_near(single, around, seed))
    else:
        one_component = _optimum(single, find_optimum(single, seed))
    factor = posterior_bayes_factor(log_probability, chain)
    return Comparison(
        _n_components(plan.components),
        int(sum(order.used.sum() for order in plan.orders)),
        one_component,
        _best_of_all(log_probability, chain.best(), one_component),
        factor if isinstance(factor, BayesFactor) else None,
        "" if isinstance(factor, BayesFactor) else factor,
    )


def posterior_bayes_factor(log_probability: LogProbability, chain: Chain) -> BayesFactor | str:
    """Return the Bayes factor of one component over two, or why there is none.

    It comes from all draws after the burn-in; see `mixjobs.inference.bayes_factor`.
    """
    from mixjobs.inference.defaults import ModelDomain
    from mixjobs.inference.holes import percent

    domain, parameters = ModelDomain.of(log_probability.plan), log_probability.parameters
    obstacle = _model_obstacle(domain) or _prior_obstacle(parameters)
    if obstacle:
        return obstacle
    holes = [report.fraction for report in log_probability.holes if report.error is None]
    if max(holes, default=0.0) > _MAX_HOLE_FRACTION:
        return f"holes of the grid exclude {percent(max(holes))} of a prior"
    return _bayes_factor(parameters, domain, chain)


def _model_obstacle(domain: ModelDomain) -> str:
    """State why the model does not become one component in the limits; empty if it does."""
    if len(domain.sources) != 2:
        return f"the model has {len(domain.sources)} components, not two"
    black = [k for k, source in enumerate(domain.sources, 1) if source.library is None]
    if black:
        return f"component {black[0]} is a blackbody"
    columns = domain.layout.columns
    names = [domain.layout.all_names[c["teff"]] if "teff" in c else "" for c in columns]
    return "" if tuple(names) == _TEFF else "the components have no temperatures of their own"


def _prior_obstacle(parameters: Parameters) -> str:
    """State why the limits of the prior cannot be computed; empty if they can."""
    special = (*_TEFF, "c")
    for name in special:
        if name not in parameters.names:
            return f"{name} {_why_not_free(name, parameters)}"
    for name in parameters.rules:
        target = resolve(name, parameters.rules)
        if name not in special and isinstance(target, Tie) and target.name in special:
            return f"{name} is tied to {target.name}"
    for constraint in parameters.constraints:
        if not {constraint.lesser, constraint.greater} <= set(_TEFF):
            return f"the constraint {constraint} involves more than the two temperatures"
    return ""


def _why_not_free(name: str, parameters: Parameters) -> str:
    """State why a parameter is not a single free one."""
    if name not in parameters.rules:
        return "differs between the epochs"
    rule = parameters.rules[name]
    return f"is tied to {rule.name}" if isinstance(rule, Tie) else "is fixed"


def _bayes_factor(parameters: Parameters, domain: ModelDomain, chain: Chain) -> BayesFactor | str:
    """Return the Bayes factor of a model and a prior without obstacles, or why there is none."""
    from mixjobs.inference.teff_priors import RestrictedPrior, TeffDraws, TeffPriors, edges

    convergence = assess(chain.positions)
    columns = [parameters.names.index(name) for name in ("c", *_TEFF)]
    efficiency = convergence.efficiency(columns)
    if not efficiency:
        return "too few independent draws near c = 0, c = 1 and equal temperatures"
    positions = chain.positions[:, convergence.burn_in :]
    draws = TeffDraws(*positions.reshape(-1, positions.shape[-1]).T[columns])
    ranges = domain.ranges(domain.max_velocity, domain.max_velocity, (0.0, np.inf))
    c_prior, *teff_priors = (parameters.prior(name) for name in ("c", *_TEFF))
    first, second = (
        RestrictedPrior.of(prior, *ranges[name])
        for prior, name in zip(teff_priors, _TEFF, strict=True)
    )
    priors = TeffPriors.of(parameters, first, second)
    limits = edges(draws, priors, c_prior, exchangeable=_are_exchangeable(domain))
    factor = bayes_factor(limits, efficiency)
    return factor if isinstance(factor, BayesFactor) else ", ".join(map(str, factor))


def _are_exchangeable(domain: ModelDomain) -> bool:
    """Whether two components differ only in their temperatures."""
    (one, two), columns = domain.sources, domain.layout.columns
    others = [{name: c[name] for name in c if name != "teff"} for c in columns]
    return one is two and others[0] == others[1]


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
    ln_likelihood = float(log_probability.log_likelihood(x))
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
    base_names += [name for name in log_probability.parameters.base_names if is_noise(name)]
    try:
        parameters = reduced(log_probability.parameters, base_names)
    except InvalidInput:  # none is free
        return None
    return make_log_probability(
        parameters, replace(plan, components=components), client, noise=log_probability.noise
    )


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
