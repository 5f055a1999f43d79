"""One spectrum in several files: the numbers of its orders, and what the files must agree on."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mixjobs.declarations import error_factor
from mixjobs.display import counted
from mixjobs.errors import InvalidInput, OrderError
from mixjobs.file_patterns import is_pattern, numbers_in_names
from mixjobs.observed.content import Content
from mixjobs.orders import Orders, number_list
from mixjobs.units import to_integers

if TYPE_CHECKING:
    from mixjobs.observed.spectrum import ObservedSpectrum

_SAME_VELOCITY = 1e-3  # km/s, the rounding of a header
_UNIT = re.compile(r"= ['\"](.*)['\"]$")  # at the end of a declaration, such as TUNIT1 = 'nm'


def number_orders(
    path: str | os.PathLike[str],
    files: Sequence[Path],
    contents: Sequence[Content],
    numbers: Sequence[int] | None = None,
) -> list[Content]:
    """Number the orders of a spectrum: as given, else as in its files, else from their names.

    Parameters
    ----------
    path : str or path
        The file, or the pattern of the files.
    files : sequence of Path
    contents : sequence of Content
        One per file.
    numbers : sequence of int, optional
        One for each order, in the sequence of the files.

    Returns
    -------
    list of Content
        A single file that is not numbered in any of these ways stays unnumbered.

    Raises
    ------
    InvalidInput
        The numbers do not fit the orders, or several files do not number them.
    """
    if numbers is not None:
        return _numbered_as_given(path, contents, to_integers(numbers, "numbers"))
    unnumbered = [k for k, content in enumerate(contents) if not content.numbered]
    if not unnumbered:
        return list(contents)
    if len(unnumbered) < len(contents):
        declared = next(k for k, content in enumerate(contents) if content.numbered)
        raise InvalidInput(
            f"{files[declared]} numbers its orders and {files[unnumbered[0]]} does not; give "
            "numbers = [...], one for each order",
            path=files[unnumbered[0]],
            name="path",
        )
    return _numbered_by_names(path, files, contents)


def _numbered_by_names(
    path: str | os.PathLike[str], files: Sequence[Path], contents: Sequence[Content]
) -> list[Content]:
    n_orders = [len(content.number) for content in contents]
    if not is_pattern(path) or (len(files) == 1 and n_orders[0] > 1):
        return list(contents)
    if max(n_orders) > 1:
        file = files[int(np.argmax(n_orders))]
        raise InvalidInput(
            f"{file}: {max(n_orders)} orders without numbers; expected one in each file of "
            f"{os.fspath(path)}, because a pattern stands for one epoch: open each epoch by "
            "itself, or give numbers = [...], one for each order",
            path=file,
            name="path",
            value=max(n_orders),
        )
    named = numbers_in_names(path, files)
    if named is None:
        return list(contents)
    note = f"orders numbered from the names of the files: {number_list(named)}"
    return [_renumbered(c, [n], note) for c, n in zip(contents, named, strict=True)]


def _numbered_as_given(
    path: str | os.PathLike[str], contents: Sequence[Content], numbers: list[int]
) -> list[Content]:
    n_orders = sum(len(content.number) for content in contents)
    if len(numbers) != n_orders:
        raise InvalidInput(
            f"{os.fspath(path)}: {counted(len(numbers), 'number')} for "
            f"{counted(n_orders, 'order')}; give one for each, in the sequence of the files",
            path=path,
            name="numbers",
            value=numbers,
        )
    if len(set(numbers)) < n_orders:
        twice = next(n for n in numbers if numbers.count(n) > 1)
        raise InvalidInput(
            f"{os.fspath(path)}: number {twice} is given twice; give each order its own",
            path=path,
            name="numbers",
            value=numbers,
        )
    numbered, left = [], list(numbers)
    for content in contents:
        own, left = left[: len(content.number)], left[len(content.number) :]
        if content.numbered and own != content.number.tolist():
            raise InvalidInput(
                f"{os.fspath(path)}: its files number the orders ({number_list(content.number)}), "
                f"and numbers says {number_list(own)}; leave numbers out",
                path=path,
                name="numbers",
                value=own,
            )
        numbered.append(_renumbered(content, own, f"orders numbered as given: {number_list(own)}"))
    return numbered


def _renumbered(content: Content, numbers: list[int], note: str) -> Content:
    if content.numbered:
        return content
    return content._replace(number=np.array(numbers), numbered=True, notes=(*content.notes, note))


def join_orders(
    path: str | os.PathLike[str], spectra: Sequence[ObservedSpectrum]
) -> ObservedSpectrum:
    """Join the orders of several files to one spectrum, in the sequence of their numbers.

    Parameters
    ----------
    path : str or path
        The pattern of the files.
    spectra : sequence of ObservedSpectrum
        One per file, with the orders numbered.

    Raises
    ------
    OrderError
        Two files hold the same order.
    InvalidInput
        The files declare different units, media or barycentric velocities.
    """
    _check_distinct(spectra)
    for quantity in ("wavelength", "flux"):
        _check_unit(quantity, spectra)
    medium, notes = _agreed("medium", spectra)
    velocity, more_notes = _agreed("barycentric_velocity", spectra)
    frame, _ = _agreed("frame", spectra)
    numbers = np.concatenate([spectrum.orders.number for spectrum in spectra])
    low = np.concatenate([spectrum.orders.wave_min for spectrum in spectra])
    high = np.concatenate([spectrum.orders.wave_max for spectrum in spectra])
    rows = np.argsort(numbers)

    def joined(name: str) -> tuple[Any, ...]:
        arrays = [array for spectrum in spectra for array in getattr(spectrum, name)]
        return tuple(arrays[row] for row in rows)

    return replace(
        spectra[0],
        orders=Orders(numbers, low, high).take(rows),
        wavelength=joined("wavelength"),
        flux=joined("flux"),
        flux_error=joined("flux_error"),
        mask=joined("mask"),
        medium=medium,
        path=Path(path),
        notes=(f"orders from {len(spectra)} files", *_notes(spectra), *notes, *more_notes),
        barycentric_velocity=velocity,
        frame=frame,
        declarations=tuple(dict.fromkeys(one for s in spectra for one in s.declarations)),
    )


def _check_distinct(spectra: Sequence[ObservedSpectrum]) -> None:
    owners: dict[int, Path] = {}
    for spectrum in spectra:
        for number in spectrum.orders.number.tolist():
            if number in owners:
                raise OrderError(
                    f"order {number} is in {owners[number]} and in {spectrum.path}; a pattern "
                    "stands for the orders of one epoch, each once: open each epoch by itself",
                    path=spectrum.path,
                    name="path",
                    order=number,
                )
            owners[number] = spectrum.path


def _check_unit(quantity: str, spectra: Sequence[ObservedSpectrum]) -> None:
    """Refuse files that declare different units; each file's wavelengths are in Å by now."""
    first: tuple[Path, str] | None = None
    for spectrum in spectra:
        unit = _declared_unit(quantity, spectrum)
        if unit is None:
            continue
        if first is None:
            first = spectrum.path, unit
        elif error_factor(unit, first[1]) != 1:
            raise InvalidInput(
                f"{first[0]} declares the {quantity} in {first[1]} and {spectrum.path} in {unit}; "
                "expected the same in all files of one epoch: correct the files",
                path=spectrum.path,
                name=f"{quantity} unit",
                value=(first[1], unit),
            )


def _declared_unit(quantity: str, spectrum: ObservedSpectrum) -> str | None:
    for declaration in spectrum.declarations:
        match = _UNIT.search(declaration.declared) if declaration.quantity == quantity else None
        if match:
            return match[1]
    return None


def _agreed(name: str, spectra: Sequence[ObservedSpectrum]) -> tuple[Any, tuple[str, ...]]:
    """Return what the files declare of one quantity, and a note if some do not declare it."""
    declared = [spectrum for spectrum in spectra if getattr(spectrum, name) is not None]
    if not declared:
        return None, ()
    value, words = getattr(declared[0], name), name.replace("_", " ")
    for spectrum in declared[1:]:
        other = getattr(spectrum, name)
        if not _same(value, other):
            raise InvalidInput(
                f"{declared[0].path} declares the {words} {value} and {spectrum.path} {other}; "
                "expected the same in all files of one epoch: correct the files",
                path=spectrum.path,
                name=name,
                value=(value, other),
            )
    silent = len(spectra) - len(declared)
    note = f"{words} {value} declared by {len(declared)} of {len(spectra)} files, assumed for all"
    return value, (note,) if silent else ()


def _same(value: Any, other: Any) -> bool:
    return bool(
        abs(value - other) <= _SAME_VELOCITY if isinstance(value, float) else value == other
    )


def _notes(spectra: Sequence[ObservedSpectrum]) -> list[str]:
    """Return each note once, with the orders that it concerns unless it concerns all."""
    concerned: dict[str, list[int]] = {}
    for spectrum in spectra:
        for note in spectrum.notes:
            concerned.setdefault(note, []).extend(spectrum.orders.number.tolist())
    n_orders = sum(len(spectrum.orders) for spectrum in spectra)
    return [
        note if len(numbers) == n_orders else f"{note} (order {number_list(numbers)})"
        for note, numbers in concerned.items()
    ]
