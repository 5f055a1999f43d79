"""The spotted star S1063 in M67, from its published files to the posterior.

``python -m validation.s1063 [--small] [--report] [--out FOLDER]`` builds a store from the nine
libraries, one for each IGRINS order, samples the nine observed orders together and each of them
alone, on two workers, and prints the posteriors beside the published results. Nothing is stitched,
converted or renamed beforehand. An interrupted run continues where it stopped. The files are those
of the public repository BrownDwarf/subsub on GitHub (MIT licence), which accompanies the paper on
this star (ApJ, 2022).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import mixjobs
from mixjobs.cluster import connect
from mixjobs.config.cluster import ClusterConfig
from mixjobs.inference.interval import Interval
from mixjobs.inference.summary import Summary
from validation.real_data import real_data

STEPS = 6_000  # at most
ORDERS = (106, 107, 109, 110, 113, 114, 116, 118, 119)
JOB = """\
output = "run"
store = "s1063.zarr"
[[spectra]]
file = "{spectra}"
resolution = 45000
[continuum]
degree = 3
[parameters]
teff_1 = {{ uniform = [4400, 5300] }}
teff_2 = {{ uniform = [3000, 4500] }}
logg = {{ normal = [3.5, 0.2] }}
feh = {{ normal = [0.0, 0.05] }}
rv = {{ uniform = [30, 60] }}
vsini = {{ uniform = [0, 30] }}
[sampling]
max_steps = {steps}
by_order = true
"""
# Adopted in the paper over the nine orders, and the standard error where it gives one.
PUBLISHED = {
    "teff_1": ("T_amb, K", 5200.0, None),
    "teff_2": ("T_spot, K", 4000.0, 200.0),
    "c": ("filling factor of the spots", 0.32, 0.07),
    "vsini": ("v sin i, km/s", 10.0, 1.0),
    "rv": ("radial velocity, km/s", 44.0, None),
}
_POINTS = ({"teff": 5200.0, "logg": 3.5, "feh": 0.0}, {"teff": 4000.0, "logg": 3.5, "feh": 0.0})


def build(folder: Path, small: bool) -> mixjobs.Store:
    """Build the store from the libraries, as they are; an existing one is opened."""
    path = folder / "s1063.zarr"
    if path.is_dir():
        return mixjobs.open_store(path)
    library = real_data("s1063/PHOENIX_IGRINS_m110.hdf5").with_name("PHOENIX_IGRINS_m*.hdf5")
    settings = mixjobs.EmulatorSettings(
        max_rv=80, max_vsini=30, min_resolution=30_000, max_rank=8 if small else 64
    )
    return mixjobs.build(library, _spectra(), path, emulator=settings, table=False)


def _spectra() -> str:
    """Return the pattern of the observed spectra."""
    return str(real_data("s1063/S1063_IGRINS_m110.hdf5").with_name("S1063_IGRINS_m*.hdf5"))


def sample(folder: Path) -> None:
    """Sample all orders together and each alone, or continue; figures go into the folder."""
    job = folder / "job.toml"
    job.write_text(JOB.format(spectra=_spectra(), steps=STEPS), encoding="utf-8")
    with connect(ClusterConfig(workers=2)) as client:
        run = mixjobs.sample(job, client, resume=(folder / "run").is_dir())
    for name, figure in run.plot.all().items():
        figure.savefig(folder / f"{name}.png")


def report(folder: Path) -> str:
    """Return the flux ratio of order 110, and the posterior beside the published values."""
    q = mixjobs.load_flux_ratio(folder / "s1063.zarr")(*_POINTS)
    lines = [
        f"q of order 110 at 4000 K over 5200 K, log g 3.5, [Fe/H] 0: {q[ORDERS.index(110)]:.4f}",
    ]
    if not (folder / "run").is_dir():
        return lines[0]
    run = mixjobs.open_run(folder / "run")
    draws = run.posterior["posterior"].dataset
    lines += [
        "",
        "| | median | 16 to 84 % | published |",
        "|---|---|---|---|",
    ]
    for name, (label, value, error) in PUBLISHED.items():
        low, middle, high = np.quantile(draws[name], [0.16, 0.5, 0.84])
        stated = f"{value:g}" + (f" ± {error:g}" if error else "")
        lines.append(f"| {label} | {middle:.4g} | {low:.4g} to {high:.4g} | {stated} |")
    _draw(folder, {name: np.ravel(draws[name]) for name in PUBLISHED})
    return "\n".join([*lines, "", *_orders_alone(run.summary())])


def _orders_alone(summary: Summary) -> list[str]:
    """Return a table of the orders fitted alone, and of the pooled results."""
    alone = summary.orders_alone
    if alone is None:
        return []
    names = ("teff_1", "teff_2", "c", "vsini")
    lines = ["| order | " + " | ".join(names) + " |", "|---" * 5 + "|"]
    for fit in alone.fits:
        cells = [_half_width(fit.estimates[name].interval) for name in names]
        lines.append(f"| {fit.number} | " + " | ".join(cells) + " |")
    pooled = [alone.pooled[name] for name in names]
    lines.append("| pooled | " + " | ".join(f"{p.mean:.4g} ± {p.sd:.2g}" for p in pooled) + " |")
    limits = " | ".join(f"< {p.scatter_limit:.2g}" for p in pooled)
    return [*lines, f"| scatter (95 %) | {limits} |", "", *alone.notes]


def _half_width(interval: Interval) -> str:
    low, high = interval.interval_68
    return f"{interval.median:.4g} ± {(high - low) / 2:.2g}"


def _draw(folder: Path, draws: dict[str, np.ndarray]) -> None:
    """Draw the marginal posteriors, with the published values."""
    figure = Figure(figsize=(12, 2.6), layout="constrained")
    panels = figure.subplots(1, len(PUBLISHED))
    for panel, (name, (label, value, error)) in zip(panels, PUBLISHED.items(), strict=True):
        panel.hist(draws[name], bins=40, density=True, color="#0072b2", alpha=0.7)
        if error:
            panel.axvspan(value - error, value + error, color="#d55e00", alpha=0.2)
        panel.axvline(value, color="#d55e00")
        panel.set(xlabel=label, yticks=[])
    figure.savefig(folder / "s1063.png", dpi=130)


def main() -> None:
    """Build, sample and report."""
    parser = argparse.ArgumentParser(prog="python -m validation.s1063", description=__doc__)
    parser.add_argument("--small", action="store_true", help="only build the store, roughly")
    parser.add_argument("--report", action="store_true", help="only print what is there")
    parser.add_argument("--out", type=Path, default=Path("s1063"), help="folder for the results")
    arguments = parser.parse_args()
    folder = arguments.out / ("s1063-small" if arguments.small else "s1063")
    folder.mkdir(parents=True, exist_ok=True)
    if not arguments.report:
        build(folder, arguments.small)
        if not arguments.small:
            sample(folder)
    print(report(folder))


if __name__ == "__main__":
    main()
