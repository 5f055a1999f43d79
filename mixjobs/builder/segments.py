"""Segments: each order with a buffer on both sides, on a grid uniform in log wavelength.

Where the library's pixels are uniform in log wavelength, they are the grid. Otherwise spectra are
resampled with a cubic spline, to half a short step of the library: see `short_step`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixjobs.display import counted
from mixjobs.errors import OrderError
from mixjobs.orders import Orders
from mixjobs.sections import Section, choose_section, shortage
from mixjobs.typing import Floats
from mixjobs.wavelengths import SPEED_OF_LIGHT, LogGrid

if TYPE_CHECKING:
    from mixjobs.builder.emulator import EmulatorSettings

_UNIFORM_TOLERANCE = 1e-3  # deviation from a uniform grid, in steps
_MARGIN = 16  # pixels to read beyond the buffer, because a spline is inaccurate at its ends
_MIN_PIXELS = 8  # of a grid, for a spline
_REFINEMENT = 2  # of a short step of an uneven grid; spectra are then kept to 1e-4
_SHORT = 0.05  # fraction of the steps that may be shorter
_MOST_REFINED = 4  # median step over the step that is used


@dataclass(frozen=True, eq=False)
class Segment:
    """One order with its buffer: the library's pixels and the grid of its spectra.

    Attributes
    ----------
    lo, hi : int
        Library pixels to read.
    grid : LogGrid
        Pixels of the emulated spectra.
    log_wave : (hi - lo,) float array or None
        ln(wavelength) of the library's pixels; None where they are the grid.
    """

    lo: int
    hi: int
    grid: LogGrid
    log_wave: Floats | None

    def resample(self, flux: Floats) -> Floats:
        """Resample flux (hi - lo,) to the grid, (n_pixels,).

        The values are those of a cubic spline, or its averages over the grid's pixels where these
        are wider than the library's.
        """
        if self.log_wave is None:
            return flux
        from scipy.interpolate import make_interp_spline  # takes half a second to import

        spline = make_interp_spline(self.log_wave, flux, k=3)
        centres = self.grid.start + self.grid.step * np.arange(self.grid.n_pixels)
        if self.grid.step <= short_step(self.log_wave):
            values: Floats = spline(centres)
            return values
        edges = np.append(centres, centres[-1] + self.grid.step) - self.grid.step / 2
        averages: Floats = np.diff(spline.antiderivative()(edges)) / self.grid.step
        return averages


def make_segments(
    sections: Sequence[Section], orders: Orders, settings: EmulatorSettings
) -> tuple[list[Segment | None], list[str]]:
    """Lay out the segment of each order.

    Parameters
    ----------
    sections : sequence of Section
        Sections of the library. Each order is read from one of them.
    orders : Orders
    settings : EmulatorSettings

    Returns
    -------
    segments : list of M Segment or None
        None for an order that is left out.
    notes : list of str
        A line for each order that was left out or whose buffer was shortened.

    Raises
    ------
    OrderError
        The library does not cover the buffer of an order, and `short_buffer` is "refuse"; or a
        segment has too few pixels.
    """
    segments: list[Segment | None] = []
    notes = []
    for number, low, high in zip(orders.number, orders.wave_min, orders.wave_max, strict=True):
        section = choose_section(sections, low, high, settings.buffer)
        ends = np.array([np.log(low) - settings.buffer, np.log(high) + settings.buffer])
        covered = np.clip(ends, *section.log_wavelength[[0, -1]])
        if (covered != ends).any():
            notes.append(_short_buffer(int(number), ends, sections, settings))
            if settings.short_buffer == "skip":
                segments.append(None)
                continue
        segment = _segment(section, covered, settings.step)
        if segment.grid.n_pixels < _MIN_PIXELS:
            raise OrderError(
                f"order {number} has {counted(segment.grid.n_pixels, 'pixel')}, including its "
                f"buffer; an emulator needs {_MIN_PIXELS}: choose a wider order or a smaller step",
                order=int(number),
                name="step",
                value=settings.step,
            )
        segments.append(segment)
    if not any(segments):
        raise OrderError(
            "the library covers no order with its buffer; choose a smaller max_rv or max_vsini",
            name="short_buffer",
            value=settings.short_buffer,
        )
    return segments, notes


def _short_buffer(
    number: int, ends: Floats, sections: Sequence[Section], settings: EmulatorSettings
) -> str:
    """Return the note about an order whose buffer extends beyond the library, or refuse it."""
    low, high = np.exp(ends).tolist()
    short = (
        f"order {number} with its buffer of {settings.buffer * SPEED_OF_LIGHT:.0f} km/s needs "
        f"{low:.6g} to {high:.6g} Å, but the library {shortage(sections, low, high)}"
    )
    if settings.short_buffer == "refuse":
        raise OrderError(
            f"{short}; lower max_rv or max_vsini, or set short_buffer to skip such orders or to "
            "shrink their buffers",
            order=number,
            name="short_buffer",
            value=settings.short_buffer,
        )
    action = "no emulator" if settings.short_buffer == "skip" else "buffer shortened"
    return f"{short}: {action}"


def short_step(log_wave: Floats) -> float:
    """Return a step of a library's pixels (n,) that at most one step in twenty undercuts.

    It is at least a quarter of the median step. Where two pieces of a library meet, one step may be
    very short. Were it the measure, it would multiply the number of pixels.

    Examples
    --------
    >>> short_step(np.array([0.0, 1.0, 2.0, 2.125, 3.0, 4.0]))
    0.875
    """
    steps = np.diff(log_wave)
    least = np.median(steps) / _MOST_REFINED
    return float(max(np.quantile(steps, _SHORT, method="higher"), least))


def _segment(section: Section, ends: Floats, step: float | None) -> Segment:
    """Return the segment over [ends[0], ends[1]], with a margin where the section has one."""
    log_wave = section.log_wavelength
    first = max(int(np.searchsorted(log_wave, ends[0], side="right")) - 1 - _MARGIN, 0)
    stop = min(int(np.searchsorted(log_wave, ends[1])) + 1 + _MARGIN, len(log_wave))
    lo, hi = section.start + first, section.start + stop
    x = log_wave[first:stop]
    mean_step = float((x[-1] - x[0]) / (len(x) - 1))
    deviation = np.abs(x - x[0] - mean_step * np.arange(len(x))).max()
    requested = None if step is None else step / SPEED_OF_LIGHT
    fits = requested is None or abs(requested / mean_step - 1) < 1e-3
    if fits and deviation < _UNIFORM_TOLERANCE * mean_step:
        return Segment(lo, hi, LogGrid(float(x[0]), mean_step, len(x)), None)
    short, start = short_step(x), float(x[0])
    grid_step = requested or short / _REFINEMENT
    n_pixels = int((x[-1] - x[0]) / grid_step) + 1
    if n_pixels >= _MIN_PIXELS and grid_step > short:  # averages need whole pixels
        start, n_pixels = start + grid_step / 2, n_pixels - 1
    return Segment(lo, hi, LogGrid(start, grid_step, n_pixels), x)
