"""Whether a chain is long enough, how much of it is burn-in, and how far its steps are alike.

The walkers of an ensemble are no independent chains: each proposal is made from the others. So
nothing here compares walkers; the autocorrelation time is that of an ensemble, and agreement is
that between ensembles, which know nothing of each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mixjobs.typing import Floats

BURN = 10  # autocorrelation times from the start that are not used
LONG = 50  # autocorrelation times that are wanted after them
STEADY = 0.05  # relative change of the autocorrelation time that is allowed ...
SHORTER = 0.9  # ... against this part of the chain
AGREE = 1.01  # largest R-hat of the ensembles, as Vehtari et al. (2021) advise
_WINDOW = 5  # autocorrelation times over which the autocorrelation is summed (Sokal 1997)


@dataclass(frozen=True, eq=False)
class Assessment:
    """What can be said of a chain.

    Attributes
    ----------
    n_steps : int
    burn : int
        Steps from the start that are not used.
    tau : ndarray (ensembles, P)
        Autocorrelation time in steps, after the burn-in; at least 1, inf where an ensemble does
        not move.
    shorter_tau : ndarray (ensembles, P)
        The same of the chain without its last tenth.
    r_hat : ndarray (P,)
        Agreement of the ensembles after the burn-in: 1 where they say the same.
    """

    n_steps: int
    burn: int
    tau: Floats
    shorter_tau: Floats
    r_hat: Floats

    @property
    def longest(self) -> float:
        """The longest autocorrelation time, in steps."""
        return float(self.tau.max())

    @property
    def thin(self) -> int:
        """Every how manieth step to keep: half the shortest autocorrelation time.

        Steps nearer to each other say nearly the same, and are kept for nothing.
        """
        return max(1, int(min(self.tau.min() / 2, self.n_steps)))

    @property
    def wanted(self) -> float:
        """Steps that the chain should have in all, by the present autocorrelation time."""
        return float(np.ceil((BURN + LONG) * self.longest))

    @cached_property
    def lacks(self) -> str:
        """What the chain lacks to be long enough; empty where it lacks nothing."""
        after = (self.n_steps - self.burn) / self.longest
        times, shorter = (tau.mean(axis=0).max() for tau in (self.tau, self.shorter_tau))
        if not after > LONG:
            return f"{after:.3g} autocorrelation times after the burn-in, {LONG} wanted"
        change = abs(shorter / times - 1)
        if not change < STEADY:
            return f"the autocorrelation time still changes by {change:.0%}, {STEADY:.0%} allowed"
        if not self.r_hat.max() < AGREE:
            return f"the ensembles differ, R-hat {self.r_hat.max():.3f}, {AGREE} allowed"
        return ""

    @property
    def enough(self) -> bool:
        """Whether the chain is long enough."""
        return not self.lacks


def assess(positions: Floats) -> Assessment:
    """Say how long a chain is by its own measure.

    A chain is long enough when

    1. in every ensemble the steps after the burn-in are more than 50 autocorrelation times of
       the slowest parameter,
    2. the longest autocorrelation time, a mean over the ensembles, differs by less than 5 % from
       that of the chain without its last tenth, and
    3. the ensembles agree: R-hat over the ensembles (not over their walkers), each cut into two
       halves, is below 1.01 for every parameter.

    The burn-in is 10 autocorrelation times of the second half of the chain, lest the way from the
    start be taken for mixing, and at most half of the chain. The autocorrelation time that counts
    is that of what is left.

    Parameters
    ----------
    positions : ndarray (ensembles, n_steps, walkers, P)
        At least one step.
    """
    n = positions.shape[1]
    burn, tau = _burn_and_tau(positions)
    _, shorter_tau = _burn_and_tau(positions[:, : max(1, int(SHORTER * n))])
    return Assessment(n, burn, tau, shorter_tau, r_hat(positions[:, burn:]))


def _burn_and_tau(positions: Floats) -> tuple[int, Floats]:
    half = positions.shape[1] // 2
    burn = int(min(BURN * _tau(positions[:, half:]).max(), half))
    return burn, _tau(positions[:, burn:])


def _tau(positions: Floats) -> Floats:
    return np.stack([autocorrelation_time(ensemble) for ensemble in positions])


def autocorrelation_time(x: Floats) -> Floats:
    """Return the integrated autocorrelation time of an ensemble, in steps.

    The autocorrelation is averaged over the walkers and summed up to the first lag that exceeds 5
    times the sum (Sokal 1997), as `emcee.autocorr.integrated_time` does, but about the mean of
    the ensemble: about each walker's own, one that is stuck would seem to be mixed.

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
    return np.array([_time_of_one(x[..., p]) for p in range(x.shape[-1])])


def _time_of_one(x: Floats) -> float:
    n = len(x)
    away = x - x.mean()
    if not np.ptp(x):
        return np.inf
    spectrum = np.fft.rfft(away, 1 << (2 * n - 1).bit_length(), axis=0)
    power = (spectrum.real**2 + spectrum.imag**2).mean(axis=1)
    correlation = np.fft.irfft(power)[:n]
    times = 2 * np.cumsum(correlation / correlation[0]) - 1
    beyond = np.flatnonzero(np.arange(n) >= _WINDOW * times)
    return max(1.0, float(times[beyond[0] if len(beyond) else -1]))


def r_hat(positions: Floats) -> Floats:
    """Return the potential scale reduction of ensembles, each cut into two halves.

    Gelman et al. (2013), *Bayesian Data Analysis*, equation 11.4, with an ensemble's half, all of
    its walkers together, in the place of a chain's. Its limit for many samples: the variance of
    the means is not compared with what chance would give.

    Parameters
    ----------
    positions : ndarray (ensembles, n_steps, walkers, P)

    Returns
    -------
    ndarray (P,)
        1 where all say the same; inf where there is no half, or none of them varies.
    """
    half = positions.shape[1] // 2
    if not half:
        return np.full(positions.shape[-1], np.inf)
    halves = np.concatenate([positions[:, :half], positions[:, -half:]])
    within = halves.var(axis=(1, 2)).mean(axis=0)
    between = halves.mean(axis=(1, 2)).var(axis=0, ddof=1)
    ratio = np.divide(between, within, out=np.full_like(within, np.inf), where=within > 0)
    return np.asarray(np.sqrt(1 + ratio))
