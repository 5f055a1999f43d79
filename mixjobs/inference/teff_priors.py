"""Priors of two effective temperatures, in the limits in which two components become one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mixjobs.inference.bayes_factor import EdgeDraws, LeftOut
from mixjobs.inference.parameters import Parameters
from mixjobs.inference.priors import Dirichlet, Prior
from mixjobs.typing import Bools, Floats

_SEED = 19711
_N_POINTS = (500, 1000)  # of equal probability; twice as many avoid a bias where the two are equal
_N_QUANTILES = 100_001
_LARGE = 1e300  # instead of inf, which cannot be interpolated
_MIN_COVERED = 0.999  # of the prior of one component
# Why a limit does not cover the prior of one component.
_NOT_COVERED = "the prior of teff_2 does not cover that of teff_1"
_CONSTRAINED = "the constraint excludes values of teff_1"


@dataclass(frozen=True, eq=False)
class RestrictedPrior:
    """A prior of one parameter, restricted to a range.

    Attributes
    ----------
    prior : Prior or Dirichlet
        A Dirichlet prior of two components is one of c.
    low, high : float

    Examples
    --------
    >>> from mixjobs.inference.priors import Uniform
    >>> prior = RestrictedPrior.of(Uniform(0, 4), 1, 9)
    >>> prior.low, prior.high, prior.cumulative(np.array([1.0, 2.5])).tolist()
    (1, 4.0, [0.0, 0.5])
    """

    prior: Prior | Dirichlet
    low: float
    high: float

    @classmethod
    def of(cls, prior: Prior | Dirichlet, low: float, high: float) -> RestrictedPrior:
        """Restrict a prior to a range, or to its own bounds if they are narrower."""
        return cls(prior, max(low, prior.bounds[0]), min(high, prior.bounds[1]))

    def points(self, n: int) -> Floats:
        """Return n points of equal probability, (n,)."""
        start, end = self._ends
        return np.interp(start + (end - start) * (np.arange(n) + 0.5) / n, *self._quantiles)

    def cumulative(self, values: Floats) -> Floats:
        """Return the probability below values (n,)."""
        start, end = self._ends
        u, x = self._quantiles
        below: Floats = np.interp(values, x, u)
        return (below - start) / (end - start)

    def density(self, values: Floats) -> Floats:
        """Return the normalised density at values (n,); 0 outside the range."""
        start, end = self._ends
        samples = values[:, None] if isinstance(self.prior, Dirichlet) else values
        density: Floats = np.exp(self.prior.log_density(samples)) / (end - start)
        return np.where((values >= self.low) & (values <= self.high), density, 0.0)

    @cached_property
    def _quantiles(self) -> tuple[Floats, Floats]:
        """Probabilities u, and their quantiles under the unrestricted prior."""
        u = np.linspace(0, 1, _N_QUANTILES)
        x = self.prior.quantile(u[:, None] if isinstance(self.prior, Dirichlet) else u)
        return u, np.clip(x.reshape(-1), -_LARGE, _LARGE)

    @cached_property
    def _ends(self) -> tuple[float, float]:
        u, x = self._quantiles
        return float(np.interp(self.low, x, u)), float(np.interp(self.high, x, u))


@dataclass(frozen=True, eq=False)
class TeffPriors:
    """The joint prior of ``teff_1`` and ``teff_2``, constraints included.

    Attributes
    ----------
    first, second : RestrictedPrior
        Without constraints.
    points_1, points_2 : (500,), (1000,) arrays
        Points of equal probability of each.
    allowed : (500, 1000) bool array
        Whether the constraints hold at these points.
    cooler, hotter : (500,) bool arrays
        Whether they hold where component 2 is slightly cooler or hotter than component 1, at
        `points_1`.
    """

    first: RestrictedPrior
    second: RestrictedPrior
    points_1: Floats
    points_2: Floats
    allowed: Bools
    cooler: Bools
    hotter: Bools

    @classmethod
    def of(
        cls, parameters: Parameters, first: RestrictedPrior, second: RestrictedPrior
    ) -> TeffPriors:
        """Evaluate constraints that involve only the two temperatures."""
        x = parameters.draw(np.random.default_rng(_SEED), 1)[0]
        columns = [parameters.names.index(name) for name in ("teff_1", "teff_2")]

        def allowed(teff_1: Floats, teff_2: Floats) -> Bools:
            samples = np.tile(x, (teff_1.size, 1))
            samples[:, columns] = np.stack([teff_1.ravel(), teff_2.ravel()], axis=1)
            finite: Bools = np.isfinite(parameters.log_prior(samples)).reshape(teff_1.shape)
            return finite

        points_1, points_2 = first.points(_N_POINTS[0]), second.points(_N_POINTS[1])
        pairs = np.meshgrid(points_1, points_2, indexing="ij")
        step = 1e-6 * np.ptp(points_1)
        cooler, hotter = (allowed(points_1 + s, points_1 - s) for s in (step, -step))
        return cls(first, second, points_1, points_2, allowed(*pairs), cooler, hotter)

    def only_first(self, teff: Floats) -> Floats | None:
        """Return the prior of one component over that of ``teff_1``, at teff (n,).

        None if the prior of ``teff_1`` does not cover that of one component, because of a
        constraint.
        """
        fraction = self.allowed.mean(axis=1)
        if (fraction > 0).mean() < _MIN_COVERED:
            return None
        return _over(self.allowed.mean(), np.interp(teff, self.points_1, fraction))

    def only_second(self, teff: Floats) -> Floats | None:
        """Return the prior of one component over that of ``teff_2``; None as in `only_first`."""
        fraction = self.allowed.mean(axis=0)

        def marginal(t: Floats) -> Floats:
            of_t: Floats = self.second.density(t) * np.interp(t, self.points_2, fraction)
            return of_t

        if (marginal(self.points_1) > 0).mean() < _MIN_COVERED:
            return None
        return _over(self.allowed.mean() * self.first.density(teff), marginal(teff))

    def equal(self, teff: Floats) -> Floats | None:
        """Return the prior of one component over that of two equal temperatures, at teff (n,).

        In K, because the prior of two is a density of the temperature and of the difference.
        """
        if (self.second.density(self.points_1) > 0).mean() < _MIN_COVERED:
            return None
        return _over(self.allowed.mean(), self.second.density(teff))

    def difference(self, teff_1: Floats, teff_2: Floats) -> tuple[Floats, float] | None:
        """Return the distance from equal temperatures, (n,), and the number of sides of the limit.

        None if a constraint keeps the temperatures apart.
        """
        cooler, hotter = self.cooler.all(), self.hotter.all()
        if cooler and hotter:
            return np.abs(teff_1 - teff_2), 2.0
        if cooler and not self.hotter.any():
            return teff_1 - teff_2, 1.0
        if hotter and not self.cooler.any():
            return teff_2 - teff_1, 1.0
        return None


def _over(numerator: Floats | np.floating, denominator: Floats) -> Floats:
    """Divide; where the denominator is 0, between the last points, use its smallest other value."""
    positive = denominator > 0
    smallest = denominator[positive].min() if positive.any() else 1.0
    return np.asarray(numerator / np.where(positive, denominator, smallest))


@dataclass(frozen=True, eq=False)
class TeffDraws:
    """Draws (n,) of the parameters that differ between one component and two."""

    c: Floats
    teff_1: Floats
    teff_2: Floats


def edges(
    draws: TeffDraws, priors: TeffPriors, c_prior: Prior | Dirichlet, *, exchangeable: bool
) -> list[EdgeDraws | LeftOut]:
    """Return the draws of the distance from each limit in which two components become one.

    The distance from a limit of c is the prior probability in between, so that the prior density of
    the distance is 1. A limit that the priors exclude is left out, with the reason.

    Parameters
    ----------
    draws : TeffDraws
    priors : TeffPriors
    c_prior : Prior or Dirichlet
    exchangeable : bool
        Whether the components differ only in their temperatures. If not, only ``c -> 0`` counts.
    """
    prior = RestrictedPrior.of(c_prior, 0.0, 1.0)
    u = prior.cumulative(draws.c)
    excluded = "excluded by the prior of c"
    reason = excluded if prior.low > 0 else ""
    first = _edge("c -> 0", u, priors.only_first(draws.teff_1), reason, _CONSTRAINED)
    if not exchangeable:
        reason = "the components differ in more than teff"
        return [first, *(LeftOut(limit, reason) for limit in ("c -> 1", "equal teff"))]
    reason = excluded if prior.high < 1 else ""
    second = _edge("c -> 1", 1 - u, priors.only_second(draws.teff_2), reason, _NOT_COVERED)
    difference = priors.difference(draws.teff_1, draws.teff_2)
    distance, n_sides = difference or (np.zeros(0), 1.0)
    weights = priors.equal(draws.teff_1)
    weights = None if weights is None else weights / n_sides
    reason = "excluded by the constraint" if difference is None and weights is not None else ""
    equal = _edge("equal teff", distance, weights, reason, _NOT_COVERED)
    return [first, second, equal]


def _edge(
    limit: str, distance: Floats, weights: Floats | None, exclusion: str, without_weights: str
) -> EdgeDraws | LeftOut:
    """Return draws near a limit, or the reason that they do not exist."""
    if exclusion or weights is None:
        return LeftOut(limit, exclusion or without_weights)
    return EdgeDraws(limit, distance, weights)
