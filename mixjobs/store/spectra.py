"""Spectra of a star or a mixture, evaluated from a store with an emulator."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from mixjobs.display import PlotAccessor, Summarised
from mixjobs.errors import InvalidInput
from mixjobs.grid import Theta, describe
from mixjobs.interpolation import Holes, default_method
from mixjobs.model.instrument import MIN_PIXELS_PER_FWHM, pixels_per_fwhm, undersampling_note
from mixjobs.model.layout import Layout, weight_names
from mixjobs.model.library_model import LibraryModel
from mixjobs.model.mixture import MixtureModel
from mixjobs.observed.opening import open_spectrum
from mixjobs.observed.order_matching import match_by_number
from mixjobs.observed.spectrum import ObservedSpectrum
from mixjobs.orders import number_list
from mixjobs.store.component_values import ComponentValues, component_values
from mixjobs.store.emulator import emulated_orders
from mixjobs.store.filling import built_with, filled_notes
from mixjobs.store.format import Store, open_store
from mixjobs.store.loading import load_mixture
from mixjobs.typing import Floats, Ints
from mixjobs.units import to_integers, to_value
from mixjobs.wavelengths import Medium, in_library_medium, settle_medium

Pixels = str | Path | ObservedSpectrum | Mapping[int, ArrayLike]


@dataclass(frozen=True, eq=False, repr=False)
class Spectra(Summarised):
    """Spectra of a mixture of K components in M orders: n along one parameter, or a single one.

    `mixjobs.evaluate_spectra` makes them.

    Attributes
    ----------
    number : (M,) int array
        Order numbers.
    wave_min, wave_max : (M,) arrays
        Ranges of the orders, Å, in the medium of the library.
    wavelength : tuple of M (n_pixels,) arrays
        Å, in the medium ``notes["medium"]``.
    flux : tuple of M (n, n_pixels) arrays
        The mixture, in units of the mean flux of component 1.
    parts : tuple of M (n, K, n_pixels) arrays
        The components, which add up to the mixture.
    q : (n, K, M) array
        Mean flux of each component over that of component 1.
    light : (n, K, M) array
        ``c_k q_k``, with the filling factor c_k.
    parameters : dict
        A () array for each parameter, and an (n,) array for the one that varies.
    varied : str or None
        The parameter that varies. If None, n is 1.
    labels : tuple of K str
        Descriptions of the components.
    notes : dict
        Provenance: store, medium, versions and so on, as numbers and text.
    messages : tuple of str
        Choices made on behalf of the user, one line each.
    """

    number: Ints
    wave_min: Floats
    wave_max: Floats
    wavelength: tuple[Floats, ...]
    flux: tuple[Floats, ...]
    parts: tuple[Floats, ...]
    q: Floats
    light: Floats
    parameters: dict[str, Floats]
    varied: str | None
    labels: tuple[str, ...]
    notes: dict[str, Any]
    messages: tuple[str, ...] = ()

    plot = PlotAccessor("mixjobs.report.spectrum", "SpectraPlots")

    def _facts(self) -> dict[str, object]:
        sizes = [len(wave) for wave in self.wavelength]
        n = len(self.flux[0])
        varied = f", one for each value of {self.varied}" if self.varied else ""
        fractions = {
            name: "varies" if name == self.varied else f"{float(self.parameters[name]):g}"
            for name in weight_names(len(self.labels), "c")
        }
        fwhm = self.notes.get("fwhm", "none")
        return {
            "spectra": f"{n}{varied}",
            **{f"component {k + 1}": label for k, label in enumerate(self._short_labels)},
            **fractions,
            "orders": f"{len(self.number)} ({number_list(self.number)})",
            "range": f"{self.wave_min.min():.6g} to {self.wave_max.max():.6g} Å",
            "pixels": f"{sum(sizes)}, {self.notes.get('medium')}",
            "resolution": self.notes.get("resolution", "none"),
            **({} if fwhm == "none" else {"fwhm": f"{fwhm} km/s"}),
        }

    @property
    def _short_labels(self) -> list[str]:
        return [re.sub(r"^component \d+,? ", "", label) for label in self.labels]

    @property
    def mean(self) -> Floats:
        """Mean of the mixture over its pixels, (n, M)."""
        return np.stack([flux.mean(axis=1) for flux in self.flux], axis=1)

    @cached_property
    def by_component(self) -> dict[str, Floats]:
        """``q`` and ``light_fraction``, (n, M) each: of component 2, or ``q_2``, ``q_3``, ..."""
        fraction = self.light / self.light.sum(axis=1, keepdims=True)
        columns = {}
        for k in range(1, len(self.labels)):
            ending = "" if len(self.labels) == 2 else f"_{k + 1}"
            columns[f"q{ending}"] = self.q[:, k]
            columns[f"light_fraction{ending}"] = fraction[:, k]
        return columns

    def plain(self, values: Floats) -> Any:
        """Return values (n, ...) as lists, without the first axis if no parameter varies."""
        return (values if self.varied else values[0]).tolist()

    @property
    def plain_parameters(self) -> dict[str, float | list[float]]:
        """The parameters as numbers, and as a list for the one that varies."""
        return {name: value.tolist() for name, value in self.parameters.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the pixels as plain values, for JSON."""
        return {
            **self.notes,
            "parameters": self.plain_parameters,
            "varied": self.varied,
            "orders": self.number.tolist(),
            "wave_min": self.wave_min.tolist(),
            "wave_max": self.wave_max.tolist(),
            "n_pixels": [len(wave) for wave in self.wavelength],
            **{name: self.plain(values) for name, values in self.by_component.items()},
            "mean": self.plain(self.mean),
            "notes": list(self.messages),
        }

    def write(self, path: str | Path, overwrite: bool = False) -> None:
        """Write the spectra to an ECSV table (.ecsv) or an HDF5 file (.h5, .hdf5).

        Raises
        ------
        InvalidInput
            Another ending, or the file cannot be written.
        OutputExists
            The file exists, and `overwrite` is not set.
        """
        from mixjobs.store.spectra_files import (
            write_spectra,
        )  # h5py and astropy take a second to import

        write_spectra(Path(path), self, overwrite)


def evaluate_spectra(
    store: str | Path | Store,
    theta1: Theta,
    theta2: Theta | None = None,
    *,
    c: ArrayLike | None = None,
    rv: ArrayLike = 0.0,
    vsini: ArrayLike = 0.0,
    blackbodies: ArrayLike = (),
    vary: Mapping[str, ArrayLike] | None = None,
    orders: Sequence[int] | None = None,
    wavelengths: Pixels | None = None,
    medium: Medium | None = None,
    resolution: float | None = None,
    fwhm: float | None = None,
    library_resolution: float | None = None,
    method: Literal["cubic", "linear", "simplex"] | None = None,
    holes: Holes | None = None,
) -> Spectra:
    """Evaluate the spectra of a star, or of a mixture of two, from a store with an emulator.

    Parameters
    ----------
    store : str, Path or Store
        A finished store.
    theta1 : (D,) array or mapping
        Grid parameters of component 1, such as ``{"teff": 5800, "logg": 4.5, "feh": 0}``.
    theta2 : (D,) array or mapping, optional
        Grid parameters of component 2. Those that a mapping omits, except teff, are as in `theta1`.
    c : float or list of float
        Filling factor (fraction of the solid angle) of component 2, or of each component after the
        first.
    rv, vsini : float or list of float
        Radial velocity and projected rotation velocity, km/s: one for all components of the
        library, or one for each.
    blackbodies : list of float
        Effective temperatures, K, of further components that are blackbodies.
    vary : mapping, optional
        One parameter and its n values, such as ``{"teff_2": [3500, 3600]}``.
    orders : sequence of int, optional
        Order numbers; by default all that have an emulator and pixels.
    wavelengths : path, ObservedSpectrum or mapping of order numbers to (n_pixels,) arrays
        Pixels of an observed spectrum, or wavelengths in Å; by default the library's own pixels.
    medium : {"air", "vacuum"}, optional
        Medium of `wavelengths`, if the file does not state it; the library's if neither does.
    resolution, fwhm : float, optional
        Instrumental profile: resolving power, or FWHM in km/s.
    library_resolution : float, optional
        Resolving power of the library.
    method : {"cubic", "linear", "simplex"}, optional
        Interpolation between grid points; by default cubic, or simplex on an irregular grid.
    holes : {"refuse", "interpolate"}, optional
        Whether to fill holes of the grid from their neighbours; by default as the store was built.

    Returns
    -------
    Spectra

    Raises
    ------
    MissingFile, UnreadableFile, StoreError
        The store or the spectrum cannot be read, or the store has no emulator.
    OutsideGrid
        A theta outside the grid or at a hole, a velocity beyond the emulator's, or invalid
        filling factors.
    OrderError, InvalidInput
        Another argument is invalid.
    """
    store = store if isinstance(store, Store) else open_store(store)
    resolution = to_value(resolution, "", "resolution")
    fwhm = to_value(fwhm, "km/s", "fwhm")
    mixture = component_values(
        store.grid, theta1, theta2, c, {"vsini": vsini, "rv": rv}, blackbodies, vary
    )
    numbers = None if orders is None else to_integers(orders, "orders")
    if numbers == []:
        raise InvalidInput("no orders; name at least one, or leave orders out", name="orders")
    pixels = _choose_pixels(store, numbers, wavelengths, medium)
    model = load_mixture(
        store.path, mixture.components, shared=mixture.shared, orders=pixels.numbers,
        wavelengths=pixels.wavelengths, medium=pixels.medium, resolution=resolution,
        fwhm=fwhm, library_resolution=library_resolution, method=method,
        holes=holes,
    )  # fmt: skip
    notes = {
        "store": str(store.path),
        "library": str(store.attributes["library"]),
        "wavelengths": pixels.source,
        "medium": pixels.medium or store.attributes["medium"],
        "method": method or default_method(store.grid),
        "holes": holes or built_with(store),
        "resolution": _as_note(resolution),
        "fwhm": _as_note(fwhm),
        "versions": {name: version(name) for name in ("mixjobs", "numpy", "scipy")},
    }
    messages = (*pixels.messages, *_undersampled(model, pixels, resolution, fwhm))
    return _evaluate(model, mixture, notes, messages)


def _undersampled(
    model: MixtureModel, pixels: _Pixels, resolution: float | None, fwhm: float | None
) -> list[str]:
    """Warn about pixels of the data that are too wide for the instrument's profile."""
    if pixels.wavelengths is None:
        return []
    per_fwhm = {
        int(number): pixels_per_fwhm(wave, resolution, fwhm)
        for number, wave in zip(model.orders.number, model.wavelength, strict=True)
    }
    few = {n: p for n, p in per_fwhm.items() if p is not None and p < MIN_PIXELS_PER_FWHM}
    return [undersampling_note(few)] if few else []


@dataclass(frozen=True, eq=False)
class _Pixels:
    """Order numbers, and the pixels in these orders: the library's, or given wavelengths."""

    numbers: list[int]
    wavelengths: dict[int, ArrayLike] | None
    medium: Medium | None
    source: str
    messages: tuple[str, ...]


def _choose_pixels(
    store: Store, orders: Sequence[int] | None, wavelengths: Pixels | None, medium: Medium | None
) -> _Pixels:
    emulated = emulated_orders(store.path)
    # load_mixture raises the error if there is no emulator at all
    available = [n for n in store.orders.number.tolist() if n in emulated or not emulated]
    if wavelengths is None:
        return _library_pixels(store, orders, available, medium)
    waves, medium, source, messages = _given_pixels(wavelengths, medium, store.attributes["medium"])
    common = [number for number in waves if number in available]
    numbers = list(orders or common)
    missing = [number for number in numbers if number not in waves]
    if missing or not numbers:
        fault = f"no order {missing[0]}" if missing else "none of its orders are in the store"
        raise InvalidInput(
            f"{source}: {fault} (orders of the spectrum: {number_list(waves)}; of the store: "
            f"{number_list(available)}); choose orders that both have",
            name="orders", value=orders,
        )  # fmt: skip
    if not orders and len(common) < len(waves):
        skipped = number_list(number for number in waves if number not in common)
        messages += (f"{source}: orders skipped, as the store does not have them: {skipped}",)
    if emulated and set(numbers) <= set(available) and not isinstance(wavelengths, Mapping):
        inside, cuts = _inside(store, numbers, waves, medium, source)
        waves, messages = waves | inside, messages + cuts
    return _Pixels(numbers, waves, medium, source, messages)


def _inside(
    store: Store, numbers: list[int], waves: dict[int, Any], medium: Medium | None, source: str
) -> tuple[dict[int, ArrayLike], tuple[str, ...]]:
    """Return the pixels of a spectrum that are inside the store's orders, and notes on the rest."""
    arrays = [waves[number] for number in numbers]
    pieces, notes = match_by_number(
        Path(source), numbers, arrays, [np.ones(len(wave), dtype=bool) for wave in arrays],
        store.orders.select(numbers),
        partial(in_library_medium, medium=medium, library_medium=store.attributes["medium"]),
    )  # fmt: skip
    inside = {piece.number: arrays[piece.row][piece.pixels] for piece in pieces}
    return inside, tuple(f"{source}: {note}" for note in notes)


def _given_pixels(
    wavelengths: Pixels, medium: Medium | None, library_medium: str
) -> tuple[dict[int, ArrayLike], Medium | None, str, tuple[str, ...]]:
    """Return the wavelengths by order number, their medium, their source, and messages."""
    if isinstance(wavelengths, Mapping):
        source = "wavelengths"
        settled, _ = settle_medium(Path(source), None, medium, library_medium)
        return {int(n): wave for n, wave in wavelengths.items()}, settled, source, ()
    spectrum = open_spectrum(wavelengths, errors_needed=False)
    source = str(spectrum.path)
    settled, how = settle_medium(spectrum.path, spectrum.medium, medium, library_medium)
    waves = dict(zip(spectrum.orders.number.tolist(), spectrum.wavelength, strict=True))
    return waves, settled, source, (f"{source}: {how}",)


def _library_pixels(
    store: Store, orders: Sequence[int] | None, available: list[int], medium: Medium | None
) -> _Pixels:
    if medium is not None:
        raise InvalidInput(
            f"medium = {medium!r} applies only to given wavelengths; give both, or neither",
            name="medium", value=medium,
        )  # fmt: skip
    without = [n for n in store.orders.number.tolist() if n not in available]
    skipped = without and not orders
    note = f"orders skipped, as they have no emulator: {number_list(without)}"
    messages = (note,) if skipped else ()
    return _Pixels(list(orders or available), None, None, "the library's pixels", messages)


def _as_note(width: ArrayLike | None) -> Any:
    """Return the width of a profile as a plain number or list."""
    return "none" if width is None else np.asarray(width).tolist()


def _evaluate(
    model: MixtureModel, mixture: ComponentValues, notes: dict[str, Any], messages: tuple[str, ...]
) -> Spectra:
    values, varied = mixture.values(model.layout)
    columns = [np.atleast_1d(values[name]) for name in model.parameters]
    samples = np.stack(np.broadcast_arrays(*columns), axis=-1)
    n_components = len(mixture.own)
    for k, (source, own) in enumerate(zip(model.sources, model.layout.columns, strict=True), 1):
        if isinstance(source, LibraryModel):
            theta = source.theta(samples, own)
            messages += filled_notes(source.filling, theta, f"component {k}")
    equal = samples.copy()  # q is the light at equal fractions, which works where c is 0
    equal[:, len(values) - n_components + 1 :] = 1 / n_components
    return Spectra(
        number=model.orders.number,
        wave_min=model.orders.wave_min,
        wave_max=model.orders.wave_max,
        wavelength=model.wavelength,
        flux=model(samples),
        parts=model.parts(samples),
        q=model.light(equal) * n_components,
        light=model.light(samples),
        parameters=values,
        varied=varied,
        labels=_labels(mixture, model.layout, varied),
        notes=notes,
        messages=messages,
    )


def _labels(mixture: ComponentValues, layout: Layout, varied: str | None) -> tuple[str, ...]:
    labels = []
    for k, (own, columns) in enumerate(zip(mixture.own, layout.columns, strict=True)):
        constant = [name for name in own if layout.all_names[columns[name]] != varied]
        kind = ", blackbody" if mixture.components[k] == "blackbody" else ""
        values = describe([own[name] for name in constant], constant)
        labels.append(f"component {k + 1}{kind} {values}")
    return tuple(labels)
