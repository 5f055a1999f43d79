"""Observed spectra: orders, wavelengths, fluxes, errors and masks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from numpy.typing import ArrayLike

from mixjobs.display import PlotAccessor, Summarised
from mixjobs.errors import InvalidInput, MissingFile, OrderError, UnreadableFile
from mixjobs.files import kind_of
from mixjobs.observed.content import Content, orders_without_pixels, usable
from mixjobs.observed.masks import check_ranges, inside
from mixjobs.observed.order_matching import (
    Piece,
    coverage_note,
    cut_by_range,
    drop_short_pieces,
    match_by_number,
    unmatched_orders,
)
from mixjobs.observed.readers import find_reader
from mixjobs.orders import Orders
from mixjobs.typing import Bools, Floats
from mixjobs.wavelengths import Medium, check_wavelength, in_library_medium, settle_medium


@dataclass(frozen=True, eq=False, repr=False)
class ObservedSpectrum(Summarised):
    """An observed spectrum in M orders, as read by `open_spectrum`. The arrays are read-only.

    ``spectrum.plot()`` draws it.

    Attributes
    ----------
    orders : Orders
        Numbers and wavelength ranges of the orders. A range is half-open: it extends from the
        first pixel to just past the last.
    wavelength : tuple of M (n_pixels,) float arrays
        Å, ascending, in the medium of `medium`.
    flux, flux_error : tuples of M (n_pixels,) float arrays
        Flux and its standard error in the unit of the file, including masked pixels.
    mask : tuple of M (n_pixels,) bool arrays
        True for a pixel to use: not masked in the file, with a finite flux and a finite, positive
        error.
    medium : {"air", "vacuum"} or None
        None if the file does not declare it.
    path : Path
    notes : tuple of str
        Assumptions made and pixels or orders left out, one line each.
    barycentric_velocity : float or None
        km/s, as declared in the file: positive while the Earth moves towards the star. It is added
        to a velocity measured from the Earth. None if the file does not declare it. Files do not
        declare whether the wavelengths have been corrected for it.
    numbered : bool
        Whether the file gives the numbers of the orders; otherwise they count from 0.
    """

    orders: Orders
    wavelength: tuple[Floats, ...]
    flux: tuple[Floats, ...]
    flux_error: tuple[Floats, ...]
    mask: tuple[Bools, ...]
    medium: Medium | None
    path: Path
    notes: tuple[str, ...]
    barycentric_velocity: float | None = None
    numbered: bool = False

    plot = PlotAccessor("mixjobs.report.spectrum", "SpectrumPlots")

    def _facts(self) -> Mapping[str, object]:
        velocity = self.barycentric_velocity
        used = sum(int(use.sum()) for use in self.mask)
        return {
            "file": self.path,
            "orders": self.orders.summary(),
            "pixels": f"{used} to use of {sum(map(len, self.wavelength))}",
            "medium": self.medium or "not declared",
            "barycentric velocity": "not declared" if velocity is None else f"{velocity:g} km/s",
            **({"notes": "; ".join(self.notes)} if self.notes else {}),
        }

    def masking(self, ranges: ArrayLike) -> ObservedSpectrum:
        """Return the spectrum with the pixels in some wavelength ranges masked.

        Parameters
        ----------
        ranges : (n, 2) array or quantity
            Å, in the spectrum's own medium, both ends included. To read a table of ranges, use
            `mixjobs.observed.masks.read_ranges`.

        Returns
        -------
        ObservedSpectrum

        Raises
        ------
        InvalidInput
            The ranges are not pairs of finite wavelengths, the smaller one first.
        """
        pairs = check_ranges(ranges)
        mask = tuple(
            use & ~inside(wave, pairs) for wave, use in zip(self.wavelength, self.mask, strict=True)
        )
        for array in mask:
            array.setflags(write=False)
        n_masked = sum(int(use.sum()) for use in self.mask) - sum(int(use.sum()) for use in mask)
        notes = [f"pixels masked by wavelength range ({len(pairs)}): {n_masked}"]
        empty = orders_without_pixels(self.orders.number, mask)
        notes += [note for note in empty if note not in self.notes]
        return replace(self, mask=mask, notes=(*self.notes, *notes))

    def in_orders(
        self, orders: Orders, library_medium: str, medium: Medium | None = None
    ) -> ObservedSpectrum:
        """Return the spectrum arranged in the orders of a store.

        Orders are matched by number. Masked pixels at the ends of an order that lie outside the
        store's order are removed. A spectrum of a single order without a number is cut by the
        ranges of the store's orders instead; a pixel in two ranges belongs to the bluer order.
        Orders with fewer than five pixels to use are left out.

        Parameters
        ----------
        orders : Orders
            The store's, in the library's medium.
        library_medium : {"air", "vacuum", "unknown"}
            If it is unknown, nothing is converted.
        medium : {"air", "vacuum"} or None
            Medium of this spectrum if its file declares none; the library's by default.

        Returns
        -------
        ObservedSpectrum
            In the sequence of `orders`. Its wavelengths are not converted, and its `medium` is
            settled. The notes list what was left out.

        Raises
        ------
        OrderError
            A pixel to use lies outside the store's order of the same number.
        InvalidInput
            The file declares another medium, or no order is common to both.
        """
        settled, note = settle_medium(self.path, self.medium, medium, library_medium)
        convert = partial(in_library_medium, medium=settled, library_medium=library_medium)
        numbers = self.orders.number.tolist()
        if len(numbers) == 1 and not self.numbered:
            cut = cut_by_range(self.wavelength[0], orders, convert)
            pieces, notes = drop_short_pieces(cut, self.mask)
            notes = [coverage_note(pieces, self.mask[0]), *notes]
        else:
            matched = match_by_number(
                self.path, numbers, self.wavelength, self.mask, orders, convert
            )
            pieces, notes = drop_short_pieces(matched, self.mask)
            notes += unmatched_orders(numbers, orders)
        if not pieces:
            raise InvalidInput(
                f"{self.path}: no order with enough pixels is common to the spectrum "
                f"({self.orders.summary()}) and the store ({orders.summary()}); "
                "choose a store that covers the spectrum",
                path=self.path,
                name="orders",
                value=numbers,
            )
        return self._of(pieces, settled, (*self.notes, note, *notes))

    def _of(
        self, pieces: list[Piece], medium: Medium | None, notes: tuple[str, ...]
    ) -> ObservedSpectrum:
        wavelength = tuple(self.wavelength[piece.row][piece.pixels] for piece in pieces)
        numbers = [piece.number for piece in pieces]
        return replace(
            self,
            orders=Orders.from_wavelengths(dict(zip(numbers, wavelength, strict=True))),
            wavelength=wavelength,
            flux=tuple(self.flux[piece.row][piece.pixels] for piece in pieces),
            flux_error=tuple(self.flux_error[piece.row][piece.pixels] for piece in pieces),
            mask=tuple(self.mask[piece.row][piece.pixels] for piece in pieces),
            medium=medium,
            notes=notes,
            numbered=True,
        )


def open_spectrum(path: str | os.PathLike[str]) -> ObservedSpectrum:
    """Read an observed spectrum from a Starfish HDF5 file, or from an ECSV or FITS table.

    **Tables** (.ecsv; .fits or .fit, also with .gz: the first table of the file) have one row per
    pixel. The names of columns are read in any case, and other columns are ignored:

    - `wavelength`, `wave`, `wl` or `lambda`, in the column's unit (nm, um, ...), or Å without one;
    - `flux`;
    - `sigma`, `error`, `err`, `uncertainty`, `flux_error` or `flux_err`: the standard error;
    - `mask`, optional: **1 = use**, 0 = ignore (the opposite of numpy's masks);
    - `order`, optional: whole numbers. Rows of different orders may be mixed; the wavelengths
      ascend within an order. Without this column there is one order, with number 0.

    A missing flux or error masks the pixel. The metadata of the table, or the header of the FITS
    table or file, may contain `medium` ("air" or "vacuum") and `barycentric_velocity` or `BCV`
    (km/s). BERV, HELCORR and the like are ignored, because observatories disagree on their sign
    and unit.

    **Starfish HDF5** (any other ending). The datasets are `waves`, `fluxes`, `sigmas` (current
    Starfish) or `wls`, `fls`, `sigmas` (older Starfish), each (orders, pixels) or (pixels,), and an
    optional `masks` of the same shape, 1 = use. A `masks` dataset with values other than 0 and 1 is
    ignored, with a note: some versions of Starfish wrote wavelengths there. An attribute `air` of
    the file or of the wavelengths declares the medium, and the attribute `BCV` of older files the
    barycentric velocity. These files do not number their orders; they are counted from 0.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    ObservedSpectrum

    Raises
    ------
    MissingFile
        The file does not exist.
    UnreadableFile
        The file is damaged, is not of the format that its ending implies, or has another layout;
        or columns or datasets are missing, are not numbers, or differ in shape.
    OrderError
        The wavelengths of an order are not finite, positive and strictly ascending.

    Examples
    --------
    >>> import tempfile
    >>> import h5py
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with h5py.File(f"{folder}/star.hdf5", "w") as file:
    ...         file["waves"] = [[5000.0, 5001.0], [5001.0, 5002.0]]
    ...         file["fluxes"] = [[1.0, 1.1], [1.2, 1.3]]
    ...         file["sigmas"] = [[0.1, 0.1], [0.1, -99.9]]
    ...     observed = open_spectrum(f"{folder}/star.hdf5")
    >>> observed.orders.number.tolist(), observed.mask[1].tolist(), observed.medium
    ([0, 1], [True, False], None)
    >>> observed.notes
    ('pixels masked because the flux or its error is not usable: 1',)
    """
    path = Path(path)
    if not path.exists():
        raise MissingFile(f"{path}: no such file; check the path of the spectrum", path=path)
    if not path.is_file():
        raise UnreadableFile(
            f"{path}: this is {kind_of(path)}; expected the file of an observed spectrum", path=path
        )
    return _spectrum(path, find_reader(path)(path))


def _spectrum(path: Path, content: Content) -> ObservedSpectrum:
    """Check the content of a file and return it as a spectrum."""
    numbers = content.number.tolist()
    for number, wave in zip(numbers, content.wavelength, strict=True):
        check_wavelength(wave, OrderError, path=path, order=number)
    mask, notes = usable(content)
    for arrays in (content.wavelength, content.flux, content.flux_error, mask):
        for array in arrays:
            array.setflags(write=False)
    return ObservedSpectrum(
        orders=Orders.from_wavelengths(dict(zip(numbers, content.wavelength, strict=True))),
        wavelength=content.wavelength,
        flux=content.flux,
        flux_error=content.flux_error,
        mask=mask,
        medium=content.medium,
        path=path,
        notes=notes,
        barycentric_velocity=content.barycentric_velocity,
        numbered=content.numbered,
    )
