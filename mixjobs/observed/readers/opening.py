"""FITS files opened in one place, with one error for damaged ones."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mixjobs.errors import MixjobsError, UnreadableFile
from mixjobs.observed.readers.packing import is_packed, read_bytes
from mixjobs.typing import Floats

if TYPE_CHECKING:
    from astropy.io.fits import HDUList


@contextmanager
def opened(path: Path) -> Iterator[tuple[Sequence[Any], list[str]]]:
    """Open a FITS file; yield its extensions, and notes with astropy's warnings.

    Raises
    ------
    UnreadableFile
        The file is damaged.
    """
    from astropy.io import fits

    notes: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            # Given a path, astropy would leave a damaged file open.
            source = io.BytesIO(read_bytes(path)) if is_packed(path) else path.open("rb")
            with source, fits.open(source, memmap=False) as hdus:
                _load(hdus)
                notes += _notes(caught)
                yield hdus, notes
        except MixjobsError:
            raise
        except Exception as error:  # a damaged file can raise any error of zlib or astropy
            reason = " ".join(f"{error or type(error).__name__}".split())
            raise UnreadableFile(
                f"{path}: cannot be read as FITS ({reason}); "
                "expected a complete FITS file: download it again or check its format",
                path=path,
            ) from None


def _load(hdus: HDUList) -> None:
    for hdu in hdus:
        hdu.data  # noqa: B018  (astropy reads data when asked for)


def _notes(caught: Sequence[warnings.WarningMessage]) -> list[str]:
    messages = dict.fromkeys(" ".join(str(one.message).split()) for one in caught)
    truncated = [message for message in messages if "truncated" in message]
    if truncated:
        raise OSError(truncated[0])
    return [f"astropy: {message}" for message in messages if "parsed as unit" not in message]


def image(hdu: Any) -> Floats:
    """Return the image of an extension as float64, (rows, pixels)."""
    data = np.asarray(hdu.data, dtype=np.float64)
    return np.atleast_2d(data)
