"""Mixture spectra for all walkers in Fourier space, against one at a time in real space.

One order of 8192 grid pixels on 2304 data pixels, ten components, two photospheres that share
rotation and velocity, 40 walkers, one thread.
"""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline

from benchmarks.measure import Floats
from mixjobs.grid import Grid
from mixjobs.library.demo import DemoLibrary
from mixjobs.log_grid import SPEED_OF_LIGHT, LogGrid
from mixjobs.model.broadening import instrument_sigma
from mixjobs.model.components import LibraryModel
from mixjobs.model.emulator import Accuracy, decompose, emulator_error
from mixjobs.model.flux_ratio import interpolation
from mixjobs.model.held_out_values import held_out_axes
from mixjobs.model.mixture import MixtureModel
from mixjobs.model.parameters import lay_out
from mixjobs.model.synthesis import order_basis
from mixjobs.orders import Orders

AIM_REAL, AIM_IRFFT, AIM_SHARE = 50, 10, 0.8
GRID_PIXELS, DATA_PIXELS, RANK, WALKERS = 8192, 2304, 10, 40
RESOLUTION = 44_000.0  # of TRES, whose orders have so many pixels
EDGE = 600  # grid pixels on either side of the data
AXES = {"teff": (3600, 3800, 4000, 4200), "logg": (4.0, 4.5, 5.0), "feh": (-0.5, 0.0, 0.5)}


class Order:
    """One order of the demo library: its emulator, and the same as a mixture model."""

    def __init__(self, n_pixels: int, n_data: int, rank: int, edge: int) -> None:
        library = DemoLibrary(AXES, wave_max=5000 * np.exp(n_pixels * 2.4e-6), n_pixels=n_pixels)
        spectra = library.spectrum(library.points)
        means = spectra.mean(axis=1)
        x = np.log(library.wavelength)
        grid = LogGrid(float(x[0]), float(x[1] - x[0]), n_pixels)
        self.grid = Grid(library.points, library.names)
        self.log_mean = np.log(means)
        self.emulator = decompose(
            spectra / means[:, None], grid, library.wavelength, Accuracy(rank=rank)
        )
        self.data = np.exp(np.linspace(x[edge], x[-edge], n_data))
        self.sigma = instrument_sigma(resolution=RESOLUTION)

    def model(self, n_orders: int = 1) -> MixtureModel:
        """Return the mixture in so many orders, all alike."""
        between = interpolation(self.grid, "cubic")
        axes = held_out_axes(self.grid, "cubic")
        error = emulator_error(axes, self.emulator.weights, self.log_mean)
        basis = order_basis(
            self.emulator, self.log_mean, between, error.covariance, error.log_mean, self.data,
            self.sigma, 0.6,
        )  # fmt: skip
        source = LibraryModel(self.grid, between, [basis] * n_orders)
        layout = lay_out([source.names] * 2, ("logg", "feh", "vsini", "rv"), "c", {})
        orders = Orders.from_edges(
            [[self.data[0] - m / 1e3, self.data[-1]] for m in range(n_orders)]
        )
        data = (self.data,) * n_orders
        return MixtureModel(layout, (source, source), orders, data, "c", "raise")


def parameters(n: int) -> Floats:
    """Draw parameters of so many walkers: teff_1, teff_2, logg, feh, vsini, rv, c."""
    low = np.array([3600, 3600, 4.0, -0.5, 5.0, -50.0, 0.0])
    high = np.array([4200, 4200, 5.0, 0.5, 50.0, 50.0, 0.6])
    return low + (high - low) * np.random.default_rng(1).random((n, 7))


class RealSpace:
    """The same spectra one at a time: mixed, shifted and convolved pixel by pixel, resampled."""

    def __init__(self, order: Order) -> None:
        self.emulator, self.sigma = order.emulator, order.sigma
        self.between = interpolation(order.grid, "cubic")
        self.table = self.between.prepare(np.column_stack([order.emulator.weights, order.log_mean]))
        grid = order.emulator.grid
        self.x, self.step = grid.start + grid.step * np.arange(grid.n_pixels), grid.step
        middle = (np.log(order.data)[1:] + np.log(order.data)[:-1]) / 2
        ends = 2 * np.log(order.data)[[0, -1]] - middle[[0, -1]]
        self.edges = np.concatenate([ends[:1], middle, ends[1:]])

    def component(self, theta: Floats) -> tuple[Floats, float]:
        """Spectrum and ln(mean flux) at one theta."""
        weights, _ = self.between.weights(theta[None])
        values = (weights @ self.table)[0]
        return self.emulator.mean + values[:-1] @ self.emulator.components, values[-1]

    def __call__(self, row: Floats) -> Floats:
        """One spectrum."""
        teff_1, teff_2, logg, feh, vsini, rv, c = row
        first, mean_1 = self.component(np.array([teff_1, logg, feh]))
        second, mean_2 = self.component(np.array([teff_2, logg, feh]))
        mixed = (1 - c) * first + c * np.exp(mean_2 - mean_1) * second
        shifted = CubicSpline(self.x, mixed)(self.x - np.arctanh(rv / SPEED_OF_LIGHT))
        half = int(vsini / SPEED_OF_LIGHT / self.step) + 1
        v2 = np.clip(
            1 - (np.arange(-half, half + 1) * self.step * SPEED_OF_LIGHT / vsini) ** 2, 0, 1
        )
        profile = 2 * 0.4 * np.sqrt(v2) + 0.5 * np.pi * 0.6 * v2
        half = int(5 * self.sigma / self.step) + 1
        gauss = np.exp(-0.5 * (np.arange(-half, half + 1) * self.step / self.sigma) ** 2)
        rotated = np.convolve(shifted, profile / profile.sum(), "same")
        seen = np.convolve(rotated, gauss / gauss.sum(), "same")
        integral = CubicSpline(self.x, seen).antiderivative()(self.edges)
        spectrum: Floats = np.diff(integral) / np.diff(self.edges)
        return spectrum
