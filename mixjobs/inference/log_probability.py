"""The log-probability of a fit: what a sampler calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from mixjobs.inference.distributed import distribute
from mixjobs.inference.order_likelihoods import LikelihoodPlan
from mixjobs.inference.parameters import Parameters
from mixjobs.typing import Floats

if TYPE_CHECKING:
    from distributed import Client


@dataclass(frozen=True, eq=False, repr=False)
class LogProbability:
    """ln of the posterior density of a fit; made by `mixjobs.load_log_probability`.

    Attributes
    ----------
    parameters : Parameters
        The free ones, in the order of theta, and the others.
    plan : LikelihoodPlan
        The data and the model.
    notes : tuple of str
        What was noticed in the data, and done about it.
    """

    parameters: Parameters
    plan: LikelihoodPlan
    _evaluate: Callable[[Sequence[Floats]], list[Floats]]
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<LogProbability of {', '.join(self.names)} in {len(self.plan.orders)} order(s)>"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the P free parameters, the columns of theta."""
        return self.parameters.names

    def __call__(self, theta: ArrayLike) -> Any:
        """Evaluate ln of the prior times the likelihood.

        Parameters
        ----------
        theta : (P,) or (n, P) array
            The free parameters, as `names` has them.

        Returns
        -------
        float of theta (P,), (n,) array of theta (n, P)
            -inf outside the prior or the library's grid.

        Raises
        ------
        InvalidInput
            theta of another shape.
        """
        rows = self.parameters.one_or_rows(theta)
        found = self.by_order(np.atleast_2d(rows))[:, 0]
        return found if rows.ndim == 2 else float(found[0])

    def by_order(self, theta: Floats) -> Floats:
        """Evaluate theta (n, P): its log-probability, then ln of the likelihood in each order.

        The sum over M orders is taken in their order. A row outside the prior takes another's
        place in the model, so that the shape of a batch, and with it the last bits, do not depend
        on how many are outside.

        Returns
        -------
        (n, 1 + M) array
            Rows outside are -inf.
        """
        found = np.full((len(theta), 1 + len(self.plan.orders)), -np.inf)
        log_prior = self.parameters.log_prior(theta)
        inside = np.isfinite(log_prior)
        if not inside.any():
            return found
        filled = np.where(inside[:, None], theta, theta[inside][0])
        likelihoods = self._evaluate(self.parameters.table(filled))
        total = log_prior
        for m, likelihood in enumerate(likelihoods):
            found[inside, 1 + m] = likelihood[inside]
            total = total + likelihood
        valid = inside & np.isfinite(total)
        found[valid, 0] = total[valid]
        return found

    def fix(self, name: str, value: float) -> LogProbability:
        """Return the same with one parameter fixed."""
        return replace(self, parameters=self.parameters.fix(name, value))


def make_log_probability(
    parameters: Parameters,
    plan: LikelihoodPlan,
    client: Client | None = None,
    notes: Sequence[str] = (),
) -> LogProbability:
    """Bring parameters, data and model together; the orders on the workers of a Dask client.

    Raises
    ------
    InvalidInput
        What `load_mixture` raises, and data that cannot be used, when it is first evaluated.
    """
    evaluate = distribute(client, plan.load, range(len(plan.orders)))
    return LogProbability(parameters, plan, evaluate, tuple(notes))
