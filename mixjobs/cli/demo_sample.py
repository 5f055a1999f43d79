"""``mixjobs demo --sample``: the posterior of a simulated spotted star."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from mixjobs.builder.emulator import EmulatorSettings
from mixjobs.builder.job import build
from mixjobs.cli.options import say
from mixjobs.cli.signals import stop_if_told
from mixjobs.demo.spotted_star import (
    JOB,
    LIBRARY,
    MAX_RV,
    MAX_VSINI,
    MIN_RESOLUTION,
    ORDERS,
    TRUTH,
    observe,
)
from mixjobs.inference.sample import sample
from mixjobs.observed.writer import write_spectrum
from mixjobs.report.job import ConsoleReport
from mixjobs.report.summary import truth_table


def sample_star(folder: Path, max_steps: int = 5000) -> None:
    """Simulate a spotted star, sample its parameters, and compare them with the truth."""
    library, store, job = folder / "star-library.hdf5", folder / "star.zarr", folder / "sample.toml"
    say(f"writing {library}: {len(LIBRARY.points)} spectra of {len(LIBRARY.wavelength)} pixels")
    LIBRARY.write(library)
    emulator = EmulatorSettings(max_rv=MAX_RV, max_vsini=MAX_VSINI, min_resolution=MIN_RESOLUTION)
    build(library, ORDERS, store, emulator=emulator, table=False, overwrite=True)
    attributes = {"medium": LIBRARY.medium, "barycentric_velocity": 0.0}
    write_spectrum(folder / "star.ecsv", observe(), attributes)
    job.write_text(JOB.format(max_steps=max_steps), encoding="utf-8")
    say(f"mixjobs sample {job}")
    run = sample(job, None, ConsoleReport(tables=True, stop=stop_if_told), overwrite=True)
    print(run.summary())
    Console().print(truth_table(run, TRUTH))
    say(f"next: mixjobs summary {run.path}; mixjobs plot {run.path}")
