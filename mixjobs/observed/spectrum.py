"""An observed spectrum from a file: its orders, wavelengths, fluxes, errors and masks."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from mixjobs.display import PlotAccessor
from mixjobs.errors import InvalidInput, MissingFile, UnreadableFile
from mixjobs.observed.content import Content, check_wavelength, unused, usable
from mixjobs.observed.masks import check_ranges, inside
from mixjobs.observed.order_matching import (
    Piece,
    by_number,
    by_window,
    cut_into,
    enough,
    extent,
    not_in_both,
    settle_medium,
)
from mixjobs.observed.readers.starfish import read_starfish
from mixjobs.observed.readers.tables import is_table, read_table
from mixjobs.orders import Orders
from mixjobs.typing import Bools, Floats, Ints
from mixjobs.wavelengths import Medium, in_library_medium


@dataclass(frozen=True, eq=False)
class ObservedSpectrum:
    """An observed spectrum, order by order; made by `open_spectrum`. The arrays are read-only.

    Attributes
    ----------
    orders : Orders
        The M orders: numbers, and windows from the first pixel's wavelength to just past the
        last's, so that all pixels of an order lie in its half-open window.
    wavelength : tuple of M (n_pixels,) float arrays
        Å, ascending; air or vacuum as `medium` says.
    flux, sigma : tuples of M (n_pixels,) float arrays
        Flux and its standard error, in the file's unit, as the file has them (bad pixels too).
    mask : tuple of M (n_pixels,) bool arrays
        True for a pixel to use: not masked by the file, its flux finite, its sigma finite and
        positive.
    medium : "air", "vacuum" or None
        None when the file does not say.
    path : Path
    notes : tuple of str
        What was noticed and done about it, one line each.
    barycentric_velocity : float or None
        km/s, as the file says: positive while the Earth moves towards the star, to be added to a
        velocity measured from the Earth. None when the file does not say. Whether the wavelengths
        are corrected for it already, files do not say.
    numbered : bool
        Whether the orders' numbers are the file's own, not rows.
    """

    orders: Orders
    wavelength: tuple[Floats, ...]
    flux: tuple[Floats, ...]
    sigma: tuple[Floats, ...]
    mask: tuple[Bools, ...]
    medium: Medium | None
    path: Path
    notes: tuple[str, ...]
    barycentric_velocity: float | None = None
    numbered: bool = False

    plot = PlotAccessor("mixjobs.report.spectrum", "SpectrumPlots")

    def masking(self, windows: ArrayLike) -> ObservedSpectrum:
        """Return the spectrum without the pixels inside any of the windows.

        Parameters
        ----------
        windows : (n, 2) array
            Å, in the spectrum's own medium, ends included; `read_ranges` of
            `mixjobs.observed.masks` reads a table of them.

        Raises
        ------
        InvalidInput
            The windows are not pairs of finite wavelengths, the smaller first.
        """
        pairs = check_ranges(windows)
        mask = tuple(
            use & ~inside(wave, pairs) for wave, use in zip(self.wavelength, self.mask, strict=True)
        )
        for array in mask:
            array.setflags(write=False)
        lost = sum(int(use.sum()) for use in self.mask) - sum(int(use.sum()) for use in mask)
        notes = [f"pixels masked in {len(pairs)} windows of wavelength: {lost}"]
        notes += [note for note in unused(self.orders.number, mask) if note not in self.notes]
        return replace(self, mask=mask, notes=(*self.notes, *notes))

    def in_orders(
        self, orders: Orders, library_medium: str, medium: Medium | None = None
    ) -> ObservedSpectrum:
        """Return the spectrum arranged in a store's orders.

        Orders are matched by number: those that both have. Masked pixels at the ends of an order
        that lie outside the store's are cut off. A spectrum of a single order without a number of
        its own is cut by the windows instead, each piece with the number of the store's order; a
        pixel in two windows goes to the bluer one. Orders with fewer than five pixels to use are
        left out.

        Parameters
        ----------
        orders : Orders
            The store's, in the library's medium.
        library_medium : str
            "air", "vacuum", or "unknown": then nothing is converted.
        medium : "air", "vacuum" or None
            Of this spectrum, where its file does not say; the library's if neither does.

        Returns
        -------
        ObservedSpectrum
            In the order of `orders`; its wavelengths are not converted, its medium is settled.
            Notes say what was taken and left out.

        Raises
        ------
        OrderError
            A pixel to use lies outside the store's order of the same number.
        InvalidInput
            The file says another medium, or there is no order in common.
        """
        settled, said = settle_medium(self.path, self.medium, medium, library_medium)
        convert = partial(in_library_medium, medium=settled, library_medium=library_medium)
        numbers = self.orders.number.tolist()
        if len(numbers) == 1 and not self.numbered:
            pieces, notes = enough(by_window(self.wavelength[0], orders, convert), self.mask)
            notes = [*cut_into(pieces, self.mask[0]), *notes]
        else:
            matched = by_number(self.path, numbers, self.wavelength, self.mask, orders, convert)
            pieces, notes = enough(matched, self.mask)
            notes += not_in_both(numbers, orders)
        if not pieces:
            has, store = extent(self.orders), extent(orders)
            raise InvalidInput(
                f"{self.path}: has no order with enough pixels to use in common with the store: "
                f"it has {has}, the store {store}; choose a store that covers it"
            )
        return self._of(pieces, settled, (*self.notes, said, *notes))

    def _of(
        self, pieces: list[Piece], medium: Medium | None, notes: tuple[str, ...]
    ) -> ObservedSpectrum:
        wavelength = tuple(self.wavelength[piece.row][piece.pixels] for piece in pieces)
        return replace(
            self,
            orders=_windows(np.array([piece.number for piece in pieces]), wavelength),
            wavelength=wavelength,
            flux=tuple(self.flux[piece.row][piece.pixels] for piece in pieces),
            sigma=tuple(self.sigma[piece.row][piece.pixels] for piece in pieces),
            mask=tuple(self.mask[piece.row][piece.pixels] for piece in pieces),
            medium=medium,
            notes=notes,
            numbered=True,
        )


def open_spectrum(path: str | os.PathLike[str]) -> ObservedSpectrum:
    """Read an observed spectrum from a Starfish HDF5 file, or from an ECSV or FITS table.

    **Starfish HDF5** (any ending but those below). The datasets are `waves`, `fluxes`, `sigmas`
    (current Starfish) or `wls`, `fls`, `sigmas` (older Starfish), each (orders, pixels) or
    (pixels,), and an optional `masks` of the same shape, 1 = use. A `masks` that holds anything but
    0 and 1 is ignored, with a note: Starfish has written files with the wavelengths in its place.
    An `air` attribute of the file or of the wavelengths sets the medium, the attribute `BCV` of the
    older files the barycentric velocity. These files have no order numbers: an order's number is
    its row, from 0.

    **Tables** (.ecsv; .fits or .fit, also with .gz: the first table of the file) have a row a
    pixel. Names of columns are found in any case; other columns are left alone:

    - `wavelength`, `wave`, `wl` or `lambda`, in its unit (nm, um, ...), or Å if it has none;
    - `flux`;
    - `sigma`, `error`, `err`, `uncertainty`, `flux_error` or `flux_err`: the standard error;
    - `mask`, optional: **1 = use**, 0 = leave out (the other way round from numpy's);
    - `order`, optional: whole numbers, the file's own; without it there is one order, 0. Rows of
      different orders may be mixed, within an order wavelengths ascend.

    Missing values of flux or sigma mask a pixel. The table's meta, or the header of the FITS table
    or file, may have `medium` ("air" or "vacuum") and `barycentric_velocity` or `BCV` (km/s).
    BERV, HELCORR and the like are not read: their sign and unit differ between observatories.

    Raises
    ------
    MissingFile
        There is no such file.
    UnreadableFile
        The file is not of the format that its ending says, is damaged, or has another layout;
        columns or datasets that are missing, are not numbers or differ in shape.
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
    ('pixels masked for a flux or sigma that cannot be used: 1',)
    """
    path = Path(path)
    if not path.exists():
        raise MissingFile(f"{path}: no such file; expected an observed spectrum, check the path")
    if not path.is_file():
        raise UnreadableFile(f"{path} is a folder; expected the file of an observed spectrum")
    return _spectrum(path, read_table(path) if is_table(path) else read_starfish(path))


def _spectrum(path: Path, content: Content) -> ObservedSpectrum:
    """Check a file's content and make the spectrum of it."""
    for number, wave in zip(content.number, content.wavelength, strict=True):
        check_wavelength(path, number, wave)
    mask, notes = usable(content)
    for arrays in (content.wavelength, content.flux, content.sigma, mask):
        for array in arrays:
            array.setflags(write=False)
    return ObservedSpectrum(
        orders=_windows(content.number, content.wavelength),
        wavelength=content.wavelength,
        flux=content.flux,
        sigma=content.sigma,
        mask=mask,
        medium=content.medium,
        path=path,
        notes=notes,
        barycentric_velocity=content.barycentric_velocity,
        numbered=content.numbered,
    )


def _windows(number: Ints, wavelength: tuple[Floats, ...]) -> Orders:
    return Orders(
        number,
        np.array([wave[0] for wave in wavelength]),
        # windows are half open: keep the last pixel
        np.array([np.nextafter(wave[-1], np.inf) for wave in wavelength]),
    )
