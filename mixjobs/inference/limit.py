"""The upper limit on c as a function of the temperature of component 2.

For a single star, any c is possible if Teff_2 is near Teff_1, so the limit on c for all Teff_2
together says nothing. The limit at each Teff_2 does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mixjobs.errors import InvalidInput
from mixjobs.inference.convergence import assess, autocorrelation_time
from mixjobs.inference.segments import Chain
from mixjobs.inference.teff_priors import RestrictedPrior
from mixjobs.typing import Floats, Ints

if TYPE_CHECKING:
    from xarray import Dataset, DataTree

    from mixjobs.inference.log_probability import LogProbability

LEVEL = 0.95  # of the upper limits
LIMIT = "limit"  # group of a posterior
N_SLICES = 12
HALF_WIDTH = 75.0  # K, or half the distance of the slices if they are closer
MIN_DRAWS = 200  # effective number of draws; a slice with fewer is sampled again
MIN_CERTAIN = 50  # effective number of draws; with fewer, a limit may be off by a factor
_MAX_QUANTITIES = 500  # draws of a slice at which the light fractions are evaluated
# c is detected if fewer draws than for a normal distribution 2 sd above 0 are below 0.25 sd.
_NEAR, _MAX_NEAR = 0.25, 0.017
_RUN_FRACTION = 0.004  # of the evaluations of a run, for each slice that is sampled again
_MIN_STEPS, _BURN_IN_FRACTION = 60, 0.4
_MIN_WALKERS = 10
_MIN_ALLOWED = 0.1  # of the draws with the lower half of c; otherwise a slice is left out
_CANDIDATES_PER_WALKER = 4


@dataclass(frozen=True)
class LimitSlice:
    """The upper limits in one slice of Teff_2.

    Attributes
    ----------
    teff_2 : float
        Centre of the slice, K.
    c : float
        Upper limit on c; NaN if the model does not allow this temperature.
    light_fraction_2 : tuple of float
        Upper limit on the light fraction of component 2 in each order.
    n_draws : int
        Effective number of draws.
    sampled_again : bool
        Whether the draws are those of another chain, with Teff_2 fixed at the centre.
    """

    teff_2: float
    c: float
    light_fraction_2: tuple[float, ...]
    n_draws: int
    sampled_again: bool

    @property
    def uncertain(self) -> bool:
        """Whether the draws are so few that the limits may be off by a factor."""
        return bool(np.isfinite(self.c)) and self.n_draws < MIN_CERTAIN


@dataclass(frozen=True)
class LimitCurve:
    """Upper limits on c and on the light fraction of component 2, against Teff_2.

    Attributes
    ----------
    slices : tuple of LimitSlice
    half_width : float
        Of a slice, K.
    detected : bool
        Whether c is detected; the limits are then those of the posterior, and no slice is sampled
        again.
    """

    slices: tuple[LimitSlice, ...]
    half_width: float
    detected: bool

    def dataset(self, orders: Mapping[str, Any]) -> Dataset:
        """Return the curve as an xarray Dataset, with the coordinates of the orders."""
        from xarray import Dataset

        columns: dict[str, Any] = {
            name: ("teff_2", [getattr(s, name) for s in self.slices]) for name in ("c", "n_draws")
        }
        fractions = np.array([s.light_fraction_2 for s in self.slices])
        columns["light_fraction_2"] = (("teff_2", "order"), fractions)
        columns["sampled_again"] = "teff_2", [int(s.sampled_again) for s in self.slices]
        coordinates = {"teff_2": [s.teff_2 for s in self.slices], **orders}
        attributes = {
            "level": LEVEL, "half_width": self.half_width, "min_draws": MIN_DRAWS,
            "detected": int(self.detected),
        }  # fmt: skip
        return Dataset(columns, coordinates, attributes)

    @classmethod
    def of_posterior(cls, posterior: DataTree) -> LimitCurve | None:
        """Read the curve of a posterior; None if it has none."""
        if LIMIT not in posterior.children:
            return None
        data = posterior.children[LIMIT].to_dataset()
        columns = [data[n].values.tolist() for n in ("teff_2", "c", "light_fraction_2", "n_draws")]
        slices = tuple(
            LimitSlice(teff_2, c, tuple(light), int(n), bool(again))
            for teff_2, c, light, n, again in zip(
                *columns, data["sampled_again"].values.tolist(), strict=True
            )
        )
        return cls(slices, float(data.attrs["half_width"]), bool(data.attrs["detected"]))


def with_limit(posterior: DataTree, curve: LimitCurve) -> DataTree:
    """Return a posterior with the curve as its group `limit`."""
    from xarray import DataTree

    coordinates = posterior.children["log_likelihood"].to_dataset().coords
    orders = {name: coordinates[name] for name in ("order", "number", "epoch")}
    groups = {node.path: node.to_dataset(inherit=False) for node in posterior.subtree}
    return DataTree.from_dict({**groups, f"/{LIMIT}": curve.dataset(orders)})


def prior_excludes_0(bounds: Sequence[float]) -> bool:
    """Whether a prior of c with these bounds excludes 0; it then cannot be detected."""
    return bounds[0] > 0


def is_detected(c: Floats) -> bool:
    """Whether the posterior of c excludes 0, for a prior that does not.

    Let s be half of the 68 % interval. For a normal distribution with a mean of 2 s, 1.7 % of the
    draws are between 0 and s / 4. If there are more, c is not detected.

    Parameters
    ----------
    c : (n,) array

    Examples
    --------
    >>> normal = np.random.default_rng(0).normal(size=10_000)
    >>> [is_detected(c) for c in (normal + 3, np.abs(normal), np.linspace(0, 1, 1000))]
    [True, False, False]
    """
    low, high = np.quantile(c, (0.16, 0.84))
    return bool((c < _NEAR * (high - low) / 2).mean() < _MAX_NEAR)


def limit_curve(log_probability: LogProbability, chain: Chain, seed: int) -> LimitCurve | None:
    """Return the upper limits in slices of Teff_2.

    A slice with fewer than 200 effective draws is sampled again, with Teff_2 fixed at its centre:
    by a short chain that starts from the draws with the nearest Teff_2. This takes 0.4 % of the
    evaluations of the run for each slice, or 60 steps if that is more. If c is detected, no slice
    is sampled again.

    Parameters
    ----------
    log_probability : LogProbability
        That of the chain.
    chain : Chain
    seed : int

    Returns
    -------
    LimitCurve or None
        None if the model does not have two components, if c or Teff_2 is not a single free
        parameter, or if the prior of c excludes 0.
    """
    parameters = log_probability.parameters
    if not {"c", "teff_2"} <= set(parameters.names):
        return None
    if prior_excludes_0(parameters.prior("c").bounds):
        return None
    convergence = assess(chain.positions)
    columns = [parameters.names.index(name) for name in ("c", "teff_2")]
    x = chain.positions[:, convergence.burn_in :].reshape(-1, len(parameters.names))
    c, teff_2 = x.T[columns]
    low, high = _teff_range(log_probability)
    centres = low + (high - low) * (np.arange(N_SLICES) + 0.5) / N_SLICES
    half_width = min(HALF_WIDTH, (high - low) / N_SLICES / 2)
    detected, efficiency = is_detected(c), convergence.efficiency(columns)
    n_evaluations = int(_RUN_FRACTION * chain.log_probability.size)
    slices = []
    for k, centre in enumerate(centres.tolist()):
        members = np.flatnonzero(np.abs(teff_2 - centre) <= half_width)
        n_draws = int(efficiency * len(members))
        resampled = None
        if n_draws < MIN_DRAWS and not detected:
            fixed = _FixedTeff.of(log_probability, x, centre)
            resampled = _sampled_again(fixed, centre, n_evaluations, [seed, 2, k])
        slices.append(resampled or _slice(log_probability, x[members], centre, n_draws))
    return LimitCurve(tuple(slices), half_width, detected)


def _teff_range(log_probability: LogProbability) -> tuple[float, float]:
    """Return the range of the prior of Teff_2 in which the model is defined, K."""
    from mixjobs.inference.defaults import ModelDomain

    domain = ModelDomain.of(log_probability.plan)
    ranges = domain.ranges(domain.max_velocity, domain.max_velocity, (0.0, np.inf))
    prior = RestrictedPrior.of(log_probability.parameters.prior("teff_2"), *ranges["teff_2"])
    points = prior.points(400)  # a normal prior may have no ends
    return float(points[0]), float(points[-1])


def _slice(
    log_probability: LogProbability, x: Floats, centre: float, n_draws: int, again: bool = False
) -> LimitSlice:
    """Return the limits of draws x (n, P)."""
    from mixjobs.inference.posterior import derived

    if not len(x) or n_draws < 1:
        n_orders = len(log_probability.plan.orders)
        return LimitSlice(centre, np.nan, (np.nan,) * n_orders, 0, again)
    c = x[:, log_probability.names.index("c")]
    subset = x[_evenly(len(x), _MAX_QUANTITIES)]
    fractions = derived(log_probability, subset)["light_fraction_2"]
    limits = np.quantile(fractions, LEVEL, axis=0).tolist()
    return LimitSlice(centre, float(np.quantile(c, LEVEL)), tuple(limits), n_draws, again)


def _evenly(n: int, n_max: int) -> Ints:
    """Return at most `n_max` indices from 0 to n - 1."""
    return np.unique(np.linspace(0, n - 1, min(n, n_max)).astype(np.int64))


@dataclass(frozen=True, eq=False)
class _FixedTeff:
    """A log-probability with Teff_2 fixed, and draws of the other parameters.

    Attributes
    ----------
    log_probability : LogProbability
    candidates : (n, P - 1) array
        Draws that the prior allows, those with the nearest Teff_2 first.
    """

    log_probability: LogProbability
    candidates: Floats

    @classmethod
    def of(cls, free: LogProbability, x: Floats, teff_2: float) -> _FixedTeff | None:
        """Fix Teff_2; None if the constraints allow few of the draws x (n, P) then."""
        try:
            fixed = free.fix("teff_2", teff_2)
        except InvalidInput:  # a constraint can no longer hold
            return None
        teff, c = (x[:, free.names.index(name)] for name in ("teff_2", "c"))
        others = np.delete(x, free.names.index("teff_2"), axis=1)
        allowed = np.isfinite(fixed.log_prior(others))
        if allowed[c <= np.median(c)].mean() < _MIN_ALLOWED:
            return None
        nearest = np.argsort(np.abs(teff - teff_2), kind="stable")
        return cls(fixed, others[nearest[allowed[nearest]]])

    def start(self, walkers: int) -> tuple[Floats, Floats] | None:
        """Return distinct positions (walkers, P - 1) and their ln P; None if there are too few."""
        n = _CANDIDATES_PER_WALKER * walkers
        _, first = np.unique(self.candidates[: 10 * n], axis=0, return_index=True)
        distinct = self.candidates[np.sort(first)[:n]]
        log_probability = self.log_probability(distinct)
        valid = np.flatnonzero(np.isfinite(log_probability))
        if len(valid) < walkers:
            return None
        chosen = valid[_evenly(len(valid), walkers)]
        return distinct[chosen], log_probability[chosen]


def _sampled_again(
    fixed: _FixedTeff | None, teff_2: float, n_evaluations: int, seed: list[int]
) -> LimitSlice | None:
    """Return the limits of a short chain with Teff_2 fixed; None if it cannot start."""
    if fixed is None:
        return None
    from mixjobs.inference.sampler import short_chain  # only here: a summary needs the rest

    n_free = len(fixed.log_probability.names)
    walkers = max(_MIN_WALKERS, 2 * (n_free + 1))
    start = fixed.start(walkers)
    if start is None:
        return None
    positions = short_chain(
        fixed.log_probability, *start, bounds=fixed.log_probability.parameters.bounds,
        n_steps=max(_MIN_STEPS, n_evaluations // walkers), seed=seed,
    )  # fmt: skip
    positions = positions[int(_BURN_IN_FRACTION * len(positions)) :]
    column = fixed.log_probability.names.index("c")
    tau = autocorrelation_time(positions[..., column : column + 1])[0]
    n_draws = int(positions[..., 0].size / tau)
    return _slice(fixed.log_probability, positions.reshape(-1, n_free), teff_2, n_draws, again=True)
