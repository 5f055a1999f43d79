"""Signs in the numbers of an observed spectrum that a file does not hold what it seems to hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mixjobs.typing import Bools, Floats

MAX_SNR = 2000.0  # per pixel; detectors hardly reach it
MIN_PIXELS = 30  # of an order, for an estimate of its scatter
# Of stated errors over the scatter between pixels. In eight real spectra it is 0.5 to 3.5, where
# lines raise the scatter, and rebinning smooths it.
_PLAUSIBLE = (0.1, 10.0)
_USUAL = (0.3, 5.0)  # outside, errors are suspect if they fit another quantity
_MAX_MISFIT = 1.0  # dex, between stated errors and another quantity of the same scatter
_CLOSE_MISFIT = 0.4
_MAX_NEGATIVE = 0.5  # fraction of the pixels
_MAX_INVERTED = 0.1  # fraction of the pixels used, if a mask is inverted
_MAX_SCATTER = 3.0  # of good pixels, over their errors or over 3 % of their flux
_MIN_SCATTER = 1e-7  # over the flux; below, a spectrum is simulated without noise
_DIFFERENCE = np.array([1.0, -6.0, 15.0, -20.0, 15.0, -6.0, 1.0])  # sixth; blind to resolved lines
_TO_SD = 1.4826  # from the median absolute deviation of a normal distribution


class _Typical(NamedTuple):
    """Medians over the pixels of one order, in the unit of the file."""

    flux: float  # absolute
    error: float
    scatter: float  # between neighbouring pixels


def negative_fraction(flux: Sequence[Floats], mask: Sequence[Bools]) -> float:
    """Return the fraction of the used pixels with negative flux; 0 without used pixels."""
    used = np.concatenate([f[use] for f, use in zip(flux, mask, strict=True)])
    return float((used < 0).mean()) if len(used) else 0.0


def is_negative(flux: Sequence[Floats], mask: Sequence[Bools]) -> bool:
    """Whether most of the flux is negative, of enough pixels to tell.

    Examples
    --------
    >>> flux, mask = np.ones(50), np.ones(50, bool)
    >>> is_negative([-flux], [mask]), is_negative([flux], [mask])
    (True, False)
    """
    enough = sum(int(use.sum()) for use in mask) >= MIN_PIXELS
    return enough and negative_fraction(flux, mask) > _MAX_NEGATIVE


def suspicions(
    flux: Sequence[Floats], flux_error: Sequence[Floats], mask: Sequence[Bools]
) -> list[str]:
    """Describe what is suspect about a spectrum, one sentence for each suspicion.

    Parameters
    ----------
    flux, flux_error : sequences of M (n_pixels,) arrays
        In the unit of the file.
    mask : sequence of M (n_pixels,) bool arrays
        True for a pixel to use.
    """
    orders = list(zip(flux, flux_error, mask, strict=True))
    typical = [t for t in (_typical(f, e, use) for f, e, use in orders) if t is not None]
    return _mask_suspicions(orders) + (_error_suspicions(typical) if typical else [])


def scatter(flux: Floats) -> float:
    """Estimate the noise of a pixel from the sixth differences of neighbouring pixels.

    The differences suppress lines that the pixels resolve: they pass 3e-5 of the contrast of
    structure with a period of 16 pixels, and 0.06 of one of four pixels.

    Parameters
    ----------
    flux : (n,) array
        At least seven pixels.

    Examples
    --------
    >>> noise = np.random.default_rng(1).normal(size=10_000)
    >>> f"{scatter(3 + 0.1 * noise):.2f}"
    '0.10'
    """
    differences = np.convolve(flux, _DIFFERENCE, "valid")
    return float(_TO_SD * np.median(np.abs(differences)) / np.linalg.norm(_DIFFERENCE))


def _typical(flux: Floats, flux_error: Floats, chosen: Bools) -> _Typical | None:
    """Return the medians over the chosen pixels; None if there are few, or without any noise."""
    if chosen.sum() < MIN_PIXELS:
        return None
    level = float(np.median(np.abs(flux[chosen])))
    with np.errstate(all="ignore"):  # numbers near the limits of floating point
        noise = scatter(flux[chosen] / level) * level
        values = _Typical(level, float(np.median(flux_error[chosen])), noise)
    has_noise = noise > _MIN_SCATTER * level and all(0 < value < np.inf for value in values)
    return values if has_noise else None


def _error_suspicions(typical: Sequence[_Typical]) -> list[str]:
    """Compare the stated errors with the flux and with the scatter between pixels."""
    log = np.log10(np.array(typical))
    flux, error, noise = log.T
    snr = 10.0 ** float(np.median(flux - error))
    ratio = 10.0 ** float(np.median(error - noise))
    others = {
        "variances": 2 * noise,
        "inverse variances": -2 * noise,
        "per cent of the flux": 2 + noise - flux,
        "signal-to-noise ratios": flux - noise,
    }
    misfits = {name: abs(float(np.median(error - other))) for name, other in others.items()}
    nearest = min(misfits, key=lambda name: misfits[name])
    implausible = not _PLAUSIBLE[0] <= ratio <= _PLAUSIBLE[1]
    unusual = not _USUAL[0] <= ratio <= _USUAL[1]
    if unusual and misfits[nearest] < (_MAX_MISFIT if implausible else _CLOSE_MISFIT):
        return [
            f"the flux errors look like {nearest}, not standard errors: they are {_times(ratio)} "
            f"than the scatter between neighbouring pixels (S/N {snr:.3g} per pixel)"
        ]
    if implausible:
        return [
            f"the flux errors are {_times(ratio)} than the scatter between neighbouring pixels "
            f"(S/N {snr:.3g} per pixel); check their unit, and whether they are standard errors"
        ]
    if snr > MAX_SNR:
        return [
            f"S/N {snr:.3g} per pixel is higher than detectors reach; check whether the flux "
            "errors are variances, or too small"
        ]
    return []


def _times(ratio: float) -> str:
    return f"{1 / ratio:.3g} times smaller" if ratio < 1 else f"{ratio:.3g} times larger"


def _mask_suspicions(orders: Sequence[tuple[Floats, Floats, Bools]]) -> list[str]:
    """Compare the masked pixels with the used ones."""
    good = [np.isfinite(f) & np.isfinite(e) & (e > 0) for f, e, _ in orders]
    n_good = sum(int(g.sum()) for g in good)
    n_used = sum(int(use.sum()) for _, _, use in orders)
    if n_used > _MAX_INVERTED * n_good:
        return []
    masked = [_typical(f, e, g & ~use) for (f, e, use), g in zip(orders, good, strict=True)]
    kept = [t for t in masked if t is not None]
    if not kept:
        return []
    flux, error, noise = np.array(kept).T
    if np.median(noise / np.maximum(error, 0.03 * flux)) > _MAX_SCATTER:
        return []
    return [
        f"the mask may be inverted: it keeps only {n_used / n_good:.1%} of the pixels, and the "
        "others look like good data; in a mask, 1 means use"
    ]
