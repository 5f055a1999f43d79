"""Mean flux: the plain mean of a raw spectrum over each order's pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from mixjobs.errors import LibraryError
from mixjobs.typing import Floats

IntSequence = Sequence[int] | NDArray[np.int64]

# Orders less than this many pixels apart are read in one piece: decoding the gap is cheaper
# than another read.
_GAP = 2048


def mean_flux(
    spectrum: Callable[[int, int], Floats],
    number: IntSequence,
    lo: IntSequence,
    hi: IntSequence,
) -> Floats:
    """Mean of one spectrum over each order's pixels ``lo[m]:hi[m]``: (M,).

    The plain mean over pixels, what Starfish normalises a spectrum by. An order's value does not
    depend on which other orders are asked for, to the last bit.

    Parameters
    ----------
    spectrum : callable
        ``spectrum(lo, hi)`` reads the raw flux of pixels lo:hi.
    number, lo, hi : sequences of M ints
        The orders' numbers, for messages, and their pixels.

    Raises
    ------
    LibraryError
        A flux in a window that is not finite or is negative, or a window of zeros.

    Examples
    --------
    >>> flux = np.array([1.0, 2.0, 3.0, 6.0])
    >>> mean_flux(lambda lo, hi: flux[lo:hi], [7, 8], [0, 1], [2, 4]).tolist()
    [1.5, 3.6666666666666665]
    """
    means = np.empty(len(lo))
    with np.errstate(invalid="ignore", over="ignore"):  # inf in a flux shows in the mean
        for start, stop, members in spans(lo, hi):
            pixels = spectrum(start, stop)
            sound = pixels.min() >= 0  # False with NaN; then each window has to be looked at
            for m in members:
                window = pixels[lo[m] - start : hi[m] - start]
                mean = window.sum() / len(window)
                if not (sound and 0 < mean < np.inf):
                    fault = unusable(window.min(), mean)
                    if fault:
                        raise LibraryError(f"order {number[m]} has {fault}")
                means[m] = mean
    return means


def unusable(low: float, mean: float) -> str:
    """Say what makes a window with this lowest and mean flux unusable, or nothing."""
    if not np.isfinite(mean):
        return "a flux that is not finite"
    if low < 0:
        return f"negative flux ({low:g})"
    return "no flux at all (all zero)" if mean == 0 else ""


def spans(lo: IntSequence, hi: IntSequence) -> list[tuple[int, int, list[int]]]:
    """Pieces (start, stop, rows of the orders) in which to read orders that lie close together.

    Examples
    --------
    >>> spans([0, 100, 50_000], [120, 200, 50_010])
    [(0, 200, [0, 1]), (50000, 50010, [2])]
    """
    pieces: list[tuple[int, int, list[int]]] = []
    for first, last, m in sorted(zip(map(int, lo), map(int, hi), range(len(lo)), strict=True)):
        if pieces and first < pieces[-1][1] + _GAP:
            start, stop, members = pieces[-1]
            members.append(m)
            pieces[-1] = (start, max(stop, last), members)
        else:
            pieces.append((first, last, [m]))
    return pieces
