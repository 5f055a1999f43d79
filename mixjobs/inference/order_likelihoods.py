"""The orders of a fit: each a model of the mixture, the data it is compared with, and a likelihood.

An order here is one of one epoch: a spectrum of the star. `OrderLikelihoods` is made where it is
evaluated, in this process or in a worker, from `LikelihoodPlan`, which is small and can be pickled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixjobs.inference.expressions import NOISE
from mixjobs.inference.likelihood import Continuum, Fit, OrderData, fit_order, order_data
from mixjobs.inference.noise import NoiseRows
from mixjobs.model.mixture import Block, MixtureModel
from mixjobs.store.loading import load_mixture
from mixjobs.typing import Bools, Floats
from mixjobs.wavelengths import Medium


@dataclass(frozen=True, eq=False)
class EpochOrder:
    """One order of one spectrum: what was observed.

    Attributes
    ----------
    epoch : int
        Row of the spectrum.
    number : int
        Of the order.
    wavelength : (n_pixels,) array
        Å, all pixels of the order, in the spectrum's medium.
    flux, sigma : (n_pixels,) arrays
    used : (n_pixels,) bool array
    continuum : Continuum
    profile : dict
        ``{"resolution": R}``, ``{"fwhm": km/s}``, or nothing.
    """

    epoch: int
    number: int
    wavelength: Floats
    flux: Floats
    sigma: Floats
    used: Bools
    continuum: Continuum
    profile: Mapping[str, float]

    def data(self) -> OrderData:
        """Check what was observed, and bring it to its robust scale; errors as of `order_data`."""
        return order_data(self.wavelength, self.flux, self.sigma, self.used, self.continuum)


@dataclass(frozen=True, eq=False)
class LikelihoodPlan:
    """All that workers need to evaluate likelihoods.

    Attributes
    ----------
    store : str
    components : int or list of str
    options : dict
        Other arguments of `load_mixture`.
    epochs : tuple of dict
        Of each spectrum its `medium`, and its `barycentric_velocity` in km/s, which is added to
        the velocities measured in its wavelengths.
    orders : tuple of EpochOrder
    emulator_error : bool
        Whether the emulator's error, and that of q, are part of the covariance.
    """

    store: str
    components: int | Sequence[str]
    options: Mapping[str, Any]
    epochs: Sequence[Mapping[str, Any]]
    orders: Sequence[EpochOrder]
    emulator_error: bool

    def load(self, partition: Sequence[int]) -> OrderLikelihoods:
        """Load the models of some orders, given by their rows."""
        epochs = []
        for epoch, known in enumerate(self.epochs):
            rows = [row for row in partition if self.orders[row].epoch == epoch]
            if rows:
                orders = [self.orders[row] for row in rows]
                model = self._model(orders, known["medium"])
                data = [order.data() for order in orders]
                epochs.append(EpochLikelihoods(epoch, known["barycentric_velocity"], model, data))
        return OrderLikelihoods(tuple(epochs), self.emulator_error)

    def _model(self, orders: Sequence[EpochOrder], medium: Medium | None) -> MixtureModel:
        profile: dict[str, Any] = {
            name: [order.profile[name] for order in orders] for name in orders[0].profile
        }
        return load_mixture(
            self.store, self.components, orders=[order.number for order in orders],
            wavelengths=[order.wavelength for order in orders], medium=medium,
            outside="nan", **profile, **self.options,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class EpochLikelihoods:
    """The orders of one spectrum: the model of the mixture on their pixels, and their data."""

    epoch: int
    barycentric_velocity: float
    model: MixtureModel
    data: list[OrderData]


@dataclass(frozen=True, eq=False)
class LikelihoodBatch:
    """Some rows of parameters in one order of one epoch, with what the likelihood found.

    Attributes
    ----------
    order : int
        Row of the order, among those of the partition.
    rows : slice
        Rows of the parameters.
    valid : (n,) bool array
        Where the model has no answer, the other arrays mean nothing.
    spectra : (n, n_pixels) array
        Over the mean level, on the pixels used.
    errors : (n, n_pixels, J) array
    noise : NoiseRows
    data : OrderData
    fit : Fit
    """

    order: int
    rows: slice
    valid: Bools
    spectra: Floats
    errors: Floats
    noise: NoiseRows
    data: OrderData
    fit: Fit


@dataclass(frozen=True, eq=False)
class OrderLikelihoods:
    """The likelihoods of some orders; made by `LikelihoodPlan.load`."""

    epochs: tuple[EpochLikelihoods, ...]
    emulator_error: bool

    def __call__(self, tables: Sequence[Floats]) -> list[Floats]:
        """Evaluate the likelihoods.

        Parameters
        ----------
        tables : sequence over epochs of (n, n_names) arrays
            The mixture's parameters, then those of the noise.

        Returns
        -------
        list
            ln of the likelihood in each order, (n,); -inf where the model has no answer.
        """
        results = [np.empty(len(tables[0])) for epoch in self.epochs for _ in epoch.data]
        for block in self.stream(tables):
            found = np.where(block.valid, block.fit.log_likelihood, -np.inf)
            results[block.order][block.rows] = found
        return results

    def stream(self, tables: Sequence[Floats]) -> Iterator[LikelihoodBatch]:
        """Fit the continua order by order, in blocks of rows."""
        first = 0
        for epoch in self.epochs:
            values, noise = read_table(tables[epoch.epoch], epoch)
            for block in epoch.model.stream(values, errors=self.emulator_error):
                data = epoch.data[block.order]
                valid, spectra, errors = normalised(block, data.used)
                here = noise.take(block.rows)
                fit = fit_order(data, spectra, errors, here)
                order = first + block.order
                yield LikelihoodBatch(order, block.rows, valid, spectra, errors, here, data, fit)
            first += len(epoch.data)


def read_table(table: Floats, epoch: EpochLikelihoods) -> tuple[Floats, NoiseRows]:
    """Split a table into the mixture's parameters, as the spectrum has them, and the noise's."""
    names = epoch.model.parameters
    values = table[:, : len(names)].copy()
    moving = [name.partition("_")[0] == "rv" for name in names]
    values[:, moving] -= epoch.barycentric_velocity
    noise = dict.fromkeys(NOISE, np.zeros(len(table)))
    noise["log_amplitude"] = np.full(len(table), -np.inf)  # of a fit without correlated noise
    given = table[:, len(names) :].T
    noise |= dict(zip(NOISE[: len(given)], given, strict=True))
    return values, NoiseRows.of(**noise)


def normalised(block: Block, used: Bools) -> tuple[Bools, Floats, Floats]:
    """Divide spectra and their errors by the mean level, which carries an error of its own.

    With f the mixture and l its level, the error of f/l is ``(df - f/l dl)/l``. Thus components
    with one spectrum between them have no error of q, nor do they tell c.
    """
    here = np.flatnonzero(used)
    flux = block.flux.take(here, axis=1)
    valid = np.isfinite(flux).all(axis=1) & np.isfinite(block.level)
    flux /= block.level[:, None]
    errors = block.error.transpose(0, 2, 1).take(here, axis=2)  # a column's pixels in a row
    errors -= flux[:, None] * block.level_error[:, :, None]
    errors /= block.level[:, None, None]
    flux[~valid], errors[~valid] = 1.0, 0.0
    return valid, flux, errors.transpose(0, 2, 1)
