"""The inputs whose messages are collected, by command."""

import os
import shutil
import warnings
from pathlib import Path

import mixjobs
from mixjobs.cli.parser import COMMANDS
from mixjobs.demo.library import DemoLibrary
from mixjobs.wavelengths import vacuum_to_air
from tests.cli import test_bad_input as bad
from tests.cli import test_cluster as clusters
from tests.cli import test_sample as samples
from tests.cli import test_spectrum as spectra
from tests.helpers import small_fits
from tests.helpers.split_libraries import split, write_part
from tests.messages.collect import help_text

_EDGES = "5003,5012,5020,5027"
_ORDERS = ["--serial", "--edges", _EDGES]
_EMULATOR = ["--max-rv", "30", "--max-vsini", "20", "--min-resolution", "20000"]
_RATIO = ["ratio", "q.zarr", "--theta2", "6000,4.5,0", "--theta1"]


def _enter(collector, name, *files):
    """Work in a new folder, with copies of some files of the folder that all sections share."""

    folder = collector.root / name
    folder.mkdir()
    os.chdir(folder)
    for file in files:
        source = collector.root / file
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, folder / Path(file).name)
    return folder


def help_of_commands(collector):
    """The help of the program and of each command."""
    collector.section("help")
    collector.add("mixjobs --help", help_text())
    for name in COMMANDS:
        collector.add(f"mixjobs {name} --help", help_text(name))


def libraries(collector):
    """`mixjobs build` and `mixjobs info` with damaged libraries."""
    axes = {"teff": (5600, 5800, 6000), "logg": (4.0, 4.5), "feh": (-0.5, 0.0)}
    (collector.root / "shared").mkdir()
    DemoLibrary(axes, wave_max=5030.0, n_pixels=1024).write(
        collector.root / "shared" / "library.hdf5"
    )
    collector.section("build: damaged libraries")
    for number, (fault, (spoil, _)) in enumerate(bad.LIBRARIES.items()):
        folder = _enter(collector, f"library-{number}", "shared/library.hdf5")
        spoil(folder / "library.hdf5")
        words = ["build", "library.hdf5", "-o", "q.zarr", "--serial", *bad.TWO_ORDERS]
        collector.error(fault, words)


def libraries_in_files(collector):
    """`mixjobs build` and `mixjobs info` with a library in several files."""
    collector.section("build: libraries in several files")
    folder = _enter(collector, "files", "shared/library.hdf5")
    ranges = ((0, 400), (300, 600), (800, 1024))
    split(folder / "library.hdf5", folder, ranges)
    write_part(folder / "library.hdf5", folder / "twice.hdf5", 200, 500, factor=2)
    write_part(folder / "library.hdf5", folder / "points.hdf5", 500, 900, drop=(3,))
    words = ["-o", "q.zarr", "--serial", "--no-table"]
    pattern = ["build", "part_m*.hdf5", *words]
    collector.error("no file matches", ["build", "m*.hdf5", *words, "--edges", "5005,5010"])
    collector.error("an order in a gap", [*pattern, "--edges", "5005,5010,5020"])
    collector.error("a buffer in a gap", [*pattern, "--edges", "5012,5016", "--emulator"])
    collector.error(
        "files that disagree",
        ["build", "part_m00.hdf5", "twice.hdf5", *words, "--edges", "5005,5010"],
    )
    collector.error("the same file twice", ["info", "part_m00.hdf5", "part_m00.hdf5"])
    words += ["--edges", "5005,5010", "--dry-run"]
    collector.output("a file without a point", ["build", "part_m00.hdf5", "points.hdf5", *words])
    collector.output("three files", ["info", "part_m*.hdf5"])


def build_options(collector):
    """`mixjobs build` with invalid options and job files."""
    collector.section("build: invalid options")
    folder = _enter(collector, "options", "shared/library.hdf5")
    bad.write_star(folder / "star.hdf5")
    words = ["build", "library.hdf5", "-o", "q.zarr", "--serial"]
    for fault, (options, _) in bad.BUILDS.items():
        collector.error(fault, [*words, *options.split()])
    for line in bad.WORDS:
        collector.error("words of the command line", line.split())
    collector.error("an emulator beyond the library", [*words, "--edges", _EDGES, "--emulator"])
    collector.section("build: invalid job files")
    for fault, (text, _) in bad.JOBS.items():
        Path("job.toml").write_text(text)
        collector.error(fault, ["build", "job.toml"])
    Path("job.toml").write_text(bad.GOOD)
    collector.error(
        "options that the file excludes", ["build", "job.toml", "--dtype", "float32", "-o", "a"]
    )
    collector.error("no such job file", ["build", "none.toml"])
    Path("folder.toml").mkdir()
    collector.error("a folder", ["build", "folder.toml"])


def builds(collector):
    """`mixjobs build`, `status`, `info`, `check` and `ratio` that succeed."""
    collector.section("build: a dry run, the job, and the job again")
    _enter(collector, "build", "shared/library.hdf5")
    words = ["build", "library.hdf5", "-o", "q.zarr"]
    collector.output("a dry run", [*words, "--edges", _EDGES, "--workers", "2", "--dry-run"])
    emulator = [*words, *_ORDERS, *_EMULATOR]
    collector.output("a dry run with an emulator", [*emulator, "--dry-run"])
    skipped = [
        *words,
        "--edges",
        "4000,4100,5003,5010",
        "--skip-uncovered",
        "--serial",
        "--dry-run",
    ]
    collector.output("orders that the library does not cover", skipped)
    short = [*words, *_ORDERS, "--max-vsini", "150", "--short-buffer", "skip"]
    collector.output("orders at the ends of the library", [*short, "--dry-run"])
    collector.output("a store with an emulator", emulator)
    collector.output("the same job again", emulator)
    collector.error("another job with the same output", [*words, *_ORDERS])
    collector.section("info, status, check and ratio: a store and two libraries")
    collector.output("a library", ["info", "library.hdf5"])
    axes = {"teff": (5000, 5200), "logg": (4.0, 4.5), "feh": (0.0,), "alpha": (0.0, 0.2)}
    folder = DemoLibrary(axes, n_pixels=256).write(Path("HiRes"), layout="phoenix")
    next(folder.glob("Z-0.0/lte05200-4.00*")).unlink()
    collector.output("a PHOENIX folder with a hole", ["info", "HiRes"])
    collector.output("a store", ["info", "q.zarr"], numbers=False)
    collector.output("the status of a complete store", ["status", "q.zarr"])
    collector.output("a check", ["check", "q.zarr"], numbers=False)
    collector.output("a flux ratio", [*_RATIO, "5700,4.2,-0.2"], numbers=False)
    collector.output("a flux ratio at grid points", [*_RATIO, "5600,4,0"], numbers=False)
    collector.output("figures", ["plot", "q.zarr", "-o", "figures"])
    _interrupt("half.zarr")
    collector.output("the status of a build that was stopped", ["status", "half.zarr"])
    collector.output("info of the same", ["info", "half.zarr"], numbers=False)
    shutil.rmtree("q.zarr/flux_ratio/c/1")
    collector.output("a check of a damaged ratio table", ["check", "q.zarr"], False, status=2)


def _interrupt(output):
    """Begin a build, and stop it."""

    def stop(stage, done, total):
        if stage == "mean_flux" and done > total // 2:
            raise KeyboardInterrupt

    orders = mixjobs.Orders.from_edges([5003, 5012, 5020])
    try:
        mixjobs.build("library.hdf5", orders, output, block=(1, 1), report=stop)
    except KeyboardInterrupt:
        return


def thetas_and_stores(collector):
    """`mixjobs ratio` and `info` with invalid theta and damaged stores."""
    collector.section("ratio: invalid theta")
    folder = _enter(collector, "holed")
    store = bad.holed_store(folder)
    for fault, (theta, _) in bad.THETAS.items():
        collector.error(fault, [*_RATIO, theta])
    collector.section("info, status and ratio: damaged stores")
    for number, (fault, (spoil, _)) in enumerate(bad.STORES.items()):
        folder = _enter(collector, f"store-{number}", store.relative_to(collector.root))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Consolidated metadata")  # from Zarr
            spoil(folder / "q.zarr")
        collector.error(fault, [*_RATIO, "6000,4,0"])
        collector.error(fault, ["info", "q.zarr"])
    _enter(collector, "nothing", store.relative_to(collector.root))
    collector.error("the status of nothing", ["status", "none.zarr"])
    collector.error("a store as a library", ["build", "q.zarr", "-o", "a.zarr", *_ORDERS])


def spectrum(collector):
    """`mixjobs spectrum`."""
    folder = _enter(collector, "spectrum")
    spectra.build_store(folder)
    spectra.write_observed(folder / "star.hdf5", vacuum_to_air)
    spectra.write_observed(folder / "declares.hdf5", vacuum_to_air, air=True)
    spectra.write_far(folder / "far.hdf5")
    (folder / "folder.h5").mkdir()
    (folder / "mine.h5").write_text("mine")
    collector.section("spectrum: invalid input")
    words = ["spectrum", "q.zarr"]
    for fault, (options, _) in spectra.REFUSED.items():
        orders = [] if "--orders" in options else spectra.ONE
        collector.error(fault, [*words, *options, *orders, "-o", "a.ecsv"])
    for fault, (options, _) in spectra.WAVELENGTHS.items():
        star = [*words, *spectra.STAR, "-o", "a.ecsv"]
        collector.error(fault, [*star, "--wavelengths", *options])
    for fault, (options, _) in spectra.OUTPUTS.items():
        collector.error(fault, [*words, *spectra.STAR, *spectra.ONE, "-o", *options])
    collector.error("a folder that is not writable", [*words, *spectra.STAR, "-o", "/proc/a.ecsv"])
    collector.section("spectrum: a mixture")
    mixture = [*words, *spectra.SPOT, "-o", "a.ecsv"]
    collector.output("a table of two orders", [*mixture, *spectra.FEW], numbers=False)
    observed = ["--wavelengths", "star.hdf5", "--medium", "air", "--overwrite"]
    collector.output("the pixels of an observed spectrum", [*mixture, *observed], numbers=False)


def sample(collector):
    """`mixjobs sample`, `summary` and `plot` of a run."""
    folder = _enter(collector, "sample")
    small_fits.build_store(folder)
    small_fits.write_star(folder / "star.ecsv", folder / "store.zarr")
    job = small_fits.JOB.format(output="run", store="store.zarr", star="star.ecsv", steps=20)
    collector.section("sample: invalid jobs")
    for fault, (old, new, _) in samples.FAULTS.items():
        Path("job.toml").write_text(job.replace(old, new))
        collector.error(fault, ["sample", "job.toml"])
    collector.section("sample, summary and plot: a dry run and a short run")
    Path("job.toml").write_text(job.replace("[4600, 5000]", "[4000, 5000]"))
    collector.output("a dry run", ["sample", "job.toml", "--dry-run"], numbers=False)
    collector.output("a short run", ["sample", "job.toml"], numbers=False)
    collector.error("the same again", ["sample", "job.toml"])
    collector.error("two options that exclude each other",
                    ["sample", "job.toml", "--resume", "--overwrite"])  # fmt: skip
    Path("job.toml").write_text(job.replace("seed = 3", "seed = 4"))
    collector.error("another job resumed", ["sample", "job.toml", "--resume"])
    collector.output("the summary", ["summary", "run"], numbers=False)
    collector.output("the figures", ["plot", "run"], numbers=False)
    collector.error("the status of a run", ["status", "run"])
    collector.error("the summary of nothing", ["summary", "none"])
    collector.error("the summary of a store", ["summary", "store.zarr"])


def cluster(collector):
    """`mixjobs cluster`."""
    collector.section("cluster")
    _enter(collector, "cluster")
    collector.output("on this machine", ["cluster", "--show"], numbers=False)
    Path("address.toml").write_text('[cluster]\nkind = "address"\nscheduler = "tls://a:1"\n')
    collector.output("a running scheduler", ["cluster", "address.toml", "--show"])
    for text in clusters.TABLES:
        Path("site.toml").write_text(text)
        collector.error(text.replace("\n", " ").strip(), ["cluster", "site.toml", "--show"])
    collector.error("an unknown kind", ["cluster", "pbs", "--show"])


def demo(collector):
    """`mixjobs demo`."""
    collector.section("demo")
    _enter(collector, "demo")
    collector.output("the demo", ["demo", "--workers", "1"], numbers=False)
    collector.error("the demo again", ["demo"])


SECTIONS = (
    help_of_commands, libraries, libraries_in_files, build_options, builds, thetas_and_stores,
    spectrum, sample, cluster, demo,
)  # fmt: skip
