"""Mixture models, loaded from stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from mixjobs.errors import InvalidInput, StoreError
from mixjobs.interpolation import Holes, Method, Outside, default_method, interpolation
from mixjobs.interpolation.filling import Filling
from mixjobs.library.base import DOUBT_ADVICE
from mixjobs.model.blackbody import BlackBody
from mixjobs.model.components import Source, Weighting
from mixjobs.model.instrument import DataPixels, Wavelengths, data_pixels, profile_sigmas
from mixjobs.model.joint_error import JointError, order_error
from mixjobs.model.layout import lay_out
from mixjobs.model.library_model import LibraryModel
from mixjobs.model.mixture import MixtureModel
from mixjobs.model.order_model import order_basis
from mixjobs.model.ratio_errors import RANKED
from mixjobs.orders import Orders
from mixjobs.store.emulator import check_order, emulated_orders, read_attributes, read_order
from mixjobs.store.filling import store_filling
from mixjobs.store.format import Store, open_lazily
from mixjobs.store.joint_error import read_joint_error
from mixjobs.typing import Floats
from mixjobs.units import UNITS, to_value
from mixjobs.wavelengths import Medium

_MEDIAN_OF_NORMAL = 0.6745  # of the absolute value, in standard deviations
LIBRARY, BLACKBODY = "library", "blackbody"


def load_mixture(
    path: str | Path,
    components: int | Sequence[str | Path] = 2,
    *,
    shared: Sequence[str] | None = None,
    fixed: Mapping[str, float] | None = None,
    orders: Sequence[int] | None = None,
    wavelengths: Wavelengths | None = None,
    medium: Medium | None = None,
    resolution: ArrayLike | None = None,
    fwhm: ArrayLike | None = None,
    library_resolution: float | None = None,
    limb_darkening: float = 0.6,
    method: Method | None = None,
    weighting: Weighting = "c",
    outside: Outside = "raise",
    holes: Holes | None = None,
) -> MixtureModel:
    """Load a mixture of components from a store with an emulator.

    Parameters
    ----------
    path : str or Path
        A finished store that was built with an emulator.
    components : int or sequence
        Number of components from this library. Alternatively one entry per component: "library" for
        this library, the path of another library's store with the same orders, or "blackbody".
    shared : sequence of str, optional
        Parameters with a common value in all components; all but `teff` if not given. The others
        are numbered: `teff_1`.
    fixed : mapping, optional
        Values of parameters that do not vary, such as ``{"vsini": 0}``.
    orders : sequence of int, optional
        Numbers of the orders. If not given, these are the keys of the wavelengths, or all orders
        that have an emulator.
    wavelengths : sequence of (n_pixels,) arrays, or mapping from order numbers to arrays, optional
        Pixels of the data in each order, Å or quantities. Spectra are averaged over pixels wider
        than the emulator's. If not given, spectra are evaluated at the library's own pixels.
    medium : {"air", "vacuum"}, optional
        Medium of the wavelengths; the library's if not given.
    resolution : float or (M,) array, optional
        Resolving power of the instrument, with a Gaussian profile.
    fwhm : float, (M,) array or quantity, optional
        FWHM of the Gaussian profile, km/s. Give `resolution`, `fwhm`, or neither for no broadening.
    library_resolution : float, optional
        Resolving power of the library, subtracted in quadrature.
    limb_darkening : float
        Coefficient of the linear law, for the rotation profile.
    method : {"cubic", "linear", "simplex"}, optional
        The interpolation between grid points. The default is `cubic`, or `simplex` for an irregular
        grid.
    weighting : {"c", "log_omega"}
        With "c", components are weighted by filling factors (`c`, or `c_2`, `c_3`, ...; component 1
        has the remainder), and spectra are in units of component 1's mean flux. With "log_omega",
        each component has the ``log10`` of its solid angle ``(R/d)**2`` (radius R, distance d), and
        spectra are absolute fluxes.
    outside : {"raise", "nan"}
        Whether invalid parameters raise an error or give NaN.
    holes : {"refuse", "interpolate"}, optional
        Whether to fill holes of the grid from their neighbours; by default as each store was built.

    Returns
    -------
    MixtureModel
        ``model(values)`` returns one array (..., n_pixels) per order; ``model.parameters`` names
        the values.

    Raises
    ------
    MissingFile, StoreError
        There is no complete store, or it has no emulator.
    OrderError
        Wavelengths outside their order.
    InvalidInput
        Any other argument that is not valid.
    """
    first = _EmulatorStore.open(path, method, holes)
    numbers = first.order_numbers(wanted_orders(orders, wavelengths))
    chosen = first.store.orders.select(numbers)
    own_pixels = [read_order(first.store.path, number)[0].wavelength for number in numbers]
    pixels = data_pixels(wavelengths, chosen, medium, own_pixels, first.store.attributes["medium"])
    instrument = _Instrument(
        pixels,
        profile_sigmas(resolution, fwhm, library_resolution, len(numbers)),
        to_value(limb_darkening, "", "limb_darkening"),
    )
    sources = _sources(first, _component_names(components), chosen, instrument)
    layout = lay_out([source.names for source in sources], shared, weighting, fixed or {})
    return MixtureModel(layout, sources, chosen, pixels.observed, weighting, outside)


def wanted_orders(
    orders: Sequence[int] | None, wavelengths: Wavelengths | None
) -> Sequence[int] | None:
    """Return the orders, or the keys of the wavelengths if orders are not given."""
    return list(wavelengths) if orders is None and isinstance(wavelengths, Mapping) else orders


def order_numbers(path: str | Path, orders: Sequence[int] | None = None) -> list[int]:
    """Return the numbers of all orders with an emulator, or check the given ones.

    Raises
    ------
    MissingFile, StoreError
        There is no complete store, or it has no emulator.
    InvalidInput
        An order that does not exist, or that has no emulator.
    """
    return _EmulatorStore.open(path).order_numbers(orders)


@dataclass(frozen=True, eq=False)
class _Instrument:
    """The pixels, the profile widths (M,) and the limb darkening of a model."""

    pixels: DataPixels
    profile_sigma: Floats
    limb_darkening: float


@dataclass(frozen=True, eq=False)
class _EmulatorStore:
    """A store with an emulator, and the interpolation as the caller chose it."""

    store: Store
    emulated: list[int]
    chosen_method: Method | None
    holes: Holes | None

    @classmethod
    def open(
        cls, path: str | Path, method: Method | None = None, holes: Holes | None = None
    ) -> _EmulatorStore:
        store = open_lazily(path)
        if method not in (None, *RANKED):
            raise InvalidInput(
                f"method {method!r}: choose from {', '.join(RANKED)}", name="method", value=method
            )
        emulated = emulated_orders(store.path)
        if not emulated:
            raise StoreError(
                f"{path}: the store has no emulator; build it again with an emulator", path=path
            )
        return cls(store, emulated, method, holes)

    @property
    def method(self) -> Method:
        """The interpolation method."""
        return self.chosen_method or default_method(self.store.grid)

    def order_numbers(self, orders: Sequence[int] | None) -> list[int]:
        """Return the numbers of all orders with an emulator, or check the given ones."""
        if orders is None:
            return [int(n) for n in self.store.orders.number if n in self.emulated]
        if not isinstance(orders, Sequence | np.ndarray):
            raise InvalidInput(
                f"orders = {orders!r}: expected a list of order numbers",
                name="orders",
                value=orders,
            )
        self.store.orders.select(orders)  # raises an error for an order that does not exist
        without = [int(n) for n in orders if n not in self.emulated]
        if without:
            raise InvalidInput(
                f"order {without[0]} has no emulator: {self._why_missing(without[0])}",
                path=self.store.path,
                name="orders",
                order=without[0],
            )
        return [int(n) for n in orders]

    def _why_missing(self, number: int) -> str:
        """Return the build's note about an order without an emulator."""
        notes = read_attributes(self.store.path)["notes"]
        return next((n for n in notes if n.startswith(f"order {number} ")), "the build skipped it")

    def library_model(self, numbers: Sequence[int], instrument: _Instrument) -> LibraryModel:
        """Prepare every order for the pixels of the data."""
        store, filling = self.store, store_filling(self.store, self.holes)
        between = interpolation(store.grid, self.method, filling)
        emulated, error = read_joint_error(store, self.method)
        columns = dict(zip(emulated, error.columns, strict=True))
        orders, stored = [], store.orders.number.tolist()
        for m, number in enumerate(numbers):
            emulator, _ = read_order(store.path, number)
            check_order(store, number, emulator)
            log_mean = np.log(store.mean_flux[stored.index(number)])
            pixels = instrument.pixels
            basis = order_basis(
                emulator,
                log_mean,
                between,
                order_error(columns[number]),
                wavelength=None if pixels.are_own else pixels.in_library_medium[m],
                profile_sigma=instrument.profile_sigma[m],
                limb_darkening=instrument.limb_darkening,
            )
            if basis.buffer < 0:
                raise InvalidInput(
                    f"{store.path}: the emulator's buffer in order {number} is too narrow for this "
                    "resolution; build the store for a lower minimum resolution",
                    path=store.path,
                    name="resolution",
                    order=number,
                )
            orders.append(basis)
        return LibraryModel(
            str(store.path), store.grid, between, orders, filling,
            None if filling is None else relative_error(filling, error),
        )  # fmt: skip


def relative_error(filling: Filling, error: JointError) -> Floats:
    """Return the error of filled points, over that between grid points: (F,).

    Both are those of ln(mean flux), as medians of the absolute value.
    """
    variances = [np.sum(columns[:, -1] ** 2) for columns in error.columns]
    typical = _MEDIAN_OF_NORMAL * float(np.sqrt(np.mean(variances)))
    return filling.error[:, 0] / typical if typical > 0 else np.zeros(len(filling))


def _component_names(components: int | Sequence[str | Path]) -> list[str]:
    if isinstance(components, int):
        if components < 1:
            raise InvalidInput(
                f"{components} components: expected at least 1", name="components", value=components
            )
        return [LIBRARY] * components
    if isinstance(components, str | Path) or not isinstance(components, Sequence) or not components:
        raise InvalidInput(
            f"components = {components!r}: expected a number, or a list of 'library', 'blackbody' "
            "and paths of stores",
            name="components",
            value=components,
        )
    return [str(name) for name in components]


def _sources(
    first: _EmulatorStore,
    names: Sequence[str],
    orders: Orders,
    instrument: _Instrument,
) -> tuple[Source, ...]:
    """Load the source of each component; components of one library share a source."""
    own = first.store.path
    paths = {name: own if name == LIBRARY else Path(name) for name in names if name != BLACKBODY}
    if not paths:
        raise InvalidInput(
            "every component is a blackbody; at least one must come from a library",
            name="components",
            value=list(names),
        )
    numbers = [int(n) for n in orders.number]
    stores = {
        path: first if path == own else _other_store(path, first, orders)
        for path in dict.fromkeys(paths.values())
    }
    if BLACKBODY in names or len(stores) > 1:
        for other in stores.values():
            _check_absolute_flux(other.store)
    by_path = {path: other.library_model(numbers, instrument) for path, other in stores.items()}
    return tuple(
        BlackBody(orders, instrument.pixels.in_library_medium, _flux_unit(first.store))
        if name == BLACKBODY
        else by_path[paths[name]]
        for name in names
    )


def _other_store(path: Path, first: _EmulatorStore, orders: Orders) -> _EmulatorStore:
    """Open another library's store, and check that it matches the first."""
    other = _EmulatorStore.open(path, first.chosen_method, first.holes)
    reference, numbers = first.store, orders.number.tolist()
    for name in ("flux_unit", "medium"):
        value, expected = (s.attributes.get(name) for s in (other.store, reference))
        if value != expected:
            raise InvalidInput(
                f"{path}: the {name.replace('_', ' ')} is {value!r}, but that of {reference.path} "
                f"is {expected!r}; components need the same: convert one of the libraries",
                path=path,
                name=name,
                value=value,
            )
    ranges = other.store.orders.select(numbers)
    for name in ("wave_min", "wave_max"):
        if not np.allclose(getattr(ranges, name), getattr(orders, name), rtol=1e-9, atol=0):
            raise InvalidInput(
                f"{path}: the orders differ from those of {reference.path}; "
                "build both stores with the same orders",
                path=path,
                name="orders",
            )
    other.order_numbers(numbers)
    return other


def _check_absolute_flux(store: Store) -> None:
    """Refuse a library whose flux may be off by a factor, where it meets another source."""
    doubt = store.attributes.get("absolute_flux_doubt")
    if doubt:
        raise InvalidInput(
            f"{store.path}: {doubt}; {DOUBT_ADVICE}",
            path=store.path, name="flux_unit", value=store.attributes.get("flux_unit_declared"),
        )  # fmt: skip


def _flux_unit(store: Store) -> float:
    """1 erg/s/cm²/Å in the store's flux unit, for a blackbody."""
    unit = store.attributes.get("flux_unit")
    if unit not in UNITS:
        raise InvalidInput(
            f"{store.path}: the library's flux unit is {unit!r}; a blackbody needs "
            f"{' or '.join(UNITS)}; convert the library",
            path=store.path,
            name="flux_unit",
            value=unit,
        )
    return UNITS[str(unit)]
