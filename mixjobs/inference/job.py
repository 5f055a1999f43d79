"""The log-probability of a job: spectra, model, continua and priors, from a job file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mixjobs.config.sample import SampleConfig, SpectrumConfig, read_sample_job
from mixjobs.display import counted
from mixjobs.errors import InvalidInput
from mixjobs.inference.compression import obstacle
from mixjobs.inference.defaults import ModelDomain, job_parameters, sampling_notes
from mixjobs.inference.holes import prior_holes
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
from mixjobs.inference.preparation import hold_order_noise, prepare_compressed
from mixjobs.observed.masks import read_ranges
from mixjobs.observed.opening import open_spectrum
from mixjobs.observed.repeats import Pixels, n_repeated
from mixjobs.observed.spectrum import ObservedSpectrum
from mixjobs.orders import number_list
from mixjobs.store.emulator import emulated_orders
from mixjobs.store.format import Store, open_store
from mixjobs.wavelengths import check_common_medium, in_library_medium

if TYPE_CHECKING:
    from distributed import Client

_NOISE_NOTE = "the noise of each order is held at its optimum; see the attribute noise"
_MAX_BYTES = 4e9  # of the steps between two checkpoints


def load_log_probability(
    job: str | Path | SampleConfig,
    client: Client | None = None,
    report: Report = lambda *_: None,
) -> LogProbability:
    """Load the log-probability of a job, for any sampler.

    This is the function that ``mixjobs sample`` samples. The noise of each order is held at the
    same values, which are in the attribute `noise`; with ``shared = true`` in ``[noise]``, noise
    parameters that the job sets to "optimum" are fixed at the same values, which are listed in
    `notes`. They are found by a search of several thousand evaluations, with the job's seed.

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
    if not pixels_needed(config, free):
        walkers = n_walkers(config, free)
        prepared = prepare_compressed(
            free, config.sampling.ensembles, walkers, config.seed, report, client
        )
        return replace(prepared.log_probability, notes=(*free.notes, _NOISE_NOTE))
    starts = find_starts(free, config.sampling.ensembles, config.seed, report)
    log_probability, notes = free, []
    for name, value in optimum_values(free, starts).items():
        log_probability = log_probability.fix(name, value)
        notes.append(f"{name} is fixed at {value:.5g}, the optimum found by a search")
    if has_order_noise(config, free):
        names = log_probability.names
        starts = starts[:, [free.names.index(name) for name in names]]
        walkers = n_walkers(config, free)
        prepared = hold_order_noise(log_probability, free, starts, walkers, config.seed)
        log_probability, notes = prepared.log_probability, [_NOISE_NOTE]
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
    domain = ModelDomain.of(plan)
    parameters, warnings = job_parameters(config, plan, domain)
    holes = prior_holes(parameters, domain)
    notes = _data_notes(config, spectra) + sampling_notes(plan.store, plan.orders) + warnings
    if config.sampling.by_order:
        notes += _notes_by_order(plan)
    free = make_log_probability(parameters, plan, client, [*notes, *map(str, holes)])
    return replace(free, holes=holes)


def orders_of_all_epochs(plan: LikelihoodPlan) -> list[int]:
    """Return the numbers of the orders that every epoch has; only these can be fitted alone."""
    in_epochs = [{o.number for o in plan.orders if o.epoch == e} for e in range(len(plan.epochs))]
    return sorted(set.intersection(*in_epochs))


def _notes_by_order(plan: LikelihoodPlan) -> list[str]:
    """Name the orders that cannot be fitted alone."""
    alone = orders_of_all_epochs(plan)
    others = sorted({order.number for order in plan.orders} - set(alone))
    if len(alone) < 2:
        raise InvalidInput(
            f"by_order = true, but {counted(len(alone), 'order')} with data in every epoch; "
            "expected two or more: leave by_order out",
            name="sampling.by_order",
            value=True,
        )
    if not others:
        return []
    return [f"not fitted on its own, because an epoch lacks it: order {number_list(others)}"]


def has_order_noise(job: SampleConfig, free: LogProbability) -> bool:
    """Whether each order has noise of its own, held constant."""
    return not job.noise.shared and bool(free.parameters.optimum)


def pixels_needed(job: SampleConfig, free: LogProbability) -> str:
    """State why the log-probability is evaluated from pixels; empty if statistics do."""
    if job.sampling.likelihood == "exact":
        return 'likelihood = "exact" in the job'
    if job.noise.shared and free.parameters.optimum:
        return "all orders share noise parameters, which the search finds"
    return obstacle(free)


def observed_spectra(job: SampleConfig) -> list[ObservedSpectrum]:
    """Open the spectra of a job, split into the store's orders, with excluded ranges masked.

    Raises
    ------
    InvalidInput, MissingFile, UnreadableFile, OrderError
    """
    store = open_store(job.store)
    emulated = emulated_orders(store.path)
    numbers = [n for n in store.orders.number.tolist() if n in emulated or not emulated]
    spectra = [_observed_spectrum(config, store, numbers) for config in job.spectra]
    paths, media = [s.path for s in spectra], [s.medium for s in spectra]
    check_common_medium(paths, media, store.attributes["medium"])
    _check_distinct(spectra, store.attributes["medium"])
    return spectra


def _check_distinct(spectra: list[ObservedSpectrum], library_medium: str) -> None:
    """Refuse data that would count twice: one spectrum by two paths, or a copy of it."""
    orders = [
        (s.path, s.orders.number.tolist()[m], Pixels(wave, s.flux[m], s.flux_error[m], s.mask[m]))
        for s in spectra
        for m, wave in enumerate(
            in_library_medium(w, s.medium, library_medium) for w in s.wavelength
        )
    ]
    for (path, number, first), (other, order, second) in combinations(orders, 2):
        n_pixels = n_repeated(first, second)
        if n_pixels:
            raise InvalidInput(
                f"{other}, order {order}: {n_pixels} of its pixels repeat those of {path}, order "
                f"{number}, and would count twice; give each spectrum once",
                path=other,
                name="spectra",
                order=order,
            )


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
    spectrum = open_spectrum(
        config.file,
        numbers=config.numbers,
        columns={str(name): column for name, column in (config.columns or {}).items()},
        wavelength_unit=config.wavelength_unit,
        snr=config.snr,
        format=config.format,
    )
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
    notes = [f"{s.path}: {'; '.join(map(str, s.declarations))}" for s in spectra if s.declarations]
    notes += [f"{spectrum.path}: {note}" for spectrum in spectra for note in spectrum.notes]
    return notes + [
        f"{spectrum.path}: {_velocity_note(config, spectrum)}"
        for config, spectrum in zip(job.spectra, spectra, strict=True)
    ]


def _velocity(config: SpectrumConfig, spectrum: ObservedSpectrum) -> float:
    """Return the velocity to add to rv: of the job, or of a file that is not corrected for it."""
    if config.barycentric_velocity is not None:
        return config.barycentric_velocity
    declared = spectrum.barycentric_velocity
    return declared if spectrum.frame == "topocentric" and declared is not None else 0.0


def _velocity_note(config: SpectrumConfig, spectrum: ObservedSpectrum) -> str:
    given, declared = config.barycentric_velocity, spectrum.barycentric_velocity
    if given and spectrum.frame == "barycentric":
        raise InvalidInput(
            f"barycentric_velocity = {given:g}: {spectrum.path} declares wavelengths that are "
            "already corrected for the motion of the Earth; leave barycentric_velocity out",
            path=spectrum.path,
            name="barycentric_velocity",
            value=given,
        )
    if given is not None:
        return f"barycentric velocity {given:g} km/s, from the job file"
    if spectrum.frame == "barycentric":
        return "wavelengths corrected for the motion of the Earth, as its file declares"
    if declared is None:
        return "no barycentric velocity is given; rv is relative to the observed wavelengths"
    if spectrum.frame == "topocentric":
        return f"barycentric velocity {declared:g} km/s, from the file, is added to rv"
    return (
        f"the file gives the barycentric velocity {declared:g} km/s; its wavelengths are assumed "
        "to be corrected for it"
    )


def _likelihood_plan(job: SampleConfig, spectra: list[ObservedSpectrum]) -> LikelihoodPlan:
    model, pairs = job.model, list(zip(job.spectra, spectra, strict=True))
    _check_degrees(job, spectra)
    return LikelihoodPlan(
        store=job.store,
        components=model.components,
        options=ModelOptions(
            None if model.shared is None else tuple(model.shared),
            model.method,
            model.limb_darkening,
            model.library_resolution,
            model.holes,
        ),
        epochs=[Epoch(spectrum.medium, _velocity(config, spectrum)) for config, spectrum in pairs],
        orders=[
            order
            for epoch, (config, spectrum) in enumerate(pairs)
            for order in _epoch_orders(job, epoch, config, spectrum)
        ],
        emulator_error=model.emulator_error,
        sampled_noise=_sampled_noise(job, spectra),
    )


def _sampled_noise(job: SampleConfig, spectra: list[ObservedSpectrum]) -> tuple[int, ...]:
    """Return the orders whose own noise is sampled; refuse an order that is not fitted."""
    numbers = sorted({number for s in spectra for number in s.orders.number.tolist()})
    wanted = job.noise.sample or []
    unused = [number for number in wanted if number not in numbers]
    if unused:
        raise InvalidInput(
            f"noise.sample lists order {unused[0]}, which is not fitted; the orders are "
            f"{number_list(numbers)}",
            name="noise.sample",
            value=unused[0],
        )
    return tuple(wanted)


def _check_degrees(job: SampleConfig, spectra: list[ObservedSpectrum]) -> None:
    """Refuse the degree of an order that is not fitted."""
    degree = job.continuum.degree
    if isinstance(degree, int):
        return
    numbers = {number for spectrum in spectra for number in spectrum.orders.number.tolist()}
    unused = [key for key in degree if key not in {"default", *map(str, numbers)}]
    if unused:
        raise InvalidInput(
            f"continuum.degree gives the degree of order {unused[0]}, which is not fitted; the "
            f"orders are {number_list(sorted(numbers))}",
            name="continuum.degree",
            value=unused[0],
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
            f"{config.file}: {counted(len(widths), 'value')} of {name} for "
            f"{counted(len(numbers), 'order')}; give one "
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
        "likelihood": job.sampling.likelihood,
        "walkers": n_walkers(job, log_probability),
        "ensembles": job.sampling.ensembles,
    }


def n_walkers(job: SampleConfig, log_probability: LogProbability) -> int:
    """Return the number of walkers of an ensemble: by default 32, or 4 per free parameter.

    Raises
    ------
    InvalidInput
        The job asks for fewer than two walkers per free parameter, or the steps between its
        checkpoints do not fit into memory.
    """
    n_free = len(log_probability.names) - len(log_probability.parameters.optimum)
    walkers = job.sampling.walkers
    if walkers is not None and walkers < 2 * n_free:
        raise InvalidInput(
            f"{counted(walkers, 'walker')} for {counted(n_free, 'free parameter')}; "
            f"use at least {2 * n_free}",
            name="walkers",
            value=walkers,
        )
    walkers = walkers or max(32, 4 * n_free)
    _check_memory(job, walkers * (n_free + 1 + len(log_probability.plan.orders)))
    return walkers


def _check_memory(job: SampleConfig, n_values: int) -> None:
    """Refuse a checkpoint that does not fit into memory; a step has `n_values` per ensemble."""
    sampling = job.sampling
    steps = min(sampling.checkpoint, sampling.max_steps)
    n_bytes = 8 * n_values * sampling.ensembles * steps
    if n_bytes > _MAX_BYTES:
        raise InvalidInput(
            f"the steps between two checkpoints need {n_bytes / 1e9:.3g} GB of memory; expected "
            f"at most {_MAX_BYTES / 1e9:g} GB: lower checkpoint, walkers or ensembles",
            name="checkpoint",
            value=sampling.checkpoint,
        )


def _as_json(value: Any) -> Any:
    """Convert a value to JSON and back."""
    if isinstance(value, Mapping):
        value = dict(value)
    return json.loads(json.dumps(value, default=str))
