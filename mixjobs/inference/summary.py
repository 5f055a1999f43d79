"""What a chain says of each parameter, and how far it can be trusted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixjobs.inference.convergence import assess
from mixjobs.inference.run import Chain
from mixjobs.typing import Floats

LEVEL = 0.95  # of the upper limits
_QUANTILES = (0.5, 0.16, 0.84, 0.025, 0.975)
_PILED = 1.25  # see Interval.end
_FRACTION = re.compile(r"c(_\d+)?(_e\d+)?")


@dataclass(frozen=True)
class Interval:
    """Median and central intervals of some draws.

    Attributes
    ----------
    median : float
    of_68, of_95 : (float, float)
        16 % and 84 %, 2.5 % and 97.5 % of the draws are lower.
    """

    median: float
    of_68: tuple[float, float]
    of_95: tuple[float, float]

    @classmethod
    def of(cls, draws: Floats) -> Interval:
        """Summarise draws (n,).

        Examples
        --------
        >>> Interval.of(np.arange(101.0)).of_68
        (16.0, 84.0)
        """
        median, low_68, high_68, low_95, high_95 = np.quantile(draws, _QUANTILES).tolist()
        return cls(median, (low_68, high_68), (low_95, high_95))

    def end(self, bounds: Sequence[float]) -> float | None:
        """Return the one of two bounds that the draws pile up against; None if they do not.

        They do where the median is nearer to it than `_PILED` times half of the 68 % interval:
        0.84 times for an exponential that begins there, 1.12 for half a normal distribution; but
        1.47 for a uniform one from bound to bound, which says nothing of either.

        Examples
        --------
        >>> piled, central = (Interval.of(x) for x in ([3, 3.1, 3.3, 3.7, 4.5], [3.6, 4, 4.4]))
        >>> piled.end((3, 9)), central.end((3, 9))
        (3, None)
        """
        near = _PILED * (self.of_68[1] - self.of_68[0]) / 2
        return next((bound for bound in bounds if abs(self.median - bound) < near), None)


@dataclass(frozen=True)
class Summary:
    """What a chain says.

    Attributes
    ----------
    n_steps, burn, walkers, ensembles : int
        Steps in all, those of the burn-in, walkers of an ensemble.
    acceptance : float
        Part of the proposals that were accepted after the burn-in.
    tau : float
        The longest autocorrelation time, steps.
    lacks : str
        What the chain lacks to be long enough; empty where it has converged.
    intervals : dict of Interval
        Of each free parameter after the burn-in.
    effective : dict of float
        Effective number of independent draws of each: steps times walkers over the
        autocorrelation time, summed over the ensembles; 0 where one does not move.
    r_hat : dict of float
        Agreement of the ensembles, 1 where they say the same.
    upper_limits : dict of float
        95 % of the draws of each fraction `c` are lower.
    """

    n_steps: int
    burn: int
    walkers: int
    ensembles: int
    acceptance: float
    tau: float
    lacks: str
    intervals: dict[str, Interval]
    effective: dict[str, float]
    r_hat: dict[str, float]
    upper_limits: dict[str, float]

    @property
    def converged(self) -> bool:
        """Whether the chain is long enough, by `mixjobs.inference.convergence.assess`."""
        return not self.lacks


def summarise(chain: Chain, names: Sequence[str]) -> Summary:
    """Summarise a chain of at least one step."""
    judged = assess(chain.positions)
    ensembles, _, walkers, n_free = chain.positions.shape
    after = chain.positions[:, judged.burn :]
    draws = dict(zip(names, after.reshape(-1, n_free).T, strict=True))
    effective = (after.shape[1] * walkers / judged.tau).sum(axis=0)
    return Summary(
        n_steps=judged.n_steps,
        burn=judged.burn,
        walkers=walkers,
        ensembles=ensembles,
        acceptance=float(chain.accepted[:, judged.burn :].mean() / walkers),
        tau=judged.longest,
        lacks=judged.lacks,
        intervals={name: Interval.of(values) for name, values in draws.items()},
        effective=dict(zip(names, effective.tolist(), strict=True)),
        r_hat=dict(zip(names, judged.r_hat.tolist(), strict=True)),
        upper_limits={
            name: float(np.quantile(values, LEVEL))
            for name, values in draws.items()
            if is_fraction(name)
        },
    )


def is_fraction(name: str) -> bool:
    """Whether a parameter is the fraction of a component, of an epoch too.

    Examples
    --------
    >>> [name for name in ("c", "c_2", "c_e1", "c_3_e2", "teff_2") if is_fraction(name)]
    ['c', 'c_2', 'c_e1', 'c_3_e2']
    """
    return _FRACTION.fullmatch(name) is not None
