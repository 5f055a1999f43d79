"""From a job file to the log-probability: spectra, model, continua, priors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mixjobs.config.sample import SampleConfig, SpectrumConfig, read_sample_job
from mixjobs.errors import InvalidInput
from mixjobs.inference.defaults import (
    _constraints,
    _max_velocity,
    _ranges,
    _usual,
    check_within,
    finer_than_library,
)
from mixjobs.inference.expressions import NOISE, fraction_names
from mixjobs.inference.likelihood import Continuum
from mixjobs.inference.log_probability import LogProbability, make_log_probability
from mixjobs.inference.order_likelihoods import EpochOrder, LikelihoodPlan
from mixjobs.inference.parameters import make_parameters
from mixjobs.observed.masks import read_ranges
from mixjobs.observed.spectrum import ObservedSpectrum, open_spectrum
from mixjobs.store.emulator import emulated_orders
from mixjobs.store.format import Store, open_store
from mixjobs.store.loading import load_mixture

if TYPE_CHECKING:
    from distributed import Client


def load_log_probability(
    job: str | Path | SampleConfig, client: Client | None = None
) -> LogProbability:
    """Load the data and the model of a job, for a sampler of your own.

    Parameters
    ----------
    job : str, Path or SampleConfig
        A job file of ``mixjobs sample``.
    client : Client, optional
        Of Dask, for the orders on its workers, which must see the store; None for this process.

    Returns
    -------
    LogProbability
        ``logp(theta)`` for theta (P,) or (n, P), the free parameters as ``logp.names`` has them.

    Raises
    ------
    InvalidInput
        The job, the data or the model cannot be used; each error says what was expected.
    """
    asked = job if isinstance(job, SampleConfig) else read_sample_job(job)
    spectra = observed_spectra(asked)
    plan = _plan(asked, spectra)
    first = plan.orders[0].number
    model = load_mixture(plan.store, plan.components, orders=[first], **plan.options)
    fit = (*model.parameters, *NOISE[: 3 if asked.noise.correlated else 1])
    said = asked.parameters
    dirichlet = said.dirichlet
    fractions = fraction_names(fit)
    if len(fractions) > 1 and not dirichlet and not set(fractions) & set(said.plain_settings):
        dirichlet = [1.0] * (1 + len(fractions))
    priors, still = _usual(model, plan)
    settings = {name: value for name, value in still.items() if name in fit} | said.plain_settings
    parameters = make_parameters(
        fit, priors, settings, per_epoch=asked.per_epoch,
        n_epochs=len(spectra), constraints=_constraints(asked, model), dirichlet=dirichlet,
    )  # fmt: skip
    notes = _notes(asked, spectra) + finer_than_library(plan.store, plan.orders)
    max_velocity = _max_velocity(model)
    notes += check_within(
        parameters, _ranges(model, plan, max_velocity, max_velocity, (0.0, np.inf))
    )
    return make_log_probability(parameters, plan, client, notes)


def observed_spectra(job: SampleConfig) -> list[ObservedSpectrum]:
    """Open the spectra of a job, in the store's orders, with what it excludes masked.

    Raises
    ------
    InvalidInput, MissingFile, UnreadableFile, OrderError
    """
    store = open_store(job.store)
    emulated = emulated_orders(store.path)
    have = [n for n in store.orders.number.tolist() if n in emulated or not emulated]
    return [_observed(spectrum, store, have) for spectrum in job.spectra]


def _notes(job: SampleConfig, spectra: list[ObservedSpectrum]) -> list[str]:
    notes = [f"{spectrum.path}: {note}" for spectrum in spectra for note in spectrum.notes]
    for asked, spectrum in zip(job.spectra, spectra, strict=True):
        if asked.barycentric_velocity is not None:
            said = f"barycentric velocity {asked.barycentric_velocity:g} km/s, by the job, is added"
        elif spectrum.barycentric_velocity is not None:
            stated = f"{spectrum.barycentric_velocity:g} km/s"
            said = f"states a barycentric velocity of {stated}; taken as corrected for it already"
        else:
            said = "no barycentric velocity is stated; rv is as the wavelengths have it"
        notes.append(f"{spectrum.path}: {said}")
    return notes


def _observed(asked: SpectrumConfig, store: Store, have: list[int]) -> ObservedSpectrum:
    lacking = [number for number in asked.orders or [] if number not in have]
    if lacking:
        raise InvalidInput(f"{store.path}: has no emulator of order {lacking[0]}; it has {have}")
    orders = store.orders.select(asked.orders or have)
    spectrum = open_spectrum(asked.file)
    if asked.exclude is not None:
        windows = read_ranges(asked.exclude) if isinstance(asked.exclude, str) else asked.exclude
        spectrum = spectrum.masking(windows)
    spectrum = spectrum.in_orders(orders, store.attributes["medium"], asked.medium)
    lost = sorted(set(asked.orders or []) - set(spectrum.orders.number.tolist()))
    if lost:
        raise InvalidInput(f"{asked.file}: has no pixels to use in order {lost[0]}; leave it out")
    return spectrum


def _plan(job: SampleConfig, spectra: list[ObservedSpectrum]) -> LikelihoodPlan:
    orders = [
        order
        for epoch, (asked, spectrum) in enumerate(zip(job.spectra, spectra, strict=True))
        for order in _epoch_orders(job, epoch, asked, spectrum)
    ]
    options: dict[str, Any] = {
        "shared": tuple(job.model.shared), "method": job.model.method,
        "limb_darkening": job.model.limb_darkening,
        "library_resolution": job.model.library_resolution,
    }  # fmt: skip
    epochs = [
        {"medium": spectrum.medium, "barycentric_velocity": asked.barycentric_velocity or 0.0}
        for asked, spectrum in zip(job.spectra, spectra, strict=True)
    ]
    return LikelihoodPlan(job.store, job.model.components, options, epochs, orders,
                   job.model.emulator_error)  # fmt: skip


def _epoch_orders(
    job: SampleConfig, epoch: int, asked: SpectrumConfig, spectrum: ObservedSpectrum
) -> list[EpochOrder]:
    numbers = spectrum.orders.number.tolist()
    kind = "fwhm" if asked.fwhm is not None else "resolution"
    widths = getattr(asked, kind)
    if isinstance(widths, list) and len(widths) != len(numbers):
        raise InvalidInput(
            f"{asked.file}: {len(widths)} values of {kind} for {len(numbers)} orders; "
            "give one for all, or one for each"
        )
    orders = []
    for row, number in enumerate(numbers):
        profile = widths[row] if isinstance(widths, list) else widths
        order = EpochOrder(
            epoch, number, spectrum.wavelength[row], spectrum.flux[row], spectrum.sigma[row],
            spectrum.mask[row], Continuum(job.continuum.of_order(number), job.continuum.prior_sd),
            {} if profile is None else {kind: profile},
        )  # fmt: skip
        try:
            order.data()
        except InvalidInput as error:
            raise InvalidInput(f"{asked.file}, order {number}: {error}") from None
        orders.append(order)
    return orders


def identity(job: SampleConfig, log_probability: LogProbability) -> dict[str, Any]:
    """What makes a chain this chain and no other: model, data, store, priors, seed, walkers."""
    plan, parameters = log_probability.plan, log_probability.parameters
    store = open_store(plan.store)
    data = hashlib.sha256()
    for order in plan.orders:
        for array in (order.wavelength, order.flux, order.sigma, order.used):
            data.update(np.ascontiguousarray(array).tobytes())
    means = hashlib.sha256(np.ascontiguousarray(store.mean_flux).tobytes()).hexdigest()
    settings = job.model_dump(mode="json", include={"model", "continuum", "noise", "seed"})
    return {
        "names": [name for name in parameters.names if name not in parameters.optimum],
        "orders": [[order.epoch, order.number] for order in plan.orders],
        "data": data.hexdigest(),
        "epochs": [dict(epoch) for epoch in plan.epochs],
        "profiles": [dict(order.profile) for order in plan.orders],
        "store": {"means": means, "identity": _plain(store.attributes.get("identity"))},
        "parameters": [list(row) for row in parameters.rows()],
        "constraints": [str(constraint) for constraint in parameters.constraints],
        **settings,
        "walkers": walkers(job, log_probability),
        "ensembles": job.sampling.ensembles,
    }


def walkers(job: SampleConfig, log_probability: LogProbability) -> int:
    """Walkers of an ensemble: those asked for, or the larger of 32 and 4 a free parameter."""
    n_free = len(log_probability.names) - len(log_probability.parameters.optimum)
    asked = job.sampling.walkers
    if asked is not None and asked < 2 * n_free:
        raise InvalidInput(
            f"{asked} walkers for {n_free} free parameters; expected at least {2 * n_free}"
        )
    return asked or max(32, 4 * n_free)


def _plain(value: Any) -> Any:
    """Return what JSON makes of a value."""
    if isinstance(value, Mapping):
        value = dict(value)
    return json.loads(json.dumps(value, default=str))
