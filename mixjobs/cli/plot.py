"""``mixjobs plot``: the figures of a store, a run or an observed spectrum."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from mixjobs.cli.options import spectrum_options
from mixjobs.errors import InvalidInput, MissingFile
from mixjobs.file_patterns import is_pattern
from mixjobs.inference.run import open_run
from mixjobs.inference.run_folder import is_run
from mixjobs.observed.opening import open_spectrum
from mixjobs.store.format import open_store, partial_path


def plot(args: Namespace) -> None:
    """Draw the figures of a store, a run or a spectrum, and print the names of the files."""
    path = Path(args.store)
    partial = partial_path(path).exists()
    if not (path.exists() or partial or is_pattern(path)):
        raise MissingFile(f"{path}: no such store, run or spectrum; check the path", path=path)
    if is_run(path):
        figures = _plot_run(args)
    else:
        figures = _plot_store(args) if partial or path.is_dir() else _plot_spectrum(args)
    for figure in figures:
        print(figure)


def _plot_run(args: Namespace) -> Iterator[Path]:
    _refuse_options(args, "a run")
    _refuse_spectrum_options(args)
    paths: Iterator[Path] = open_run(args.store).plot.save(args.output)
    return paths


def _plot_store(args: Namespace) -> Iterator[Path]:
    _require_output(args)
    _refuse_spectrum_options(args)
    store = open_store(args.store)
    paths: Iterator[Path] = store.plot.save(args.output, args.theta1, args.method)
    return paths


def _plot_spectrum(args: Namespace) -> Iterator[Path]:
    _refuse_options(args, "an observed spectrum")
    _require_output(args)
    observed = open_spectrum(args.store, **spectrum_options(args))
    paths: Iterator[Path] = observed.plot.save(args.output)
    return paths


def _refuse_spectrum_options(args: Namespace) -> None:
    for name, value in spectrum_options(args).items():
        raise InvalidInput(
            f"{args.store}: {name} describes an observed spectrum, but this is none; leave it out",
            path=args.store,
            name=name,
            value=value,
        )


def _refuse_options(args: Namespace, kind: str) -> None:
    for name in ("theta1", "method"):
        if getattr(args, name) is not None:
            raise InvalidInput(
                f"{args.store}: this is {kind}, but --{name} is for the flux ratios of a store; "
                "leave it out",
                path=args.store,
                name=name,
                value=getattr(args, name),
            )


def _require_output(args: Namespace) -> None:
    if args.output is None:
        raise InvalidInput(
            f"{args.store}: no folder for the figures; name one with --output", name="output"
        )
