"""The noise of each order, found at the optimum of the fit and then held constant.

One set of noise parameters for all orders suits none of them. Each order of each epoch therefore
has its own, at which its own likelihood is largest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize

from mixjobs.errors import InvalidInput
from mixjobs.inference.coupling import OrderTerms, couple
from mixjobs.inference.expressions import NOISE, Tie, resolve
from mixjobs.inference.likelihood import OrderData, OrderFit, fit_order
from mixjobs.inference.noise import NoiseParams
from mixjobs.inference.parameters import Parameters
from mixjobs.inference.priors import Prior
from mixjobs.model.mixture import SpectrumError
from mixjobs.typing import Floats

NoiseRule = Prior | float
NoiseRules = tuple[NoiseRule, NoiseRule, NoiseRule]  # in the order of NOISE

_GRID = (0.1, 0.3, 0.5, 0.7, 0.9)  # quantiles of the prior at which a first search begins
_MARGIN = 1e-6  # kept from the ends of the prior, where quantiles may be infinite
_FIRST_STEP = 0.05  # of the simplex, in quantiles
_TOLERANCE = 0.01  # in ln of the likelihood
_MAX_EVALUATIONS = 200  # for each free parameter
_N_ROUNDS = 2  # of the noise, then of the continuum that scales it
_MIN_CONTINUUM = 0.01  # of the robust scale; a continuum near 0 cannot scale the noise


@dataclass(frozen=True)
class OrderNoise:
    """The noise of one order of one epoch, held constant.

    Attributes
    ----------
    ln_noise, log_amplitude, log_length : float
        As the parameters of the same names; `log_amplitude` is -inf without correlated noise.
    continuum : tuple of float
        Chebyshev coefficients of the continuum that scales the correlated noise, divided by the
        robust scale of the order.
    """

    ln_noise: float
    log_amplitude: float
    log_length: float
    continuum: tuple[float, ...]

    def values(self, n: int) -> Floats:
        """Return the three noise parameters of n samples, (n, 3)."""
        return np.tile([self.ln_noise, self.log_amplitude, self.log_length], (n, 1))

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers, for JSON; without correlated noise only `ln_noise`."""
        values = {"ln_noise": self.ln_noise}
        if np.isfinite(self.log_amplitude):
            values |= {"log_amplitude": self.log_amplitude, "log_length": self.log_length}
        return {**values, "continuum": list(self.continuum)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> OrderNoise:
        """Read the output of `to_dict`; a KeyError or TypeError states what it lacks."""
        return cls(
            float(content["ln_noise"]),
            float(content.get("log_amplitude", -np.inf)),
            float(content.get("log_length", 0.0)),
            tuple(map(float, content["continuum"])),
        )


def noise_params(values: Floats, continuum: Floats | None = None) -> NoiseParams:
    """Return the noise at values (n, 3) of `ln_noise`, `log_amplitude` and `log_length`."""
    ln_noise, log_amplitude, log_length = values.T
    return NoiseParams.from_sampled(ln_noise, log_amplitude, log_length, continuum)


def continuum_of(data: OrderData, coefficients: Sequence[float]) -> Floats:
    """Return the continuum that scales the correlated noise, (n_pixels,)."""
    continuum: Floats = data.polynomials @ np.asarray(coefficients)
    return np.maximum(continuum, _MIN_CONTINUUM)


def noise_rules(parameters: Parameters) -> list[NoiseRules]:
    """Return, for each epoch, the prior or the fixed value of the noise parameters of an order.

    Parameters
    ----------
    parameters : Parameters
        Before any is fixed at its optimum.

    Raises
    ------
    InvalidInput
        A noise parameter is tied to another parameter.
    """
    columns = [parameters.base_names.index(n) for n in NOISE if n in parameters.base_names]
    by_epoch = []
    for names in parameters.epoch_names:
        rules: list[NoiseRule] = []
        for name in (names[column] for column in columns):
            target = resolve(name, parameters.rules)
            if isinstance(target, Tie) and target != Tie(name):
                raise InvalidInput(
                    f"{name} is tied to {target.name}, but each order has noise of its own; set "
                    "shared = true in [noise], or remove the tie",
                    name=name,
                )
            rule = parameters.rules[name]
            rules.append(rule if isinstance(rule, Prior) else target)  # type: ignore[arg-type]
        ln_noise, log_amplitude, log_length = [*rules, -np.inf, 0.0][:3]
        by_epoch.append((ln_noise, log_amplitude, log_length))
    return by_epoch


@dataclass(frozen=True, eq=False)
class NoiseSearch:
    """The search for the noise of one order at given parameters of the mixture.

    Attributes
    ----------
    number : int
        Order number.
    data : OrderData
    spectrum : (1, n_pixels) array
        The mixture divided by its mean level.
    errors : (1, n_pixels, R) array
        Columns of its error.
    error : SpectrumError
        Of one sample.
    rules : tuple of 3 priors or float
        Of `ln_noise`, `log_amplitude` and `log_length`.
    """

    number: int
    data: OrderData
    spectrum: Floats
    errors: Floats
    error: SpectrumError
    rules: NoiseRules

    def run(self, previous: OrderNoise | None) -> OrderNoise:
        """Find the noise at which the posterior density of this order alone is largest.

        The density includes the error of the spectrum. The search is a Nelder-Mead simplex in the
        quantiles of the priors.

        Parameters
        ----------
        previous : OrderNoise or None
            Where to begin; None begins at the best point of a coarse grid.
        """
        if previous is None:
            start, continuum = self._best_of_grid(), (1.0,) + (0.0,) * (self._n_coefficients - 1)
        else:
            start, continuum = self._quantiles(previous), previous.continuum
        for _ in range(_N_ROUNDS):
            start = self._refined(start, continuum)
            values = self._values(start[None])
            coefficients = self._fit(values, continuum).coefficients[0]
            continuum = tuple(coefficients.tolist())
        ln_noise, log_amplitude, log_length = values[0].tolist()
        return OrderNoise(ln_noise, log_amplitude, log_length, continuum)

    @property
    def _n_coefficients(self) -> int:
        return int(self.data.polynomials.shape[1])

    @property
    def _priors(self) -> dict[int, Prior]:
        return {k: rule for k, rule in enumerate(self.rules) if isinstance(rule, Prior)}

    def _values(self, u: Floats) -> Floats:
        """Return the noise parameters (n, 3) at quantiles (n, n_free) of their priors."""
        values = np.empty((len(u), 3))
        for k, rule in enumerate(self.rules):
            values[:, k] = rule if isinstance(rule, float) else 0.0
        inside = np.clip(u, _MARGIN, 1 - _MARGIN)
        for column, (k, prior) in enumerate(self._priors.items()):
            values[:, k] = prior.quantile(inside[:, column])
        return values

    def _quantiles(self, noise: OrderNoise) -> Floats:
        values = noise.values(1)[0]
        grid = np.linspace(_MARGIN, 1 - _MARGIN, 20_001)
        return np.array([
            np.interp(values[k], prior.quantile(grid), grid) for k, prior in self._priors.items()
        ])  # fmt: skip

    def _fit(self, values: Floats, continuum: Sequence[float]) -> OrderFit:
        noise = noise_params(values, continuum_of(self.data, continuum))
        n = len(values)
        spectra = np.broadcast_to(self.spectrum, (n, self.spectrum.shape[1]))
        return fit_order(self.data, spectra, np.repeat(self.errors, n, axis=0), noise)

    def _log_density(self, u: Floats, continuum: Sequence[float]) -> Floats:
        """Return ln of the posterior density of this order alone at quantiles (n, n_free)."""
        values = self._values(u)
        fit, n = self._fit(values, continuum), len(values)
        terms = OrderTerms(
            self.number, fit.own, fit.projection, fit.precision,
            np.repeat(self.error.common, n, axis=0), np.repeat(self.error.own, n, axis=0),
        )  # fmt: skip
        total = couple([terms]).total
        for k, prior in self._priors.items():
            total = total + prior.log_density(values[:, k])
        return total

    def _best_of_grid(self) -> Floats:
        if not self._priors:  # all three are fixed, or sampled
            return np.empty(0)
        axes = np.meshgrid(*[_GRID] * len(self._priors))
        points = np.array([axis.ravel() for axis in axes]).reshape(len(axes), -1).T
        flat = (1.0,) + (0.0,) * (self._n_coefficients - 1)
        best: Floats = points[np.argmax(self._log_density(points, flat))]
        return best

    def _refined(self, start: Floats, continuum: Sequence[float]) -> Floats:
        n_free = len(start)
        if not n_free:
            return start
        inward = np.where(start > 0.5, -_FIRST_STEP, _FIRST_STEP)
        found = minimize(
            lambda u: -float(self._log_density(u[None], continuum)[0]), start,
            method="Nelder-Mead", bounds=[(_MARGIN, 1 - _MARGIN)] * n_free,
            options={"maxfev": _MAX_EVALUATIONS * n_free, "fatol": _TOLERANCE, "xatol": np.inf,
                     "initial_simplex": np.vstack([start, start + np.diag(inward)])},
        )  # fmt: skip
        best: Floats = found.x
        return best
