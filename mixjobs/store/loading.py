"""Where stores and a mixture model meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from mixjobs.errors import InvalidInput, StoreError
from mixjobs.interpolation import Method, Outside, default_method, interpolation
from mixjobs.interpolation.cross_validation import AxisFolds, axis_folds
from mixjobs.model.components import BlackBody, LibraryModel, Source, Weighting
from mixjobs.model.emulator import emulator_error
from mixjobs.model.flux_ratio import FluxRatio, flux_ratio
from mixjobs.model.instrument import Wavelengths, data_pixels, profile_sigmas
from mixjobs.model.layout import lay_out
from mixjobs.model.mixture import MixtureModel
from mixjobs.model.order_model import order_basis
from mixjobs.model.ratio_errors import RANKED
from mixjobs.orders import Orders
from mixjobs.store.emulator import emulated_orders, read_attributes, read_order
from mixjobs.store.format import Store, open_store
from mixjobs.typing import Floats
from mixjobs.units import UNITS

SHARED = ("logg", "feh", "vsini", "rv")
BLACK_BODY = "blackbody"


def load_mixture(
    path: str | Path,
    components: int | Sequence[str | Path] = 2,
    *,
    shared: Sequence[str] = SHARED,
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
    shared : sequence of str
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
        What parameters that are not valid give.

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
    own = [read_order(store.store.path, number)[0].wavelength for number in numbers]
    data = data_pixels(wavelengths, chosen, medium, own, store.store.attributes["medium"])
    sigmas = profile_sigmas(resolution, fwhm, library_resolution, numbers)
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
    layout = lay_out([s.names for s in sources], shared, weighting, fixed or {})
    return MixtureModel(layout, tuple(sources), chosen, data.shown, weighting, outside)


def order_numbers(path: str | Path, wanted: Sequence[int] | None = None) -> list[int]:
    """Numbers of a store's orders that have an emulator, or of those wanted among them.

    Raises
    ------
    MissingFile, StoreError
        There is no whole store, or it has no emulator.
    InvalidInput
        An order that is wanted has none.
    """
    return _Loaded.open(path, None).numbers(wanted)


@dataclass(frozen=True, eq=False)
class _Loaded:
    """A store with an emulator, and how to interpolate in it."""

    store: Store
    method: Method
    emulated: list[int]

    @classmethod
    def open(cls, path: str | Path, method: Method | None) -> _Loaded:
        store = open_store(path)
        if method not in (None, *RANKED):
            raise InvalidInput(f"method {method!r}: expected {', '.join(RANKED)}")
        emulated = emulated_orders(store.path)
        if not emulated:
            raise StoreError(f"{path}: has no emulator; build it with mixjobs build --emulator")
        return cls(store, method or default_method(store.grid), emulated)

    def numbers(self, wanted: Sequence[int] | None) -> list[int]:
        """Return the numbers of the orders wanted, all of which have an emulator."""
        if wanted is not None and not isinstance(wanted, Sequence | np.ndarray):
            raise InvalidInput(f"orders {wanted!r}: expected a list of order numbers")
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
        axes: list[AxisFolds] | None = None
        orders = []
        for m, number in enumerate(numbers):
            emulator, known = read_order(store.path, number)
            row = int(np.flatnonzero(store.orders.number == number)[0])
            log_mean = np.log(store.mean_flux[row])
            covariance, error = np.array(known["error_covariance"]), float(known["error_log_mean"])
            if known["error_method"] != self.method:
                axes = axes or axis_folds(store.grid, self.method)
                found = emulator_error(axes, emulator.weights, log_mean)
                covariance, error = found.covariance, found.log_mean
            pixels = None if wavelengths is None else wavelengths[m]
            basis = order_basis(
                emulator, log_mean, between, covariance, error, pixels, sigmas[m], limb_darkening
            )
            if basis.buffer < 0:
                raise InvalidInput(
                    f"{store.path}: the emulator's buffer in order {number} is too short for this "
                    "resolution; build it with a lower --min-resolution"
                )
            orders.append(basis)
        return LibraryModel(store.grid, between, orders)


def _names(components: int | Sequence[str | Path]) -> list[str]:
    if isinstance(components, int):
        if components < 1:
            raise InvalidInput(f"{components} components; expected 1 or more")
        return ["library"] * components
    if isinstance(components, str | Path) or not isinstance(components, Sequence) or not components:
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
    if unit not in UNITS:
        raise InvalidInput(
            f"{store.path}: a black body needs a library in {' or '.join(UNITS)}; this one is in "
            f"{unit!r}"
        )
    return UNITS[str(unit)]


def load_flux_ratio(
    path: str | Path,
    method: Method = "cubic",
    orders: Sequence[int] | None = None,
    outside: Outside = "raise",
) -> FluxRatio:
    """Load the flux ratio q(theta1, theta2) from a store.

    Parameters
    ----------
    path : str or Path
        A finished store.
    method : {"cubic", "linear", "simplex", "pairwise", "blackbody"}
        How to go between the grid points; see `mixjobs.model.flux_ratio`.
    orders : sequence of int, optional
        Numbers of the orders to load, in the order wanted; all if not given.
    outside : {"raise", "nan"}
        What a theta outside the grid or beside a hole gives.

    Returns
    -------
    FluxRatio
        ``q(theta1, theta2)`` gives (..., M).

    Raises
    ------
    MissingFile, StoreError
        There is no whole store at the path.
    InvalidInput
        An unknown order, or a method that this grid cannot have.
    """
    store = open_store(path)
    chosen = store.orders if orders is None else store.orders.select(orders)
    rows = [int(np.flatnonzero(store.orders.number == number)[0]) for number in chosen.number]
    return flux_ratio(store.grid, chosen, store.mean_flux[rows], method, outside)
