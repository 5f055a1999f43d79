"""Quantities as the rows of one FITS image: bands of IRAF, and wavelength, flux and error."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mixjobs.declarations import attribute_text
from mixjobs.observed.readers.fields import Field

_ROWS = ("wavelength", "flux", "flux_error", "flags")
_UNIT_OF_FLUX = ("YUNITS", "YUNIT")


class Rows(NamedTuple):
    """Quantities that replace the flux of an image, and notes."""

    fields: dict[str, Field]
    notes: list[str]


def stacked_rows(hdu: Any, flux: Field) -> Rows:
    """Return the quantities in the rows of an image; none if its rows are orders.

    IRAF names the bands of a spectrum (BANDID1, ...): the first is the spectrum, and one may be its
    error. Without names, rows of which only the first ascends are wavelength, flux, error and, if
    there are four, flags; SpeX writes its spectra like this.

    Parameters
    ----------
    hdu : astropy's HDU of an image
    flux : Field
        The rows of the image.
    """
    rows = [np.asarray(row, dtype=np.float64) for row in flux.values]
    bands = [attribute_text(hdu.header.get(f"BANDID{k}", "")) for k in range(1, len(rows) + 1)]
    if len(rows) > 1 and all(bands):
        return _bands(rows, bands, flux)
    ascends = [bool((np.diff(row) > 0).all()) for row in rows]
    if not 2 <= len(rows) <= 4 or ascends != [True, *(False for _ in rows[1:])] or rows[0][0] <= 0:
        return Rows({}, [])
    quantities = _ROWS[: len(rows)]
    fields = {
        name: Field(f"row {k} of {flux.source}", [row])
        for k, (name, row) in enumerate(zip(quantities, rows, strict=True), start=1)
    }
    unit = next((attribute_text(hdu.header[k]) for k in _UNIT_OF_FLUX if k in hdu.header), None)
    if unit:
        fields["flux"] = Field(fields["flux"].source, fields["flux"].values, unit.strip(), "YUNITS")
    listed = ", ".join(quantities).replace("_", " ")
    return Rows(fields, [f"rows of {flux.source} assumed to be {listed}"])


def _bands(rows: list[Any], bands: list[str], flux: Field) -> Rows:
    fields = {"flux": Field(f"band 1 of {flux.source} ({bands[0]})", rows[:1], flux.unit, "BUNIT")}
    for k, (row, band) in enumerate(zip(rows, bands, strict=True), start=1):
        if "sigma" in band.lower() and k > 1:
            fields["flux_error"] = Field(f"band {k} of {flux.source} ({band})", [row])
    return Rows(fields, [])
