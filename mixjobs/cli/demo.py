"""``mixjobs demo``: the whole job on a made-up library."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import numpy as np
from rich.console import Console

from mixjobs.cli.build import plan, run
from mixjobs.cli.plot import save
from mixjobs.cli.ratio import direct_ratio
from mixjobs.cli.words import make_folder, say
from mixjobs.config import BuildJob, make_build_job
from mixjobs.errors import OutputExists
from mixjobs.grid import describe
from mixjobs.library.demo import DemoLibrary
from mixjobs.loading import load_flux_ratio
from mixjobs.report.figures import draw_all
from mixjobs.report.tables import laws_table, ratio_table
from mixjobs.tables.laws import check_laws
from mixjobs.tables.store import Store, partial_path

_N_ORDERS = 8
_THETA1, _THETA2 = (6000.0, 4.0, 0.0), (6200.0, 5.0, -1.0)
_BETWEEN1, _BETWEEN2 = (6087.0, 4.3, -0.2), (5730.0, 4.3, -0.2)


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
    name, figure = next(iter(draw_all(store, np.array(_THETA1), "cubic").items()))
    for path in save({name: figure}, folder):
        print(f"drew {path}")
    say(f"next: mixjobs check {store_path}; mixjobs ratio --help")


def _compare(store: Store, truth: DemoLibrary) -> None:
    """Print the laws, q between two grid points, and how far it is from the truth elsewhere."""
    console = Console()
    console.print(laws_table(check_laws(store)))
    theta1, theta2 = np.array(_THETA1), np.array(_THETA2)
    names = store.grid.names
    q = load_flux_ratio(store.path)(theta1, theta2)
    console.print(f"q of {describe(theta2, names)} over {describe(theta1, names)}")
    console.print(ratio_table(store.orders, q, direct_ratio(store, theta1, theta2)))
    console.print(
        f"between the grid points, {describe(_BETWEEN2, names)} over {describe(_BETWEEN1, names)}: "
        f"the worst order is off by {_worst_error(truth, store):.2%} of the true q"
    )


def _job(library: Path, store: Path, workers: int | None) -> BuildJob:
    data = {
        "library": str(library), "output": str(store), "orders": {"n": _N_ORDERS},
        "workers": workers, "overwrite": True,
    }  # fmt: skip
    return make_build_job(data, "mixjobs demo")


def _worst_error(truth: DemoLibrary, store: Store) -> float:
    """Largest error of q over the orders, against the generator's own spectra."""
    lo, hi = store.orders.windows(truth.wavelength)
    means = [
        np.array([flux[a:b].mean() for a, b in zip(lo, hi, strict=True)])
        for flux in (truth.spectrum(_BETWEEN1), truth.spectrum(_BETWEEN2))
    ]
    q = load_flux_ratio(store.path)(_BETWEEN1, _BETWEEN2)
    return float(np.max(np.abs(q / (means[1] / means[0]) - 1)))
