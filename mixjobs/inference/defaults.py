"""Parameters of a job: default priors, and the ranges in which its model is defined."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mixjobs.config.sample import SampleConfig
from mixjobs.inference.expressions import NOISE, fraction_names, noise_names
from mixjobs.inference.order_likelihoods import EpochOrder, LikelihoodPlan
from mixjobs.inference.parameters import Parameters, make_parameters
from mixjobs.inference.prior_checks import Range, check_priors
from mixjobs.inference.priors import Normal, Prior, Uniform
from mixjobs.limits import BLACKBODY_TEFF
from mixjobs.model.components import Source
from mixjobs.model.instrument import MIN_PIXELS_PER_FWHM, pixels_per_fwhm, undersampling_note
from mixjobs.model.layout import Layout
from mixjobs.store.emulator import read_attributes, read_order
from mixjobs.wavelengths import SPEED_OF_LIGHT

_LN_NOISE = Normal(0.0, 1.0)
_LOG_AMPLITUDE = Uniform(-4.0, -0.5)
_BLACKBODY_TEFF = (500.0, 10_000.0)  # K
_MAX_LENGTH_FRACTION = 0.25  # longest correlation length, as a fraction of the narrowest order
_MAX_OVERSAMPLING = 3.0  # pixels of the library per pixel of the data, before a warning


def job_parameters(
    job: SampleConfig, plan: LikelihoodPlan, domain: ModelDomain
) -> tuple[Parameters, list[str]]:
    """Combine a job's settings with the default priors of its model.

    Parameters
    ----------
    job : SampleConfig
    plan : LikelihoodPlan
    domain : ModelDomain
        Of the plan.

    Returns
    -------
    Parameters
    list of str
        Warnings about priors that extend beyond the range of the model.

    Raises
    ------
    InvalidInput
        As `make_parameters`, or a value or a whole prior lies outside the range of the model.
    """
    base_names = (*domain.names, *noise_names(job.noise.correlated, plan.sampled_noise))
    priors, constants = _default_priors(domain, plan)
    constants = {name: value for name, value in constants.items() if name in base_names}
    settings = {**constants, **job.parameters.plain_settings}
    parameters = make_parameters(
        base_names, priors, settings, per_epoch=job.per_epoch, n_epochs=len(plan.epochs),
        constraints=_constraints(job, domain), dirichlet=_dirichlet(job, base_names),
        optimum=() if job.noise.shared else NOISE,
    )  # fmt: skip
    ranges = domain.ranges(domain.max_velocity, domain.max_velocity, BLACKBODY_TEFF)
    return parameters, check_priors(parameters, ranges)


@dataclass(frozen=True, eq=False)
class ModelDomain:
    """The parameters of a mixture, and the ranges in which it is defined.

    Attributes
    ----------
    layout : Layout
        Names of the parameters of all components.
    sources : tuple of Source
        One for each component.
    velocities : tuple of float
        Barycentric velocity of each epoch, km/s.
    """

    layout: Layout
    sources: tuple[Source, ...]
    velocities: tuple[float, ...]

    @classmethod
    def of(cls, plan: LikelihoodPlan) -> ModelDomain:
        """Read the domain from the first order: names and grids are the same in all of them."""
        first = plan.orders[0]
        profile = first.profile.given()
        model = plan.load_model(plan.components, orders=[first.number], **profile)
        velocities = tuple(epoch.barycentric_velocity for epoch in plan.epochs)
        return cls(model.layout, model.sources, velocities)

    @property
    def names(self) -> tuple[str, ...]:
        """Parameters of the mixture."""
        return self.layout.names

    @property
    def max_velocity(self) -> float:
        """Largest ``|rv| + vsini`` that the emulators allow, km/s."""
        return min(source.max_velocity for source in self.sources)

    def ranges(self, max_rv: float, max_vsini: float, blackbody_teff: Range) -> dict[str, Range]:
        """Return the range of each parameter of the mixture, for the given limits.

        With several epochs, ``rv_e1`` and so on have ranges of their own.
        """
        ranges: dict[str, Range] = {"c": (0.0, 1.0)}
        for source, columns in zip(self.sources, self.layout.columns, strict=True):
            for component_name, column in columns.items():
                name = self.layout.all_names[column]
                if component_name == "vsini":
                    ranges[name] = 0.0, max_vsini
                elif component_name == "rv":
                    ranges |= self._velocity_ranges(name, max_rv)
                else:
                    ranges.setdefault(name, source.ranges.get(component_name, blackbody_teff))
        return ranges

    def _velocity_ranges(self, name: str, max_rv: float) -> dict[str, Range]:
        shifts = self.velocities
        ranges = {name: (min(shifts) - max_rv, max(shifts) + max_rv)}
        if len(shifts) > 1:
            ranges |= {f"{name}_e{e}": (v - max_rv, v + max_rv) for e, v in enumerate(shifts, 1)}
        return ranges


def _default_priors(
    domain: ModelDomain, plan: LikelihoodPlan
) -> tuple[dict[str, Prior], dict[str, float]]:
    """Return the default priors, and the values of parameters whose range is a single value.

    Velocities extend to the limits for which the store was built.
    """
    attributes = read_attributes(Path(plan.store))
    max_rv, max_vsini = (
        min(float(attributes[name]), domain.max_velocity) for name in ("max_rv", "max_vsini")
    )
    ranges = domain.ranges(max_rv, max_vsini, _BLACKBODY_TEFF)
    priors: dict[str, Prior] = {"ln_noise": _LN_NOISE, "log_amplitude": _LOG_AMPLITUDE}
    priors["log_length"] = _log_length(plan)
    priors |= {
        name: priors[name.rpartition("_m")[0]]
        for name in noise_names(True, plan.sampled_noise)[len(NOISE) :]
    }
    priors |= {name: Uniform(low, high) for name, (low, high) in ranges.items() if low < high}
    return priors, {name: low for name, (low, high) in ranges.items() if low == high}


def _log_length(plan: LikelihoodPlan) -> Uniform:
    """Return the prior of log10 of the correlation length in km/s: one pixel or more."""
    waves = [order.wavelength[order.used] for order in plan.orders]
    steps = [SPEED_OF_LIGHT * np.median(np.diff(np.log(wave))) for wave in waves]
    widths = [SPEED_OF_LIGHT * np.log(wave[-1] / wave[0]) for wave in waves]
    low, high = np.median(steps), _MAX_LENGTH_FRACTION * min(widths)
    return Uniform(float(np.log10(low)), float(np.log10(max(high, 2 * low))))


def _constraints(job: SampleConfig, domain: ModelDomain) -> list[str]:
    """Return the job's constraints; by default, component 2 of the same library is cooler."""
    if job.parameters.constraints is not None:
        return job.parameters.constraints
    sources, pair = domain.sources, ("teff_1", "teff_2")
    same_library = len(sources) == 2 and sources[0] is sources[1]
    settings = job.parameters.plain_settings
    free = not any(isinstance(settings.get(name), str | float) for name in pair)
    return ["teff_2 < teff_1"] if same_library and set(pair) <= set(domain.names) and free else []


def _dirichlet(job: SampleConfig, base_names: Iterable[str]) -> list[float] | None:
    """Return the job's Dirichlet prior; by default, a constant one for three components or more."""
    fractions = fraction_names(tuple(base_names))
    if job.parameters.dirichlet is not None:
        return job.parameters.dirichlet
    if len(fractions) > 1 and not set(fractions) & set(job.parameters.plain_settings):
        return [1.0] * (1 + len(fractions))
    return None


def sampling_notes(store: str | Path, orders: Iterable[EpochOrder]) -> list[str]:
    """Warn about pixels that are much finer than the library's, or too wide for the profile."""
    factors: dict[int, float] = {}
    pixels: dict[int, float] = {}
    for order in orders:
        step = SPEED_OF_LIGHT * float(np.median(np.diff(np.log(order.wavelength))))
        factor = read_order(Path(store), order.number)[0].grid.dv / step
        if factor > _MAX_OVERSAMPLING:
            factors[order.number] = max(factor, factors.get(order.number, 0.0))
        per_fwhm = pixels_per_fwhm(order.wavelength, **order.profile.given())
        if per_fwhm is not None and per_fwhm < MIN_PIXELS_PER_FWHM:
            pixels[order.number] = min(per_fwhm, pixels.get(order.number, np.inf))
    notes = [undersampling_note(pixels)] if pixels else []
    if factors:
        notes.append(
            f"{_orders(factors)}: the pixels of the data are up to {max(factors.values()):.2g} "
            "times finer than the library's, which cannot resolve the observed lines; bin the "
            "spectrum, or use a library with finer pixels"
        )
    return notes


def _orders(numbers: Iterable[int]) -> str:
    texts = list(map(str, numbers))
    return f"order{'s' * (len(texts) > 1)} {', '.join(texts)}"
