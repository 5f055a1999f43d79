"""The ratio table: the flux ratio of every pair of grid points, from their means."""

from __future__ import annotations

from mixjobs.typing import Floats


def flux_ratio_rows(mean_flux: Floats, start: int, stop: int) -> Floats:
    """Rows start:stop of the ratio table of one or more orders.

    ``flux_ratio[..., i, j] = mean_flux[..., j] / mean_flux[..., i]`` is q_m(theta_i, theta_j):
    component 1 first.

    Parameters
    ----------
    mean_flux : (..., N) array
    start, stop : int
        Rows, that is values of i.

    Returns
    -------
    (..., stop - start, N) array

    Examples
    --------
    >>> flux_ratio_rows(np.array([1.0, 2.0, 4.0]), 1, 3).tolist()
    [[0.5, 1.0, 2.0], [0.25, 0.5, 1.0]]
    """
    ratio: Floats = mean_flux[..., None, :] / mean_flux[..., start:stop, None]
    return ratio
