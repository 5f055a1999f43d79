"""A hint that wavelengths in air were taken for vacuum, or the reverse."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mixjobs.inference.order_likelihoods import LikelihoodPlan
from mixjobs.inference.parameters import Parameters
from mixjobs.inference.priors import Prior
from mixjobs.wavelengths import SPEED_OF_LIGHT, vacuum_to_air

MEDIUM_SHIFT = "medium_shift"  # among the notes of a run
_MARGIN = 5.0  # km/s
_SHORTEST = 2000.0  # Å; the refractive index of air is not known at shorter wavelengths


@dataclass(frozen=True)
class MediumShift:
    """The velocity by which a confusion of air and vacuum shifts a star.

    Attributes
    ----------
    wavelength : float
        Median of the pixels used, Å.
    velocity : float
        ``c (n - 1)`` there, km/s.
    expected : dict of tuple of float
        Velocities that are plausible without a confusion, for each velocity that is sampled: 0, the
        barycentric velocity, and the centre of the prior, km/s.
    """

    wavelength: float
    velocity: float
    expected: dict[str, tuple[float, ...]]

    @classmethod
    def of(cls, parameters: Parameters, plan: LikelihoodPlan) -> MediumShift:
        """Read the wavelengths, the barycentric velocities and the priors of a fit."""
        used = np.concatenate([order.wavelength[order.used] for order in plan.orders])
        wavelength = max(float(np.median(used)), _SHORTEST)
        velocity = medium_velocity(wavelength)
        shifts = [epoch.barycentric_velocity for epoch in plan.epochs]
        expected = {}
        for name, rule in parameters.rules.items():
            if re.fullmatch(r"rv(_\d+)?(_e\d+)?", name) and isinstance(rule, Prior):
                centre = float(rule.quantile(0.5))
                expected[name] = tuple(dict.fromkeys([0.0, *shifts, centre]))
        return cls(wavelength, velocity, expected)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> MediumShift:
        """Read the result of `to_dict`."""
        expected = {name: tuple(values) for name, values in content["expected"].items()}
        return cls(content["wavelength"], content["velocity"], expected)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)

    def hints(self, values: Mapping[str, float]) -> list[str]:
        """Return a hint for each velocity, given by name, that is one such shift from expectation.

        Examples
        --------
        >>> shift = MediumShift(5500.0, 83.4, {"rv": (0.0,)})
        >>> shift.hints({"rv": 12.0}), len(shift.hints({"rv": -81.0}))
        ([], 1)
        """
        hints = []
        for name in self.expected.keys() & values.keys():
            rv = values[name]
            for expected in self.expected[name]:
                confusions = {"air": expected - self.velocity, "vacuum": expected + self.velocity}
                near = [m for m, shifted in confusions.items() if abs(rv - shifted) < _MARGIN]
                if near:
                    hints.append(self._hint(name, rv, expected, near[0]))
                    break
        return sorted(hints)

    def _hint(self, name: str, rv: float, expected: float, medium: str) -> str:
        other = "vacuum" if medium == "air" else "air"
        away = f" ({rv - expected:+.1f} from {expected:g} km/s)" if expected else ""
        return (
            f"{name} = {rv:.1f} km/s{away} is near the difference between air and vacuum, "
            f"{self.velocity:.1f} km/s at {self.wavelength:.0f} Å: unless the star is known to "
            f"move like this, wavelengths in {medium} may have been taken for {other}; check the "
            "medium of the spectrum and of the library"
        )


def medium_velocity(wavelength: float) -> float:
    """Return ``c (n - 1)``, km/s, with the refractive index n of air at a wavelength in Å.

    Examples
    --------
    >>> f"{medium_velocity(5500.0):.1f}, {medium_velocity(22_000.0):.1f}"
    '83.3, 81.8'
    """
    return SPEED_OF_LIGHT * float(wavelength / vacuum_to_air(wavelength) - 1)
