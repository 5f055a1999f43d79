"""Joint coverage on a real library, whose left-out grid points are the truth.

``python -m validation.left_out_nodes [--small] [--processes N] [--out FOLDER] [--report]``: an
emulator of every other value of one axis of BT-Settl, in 20 orders. Stars of two components lie at
the grid points that were left out, in the middle of its cells. Their true spectra are those of the
library. The fit is linearised there, as in `validation.coverage`. An interrupted run continues.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

import mixjobs
from mixjobs.errors import InvalidInput
from mixjobs.library import Library
from mixjobs.model.coverage import LinearOrder, coverage, linear_fit
from mixjobs.model.linear_mixture import linear_orders
from mixjobs.store.format import Store
from mixjobs.store.joint_error import read_joint_error
from mixjobs.typing import Floats
from validation.coverage import DESIGNS, designed, spectrum_error
from validation.real_data import Skipped, real_data
from validation.trials import Options, Trial, read_options, read_results, run_trials, table

STEPS = {"teff_1": 5.0, "teff_2": 5.0, "logg": 0.02, "feh": 0.02, "c": 0.003}
SNRS = (100, 300)
MIN_FEH = {"teff": -1.0, "logg": -1.0, "feh": -4.0}  # of the grid that is used for each axis
N_STARS = 40
MIN_GAP = 150.0  # K between the components
DEGREE = 4


def trials(small: bool) -> Iterator[Trial]:
    """Yield the stars of each axis."""
    for axis in list(MIN_FEH)[: 1 if small else None]:
        for seed in range(2 if small else N_STARS):
            yield {"axis": axis, "seed": seed}


def library_of(axis: str) -> Library:
    """Open the part of BT-Settl that is used for an axis."""
    library = mixjobs.open_library(real_data("btsettl_prism.hdf5"))
    feh = library.grid.points[:, library.grid.names.index("feh")]
    return library.take(np.flatnonzero(feh >= MIN_FEH[axis]))


def is_kept(library: Library, axis: str) -> list[bool]:
    """Whether each point has one of every other value of the axis."""
    d = library.grid.names.index(axis)
    kept: list[bool] = np.isin(library.grid.points[:, d], library.grid.axes[d][::2]).tolist()
    return kept


def make_store(folder: Path, small: bool, axis: str) -> Store:
    """Build the store of an axis, unless it exists."""
    path, library = folder / f"{axis}.zarr", library_of(axis)
    if not path.exists():
        orders = mixjobs.Orders.log_spaced(20, 7000, 50000)
        kept = library.take(np.flatnonzero(is_kept(library, axis)))
        mixjobs.build(
            kept, orders.select([5, 9]) if small else orders, path, table=False,
            emulator=mixjobs.EmulatorSettings(min_resolution=50),
        )  # fmt: skip
    return mixjobs.open_store(path)


def draw_points(library: Library, axis: str, rng: np.random.Generator) -> tuple[int, int]:
    """Draw two points that were left out, with distinct Teff and otherwise equal parameters."""
    points, d = library.grid.points, library.grid.names.index(axis)
    teff = library.grid.names.index("teff")
    inner = [(a[1], a[-2]) for a in library.grid.axes]
    inside = ~np.array(is_kept(library, axis)) & (points[:, d] < library.grid.axes[d][::2][-1])
    for column, (low, high) in zip(points.T, inner, strict=True):
        inside &= (column >= low) & (column <= high)
    while True:
        first, second = rng.choice(np.flatnonzero(inside), 2)
        others = np.delete(points[first] - points[second], teff)
        if not others.any() and points[first, teff] - points[second, teff] > MIN_GAP:
            return int(first), int(second)


def run_star(folder: Path, small: bool, trial: Trial) -> Trial:
    """Estimate the coverage for one star."""
    axis, rng = trial["axis"], np.random.default_rng([trial["seed"], len(trial["axis"])])
    library, store = library_of(axis), make_store(folder, small, axis)
    model = mixjobs.load_mixture(store.path, 2, fixed={"vsini": 0, "rv": 0}, outside="nan")
    _, error = read_joint_error(store, "cubic")
    none = [[np.zeros((1, columns.shape[1])) for columns in error.columns]] * 2
    while True:
        first, second = draw_points(library, axis, rng)
        theta = dict(zip(library.grid.names, library.grid.points[first].tolist(), strict=True))
        teff_2 = float(library.grid.points[second, library.grid.names.index("teff")])
        star = {
            "teff_1": theta["teff"], "teff_2": teff_2, "logg": theta["logg"],
            "feh": theta["feh"], "c": rng.uniform(0.1, 0.5),
        }  # fmt: skip
        try:
            orders = linear_orders(model, star, STEPS, error.columns, none, DEGREE)
            break
        except InvalidInput:  # next to a hole
            continue
    truths = true_mixtures(library, store, first, second, star["c"])
    orders = [
        replace(order, errors=spectrum_error(order, truth)[:, None])
        for order, truth in zip(orders, truths, strict=True)
    ]
    return trial | {"star": star, "results": list(coverages(orders)), "factors": error.factors}


def true_mixtures(
    library: Library, store: Store, first: int, second: int, c: float
) -> list[Floats]:
    """Mix the library's own spectra of two points in every order."""
    ranges = zip(*store.orders.pixel_ranges(library.wavelength), strict=True)
    return [
        (1 - c) * library.flux(first, lo, hi) + c * library.flux(second, lo, hi)
        for lo, hi in ranges
    ]


def coverages(orders: Sequence[LinearOrder]) -> Iterator[Trial]:
    """Yield the coverage of each design at each S/N."""
    for design in DESIGNS:
        chosen = designed(orders, design)
        for snr in SNRS:
            found = coverage(linear_fit(chosen, snr))
            yield {"design": design, "snr": snr, "inside": found.joint.tolist(),
                   "sd": found.sd.tolist()}  # fmt: skip


def report(stars: Sequence[Trial]) -> str:
    """Write a row for each axis and S/N."""
    rows = []
    for axis in dict.fromkeys(star["axis"] for star in stars):
        of_axis = [star for star in stars if star["axis"] == axis]
        factor = of_axis[0]["factors"][axis]
        for snr in SNRS:
            cells = [axis, f"{factor:.2f}", f"{snr}"]
            found = {
                design: [
                    result
                    for star in of_axis
                    for result in star["results"]
                    if (result["design"], result["snr"]) == (design, snr)
                ]
                for design in DESIGNS
            }
            none = np.array([result["sd"] for result in found["none"]])
            for design in DESIGNS:
                inside = 100 * np.array([result["inside"] for result in found[design]])
                error = inside.std(axis=0, ddof=1) / np.sqrt(len(inside))
                width = np.median(np.array([result["sd"] for result in found[design]]) / none)
                pairs = zip(inside.mean(axis=0), error, strict=True)
                text = ", ".join(f"{mean:.0f} ± {sd:.0f}" for mean, sd in pairs)
                cells.append(f"{text} ({width:.2f})")
            rows.append(cells)
    header = ["left out", "factor", "S/N", *(f"{d}: 68 %, 95 % (width)" for d in DESIGNS)]
    return table(header, rows)


def main(options: Options) -> None:
    """Run the missing stars, and print the table."""
    path = options.folder / "results.jsonl"
    if not options.report:
        try:
            every = list(trials(options.small))
            for axis in dict.fromkeys(trial["axis"] for trial in every):
                make_store(options.folder, options.small, axis)
        except Skipped as reason:
            print(f"BT-Settl skipped: {reason}")
            return
        run_one = partial(run_star, options.folder, options.small)
        run_trials(every, run_one, path, options.processes)
    print(report(read_results(path)))


if __name__ == "__main__":
    main(read_options("left_out_nodes", __doc__.split("\n")[0]))
