"""The mixture of two photospheres."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixjobs.errors import InvalidInput

Floats = NDArray[np.float64]


def mix(s1: ArrayLike, s2: ArrayLike, c: ArrayLike, q: ArrayLike) -> Floats:
    """Mix the normalised spectra of two components.

    ``f_mix = (1 - c) f1/f1bar + c q f2/f2bar`` (Starfish, issue 35, strategy 3), with
    ``s = f/fbar`` and ``q = f2bar/f1bar``.

    Parameters
    ----------
    s1, s2 : (..., n_pixels) arrays
        Spectra of components 1 and 2, each with mean 1 over the order's pixels.
    c : (...) array
        Solid-angle fraction of component 2, 0 to 1.
    q : (...) array
        Flux ratio of component 2 to component 1 in the order.

    Returns
    -------
    (..., n_pixels) array
        All leading shapes broadcast against each other.

    Raises
    ------
    InvalidInput
        c outside [0, 1] or NaN, or shapes that do not broadcast.

    Examples
    --------
    >>> mix([0.5, 1.5], [1.0, 1.0], c=0.25, q=2.0).tolist()
    [0.875, 1.625]
    """
    fraction = np.asarray(c, dtype=np.float64)
    if not ((fraction >= 0) & (fraction <= 1)).all():
        wrong = fraction[~((fraction >= 0) & (fraction <= 1))].flat[0]
        raise InvalidInput(f"c = {wrong:g} is not a fraction; expected values from 0 to 1")
    spectrum1, spectrum2 = (np.asarray(s, dtype=np.float64) for s in (s1, s2))
    try:
        weight2 = fraction * np.asarray(q, dtype=np.float64)
        mixed: Floats = (1 - fraction)[..., None] * spectrum1 + weight2[..., None] * spectrum2
    except ValueError:
        raise InvalidInput(
            f"shapes do not fit: spectra {spectrum1.shape} and {spectrum2.shape}, "
            f"c {fraction.shape}, q {np.shape(q)}; expected (..., n_pixels) and (...)"
        ) from None
    return mixed
