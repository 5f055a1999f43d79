"""Checks of priors, fixed values and ties against the ranges in which a model is defined."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mixjobs.errors import InvalidInput
from mixjobs.inference.expressions import Tie, resolve
from mixjobs.inference.parameters import Parameters
from mixjobs.inference.priors import LogUniform, Prior
from mixjobs.typing import Floats
from mixjobs.wavelengths import SPEED_OF_LIGHT

Range = tuple[float, float]

# Beyond these, the noise would overflow or vanish; the units are those of the sampled logarithms.
_NOISE: dict[str, Range] = {
    "ln_noise": (-100.0, 100.0),
    "log_amplitude": (-20.0, 5.0),
    "log_length": (-6.0, 6.0),
}
_TAIL = 1e-6  # probability on either side of a prior that may lie outside the model's range
_PROBABILITIES: Floats = (np.arange(10_000) + 0.5) / 10_000
_MIN_FRACTION = 1e-3  # of a prior, within the range of the model
_MIN_WIDTH = 1e-9  # of a prior, in any unit; a search cannot resolve less
_MAX_FACTOR = 1e12  # between the bounds of a log-uniform prior


def check_priors(parameters: Parameters, ranges: Mapping[str, Range]) -> list[str]:
    """Check fixed values, priors and ties against the ranges in which a model is defined.

    Parameters
    ----------
    parameters : Parameters
    ranges : dict
        By name; the range of ``rv`` also applies to ``rv_e2``, unless that has its own, and that of
        ``c`` to ``c_2``.

    Returns
    -------
    list of str
        Warnings about priors that extend beyond their range.

    Raises
    ------
    InvalidInput
        A value, or nearly all of a prior or of a tie's values, lies outside its range; a prior
        reaches the speed of light; or a prior is too narrow or too wide to be sampled.
    """
    warnings = []
    for name, rule in parameters.rules.items():
        base = re.sub(r"_e\d+$", "", name)
        limits = ranges.get(name, ranges.get(base, ranges.get(re.sub(r"^c_\d+$", "c", base))))
        given = _Given(name, rule, limits, _NOISE.get(re.sub(r"_m\d+$", "", base)))
        target = resolve(name, parameters.rules)
        if isinstance(target, float):
            given.check_value(target)
            continue
        prior = parameters.rules[target.name]
        if isinstance(prior, Prior):
            if prior is rule:
                given.check_shape(prior)
            given.check_coverage(prior, target)
            warnings += given.warnings()
    return warnings


@dataclass(frozen=True)
class _Given:
    """The rule of a parameter, with the ranges of the model or of the noise.

    Attributes
    ----------
    name : str
    rule : Rule
        As the user gave it, for the messages.
    model : (float, float) or None
        Where the model is defined.
    noise : (float, float) or None
        Where the noise can be computed.
    """

    name: str
    rule: object
    model: Range | None
    noise: Range | None

    def check_value(self, value: float) -> None:
        """Check a fixed value, or the value of a tie to one."""
        limits = self.model or self.noise
        if limits is not None and not limits[0] <= value <= limits[1]:
            raise self._error(
                f"is fixed at {value:g}, but {self._defined}; change the value", value
            )

    def check_shape(self, prior: Prior) -> None:
        """Check that a prior can be sampled at all."""
        low, high = prior.quantile(np.array([_TAIL, 1 - _TAIL])).tolist()
        if high - low < _MIN_WIDTH:
            raise self._error(
                f"has the prior {prior}, narrower than {_MIN_WIDTH:g}; fix it at {low:.10g} instead"
            )
        if isinstance(prior, LogUniform) and prior.high / prior.low > _MAX_FACTOR:
            raise self._error(
                f"has the prior {prior}; expected bounds within a factor of {_MAX_FACTOR:g}"
            )
        ends = [end for end in (*prior.bounds, low, high) if np.isfinite(end)]
        is_velocity = self.name.partition("_")[0] in ("rv", "vsini")
        if is_velocity and max(map(abs, ends)) >= SPEED_OF_LIGHT:
            raise self._error(
                f"has the prior {prior}, which reaches the speed of light; give velocities in km/s"
            )
        if self.noise and (min(ends) < self.noise[0] or max(ends) > self.noise[1]):
            raise self._error(f"has the prior {prior}, but {self._defined}; change the prior")

    def check_coverage(self, prior: Prior, target: Tie) -> None:
        """Check how much of a prior, or of the values of a tie to it, the model covers."""
        if self.model is None:
            return
        with np.errstate(over="ignore", invalid="ignore"):
            values = target.factor * prior.quantile(_PROBABILITIES) + target.offset
        inside = np.mean((values >= self.model[0]) & (values <= self.model[1]))
        if inside < _MIN_FRACTION:
            what = "the prior" if prior is self.rule else "values"
            raise self._error(f"has {what} {self.rule}, but {self._defined}; change the prior")

    def warnings(self) -> list[str]:
        """Warn about a prior that extends beyond the model."""
        rule, model = self.rule, self.model
        if model is None or not isinstance(rule, Prior):
            return []
        if rule.bounds[0] >= model[0] and rule.bounds[1] <= model[1]:
            return []
        return [
            f"{self.name}: its prior extends beyond the model, which is defined only from "
            f"{model[0]:.6g} to {model[1]:.6g}; ln P is -inf outside"
        ]

    @property
    def _defined(self) -> str:
        what = "the model is defined" if self.model else "the noise can be computed"
        low, high = self.model or self.noise or (-np.inf, np.inf)
        return f"{what} only from {low:.6g} to {high:.6g}"

    def _error(self, text: str, value: object = None) -> InvalidInput:
        given = str(self.rule) if value is None else value
        return InvalidInput(f"{self.name} {text}", name=self.name, value=given)
