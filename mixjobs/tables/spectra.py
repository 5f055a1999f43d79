"""What the tasks of the emulator do: spectra into the scratch array, components out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from mixjobs.errors import LibraryError
from mixjobs.interpolation import default_method
from mixjobs.interpolation.cross_validation import HeldOutAxis, held_out_axes
from mixjobs.library import Spectrum
from mixjobs.model.emulator import Accuracy, decompose, emulator_error
from mixjobs.model.means import mean_flux, spans, unusable
from mixjobs.store.emulator import read_scratch, write_order, write_scratch
from mixjobs.store.format import Store, read_group
from mixjobs.tables.blocks import MeanBlock, in_three_attempts
from mixjobs.tables.windows import Window
from mixjobs.typing import Floats
from mixjobs.wavelengths import LogGrid


@dataclass(frozen=True, eq=False)
class SpectraBlock(MeanBlock):
    """Some orders x some points, of which the spectra are wanted beside the means.

    Attributes
    ----------
    scratch : Path
        Where they go, normalised.
    windows : list
        One an order of the block; None for those that have no emulator.
    """

    scratch: Path
    windows: Sequence[Window | None]

    def __str__(self) -> str:
        return super().__str__().replace("mean flux", "spectra", 1)


@dataclass(frozen=True, eq=False)
class OrderBlock:
    """One order whose spectra are decomposed."""

    job: str
    store: Path
    scratch: Path
    row: int
    grid: LogGrid
    wavelength: Floats
    accuracy: Accuracy

    def __str__(self) -> str:
        return f"components of order row {self.row}"


class _InPieces:
    """A spectrum of which every piece that the windows need is read once."""

    def __init__(self, spectrum: Spectrum, lo: Sequence[int], hi: Sequence[int]) -> None:
        self.pieces = [(start, spectrum(start, stop)) for start, stop, _ in spans(lo, hi)]

    def __call__(self, lo: int, hi: int) -> Floats:
        start, flux = next(p for p in reversed(self.pieces) if p[0] <= lo)
        return flux[lo - start : hi - start]


def compute_spectra(block: SpectraBlock) -> Floats:
    """Write a block's normalised spectra to the scratch array; return its means (orders, points).

    The means are those of `compute_means`, bit for bit; the same errors are raised.
    """
    means, spectra = in_three_attempts(_read_spectra, block)
    for number, of_order in zip(block.number, spectra, strict=True):
        if of_order is not None:
            write_scratch(block.scratch, int(number), block.points.start, of_order)
    return means


def _read_spectra(block: SpectraBlock) -> tuple[Floats, list[Floats | None]]:
    """Means (orders, points), and each order's spectra over their means, (points, n_pixels)."""
    n_points = block.points.stop - block.points.start
    means = np.empty((len(block.number), n_points))
    held: list[Floats | None] = [
        np.empty((n_points, window.grid.n_pixels)) if window else None for window in block.windows
    ]
    lo = [w.lo if w else int(low) for w, low in zip(block.windows, block.lo, strict=True)]
    hi = [w.hi if w else int(high) for w, high in zip(block.windows, block.hi, strict=True)]
    for i, spectrum in enumerate(block.reader):
        try:
            flux = _InPieces(spectrum, lo, hi)
            means[:, i] = mean_flux(flux, block.number, block.lo, block.hi)
            for m, window in enumerate(block.windows):
                if window:
                    stretch = flux(window.lo, window.hi)
                    _check(stretch, block.number[m])
                    held[m][i] = window.resample(stretch) / means[m, i]  # type: ignore[index]
        except LibraryError as error:
            raise LibraryError(f"{block.library}: spectrum {spectrum.name}: {error}") from None
    return means, held


def _check(stretch: Floats, number: int) -> None:
    low, mean = stretch.min(), stretch.mean()
    if not (low >= 0 and np.isfinite(mean)):
        raise LibraryError(f"order {number} has, in its buffer, {unusable(low, mean)}")


def decompose_order(block: OrderBlock) -> None:
    """Decompose one order and write its emulator into the store.

    In one BLAS thread: how a sum is cut into threads changes its last bits.
    """
    found, axes = _prepared(block.store, block.job)
    number = int(found.orders.number[block.row])
    spectra = read_scratch(block.scratch, number)
    with threadpool_limits(1):
        emulator = decompose(spectra, block.grid, block.wavelength, block.accuracy)
        error = emulator_error(axes, emulator.weights, np.log(found.mean_flux[block.row]))
    facts = {
        "error_method": default_method(found.grid),
        "error_covariance": error.covariance.tolist(),
        "error_log_mean": error.log_mean,
        "error_factors": error.factors,
    }
    aside = block.scratch.parent / f"{number}.writing"  # no part of a Zarr group, if it is left
    write_order(aside, block.store, number, emulator, facts)


@lru_cache(maxsize=1)
def _prepared(store: Path, job: str) -> tuple[Store, list[HeldOutAxis]]:  # noqa: ARG001
    """What serves all orders, once a process: the means, and the held-out predictions."""
    found = read_group(store)
    return found, held_out_axes(found.grid, default_method(found.grid))
