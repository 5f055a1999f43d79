"""The log-probability of a fit, for any sampler."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import methodcaller
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from mixjobs.display import Summarised, counted
from mixjobs.inference.coupling import couple
from mixjobs.inference.distributed import distribute
from mixjobs.inference.order_likelihoods import LikelihoodPlan
from mixjobs.inference.order_noise import NoiseRules, OrderNoise
from mixjobs.inference.parameters import Parameters
from mixjobs.inference.samples import read_samples
from mixjobs.typing import Floats

if TYPE_CHECKING:
    from distributed import Client

    from mixjobs.inference.holes import HoleReport


@dataclass(frozen=True, eq=False, repr=False)
class LogProbability(Summarised):
    """ln of the posterior density of a fit; made by `mixjobs.load_log_probability`.

    Every method takes the P free parameters, in the order of `names`: a vector (P,) or n samples
    (n, P). It returns a float or an array (n,) to match. Velocities are in km/s,
    temperatures in K.

    An MCMC sampler needs the object itself, ``logp(x)``. A nested sampler needs `log_likelihood`
    and `prior_transform`, so that the prior enters only once.

    It can be pickled for a pool of processes if it was loaded without a Dask client.

    Attributes
    ----------
    parameters : Parameters
        The free parameters, in the order of x, and the fixed and tied ones.
    plan : LikelihoodPlan
        The data and the model.
    evaluate : callable
        ``evaluate(task)`` runs ``task(likelihoods)`` where the `OrderLikelihoods` are, and returns
        one result for each order.
    notes : tuple of str
        Assumptions about the data, and warnings.
    holes : tuple of HoleReport
        The part of each component's prior that needs grid points that the library does not have.
    noise : tuple of OrderNoise
        The noise of each order of the plan, held constant; empty if its parameters are among `x`.
    """

    parameters: Parameters
    plan: LikelihoodPlan
    evaluate: Callable[[Callable[[Any], list[Any]]], list[Any]]
    notes: tuple[str, ...] = ()
    holes: tuple[HoleReport, ...] = ()
    noise: tuple[OrderNoise, ...] = ()

    def _facts(self) -> Mapping[str, object]:
        numbers = list(dict.fromkeys(order.number for order in self.plan.orders))
        return {
            "free parameters": ", ".join(self.names),
            "orders": f"{counted(len(numbers), 'order')} ({', '.join(map(str, numbers))})",
            "epochs": len(self.plan.epochs),
            "store": self.plan.store,
        }

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the P free parameters, in the order of x."""
        return self.parameters.names

    def __call__(self, x: ArrayLike) -> Any:
        """Evaluate ln of the prior times the likelihood.

        Parameters
        ----------
        x : (P,) or (n, P) array, or a mapping
            The free parameters, in the order of `names`, or by name. Quantities are converted if
            they are given by name, or in a list of P values.

        Returns
        -------
        float for x (P,), (n,) array for x (n, P)
            -inf outside the prior, and where the model is not defined: outside the library's
            grid, in one of its holes, or at velocities beyond the emulator's limit.

        Raises
        ------
        InvalidInput
            x has another shape or a unit.
        """
        samples = read_samples(x, self.names)
        log_prior, total, _ = self._values(np.atleast_2d(samples))
        values = log_prior + total
        return _scalar_or_array(values if samples.ndim == 2 else values[0])

    def log_likelihood(self, x: ArrayLike) -> Any:
        """Evaluate ln of the likelihood, all orders together, with the continua marginalised.

        For nested samplers, which apply the prior through `prior_transform`. That transform
        ignores constraints such as ``teff_2 < teff_1``, so this function enforces them: it is
        -inf wherever `log_prior` is. The posterior is then exact. The evidence refers to the prior
        without constraints; for the constrained, normalised prior, subtract ln of the fraction of
        prior draws with a finite `log_prior`.

        Parameters
        ----------
        x : (P,) or (n, P) array

        Returns
        -------
        float for x (P,), (n,) array for x (n, P)
            ln of the likelihood of the data in their own unit; -inf wherever ``logp(x)`` is.
            Elsewhere ``log_prior(x) + log_likelihood(x)`` equals ``logp(x)`` to rounding.
        """
        samples = read_samples(x, self.names)
        _, total, _ = self._values(np.atleast_2d(samples))
        return _scalar_or_array(total if samples.ndim == 2 else total[0])

    def log_prior(self, x: ArrayLike) -> Any:
        """Evaluate ln of the prior density, constraints included; see `Parameters.log_prior`.

        Parameters
        ----------
        x : (P,) or (n, P) array

        Returns
        -------
        float for x (P,), (n,) array for x (n, P)
        """
        return self.parameters.log_prior(x)

    def prior_transform(self, u: ArrayLike) -> Floats:
        """Map the unit cube to x; constraints are left to `log_likelihood`.

        Parameters
        ----------
        u : (P,) or (n, P) array
            Numbers from 0 to 1.

        Returns
        -------
        (P,) or (n, P) array
            See `Parameters.prior_transform`.
        """
        return self.parameters.prior_transform(u)

    def by_order(self, x: ArrayLike) -> Floats:
        """Evaluate the log-probability, and the predictive density of each of the M orders.

        The interpolation error is common to all orders, so their likelihoods are not independent.
        The density of each order is that of its data given the data of all other orders.

        Returns
        -------
        (1 + M,) or (n, 1 + M) array
            First ln of the prior times the likelihood; then ln of the predictive density of each
            order, epoch by epoch. -inf outside the prior.
        """
        samples = read_samples(x, self.names)
        log_prior, total, predictive = self._values(np.atleast_2d(samples), predictive=True)
        values = np.column_stack([log_prior + total, predictive])
        return values if samples.ndim == 2 else values[0]

    def _values(self, rows: Floats, predictive: bool = False) -> tuple[Floats, Floats, Floats]:
        """Return log prior (n,), log likelihood (n,) and predictive densities (n, M)."""
        total = np.full(len(rows), -np.inf)
        densities = np.full((len(rows), len(self.plan.orders)), -np.inf)
        log_prior = self.parameters.log_prior(rows)
        inside = np.isfinite(log_prior)
        if inside.any():
            # The last bits of a result depend on the shape of the batch, so samples outside the
            # prior are not dropped, but replaced by one inside.
            filled = np.where(inside[:, None], rows, rows[inside][0])
            terms = self.evaluate(methodcaller("terms", self.parameters.params(filled), self.noise))
            coupled = couple(terms, predictive)
            valid = inside & np.isfinite(coupled.total)
            total[valid], densities[valid] = coupled.total[valid], coupled.predictive[valid]
        return log_prior, total, densities

    def total(self, x: ArrayLike) -> Floats:
        """Evaluate the log-probability as `by_order` does, but without the orders: (n, 1)."""
        values: Floats = np.atleast_1d(self(x))[:, None]
        return values

    def hold_noise(self, x: ArrayLike, rules: Sequence[NoiseRules]) -> LogProbability:
        """Return the same log-probability with the noise of each order held at its optimum.

        Parameters
        ----------
        x : (P,) array
            The other parameters.
        rules : sequence over epochs
            From `mixjobs.inference.order_noise.noise_rules`. The searches begin at the noise that
            is held already.

        Raises
        ------
        InvalidInput
            The model is not defined at x.
        """
        params = self.parameters.params(np.atleast_2d(read_samples(x, self.names)))
        noise = self.evaluate(methodcaller("fit_noise", params, rules, self.noise))
        return replace(self, noise=tuple(noise))

    def fix(self, name: str, value: Any) -> LogProbability:
        """Return the same log-probability with a parameter fixed; see `Parameters.fix`.

        Examples
        --------
        ``logp.fix("rv", 12.5)``, or ``logp.fix("rv", 12500 * u.m / u.s)``.
        """
        return replace(self, parameters=self.parameters.fix(name, value))


def _scalar_or_array(values: Floats) -> Any:
    return values if values.ndim else float(values)


def make_log_probability(
    parameters: Parameters,
    plan: LikelihoodPlan,
    client: Client | None = None,
    notes: Sequence[str] = (),
    noise: Sequence[OrderNoise] = (),
) -> LogProbability:
    """Combine parameters, data and model.

    Parameters
    ----------
    parameters : Parameters
    plan : LikelihoodPlan
    client : Client, optional
        Evaluate the orders on the workers of a Dask client; None evaluates in this process.
    notes : sequence of str
    noise : sequence of OrderNoise
        The noise of each order, held constant; empty if its parameters are among x.

    Raises
    ------
    InvalidInput
        The data cannot be used, or `load_mixture` refuses the plan. Workers raise this at the
        first evaluation.
    """
    evaluate = distribute(client, plan.load, range(len(plan.orders)))
    return LogProbability(parameters, plan, evaluate, tuple(notes), noise=tuple(noise))
