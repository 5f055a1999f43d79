"""``mixjobs demo``: the whole job on an artificial library."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from mixjobs.cli.build import run
from mixjobs.cli.demo_sample import sample_star
from mixjobs.cli.options import say
from mixjobs.config.build import BuildConfig, make_build_job
from mixjobs.demo.library import DemoLibrary
from mixjobs.errors import OutputExists
from mixjobs.files import make_folder, refuse_inside
from mixjobs.report.demo import (
    BETWEEN1,
    BETWEEN2,
    THETA1,
    C,
    mixture_errors,
    print_comparison,
)
from mixjobs.report.figure import save_figures
from mixjobs.report.spectrum import draw_spectra
from mixjobs.report.store import draw_flux_ratios
from mixjobs.store.format import Store, partial_path
from mixjobs.store.spectra import evaluate_spectra

_N_ORDERS = 8


def demo(args: Namespace) -> None:
    """Write a library, build its store, compare it with the truth, and draw figures."""
    folder = Path(args.folder)
    library, store_path = folder / "library.hdf5", folder / "ratios.zarr"
    interrupted = library.exists() and partial_path(store_path).exists()
    if (library.exists() or store_path.exists()) and not (args.overwrite or interrupted):
        raise OutputExists(
            f"{folder}: already contains a demo; choose another folder or allow overwriting",
            path=folder,
        )
    refuse_inside(library)
    job = _job(library, store_path, args.workers)
    make_folder(folder)
    truth = DemoLibrary()
    if not interrupted:
        say(f"writing {library}: {len(truth.points)} spectra of {len(truth.wavelength)} pixels")
        truth.write(library)
    store = run(job)
    print_comparison(store, truth)
    name, figure = next(iter(draw_flux_ratios(store, THETA1).items()))
    for path in save_figures({name: figure}, folder):
        print(f"figure: {path}")
    error, expected = mixture_errors(store, truth)
    print(
        f"for a mixture of the two with c = {C:g}, without broadening, the r.m.s. error is "
        f"{error:.2%} of the mean flux (the emulator's own estimate is {expected:.2%})"
    )
    _draw_mixture(store, folder)
    if args.sample:
        sample_star(folder)
        return
    say(f"next: mixjobs check {store_path}; mixjobs spectrum --help; mixjobs demo --sample")


def _draw_mixture(store: Store, folder: Path) -> None:
    """Draw a broadened mixture, and print the command that does the same."""
    (teff_1, logg, feh), teff_2 = BETWEEN1, BETWEEN2[0]
    spectra = evaluate_spectra(
        store, BETWEEN1, {"teff": teff_2}, c=C, resolution=50_000.0, vsini=8.0, rv=20.0
    )
    for path in save_figures({"mixture": draw_spectra(spectra, range(_N_ORDERS))}, folder):
        print(f"figure: {path}, also drawn by")
        print(
            f"  mixjobs spectrum {store.path} --theta1 {teff_1:g},{logg:g},{feh:g} "
            f"--theta2 teff={teff_2:g} --c {C:g} --resolution 50000 --vsini 8 --rv 20 -o {path}"
        )


def _job(library: Path, store: Path, workers: int | None) -> BuildConfig:
    data = {
        "library": str(library), "output": str(store),
        "orders": {"n": _N_ORDERS, "range": [5005, 5295]},
        "emulator": {"max_rv": 50.0, "max_vsini": 50.0, "min_resolution": 20_000.0},
        "workers": workers, "overwrite": True,
    }  # fmt: skip
    return make_build_job(data, "mixjobs demo")
