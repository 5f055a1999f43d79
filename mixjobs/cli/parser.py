"""The words of the `mixjobs` command."""

from __future__ import annotations

import argparse
from importlib.metadata import version
from typing import Any

from mixjobs.errors import InvalidInput
from mixjobs.interpolation import METHODS

_EPILOG = """\
examples:
  mixjobs demo                                        a whole job on a made-up library
  mixjobs build grid.hdf5 -o ratios.zarr --n-orders 20
  mixjobs ratio ratios.zarr --theta1 6000,4.0,0 --theta2 teff=5000,logg=4.0,feh=0
  mixjobs check ratios.zarr                           how good each way of interpolating is

theta is given in the library's parameter order (6000,4.0,0) or by name (teff=6000,logg=4.0),
with = before a minus sign (--theta1=-1.5,4.0);
`mixjobs info PATH` shows the parameters. q is always component 2 over component 1.
`mixjobs COMMAND --help` explains each command."""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, as every error of mixjobs."""

    def error(self, message: str) -> Any:
        raise InvalidInput(f"{message}; see {self.prog} --help")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command."""
    top = _Parser(
        prog="mixjobs",
        description="Flux-ratio tables and two-component mixtures from raw stellar libraries.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"mixjobs {version('mixjobs')}")
    subcommands = top.add_subparsers(
        title="commands", metavar="COMMAND", dest="command", required=True
    )
    for add in (
        _add_demo, _add_build, _add_status, _add_info, _add_ratio, _add_check, _add_plot,
        _add_spectrum, _add_sample, _add_summary, _add_cluster,
    ):  # fmt: skip
        add(subcommands)
    return top


def _command(subcommands: Any, name: str, help: str, example: str) -> Any:
    return subcommands.add_parser(
        name,
        help=help,
        description=help[0].upper() + help[1:] + ".",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_demo(subcommands: Any) -> None:
    sub = _command(
        subcommands, "demo",
        "make a demo library, run the whole job on it, check it and draw a figure",
        "mixjobs demo my-demo --workers 2",
    )  # fmt: skip
    sub.add_argument("folder", metavar="DIR", nargs="?", default="mixjobs-demo")
    sub.add_argument(
        "--sample", action="store_true",
        help="also simulate a star, and sample its parameters: some minutes more",
    )  # fmt: skip
    sub.add_argument(
        "--workers", type=_positive, metavar="N", help="processes (default: all cores)"
    )
    sub.add_argument("--overwrite", action="store_true", help="replace an earlier demo in DIR")


def _add_build(subcommands: Any) -> None:
    sub = _command(
        subcommands, "build",
        "build a store of mean fluxes and flux ratios from a library",
        "mixjobs build grid.hdf5 -o ratios.zarr --orders-from star.hdf5 --numbers 21,22,23\n"
        "  mixjobs build grid.hdf5 -o ratios.zarr --n-orders 20 --range 7000:50000 --workers 4\n"
        "  mixjobs build job.toml\n\n"
        "An interrupted build goes on when the same command is given again.",
    )  # fmt: skip
    sub.add_argument("source", metavar="LIBRARY|JOB.toml",
                     help="the raw library (a Starfish HDF5 file, or a directory of PHOENIX HiRes "
                     "FITS files), or a job file")  # fmt: skip
    sub.add_argument("-o", "--output", metavar="STORE", help="the store to make, such as q.zarr")
    sub.add_argument(
        "--format", help="the library's, starfish or phoenix (default: found by looking)"
    )
    _add_orders(sub.add_argument_group("orders (one of them)"))
    what = sub.add_argument_group("what is computed")
    what.add_argument("--select", nargs="+", action="extend", metavar="NAME=LOW:HIGH",
                      help="use only these points")  # fmt: skip
    what.add_argument("--dtype", choices=("float64", "float32"), help="of the ratio table")
    what.add_argument("--no-table", dest="table", action="store_const", const=False,
                      help="leave out the N x N table; a model needs the means alone")  # fmt: skip
    what.add_argument("--assume-raw", action="store_const", const=True,
                      help="take the spectra as raw, just as they are in the file")  # fmt: skip
    _add_emulator(sub.add_argument_group("emulator of the spectra (any of these asks for it)"))
    how = sub.add_argument_group("how it is run")
    how.add_argument(
        "--workers", type=_positive, metavar="N", help="processes (default: all cores)"
    )
    how.add_argument("--serial", action="store_const", const=True, help="in this process alone")
    how.add_argument("--scheduler", metavar="ADDRESS",
                     help="a Dask scheduler that runs already, or its scheduler file")  # fmt: skip
    how.add_argument("--cluster", metavar="KIND|FILE.toml",
                     help="allocation: all of the Slurm allocation that we run in; slurm: Slurm "
                     "jobs of its own; or a file with a table [cluster]")  # fmt: skip
    how.add_argument("--block", type=_numbers, metavar="ORDERS,POINTS", help="of one task")
    how.add_argument("--overwrite", action="store_const", const=True, help="replace STORE")
    how.add_argument("--dry-run", action="store_true", help="print what would be done, and stop")


def _add_orders(group: Any) -> None:
    group.add_argument("--orders-from", metavar="FILE", help="an observed spectrum's orders")
    group.add_argument("--numbers", type=_numbers, metavar="21,22", help="only these of its orders")
    group.add_argument("--n-orders", type=_positive, metavar="N", help="equal in log wavelength")
    group.add_argument("--range", metavar="LOW:HIGH", help="of --n-orders, Å (default: all)")
    group.add_argument("--edges", metavar="E0,E1,...", help="edges of adjacent orders, Å")
    group.add_argument("--order-table", metavar="FILE", help="text: number wave_min wave_max")
    group.add_argument("--skip-uncovered", action="store_const", const=True,
                       help="leave out orders that the library does not cover")  # fmt: skip


def _add_emulator(group: Any) -> None:
    group.add_argument("--emulator", action="store_true", help="make one, with these defaults")
    group.add_argument("--max-rv", type=float, metavar="KMS", help="largest velocity (200)")
    group.add_argument("--max-vsini", type=float, metavar="KMS", help="largest rotation (150)")
    group.add_argument("--min-resolution", type=float, metavar="R",
                       help="lowest resolving power (10000)")  # fmt: skip
    group.add_argument("--short-buffer", choices=("refuse", "skip", "shrink"),
                       help="where the library does not reach so far (refuse)")  # fmt: skip
    group.add_argument("--step", type=float, metavar="KMS",
                       help="of its grid (the library's own)")  # fmt: skip
    group.add_argument("--explained-variance", type=float, metavar="V",
                       help="components for this part of the variance (0.999)")  # fmt: skip
    group.add_argument("--max-residual", type=float, metavar="E",
                       help="and for this error of the worst pixel (0.02)")  # fmt: skip
    group.add_argument("--max-rank", type=_positive, metavar="K", help="but not more (64)")
    group.add_argument("--rank", type=_positive, metavar="K", help="just so many")


def _add_status(subcommands: Any) -> None:
    sub = _command(
        subcommands, "status",
        "say how far a build has come, from its partial store alone, on any machine",
        "mixjobs status ratios.zarr",
    )  # fmt: skip
    sub.add_argument("store", metavar="STORE")
    _add_json(sub)


def _add_cluster(subcommands: Any) -> None:
    sub = _command(
        subcommands, "cluster",
        "try a cluster: start it, wait for a worker, say where it runs, and leave",
        "mixjobs cluster site.toml --show",
    )  # fmt: skip
    sub.add_argument("cluster", metavar="KIND|FILE.toml", nargs="?", default="local",
                     help="as for mixjobs build --cluster (default: local)")  # fmt: skip
    sub.add_argument("--show", action="store_true",
                     help="print the script or command that starts workers, and stop")  # fmt: skip


def _add_info(subcommands: Any) -> None:
    sub = _command(
        subcommands, "info",
        "say what a library or a store holds: grid, axes, holes, orders, raw or not",
        "mixjobs info grid.hdf5",
    )  # fmt: skip
    sub.add_argument("path", metavar="PATH")
    _add_json(sub)


def _add_ratio(subcommands: Any) -> None:
    sub = _command(
        subcommands, "ratio",
        "print the flux ratio of component 2 to component 1 in every order",
        "mixjobs ratio ratios.zarr --theta1 6000,4.0,0 --theta2 teff=6200,logg=5.0,feh=-1",
    )  # fmt: skip
    sub.add_argument("store", metavar="STORE")
    sub.add_argument("--theta1", required=True, help="component 1: 6000,4.0,0 or teff=6000,...")
    sub.add_argument("--theta2", required=True, help="component 2")
    sub.add_argument("--method", choices=METHODS, default="cubic")
    _add_json(sub)


def _add_check(subcommands: Any) -> None:
    sub = _command(
        subcommands, "check",
        "check a store's laws, and how well each method predicts held-out grid points",
        "mixjobs check ratios.zarr",
    )  # fmt: skip
    sub.add_argument("store", metavar="STORE")
    _add_json(sub)


def _add_plot(subcommands: Any) -> None:
    sub = _command(
        subcommands, "plot",
        "draw a store's flux ratios, or what a run has found: corner, traces, fits",
        "mixjobs plot ratios.zarr -o figures --theta1 6000,4.0,0\n  mixjobs plot run",
    )  # fmt: skip
    sub.add_argument("store", metavar="STORE|RUN")
    sub.add_argument("-o", "--output", metavar="DIR", help="(default for a run: RUN/figures)")
    sub.add_argument("--theta1", help="component 1 (default: the grid point in the middle)")
    sub.add_argument("--method", choices=METHODS, default="cubic")


def _add_spectrum(subcommands: Any) -> None:
    sub = _command(
        subcommands, "spectrum",
        "write spectra of a star, or of a mixture of two, from a store with an emulator",
        "mixjobs spectrum ratios.zarr --theta1 6000,4.5,0 --theta2 teff=5700 --c 0.3 -o spot.ecsv\n"
        "  mixjobs spectrum ratios.zarr --theta1 6000,4.5,0 --wavelengths star.hdf5 -o a.h5 a.pdf\n"
        "  mixjobs spectrum ratios.zarr --theta1 6000,4.5,0 --theta2 teff=5700 --vary c=0:1:5 "
        "-o spots.png",
    )  # fmt: skip
    sub.add_argument("store", metavar="STORE")
    sub.add_argument("-o", "--output", metavar="FILE", nargs="+", action="extend", required=True,
                     help="files to write: .ecsv, .h5 or .hdf5, .png, .pdf or .svg")  # fmt: skip
    sub.add_argument("--overwrite", action="store_true", help="replace files that are there")
    what = sub.add_argument_group("components")
    what.add_argument("--theta1", required=True, help="component 1: 6000,4.0,0 or teff=6000,...")
    what.add_argument("--theta2", help="component 2; by name, what is left out is theta1's")
    what.add_argument("--black-body", type=float, nargs="+", action="extend", metavar="TEFF",
                      help="further components")  # fmt: skip
    what.add_argument("--c", help="solid-angle fraction of component 2, 0 to 1; C2,C3,... of more")
    what.add_argument("--rv", default="0", help="km/s; RV1,RV2 where they differ (default: 0)")
    what.add_argument("--vsini", default="0", help="km/s; or VSINI1,VSINI2 (default: 0)")
    what.add_argument("--vary", metavar="NAME=LOW:HIGH:N", action="append",
                      help="N spectra along one parameter, such as teff_2, rv or c")  # fmt: skip
    what.add_argument("--method", choices=("cubic", "linear", "simplex"),
                      help="between grid points (default: cubic, or simplex where the grid is "
                      "irregular)")  # fmt: skip
    where = sub.add_argument_group("instrument and pixels")
    profile = where.add_mutually_exclusive_group()
    profile.add_argument("--resolution", type=float, help="resolving power (default: none)")
    profile.add_argument("--fwhm", type=float, help="the same in km/s")
    where.add_argument("--library-resolution", type=float, metavar="R",
                       help="the library's own, taken off in quadrature")  # fmt: skip
    where.add_argument("--wavelengths", metavar="FILE",
                       help="an observed spectrum (default: the library's pixels)")  # fmt: skip
    where.add_argument("--medium", choices=("air", "vacuum"),
                       help="of FILE where it does not say (default: the library's)")  # fmt: skip
    where.add_argument("--orders", type=_numbers, metavar="21,22", help="only these")
    _add_json(sub)


def _add_sample(subcommands: Any) -> None:
    sub = _command(
        subcommands, "sample",
        "sample the posterior of a star's, or a mixture's, parameters, from a job file",
        "mixjobs sample job.toml --workers 4\n"
        "  mixjobs sample job.toml --resume\n\n"
        "docs/sampling.md explains the job file.",
    )  # fmt: skip
    sub.add_argument("job", metavar="JOB.toml")
    how = sub.add_argument_group("how it is run")
    how.add_argument("--workers", type=_positive, metavar="N",
                     help="processes that share the orders (default: this one alone)")  # fmt: skip
    how.add_argument("--serial", action="store_true", help="in this process, whatever the job says")
    how.add_argument("--cluster", metavar="KIND|FILE.toml", help="as for mixjobs build")
    how.add_argument("--resume", action="store_true",
                     help="go on with the run that is there, or begin one")  # fmt: skip
    how.add_argument("--overwrite", action="store_true", help="replace the run that is there")
    how.add_argument("--dry-run", action="store_true",
                     help="print data, parameters and priors, and stop")  # fmt: skip


def _add_summary(subcommands: Any) -> None:
    sub = _command(
        subcommands, "summary",
        "print what a run has found: medians, intervals, the upper limit on c, one star or two",
        "mixjobs summary run",
    )  # fmt: skip
    sub.add_argument("run", metavar="RUN")
    _add_json(sub)


def _add_json(sub: Any) -> None:
    sub.add_argument("--json", action="store_true", help="print one JSON object, nothing else")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 up")
    return int(text)


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a list of whole numbers such as 21,22"
        ) from None
