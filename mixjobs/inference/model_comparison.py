"""One component against all of them, by the Bayesian information criterion."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mixjobs.errors import InvalidInput, UnreadableFile
from mixjobs.inference.expressions import NOISE, Tie
from mixjobs.inference.log_probability import LogProbability, make_log_probability
from mixjobs.inference.optimum import find_optimum
from mixjobs.inference.parameters import Parameters
from mixjobs.inference.summary import is_fraction
from mixjobs.store.loading import BLACK_BODY
from mixjobs.typing import Floats

if TYPE_CHECKING:
    from distributed import Client


# Kass & Raftery (1995, JASA 90, 773), section 3.2: 2 ln of the Bayes factor.
_GRADES = (
    (2.0, "not worth more than a bare mention"),
    (6.0, "positive evidence"),
    (10.0, "strong evidence"),
    (math.inf, "very strong evidence"),
)


@dataclass(frozen=True)
class Model:
    """The most probable theta of a model.

    Attributes
    ----------
    theta : dict
        Its free parameters, by name.
    ln_likelihood : float
        There, of all orders, with the continua marginalised.
    """

    theta: dict[str, float]
    ln_likelihood: float


@dataclass(frozen=True)
class Comparison:
    """One component against all of them.

    Attributes
    ----------
    n_components : int
        Of the larger model.
    n_pixels : int
        That are used.
    one, all_of_them : Model
    """

    n_components: int
    n_pixels: int
    one: Model
    all_of_them: Model

    def bic(self, model: Model) -> float:
        """``k ln n - 2 ln L`` (Schwarz 1978, Ann. Statist. 6, 461), k the free parameters."""
        return len(model.theta) * math.log(self.n_pixels) - 2 * model.ln_likelihood

    @property
    def difference(self) -> float:
        """BIC of one component less that of all: positive where there are more than one."""
        return self.bic(self.one) - self.bic(self.all_of_them)

    @property
    def meaning(self) -> str:
        """What the difference means, in a sentence."""
        size = abs(self.difference)
        grade = next(said for limit, said in _GRADES if size <= limit)
        favoured = f"{self.n_components} components" if self.difference > 0 else "one component"
        said = f"{grade} for {favoured}" if size > _GRADES[0][0] else f"{grade}, for {favoured}"
        return (
            f"BIC differs by {size:.1f}: {said} (Kass & Raftery 1995; an approximation, in which "
            "the free parameters of the noise are counted, and each model has its own)."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and text, for a file of JSON: also what follows from the rest."""
        return {
            **asdict(self),
            "bic_one": self.bic(self.one),
            "bic_all": self.bic(self.all_of_them),
            "difference": self.difference,
            "meaning": self.meaning,
        }

    @classmethod
    def from_dict(cls, there: Mapping[str, Any]) -> Comparison:
        """Read what `to_dict` has returned.

        Raises
        ------
        UnreadableFile
            It is something else.
        """
        try:
            one, every = (Model(**there[name]) for name in ("one", "all_of_them"))
            return cls(there["n_components"], there["n_pixels"], one, every)
        except (KeyError, TypeError) as error:
            raise UnreadableFile(f"the comparison with one component lacks {error}") from None


def compare(
    log_probability: LogProbability, best: Floats, seed: int, client: Client | None = None
) -> Comparison | None:
    """Compare component 1 alone with all components.

    Give the log-probability with noise that is free, and not fixed at an optimum: the noise of one
    component is another's.

    Parameters
    ----------
    log_probability : LogProbability
    best : (P,) array
        Its most probable theta.
    seed : int
        Of the search for the most probable theta of one component.
    client : Client, optional
        Of Dask, for the orders of one component on its workers.

    Returns
    -------
    Comparison or None
        None where there is nothing to compare with; see `single`.
    """
    alone = single(log_probability, client)
    if alone is None:
        return None
    plan = log_probability.plan
    one = _model(alone, find_optimum(alone, seed))
    return Comparison(
        _n_components(plan.components),
        int(sum(order.used.sum() for order in plan.orders)),
        one,
        _best_of_all(log_probability, best, one),
    )


def _best_of_all(log_probability: LogProbability, best: Floats, one: Model) -> Model:
    """Return the better of what sampling has found and of one component with fractions of 0."""
    found = _model(log_probability, best)
    there = found.theta | {name: 0.0 for name in found.theta if is_fraction(name)}
    theta = np.array([one.theta.get(name, value) for name, value in there.items()])
    if not np.isfinite(log_probability(theta)):
        return found
    return max(found, _model(log_probability, theta), key=lambda model: model.ln_likelihood)


def _n_components(components: int | Sequence[str]) -> int:
    return components if isinstance(components, int) else len(components)


def _model(log_probability: LogProbability, theta: Floats) -> Model:
    ln_likelihood = float(log_probability.by_order(theta[None])[0, 1:].sum())
    return Model(dict(zip(log_probability.names, theta.tolist(), strict=True)), ln_likelihood)


def single(log_probability: LogProbability, client: Client | None = None) -> LogProbability | None:
    """Return the log-probability of component 1 alone.

    The model is loaded with component 1 only: what the others' libraries cover is no limit to it.
    Its parameters keep names and priors; constraints are dropped.

    Returns
    -------
    LogProbability or None
        None of one component, of a black body as component 1, or where none of component 1's
        parameters nor of the noise's is free.
    """
    plan = log_probability.plan
    components = ["library"] if isinstance(plan.components, int) else list(plan.components[:1])
    if _n_components(plan.components) == 1 or components == [BLACK_BODY]:
        return None
    first = [plan.orders[0].number]
    both = plan.load_model(plan.components, orders=first)
    alone = plan.load_model(components, orders=first)
    called = {own: both.layout.all_names[column] for own, column in both.layout.columns[0].items()}
    fit = [called[own] for own in alone.parameters]
    fit += [name for name in log_probability.parameters.base_names if name in NOISE]
    try:
        parameters = reduced(log_probability.parameters, fit)
    except InvalidInput:  # none is free
        return None
    return make_log_probability(parameters, replace(plan, components=components), client)


def reduced(parameters: Parameters, fit: Sequence[str]) -> Parameters:
    """Return the parameters with some columns of their tables alone, and no constraints.

    Raises
    ------
    InvalidInput
        None of them is free.
    """
    places = [parameters.base_names.index(name) for name in fit]
    columns = tuple(tuple(names[p] for p in places) for names in parameters.epoch_names)
    kept = {name for names in columns for name in names}
    while (
        more := {rule.name for name in kept if isinstance(rule := parameters.rules[name], Tie)}
        - kept
    ):
        kept |= more
    rules = {name: rule for name, rule in parameters.rules.items() if name in kept}
    return Parameters(tuple(fit), columns, rules)
