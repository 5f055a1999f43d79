"""The parser of the command line.

argparse is used because ``mixjobs --help`` must start in a few tens of milliseconds: importing
cyclopts alone takes seven times as long as an empty Python program. Only the options of the chosen
command are built, since their models need pydantic.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from typing import Any

from mixjobs.cli.command_parser import CommandParser
from mixjobs.cli.options import (
    FieldOptions,
    parse_floats,
    parse_integers,
    parse_number,
    parse_number_or_list,
    parse_positive,
    parse_range,
    parse_scan,
    parse_theta,
    reader,
)

_CLUSTERS = (
    "allocation: use the whole current Slurm allocation; slurm: submit Slurm jobs; FILE.toml: as "
    "described in its table [cluster]"
)
_THETA1 = "parameters of component 1, such as 6000,4.0,0 or teff=6000,logg=4,feh=0"
METHODS = ("cubic", "linear", "simplex", "pairwise", "blackbody")  # of a flux ratio

_DESCRIPTION = """\
Fit stars whose spectrum is a mixture of two photospheres: spotted stars, unresolved binaries and
veiled stars. mixjobs measures how bright each component is in every echelle order, and samples
the temperatures, the filling factor and the velocities of the mixture."""
_EPILOG = """\
To try everything on a small artificial library:
  mixjobs demo

A typical session, from a library and an observed spectrum to the parameters of a star:
  mixjobs info grid.hdf5
  mixjobs build grid.hdf5 -o ratios.zarr --orders-from star.hdf5 --emulator
  mixjobs check ratios.zarr
  mixjobs sample job.toml --workers 4
  mixjobs summary run

Theta is a point of the library's grid. Give it in the order of the library's parameters, or by
name; `mixjobs info` lists the parameters. The flux ratio q is component 2 over component 1:
  mixjobs ratio ratios.zarr --theta1 6000,4.0,-1.5 --theta2 teff=5000,logg=4.0,feh=-1.5

`mixjobs COMMAND --help` describes the options of a command. To complete commands and options with
the Tab key, add this line to your shell's startup file:
  eval "$(register-python-argcomplete --no-defaults mixjobs)" """


class _Version(argparse.Action):
    """Print the version, which takes time to look up."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version

        print(f"mixjobs {version('mixjobs')}")
        parser.exit()


def parser(commands: Iterable[str] | None = None) -> CommandParser:
    """Return the parser of the command line.

    Parameters
    ----------
    commands : iterable of str, optional
        The commands whose options are built; all of them if not given.
    """
    top = CommandParser(
        prog="mixjobs",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument(
        "--version", action=_Version, nargs=0, default=argparse.SUPPRESS,
        help="print the version and exit",
    )  # fmt: skip
    subcommands = top.add_subparsers(
        title="commands", metavar="COMMAND", dest="command", required=True
    )
    for name, (help, example, add_options) in COMMANDS.items():
        top.commands[name] = subcommands.add_parser(
            name,
            help=help,
            description=help[0].upper() + help[1:] + ".",
            epilog=f"examples:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if commands is None or name in commands:
            add_options(top.commands[name])
    return top


def chosen_command(words: Iterable[str]) -> str | None:
    """Return the command among the words of a command line: the first that is not an option."""
    return next((word for word in words if not word.startswith("-")), None)


def _add_demo(sub: CommandParser) -> None:
    sub.add_argument(
        "folder", metavar="FOLDER", nargs="?", default="mixjobs-demo",
        help="folder to write to (default: mixjobs-demo)",
    )  # fmt: skip
    sub.add_argument(
        "--sample", action="store_true",
        help="also simulate a spotted star and sample its parameters, which takes a few minutes",
    )  # fmt: skip
    _add_workers(sub, "number of worker processes (default: one per core)")
    sub.add_argument("--overwrite", action="store_true", help="replace an earlier demo")


def _add_build(sub: CommandParser) -> None:
    from mixjobs.config.build import BuildConfig

    sub.add_argument(
        "source", metavar="LIBRARY|JOB.toml", nargs="+",
        help=f"{BuildConfig.model_fields['library'].description}; or a job file",
    )  # fmt: skip
    job = FieldOptions(sub, BuildConfig, sub.flags)
    job.add("output", "-o", "--output")
    job.add("format")
    _add_declarations(sub)
    _add_order_sources(sub)
    result = FieldOptions(sub.add_argument_group("contents of the store"), BuildConfig, sub.flags)
    result.add("select", nargs="+", action="extend")
    result.add("dtype")
    result.add(
        "table", "--no-table", dest="table",
        help="omit the ratio table of all pairs of grid points; models do not need it",
    )  # fmt: skip
    result.add("holes")
    _add_emulator(sub)
    group = sub.add_argument_group("execution")
    execution = FieldOptions(group, BuildConfig, sub.flags)
    execution.add("workers")
    execution.add("serial")
    execution.add("scheduler")
    _add_cluster_option(group)
    execution.add("block")
    execution.add("overwrite")
    group.add_argument(
        "--dry-run",
        action="store_true",
        help="print what the job would do and what it needs, and stop",
    )


def _add_declarations(sub: CommandParser) -> None:
    from mixjobs.config.build import BuildConfig

    group = sub.add_argument_group("declarations of the library")
    library = FieldOptions(group, BuildConfig, sub.flags)
    library.add("flux_unit")
    library.add("wavelength_unit")
    library.add("medium")
    library.add("names", nargs="+", action="extend")
    library.add("flux_scale")


def _add_spectrum_file(sub: CommandParser, *names: str) -> None:
    """Add options that say what the file of an observed spectrum does not."""
    from mixjobs.config.sample import SpectrumConfig

    group = sub.add_argument_group("declarations of an observed spectrum")
    spectrum = FieldOptions(group, SpectrumConfig, sub.flags)
    spectrum.add("columns", nargs="+", action="extend", metavar="QUANTITY=NAME")
    spectrum.add("snr", metavar="S/N")
    spectrum.add("format", "--reader")
    for name in names:
        spectrum.add(name)


def _add_order_sources(sub: CommandParser) -> None:
    from mixjobs.config.build import OrdersConfig

    group = sub.add_argument_group("source of the orders (give one)")
    orders = FieldOptions(group, OrdersConfig, sub.flags, "orders.")
    orders.add("from_file", "--orders-from", nargs="+", action="extend")
    orders.add("numbers")
    orders.add("columns", "--orders-columns", nargs="+", action="extend")
    orders.add("wavelength_unit", "--orders-wavelength-unit")
    orders.add("n", "--n-orders")
    orders.add("range", type=reader(parse_range, "Å"))
    orders.add("edges", type=reader(parse_floats, "Å"))
    orders.add("table", "--order-table")
    orders.add("medium", "--orders-medium")
    orders.add("margin", type=reader(parse_number, "KM/S"))
    orders.add("skip_uncovered")
    sub.flags["orders"] = "--orders-from, --n-orders, --edges and --order-table"


def _add_emulator(sub: CommandParser) -> None:
    from mixjobs.config.build import EmulatorConfig

    group = sub.add_argument_group(
        "emulator of the spectra (built if any of these options is given)"
    )
    group.add_argument(
        "--emulator", action="store_true", help="build an emulator with the default settings"
    )
    emulator = FieldOptions(group, EmulatorConfig, sub.flags, "emulator.")
    for name in EmulatorConfig.model_fields:
        emulator.add(name)


def _add_status(sub: CommandParser) -> None:
    sub.add_argument("store", metavar="STORE", help="the store that the build writes")
    _add_json(sub)


def _add_info(sub: CommandParser) -> None:
    sub.add_argument(
        "path",
        metavar="PATH",
        nargs="+",
        help="a library, in one file or several; a store; a run; or observed spectra",
    )
    _add_declarations(sub)
    _add_spectrum_file(sub)
    _add_json(sub)


def _add_ratio(sub: CommandParser) -> None:
    sub.add_argument("store", metavar="STORE", help="the store to use")
    _add_theta(sub, "--theta1", required=True, help=_THETA1)
    _add_theta(sub, "--theta2", required=True, help="parameters of component 2")
    _add_ratio_method(sub, "cubic", "cubic")
    _add_holes(sub)
    _add_json(sub)


def _add_holes(sub: CommandParser) -> None:
    from mixjobs.config.sample import ModelConfig

    FieldOptions(sub, ModelConfig, sub.flags).add("holes")


def _add_check(sub: CommandParser) -> None:
    sub.add_argument("store", metavar="STORE", help="the store to check")
    group = sub.add_argument_group(
        "planned fit", "Instead of the store, check whether its grid is dense enough for a star."
    )
    group.add_argument(
        "--coverage", type=reader(parse_theta, "STAR"), metavar="NAME=VALUE,...",
        help="estimate how often the regions of a fit would contain the truth: the parameters of "
        "the star, such as teff_1=5200,teff_2=4300,logg=4.5,feh=0,c=0.3,vsini=8",
    )  # fmt: skip
    group.add_argument(
        "--snr", type=reader(parse_number), metavar="S/N",
        help="signal-to-noise ratio per pixel, with four pixels per resolution element",
    )  # fmt: skip
    group.add_argument(
        "--orders", type=reader(parse_integers), metavar="21,22,...",
        help="the orders of the fit (default: all)",
    )  # fmt: skip
    group.add_argument(
        "--parameters", metavar="NAME,...", nargs="+",
        help="parameters that the fit determines (default: all); the others are held",
    )  # fmt: skip
    group.add_argument(
        "--epochs", type=reader(parse_positive), metavar="N",
        help="number of spectra of each order (default: 1)",
    )  # fmt: skip
    group.add_argument(
        "--resolution", type=reader(parse_number), metavar="R",
        help="resolving power of the instrument (default: the lowest that the emulator allows)",
    )  # fmt: skip
    _add_json(sub)


def _add_plot(sub: CommandParser) -> None:
    sub.add_argument(
        "store", metavar="STORE|RUN|SPECTRUM",
        help="a store, the folder of a run, or an observed spectrum (a file or a quoted pattern)",
    )  # fmt: skip
    sub.add_argument(
        "-o", "--output", metavar="FOLDER",
        help="folder for the figures (default for a run: RUN/figures)",
    )  # fmt: skip
    _add_theta(
        sub,
        "--theta1",
        help="parameters of component 1 (default: the grid point nearest the middle)",
    )
    _add_ratio_method(sub, None, "cubic, or simplex on an irregular grid")
    _add_spectrum_file(sub, "wavelength_unit", "medium")


def _add_spectrum(sub: CommandParser) -> None:
    sub.add_argument("store", metavar="STORE", help="a store with an emulator")
    sub.add_argument(
        "-o", "--output", metavar="FILE", nargs="+", action="extend", required=True,
        help="files to write, in the formats .ecsv, .h5 or .hdf5, .png, .pdf or .svg",
    )  # fmt: skip
    sub.add_argument("--overwrite", action="store_true", help="replace existing files")
    _add_components(sub)
    _add_pixels(sub)
    _add_json(sub)


def _add_components(sub: CommandParser) -> None:
    from mixjobs.config.sample import ModelConfig

    group = sub.add_argument_group("components")
    velocities = reader(parse_number_or_list, "KM/S")
    _add_theta(group, "--theta1", required=True, help=_THETA1)
    _add_theta(
        group, "--theta2",
        help="parameters of component 2; by name, those other than teff may be left out, and are "
        "then those of component 1",
    )  # fmt: skip
    group.add_argument(
        "--blackbody", metavar="TEFF", type=reader(parse_number, "TEFF"),
        nargs="+", action="extend",
        help="effective temperatures in K of further components that are blackbodies",
    )  # fmt: skip
    group.add_argument(
        "--c", type=reader(parse_number_or_list), metavar="C2,C3,...",
        help="filling factor (fraction of the solid angle) of each component after the first",
    )  # fmt: skip
    group.add_argument(
        "--rv", type=velocities, default=0.0, metavar="KM/S",
        help="radial velocity, or RV1,RV2 if the components differ (default: 0)",
    )  # fmt: skip
    group.add_argument(
        "--vsini", type=velocities, default=0.0, metavar="KM/S",
        help="projected rotation velocity, or VSINI1,VSINI2 (default: 0)",
    )  # fmt: skip
    group.add_argument(
        "--vary", type=reader(parse_scan), action="append", metavar="NAME=LOW:HIGH:N",
        help="vary one parameter, such as teff_2, rv or c: N evenly spaced values",
    )  # fmt: skip
    model = FieldOptions(group, ModelConfig, sub.flags)
    model.add("method")
    model.add("holes")


def _add_pixels(sub: CommandParser) -> None:
    from mixjobs.config.sample import ModelConfig, SpectrumConfig

    group = sub.add_argument_group("instrument and pixels")
    profile = group.add_mutually_exclusive_group()
    instrument = FieldOptions(profile, SpectrumConfig, sub.flags)
    instrument.add("resolution", type=reader(parse_number), metavar="R")
    instrument.add("fwhm", type=reader(parse_number, "KM/S"), metavar="KM/S")
    FieldOptions(group, ModelConfig, sub.flags).add("library_resolution", metavar="R")
    group.add_argument(
        "--wavelengths", metavar="FILE",
        help="use the pixels of this observed spectrum (default: those of the library)",
    )  # fmt: skip
    pixels = FieldOptions(group, SpectrumConfig, sub.flags)
    pixels.add("columns", nargs="+", action="extend", metavar="QUANTITY=NAME")
    pixels.add("wavelength_unit")
    pixels.add("medium")
    group.add_argument(
        "--orders", type=reader(parse_integers), metavar="21,22,...",
        help="compute only these orders (default: all)",
    )  # fmt: skip


def _add_sample(sub: CommandParser) -> None:
    sub.add_argument("job", metavar="JOB.toml", help="the job file, as below")
    group = sub.add_argument_group("execution")
    _add_workers(group, "number of worker processes that share the orders (default: none)")
    group.add_argument(
        "--serial", action="store_true", help="run in this process, whatever the job file says"
    )
    _add_cluster_option(group)
    group.add_argument(
        "--resume", action="store_true", help="continue the run if it exists, otherwise start it"
    )
    group.add_argument("--overwrite", action="store_true", help="replace an existing run")
    group.add_argument(
        "--dry-run",
        action="store_true",
        help="print the data, the parameters and their priors, and stop",
    )


def _add_summary(sub: CommandParser) -> None:
    sub.add_argument("run", metavar="RUN", help="the run folder")
    _add_json(sub)


def _add_cluster(sub: CommandParser) -> None:
    sub.add_argument(
        "cluster", metavar="KIND|FILE.toml", nargs="?", default="local",
        help=f"local: start processes on this machine; {_CLUSTERS} (default: local)",
    )  # fmt: skip
    sub.add_argument(
        "--show", action="store_true",
        help="print the script or command that starts the workers, and stop",
    )  # fmt: skip


def _add_theta(group: Any, flag: str, **settings: Any) -> None:
    group.add_argument(flag, type=reader(parse_theta, "THETA"), metavar="THETA", **settings)


def _add_ratio_method(group: Any, default: str | None, default_text: str) -> None:
    group.add_argument(
        "--method", choices=METHODS, default=default,
        help=f"interpolation between grid points (default: {default_text})",
    )  # fmt: skip


def _add_workers(group: Any, help: str) -> None:
    group.add_argument("--workers", type=reader(parse_positive), metavar="N", help=help)


def _add_cluster_option(group: Any) -> None:
    group.add_argument("--cluster", metavar="KIND|FILE.toml", help=_CLUSTERS)


def _add_json(sub: CommandParser) -> None:
    sub.add_argument("--json", action="store_true", help="print one JSON object and nothing else")


# Of each command: its help, examples, and the function that adds its options.
COMMANDS: dict[str, tuple[str, str, Callable[[CommandParser], None]]] = {
    "demo": (
        "try everything on a small artificial library",
        "mixjobs demo my-demo --workers 2",
        _add_demo,
    ),
    "info": (
        "describe a library, a store, a run or an observed spectrum",
        "mixjobs info grid.hdf5\n  mixjobs info 'star_m*.hdf5'",
        _add_info,
    ),
    "build": (
        "build a store of mean fluxes and flux ratios, and an emulator, from a library",
        "mixjobs build grid.hdf5 -o ratios.zarr --orders-from star.hdf5 --numbers 21,22,23\n"
        "  mixjobs build grid.hdf5 -o ratios.zarr --n-orders 20 --range 7000:50000 --workers 4\n"
        "  mixjobs build job.toml\n\n"
        "To continue an interrupted build, run the same command again.",
        _add_build,
    ),
    "status": (
        "show the progress of a build, from any machine that can see the store",
        "mixjobs status ratios.zarr",
        _add_status,
    ),
    "check": (
        "check the invariants of a store, and the interpolation error at held-out grid points",
        "mixjobs check ratios.zarr\n"
        "  mixjobs check ratios.zarr --coverage teff_1=5200,teff_2=4300,logg=4.5,feh=0 --snr 200",
        _add_check,
    ),
    "ratio": (
        "print the flux ratio of component 2 to component 1 in every order",
        "mixjobs ratio ratios.zarr --theta1 6000,4.0,0 --theta2 teff=6200,logg=5.0,feh=-1",
        _add_ratio,
    ),
    "spectrum": (
        "compute spectra of a star or a mixture, from a store with an emulator",
        "mixjobs spectrum ratios.zarr --theta1 6000,4.5,0 --theta2 teff=5700 --c 0.3 -o spot.ecsv\n"
        "  mixjobs spectrum ratios.zarr --theta1 6000,4.5,0 --wavelengths star.hdf5 -o a.h5 a.pdf\n"
        "  mixjobs spectrum ratios.zarr --theta1 6000,4.5,0 --theta2 teff=5700 --vary c=0:1:5 "
        "-o spots.png",
        _add_spectrum,
    ),
    "sample": (
        "sample the posterior of a star's parameters, as described by a job file",
        "mixjobs sample job.toml --workers 4\n"
        "  mixjobs sample job.toml --resume\n\n"
        "a minimal job file (docs/job_files.md describes all its keys):\n"
        '  output = "run"\n'
        '  store = "ratios.zarr"\n'
        "  parameters.teff_1 = { uniform = [4500, 5500] }\n"
        "  [[spectra]]\n"
        '  file = "star.hdf5"\n'
        "  resolution = 44000",
        _add_sample,
    ),
    "summary": (
        "summarise a run: medians, intervals, limits on c, convergence, and model comparison",
        "mixjobs summary run",
        _add_summary,
    ),
    "plot": (
        "draw the flux ratios of a store, the posterior, traces and best fit of a run, or an "
        "observed spectrum",
        "mixjobs plot ratios.zarr -o figures --theta1 6000,4.0,0\n  mixjobs plot run\n"
        "  mixjobs plot star.hdf5 -o figures",
        _add_plot,
    ),
    "cluster": (
        "test a cluster: start it, wait for a worker, print where it runs, and stop",
        "mixjobs cluster site.toml --show",
        _add_cluster,
    ),
}
