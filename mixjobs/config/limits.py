"""Types of numbers with limits."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mixjobs.limits import (
    FWHM,
    MAX_COLUMNS,
    MAX_COUNT,
    MAX_LIBRARY_RESOLUTION,
    MAX_ORDER_NUMBER,
    MAX_SEED,
    MAX_WORKERS,
    RESOLUTION,
    SNR,
)

PositiveInt = Annotated[int, Field(gt=0, le=MAX_COUNT)]
Workers = Annotated[int, Field(gt=0, le=MAX_WORKERS)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
OrderNumber = Annotated[int, Field(ge=-MAX_ORDER_NUMBER, le=MAX_ORDER_NUMBER)]
Resolution = Annotated[float, Field(ge=RESOLUTION[0], le=RESOLUTION[1])]
LibraryResolution = Annotated[float, Field(ge=RESOLUTION[0], le=MAX_LIBRARY_RESOLUTION)]
Fwhm = Annotated[float, Field(ge=FWHM[0], le=FWHM[1])]
Snr = Annotated[float, Field(ge=SNR[0], le=SNR[1])]
ColumnNumber = Annotated[int, Field(ge=0, le=MAX_COLUMNS)]
# Of an observed spectrum; `extension` chooses a table of a FITS file.
Quantity = Literal[
    "wavelength", "flux", "flux_error", "variance", "ivar", "snr", "mask", "flags", "order",
    "extension",
]  # fmt: skip
Columns = dict[Quantity, str | ColumnNumber]
