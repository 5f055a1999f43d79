"""``mixjobs spectrum``: spectra of a star, or of a mixture, as a table, HDF5 or a figure."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from mixjobs.cli.options import say
from mixjobs.cli.spectrum_words import FIGURES, HDF5, Asked, plan_files, read_components
from mixjobs.errors import InvalidInput
from mixjobs.grid import describe
from mixjobs.interpolation import default_method
from mixjobs.model.mixture import MixtureModel
from mixjobs.observed.spectrum import open_spectrum
from mixjobs.report.spectrum import spectrum_table
from mixjobs.store.emulator import emulated_orders
from mixjobs.store.format import Store, open_store
from mixjobs.store.loading import load_mixture
from mixjobs.store.spectra_files import Spectra, write_ecsv, write_files, write_hdf5
from mixjobs.typing import Floats

PANELS = 12  # orders in one figure at most


def spectrum(args: Namespace) -> dict[str, Any]:
    """Write the spectra of a mixture, and print a table of its orders."""
    store = open_store(args.store)
    asked = read_components(args, store.grid)
    pixels = _pixels(args, store)
    files = plan_files(args, pixels.numbers, PANELS)
    model = load_mixture(
        args.store, asked.components, shared=asked.shared, orders=pixels.numbers,
        wavelengths=pixels.wavelengths, medium=pixels.medium, resolution=args.resolution,
        fwhm=args.fwhm, library_resolution=args.library_resolution, method=args.method,
    )  # fmt: skip
    spectra = evaluate(model, asked, _notes(args, store, pixels.medium))
    write_files({path: _writer(path, spectra, rows) for path, rows in files.items()})
    if not args.json:
        _print(spectra, files, pixels.notes)
    return _facts(spectra, files, pixels.notes)


def _notes(args: Namespace, store: Store, medium: str) -> dict[str, Any]:
    """What the files say of the spectra beside their parameters."""
    return {
        "store": str(args.store),
        "library": str(store.attributes["library"]),
        "wavelengths": str(args.wavelengths or "the library's pixels"),
        "medium": medium,
        "method": args.method or default_method(store.grid),
        "resolution": args.resolution or "none",
        "fwhm": args.fwhm or "none",
        "versions": {name: version(name) for name in ("mixjobs", "numpy", "scipy")},
    }


@dataclass(frozen=True, eq=False)
class _Pixels:
    """Orders that are wanted, and the pixels in them: the library's own, or of a file."""

    numbers: list[int]
    wavelengths: dict[int, Floats] | None
    medium: Any
    notes: list[str]


def _pixels(args: Namespace, store: Store) -> _Pixels:
    emulated = emulated_orders(store.path)
    # where there is no emulator at all, load_mixture says so
    have = [n for n in store.orders.number.tolist() if n in emulated or not emulated]
    if args.wavelengths is not None:
        return _observed_pixels(args, have, store.attributes["medium"])
    if args.medium:
        raise InvalidInput("--medium is that of --wavelengths; give both, or neither")
    without = [n for n in store.orders.number.tolist() if n not in have]
    notes = (
        [f"order {_listed(without)} left out: no emulator"] if without and not args.orders else []
    )
    return _Pixels(args.orders or have, None, store.attributes["medium"], notes)


def _observed_pixels(args: Namespace, have: Sequence[int], library: str) -> _Pixels:
    """Take the pixels of the observed spectrum in the orders that the store has too."""
    path, observed = args.wavelengths, open_spectrum(args.wavelengths)
    if observed.medium and args.medium not in (None, observed.medium):
        raise InvalidInput(f"--medium {args.medium}: {path} says {observed.medium}; leave it out")
    medium = observed.medium or args.medium or library
    by = "by --medium" if args.medium else "as the library's"
    notes = [f"{path}: wavelengths in {medium}, {'as it says' if observed.medium else by}"]
    waves = dict(zip(observed.orders.number.tolist(), observed.wavelength, strict=True))
    both = [number for number in waves if number in have]
    numbers = args.orders or both
    lacking = [number for number in numbers if number not in waves]
    if lacking or not numbers:
        fault = f"no order {lacking[0]}" if lacking else "none of the store's orders"
        raise InvalidInput(f"{path}: has {fault}; it has {_listed(waves)}, {_store_has(have)}")
    if not args.orders and len(both) < len(waves):
        left = _listed(number for number in waves if number not in both)
        notes.append(f"{path}: order {left} left out; {_store_has(have)}")
    return _Pixels(numbers, waves, medium, notes)


def _store_has(numbers: Iterable[int]) -> str:
    return f"the store has {_listed(numbers)}"


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


def evaluate(model: MixtureModel, asked: Asked, notes: dict[str, Any]) -> Spectra:
    """Evaluate the mixture and its components."""
    values, varied = asked.parameters(model.layout)
    columns = [np.atleast_1d(values[name]) for name in model.parameters]
    rows = np.stack(np.broadcast_arrays(*columns), axis=-1)
    n_components = len(asked.own)
    evenly = rows.copy()  # q is the light at equal fractions, also where c is 0
    evenly[:, len(values) - n_components + 1 :] = 1 / n_components
    return Spectra(
        number=model.orders.number,
        wave_min=model.orders.wave_min,
        wave_max=model.orders.wave_max,
        wavelength=model.wavelength,
        flux=model(rows),
        parts=model.parts(rows),
        q=model.light(evenly) * n_components,
        light=model.light(rows),
        parameters=values,
        varied=varied,
        labels=_labels(asked, model, varied),
        notes=notes,
    )


def _labels(asked: Asked, model: MixtureModel, varied: str | None) -> tuple[str, ...]:
    labels = []
    for k, (own, columns) in enumerate(zip(asked.own, model.layout.columns, strict=True)):
        fixed = [name for name in own if model.layout.all_names[columns[name]] != varied]
        kind = ", black body" if asked.components[k] == "blackbody" else ""
        said = describe([own[name] for name in fixed], fixed)
        labels.append(f"component {k + 1}{kind} {said}")
    return tuple(labels)


def _writer(path: Path, spectra: Spectra, rows: Sequence[int]) -> Callable[[Path], None]:
    ending = path.suffix.lower()
    if ending in FIGURES:
        return partial(_draw, spectra=spectra, rows=rows, kind=ending[1:])
    return partial(write_hdf5 if ending in HDF5 else write_ecsv, spectra=spectra)


def _draw(path: Path, spectra: Spectra, rows: Sequence[int], kind: str) -> None:
    from mixjobs.report.spectrum import draw_spectra  # matplotlib takes a second

    draw_spectra(spectra, rows).savefig(path, dpi=150, format=kind)


def _print(spectra: Spectra, files: Iterable[Path], notes: Iterable[str]) -> None:
    for note in notes:
        say(note)
    console = Console()
    console.print(spectrum_table(spectra))
    for path in files:
        print(path)


def _facts(spectra: Spectra, files: Iterable[Path], notes: list[str]) -> dict[str, Any]:
    return {
        **spectra.notes,
        "parameters": spectra.plain_parameters,
        "varied": spectra.varied,
        "orders": spectra.number.tolist(),
        "wave_min": spectra.wave_min.tolist(),
        "wave_max": spectra.wave_max.tolist(),
        "n_pixels": [len(wave) for wave in spectra.wavelength],
        **{name: spectra.plain(values) for name, values in spectra.by_component.items()},
        "mean": spectra.plain(spectra.mean),
        "files": [str(path) for path in files],
        "notes": notes,
    }
