"""Observed spectra: orders, wavelengths, fluxes, errors and masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from mixjobs.declarations import Declaration
from mixjobs.display import PlotAccessor, Summarised
from mixjobs.errors import InvalidInput, OrderError, UnreadableFile
from mixjobs.observed.content import Content, Frame, ReaderOptions, orders_without_pixels, usable
from mixjobs.observed.masks import check_ranges, inside
from mixjobs.observed.order_matching import (
    Piece,
    coverage_note,
    cut_by_range,
    drop_short_pieces,
    match_by_number,
    numbers_by_range,
    unmatched_orders,
)
from mixjobs.observed.readers.arrays import read_arrays
from mixjobs.observed.sanity import is_negative, negative_fraction, suspicions
from mixjobs.orders import Orders
from mixjobs.typing import Bools, Floats
from mixjobs.units import to_value
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
    declarations : tuple of Declaration
        What was used for wavelength, flux, flux error, mask and medium, and what declares it.
    frame : {"barycentric", "topocentric"} or None
        Whether the wavelengths are corrected for the motion of the Earth; None if the file does not
        declare it.
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
    declarations: tuple[Declaration, ...] = ()
    frame: Frame | None = None

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

    @classmethod
    def from_arrays(
        cls,
        wavelength: Any,
        flux: Any,
        flux_error: Any = None,
        *,
        mask: Any = None,
        numbers: Sequence[int] | None = None,
        medium: Medium | None = None,
        wavelength_unit: str | None = None,
        snr: float | None = None,
        barycentric_velocity: float | None = None,
    ) -> ObservedSpectrum:
        """Return a spectrum given as arrays, numbers or astropy quantities.

        Parameters
        ----------
        wavelength : (n_pixels,) or (n_orders, n_pixels) array, or list of (n_pixels,) arrays
            In any unit, as a quantity or by `wavelength_unit`; otherwise in Å.
        flux, flux_error : like `wavelength`
            Flux per frequency is converted to flux per wavelength.
        mask : like `wavelength`, optional
            1 for a pixel to use.
        numbers : sequence of int, optional
            Numbers of the orders; by default they count from 0.
        medium : {"air", "vacuum"}, optional
        wavelength_unit : str, optional
        snr : float, optional
            S/N per pixel at the median flux of each order, instead of `flux_error`.
        barycentric_velocity : float or quantity, optional
            km/s.

        Raises
        ------
        InvalidInput, UnreadableFile, OrderError
            As for a file.

        Examples
        --------
        >>> import numpy as np
        >>> from astropy import units as u
        >>> wave = np.linspace(500, 510, 6) * u.nm
        >>> star = ObservedSpectrum.from_arrays(wave, np.ones(6), np.full(6, 0.01), numbers=[92])
        >>> star.orders.number.tolist(), star.wavelength[0][:2].tolist()
        ([92], [5000.0, 5020.0])
        """
        velocity = to_value(barycentric_velocity, "km/s", "barycentric_velocity")
        arrays = {"wavelength": wavelength, "flux": flux, "flux_error": flux_error, "mask": mask}
        options = ReaderOptions(medium=medium, wavelength_unit=wavelength_unit, snr=snr)
        content = read_arrays(arrays, numbers, options, velocity)
        return check_spectrum(make_spectrum(Path("arrays"), content))

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

        Orders are matched by number. Pixels at the ends of an order that lie outside the store's
        order are removed, as between epochs that the motion of the Earth shifts by up to 60 km/s; a
        note counts those that were not masked. A spectrum of a single order without a number is cut
        by the ranges of the store's orders instead; a pixel in two ranges belongs to the bluer
        order.
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
            Most pixels to use of an order lie outside the store's order of the same number, or all
            orders are displaced by the difference between air and vacuum.
        InvalidInput
            No pixel can be used, the file declares another medium, or no order is common to both.
        """
        if not any(use.any() for use in self.mask):
            raise InvalidInput(
                f"{self.path}: no pixel can be used: {'; '.join(self.notes)}",
                path=self.path,
                name="mask",
            )
        settled, note = settle_medium(self.path, self.medium, medium, library_medium)
        convert = partial(in_library_medium, medium=settled, library_medium=library_medium)
        numbers = self.orders.number.tolist()
        if len(numbers) == 1 and not self.numbered:
            cut = cut_by_range(self.wavelength[0], orders, convert)
            pieces, notes = drop_short_pieces(cut, self.mask)
            notes = [coverage_note(pieces, self.mask[0]), *notes]
        else:
            matched, cuts = match_by_number(
                self.path, numbers, self.wavelength, self.mask, orders, convert
            )
            pieces, notes = drop_short_pieces(matched, self.mask)
            notes = [*cuts, *notes, *unmatched_orders(numbers, orders)]
        if not pieces:
            same = numbers_by_range(self.wavelength, orders, convert) or numbers
            remedy = "choose a store that covers the spectrum"
            if same != numbers and not self.numbered:
                remedy = f"its wavelengths are those of numbers = {same}: give these"
            elif same != numbers:
                remedy = (
                    f"its wavelengths are those of orders {', '.join(map(str, same))} of the "
                    "store: build the store with the orders of this spectrum"
                )
            raise InvalidInput(
                f"{self.path}: no order with enough pixels is common to the spectrum "
                f"({self.orders.summary()}) and the store ({orders.summary()}); "
                f"{remedy} (notes: {'; '.join([*self.notes, *notes])})",
                path=self.path,
                name="orders",
                value=same,
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


def check_spectrum(spectrum: ObservedSpectrum) -> ObservedSpectrum:
    """Refuse a spectrum whose flux is mostly negative, and note what is suspect about others."""
    if is_negative(spectrum.flux, spectrum.mask):
        fraction = negative_fraction(spectrum.flux, spectrum.mask)
        raise UnreadableFile(
            f"{spectrum.path}: the flux is negative in {fraction:.0%} of the pixels; expected "
            "positive fluxes: correct the sign, or check the column",
            path=spectrum.path,
            name="flux",
            value=fraction,
        )
    notes = suspicions(spectrum.flux, spectrum.flux_error, spectrum.mask)
    return replace(spectrum, notes=(*spectrum.notes, *notes))


def make_spectrum(path: Path, content: Content) -> ObservedSpectrum:
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
        declarations=content.declarations,
        frame=content.frame,
    )
