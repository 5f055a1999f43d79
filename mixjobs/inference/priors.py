"""Priors: densities of one parameter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv, gammaln, log_ndtr, ndtri_exp, xlogy

from mixjobs.errors import InvalidInput, nearest
from mixjobs.model.layout import fractions
from mixjobs.typing import Floats


class _Density:
    """What the priors of one parameter have in common: a support, and draws by quantiles."""

    kind = ""

    def __post_init__(self) -> None:
        for field in fields(self):  # type: ignore[arg-type]  # each of them is a dataclass
            given = getattr(self, field.name)
            try:
                value = float(given)
            except (TypeError, ValueError):
                value = np.nan
            if np.isnan(value):
                raise InvalidInput(f"{self.kind} with {field.name} {given!r}; expected a number")
            object.__setattr__(self, field.name, value)
        wrong = self._fault()
        if wrong:
            values = ", ".join(f"{value:g}" for value in astuple(self))  # type: ignore[call-overload]
            raise InvalidInput(f"{self.kind} ({values}): expected {wrong}")

    def _fault(self) -> str:
        """Say what was expected of the arguments; nothing where they can be used."""
        raise NotImplementedError

    def _log(self, x: Floats) -> Floats:
        """Logarithm of the density inside the support."""
        raise NotImplementedError

    def _quantile(self, u: Floats) -> Floats:
        raise NotImplementedError

    @property
    def bounds(self) -> tuple[float, float]:
        """The support, both ends included: the lowest and the highest value."""
        raise NotImplementedError

    def log(self, x: ArrayLike) -> Floats:
        """Logarithm of the normalised density at x, of its shape; -inf outside and for NaN."""
        values = np.asarray(x, dtype=np.float64)
        low, high = self.bounds
        inside = (values >= low) & (values <= high) & np.isfinite(values)
        return np.where(inside, self._log(np.where(inside, values, self._median)), -np.inf)

    @cached_property
    def _median(self) -> Floats:
        """A place where the density is known, for values outside."""
        return self.quantile(0.5)

    def quantile(self, u: ArrayLike) -> Floats:
        """Value below which there is a probability of u, from 0 to 1; of the shape of u."""
        return np.clip(self._quantile(np.asarray(u, dtype=np.float64)), *self.bounds)

    def draw(self, rng: np.random.Generator, n: int) -> Floats:
        """Draw n values, (n,)."""
        return self.quantile(open_unit(rng, n))


@dataclass(frozen=True)
class Uniform(_Density):
    """The same density everywhere between two bounds.

    Raises
    ------
    InvalidInput
        The bounds are not two finite numbers, the smaller first.

    Examples
    --------
    >>> print(Uniform(4000, 7000))
    uniform 4000 to 7000
    >>> Uniform(0, 2).quantile([0.25, 0.5]).tolist()
    [0.5, 1.0]
    """

    low: float
    high: float

    kind = "uniform"

    def _fault(self) -> str:
        usable = self.low < self.high and np.isfinite(self.high - self.low)
        return "" if usable else "two finite bounds, the lower first"

    @property
    def bounds(self) -> tuple[float, float]:
        """The support, both ends included."""
        return self.low, self.high

    def _log(self, x: Floats) -> Floats:
        return np.full(x.shape, -np.log(self.high - self.low))

    def _quantile(self, u: Floats) -> Floats:
        return self.low + u * (self.high - self.low)

    def __str__(self) -> str:
        return f"uniform {self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class LogUniform(_Density):
    """A density that goes as 1/x between two positive bounds.

    Raises
    ------
    InvalidInput
        The bounds are not two positive finite numbers, the smaller first.

    Examples
    --------
    >>> print(LogUniform(1, 50))
    log-uniform 1 to 50
    """

    low: float
    high: float

    kind = "loguniform"

    def _fault(self) -> str:
        usable = 0 < self.low < self.high < np.inf
        return "" if usable else "two positive finite bounds, the lower first"

    @property
    def bounds(self) -> tuple[float, float]:
        """The support, both ends included."""
        return self.low, self.high

    @cached_property
    def _width(self) -> float:
        return float(np.log(self.high) - np.log(self.low))

    def _log(self, x: Floats) -> Floats:
        log: Floats = -np.log(x) - np.log(self._width)
        return log

    def _quantile(self, u: Floats) -> Floats:
        value: Floats = np.exp(np.log(self.low) + u * self._width)
        return value

    def __str__(self) -> str:
        return f"log-uniform {self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Normal(_Density):
    """A normal density, cut off at bounds where they are given, and normalised between them.

    Its integrals are kept as logarithms, so that bounds far from the mean lose no digits, up to
    some 37 standard deviations.

    Raises
    ------
    InvalidInput
        The mean or the standard deviation is not finite, the latter not positive; bounds that are
        reversed, or have no probability between them that a computer can tell from none.

    Examples
    --------
    >>> print(Normal(10, 20), Normal(10, 20, low=0), sep="; ")
    normal 10 ± 20; normal 10 ± 20, above 0
    """

    mean: float
    sd: float
    low: float = -np.inf
    high: float = np.inf

    kind = "normal"

    def _fault(self) -> str:
        if not (np.isfinite(self.mean) and 0 < self.sd < np.inf):
            return "a finite mean, and a positive finite standard deviation"
        if not self.low < self.high:
            return "low below high"
        return "" if np.isfinite(self._log_mass) else "bounds with some probability between them"

    @property
    def bounds(self) -> tuple[float, float]:
        """The support, both ends included."""
        return self.low, self.high

    @cached_property
    def _log_ends(self) -> tuple[float, float]:
        """ln of the standard normal's integral up to each bound."""
        below, above = (log_ndtr((end - self.mean) / self.sd) for end in self.bounds)
        return float(below), float(above)

    @cached_property
    def _log_mass(self) -> float:
        """ln of the probability between the bounds."""
        below, above = self._log_ends
        if below == above:  # far away, or too near to each other
            return -np.inf
        return float(above + np.log(-np.expm1(below - above)))

    def _log(self, x: Floats) -> Floats:
        with np.errstate(over="ignore"):  # so far out that the density is none
            z = (x - self.mean) / self.sd
            log: Floats = -0.5 * z**2 - np.log(self.sd) - 0.5 * np.log(2 * np.pi) - self._log_mass
        return log

    def _quantile(self, u: Floats) -> Floats:
        with np.errstate(divide="ignore"):  # ln 0
            log_below = np.logaddexp(self._log_ends[0], np.log(u) + self._log_mass)
        z: Floats = ndtri_exp(np.minimum(log_below, 0.0))
        return self.mean + self.sd * z

    def __str__(self) -> str:
        low, high = self.bounds
        text = f"normal {self.mean:g} ± {self.sd:g}"
        if np.isfinite(low) and np.isfinite(high):
            return f"{text}, {low:g} to {high:g}"
        if np.isfinite(low):
            return f"{text}, above {low:g}"
        return f"{text}, below {high:g}" if np.isfinite(high) else text


Prior = Uniform | Normal | LogUniform


def open_unit(rng: np.random.Generator, shape: int | tuple[int, ...]) -> Floats:
    """Draw from 0 to 1, never 0 itself, whose quantile may be infinite."""
    return 1 - np.maximum(rng.random(shape), 2.0**-53)


def make_prior(table: Mapping[str, Any]) -> Prior:
    """Make a prior from what a job file says.

    Raises
    ------
    InvalidInput
        Not exactly one kind of prior, an unknown key, or values that cannot be used.

    Examples
    --------
    >>> make_prior({"normal": [10, 20], "low": 0})
    Normal(mean=10.0, sd=20.0, low=0.0, high=inf)
    """
    kinds: dict[str, type[Prior]] = {c.kind: c for c in (Uniform, Normal, LogUniform)}
    unknown = [key for key in table if key not in (*kinds, "low", "high")]
    if unknown:
        raise InvalidInput(f"unknown prior {unknown[0]!r}{nearest(unknown[0], kinds)}")
    given = [key for key in table if key in kinds]
    if len(given) != 1:
        raise InvalidInput(f"{len(given)} priors were given; expected one of {', '.join(kinds)}")
    kind, values = given[0], table[given[0]]
    bounds = {key: table[key] for key in ("low", "high") if key in table}
    if bounds and kind != "normal":
        raise InvalidInput(f"{next(iter(bounds))} goes with normal; {kind} has its own bounds")
    if isinstance(values, str) or not hasattr(values, "__len__") or len(values) != 2:
        raise InvalidInput(f"{kind} = {values!r}; expected two numbers")
    return kinds[kind](*values, **bounds)


_LEAST = 1e-16  # of a probability: for smaller ones, scipy's inverse of the beta integral may fail


@dataclass(frozen=True)
class Dirichlet:
    """A Dirichlet density of the fractions of K components, which add up to 1.

    It is a density of the K - 1 fractions that are sampled: those of component 2 on.

    Parameters
    ----------
    alpha : tuple of K floats
        Component 1 first; all 1 for the same density everywhere.

    Raises
    ------
    InvalidInput
        Fewer than two numbers, or one that is not positive and finite.

    Examples
    --------
    >>> print(Dirichlet((1, 1, 1)))
    Dirichlet 1, 1, 1
    >>> Dirichlet((1, 1, 1)).log([[0.5, 0.25], [0.5, 0.75]]).round(3).tolist()
    [0.693, -inf]
    """

    alpha: tuple[float, ...]

    def __post_init__(self) -> None:
        try:
            alpha = tuple(float(a) for a in self.alpha)
        except (TypeError, ValueError):
            alpha = ()
        if len(alpha) < 2 or not all(0 < a < np.inf for a in alpha):
            raise InvalidInput(
                f"dirichlet {self.alpha!r}: expected a positive number for each component"
            )
        object.__setattr__(self, "alpha", alpha)

    bounds = (0.0, 1.0)  # of each fraction

    def log(self, c: ArrayLike) -> Floats:
        """Logarithm of the normalised density, (n,), at fractions c (n, K - 1).

        -inf where they are no fractions, and where the density is infinite: at an edge with an
        alpha below 1.
        """
        every = fractions(np.asarray(c, dtype=np.float64))
        usable = ~np.isnan(every).any(axis=1)
        every[~usable] = 0.5
        alpha = np.array(self.alpha)
        at_edge = ((every == 0) & (alpha < 1)).any(axis=1)
        every[at_edge] = 0.5
        log = xlogy(alpha - 1, every).sum(axis=1) + gammaln(alpha.sum()) - gammaln(alpha).sum()
        return np.where(usable & ~at_edge, log, -np.inf)

    def quantile(self, u: ArrayLike) -> Floats:
        """Fractions (n, K - 1) from u (n, K - 1) in 0 to 1: each, given those before it.

        A fraction's share of what those before it have left has a beta density. A u below 1e-16 is
        taken for 0.
        """
        share = np.asarray(u, dtype=np.float64)
        share = np.where(share < _LEAST, 0.0, share)
        c, left = np.empty_like(share), np.ones(len(share))
        for k, alpha in enumerate(self.alpha[1:]):
            others = self.alpha[0] + sum(self.alpha[k + 2 :])
            c[:, k] = left * betaincinv(alpha, others, share[:, k])
            left = np.maximum(left - c[:, k], 0.0)
        return c

    def draw(self, rng: np.random.Generator, n: int) -> Floats:
        """Draw n sets of fractions, (n, K - 1)."""
        return self.quantile(open_unit(rng, (n, len(self.alpha) - 1)))

    def __str__(self) -> str:
        return f"Dirichlet {', '.join(f'{a:g}' for a in self.alpha)}"
