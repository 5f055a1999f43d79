"""Mixture spectra of all walkers in Fourier space, against one at a time in real space.

One order of 8192 grid pixels on 2304 data pixels, ten eigenspectra, two photospheres that share
rotation and velocity, 40 walkers, one thread.
"""

from __future__ import annotations

import numpy as np
from scipy.fft import irfft
from scipy.interpolate import CubicSpline

from benchmarks.measure import Row, cpu_seconds, in_turn, interval, ratio
from mixjobs.builder.emulator import EmulatorSettings
from mixjobs.demo.library import DemoLibrary
from mixjobs.grid import Grid
from mixjobs.interpolation import interpolation
from mixjobs.interpolation.cross_validation import axis_folds
from mixjobs.model.broadening import profile_sigma
from mixjobs.model.emulator import decompose
from mixjobs.model.joint_error import joint_error, order_error
from mixjobs.model.layout import lay_out
from mixjobs.model.library_model import LibraryModel
from mixjobs.model.mixture import MAX_SPECTRA_PER_BATCH, MixtureModel
from mixjobs.model.order_model import order_basis
from mixjobs.orders import Orders
from mixjobs.typing import Floats
from mixjobs.wavelengths import SPEED_OF_LIGHT, LogGrid

AIM_REAL, AIM_IRFFT, AIM_FRACTION = 50, 10, 0.8
GRID_PIXELS, DATA_PIXELS, RANK, WALKERS = 8192, 2304, 10, 40
RESOLUTION = 44_000.0  # of TRES, whose orders have as many pixels
EDGE = 600  # grid pixels on either side of the data
AXES = {"teff": (3600, 3800, 4000, 4200), "logg": (4.0, 4.5, 5.0), "feh": (-0.5, 0.0, 0.5)}


def run(small: bool) -> list[Row]:
    """Measure one order against real space and inverse transforms, its parts and its growth."""
    sizes = (1024, 288, 4, 200) if small else (GRID_PIXELS, DATA_PIXELS, RANK, EDGE)
    order = Order(*sizes)
    model, values = order.model(), parameters(WALKERS)
    real, few = RealSpace(order), values[:2] if small else values[:10]
    np.testing.assert_allclose(model(few)[0], [real(row) for row in few], atol=2e-3)
    coefficients = np.fft.rfft(np.random.default_rng(0).random(sizes[0]))
    pieces = Pieces(model, values)
    sides = {
        "ours": lambda: cpu_seconds(lambda: model(values)),
        "mixed": lambda: cpu_seconds(lambda: [real(row) for row in few]) * WALKERS / len(few),
        "alone": lambda: (
            cpu_seconds(lambda: [real.one_by_one(row) for row in few]) * WALKERS / len(few)
        ),
        "irfft": lambda: cpu_seconds(lambda: np.fft.irfft(coefficients, sizes[0]), 50),
        "pieces": lambda: cpu_seconds(pieces),
        "errors": lambda: cpu_seconds(lambda: list(model.stream(values, errors=True))),
    }
    times = in_turn(3 if small else 16, **sides)
    n_columns = next(model.stream(values[:1], errors=True)).error.columns.shape[2]
    return [*table(times, n_columns), *growth(order, sizes, small)]


def table(times: dict[str, Floats], n_columns: int) -> list[Row]:
    """Return the rows about one order."""
    ours, each = times["ours"], times["ours"] / WALKERS
    against = {name: ratio(times[name], ours) for name in ("alone", "mixed")}
    transforms, fraction = ratio(each, times["irfft"]), ratio(times["pieces"], ours)
    column = (times["errors"] - ours) / WALKERS / n_columns
    return [
        Row(
            "the same spectra one at a time in real space, each component shifted, convolved and "
            "resampled separately / ours",
            f"{against['alone']:.0f} ({interval(times['alone'], ours)})",
            f">= {AIM_REAL}",
            against["alone"] >= AIM_REAL,
        ),
        Row(
            "the same with the components mixed first, possible if they move together / ours",
            f"{against['mixed']:.0f} ({interval(times['mixed'], ours)})",
            f">= {AIM_REAL}",
            against["mixed"] >= AIM_REAL,
        ),
        Row(
            "one spectrum, in units of a numpy.fft.irfft of as many doubles as the grid has pixels",
            f"{transforms:.2f} ({interval(each, times['irfft'])})",
            f"<= {AIM_IRFFT}",
            transforms <= AIM_IRFFT,
        ),
        Row(
            "fraction of the call spent on weights times basis, Fourier factors and inverse "
            "transforms",
            f"{fraction:.0%} ({interval(times['pieces'], ours)})",
            f">= {AIM_FRACTION:.0%}",
            fraction >= AIM_FRACTION,
        ),
        Row(
            f"each of the {n_columns} columns of X, in units of one spectrum of the mixture",
            f"{ratio(column, each):.2f} ({interval(column, each)})",
        ),
    ]


def growth(order: Order, sizes: tuple[int, ...], small: bool) -> list[Row]:
    """Return the rows about the growth of time, over linear growth."""
    values, many = parameters(WALKERS), parameters(10 * WALKERS)
    model, orders = order.model(), order.model(n_orders=10)
    high = Order(sizes[0], sizes[1], 2 * sizes[2], sizes[3]).model()
    times = in_turn(
        3 if small else 16,
        one=lambda: cpu_seconds(lambda: model(values)),
        walkers=lambda: cpu_seconds(lambda: model(many)),
        rank=lambda: cpu_seconds(lambda: high(values)),
        orders=lambda: cpu_seconds(lambda: orders(values)),
    )
    rows = []
    for name, factor in (("walkers", 10), ("rank", 2), ("orders", 10)):
        value = ratio(times[name], factor * times["one"])
        limits = interval(times[name], factor * times["one"])
        what = f"{factor} times the {name}, over {factor} times the time"
        rows.append(Row(what, f"{value:.2f} ({limits})", "<= 1.1", value <= 1.1))
    return rows


class Order:
    """One order of the demo library: its emulator and its mixture model."""

    def __init__(self, n_pixels: int, n_data: int, rank: int, edge: int) -> None:
        library = DemoLibrary(AXES, wave_max=5000 * np.exp(n_pixels * 2.4e-6), n_pixels=n_pixels)
        spectra = library.spectrum(library.points)
        means = spectra.mean(axis=1)
        x = np.log(library.wavelength)
        grid = LogGrid(float(x[0]), float(x[1] - x[0]), n_pixels)
        self.grid = Grid(library.points, library.names)
        self.log_mean = np.log(means)
        self.emulator = decompose(
            spectra / means[:, None], grid, library.wavelength, EmulatorSettings(rank=rank)
        )
        self.data = np.exp(np.linspace(x[edge], x[-edge], n_data))
        self.sigma = profile_sigma(resolution=RESOLUTION)

    def model(self, n_orders: int = 1) -> MixtureModel:
        """Return the mixture in a number of equal orders."""
        between = interpolation(self.grid, "cubic")
        axes = axis_folds(self.grid, "cubic")
        n_pixels = self.emulator.grid.n_pixels
        error = joint_error(axes, [self.emulator.weights], [self.log_mean], [n_pixels], {})
        basis = order_basis(
            self.emulator, self.log_mean, between, order_error(error.columns[0]),
            wavelength=self.data, profile_sigma=self.sigma, limb_darkening=0.6,
        )  # fmt: skip
        source = LibraryModel("demo", self.grid, between, [basis] * n_orders)
        layout = lay_out([source.names] * 2, ("logg", "feh", "vsini", "rv"), "c", {})
        orders = Orders.from_edges(
            [[self.data[0] - m / 1e3, self.data[-1]] for m in range(n_orders)]
        )
        data = (self.data,) * n_orders
        return MixtureModel(layout, (source, source), orders, data, "c", "raise")


def parameters(n: int) -> Floats:
    """Draw n walkers: teff_1, teff_2, logg, feh, vsini, rv, c."""
    low = np.array([3600, 3600, 4.0, -0.5, 20.0, -50.0, 0.0])
    high = np.array([4200, 4200, 5.0, 0.5, 50.0, 50.0, 0.6])
    return low + (high - low) * np.random.default_rng(1).random((n, 7))


class RealSpace:
    """Spectra one at a time: mixed, shifted and convolved pixel by pixel, and resampled."""

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
        """Return the spectrum and ln(mean flux) at one theta."""
        weights, _ = self.between.weights(theta[None])
        values = (weights @ self.table)[0]
        return self.emulator.mean + values[:-1] @ self.emulator.eigenspectra, values[-1]

    def __call__(self, row: Floats) -> Floats:
        """Compute one spectrum, with the components mixed first, which is possible here."""
        first, second = self.weighted(row)
        return self.observed(first + second, *row[4:6])

    def one_by_one(self, row: Floats) -> Floats:
        """Compute the same with each component broadened and resampled separately."""
        first, second = self.weighted(row)
        return self.observed(first, *row[4:6]) + self.observed(second, *row[4:6])

    def weighted(self, row: Floats) -> tuple[Floats, Floats]:
        """Return both components, as they are in the mixture, at rest."""
        teff_1, teff_2, logg, feh, _, _, c = row
        first, mean_1 = self.component(np.array([teff_1, logg, feh]))
        second, mean_2 = self.component(np.array([teff_2, logg, feh]))
        return (1 - c) * first, c * np.exp(mean_2 - mean_1) * second

    def observed(self, mixed: Floats, vsini: float, rv: float) -> Floats:
        """Shift, rotate, convolve with the instrument, and average over the data's pixels."""
        shifted = CubicSpline(self.x, mixed)(self.x - np.arctanh(rv / SPEED_OF_LIGHT))
        half = int(vsini / SPEED_OF_LIGHT / self.step) + 1
        v2 = np.clip(
            1 - (np.arange(-half, half + 1) * self.step * SPEED_OF_LIGHT / vsini) ** 2, 0, 1
        )
        profile = 2 * 0.4 * np.sqrt(v2) + 0.5 * np.pi * 0.6 * v2
        half = int(5 * self.sigma / self.step) + 1
        gauss = np.exp(-0.5 * (np.arange(-half, half + 1) * self.step / self.sigma) ** 2)
        rotated = np.convolve(shifted, profile / profile.sum(), "same")
        convolved = np.convolve(rotated, gauss / gauss.sum(), "same")
        integral = CubicSpline(self.x, convolved).antiderivative()(self.edges)
        spectrum: Floats = np.diff(integral) / np.diff(self.edges)
        return spectrum


class Pieces:
    """The three unavoidable pieces of an evaluation in Fourier space."""

    def __init__(self, model: MixtureModel, values: Floats) -> None:
        source = model.sources[0]
        assert isinstance(source, LibraryModel)
        self.basis, self.n = source.orders[0], len(values)
        self.vsini, self.rv = values[:, 4], values[:, 5]
        n_rows = self.basis.transforms.shape[0]
        self.coefficients = np.random.default_rng(0).random((self.n, n_rows))
        self.n_out = self.basis.matrix.shape[1]

    def __call__(self) -> None:
        """Compute them for all walkers, in the batches of the model."""
        for i in range(0, self.n, MAX_SPECTRA_PER_BATCH):
            batch = slice(i, i + MAX_SPECTRA_PER_BATCH)
            factors = self.basis.broadening(self.rv[batch], self.vsini[batch])
            spectra = self.basis.combine(self.coefficients[batch], factors)
            irfft(spectra, self.n_out, axis=-1, overwrite_x=True, norm="forward")
