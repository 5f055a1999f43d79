"""How often the numbers of a library tell its flux scale, and whether they ever mislead.

``python -m validation.flux_scale [--small]``: parts of real libraries and of the demo library, each
with three values of Teff or more and a range of wavelengths like an order or wider, are put on
every scale in turn. The table counts how often the numbers decide, and how often they decide
wrongly. It takes two minutes, and needs real data.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from mixjobs.demo.library import DemoLibrary
from mixjobs.grid import Grid
from mixjobs.library import open_library
from mixjobs.library.calibration import sample_library
from mixjobs.library.flux_scale import F_SUN, STEFAN_BOLTZMANN, compare_scales
from mixjobs.typing import Floats
from validation.real_data import Skipped, real_data

N_DRAWS, FEW_DRAWS = 300, 3
MIN_WIDTH = 0.005  # of a range, over its wavelength; a narrow echelle order has 0.01
ORDERS = (106, 107, 109, 110, 113, 114, 116, 118, 119)
# Name, and the factor from the fluxes as read to raw ones.
LIBRARIES = {
    "btsettl_prism": 1.0, "PHOENIX_ACES_test": 1.0, "PHOENIX_50k": 1.0, "PHOENIX_norm": 1.0,
    "PHOENIX_ESPaDOnS_m000": 1.0, **{f"s1063/PHOENIX_IGRINS_m{m}": np.pi for m in ORDERS},
}  # fmt: skip
DEMO_AXES = {
    "teff": np.arange(3000.0, 7001.0, 250.0), "logg": [3.5, 4.0, 4.5, 5.0],
    "feh": [-1.0, -0.5, 0.0, 0.5],
}  # fmt: skip
DEMOS = {
    "demo, 5000 to 5300 Å": (5000.0, 5300.0),
    "demo, 0.4 to 2.4 µm": (4000.0, 24000.0),
    "demo, 2200 to 2500 Å": (2200.0, 2500.0),
}
TRUTHS = {
    "raw": "raw", "per steradian": "raw", "per cm": "raw", "scaled": "scaled",
    "normalised by the mean": "normalised", "by the peak": "normalised",
    "by the peak, x 3e6": "normalised",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Part:
    """Some spectra (N, n_pixels) of a library in some range; the interface of a library."""

    grid: Grid
    wavelength: Floats
    spectra: Floats

    def reader(self, rows: Sequence[int]) -> Iterator[object]:
        """Yield functions that return pixels lo:hi."""
        for row in rows:
            yield lambda lo, hi, flux=self.spectra[row]: flux[lo:hi]

    def on_scale(self, name: str) -> Part:
        """Return the spectra on another scale."""
        teff = self.grid.points[:, self.grid.names.index("teff")][:, None]
        factor = {
            "raw": 1.0,
            "per steradian": 1 / np.pi,
            "per cm": 1e8,
            "scaled": F_SUN / (STEFAN_BOLTZMANN * teff**4),
            "normalised by the mean": 1 / self.spectra.mean(axis=1, keepdims=True),
            "by the peak": 1 / self.spectra.max(axis=1, keepdims=True),
            "by the peak, x 3e6": 3e6 / self.spectra.max(axis=1, keepdims=True),
        }[name]
        return Part(self.grid, self.wavelength, self.spectra * factor)


def whole(name: str) -> Part:
    """Return all spectra of a library, raw."""
    if name in DEMOS:
        axes = tuple((axis, tuple(values)) for axis, values in DEMO_AXES.items())
        low, high = DEMOS[name]
        demo = DemoLibrary(axes=axes, wave_min=low, wave_max=high, n_pixels=4096)
        return Part(Grid(demo.points, demo.names), demo.wavelength, demo.spectrum(demo.points))
    library = open_library(real_data(f"{name}.hdf5"))
    spectra = np.stack([library.flux(i) for i in range(len(library.grid))])
    return Part(library.grid, library.wavelength, spectra * LIBRARIES[name])


def draw(library: Part, rng: Generator) -> Part:
    """Draw a part of a library: at least three Teff, and a range of wavelengths."""
    lo, hi = draw_range(library.wavelength, rng)
    grid = library.grid
    while True:
        keep = np.ones(len(grid), dtype=bool)
        for name, axis, column in zip(grid.names, grid.axes, grid.points.T, strict=True):
            keep &= np.isin(column, draw_values(axis, 3 if name == "teff" else 1, rng))
        rows = np.flatnonzero(keep)
        if len(np.unique(grid.points[rows, grid.names.index("teff")])) >= 3:
            return Part(grid.take(rows), library.wavelength[lo:hi], library.spectra[rows, lo:hi])


def draw_range(wave: Floats, rng: Generator) -> tuple[int, int]:
    """Draw the first and the last pixel of a range, uniformly in the logarithm of its width."""
    total = np.log(wave[-1] / wave[0])
    width = min(total, np.exp(rng.uniform(np.log(min(MIN_WIDTH, total)), np.log(total))))
    start = np.log(wave[0]) + rng.uniform(0, total - width)
    lo, hi = np.searchsorted(np.log(wave), [start, start + width])
    lo = min(int(lo), len(wave) - 8)
    return lo, max(int(hi), lo + 8)


def draw_values(axis: Floats, least: int, rng: Generator) -> Floats:
    """Draw evenly spaced values of an axis: as few as allowed, or more, with equal probability."""
    least = min(least, len(axis))
    n = least if rng.random() < 0.5 else int(rng.integers(least, len(axis) + 1))
    step = int(rng.integers(1, (len(axis) - 1) // max(n - 1, 1) + 1)) if n > 1 else 1
    start = int(rng.integers(0, len(axis) - (n - 1) * step))
    return axis[start : start + (n - 1) * step + 1 : step]


def judge(part: Part, truth: str) -> str:
    """Return "right", "undecided" or "wrong"."""
    _, sample = sample_library(part)
    test = compare_scales(sample)
    if not test.is_decisive:
        return "undecided"
    return "right" if test.best == TRUTHS[truth] else "wrong"


def counts(name: str, n_draws: int) -> dict[str, Counter[str]]:
    """Count the verdicts on parts of a library, for each true scale."""
    library, rng = whole(name), np.random.default_rng(7)
    found: dict[str, Counter[str]] = {truth: Counter() for truth in TRUTHS}
    for _ in range(n_draws):
        part = draw(library, rng)
        for truth in TRUTHS:
            found[truth][judge(part.on_scale(truth), truth)] += 1
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="few draws, to check the script")
    n_draws = FEW_DRAWS if parser.parse_args().small else N_DRAWS
    print("| library | " + " | ".join(TRUTHS) + " |")
    print("|" + "---|" * (1 + len(TRUTHS)))
    for name in [*LIBRARIES, *DEMOS]:
        try:
            found = counts(name, n_draws)
        except Skipped as reason:
            print(f"| {name} | skipped: {reason} |")
            continue
        cells = [f"{100 * c['right'] / n_draws:.3g} / {c['wrong']}" for c in found.values()]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
