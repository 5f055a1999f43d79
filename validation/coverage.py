"""Joint coverage of the posterior with many orders and epochs, from a linear estimate.

``python -m validation.coverage [--small] [--processes N] [--out FOLDER] [--report]``: stars of the
demo library, whose true spectra are known between the grid points. The fit is linearised at the
truth. The error of the interpolation then shifts the parameters by a known amount, to which the
noise adds. The tables give how often the joint 68 % and 95 % regions contain the truth, if the
orders share one interpolation error (*shared*), if each has its own (*own*), and without any
(*none*). A star takes seconds. An interrupted run continues.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

import mixjobs
from mixjobs.demo.library import DemoLibrary
from mixjobs.model.coverage import LinearOrder, coverage, linear_fit
from mixjobs.model.linear_mixture import linear_orders
from mixjobs.store.joint_error import read_joint_error
from mixjobs.typing import Floats
from validation.simulated_stars import PARAMETERS, RESOLUTION, C, true_mixture
from validation.trials import Options, Trial, read_options, read_results, run_trials, table

STEPS = {"teff_1": 5.0, "teff_2": 5.0, "feh": 0.005, "vsini": 0.1, "rv": 0.05, "c": 0.003}
DESIGNS = ("shared", "own", "none")
FEH = {5: (-0.5, -0.25, 0.0, 0.25, 0.5), 3: (-0.5, 0.0, 0.5)}
WIDTH, PIXEL, DEGREE = 14.0, 2.3, 4  # Å, km/s
MIN_GAP = 150.0  # K
MATERN_LENGTH = 30.0  # km/s; its amplitude is that of the white noise


@dataclass(frozen=True)
class Case:
    """A row of the table: the numbers of orders, epochs and [Fe/H], and the kind of noise."""

    orders: int
    epochs: int = 1
    feh: int = 5
    matern: bool = False

    def __str__(self) -> str:
        words = [f"{self.orders}"]
        words += [f"x {self.epochs} epochs"] if self.epochs > 1 else []
        words += ["Matern noise"] if self.matern else []
        return ", ".join([*words, f"{self.feh} [Fe/H]"]) if self.feh != 5 else ", ".join(words)


@dataclass(frozen=True)
class Size:
    """The grid, the rows of the table, and the number of stars."""

    stars: int
    cases: tuple[Case, ...]
    teff: tuple[int, ...] = tuple(range(3900, 6301, 300))
    snr: tuple[int, ...] = (100, 200, 300)


FULL = Size(
    60,
    (
        *(Case(n) for n in (1, 2, 4, 8, 16, 51)),
        Case(2, epochs=4),
        *(Case(n, matern=True) for n in (4, 16)),
        *(Case(n, feh=3) for n in (2, 4, 16, 51)),
    ),
)
SMALL = Size(2, (Case(1), Case(2), Case(1, epochs=2)), teff=(5100, 5400, 5700, 6000), snr=(200,))


def n_orders(size: Size) -> int:
    """Return the largest number of orders."""
    return max(case.orders for case in size.cases)


def library(size: Size, feh: int) -> DemoLibrary:
    """Return the demo library around all orders."""
    axes = {"teff": size.teff, "logg": (4.5,), "feh": FEH[feh]}
    end = 5990 + WIDTH * n_orders(size) + 30
    n_pixels = int(np.log(end / 5990) * C) + 1
    end = 5990 * np.exp((n_pixels - 1) / C)
    return DemoLibrary(axes, wave_min=5990.0, wave_max=end, n_pixels=n_pixels)


def make_store(size: Size, folder: Path, feh: int) -> str:
    """Build the store, unless it exists."""
    store = folder / f"store_{feh}.zarr"
    if not store.exists():
        n = n_orders(size)
        edges = 6002 + WIDTH * np.arange(n + 1)
        settings = mixjobs.EmulatorSettings(max_rv=60, max_vsini=30, min_resolution=20000)
        orders = mixjobs.Orders(list(range(1, n + 1)), edges[:-1], edges[1:])
        path = library(size, feh).write(folder / f"library_{feh}.hdf5")
        mixjobs.build(path, orders, store, emulator=settings, table=False)
    return str(store)


def draw_star(size: Size, rng: np.random.Generator) -> dict[str, float]:
    """Draw a star between the grid points, away from the edges, with distinct components."""
    low, high = size.teff[1], size.teff[-2]
    teff_2, teff_1 = np.sort(rng.uniform(low, high, 2))
    while teff_1 - teff_2 < MIN_GAP:  # the linear fit needs distinct components
        teff_2, teff_1 = np.sort(rng.uniform(low, high, 2))
    values = teff_1, teff_2, rng.uniform(-0.25, 0.25), rng.uniform(4, 15)
    return dict(
        zip(PARAMETERS, (*values, rng.uniform(-20, 20), rng.uniform(0.1, 0.5)), strict=True)
    )


def linearise(size: Size, store: str, feh: int, star: dict[str, float]) -> list[LinearOrder]:
    """Linearise every order at the truth, with the true error of its spectrum."""
    edges = [
        np.arange(np.log(6002 + WIDTH * m + 0.2), np.log(6002 + WIDTH * (m + 1) - 0.2), PIXEL / C)
        for m in range(n_orders(size))
    ]
    waves = {m: np.exp((e[1:] + e[:-1]) / 2) for m, e in enumerate(edges, start=1)}
    model = mixjobs.load_mixture(store, wavelengths=waves, resolution=RESOLUTION, outside="nan")
    _, error = read_joint_error(mixjobs.open_store(store), "cubic")
    none = [[np.zeros((1, columns.shape[1])) for columns in error.columns]] * 2
    orders = linear_orders(model, star, STEPS, error.columns, none, DEGREE)
    together = true_mixture(library(size, feh), star, np.concatenate(edges))
    ends = np.cumsum([len(e) for e in edges])
    return [
        replace(order, errors=spectrum_error(order, together[end - len(e) : end - 1])[:, None])
        for order, e, end in zip(orders, edges, ends, strict=True)
    ]


def spectrum_error(order: LinearOrder, truth: Floats) -> Floats:
    """True minus emulated spectrum; the continuum takes up the level of the truth."""
    spectrum = order.design[:, 0]
    scale = (truth @ spectrum) / (spectrum @ spectrum)
    error: Floats = truth / scale - spectrum
    return error


def designed(orders: Sequence[LinearOrder], design: str) -> list[LinearOrder]:
    """Return the orders with the stated error of a design."""
    none = [np.empty((len(order.slopes), 0)) for order in orders]
    if design == "shared":
        return list(orders)
    return [
        replace(
            order,
            common=nothing,
            own=np.hstack([order.own, order.common]) if design == "own" else nothing,
        )
        for order, nothing in zip(orders, none, strict=True)
    ]


def whitened(order: LinearOrder) -> LinearOrder:
    """Return the order as it is with Matern-3/2 noise besides the white noise."""
    distance = np.sqrt(3) / MATERN_LENGTH * PIXEL * np.arange(len(order.slopes))
    distance = np.abs(distance[:, None] - distance)
    root = np.linalg.cholesky(np.eye(len(distance)) + (1 + distance) * np.exp(-distance))
    names = ("slopes", "common", "own", "errors", "design")
    return replace(order, **{name: np.linalg.solve(root, getattr(order, name)) for name in names})


def run_star(size: Size, folder: Path, trial: Trial) -> Trial:
    """Linearise one star, and estimate the coverage of every row."""
    star = draw_star(size, np.random.default_rng(int(trial["name"])))
    by_grid = {
        feh: linearise(size, make_store(size, folder, feh), feh, star)
        for feh in sorted({case.feh for case in size.cases})
    }
    results = []
    for case in size.cases:
        orders = by_grid[case.feh][: case.orders]
        if case.matern:
            orders = [whitened(order) for order in orders]
        for design in DESIGNS:
            chosen = designed(orders * case.epochs, design)
            if design == "own":  # independent in every order and epoch
                chosen = [replace(order, number=m) for m, order in enumerate(chosen)]
            for snr in size.snr:
                found = coverage(linear_fit(chosen, snr), seed=int(trial["name"]))
                results.append(
                    {"case": str(case), "snr": snr, "design": design,
                     "inside": found.joint.tolist(), "sd": found.sd.tolist()}
                )  # fmt: skip
    return trial | {"star": star, "results": results}


def report(size: Size, stars: list[Trial]) -> str:
    """Write the coverage of joint regions, and the widths over those without the error."""
    found: dict[tuple[str, int, str], list[Trial]] = {}
    for star in stars:
        for result in star["results"]:
            key = result["case"], result["snr"], result["design"]
            found.setdefault(key, []).append(result)
    rows = []
    for case in map(str, size.cases):
        for snr in size.snr:
            none = np.array([r["sd"] for r in found[case, snr, "none"]])
            cells = [case, f"{snr}"]
            for design in DESIGNS:
                results = found[case, snr, design]
                inside = 100 * np.array([r["inside"] for r in results])
                error = inside.std(axis=0, ddof=1) / np.sqrt(len(inside))
                width = np.median(np.array([r["sd"] for r in results]) / none)
                pairs = zip(inside.mean(axis=0), error, strict=True)
                text = ", ".join(f"{mean:.0f} ± {sd:.0f}" for mean, sd in pairs)
                cells.append(f"{text} ({width:.2f})")
            rows.append(cells)
    header = ["orders", "S/N", *(f"{design}: 68 %, 95 % (width)" for design in DESIGNS)]
    return f"{len(stars)} stars\n\n{table(header, rows)}"


def main(options: Options) -> None:
    """Run the missing stars, and print the table."""
    size, folder = SMALL if options.small else FULL, options.folder
    if not options.report:
        for feh in sorted({case.feh for case in size.cases}):
            make_store(size, folder, feh)
        stars = [{"name": f"{number:03d}"} for number in range(size.stars)]
        run_trials(
            stars, partial(run_star, size, folder), folder / "results.jsonl", options.processes
        )
    print(report(size, read_results(folder / "results.jsonl")))


if __name__ == "__main__":
    main(read_options("coverage", __doc__.split("\n")[0]))
