"""The log-probability from sufficient statistics, in a box of velocities around the optimum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from operator import methodcaller
from typing import Any

import numpy as np

from mixjobs.inference.compressed import CompressedLikelihoods, compressed_epoch
from mixjobs.inference.defaults import ModelDomain
from mixjobs.inference.expressions import Tie, resolve
from mixjobs.inference.log_probability import LogProbability
from mixjobs.inference.order_likelihoods import LikelihoodPlan
from mixjobs.inference.priors import Prior
from mixjobs.inference.statistics import VelocityBox
from mixjobs.typing import Floats
from mixjobs.wavelengths import SPEED_OF_LIGHT

KINDS = ("rv", "vsini")
_PIXELS_PER_PROFILE = 2.5  # without an instrumental profile
_ROUNDING = 1e-9  # relative
_EDGE = 0.05  # of the width of a box, at each end


@dataclass(frozen=True)
class Compression:
    """Where the statistics of a fit are computed.

    Attributes
    ----------
    reference : dict
        The free parameters near the optimum, by name.
    boxes : tuple of VelocityBox
        One for each epoch.
    n_improved : int
        How often sampling has begun again with better boxes.
    """

    reference: dict[str, float]
    boxes: tuple[VelocityBox, ...]
    n_improved: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Compression:
        """Read the output of `to_dict`; a KeyError or TypeError states what it lacks."""
        boxes = [
            VelocityBox(tuple(box["rv"]), tuple(box["vsini"]), box["profile"], box["density"])
            for box in content["boxes"]
        ]
        return cls(dict(content["reference"]), tuple(boxes), content.get("n_improved", 0))


def obstacle(log_probability: LogProbability) -> str:
    """State why a fit cannot do without pixels; empty if it can."""
    plan, parameters = log_probability.plan, log_probability.parameters
    if plan.sampled_noise:
        return "the noise of some orders is sampled"
    correlated = [n for n in parameters.names if n.startswith(("log_amplitude", "log_length"))]
    if set(correlated) - set(parameters.optimum):
        return "the correlated noise is sampled"
    domain = ModelDomain.of(plan)
    if len({source.library for source in domain.sources} - {None}) > 1:
        return "the components come from different libraries"
    moving = [columns for columns in domain.layout.columns if "rv" in columns]
    if len({(columns["rv"], columns["vsini"]) for columns in moving}) > 1:
        return "the components have velocities of their own"
    return ""


def compress(exact: LogProbability, compression: Compression) -> LogProbability:
    """Return the same log-probability from sufficient statistics; -inf outside the boxes.

    Parameters
    ----------
    exact : LogProbability
        With its noise held, or with white noise. Its workers compute the statistics.
    compression : Compression
    """
    x = np.array([[compression.reference[name] for name in exact.names]])
    params = exact.parameters.params(x)
    statistics = exact.evaluate(methodcaller("statistics", params, compression.boxes, exact.noise))
    loaded = exact.plan.load(range(len(exact.plan.orders)))
    epochs = [
        compressed_epoch(epoch, [statistics[place] for place in epoch.places])
        for epoch in loaded.epochs
    ]
    return replace(exact, evaluate=CompressedLikelihoods(tuple(epochs), loaded.emulator_error))


@dataclass(frozen=True)
class Velocities:
    """The velocity and the rotation among the parameters of a fit.

    Attributes
    ----------
    names : tuple over epochs of dict
        Names of `rv` and `vsini`.
    columns : dict
        Their columns among the parameters of an epoch.
    shifts : tuple of float
        Barycentric velocity of each epoch, which is subtracted from rv: km/s.
    profiles : tuple of float
        FWHM of the narrowest instrumental profile of each epoch, km/s.
    limit : float
        Largest ``|rv| + vsini``, km/s.
    """

    names: tuple[dict[str, str], ...]
    columns: dict[str, int]
    shifts: tuple[float, ...]
    profiles: tuple[float, ...]
    limit: float

    @classmethod
    def of(cls, log_probability: LogProbability) -> Velocities:
        """Read them from a fit whose components share them."""
        plan, parameters = log_probability.plan, log_probability.parameters
        domain = ModelDomain.of(plan)
        moving = next(columns for columns in domain.layout.columns if "rv" in columns)
        base_names = {kind: domain.layout.all_names[moving[kind]] for kind in KINDS}
        columns = {kind: parameters.base_names.index(name) for kind, name in base_names.items()}
        return cls(
            tuple({kind: names[columns[kind]] for kind in KINDS}
                  for names in parameters.epoch_names),
            columns,
            domain.velocities,
            tuple(_profile(plan, epoch) for epoch in range(len(plan.epochs))),
            domain.max_velocity,
        )  # fmt: skip

    def boxes(
        self,
        log_probability: LogProbability,
        x: Floats,
        half_widths: Mapping[str, float],
        n_sd: float = 0.0,
        density: float = 8.0,
    ) -> tuple[VelocityBox, ...]:
        """Return a box for each epoch around samples x (n, P), within the prior.

        Its half-width is `n_sd` standard deviations of the samples, and at least that of
        `half_widths`. A velocity that is fixed has one node.
        """
        boxes = []
        for e, params in enumerate(log_probability.parameters.params(x)):
            ends = {}
            for kind in KINDS:
                values, (low, high) = (
                    self._values(params, e, kind),
                    self._prior(log_probability, e, kind),
                )
                half = max(n_sd * float(values.std()), half_widths[kind])
                centre = float(values.mean())
                ends[kind] = max(centre - half, low), min(centre + half, high)
            rv, vsini = self._within_limit(ends["rv"], ends["vsini"])
            boxes.append(VelocityBox(rv, vsini, self.profiles[e], density))
        return tuple(boxes)

    def grown(
        self, log_probability: LogProbability, boxes: tuple[VelocityBox, ...], factor: float
    ) -> tuple[VelocityBox, ...]:
        """Return boxes that are wider by a factor, within the prior and the limit."""
        larger = []
        for e, box in enumerate(boxes):
            ends = {}
            for kind in KINDS:
                low, high = getattr(box, kind)
                first, last = self._prior(log_probability, e, kind)
                more = (factor - 1) * (high - low) / 2
                ends[kind] = max(low - more, first), min(high + more, last)
            rv, vsini = self._within_limit(ends["rv"], ends["vsini"])
            larger.append(replace(box, rv=rv, vsini=vsini))
        return tuple(larger)

    def _within_limit(
        self, rv: tuple[float, float], vsini: tuple[float, float]
    ) -> tuple[tuple[float, float], tuple[float, float]]:
        """Restrict a box to where the emulator is defined: rv first, then the upper vsini."""
        furthest = max(self.limit - vsini[0], 0.0)
        low, high = (min(max(end, -furthest), furthest) for end in rv)
        top = self.limit - max(abs(low), abs(high))
        return (low, high), (vsini[0], max(vsini[0], min(vsini[1], top)))

    def near_edges(
        self, log_probability: LogProbability, boxes: tuple[VelocityBox, ...], x: Floats
    ) -> float:
        """Return the largest fraction of samples x (n, P) near an end of a box.

        An end that is also one of the prior, or the limit of the emulator, does not count.
        """
        largest = 0.0
        for e, params in enumerate(log_probability.parameters.params(x)):
            for kind in KINDS:
                low, high = getattr(boxes[e], kind)
                first, last = self._ends(log_probability, boxes[e], e, kind)
                values, inner = self._values(params, e, kind), _EDGE * (high - low)
                for near in (
                    (values < low + inner) & (low > first),
                    (values > high - inner) & (high < last),
                ):
                    largest = max(largest, float(near.mean()))
        return largest

    def within(
        self, log_probability: LogProbability, boxes: tuple[VelocityBox, ...]
    ) -> LogProbability:
        """Restrict the priors of the velocities to the boxes, for a search."""
        ranges: dict[str, tuple[float, float]] = {}
        for e, box in enumerate(boxes):
            for kind in KINDS:
                shift = self.shifts[e] if kind == "rv" else 0.0
                low, high = (end + shift for end in getattr(box, kind))
                name = self.names[e][kind]
                old = ranges.get(name, (-np.inf, np.inf))
                ranges[name] = max(low, old[0]), min(high, old[1])
        return replace(log_probability, parameters=log_probability.parameters.within(ranges))

    def _values(self, params: Floats, epoch: int, kind: str) -> Floats:
        """Return a velocity as the spectrum of an epoch has it, (n,)."""
        return params[:, self.columns[kind]] - (self.shifts[epoch] if kind == "rv" else 0.0)

    def _ends(
        self, log_probability: LogProbability, box: VelocityBox, epoch: int, kind: str
    ) -> tuple[float, float]:
        """Return the ends beyond which the posterior is zero whatever the box."""
        first, last = self._prior(log_probability, epoch, kind)
        furthest = max(map(abs, box.rv))
        if kind == "vsini":
            return first, min(last, (1 - _ROUNDING) * (self.limit - furthest))
        reach = (1 - _ROUNDING) * (self.limit - box.vsini[1])
        return max(first, -reach), min(last, reach)

    def _prior(self, log_probability: LogProbability, epoch: int, kind: str) -> tuple[float, float]:
        """Return the ends of the prior of a velocity as the spectrum of an epoch has it."""
        name, rules = self.names[epoch][kind], log_probability.parameters.rules
        target = resolve(name, rules)
        shift = self.shifts[epoch] if kind == "rv" else 0.0
        if not isinstance(target, Tie):
            return target - shift, target - shift
        prior = rules[target.name]
        bounds = prior.bounds if isinstance(prior, Prior) else (-np.inf, np.inf)
        low, high = sorted(target.factor * end + target.offset - shift for end in bounds)
        return (max(low, 0.0), high) if kind == "vsini" else (low, high)


def _profile(plan: LikelihoodPlan, epoch: int) -> float:
    """Return the FWHM of the narrowest instrumental profile of an epoch, km/s."""
    widths = []
    for order in plan.orders:
        if order.epoch == epoch:
            profile, step = order.profile, np.median(np.diff(np.log(order.wavelength)))
            width = profile.fwhm or _PIXELS_PER_PROFILE * SPEED_OF_LIGHT * float(step)
            widths.append(SPEED_OF_LIGHT / profile.resolution if profile.resolution else width)
    return min(widths)
