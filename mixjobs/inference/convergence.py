"""Convergence of a chain: burn-in, autocorrelation time, and agreement of the ensembles.

The walkers of an ensemble are not independent chains, because each proposal is made from the
others. The autocorrelation time is therefore measured for each ensemble, and R-hat compares
ensembles, which are independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mixjobs.typing import Floats

BURN_IN_TIMES = 10  # autocorrelation times
MIN_TIMES = 50  # autocorrelation times required after the burn-in
MAX_TAU_CHANGE = 0.05  # largest relative change of the autocorrelation time over the last tenth
_SHORTER_FRACTION = 0.9  # of the chain, without the last tenth
MAX_R_HAT = 1.01  # Vehtari et al. (2021, Bayesian Anal. 16, 667)
_WINDOW = 5  # autocorrelation times over which the autocorrelation is summed (Sokal 1997)


@dataclass(frozen=True, eq=False)
class Convergence:
    """Burn-in, autocorrelation times and R-hat of a chain.

    Attributes
    ----------
    n_steps : int
    burn_in : int
        Steps to discard at the start.
    tau : ndarray (ensembles, P)
        Autocorrelation time in steps, after the burn-in. It is at least 1, and inf for an ensemble
        that does not move.
    shorter_tau : ndarray (ensembles, P)
        The same for the chain without its last tenth.
    r_hat : ndarray (P,)
        Potential scale reduction of the ensembles after the burn-in; 1 if they agree.
    """

    n_steps: int
    burn_in: int
    tau: Floats
    shorter_tau: Floats
    r_hat: Floats

    @property
    def max_tau(self) -> float:
        """Longest autocorrelation time, in steps."""
        return float(self.tau.max())

    @property
    def thinning(self) -> int:
        """Thinning interval in steps: half the shortest autocorrelation time."""
        return max(1, int(min(self.tau.min() / 2, self.n_steps)))

    def efficiency(self, columns: Sequence[int]) -> float:
        """Effective number of draws over their number, for the slowest of some parameters."""
        return float((1 / self.tau[:, list(columns)].max(axis=1)).mean())

    @property
    def required_steps(self) -> float:
        """Length that the chain needs, according to its current autocorrelation time."""
        return float(np.ceil((BURN_IN_TIMES + MIN_TIMES) * self.max_tau))

    @cached_property
    def shortfall(self) -> str:
        """The criterion that the chain fails; empty if it has converged."""
        times = (self.n_steps - self.burn_in) / self.max_tau
        full, shorter = (tau.mean(axis=0).max() for tau in (self.tau, self.shorter_tau))
        if not times > MIN_TIMES:
            return f"{times:.3g} autocorrelation times after the burn-in ({MIN_TIMES} required)"
        change = abs(shorter / full - 1)
        if not change < MAX_TAU_CHANGE:
            return (
                f"the autocorrelation time still changes by {change:.0%} "
                f"({MAX_TAU_CHANGE:.0%} allowed)"
            )
        if not self.r_hat.max() < MAX_R_HAT:
            return f"the ensembles differ: R-hat {self.r_hat.max():.3f} ({MAX_R_HAT} allowed)"
        return ""

    @property
    def converged(self) -> bool:
        """Whether the chain is long enough and its ensembles agree."""
        return not self.shortfall


def assess(positions: Floats) -> Convergence:
    """Assess the convergence of a chain.

    A chain has converged when

    1. in every ensemble, more than 50 autocorrelation times of the slowest parameter follow the
       burn-in,
    2. the longest autocorrelation time, averaged over the ensembles, differs by less than 5 % from
       that of the chain without its last tenth, and
    3. R-hat over the ensembles (not over their walkers), each split into two halves, is below 1.01
       for every parameter.

    The burn-in is 10 autocorrelation times of the second half of the chain, and at most half of the
    chain. The second half excludes the drift away from the start, which would look like slow
    mixing. The autocorrelation time is then measured again after the burn-in.

    Parameters
    ----------
    positions : ndarray (ensembles, n_steps, walkers, P)
        At least one step.
    """
    n = positions.shape[1]
    burn_in, tau = _burn_in_and_tau(positions)
    _, shorter_tau = _burn_in_and_tau(positions[:, : max(1, int(_SHORTER_FRACTION * n))])
    return Convergence(n, burn_in, tau, shorter_tau, r_hat(positions[:, burn_in:]))


def _burn_in_and_tau(positions: Floats) -> tuple[int, Floats]:
    half = positions.shape[1] // 2
    burn_in = int(min(BURN_IN_TIMES * _tau(positions[:, half:]).max(), half))
    return burn_in, _tau(positions[:, burn_in:])


def _tau(positions: Floats) -> Floats:
    return np.stack([autocorrelation_time(ensemble) for ensemble in positions])


def autocorrelation_time(x: Floats) -> Floats:
    """Return the integrated autocorrelation time of an ensemble, in steps.

    The autocorrelation is averaged over the walkers and summed up to the first lag that exceeds 5
    times the sum (Sokal 1997), as in `emcee.autocorr.integrated_time`. Unlike emcee, this function
    measures deviations from the mean of the ensemble: about its own mean, a stuck walker would
    appear to mix.

    Parameters
    ----------
    x : ndarray (n_steps, walkers, P)

    Returns
    -------
    ndarray (P,)
        At least 1; inf for a parameter that does not change.

    Examples
    --------
    >>> import numpy as np
    >>> independent = np.random.default_rng(0).normal(size=(1000, 32, 1))
    >>> autocorrelation_time(independent).round(1)
    array([1.])
    """
    return np.array([_autocorrelation_time(x[..., p]) for p in range(x.shape[-1])])


def _autocorrelation_time(x: Floats) -> float:
    n = len(x)
    deviation = x - x.mean()
    if not np.ptp(x):
        return np.inf
    spectrum = np.fft.rfft(deviation, 1 << (2 * n - 1).bit_length(), axis=0)
    power = (spectrum.real**2 + spectrum.imag**2).mean(axis=1)
    correlation = np.fft.irfft(power)[:n]
    times = 2 * np.cumsum(correlation / correlation[0]) - 1
    cutoffs = np.flatnonzero(np.arange(n) >= _WINDOW * times)
    return max(1.0, float(times[cutoffs[0] if len(cutoffs) else -1]))


def r_hat(positions: Floats) -> Floats:
    """Return the potential scale reduction of ensembles, each split into two halves.

    Gelman et al. (2013), *Bayesian Data Analysis*, equation 11.4, in the limit of many samples: the
    sampling variance of the means is not subtracted. Half an ensemble, with all of its walkers,
    counts as one chain.

    Parameters
    ----------
    positions : ndarray (ensembles, n_steps, walkers, P)

    Returns
    -------
    ndarray (P,)
        1 if the ensembles agree; inf with fewer than two steps, or if nothing varies.
    """
    half = positions.shape[1] // 2
    if not half:
        return np.full(positions.shape[-1], np.inf)
    halves = np.concatenate([positions[:, :half], positions[:, -half:]])
    within = halves.var(axis=(1, 2)).mean(axis=0)
    between = halves.mean(axis=(1, 2)).var(axis=0, ddof=1)
    ratio = np.divide(between, within, out=np.full_like(within, np.inf), where=within > 0)
    return np.asarray(np.sqrt(1 + ratio))
