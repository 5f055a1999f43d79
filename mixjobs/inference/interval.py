"""Medians and central intervals of draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixjobs.typing import Floats

_QUANTILES = (0.5, 0.16, 0.84, 0.025, 0.975)
_MAX_DISTANCE = 1.25  # see Interval.truncated_at


@dataclass(frozen=True)
class Interval:
    """Median and central intervals of a set of draws.

    Attributes
    ----------
    median : float
    interval_68, interval_95 : (float, float)
        Quantiles 0.16 and 0.84, 0.025 and 0.975.
    """

    median: float
    interval_68: tuple[float, float]
    interval_95: tuple[float, float]

    @classmethod
    def of(cls, draws: Floats) -> Interval:
        """Summarise draws (n,).

        Examples
        --------
        >>> Interval.of(np.arange(101.0)).interval_68
        (16.0, 84.0)
        """
        median, low_68, high_68, low_95, high_95 = np.quantile(draws, _QUANTILES).tolist()
        return cls(median, (low_68, high_68), (low_95, high_95))

    def truncated_at(self, bounds: Sequence[float]) -> float | None:
        """Return the bound of the prior that truncates the draws; None if neither does.

        The criterion is that the median is closer to the bound than 1.25 times half the 68 %
        interval. This factor is 0.84 for an exponential that starts at the bound, and 1.12 for half
        a normal distribution. It is 1.47 for a uniform one, which does not count as truncated.

        Examples
        --------
        >>> near, far = (Interval.of(x) for x in ([3, 3.1, 3.3, 3.7, 4.5], [3.6, 4, 4.4]))
        >>> near.truncated_at((3, 9)), far.truncated_at((3, 9))
        (3, None)
        """
        distance = _MAX_DISTANCE * (self.interval_68[1] - self.interval_68[0]) / 2
        return next((bound for bound in bounds if abs(self.median - bound) < distance), None)
