"""The log-probability of a job: spectra, model, continua and priors, from a job file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mixjobs.config.sample import SampleConfig, SpectrumConfig, read_sample_job
from mixjobs.errors import InvalidInput
from mixjobs.inference.defaults import job_parameters, oversampling_notes
from mixjobs.inference.likelihood import Continuum
from mixjobs.inference.log_probability import LogProbability, make_log_probability
from mixjobs.inference.optimum import Report, find_starts, optimum_values
from mixjobs.inference.order_likelihoods import (
    Epoch,
    EpochOrder,
    InstrumentProfile,
    LikelihoodPlan,
    ModelOptions,
)
from mixjobs.observed.masks import read_ranges
from mixjobs.observed.spectrum import ObservedSpectrum, open_spectrum
from mixjobs.orders import number_list
from mixjobs.store.emulator import emulated_orders
from mixjobs.store.format import Store, open_store

if TYPE_CHECKING:
    from distributed import Client


def load_log_probability(
    job: str | Path | SampleConfig,
    client: Client | None = None,
    report: Report = lambda *_: None,
) -> LogProbability:
    """Load the log-probability of a job, for any sampler.

    This is the function that ``mixjobs sample`` samples. Noise parameters that the job sets to
    "optimum" are fixed at the same values, which are listed in `notes`. They are found by a search
    of several thousand evaluations, with the job's seed.

    Parameters
    ----------
    job : str, Path or SampleConfig
        A job file of ``mixjobs sample``, or its contents.
    client : Client, optional
        A Dask client. Its workers evaluate the orders, and must be able to read the store. None
        evaluates in this process.
    report : callable, optional
        Called with ``("search", generation, n_generations)`` as the search advances.

    Returns
    -------
    LogProbability
        ``logp(x)`` for x (P,) or (n, P), the free parameters in the order of ``logp.names``. For
        nested samplers, ``logp.log_likelihood`` and ``logp.prior_transform``.

    Raises
    ------
    MissingFile, UnreadableFile, StoreError, OrderError
        A file cannot be read, or does not match the others.
    InvalidInput
        The job, the data or the model is invalid, or the search finds no valid point.
    """
    config = job if isinstance(job, SampleConfig) else read_sample_job(job)
    free = load_free_log_probability(config, client)
    if not free.parameters.optimum:
        return free
    starts = find_starts(free, config.sampling.ensembles, config.seed, report)
    log_probability, notes = free, []
    for name, value in optimum_values(free, starts).items():
        log_probability = log_probability.fix(name, value)
        notes.append(f"{name} is fixed at {value:.5g}, the optimum found by a search")
    return replace(log_probability, notes=(*free.notes, *notes))


def load_free_log_probability(
    job: str | Path | SampleConfig, client: Client | None = None
) -> LogProbability:
    """Load the log-probability of a job before any parameter is fixed at its optimum.

    The parameters that the job sets to "optimum" are free, and listed in ``parameters.optimum``.
    It takes the same arguments as `load_log_probability`, and raises the same errors.
    """
    config = job if isinstance(job, SampleConfig) else read_sample_job(job)
    spectra = observed_spectra(config)
    plan = _likelihood_plan(config, spectra)
    parameters, warnings = job_parameters(config, plan)
    notes = _data_notes(config, spectra) + oversampling_notes(plan.store, plan.orders) + warnings
    return make_log_probability(parameters, plan, client, notes)


def observed_spectra(job: SampleConfig) -> list[ObservedSpectrum]:
    """Open the spectra of a job, split into the store's orders, with excluded ranges masked.

    Raises
    ------
    InvalidInput, MissingFile, UnreadableFile, OrderError
    """
    store = open_store(job.store)
    emulated = emulated_orders(store.path)
    numbers = [n for n in store.orders.number.tolist() if n in emulated or not emulated]
    return [_observed_spectrum(config, store, numbers) for config in job.spectra]


def _observed_spectrum(
    config: SpectrumConfig, store: Store, numbers: list[int]
) -> ObservedSpectrum:
    """Open one spectrum; `numbers` are the store's orders with an emulator."""
    missing = [number for number in config.orders or [] if number not in numbers]
    if missing:
        raise InvalidInput(
            f"{store.path}: no emulator for order {missing[0]}; choose from {number_list(numbers)}",
            path=store.path,
            order=missing[0],
        )
    spectrum = open_spectrum(config.file)
    if config.exclude is not None:
        ranges = read_ranges(config.exclude) if isinstance(config.exclude, str) else config.exclude
        spectrum = spectrum.masking(ranges)
    orders = store.orders.select(config.orders or numbers)
    spectrum = spectrum.in_orders(orders, store.attributes["medium"], config.medium)
    empty = sorted(set(config.orders or []) - set(spectrum.orders.number.tolist()))
    if empty:
        raise InvalidInput(
            f"{config.file}: no unmasked pixels in order {empty[0]}; omit this order",
            path=config.file,
            order=empty[0],
        )
    return spectrum


def _data_notes(job: SampleConfig, spectra: list[ObservedSpectrum]) -> list[str]:
    notes = [f"{spectrum.path}: {note}" for spectrum in spectra for note in spectrum.notes]
    return notes + [
        f"{spectrum.path}: {_velocity_note(config, spectrum)}"
        for config, spectrum in zip(job.spectra, spectra, strict=True)
    ]


def _velocity_note(config: SpectrumConfig, spectrum: ObservedSpectrum) -> str:
    if config.barycentric_velocity is not None:
        return f"barycentric velocity {config.barycentric_velocity:g} km/s, from the job file"
    if spectrum.barycentric_velocity is not None:
        return (
            f"the file gives the barycentric velocity {spectrum.barycentric_velocity:g} km/s; "
            "its wavelengths are assumed to be corrected for it"
        )
    return "no barycentric velocity is given; rv is relative to the observed wavelengths"


def _likelihood_plan(job: SampleConfig, spectra: list[ObservedSpectrum]) -> LikelihoodPlan:
    model, pairs = job.model, list(zip(job.spectra, spectra, strict=True))
    return LikelihoodPlan(
        store=job.store,
        components=model.components,
        options=ModelOptions(
            tuple(model.shared), model.method, model.limb_darkening, model.library_resolution
        ),
        epochs=[
            Epoch(spectrum.medium, config.barycentric_velocity or 0.0) for config, spectrum in pairs
        ],
        orders=[
            order
            for epoch, (config, spectrum) in enumerate(pairs)
            for order in _epoch_orders(job, epoch, config, spectrum)
        ],
        emulator_error=model.emulator_error,
    )


def _epoch_orders(
    job: SampleConfig, epoch: int, config: SpectrumConfig, spectrum: ObservedSpectrum
) -> list[EpochOrder]:
    """Return the orders of one spectrum, after checking their data."""
    numbers = spectrum.orders.number.tolist()
    orders = []
    for m, (number, profile) in enumerate(zip(numbers, _profiles(config, numbers), strict=True)):
        order = EpochOrder(
            epoch=epoch,
            number=number,
            wavelength=spectrum.wavelength[m],
            flux=spectrum.flux[m],
            flux_error=spectrum.flux_error[m],
            used=spectrum.mask[m],
            continuum=Continuum(job.continuum.of_order(number), job.continuum.prior_sd),
            profile=profile,
        )
        try:
            order.data()
        except InvalidInput as error:
            raise InvalidInput(
                f"{config.file}, order {number}: {error}",
                path=config.file,
                name=error.name,
                value=error.value,
                order=number,
            ) from None
        orders.append(order)
    return orders


def _profiles(config: SpectrumConfig, numbers: list[int]) -> list[InstrumentProfile]:
    """Return the instrumental profile of each order."""
    name = "fwhm" if config.fwhm is not None else "resolution"
    widths = getattr(config, name)
    if not isinstance(widths, list):
        widths = [widths] * len(numbers)
    if len(widths) != len(numbers):
        raise InvalidInput(
            f"{config.file}: {len(widths)} values of {name} for {len(numbers)} orders; give one "
            "for all orders, or one for each",
            path=config.file,
            name=name,
            value=widths,
        )
    return [InstrumentProfile(**{name: width}) for width in widths]


def identity(job: SampleConfig, log_probability: LogProbability) -> dict[str, Any]:
    """Return the inputs that determine a chain: model, data, priors, seed and so on, for JSON."""
    plan, parameters = log_probability.plan, log_probability.parameters
    store = open_store(plan.store)
    data = hashlib.sha256()
    for order in plan.orders:
        for array in (order.wavelength, order.flux, order.flux_error, order.used):
            data.update(np.ascontiguousarray(array).tobytes())
    means = hashlib.sha256(np.ascontiguousarray(store.mean_flux).tobytes()).hexdigest()
    settings = job.model_dump(mode="json", include={"model", "continuum", "noise", "seed"})
    return {
        "names": [name for name in parameters.names if name not in parameters.optimum],
        "orders": [[order.epoch, order.number] for order in plan.orders],
        "data": data.hexdigest(),
        "epochs": [asdict(epoch) for epoch in plan.epochs],
        "profiles": [order.profile.given() for order in plan.orders],
        "store": {"means": means, "identity": _as_json(store.attributes.get("identity"))},
        "parameters": [list(entry) for entry in parameters.entries()],
        "constraints": [str(constraint) for constraint in parameters.constraints],
        **settings,
        "walkers": n_walkers(job, log_probability),
        "ensembles": job.sampling.ensembles,
    }


def n_walkers(job: SampleConfig, log_probability: LogProbability) -> int:
    """Return the number of walkers of an ensemble: by default 32, or 4 per free parameter.

    Raises
    ------
    InvalidInput
        The job asks for fewer than two walkers per free parameter.
    """
    n_free = len(log_probability.names) - len(log_probability.parameters.optimum)
    walkers = job.sampling.walkers
    if walkers is not None and walkers < 2 * n_free:
        raise InvalidInput(
            f"{walkers} walkers are too few for {n_free} free parameters; use at least "
            f"{2 * n_free}",
            name="walkers",
            value=walkers,
        )
    return walkers or max(32, 4 * n_free)


def _as_json(value: Any) -> Any:
    """Convert a value to JSON and back."""
    if isinstance(value, Mapping):
        value = dict(value)
    return json.loads(json.dumps(value, default=str))
