"""``mixjobs spectrum``: spectra of a star or a mixture, as a table, an HDF5 file or a figure."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

from rich.console import Console

from mixjobs.cli.options import parse_columns, say
from mixjobs.errors import InvalidInput
from mixjobs.observed.opening import open_spectrum
from mixjobs.observed.spectrum import ObservedSpectrum
from mixjobs.report.spectrum import draw_spectra, spectrum_table
from mixjobs.store.spectra import Spectra, evaluate_spectra
from mixjobs.store.spectra_files import WRITERS, check_new, write_files

FIGURES = (".png", ".pdf", ".svg")
MAX_PANELS = 12  # orders in one figure


def spectrum(args: Namespace) -> dict[str, Any]:
    """Write the spectra of a mixture, and print a table of its orders."""
    outputs = [Path(output) for output in args.output]
    for output in outputs:
        _check_ending(output)
        check_new(output, overwrite=True)
    pixels = _pixels(args)
    spectra = evaluate_spectra(
        args.store, args.theta1, args.theta2, c=args.c, rv=args.rv, vsini=args.vsini,
        blackbodies=args.blackbody or (), vary=_scan(args.vary or ()), orders=args.orders,
        wavelengths=pixels, medium=args.medium, resolution=args.resolution,
        fwhm=args.fwhm, library_resolution=args.library_resolution, method=args.method,
        holes=args.holes,
    )  # fmt: skip
    files = _plan_files(outputs, spectra, args.wavelengths, args.overwrite)
    write_files(files)
    if not args.json:
        for message in spectra.messages:
            say(message)
        Console().print(spectrum_table(spectra))
        for path in files:
            print(path)
    return {**spectra.to_dict(), "files": [str(path) for path in files]}


def _scan(scans: Sequence[tuple[str, list[float]]]) -> Mapping[str, list[float]]:
    names = [name for name, _ in scans]
    if len({name.replace("_", "") for name in names}) < len(names):
        raise InvalidInput(f"--vary gives {names[0]} twice; give it once", name="vary")
    return dict(scans)


def _pixels(args: Namespace) -> ObservedSpectrum | None:
    if args.wavelengths is None:
        unused = [
            name for name in ("columns", "wavelength_unit") if getattr(args, name) is not None
        ]
        if unused:
            option = f"--{unused[0].replace('_', '-')}"
            raise InvalidInput(
                f"{option} describes the file of --wavelengths; give both, or neither",
                name=unused[0], value=getattr(args, unused[0]),
            )  # fmt: skip
        return None
    observed: ObservedSpectrum = open_spectrum(
        args.wavelengths,
        columns=parse_columns(args.columns or ()),
        wavelength_unit=args.wavelength_unit,
        errors_needed=False,
    )
    return observed


def _check_ending(output: Path) -> None:
    endings = (*WRITERS, *FIGURES)
    if output.suffix.lower() not in endings:
        raise InvalidInput(
            f"{output}: unknown file type {output.suffix!r}; use one of {', '.join(endings)}",
            path=output, value=output.suffix,
        )  # fmt: skip


def _plan_files(
    outputs: Sequence[Path], spectra: Spectra, observed: str | None, overwrite: bool
) -> dict[Path, Callable[[Path], None]]:
    """Return the files to write, and the function that writes each."""
    files: dict[Path, Callable[[Path], None]] = {}
    for output in outputs:
        for path, write in _writers(output, spectra):
            if path in files:
                raise InvalidInput(f"{path}: this output is given twice; give it once", path=path)
            if observed and path.exists() and path.samefile(observed):
                raise InvalidInput(
                    f"{path}: this would overwrite the observed spectrum; choose another name",
                    path=path,
                )
            check_new(path, overwrite)
            files[path] = write
    return files


def _writers(output: Path, spectra: Spectra) -> Iterator[tuple[Path, Callable[[Path], None]]]:
    """Yield the files of one output: several if a figure has too many orders."""
    ending = output.suffix.lower()
    if ending not in FIGURES:
        write = WRITERS[ending]
        yield output, lambda path: write(path, spectra)
        return
    rows, numbers = range(len(spectra.number)), spectra.number
    for first in range(0, len(rows), MAX_PANELS):
        panels = rows[first : first + MAX_PANELS]
        path = output
        if len(rows) > MAX_PANELS:
            orders = f"_orders_{numbers[panels[0]]}_to_{numbers[panels[-1]]}"
            path = output.with_stem(output.stem + orders)
        yield path, partial(_draw, spectra=spectra, rows=panels, format=ending[1:])


def _draw(path: Path, spectra: Spectra, rows: Sequence[int], format: str) -> None:
    image = BytesIO()  # matplotlib leaves a file open if the disk is full
    draw_spectra(spectra, rows).savefig(image, dpi=150, format=format)
    path.write_bytes(image.getvalue())
