"""Priors of the sampled parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv, gammaln, log_ndtr, ndtri_exp, xlogy

from mixjobs.errors import InvalidInput, nearest
from mixjobs.model.layout import fractions
from mixjobs.typing import Floats


class _ScalarPrior:
    """Base of the priors of one parameter.

    A prior does not know its parameter. It therefore takes plain numbers in the unit of the
    parameter (K, km/s, dex), and refuses astropy quantities.
    """

    kind = ""
    low: float
    high: float

    def __post_init__(self) -> None:
        for field in fields(self):  # type: ignore[arg-type]  # every subclass is a dataclass
            argument = getattr(self, field.name)
            try:
                value = float(argument)
            except (TypeError, ValueError):
                value = np.nan
            if np.isnan(value):
                raise InvalidInput(
                    f"{self.kind} prior with {field.name} = {argument!r}; expected a plain number",
                    name=field.name,
                    value=argument,
                )
            object.__setattr__(self, field.name, value)
        requirement = self._unmet_requirement()
        if requirement:
            values = asdict(self)  # type: ignore[call-overload]
            text = ", ".join(f"{name} {value:g}" for name, value in values.items())
            raise InvalidInput(
                f"{self.kind} prior with {text}; expected {requirement}",
                name=self.kind,
                value=tuple(values.values()),
            )

    def _unmet_requirement(self) -> str:
        """Describe the valid arguments; empty if these are valid."""
        raise NotImplementedError

    def _log_density(self, x: Floats) -> Floats:
        """Logarithm of the density inside the support."""
        raise NotImplementedError

    def _quantile(self, u: Floats) -> Floats:
        raise NotImplementedError

    @property
    def bounds(self) -> tuple[float, float]:
        """The lowest and the highest value of the support, which include it."""
        return self.low, self.high

    def log_density(self, x: ArrayLike) -> Floats:
        """Logarithm of the normalised density at x, in the shape of x; -inf outside and for NaN."""
        values = np.asarray(x, dtype=np.float64)
        low, high = self.bounds
        inside = (values >= low) & (values <= high) & np.isfinite(values)
        return np.where(inside, self._log_density(np.where(inside, values, self._median)), -np.inf)

    @cached_property
    def _median(self) -> Floats:
        """A value inside the support, where the density is evaluated for values outside."""
        return self.quantile(0.5)

    def quantile(self, u: ArrayLike) -> Floats:
        """Inverse of the cumulative distribution at probabilities u in [0, 1], in their shape."""
        return np.clip(self._quantile(np.asarray(u, dtype=np.float64)), *self.bounds)

    def draw(self, rng: np.random.Generator, n: int) -> Floats:
        """Draw n values, (n,)."""
        return self.quantile(open_uniform(rng, n))


@dataclass(frozen=True)
class Uniform(_ScalarPrior):
    """A constant density between two bounds.

    Raises
    ------
    InvalidInput
        The bounds are not two finite numbers in ascending order.

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

    def _unmet_requirement(self) -> str:
        valid = self.low < self.high and np.isfinite(self.high - self.low)
        return "" if valid else "two finite bounds, the lower first"

    def _log_density(self, x: Floats) -> Floats:
        return np.full(x.shape, -np.log(self.high - self.low))

    def _quantile(self, u: Floats) -> Floats:
        return self.low + u * (self.high - self.low)

    def __str__(self) -> str:
        return f"uniform {self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class LogUniform(_ScalarPrior):
    """A density proportional to 1/x between two positive bounds.

    Raises
    ------
    InvalidInput
        The bounds are not two positive finite numbers in ascending order.

    Examples
    --------
    >>> print(LogUniform(1, 50))
    log-uniform 1 to 50
    """

    low: float
    high: float

    kind = "loguniform"

    def _unmet_requirement(self) -> str:
        valid = 0 < self.low < self.high < np.inf
        return "" if valid else "two positive finite bounds, the lower first"

    @cached_property
    def _width(self) -> float:
        return float(np.log(self.high) - np.log(self.low))

    def _log_density(self, x: Floats) -> Floats:
        log_density: Floats = -np.log(x) - np.log(self._width)
        return log_density

    def _quantile(self, u: Floats) -> Floats:
        value: Floats = np.exp(np.log(self.low) + u * self._width)
        return value

    def __str__(self) -> str:
        return f"log-uniform {self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Normal(_ScalarPrior):
    """A normal density, optionally truncated at bounds and normalised between them.

    Integrals are computed as logarithms, which keeps full precision for bounds up to about 37
    standard deviations from the mean.

    Raises
    ------
    InvalidInput
        The mean is not finite; the standard deviation is not positive and finite; the bounds are
        reversed, or the probability between them is zero to double precision.

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

    def _unmet_requirement(self) -> str:
        if not (np.isfinite(self.mean) and 0 < self.sd < np.inf):
            return "a finite mean, and a positive, finite sd"
        if not self.low < self.high:
            return "low below high"
        return "" if np.isfinite(self._log_mass) else "bounds with some probability between them"

    @cached_property
    def _log_ends(self) -> tuple[float, float]:
        """ln of the standard normal's integral up to each bound."""
        below, above = (log_ndtr((end - self.mean) / self.sd) for end in self.bounds)
        return float(below), float(above)

    @cached_property
    def _log_mass(self) -> float:
        """ln of the probability between the bounds."""
        below, above = self._log_ends
        if below == above:  # bounds too far from the mean, or too close to each other
            return -np.inf
        return float(above + np.log(-np.expm1(below - above)))

    def _log_density(self, x: Floats) -> Floats:
        with np.errstate(over="ignore"):  # far in the tail the density underflows to 0
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


def open_uniform(rng: np.random.Generator, shape: int | tuple[int, ...]) -> Floats:
    """Draw uniform numbers between 0 and 1, excluding 0, whose quantile may be infinite."""
    return 1 - np.maximum(rng.random(shape), 2.0**-53)


def make_prior(setting: Mapping[str, Any]) -> Prior:
    """Make a prior from a mapping, such as a table of a job file.

    Parameters
    ----------
    setting : mapping
        One of ``uniform``, ``normal`` and ``loguniform``, with two numbers; with ``normal`` also
        ``low`` and ``high``.

    Raises
    ------
    InvalidInput
        There is not exactly one kind of prior, a key is unknown, or the values are invalid.

    Examples
    --------
    >>> make_prior({"normal": [10, 20], "low": 0})
    Normal(mean=10.0, sd=20.0, low=0.0, high=inf)
    """
    kinds: dict[str, type[Prior]] = {c.kind: c for c in (Uniform, Normal, LogUniform)}
    unknown = [key for key in setting if key not in (*kinds, "low", "high")]
    if unknown:
        raise InvalidInput(
            f"unknown prior {unknown[0]!r}{nearest(unknown[0], kinds)}", name=unknown[0]
        )
    chosen = [key for key in setting if key in kinds]
    if len(chosen) != 1:
        raise InvalidInput(
            f"{len(chosen)} priors for one parameter; give exactly one of {', '.join(kinds)}",
            value=dict(setting),
        )
    kind, values = chosen[0], setting[chosen[0]]
    bounds = {key: setting[key] for key in ("low", "high") if key in setting}
    if bounds and kind != "normal":
        name = next(iter(bounds))
        raise InvalidInput(
            f"{name} with a {kind} prior, which has its own bounds; {name} is for normal only",
            name=name,
            value=bounds[name],
        )
    if isinstance(values, str) or not hasattr(values, "__len__") or len(values) != 2:
        raise InvalidInput(f"{kind} = {values!r}; expected two numbers", name=kind, value=values)
    return kinds[kind](*values, **bounds)


# scipy's inverse of the incomplete beta function may fail for smaller probabilities.
_MIN_PROBABILITY = 1e-16


@dataclass(frozen=True)
class Dirichlet:
    """A Dirichlet prior of the filling factors of K components, which add up to 1.

    It is a density of the K - 1 sampled fractions, those of components 2 to K.

    Parameters
    ----------
    alpha : tuple of K floats
        Concentrations, component 1 first; all 1 for a constant density.

    Raises
    ------
    InvalidInput
        There are fewer than two numbers, or one is not positive and finite.

    Examples
    --------
    >>> print(Dirichlet((1, 1, 1)))
    Dirichlet 1, 1, 1
    >>> Dirichlet((1, 1, 1)).log_density([[0.5, 0.25], [0.5, 0.75]]).round(3).tolist()
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
                f"dirichlet {self.alpha!r}; expected a positive number for each component",
                name="dirichlet",
                value=self.alpha,
            )
        object.__setattr__(self, "alpha", alpha)

    bounds = (0.0, 1.0)  # of each fraction

    def log_density(self, c: ArrayLike) -> Floats:
        """Logarithm of the normalised density, (n,), at fractions c (n, K - 1).

        -inf for fractions outside [0, 1] or with a sum above 1, and where the density diverges, at
        an edge with an alpha below 1.
        """
        components = fractions(np.asarray(c, dtype=np.float64))
        valid = ~np.isnan(components).any(axis=1)
        components[~valid] = 0.5
        alpha = np.array(self.alpha)
        diverges = ((components == 0) & (alpha < 1)).any(axis=1)
        components[diverges] = 0.5
        log_density = (
            xlogy(alpha - 1, components).sum(axis=1) + gammaln(alpha.sum()) - gammaln(alpha).sum()
        )
        return np.where(valid & ~diverges, log_density, -np.inf)

    def quantile(self, u: ArrayLike) -> Floats:
        """Map u (n, K - 1) in the unit cube to fractions (n, K - 1), one component after another.

        Each fraction has a beta density in the remainder, which is 1 minus the fractions before it
        ("stick breaking"; Gelman et al. 2013, Bayesian Data Analysis, appendix A). A u below 1e-16
        counts as 0.
        """
        probability = np.asarray(u, dtype=np.float64)
        probability = np.where(probability < _MIN_PROBABILITY, 0.0, probability)
        c, remainder = np.empty_like(probability), np.ones(len(probability))
        for k, alpha in enumerate(self.alpha[1:]):
            others = self.alpha[0] + sum(self.alpha[k + 2 :])
            c[:, k] = remainder * betaincinv(alpha, others, probability[:, k])
            remainder = np.maximum(remainder - c[:, k], 0.0)
        return c

    def draw(self, rng: np.random.Generator, n: int) -> Floats:
        """Draw n sets of fractions, (n, K - 1)."""
        return self.quantile(open_uniform(rng, (n, len(self.alpha) - 1)))

    def __str__(self) -> str:
        return f"Dirichlet {', '.join(f'{a:g}' for a in self.alpha)}"
