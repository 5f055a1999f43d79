"""``mixjobs demo``: the whole job on a made-up library."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import numpy as np
from rich.console import Console

from mixjobs.cli.build import plan, run
from mixjobs.cli.demo_sample import sample_star
from mixjobs.cli.options import make_folder, say
from mixjobs.cli.parser import parser
from mixjobs.cli.plot import save
from mixjobs.cli.ratio import direct_ratio
from mixjobs.cli.spectrum import spectrum
from mixjobs.config.build import BuildConfig, make_build_job
from mixjobs.demo.library import DemoLibrary
from mixjobs.errors import OutputExists
from mixjobs.grid import describe
from mixjobs.report.store import draw_flux_ratios, invariants_table, ratio_table
from mixjobs.store.format import Store, partial_path
from mixjobs.store.invariants import check_laws
from mixjobs.store.loading import load_flux_ratio, load_mixture

_N_ORDERS = 8
_THETA1, _THETA2 = (6000.0, 4.0, 0.0), (6200.0, 5.0, -1.0)
_BETWEEN1, _BETWEEN2, _C = (6087.0, 4.3, -0.2), (5730.0, 4.3, -0.2), 0.3


def demo(args: Namespace) -> None:
    """Make a library, build its store, compare with the truth, and draw."""
    folder = Path(args.folder)
    library, store_path = folder / "library.hdf5", folder / "ratios.zarr"
    interrupted = library.exists() and partial_path(store_path).exists()
    if (library.exists() or store_path.exists()) and not (args.overwrite or interrupted):
        raise OutputExists(f"{folder}: holds a demo already; name another DIR, or --overwrite")
    make_folder(folder)
    truth = DemoLibrary()
    if not interrupted:
        say(f"writing {library}: {len(truth.points)} spectra of {len(truth.wavelength)} pixels")
        truth.write(library)
    job = _job(library, store_path, args.workers)
    store = run(job, *plan(job))
    _compare(store, truth)
    name, figure = next(iter(draw_flux_ratios(store, _THETA1).items()))
    for path in save({name: figure}, folder):
        print(f"drew {path}")
    _mix(store, truth, folder / "mixture.png")
    if args.sample:
        sample_star(folder)
        return
    say(f"next: mixjobs check {store_path}; mixjobs spectrum --help; mixjobs demo --sample")


def _mix(store: Store, truth: DemoLibrary, figure: Path) -> None:
    """Say how far a mixture between the grid points is from the truth, and draw one."""
    lo, hi = store.orders.pixel_ranges(truth.wavelength)
    (teff_1, logg, feh), teff_2 = _BETWEEN1, _BETWEEN2[0]
    model = load_mixture(store.path, fixed={"vsini": 0, "rv": 0})
    values = {"teff_1": teff_1, "teff_2": teff_2, "logg": logg, "feh": feh, "c": _C}
    flux = np.concatenate(model(values))
    between = [np.square(b.error).sum(axis=2).ravel() for b in model.stream(values, errors=True)]
    left_out = np.square(model.light(values) * model.reconstruction_error).sum(axis=0)
    expected = np.sqrt(np.concatenate(between).mean() + left_out.mean())
    first, second = truth.spectrum(_BETWEEN1), truth.spectrum(_BETWEEN2)
    true = [
        ((1 - _C) * first[a:b] + _C * second[a:b]) / first[a:b].mean()
        for a, b in zip(lo, hi, strict=True)
    ]
    off = np.sqrt(np.mean((flux - np.concatenate(true)) ** 2))
    print(
        f"a mixture of both with c = {_C:g}, unbroadened: off by {off:.2%} of the mean flux "
        f"(r.m.s.; the emulator's own estimate is {expected:.2%})"
    )
    words = [
        "spectrum", f"{store.path}", "--theta1", f"{teff_1:g},{logg:g},{feh:g}", "--theta2",
        f"teff={teff_2:g}", "--c", f"{_C:g}", "--resolution", "50000", "--vsini", "8",
        "--rv", "20", "-o", f"{figure}", "--overwrite",
    ]  # fmt: skip
    print(f"mixjobs {' '.join(words)}")
    spectrum(parser().parse_args(words))


def _compare(store: Store, truth: DemoLibrary) -> None:
    """Print the laws, q between two grid points, and how far it is from the truth elsewhere."""
    console = Console()
    console.print(invariants_table(check_laws(store)))
    theta1, theta2 = np.array(_THETA1), np.array(_THETA2)
    names = store.grid.names
    q = load_flux_ratio(store.path)(theta1, theta2)
    console.print(f"q of {describe(theta2, names)} over {describe(theta1, names)}")
    console.print(ratio_table(store.orders, q, direct_ratio(store, theta1, theta2)))
    console.print(
        f"between the grid points, {describe(_BETWEEN2, names)} over {describe(_BETWEEN1, names)}: "
        f"the worst order is off by {_worst_error(truth, store):.2%} of the true q"
    )


def _job(library: Path, store: Path, workers: int | None) -> BuildConfig:
    data = {
        "library": str(library), "output": str(store),
        "orders": {"n": _N_ORDERS, "range": [5005, 5295]},
        "emulator": {"max_rv": 50.0, "max_vsini": 50.0, "min_resolution": 20_000.0},
        "workers": workers, "overwrite": True,
    }  # fmt: skip
    return make_build_job(data, "mixjobs demo")


def _worst_error(truth: DemoLibrary, store: Store) -> float:
    """Largest error of q over the orders, against the generator's own spectra."""
    lo, hi = store.orders.pixel_ranges(truth.wavelength)
    means = [
        np.array([flux[a:b].mean() for a, b in zip(lo, hi, strict=True)])
        for flux in (truth.spectrum(_BETWEEN1), truth.spectrum(_BETWEEN2))
    ]
    q = load_flux_ratio(store.path)(_BETWEEN1, _BETWEEN2)
    return float(np.max(np.abs(q / (means[1] / means[0]) - 1)))
