"""Windows: the stretch of each order, with a buffer, on a log-wavelength grid.

Pure numpy and scipy. Where the library's pixels are uniform in log wavelength they are the grid's;
otherwise spectra go through a cubic spline onto a grid of half the smallest step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from mixjobs.errors import InvalidInput, OrderError
from mixjobs.model.broadening import half_width, profile_sigma
from mixjobs.model.emulator import Accuracy
from mixjobs.orders import Orders
from mixjobs.typing import Floats
from mixjobs.wavelengths import SPEED_OF_LIGHT, LogGrid

ShortBuffer = Literal["refuse", "skip", "shrink"]

_UNIFORM = 1e-3  # of a step: so far a pixel of a uniform grid may be off its place
_MARGIN = 16  # pixels beyond the buffer where the library has them, for splines and their ends
_LEAST = 8  # pixels of a grid: the splines on it need so many
_FINER = 2  # uneven pixels: a grid finer by this than the smallest step keeps spectra to 1e-4


@dataclass(frozen=True)
class EmulatorSettings:
    """What an emulator is made for.

    Parameters
    ----------
    max_rv, max_vsini : float
        Largest velocity and rotation that will be asked of it, km/s.
    min_resolution : float
        Lowest resolving power.
    step : float, optional
        Step of the grid, km/s; the library's own if not given.
    short_buffer : {"refuse", "skip", "shrink"}
        What becomes of an order whose buffer the library does not cover.
    accuracy : Accuracy
        How many components are kept.

    Raises
    ------
    InvalidInput
        A value out of its range.
    """

    max_rv: float = 200.0
    max_vsini: float = 150.0
    min_resolution: float = 10_000.0
    step: float | None = None
    short_buffer: ShortBuffer = "refuse"
    accuracy: Accuracy = field(default_factory=Accuracy)

    def __post_init__(self) -> None:
        for name in ("max_rv", "max_vsini", "min_resolution"):  # 50 and 50.0 are the same job
            object.__setattr__(self, name, float(getattr(self, name)))
        for name in ("max_rv", "max_vsini"):
            if not 0 <= getattr(self, name) < SPEED_OF_LIGHT / 10:
                raise InvalidInput(f"{name} = {getattr(self, name):g} km/s; expected 0 to 29979")
        if not self.min_resolution > 0:
            raise InvalidInput(f"min_resolution = {self.min_resolution:g}; expected more than 0")
        if self.step is not None and not self.step > 0:
            raise InvalidInput(f"step = {self.step:g} km/s; expected more than 0")
        if self.short_buffer not in get_args(ShortBuffer):
            raise InvalidInput(
                f"short_buffer {self.short_buffer!r} is unknown; choose refuse, skip or shrink"
            )

    @property
    def buffer(self) -> float:
        """How far the stretch goes beyond the order on both sides, in ln(wavelength)."""
        return float(
            half_width(self.max_vsini, self.max_rv, profile_sigma(resolution=self.min_resolution))
        )


@dataclass(frozen=True, eq=False)
class Segment:
    """One order's stretch of the library.

    Attributes
    ----------
    lo, hi : int
        Library pixels to read.
    grid : LogGrid
        Where the spectra go.
    log_wave : (hi - lo,) float array or None
        ln(wavelength) of these pixels; None where they are the grid's own.
    """

    lo: int
    hi: int
    grid: LogGrid
    log_wave: Floats | None

    def resample(self, flux: Floats) -> Floats:
        """Bring flux (hi - lo,) to the grid: (n_pixels,).

        Values of a cubic spline; averages over the grid's pixels where these are the wider.
        """
        if self.log_wave is None:
            return flux
        from scipy.interpolate import make_interp_spline  # half a second that others spare

        spline = make_interp_spline(self.log_wave, flux, k=3)
        at = self.grid.start + self.grid.step * np.arange(self.grid.n_pixels)
        if self.grid.step <= np.diff(self.log_wave).min():
            values: Floats = spline(at)
            return values
        edges = np.append(at, at[-1] + self.grid.step) - self.grid.step / 2
        averages: Floats = np.diff(spline.antiderivative()(edges)) / self.grid.step
        return averages


def make_segments(
    wavelength: Floats, orders: Orders, settings: EmulatorSettings
) -> tuple[list[Segment | None], list[str]]:
    """Lay out the segment of each order.

    Parameters
    ----------
    wavelength : (n_pixels,) array
        Of the library, Å.
    orders : Orders

    Returns
    -------
    segments : list
        One an order, None where it is skipped.
    notes : list of str
        What was skipped or shrunk, with the numbers.

    Raises
    ------
    OrderError
        An order's buffer is not covered, and `short_buffer` is "refuse".
    """
    log_wave = np.log(wavelength)
    segments: list[Segment | None] = []
    notes = []
    for number, low, high in zip(orders.number, orders.wave_min, orders.wave_max, strict=True):
        ends = np.array([np.log(low) - settings.buffer, np.log(high) + settings.buffer])
        kept = np.clip(ends, log_wave[0], log_wave[-1])
        if (kept != ends).any():
            short = (
                f"order {number} needs {np.exp(ends[0]):.6g} to {np.exp(ends[1]):.6g} Å with its "
                f"buffer of {settings.buffer * SPEED_OF_LIGHT:.0f} km/s; the library covers "
                f"{wavelength[0]:.6g} to {wavelength[-1]:.6g} Å"
            )
            if settings.short_buffer == "refuse":
                raise OrderError(f"{short}; skip or shrink such orders with --short-buffer")
            notes.append(f"{short}: {_DONE[settings.short_buffer]}")
            if settings.short_buffer == "skip":
                segments.append(None)
                continue
        segment = _segment(log_wave, kept, settings.step)
        if segment.grid.n_pixels < _LEAST:
            raise OrderError(
                f"order {number} has {segment.grid.n_pixels} pixel(s) with its buffer; an emulator "
                f"needs {_LEAST}: choose a wider order, or a smaller --step"
            )
        segments.append(segment)
    if not any(segments):
        raise OrderError("the library covers the buffer of no order; give smaller velocities")
    return segments, notes


_DONE = {"skip": "left out", "shrink": "its buffer is shorter"}


def _segment(log_wave: Floats, ends: Floats, step: float | None) -> Segment:
    """Segment over [ends[0], ends[1]], which the library covers, and a margin where it can."""
    first = max(int(np.searchsorted(log_wave, ends[0], side="right")) - 1 - _MARGIN, 0)
    stop = min(int(np.searchsorted(log_wave, ends[1])) + 1 + _MARGIN, len(log_wave))
    x = log_wave[first:stop]
    mean_step = float((x[-1] - x[0]) / (len(x) - 1))
    off = np.abs(x - x[0] - mean_step * np.arange(len(x))).max()
    wanted = None if step is None else step / SPEED_OF_LIGHT
    if off < _UNIFORM * mean_step and (wanted is None or abs(wanted / mean_step - 1) < 1e-3):
        return Segment(first, stop, LogGrid(float(x[0]), mean_step, len(x)), None)
    wanted = wanted or float(np.diff(x).min()) / _FINER
    n_pixels = int((x[-1] - x[0]) / wanted) + 1
    if n_pixels < _LEAST:
        return Segment(first, stop, LogGrid(float(x[0]), wanted, n_pixels), x)
    if wanted > np.diff(x).min():  # pixels that are averaged over lie within the library's
        return Segment(first, stop, LogGrid(float(x[0]) + wanted / 2, wanted, n_pixels - 1), x)
    return Segment(first, stop, LogGrid(float(x[0]), wanted, n_pixels), x)
