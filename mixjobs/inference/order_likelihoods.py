"""Likelihoods of the orders of all epochs, and the plan from which workers load them.

A `LikelihoodPlan` is small and can be pickled. It loads `OrderLikelihoods` in the process that
evaluates them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from mixjobs.errors import InvalidInput
from mixjobs.inference.coupling import OrderTerms, concatenate
from mixjobs.inference.likelihood import Continuum, OrderData, OrderFit, fit_order, order_data
from mixjobs.inference.noise import NoiseParams
from mixjobs.inference.order_noise import (
    NoiseRules,
    NoiseSearch,
    OrderNoise,
    continuum_of,
    noise_params,
)
from mixjobs.inference.statistics import OrderStatistics, VelocityBox, order_statistics
from mixjobs.interpolation import Holes, Method
from mixjobs.model.coefficients import in_coefficients, library_of, smooth_spectra
from mixjobs.model.components import MixtureSamples
from mixjobs.model.mixture import MixtureModel, SpectrumBatch, SpectrumError
from mixjobs.store.loading import load_mixture
from mixjobs.typing import Bools, Floats
from mixjobs.wavelengths import Medium

_ROUGH_BATCH = 8  # samples


@dataclass(frozen=True)
class Epoch:
    """Properties shared by the spectra of one epoch.

    Attributes
    ----------
    medium : {"air", "vacuum"} or None
        Medium of the wavelengths; None for the library's.
    barycentric_velocity : float
        km/s, added to the velocities measured on the observed wavelengths.
    """

    medium: Medium | None = None
    barycentric_velocity: float = 0.0


@dataclass(frozen=True)
class InstrumentProfile:
    """The Gaussian instrumental profile; none if neither width is given.

    Attributes
    ----------
    resolution : float or None
        Resolving power.
    fwhm : float or None
        Full width at half maximum, km/s.
    """

    resolution: float | None = None
    fwhm: float | None = None

    def given(self) -> dict[str, float]:
        """Return the width that is given, by name; empty without a profile."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class ModelOptions:
    """Options of `mixjobs.load_mixture` that apply to all epochs and orders.

    Attributes
    ----------
    shared : tuple of str or None
        Parameters that the components have in common; None for all but `teff`.
    method : str or None
        Interpolation between the grid points.
    limb_darkening : float
        Linear coefficient of the rotation profile.
    library_resolution : float or None
        Resolving power of the library itself.
    holes : {"refuse", "interpolate"} or None
        Whether holes of the grid are filled; None for the choice of the store.
    """

    shared: tuple[str, ...] | None = None
    method: Method | None = None
    limb_darkening: float = 0.6
    library_resolution: float | None = None
    holes: Holes | None = None


@dataclass(frozen=True, eq=False)
class EpochOrder:
    """The observed spectrum of one order in one epoch.

    Attributes
    ----------
    epoch : int
        Index of the epoch, from 0.
    number : int
        Order number.
    wavelength : (n_pixels,) array
        Å, all pixels of the order, in the medium of the epoch.
    flux, flux_error : (n_pixels,) arrays
        Flux and its standard error, in any unit.
    used : (n_pixels,) bool array
        Pixels that enter the likelihood.
    continuum : Continuum
    profile : InstrumentProfile
    """

    epoch: int
    number: int
    wavelength: Floats
    flux: Floats
    flux_error: Floats
    used: Bools
    continuum: Continuum
    profile: InstrumentProfile = InstrumentProfile()

    def data(self) -> OrderData:
        """Check the data and divide them by their robust scale; raises as `order_data` does."""
        return order_data(self.wavelength, self.flux, self.flux_error, self.used, self.continuum)


@dataclass(frozen=True, eq=False)
class LikelihoodPlan:
    """Everything that a worker needs to evaluate likelihoods.

    Attributes
    ----------
    store : str
        Path of the store.
    components : int or list of str
        As for `mixjobs.load_mixture`.
    options : ModelOptions
    epochs : sequence of Epoch
    orders : sequence of EpochOrder
        Epoch by epoch.
    emulator_error : bool
        Whether the covariance includes the errors of the emulator and of q.
    sampled_noise : tuple of int
        Numbers of the orders with noise parameters of their own; `noise_names` has their names.
    """

    store: str
    components: int | Sequence[str]
    options: ModelOptions
    epochs: Sequence[Epoch]
    orders: Sequence[EpochOrder]
    emulator_error: bool = True
    sampled_noise: tuple[int, ...] = ()

    def load(self, partition: Sequence[int]) -> OrderLikelihoods:
        """Load the models of some orders, given by their indices in `orders`."""
        likelihoods = []
        for index, epoch in enumerate(self.epochs):
            places = tuple(i for i in partition if self.orders[i].epoch == index)
            if places:
                orders = [self.orders[i] for i in places]
                model = self.load_model(
                    self.components,
                    orders=[order.number for order in orders],
                    wavelengths=[order.wavelength for order in orders],
                    medium=epoch.medium,
                    resolution=_widths([order.profile.resolution for order in orders]),
                    fwhm=_widths([order.profile.fwhm for order in orders]),
                    outside="nan",
                )
                data = [order.data() for order in orders]
                likelihoods.append(
                    EpochLikelihoods(
                        index, epoch.barycentric_velocity, model, data, places, self.sampled_noise
                    )
                )
        return OrderLikelihoods(tuple(likelihoods), self.emulator_error)

    def load_model(self, components: int | Sequence[str], **options: Any) -> MixtureModel:
        """Load a mixture of components from the store, with the options of the plan, and others."""
        return load_mixture(self.store, components, **asdict(self.options), **options)


def _widths(widths: list[float | None]) -> list[float | None] | None:
    return None if all(width is None for width in widths) else widths


@dataclass(frozen=True, eq=False)
class EpochLikelihoods:
    """The orders of one epoch: the mixture model on their pixels, and their data."""

    epoch: int
    barycentric_velocity: float
    model: MixtureModel
    data: list[OrderData]
    places: tuple[int, ...]  # of its orders among those of the plan
    sampled_noise: tuple[int, ...] = ()

    def mixture(self, params: Floats) -> Floats:
        """Return the parameters of the mixture among those of a fit, params (n, n_names).

        The velocities are those on the observed wavelengths, without the barycentric velocity.
        """
        names = self.model.parameters
        mixture = params[:, : len(names)].copy()
        velocities = [name.partition("_")[0] == "rv" for name in names]
        mixture[:, velocities] -= self.barycentric_velocity
        return mixture

    def noise(self, params: Floats, m: int, held: Sequence[OrderNoise]) -> NoiseParams:
        """Return the noise of order m at params (n, n_names).

        It is the noise held for this order, if any is held; that of its own parameters, if it has
        them; or else that of all orders.
        """
        values = self.noise_values(params, m, held)
        if not held:
            return noise_params(values)
        own = held[self.places[m]]
        return noise_params(values, continuum_of(self.data[m], own.continuum))

    def noise_values(self, params: Floats, m: int, held: Sequence[OrderNoise]) -> Floats:
        """Return the three parameters (n, 3) of the noise of order m; see `noise`."""
        if held and not self.has_own_parameters(m):
            return held[self.places[m]].values(len(params))
        return self._sampled_noise(params, m)

    def has_own_parameters(self, m: int) -> bool:
        """Whether the noise of order m is sampled with parameters of its own."""
        return int(self.model.orders.number[m]) in self.sampled_noise

    def noise_rules(self, params: Floats, m: int, of_all: NoiseRules) -> NoiseRules:
        """Return the rules of the noise of order m: those of all orders, or its values."""
        if not self.has_own_parameters(m):
            return of_all
        one, two, three = self._sampled_noise(params, m)[0].tolist()
        return one, two, three

    def _sampled_noise(self, params: Floats, m: int) -> Floats:
        """Return the parameters (n, 3) of the noise of order m, of its own or of all orders."""
        sampled = params[:, len(self.model.parameters) :]
        size, number = 1 + len(self.sampled_noise), int(self.model.orders.number[m])
        place = 1 + self.sampled_noise.index(number) if self.has_own_parameters(m) else 0
        values = np.tile([0.0, -np.inf, 0.0], (len(params), 1))  # without noise parameters
        n_names = sampled.shape[1] // size
        values[:, :n_names] = sampled[:, place * n_names : (place + 1) * n_names]
        return values


@dataclass(frozen=True, eq=False)
class LikelihoodBatch:
    """The fit of one order of one epoch at n samples.

    Attributes
    ----------
    order_index : int
        Index of the order within the partition.
    samples : slice
        Range of these samples among all samples.
    valid : (n,) bool array
        False where the model is not defined; the other arrays are then meaningless.
    spectra : (n, n_pixels) array
        Mixtures divided by their mean level, on the pixels used.
    errors : (n, n_pixels, J) array
        Columns whose outer products add up to the covariance of their error.
    noise : NoiseParams
    data : OrderData
    fit : OrderFit
    error : SpectrumError
    number : int
        Order number.
    """

    order_index: int
    samples: slice
    valid: Bools
    spectra: Floats
    errors: Floats
    noise: NoiseParams
    data: OrderData
    fit: OrderFit
    error: SpectrumError
    number: int

    def terms(self) -> OrderTerms:
        """Return what the order contributes to the likelihood."""
        return order_terms(self.number, self.fit, self.error, self.valid)


@dataclass(frozen=True, eq=False)
class OrderLikelihoods:
    """The likelihoods of some orders; made by `LikelihoodPlan.load`."""

    epochs: tuple[EpochLikelihoods, ...]
    emulator_error: bool

    def __call__(self, task: Callable[[OrderLikelihoods], list[Any]]) -> list[Any]:
        """Run a task that returns one result for each order; workers receive it by message."""
        return task(self)

    def terms(self, params: Sequence[Floats], held: Sequence[OrderNoise] = ()) -> list[OrderTerms]:
        """Evaluate what each order contributes to the likelihood.

        Parameters
        ----------
        params : sequence over epochs of (n, n_names) arrays
            The parameters of the mixture, then those of the noise.
        held : sequence of OrderNoise
            The noise that is held constant, of all orders of the plan; empty if none is.

        Returns
        -------
        list of OrderTerms
            Of n samples; one for each order.
        """
        batches: list[list[OrderTerms]] = [[] for epoch in self.epochs for _ in epoch.data]
        for batch in self.stream(params, held):
            batches[batch.order_index].append(batch.terms())
        return [concatenate(terms) for terms in batches]

    def fit_noise(
        self,
        params: Sequence[Floats],
        rules: Sequence[NoiseRules],
        held: Sequence[OrderNoise] = (),
    ) -> list[OrderNoise]:
        """Find the noise of each order at one sample; see `NoiseSearch`.

        Parameters
        ----------
        params : sequence over epochs of (1, n_names) arrays
        rules : sequence over epochs
            From `noise_rules`.
        held : sequence of OrderNoise
            Where the searches begin, for all orders of the plan; empty for a first search.

        Raises
        ------
        InvalidInput
            The model is not defined at the sample.
        """
        found = []
        for epoch in self.epochs:
            mixture = epoch.mixture(params[epoch.epoch])
            for batch in epoch.model.stream(mixture, errors=self.emulator_error):
                m = batch.order_index
                valid, spectrum, errors = normalise(batch, epoch.data[m].used)
                if not valid.all():
                    raise InvalidInput("the model is not defined at this sample", name="x")
                search = NoiseSearch(
                    int(epoch.model.orders.number[m]), epoch.data[m], spectrum, errors,
                    batch.error, epoch.noise_rules(params[epoch.epoch], m, rules[epoch.epoch]),
                )  # fmt: skip
                found.append(search.run(held[epoch.places[m]] if held else None))
        return found

    def rough_fit(self, params: Sequence[Floats], chosen: Collection[int]) -> list[Floats]:
        """Evaluate ln likelihood (n,) of some orders with white noise of free size.

        There is no error of the spectrum. Orders of the plan that are not chosen have zeros.
        """
        places = [place for epoch in self.epochs for place in epoch.places]
        values = {place: np.zeros(len(params[0])) for place in places}
        for epoch in self.epochs:
            samples, _ = epoch.model.read(epoch.mixture(params[epoch.epoch]))
            for m, place in enumerate(epoch.places):
                if place in chosen:
                    values[place] = _rough_fit(epoch, m, samples)
        return list(values.values())

    def statistics(
        self,
        params: Sequence[Floats],
        boxes: Sequence[VelocityBox],
        held: Sequence[OrderNoise] = (),
    ) -> list[OrderStatistics]:
        """Compute the sufficient statistics of each order.

        Parameters
        ----------
        params : sequence over epochs of (1, n_names) arrays
            A sample near the optimum, to which the statistics are relative.
        boxes : sequence over epochs of VelocityBox
        held : sequence of OrderNoise
            As for `terms`.
        """
        coefficients = [
            batch.flux[0] / batch.level[0]
            for epoch in self.epochs
            for batch in in_coefficients(epoch.model).stream(epoch.mixture(params[epoch.epoch]))
        ]
        batches = zip(self.stream(params, held), coefficients, strict=True)
        places = [(epoch, m) for epoch in self.epochs for m in range(len(epoch.data))]
        found = []
        for (epoch, m), (batch, spectrum) in zip(places, batches, strict=True):
            basis, smooth = library_of(epoch.model).orders[m], smooth_spectra(epoch.model, m)
            noise = batch.noise
            if noise.is_diagonal:  # its factor is a parameter of `OrderStatistics.at`
                noise = replace(noise, ln_noise=np.zeros(1))
            reference = np.outer(batch.fit.coefficients[0], spectrum).ravel()
            box = boxes[epoch.epoch]
            found.append(order_statistics(basis, smooth, batch.data, noise, reference, box))
        return found

    def stream(
        self, params: Sequence[Floats], held: Sequence[OrderNoise] = ()
    ) -> Iterator[LikelihoodBatch]:
        """Fit the continua order by order, some samples at a time."""
        first = 0
        for epoch in self.epochs:
            epoch_params = params[epoch.epoch]
            mixture = epoch.mixture(epoch_params)
            noise = [epoch.noise(epoch_params, m, held) for m in range(len(epoch.data))]
            for batch in epoch.model.stream(mixture, errors=self.emulator_error):
                data = epoch.data[batch.order_index]
                valid, spectra, errors = normalise(batch, data.used)
                batch_noise = noise[batch.order_index].select(batch.samples)
                fit = fit_order(data, spectra, errors, batch_noise)
                yield LikelihoodBatch(
                    first + batch.order_index, batch.samples, valid, spectra, errors, batch_noise,
                    data, fit, batch.error, int(epoch.model.orders.number[batch.order_index]),
                )  # fmt: skip
            first += len(epoch.data)


def _rough_fit(epoch: EpochLikelihoods, m: int, samples: MixtureSamples) -> Floats:
    order, data = epoch.model.order(samples, m), epoch.data[m]
    n_pixels, values = len(data.flux), np.empty(len(samples))
    white = 2 * np.log(data.flux_error).sum() + n_pixels * np.log(2 * np.pi * data.scale**2)
    for first in range(0, len(samples), _ROUGH_BATCH):
        batch = slice(first, min(first + _ROUGH_BATCH, len(samples)))
        flux, error = order.spectra(batch, False)
        level = order.light[batch].sum(axis=1)
        valid, spectra, errors = normalise(SpectrumBatch(m, batch, flux, level, error), data.used)
        zeros = np.zeros(len(flux))
        fit = fit_order(data, spectra, errors, NoiseParams(zeros, zeros, zeros + 1))
        chi_squared = np.maximum(-2 * fit.own - white, 1e-3 * n_pixels)
        values[batch] = np.where(valid, -0.5 * n_pixels * np.log(chi_squared / n_pixels), -np.inf)
    return values


def order_terms(number: int, fit: OrderFit, error: SpectrumError, valid: Bools) -> OrderTerms:
    """Return what an order contributes to the likelihood of all orders."""
    return OrderTerms(
        number,
        np.where(valid, fit.own, -np.inf),
        np.where(valid[:, None], fit.projection, 0.0),
        np.where(valid[:, None, None], fit.precision, 0.0),
        error.common,
        error.own,
    )


def normalise(batch: SpectrumBatch, used: Bools) -> tuple[Bools, Floats, Floats]:
    """Divide mixtures and the columns of their error by the mean level, on the pixels used.

    The level has an error too: with f the mixture and l its level, the error of f/l is
    ``(df - f/l dl)/l``. If the components have identical spectra, the error of q cancels, and c is
    unconstrained.
    """
    pixels = np.flatnonzero(used)
    flux = batch.flux.take(pixels, axis=1)
    valid = np.isfinite(flux).all(axis=1) & np.isfinite(batch.level)
    flux /= batch.level[:, None]
    errors = batch.error.columns.transpose(0, 2, 1).take(pixels, axis=2)  # contiguous in pixels
    errors -= flux[:, None] * batch.error.level[:, :, None]
    errors /= batch.level[:, None, None]
    flux[~valid], errors[~valid] = 1.0, 0.0
    return valid, flux, errors.transpose(0, 2, 1)
