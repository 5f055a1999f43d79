"""Comparison of the demo store with the true spectra of its library."""

from __future__ import annotations

import numpy as np
from rich.console import Console

from mixjobs.demo.library import DemoLibrary
from mixjobs.grid import describe
from mixjobs.report.store import invariants_table, ratio_table
from mixjobs.store.format import Store
from mixjobs.store.invariants import check_invariants
from mixjobs.store.loading import load_mixture
from mixjobs.store.ratios import evaluate_ratios, load_flux_ratio

THETA1, THETA2 = (6000.0, 4.0, 0.0), (6200.0, 5.0, -1.0)  # grid points
BETWEEN1, BETWEEN2, C = (6087.0, 4.3, -0.2), (5730.0, 4.3, -0.2), 0.3  # off the grid


def print_comparison(store: Store, truth: DemoLibrary) -> None:
    """Print the invariants, q for two grid points, and the largest error of q off the grid."""
    console = Console()
    console.print(invariants_table(check_invariants(store)))
    names = store.grid.names
    ratios = evaluate_ratios(store, THETA1, THETA2)
    console.print(f"flux ratio of {describe(THETA2, names)} to {describe(THETA1, names)}")
    console.print(ratio_table(ratios.orders, ratios.q, ratios.direct))
    console.print(
        f"between grid points, for {describe(BETWEEN2, names)} over {describe(BETWEEN1, names)}, "
        f"the largest error of q in any order is {largest_ratio_error(store, truth):.2%}"
    )


def largest_ratio_error(store: Store, truth: DemoLibrary) -> float:
    """Return the largest relative error of q over the orders, off the grid."""
    lo, hi = store.orders.pixel_ranges(truth.wavelength)
    means = [
        np.array([flux[a:b].mean() for a, b in zip(lo, hi, strict=True)])
        for flux in (truth.spectrum(BETWEEN1), truth.spectrum(BETWEEN2))
    ]
    q = load_flux_ratio(store.path)(BETWEEN1, BETWEEN2)
    return float(np.max(np.abs(q / (means[1] / means[0]) - 1)))


def mixture_errors(store: Store, truth: DemoLibrary) -> tuple[float, float]:
    """Return the r.m.s. error of a mixture off the grid, and the emulator's estimate of it.

    Both are in units of the mean flux of component 1, without broadening.
    """
    lo, hi = store.orders.pixel_ranges(truth.wavelength)
    (teff_1, logg, feh), teff_2 = BETWEEN1, BETWEEN2[0]
    model = load_mixture(store.path, fixed={"vsini": 0, "rv": 0})
    values = {"teff_1": teff_1, "teff_2": teff_2, "logg": logg, "feh": feh, "c": C}
    flux = np.concatenate(model(values))
    columns = [batch.error.columns for batch in model.stream(values, errors=True)]
    variance = np.concatenate([np.square(one).sum(axis=2).ravel() for one in columns])
    expected = np.sqrt(variance.mean())
    flux1, flux2 = truth.spectrum(BETWEEN1), truth.spectrum(BETWEEN2)
    true = [
        ((1 - C) * flux1[a:b] + C * flux2[a:b]) / flux1[a:b].mean()
        for a, b in zip(lo, hi, strict=True)
    ]
    error = np.sqrt(np.mean((flux - np.concatenate(true)) ** 2))
    return float(error), float(expected)
