"""Spectra of a star or a mixture, evaluated from a store that has an emulator."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from mixjobs.display import PlotAccessor, Summarised
from mixjobs.errors import InvalidInput, OutsideGrid
from mixjobs.grid import Grid, Theta, describe
from mixjobs.interpolation import default_method
from mixjobs.interpolation.cells import why_invalid
from mixjobs.model.layout import Layout, weight_names
from mixjobs.model.mixture import MixtureModel
from mixjobs.observed.order_matching import settle_medium
from mixjobs.observed.spectrum import ObservedSpectrum, open_spectrum
from mixjobs.store.emulator import emulated_orders
from mixjobs.store.format import Store, open_store
from mixjobs.store.loading import load_mixture
from mixjobs.typing import Floats, Ints
from mixjobs.units import to_value
from mixjobs.wavelengths import Medium

Pixels = str | Path | ObservedSpectrum | Mapping[int, ArrayLike]


@dataclass(frozen=True, eq=False, repr=False)
class Spectra(Summarised):
    """Spectra of a mixture of K components in M orders: n of them, along one parameter, or one.

    Made by `mixjobs.evaluate_spectra`.

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
        The parameter that varies; n is 1 without one.
    labels : tuple of K str
        Descriptions of the components.
    notes : dict
        Provenance: store, medium, versions and so on, as numbers and text.
    messages : tuple of str
        Choices that were made for the user, one line each.
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
        varied = f"{len(self.flux[0])} values of {self.varied}" if self.varied else "one"
        return {
            "spectra": varied,
            **{f"component {k + 1}": label for k, label in enumerate(self._short_labels)},
            "orders": f"{len(self.number)}: {_join(self.number.tolist())}",
            "range": f"{self.wave_min.min():.6g} to {self.wave_max.max():.6g} Å",
            "pixels": f"{sum(sizes)}, {self.notes.get('medium')}",
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
        from mixjobs.store.spectra_files import write_spectra  # h5py and astropy take a second

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
) -> Spectra:
    """Evaluate the spectra of a star, or of a mixture of two, from a store with an emulator.

    Parameters
    ----------
    store : str, Path or Store
        A finished store.
    theta1 : (D,) array or mapping
        Grid parameters of component 1, such as ``{"teff": 5800, "logg": 4.5, "feh": 0}``.
    theta2 : (D,) array or mapping, optional
        Grid parameters of component 2. A mapping takes from `theta1` what it omits, except teff.
    c : float or list of float
        Filling factor (fraction of the solid angle) of component 2, or of each component after the
        first.
    rv, vsini : float or list of float
        Radial velocity and projected rotation velocity, km/s: one for all, or one for each
        component of the library.
    blackbodies : list of float
        Effective temperatures of further components that are black bodies, K.
    vary : mapping, optional
        One parameter and its n values, such as ``{"teff_2": [3500, 3600]}``.
    orders : sequence of int, optional
        Order numbers; all that have an emulator, and pixels, if not given.
    wavelengths : path, ObservedSpectrum or mapping of order numbers to (n_pixels,) arrays
        The pixels: those of an observed spectrum, or wavelengths in Å. The library's own pixels
        if not given.
    medium : {"air", "vacuum"}, optional
        Medium of `wavelengths`, if the file does not state it; the library's if neither does.
    resolution, fwhm : float, optional
        Instrumental profile: resolving power, or FWHM in km/s.
    library_resolution : float, optional
        Resolving power of the library.
    method : {"cubic", "linear", "simplex"}, optional
        Interpolation between grid points; cubic, or simplex on an irregular grid, if not given.

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
    mixture = _describe_mixture(
        store.grid, theta1, theta2, c, {"vsini": vsini, "rv": rv}, blackbodies, vary
    )
    pixels = _choose_pixels(store, orders, wavelengths, medium)
    model = load_mixture(
        store.path, mixture.components, shared=mixture.shared, orders=pixels.numbers,
        wavelengths=pixels.wavelengths, medium=pixels.medium, resolution=resolution,
        fwhm=fwhm, library_resolution=library_resolution, method=method,
    )  # fmt: skip
    notes = {
        "store": str(store.path),
        "library": str(store.attributes["library"]),
        "wavelengths": pixels.source,
        "medium": pixels.medium or store.attributes["medium"],
        "method": method or default_method(store.grid),
        "resolution": resolution or "none",
        "fwhm": fwhm or "none",
        "versions": {name: version(name) for name in ("mixjobs", "numpy", "scipy")},
    }
    return _evaluate(model, mixture, notes, pixels.messages)


@dataclass(frozen=True, eq=False)
class _Mixture:
    """The requested components.

    Attributes
    ----------
    components : list of K str
        "library" or "blackbody", as `load_mixture` takes them.
    own : list of K dicts
        Parameters of each component, by their names in the library.
    shared : list of str
        Parameters that the components share.
    fractions : list of K - 1 floats
        Filling factors.
    varied : tuple or None
        The user's name of the parameter that varies, and its values (n,).
    """

    components: list[str]
    own: list[dict[str, float]]
    shared: list[str]
    fractions: list[float]
    varied: tuple[str, Floats] | None

    def values(self, layout: Layout) -> tuple[dict[str, Floats], str | None]:
        """Return the values by the names of the layout, and the name that varies."""
        numbers = dict(zip(weight_names(len(self.own), "c"), self.fractions, strict=True))
        for own, columns in zip(self.own, layout.columns, strict=True):
            numbers |= {layout.every[column]: own[name] for name, column in columns.items()}
        values: dict[str, Floats] = {name: np.array(numbers[name]) for name in layout.every}
        if self.varied is None:
            return values, None
        given, scan = self.varied
        name = given if given in values else re.sub(r"(?<!_)(\d)$", r"_\1", given)
        if name not in values:
            raise InvalidInput(
                f"vary {given!r}: unknown parameter; choose from {', '.join(values)}",
                name="vary", value=given,
            )  # fmt: skip
        values[name] = scan
        return values, name


def _describe_mixture(
    grid: Grid, theta1: Theta, theta2: Theta | None, c: ArrayLike | None,
    velocities: Mapping[str, ArrayLike], blackbodies: ArrayLike,
    vary: Mapping[str, ArrayLike] | None,
) -> _Mixture:  # fmt: skip
    thetas = [_theta(grid, theta1, "theta1")]
    if theta2 is not None:
        thetas.append(_theta(grid, _complete(theta2, thetas[0], grid), "theta2"))
    own = [{grid.names[d]: float(theta[d]) for d in grid.free} for theta in thetas]
    shared = [name for name in own[0] if name != "teff" and len({o[name] for o in own}) == 1]
    for name, given in velocities.items():
        numbers = _velocities(given, name, len(own))
        shared += [name] if len(numbers) == 1 else []
        for k, component in enumerate(own):
            component[name] = numbers[k % len(numbers)]
    varied = _scan(vary)
    if varied and (numbered := re.fullmatch(r"(.+?)_?\d", varied[0])):
        shared = [name for name in shared if name != numbered[1]]  # it varies in one component
    black = _numbers(to_value(blackbodies, "K", "blackbodies"), "blackbodies")
    components = ["library"] * len(own) + ["blackbody"] * len(black)
    own += [{"teff": teff} for teff in black]
    fractions = _fractions(c, len(own), varied[0] if varied else None)
    return _Mixture(components, own, shared, fractions, varied)


def _theta(grid: Grid, given: Theta, argument: str) -> Floats:
    """Return theta (D,), which must have the grid's value on every axis of a single value."""
    try:
        theta = grid.theta(given)
    except InvalidInput as error:
        raise InvalidInput(f"{argument}: {error}", name=argument, value=given) from None
    if theta.ndim != 1:
        raise InvalidInput(
            f"{argument} of shape {theta.shape}: expected ({len(grid.names)},); pass one theta",
            name=argument, value=given,
        )  # fmt: skip
    if any(theta[d] != axis[0] for d, axis in enumerate(grid.axes) if len(axis) == 1):
        component = f"component {argument[-1]}"
        raise OutsideGrid(
            f"{component}: {why_invalid(grid, theta)}", name=argument, value=theta.tolist()
        )
    return theta


def _complete(theta2: Theta, theta1: Floats, grid: Grid) -> Theta:
    """Take from theta1 what a mapping omits, except teff."""
    if not isinstance(theta2, Mapping):
        return theta2
    values = zip(grid.names, theta1.tolist(), strict=True)
    return {name: value for name, value in values if name != "teff"} | dict(theta2)


def _velocities(given: ArrayLike, name: str, n_stars: int) -> list[float]:
    numbers = _numbers(to_value(given, "km/s", name), name)
    if len(numbers) not in {1, n_stars}:
        each = f", or a list of {n_stars}" if n_stars > 1 else ""
        raise InvalidInput(
            f"{name} = {given!r}: expected one velocity in km/s{each}", name=name, value=given
        )
    return numbers


def _fractions(given: ArrayLike | None, n_components: int, varied: str | None) -> list[float]:
    """Return the filling factors after the first; one that varies may be omitted."""
    names = weight_names(n_components, "c")
    if given is None:
        if names not in ([], [varied]):
            which = "component 2" if len(names) == 1 else "each component after the first"
            raise InvalidInput(
                f"{n_components} components but no c: expected the filling factor of {which}, "
                "from 0 to 1",
                name="c",
            )
        return [0.0] * len(names)
    numbers = _numbers(given, "c")
    if len(numbers) != len(names):
        expected = f"{len(names)}, one for each component after the first"
        raise InvalidInput(
            f"c = {given!r}: expected {expected if names else 'a second component with it'}",
            name="c", value=given,
        )  # fmt: skip
    return numbers


def _numbers(given: Any, name: str) -> list[float]:
    try:
        return [float(value) for value in np.atleast_1d(np.asarray(given, dtype=np.float64))]
    except (TypeError, ValueError):
        raise InvalidInput(
            f"{name} = {given!r}: expected a number or a list of numbers", name=name, value=given
        ) from None


def _scan(vary: Mapping[str, ArrayLike] | None) -> tuple[str, Floats] | None:
    if not vary:
        return None
    if len(vary) > 1:
        raise InvalidInput(
            f"vary has {len(vary)} parameters ({', '.join(vary)}): vary one at a time",
            name="vary", value=list(vary),
        )  # fmt: skip
    ((name, given),) = vary.items()
    values = np.array(_numbers(given, "vary"))
    if not len(values) or not all(map(math.isfinite, values)):
        raise InvalidInput(
            f"vary {name} = {given!r}: expected finite numbers", name="vary", value=given
        )
    return name, values


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
    library = store.attributes["medium"]
    if isinstance(wavelengths, Mapping):
        name, waves = "wavelengths", {int(n): wave for n, wave in wavelengths.items()}
        settled, _ = settle_medium(Path(name), None, medium, library)
        messages: list[str] = []
    else:
        observed = (
            wavelengths if isinstance(wavelengths, ObservedSpectrum) else open_spectrum(wavelengths)
        )
        name, waves = (
            str(observed.path),
            dict(zip(observed.orders.number.tolist(), observed.wavelength, strict=True)),
        )
        settled, how = settle_medium(observed.path, observed.medium, medium, library)
        messages = [f"{name}: {how}"]
    common = [number for number in waves if number in available]
    numbers = list(orders or common)
    missing = [number for number in numbers if number not in waves]
    has = f"it has {_join(waves)}, the store has {_join(available)}"
    if missing or not numbers:
        fault = f"no order {missing[0]}" if missing else "none of the store's orders"
        raise InvalidInput(f"{name}: {fault}; {has}", name="orders", value=orders)
    if not orders and len(common) < len(waves):
        skipped = _join(number for number in waves if number not in common)
        messages.append(f"{name}: order {skipped} skipped; the store has {_join(available)}")
    return _Pixels(numbers, waves, settled, name, tuple(messages))


def _library_pixels(
    store: Store, orders: Sequence[int] | None, available: list[int], medium: Medium | None
) -> _Pixels:
    if medium is not None:
        raise InvalidInput(
            f"medium {medium!r} without wavelengths; give both, or neither",
            name="medium", value=medium,
        )  # fmt: skip
    without = [n for n in store.orders.number.tolist() if n not in available]
    skipped = without and not orders
    messages = (f"order {_join(without)} skipped: no emulator",) if skipped else ()
    return _Pixels(list(orders or available), None, None, "the library's pixels", messages)


def _join(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


def _evaluate(
    model: MixtureModel, mixture: _Mixture, notes: dict[str, Any], messages: tuple[str, ...]
) -> Spectra:
    values, varied = mixture.values(model.layout)
    columns = [np.atleast_1d(values[name]) for name in model.parameters]
    rows = np.stack(np.broadcast_arrays(*columns), axis=-1)
    n_components = len(mixture.own)
    equal = rows.copy()  # q is the light at equal fractions, which works where c is 0
    equal[:, len(values) - n_components + 1 :] = 1 / n_components
    return Spectra(
        number=model.orders.number,
        wave_min=model.orders.wave_min,
        wave_max=model.orders.wave_max,
        wavelength=model.wavelength,
        flux=model(rows),
        parts=model.parts(rows),
        q=model.light(equal) * n_components,
        light=model.light(rows),
        parameters=values,
        varied=varied,
        labels=_labels(mixture, model.layout, varied),
        notes=notes,
        messages=messages,
    )


def _labels(mixture: _Mixture, layout: Layout, varied: str | None) -> tuple[str, ...]:
    labels = []
    for k, (own, columns) in enumerate(zip(mixture.own, layout.columns, strict=True)):
        constant = [name for name in own if layout.every[columns[name]] != varied]
        kind = ", black body" if mixture.components[k] == "blackbody" else ""
        values = describe([own[name] for name in constant], constant)
        labels.append(f"component {k + 1}{kind} {values}")
    return tuple(labels)
