"""Where stores and a mixture model meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixjobs.errors import InvalidInput, OrderError, StoreError
from mixjobs.model.air import air_to_vacuum, vacuum_to_air
from mixjobs.model.broadening import instrument_sigma
from mixjobs.model.components import BlackBody, LibraryModel, Source, Weighting
from mixjobs.model.emulator import emulator_error
from mixjobs.model.flux_ratio import Method, Outside, default_method, interpolation
from mixjobs.model.held_out_values import HeldOutAxis, held_out_axes
from mixjobs.model.mixture import MixtureModel
from mixjobs.model.parameters import lay_out
from mixjobs.model.synthesis import order_basis
from mixjobs.orders import Orders
from mixjobs.tables.emulator_store import emulated_orders, read_attributes, read_order
from mixjobs.tables.store import Store, open_store

Floats = NDArray[np.float64]
Wavelengths = Sequence[ArrayLike] | Mapping[int, ArrayLike]

SHARED = ("logg", "feh", "vsini", "rv")
BLACK_BODY = "blackbody"
_UNITS = {"erg/s/cm2/AA": 1.0, "erg/s/cm2/cm": 1e8}  # of 1 erg/s/cm²/Å


def load_mixture(
    path: str | Path,
    components: int | Sequence[str | Path] = 2,
    *,
    share: Sequence[str] = SHARED,
    fixed: Mapping[str, float] | None = None,
    orders: Sequence[int] | None = None,
    wavelengths: Wavelengths | None = None,
    medium: Literal["air", "vacuum"] | None = None,
    resolution: ArrayLike | None = None,
    fwhm: ArrayLike | None = None,
    library_resolution: float | None = None,
    limb_darkening: float = 0.6,
    method: Method | None = None,
    weighting: Weighting = "c",
    outside: Outside = "raise",
) -> MixtureModel:
    """Load a mixture of components from a store that has an emulator.

    Parameters
    ----------
    path : str or Path
        A finished store, built with an emulator.
    components : int or sequence
        How many components of this library; or, one by one, "library" for this one, the path of
        another library's store with the same orders, or "blackbody".
    share : sequence of str
        Parameters that the components have in common; the others are numbered, as `teff_1`.
    fixed : mapping, optional
        Values of parameters that do not vary, such as ``{"vsini": 0}``.
    orders : sequence of int, optional
        Numbers of the orders wanted; all that have an emulator if not given.
    wavelengths : one (n_pixels,) array an order, or a mapping from order numbers to them
        The data's pixels, Å; where they are wider than the emulator's, spectra are averaged over
        them. Without them, spectra are given at the library's own pixels.
    medium : {"air", "vacuum"}, optional
        Of the wavelengths; the library's if not given.
    resolution, fwhm : float or (M,) array, optional
        Of the Gaussian instrumental profile: resolving power, or FWHM in km/s. None for none.
    library_resolution : float, optional
        The library's own resolving power, where it matters; it is taken off in quadrature.
    limb_darkening : float
        Of the rotation profile, linear law.
    method : {"cubic", "linear", "simplex"}, optional
        How to go between the grid points; `cubic`, or `simplex` for an irregular grid.
    weighting : {"c", "log_omega"}
        Components weighted by their fractions (`c`, or `c_2` and so on: component 1 has the rest),
        in units of component 1's mean flux; or by ``log10`` of a solid angle each, ``(R/d)**2``
        with the radius and the distance, which gives absolute flux.
    outside : {"raise", "nan"}
        What parameters that are not answered give.

    Returns
    -------
    MixtureModel
        ``model(values)`` gives one array (..., n_pixels) an order; ``model.parameters`` names the
        values.

    Raises
    ------
    MissingFile, StoreError
        There is no whole store, or it has no emulator.
    OrderError
        Wavelengths outside their order.
    InvalidInput
        Another argument that cannot be used; each error says what was expected.
    """
    store = _Loaded.open(path, method)
    numbers = store.numbers(orders)
    chosen = store.store.orders.select(numbers)
    data = _data_pixels(wavelengths, chosen, medium, store)
    sigmas = _sigmas(resolution, fwhm, library_resolution, numbers)
    stores: dict[Path, LibraryModel] = {}
    sources: list[Source] = []
    for name in _names(components):
        if name == BLACK_BODY:
            sources.append(BlackBody(chosen, data.pixels, _unit(store.store)))
            continue
        where = Path(path) if name == "library" else Path(name)
        if where not in stores:
            loaded = store if where == Path(path) else _other(where, method, store, chosen)
            stores[where] = loaded.model(numbers, data.given, sigmas, limb_darkening)
        sources.append(stores[where])
    if not stores:
        raise InvalidInput("every component is a black body; at least one must be of the library")
    layout = lay_out([s.names for s in sources], share, weighting, fixed or {})
    return MixtureModel(layout, tuple(sources), chosen, data.shown, weighting, outside)


@dataclass(frozen=True, eq=False)
class _Loaded:
    """A store with an emulator, and how to interpolate in it."""

    store: Store
    method: Method
    emulated: list[int]

    @classmethod
    def open(cls, path: str | Path, method: Method | None) -> _Loaded:
        store = open_store(path)
        emulated = emulated_orders(store.path)
        if not emulated:
            raise StoreError(f"{path}: has no emulator; build it with mixjobs build --emulator")
        return cls(store, method or default_method(store.grid), emulated)

    def numbers(self, wanted: Sequence[int] | None) -> list[int]:
        """Return the numbers of the orders wanted, all of which have an emulator."""
        if wanted is None:
            return [int(n) for n in self.store.orders.number if n in self.emulated]
        self.store.orders.select(wanted)  # refuses those that the store has not
        without = [n for n in wanted if n not in self.emulated]
        if without:
            notes = read_attributes(self.store.path)["notes"]
            why = next(
                (n for n in notes if n.startswith(f"order {without[0]} ")), "it was left out"
            )
            raise InvalidInput(f"order {without[0]} has no emulator: {why}")
        return [int(n) for n in wanted]

    def model(
        self,
        numbers: Sequence[int],
        wavelengths: Sequence[Floats] | None,
        sigmas: Floats,
        limb_darkening: float,
    ) -> LibraryModel:
        """Prepare every order."""
        store, between = self.store, interpolation(self.store.grid, self.method)
        axes: list[HeldOutAxis] | None = None
        orders = []
        for m, number in enumerate(numbers):
            emulator, known = read_order(store.path, number)
            row = int(np.flatnonzero(store.orders.number == number)[0])
            log_mean = np.log(store.mean_flux[row])
            covariance, error = np.array(known["error_covariance"]), float(known["error_log_mean"])
            if known["error_method"] != self.method:
                axes = axes or held_out_axes(store.grid, self.method)
                found = emulator_error(axes, emulator.weights, log_mean)
                covariance, error = found.covariance, found.log_mean
            pixels = None if wavelengths is None else wavelengths[m]
            orders.append(
                order_basis(
                    emulator, log_mean, between, covariance, error, pixels, sigmas[m],
                    limb_darkening,
                )
            )  # fmt: skip
        return LibraryModel(store.grid, between, orders)


def _names(components: int | Sequence[str | Path]) -> list[str]:
    if isinstance(components, int):
        if components < 1:
            raise InvalidInput(f"{components} components; expected 1 or more")
        return ["library"] * components
    if isinstance(components, str | Path) or not components:
        raise InvalidInput(
            f"components {components!r}: expected a number, or a list of 'library', "
            "'blackbody' and paths of stores"
        )
    return [str(name) for name in components]


def _other(path: Path, method: Method | None, first: _Loaded, orders: Orders) -> _Loaded:
    """Open another library's store, and check that it fits the first."""
    other = _Loaded.open(path, method)
    ours, theirs = first.store, other.store
    for name in ("flux_unit", "medium"):
        if ours.attributes.get(name) != theirs.attributes.get(name):
            raise InvalidInput(
                f"{path}: its {name.replace('_', ' ')} is {theirs.attributes.get(name)!r}, that of "
                f"{ours.path} is {ours.attributes.get(name)!r}; components need the same: convert "
                "one of the libraries"
            )
    same = theirs.orders.select([int(n) for n in orders.number])
    for name in ("wave_min", "wave_max"):
        if not np.allclose(getattr(same, name), getattr(orders, name), rtol=1e-9, atol=0):
            raise InvalidInput(
                f"{path}: its orders are not those of {ours.path}; build both with the same orders"
            )
    other.numbers([int(n) for n in orders.number])
    return other


def _unit(store: Store) -> float:
    unit = store.attributes.get("flux_unit")
    if unit not in _UNITS:
        raise InvalidInput(
            f"{store.path}: a black body needs a library in {' or '.join(_UNITS)}; this one is in "
            f"{unit!r}"
        )
    return _UNITS[str(unit)]


@dataclass(frozen=True, eq=False)
class _Pixels:
    """The data's pixels, as shown to the user and as the library has them.

    `given` is None where there are no data; then `pixels` are the library's own.
    """

    shown: tuple[Floats, ...]
    pixels: tuple[Floats, ...]
    given: tuple[Floats, ...] | None


def _data_pixels(
    wavelengths: Wavelengths | None, orders: Orders, medium: str | None, loaded: _Loaded
) -> _Pixels:
    numbers = [int(n) for n in orders.number]
    if wavelengths is None:
        own = tuple(read_order(loaded.store.path, number)[0].wavelength for number in numbers)
        return _Pixels(own, own, None)
    if isinstance(wavelengths, Mapping):
        missing = [n for n in numbers if n not in wavelengths]
        if missing:
            raise InvalidInput(f"wavelengths lack order {missing[0]}; give one array an order")
        wavelengths = [wavelengths[number] for number in numbers]
    if len(wavelengths) != len(numbers):
        raise InvalidInput(
            f"{len(wavelengths)} arrays of wavelengths for {len(numbers)} orders; give one an order"
        )
    shown = tuple(np.asarray(w, dtype=np.float64) for w in wavelengths)
    library = loaded.store.attributes["medium"]
    convert = {("air", "vacuum"): air_to_vacuum, ("vacuum", "air"): vacuum_to_air}.get(
        (str(medium), library), np.asarray
    )
    pixels = tuple(convert(w) for w in shown)
    for number, low, high, wave in zip(
        numbers, orders.wave_min, orders.wave_max, pixels, strict=True
    ):
        if wave.ndim == 1 and len(wave) and not (wave.min() >= low and wave.max() <= high):
            raise OrderError(
                f"order {number} goes from {low:.8g} to {high:.8g} Å, its wavelengths from "
                f"{wave.min():.8g} to {wave.max():.8g} Å ({library}); cut them to the order"
            )
    return _Pixels(shown, pixels, pixels)


def _sigmas(
    resolution: ArrayLike | None,
    fwhm: ArrayLike | None,
    library_resolution: float | None,
    numbers: Sequence[int],
) -> Floats:
    """Width of the instrumental profile in every order, in ln(wavelength): (M,)."""
    sigmas = np.empty(len(numbers))
    for m, number in enumerate(numbers):
        widths = [_of_order(w, m, len(numbers), number) for w in (resolution, fwhm)]
        sigmas[m] = instrument_sigma(widths[0], widths[1], library_resolution)
    return sigmas


def _of_order(width: ArrayLike | None, m: int, n_orders: int, number: int) -> float | None:
    if width is None:
        return None
    try:
        values = np.broadcast_to(np.asarray(width, dtype=np.float64), (n_orders,))
    except (TypeError, ValueError):
        raise InvalidInput(
            f"resolution {width!r}: expected one number, or one for each of {n_orders} orders "
            f"(order {number} and so on)"
        ) from None
    return float(values[m])
