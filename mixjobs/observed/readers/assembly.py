"""From the arrays of a file to a spectrum: units, flux errors, masks, padding and direction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixjobs.declarations import (
    Declaration,
    attribute_text,
    check_angstrom,
    error_factor,
    to_angstrom,
)
from mixjobs.errors import InvalidInput, OrderError, UnreadableFile
from mixjobs.media import medium_declaration
from mixjobs.observed.content import Content, ReaderOptions
from mixjobs.observed.readers.fields import Arrays, Field
from mixjobs.observed.readers.flux_errors import PERCENT, flux_and_error
from mixjobs.observed.readers.headers import correction_notes
from mixjobs.observed.readers.names import ERRORS
from mixjobs.observed.readers.pixel_masks import usable_pixels
from mixjobs.orders import number_list
from mixjobs.typing import Bools, Floats
from mixjobs.wavelengths import MEDIA

NO_UNIT = "the wavelengths have no unit; assumed to be in Å"
_MIN_PIXELS = 20  # of orders one after the other
_MAX_LISTED = 4  # orders in a note
WAVELENGTH_UNIT_KEYS = (
    "wavelength_unit", "wave_unit", "waveunit", "wavelengthunit", "xunits", "xunit", "wunit",
    "waveunits", "wave_units", "wavelength_units", "specunit", "lambda_unit",
)  # fmt: skip


def assemble(arrays: Arrays, options: ReaderOptions) -> Content:
    """Return the content of a file from its arrays.

    Raises
    ------
    UnreadableFile
        A unit is not known, a mask cannot be read, values are not numbers, there is no flux error,
        or the shapes differ.
    InvalidInput
        An option contradicts the file.
    """
    path, notes = arrays.path, list(arrays.notes)
    fields = _complete(arrays, options, notes)
    values = {name: _numbers(path, name, one) for name, one in fields.items()}
    _check_shapes(path, fields, values)
    wave, unit = _in_angstrom(arrays, fields["wavelength"], values["wavelength"], options)
    if unit.assumed:
        notes.append(NO_UNIT)
    medium = _medium(arrays, options)
    flux, error, flux_declarations = flux_and_error(path, fields, values, wave, options.snr)
    notes += [
        str(one)
        for one in flux_declarations
        if one.assumed or one.numbers or one.understood.endswith(PERCENT)
    ]
    extents = [_extent(one) for one in wave]
    masks, mask_declarations, mask_notes = usable_pixels(
        path, fields, values, extents, ignore_invalid=arrays.ignore_invalid_mask
    )
    notes += correction_notes(arrays.header)
    content = Content(
        number=np.array(arrays.numbers or range(len(wave)), dtype=np.int64),
        numbered=arrays.numbers is not None,
        wavelength=tuple(wave),
        flux=tuple(flux),
        flux_error=tuple(error),
        masks=tuple(masks),
        medium=None if medium is None else MEDIA[MEDIA.index(medium.understood)],
        barycentric_velocity=arrays.velocity,
        notes=(*notes, *mask_notes),
        declarations=_of_format(
            [unit, *([medium] if medium else []), *flux_declarations, *mask_declarations],
            arrays.declarations,
        ),
        frame=arrays.frame,
    )
    content = _in_ascending_order(_without_padding(path, content, extents))
    _refuse_joined_orders(path, content)
    return content


def _of_format(
    general: Sequence[Declaration], own: Sequence[Declaration]
) -> tuple[Declaration, ...]:
    """Return declarations, those of a format in place of the general ones of a quantity."""
    by_quantity = {one.quantity: one for one in [*general, *own]}
    return tuple(by_quantity.values())


def _numbers(path: Path, quantity: str, one: Field) -> list[Floats]:
    """Return the values of a quantity as float64 arrays, with NaN for missing values."""
    kinds = "biuf" if quantity in ("mask", "flags") else "iuf"  # a flux is not true or false
    return [_floats(path, one.source, values, kinds) for values in one.values]


def _floats(path: Path, source: str, values: Any, kinds: str) -> Floats:
    masked: NDArray[Any] = np.ma.asarray(values)
    if masked.ndim != 1 or masked.dtype.kind not in kinds:
        kind = {"b": "true and false", "U": "text", "S": "text", "c": "complex numbers"}
        found = kind.get(masked.dtype.kind, masked.dtype.name)
        raise UnreadableFile(
            f"{path}: {source} contains {found} of shape {masked.shape}; expected real numbers, "
            "(pixels,) or (orders, pixels)",
            path=path, name=source, value=masked.shape,
        )  # fmt: skip
    filled: Floats = np.asarray(np.ma.filled(masked.astype(np.float64), np.nan))
    return filled


def _complete(arrays: Arrays, options: ReaderOptions, notes: list[str]) -> dict[str, Field]:
    """Check that there is a wavelength, and a flux unless only wavelengths are needed."""
    fields = dict(arrays.fields)
    needed = ("wavelength", "flux") if options.errors_needed else ("wavelength",)
    for quantity in needed:
        if quantity not in fields:
            raise UnreadableFile(
                f"{arrays.path}: no {quantity} found; give its name or number, as in "
                f'columns = {{ {quantity} = "NAME" }}',
                path=arrays.path, name=quantity,
            )  # fmt: skip
    has_error = options.snr is not None or any(kind in fields for kind in ERRORS)
    if not options.errors_needed and ("flux" not in fields or not has_error):
        ones = [np.ones(len(np.atleast_1d(one))) for one in fields["wavelength"].values]
        fields["flux"] = fields["flux_error"] = Field("a constant", ones)
        notes.append("only the wavelengths are read: there are no flux errors")
    return fields


def _check_shapes(
    path: Path, fields: Mapping[str, Field], values: Mapping[str, list[Floats]]
) -> None:
    expected = [len(one) for one in values["wavelength"]]
    for name, arrays in values.items():
        shape = [len(one) for one in arrays]
        if shape != expected:
            source, wave = fields[name].source, fields["wavelength"].source
            raise UnreadableFile(
                f"{path}: {source} has {_shape(shape)}, and {wave} {_shape(expected)}; expected "
                "the same for all",
                path=path, name=source, value=(shape, expected),
            )  # fmt: skip


def _shape(lengths: list[int]) -> str:
    sizes = sorted(set(lengths))
    pixels = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    return f"{pixels} pixels" if len(lengths) == 1 else f"{len(lengths)} orders of {pixels} pixels"


def _in_angstrom(
    arrays: Arrays, one: Field, values: list[Floats], options: ReaderOptions
) -> tuple[list[Floats], Declaration]:
    """Return wavelengths in Å, and how their unit is known."""
    unit, keyword = one.unit, one.keyword
    if unit is None:
        unit, keyword = _unit_in_header(arrays.header)
    given = options.wavelength_unit
    if unit is not None and given is not None and not _is_understood(unit):
        unit, keyword = given, f"wavelength_unit, in place of {keyword} = {unit!r},"
    elif unit is not None and given is not None and not _same_unit(unit, given):
        raise InvalidInput(
            f"wavelength_unit = {given!r}: {arrays.path} declares {keyword} = {unit!r}; leave "
            "wavelength_unit out",
            path=arrays.path, name="wavelength_unit", value=given,
        )  # fmt: skip
    if unit is None and given is not None:
        unit, keyword = given, "wavelength_unit"
    if unit is None:
        extents = [wave[_extent(wave)] for wave in values]
        finite = np.concatenate([np.zeros(0), *extents])
        finite = finite[np.isfinite(finite) & (finite > 0)]
        check_angstrom(finite, path=arrays.path, name=one.source)
        return values, Declaration("wavelength", "", f"{one.source}, in Å")
    converted = [
        to_angstrom(_positive(wave, unit), unit, path=arrays.path, name=keyword,
                    option="" if given else "wavelength_unit")
        for wave in values
    ]  # fmt: skip
    return converted, Declaration("wavelength", _declared(keyword, unit), f"{one.source}, in Å")


def _declared(keyword: str, unit: str) -> str:
    """Return what declares a unit: a keyword, or words such as "the IGRINS pipeline"."""
    return f"{keyword}: {unit}" if keyword.startswith("the ") else f"{keyword} = {unit!r}"


def _positive(wave: Floats, unit: str) -> Floats:
    """Return wavelengths with NaN for zeros, of which a frequency has no wavelength."""
    if "log" in unit.lower() or unit.lower().startswith("ln"):
        return wave
    return np.where(wave > 0, wave, np.nan)


def _is_understood(unit: str) -> bool:
    try:
        to_angstrom(np.ones(1), unit, path="", name="")
    except UnreadableFile:
        return False
    return True


def _same_unit(unit: str, given: str) -> bool:
    return unit.strip().lower() == given.strip().lower() or error_factor(unit, given) == 1


def _unit_in_header(header: Sequence[tuple[str, Any]]) -> tuple[str | None, str]:
    for key, value in header:
        text = attribute_text(value).strip()
        if key.lower() in WAVELENGTH_UNIT_KEYS and text:
            return text, key
    return None, ""


def _medium(arrays: Arrays, options: ReaderOptions) -> Declaration | None:
    declared = medium_declaration(arrays.header, arrays.path)
    given = options.medium
    if declared and given not in (None, declared.understood):
        raise InvalidInput(
            f"medium = {given!r}: {arrays.path} declares {declared.understood} "
            f"({declared.declared}); leave medium out",
            path=arrays.path, name="medium", value=given,
        )  # fmt: skip
    if declared is None and given is not None:
        return Declaration("medium", f"medium = {given!r}", given)
    return declared


def _extent(wave: Floats) -> slice:
    """Return the pixels between the first and the last valid wavelength of an order."""
    valid = np.flatnonzero(np.isfinite(wave) & (wave > 0))
    return slice(int(valid[0]), int(valid[-1]) + 1) if len(valid) else slice(0, 0)


def _without_padding(path: Path, content: Content, extents: list[slice]) -> Content:
    """Cut padding from the ends of orders: no wavelength, or masked and not in sequence."""
    masks = content.masks or ()
    parts = [
        _without_masked_ends(wave, part, use)
        for wave, part, use in zip(content.wavelength, extents, masks, strict=True)
    ]
    kept = [k for k, part in enumerate(parts) if part.stop > part.start]
    if not kept:
        raise UnreadableFile(
            f"{path}: no wavelength is a positive number; expected wavelengths in Å, or in the "
            "unit that the file declares",
            path=path, name="wavelength",
        )  # fmt: skip
    number = content.number.tolist()
    removed = {
        number[k]: len(content.wavelength[k]) - (parts[k].stop - parts[k].start) for k in kept
    }
    notes = [*content.notes, *_padding_notes(removed)]
    if len(kept) < len(parts):
        left_out = [number[k] for k in range(len(parts)) if k not in kept]
        notes.append(f"orders left out, without wavelengths: {number_list(left_out)}")
    return _rearranged(content, kept, [parts[k] for k in kept], notes)


def _without_masked_ends(wave: Floats, part: slice, use: Bools) -> slice:
    """Drop masked pixels at either end of an order whose wavelengths break the sequence."""
    valid = wave[part]
    used = np.flatnonzero(use[part])
    if len(valid) < 2 or not len(used):
        return part
    first, last = int(used[0]), int(used[-1])
    step = np.diff(valid)
    sign = np.sign(valid[last] - valid[first]) or 1.0
    wrong = np.flatnonzero(~(step * sign > 0))
    before, after = wrong[wrong < first], wrong[wrong >= last]
    start = int(before[-1]) + 1 if len(before) else 0
    stop = int(after[0]) + 1 if len(after) else len(valid)
    return slice(part.start + start, part.start + stop)


def _padding_notes(removed: dict[int, int]) -> list[str]:
    removed = {number: n for number, n in removed.items() if n}
    if not removed:
        return []
    if len(removed) > _MAX_LISTED:
        listed = f"{sum(removed.values())} pixels of {len(removed)} orders"
    else:
        listed = ", ".join(f"{n} of order {number}" for number, n in removed.items())
    return [f"pixels of padding removed from the ends of orders: {listed}"]


def _in_ascending_order(content: Content) -> Content:
    """Reverse orders whose wavelengths descend."""
    descend = [len(wave) > 1 and wave[0] > wave[-1] for wave in content.wavelength]
    if not any(descend):
        return content
    numbers = content.number[np.array(descend)]
    which = "" if all(descend) else f" in orders {number_list(numbers)}"
    notes = [*content.notes, f"descending wavelengths{which} reversed"]
    parts = [slice(None, None, -1 if down else 1) for down in descend]
    return _rearranged(content, list(range(len(parts))), parts, notes)


def _refuse_joined_orders(path: Path, content: Content) -> None:
    """Refuse orders one after the other that nothing separates."""
    if content.numbered or len(content.wavelength) != 1:
        return
    wave = content.wavelength[0]
    back = np.flatnonzero(np.diff(wave) <= 0) + 1
    lengths = np.diff([0, *back, len(wave)])
    if len(back) and lengths.min() >= _MIN_PIXELS:
        raise OrderError(
            f"{path}: the wavelengths begin anew at pixel {back[0]}, as those of {len(lengths)} "
            "orders one after the other; add a column with the numbers of the orders, such as "
            "order",
            path=path, name="order", order=0, pixel=int(back[0]), value=len(lengths),
        )  # fmt: skip


def _rearranged(
    content: Content, kept: list[int], parts: Sequence[slice], notes: list[str]
) -> Content:
    def cut(arrays: Sequence[NDArray[Any]]) -> tuple[Any, ...]:
        pairs = zip(kept, parts, strict=True)
        return tuple(np.ascontiguousarray(arrays[k][part]) for k, part in pairs)

    return content._replace(
        number=content.number[kept],
        wavelength=cut(content.wavelength),
        flux=cut(content.flux),
        flux_error=cut(content.flux_error),
        masks=cut(content.masks or ()),
        notes=tuple(notes),
    )
