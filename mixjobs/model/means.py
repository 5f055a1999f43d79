"""Mean flux: the plain mean of a raw spectrum over the pixels of each order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from mixjobs.errors import LibraryError
from mixjobs.typing import Floats

IntSequence = Sequence[int] | NDArray[np.int64]

# Orders separated by fewer pixels are read together: decoding the gap is cheaper than another read.
_MAX_GAP = 2048
DARK = 1e-10  # of the mean flux: a pixel at or below it counts as zero
_BRIGHT = 1e-3  # of the mean flux: a pixel above it has flux
_MIN_RUN = 2  # pixels


def mean_flux(
    spectrum: Callable[[int, int], Floats],
    number: IntSequence,
    lo: IntSequence,
    hi: IntSequence,
) -> Floats:
    """Mean of one spectrum over the pixels ``lo[m]:hi[m]`` of each order: (M,).

    This is the plain mean over pixels, by which Starfish normalises a spectrum. The value of an
    order does not depend on the other orders, to the last bit.

    Parameters
    ----------
    spectrum : callable
        ``spectrum(lo, hi)`` reads the raw flux of pixels lo:hi.
    number : sequence of M ints
        Numbers of the orders, for error messages.
    lo, hi : sequences of M ints
        Range of pixels of each order.

    Raises
    ------
    LibraryError
        An order with flux that is negative or not finite, with zeros only, or with a run of zeros
        next to flux. Its `value` is then the first and the last pixel of the run.

    Examples
    --------
    >>> flux = np.array([1.0, 2.0, 3.0, 6.0])
    >>> mean_flux(lambda lo, hi: flux[lo:hi], [7, 8], [0, 1], [2, 4]).tolist()
    [1.5, 3.6666666666666665]
    """
    means = np.empty(len(lo))
    with np.errstate(invalid="ignore", over="ignore"):  # an infinite flux makes the mean infinite
        for start, stop, members in spans(lo, hi):
            pixels = spectrum(start, stop)
            lowest = pixels.min()
            non_negative = lowest >= 0  # False with NaN; then each order is checked
            for m in members:
                flux = pixels[lo[m] - start : hi[m] - start]
                mean = flux.sum() / len(flux)
                if not (non_negative and 0 < mean < np.inf):
                    reason = unusable(flux.min(), mean)
                    if reason:
                        raise LibraryError(
                            f"order {number[m]} has {reason}; fix the spectrum, or leave out this "
                            "order or this grid point",
                            name="flux",
                            order=int(number[m]),
                        )
                if lowest <= DARK * mean:
                    check_no_zeros(flux, int(number[m]), int(lo[m]))
                means[m] = mean
    return means


def check_no_zeros(flux: Floats, number: int, first: int) -> None:
    """Refuse a run of zeros next to flux, as where a spectrum ends before its file does.

    Flux that fades to zero, as in the ultraviolet of a cool star, is accepted.

    Parameters
    ----------
    flux : (n,) array
    number : int
        Number of the order.
    first : int
        Pixel of the library at which `flux` begins.

    Raises
    ------
    LibraryError
        `value` is the first and the last pixel of the run.
    """
    mean = flux.mean()
    ends = np.flatnonzero(np.diff(np.r_[False, flux <= DARK * mean, False].astype(np.int8)))
    for start, stop in ends.reshape(-1, 2):
        beside = [flux[k] for k in (start - 1, stop) if 0 <= k < len(flux)]
        if stop - start >= _MIN_RUN and max(beside, default=0.0) > _BRIGHT * mean:
            raise LibraryError(
                f"order {number} has zero flux in {stop - start} pixels next to flux; fix the "
                "spectrum, or leave out this order or this grid point",
                name="flux",
                value=(first + int(start), first + int(stop) - 1),
                order=number,
                pixel=first + int(start),
            )


def unusable(low: float, mean: float) -> str:
    """Return why an order with this lowest and mean flux is unusable, or an empty string."""
    if not np.isfinite(mean):
        return "NaN or infinite flux"
    if low < 0:
        return f"negative flux ({low:g})"
    return "zero flux in every pixel" if mean == 0 else ""


def spans(lo: IntSequence, hi: IntSequence) -> list[tuple[int, int, list[int]]]:
    """Ranges of pixels to read together, each with the indices of its orders.

    Parameters
    ----------
    lo, hi : sequences of M ints
        Range of pixels of each order.

    Returns
    -------
    list of (start, stop, members)

    Examples
    --------
    >>> spans([0, 100, 50_000], [120, 200, 50_010])
    [(0, 200, [0, 1]), (50000, 50010, [2])]
    """
    pieces: list[tuple[int, int, list[int]]] = []
    for first, last, m in sorted(zip(map(int, lo), map(int, hi), range(len(lo)), strict=True)):
        if pieces and first < pieces[-1][1] + _MAX_GAP:
            start, stop, members = pieces[-1]
            members.append(m)
            pieces[-1] = (start, max(stop, last), members)
        else:
            pieces.append((first, last, [m]))
    return pieces
