"""Sections: runs of a library's pixels without a gap, from one file or from several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log

import numpy as np

from mixjobs.typing import Floats

_MAX_STEP_RATIO = 1.5  # of pixels that are as fine as those of another file


@dataclass(frozen=True, eq=False)
class Section:
    """Pixels of a library without a gap between them.

    Parameters
    ----------
    start : int
        Number of the first pixel, as counted by `Library.flux`.
    wavelength : (n_pixels,) array
        Å, ascending.
    stitched : bool
        Whether the pixels come from several files.
    """

    start: int
    wavelength: Floats
    stitched: bool = False

    @property
    def ends(self) -> tuple[float, float]:
        """First wavelength, and the end of a half-open range that includes the last."""
        return float(self.wavelength[0]), float(np.nextafter(self.wavelength[-1], np.inf))

    @cached_property
    def log_wavelength(self) -> Floats:
        """ln(wavelength / Å), (n_pixels,)."""
        return np.log(self.wavelength)

    @property
    def step(self) -> float:
        """Mean distance of the pixels in ln(wavelength)."""
        first, end = self.ends
        return log(end / first) / max(len(self.wavelength) - 1, 1)

    def headroom(self, low: float, high: float) -> float:
        """Return how far the section extends beyond a range, on the nearer side.

        The distance is in ln(wavelength); it is negative if the section does not cover the range.

        Examples
        --------
        >>> section = Section(0, np.array([5000.0, 5001.0, 5002.0]))
        >>> section.headroom(5000, 5001), section.headroom(5001, 5003) < 0
        (0.0, True)
        """
        first, end = self.ends
        return min(log(low / first), log(end / high))

    def pixels(self, low: float, high: float) -> tuple[int, int]:
        """Return the numbers of the pixels of the half-open range, which the section covers.

        Examples
        --------
        >>> Section(100, np.array([5000.0, 5001.0, 5002.0])).pixels(5001, 5002)
        (101, 102)
        """
        lo, hi = np.searchsorted(self.wavelength, [low, high])
        return self.start + int(lo), self.start + int(hi)


def choose_section(
    sections: Sequence[Section], low: float, high: float, buffer: float = 0.0
) -> Section:
    """Return the section from which to read a range and a buffer on both sides of it.

    It is a single file that covers the range and the buffer: the one that extends farthest, among
    those with the finest pixels. If there is none, it is the section that extends farthest, be it
    stitched from several files or not.

    Parameters
    ----------
    sections : sequence of Section
    low, high : float
        Å.
    buffer : float
        In ln(wavelength).

    Returns
    -------
    Section
        It may not cover the range, or the buffer, if none does.
    """
    of_one_file = [section for section in sections if not section.stitched]
    covering = [section for section in of_one_file if section.headroom(low, high) >= buffer]
    finest = min((section.step for section in covering), default=0.0)
    fine = [section for section in covering if section.step <= _MAX_STEP_RATIO * finest]
    return max(fine or [*of_one_file, *sections], key=lambda section: section.headroom(low, high))


def find_gaps(sections: Sequence[Section]) -> list[tuple[float, float]]:
    """Return the gaps between sections, in Å.

    Examples
    --------
    >>> files = [Section(0, np.array([5000.0, 5001.0])), Section(2, np.array([5009.0, 5010.0]))]
    >>> find_gaps(files)
    [(5001.0, 5009.0)]
    """
    gaps = []
    end = np.inf
    for wave in sorted((section.wavelength for section in sections), key=lambda wave: wave[0]):
        if wave[0] > end:
            gaps.append((float(end), float(wave[0])))
        end = wave[-1] if end == np.inf else max(end, wave[-1])
    return gaps


def gap_in(sections: Sequence[Section], low: float, high: float) -> tuple[float, float] | None:
    """Return the first gap between sections that overlaps with a range, in Å; None without one."""
    gaps = (gap for gap in find_gaps(sections) if low < gap[1] and gap[0] < high)
    return next(gaps, None)


def shortage(sections: Sequence[Section], low: float, high: float) -> str:
    """Say why sections do not cover a range: a gap, or the ends of the library.

    Examples
    --------
    >>> files = [Section(0, np.array([5000.0, 5001.0])), Section(2, np.array([5009.0, 5010.0]))]
    >>> shortage(files, 5000.5, 5002), shortage(files, 5009, 5020)
    ('has a gap from 5001 to 5009 Å', 'covers only 5000 to 5010 Å')
    """
    gap = gap_in(sections, low, high)
    if gap:
        return f"has a gap from {gap[0]:.6g} to {gap[1]:.6g} Å"
    first = min(section.wavelength[0] for section in sections)
    last = max(section.wavelength[-1] for section in sections)
    return f"covers only {first:.6g} to {last:.6g} Å"
