"""The Bayes factor of one component over two, by the Savage-Dickey ratio.

Two components of one library become one component in three limits: ``c -> 0``, ``c -> 1`` and
``teff_2 -> teff_1``. In each of them, the Bayes factor is the density of the posterior over that of
the prior (Dickey 1971, Ann. Math. Stat. 42, 204), times the mean ratio of two priors of the
temperature that remains: that of one component, and that of two components in the limit (Verdinelli
& Wasserman 1995, J. Am. Stat. Assoc. 90, 614, eq. 4). `mixjobs.inference.teff_priors` has this
ratio. It enters as a weight of the draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mixjobs.typing import Floats

MIN_DRAWS = 100  # effective number of draws that an estimate needs in the range of its kernel
_WIDTH_RATIO, _N_WIDTHS = 0.85, 57  # of the kernels, from all draws down to 1e-4 of their range
_N_BINS, _MAX_CHI2 = 5, 7.8  # of the test of a fit: 95 % of chi2 with 3 degrees of freedom
_MAX_DEVIATION = 1.5  # of an estimate from those with narrower kernels, in errors of these
_SLOPES = np.linspace(-3, 3, 600)  # ln of the density at the end of the kernel over the edge; not 0
_MEANS = 1 / -np.expm1(-_SLOPES) - 1 / _SLOPES  # of exp(slope x), 0 < x < 1
_VARIANCES = 1 / _SLOPES**2 - np.exp(_SLOPES) / np.expm1(_SLOPES) ** 2


@dataclass(frozen=True)
class Estimate:
    """An estimate of ln B, or an upper bound.

    Attributes
    ----------
    limit : str
        The limit in which two components become one.
    ln : float
    error : float or None
        Monte-Carlo error; None for a bound.
    """

    limit: str
    ln: float
    error: float | None

    def __str__(self) -> str:
        return f"{self.limit}: " + (f"< {self.ln:.1f}" if self.error is None else f"{self.ln:.2f}")


@dataclass(frozen=True)
class LeftOut:
    """A limit without an estimate.

    Attributes
    ----------
    limit : str
        As in `Estimate`.
    reason : str
        In a few words.
    """

    limit: str
    reason: str

    def __str__(self) -> str:
        return f"{self.limit}: {self.reason}"


@dataclass(frozen=True)
class BayesFactor:
    """The Bayes factor of one component over two.

    Attributes
    ----------
    ln : float
        ln B, positive if the data prefer one component.
    error : float or None
        Scatter of the estimates, at least their Monte-Carlo error; None if `ln` is an upper bound.
    estimates : tuple of Estimate
    left_out : tuple of LeftOut
        The other limits; empty if an earlier version wrote the factor.
    """

    ln: float
    error: float | None
    estimates: tuple[Estimate, ...]
    left_out: tuple[LeftOut, ...] = ()

    def __str__(self) -> str:
        value = f"< {self.ln:.1f}" if self.error is None else f"= {self.ln:.2f} ± {self.error:.2f}"
        estimates = ", ".join(map(str, (*self.estimates, *self.left_out)))
        return f"Bayes factor, one component over two: ln B {value} ({estimates})"

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> BayesFactor:
        """Read the output of `dataclasses.asdict`."""
        estimates = tuple(Estimate(**estimate) for estimate in content["estimates"])
        left_out = tuple(LeftOut(**limit) for limit in content.get("left_out", ()))
        return cls(content["ln"], content["error"], estimates, left_out)


@dataclass(frozen=True, eq=False)
class EdgeDraws:
    """Draws of the distance from a limit.

    Attributes
    ----------
    limit : str
    distance : (n,) array
        At least 0.
    weights : (n,) array
        Ratio of the priors of the remaining temperature over the prior density of the distance at
        the limit.
    """

    limit: str
    distance: Floats
    weights: Floats


def bayes_factor(
    limits: Sequence[EdgeDraws | LeftOut], efficiency: float
) -> BayesFactor | tuple[LeftOut, ...]:
    """Combine the estimates in all limits.

    Parameters
    ----------
    limits : sequence of EdgeDraws or LeftOut
        Draws near each limit, or why it cannot be estimated.
    efficiency : float
        Effective number of draws over their number.

    Returns
    -------
    BayesFactor or tuple of LeftOut
        The mean of the estimates, weighted by their Monte-Carlo errors. The tightest bound if there
        is no estimate. Without either, why each limit has none.
    """
    results = [
        limit if isinstance(limit, LeftOut) else edge_density(limit, efficiency) or
        LeftOut(limit.limit, "too few draws")
        for limit in limits
    ]  # fmt: skip
    left_out = tuple(result for result in results if isinstance(result, LeftOut))
    factor = combined([result for result in results if isinstance(result, Estimate)])
    return left_out if factor is None else replace(factor, left_out=left_out)


def combined(estimates: Sequence[Estimate]) -> BayesFactor | None:
    """Combine estimates and bounds; None without any.

    Examples
    --------
    >>> print(combined([Estimate("c -> 0", 1.0, 0.1), Estimate("c -> 1", 1.4, 0.1)]))
    Bayes factor, one component over two: ln B = 1.20 ± 0.28 (c -> 0: 1.00, c -> 1: 1.40)
    >>> print(combined([Estimate("c -> 0", -3.0, None), Estimate("c -> 1", -4.0, None)]))
    Bayes factor, one component over two: ln B < -4.0 (c -> 0: < -3.0, c -> 1: < -4.0)
    """
    if not estimates:
        return None
    measured = [(e.ln, e.error) for e in estimates if e.error is not None]
    if not measured:
        return BayesFactor(min(e.ln for e in estimates), None, tuple(estimates))
    values, errors = np.array(measured).T
    weights = 1 / errors**2
    mean = float(np.average(values, weights=weights))
    scatter = 0.0
    if len(values) > 1:
        bias = len(values) / (len(values) - 1)
        scatter = float(np.sqrt(bias * np.average((values - mean) ** 2, weights=weights)))
    return BayesFactor(mean, max(scatter, float(weights.sum() ** -0.5)), tuple(estimates))


def edge_density(draws: EdgeDraws, efficiency: float) -> Estimate | None:
    """Estimate ln of the weighted density of a distance at 0.

    An exponential is fitted to the draws between 0 and a width (the local likelihood of Loader
    1996, Ann. Stat. 24, 1602, with a boxcar kernel and ln of the density linear). Over the width,
    the density may change by a factor of 20 at most, and chi2 in five bins must be below 7.8. The
    kernel is as narrow as the posterior is at the edge: its width is the largest whose estimate
    agrees with those of all smaller widths within 1.5 of their errors (Lepski 1991, Theory Probab.
    Appl. 35, 454).

    Returns
    -------
    Estimate or None
        A bound if fewer than 100 effective draws are within the width, and the density falls
        towards the edge. None if there are too few draws for a bound too.
    """
    ranked = np.argsort(draws.distance, kind="stable")
    distance, weights = draws.distance[ranked], draws.weights[ranked]
    sizes = _effective_sizes(weights, efficiency)
    fits = []
    for width in distance[-1] * _WIDTH_RATIO ** np.arange(_N_WIDTHS):
        n = int(np.searchsorted(distance, width, side="right"))
        if n == 0 or width <= 0 or sizes[n - 1] < MIN_DRAWS:
            break
        exponential = _exponential(distance[:n] / width, weights[:n], sizes[n - 1])
        if exponential is not None:
            mean = weights[:n].sum() / (len(distance) * width)
            fits.append((exponential[0] + float(np.log(mean)), exponential[1]))
    for k, (ln, error) in enumerate(fits):
        if all(abs(ln - other) < _MAX_DEVIATION * e for other, e in fits[k + 1 :]):
            return Estimate(draws.limit, ln, error)
    return _bound(draws.limit, distance, weights, efficiency)


def _effective_sizes(weights: Floats, efficiency: float) -> Floats:
    """Return the effective number of the first 1, 2, ... draws, for any weights (Kish 1965)."""
    sizes: Floats = efficiency * np.cumsum(weights) ** 2 / np.cumsum(weights**2)
    return sizes


def _exponential(x: Floats, weights: Floats, size: float) -> tuple[float, float] | None:
    """Fit an exponential to draws x from 0 to 1.

    Returns
    -------
    (float, float) or None
        ln of the density at x = 0, and its error; None if the exponential does not fit.
    """
    mean = float(np.average(x, weights=weights))
    if not _MEANS[0] < mean < _MEANS[-1]:
        return None
    slope, variance = (float(np.interp(mean, _MEANS, values)) for values in (_SLOPES, _VARIANCES))
    if abs(slope) < _SLOPES[-1] / len(_SLOPES):
        slope = _SLOPES[-1] / len(_SLOPES)  # 0 within the errors
    edges = np.linspace(0, 1, _N_BINS + 1)
    expected = np.diff(np.expm1(slope * edges)) / np.expm1(slope)
    observed = np.histogram(x, edges, weights=weights)[0] / weights.sum()
    if size * ((observed - expected) ** 2 / expected).sum() > _MAX_CHI2:
        return None
    error = np.sqrt((1 + mean**2 / variance) / size)  # d ln(density at 0) / d slope = -mean
    return float(np.log(slope / np.expm1(slope))), float(error)


def _bound(limit: str, distance: Floats, weights: Floats, efficiency: float) -> Estimate | None:
    """Bound a density that falls towards the edge: there, it is below its mean over any width."""
    enough = np.flatnonzero(_effective_sizes(weights, efficiency) >= MIN_DRAWS)
    n = int(enough[0]) + 1 if len(enough) else 0
    if not n or np.average(distance[:n]) <= distance[n - 1] / 2:
        return None
    widths = distance[n - 1] * np.linspace(0.02, 1, 50)
    counts = efficiency * np.searchsorted(distance, widths, side="right")
    upper = counts + 2 * np.sqrt(counts) + 3  # 95 % or more of a Poisson distribution
    density = (upper / (efficiency * len(distance) * widths)).min()
    return Estimate(limit, float(np.log(density * weights[:n].mean())), None)
