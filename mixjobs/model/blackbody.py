"""Blackbodies: the Planck function, its mean over an order, and a component of a mixture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.polynomial.legendre import leggauss
from numpy.typing import ArrayLike

from mixjobs.errors import InvalidInput, OutsideGrid
from mixjobs.limits import BLACKBODY_TEFF
from mixjobs.orders import Orders
from mixjobs.typing import Bools, Floats
from mixjobs.units import to_value

# CODATA 2018, exact, in cgs: 2 h c^2 (erg cm^2/s) and h c / k (cm K).
_H, _C, _K = 6.62607015e-27, 2.99792458e10, 1.380649e-16
_TWO_H_C2 = 2 * _H * _C**2
_HC_K = _H * _C / _K
_CM = 1e-8  # one Å in cm
_NODES, _WEIGHTS = leggauss(16)
_ANY_TEFF = 5000.0  # K; evaluated in place of an invalid temperature


def planck(wavelength: ArrayLike, teff: ArrayLike) -> Floats:
    """Surface flux of a blackbody, pi B_lambda, in erg/s/cm²/Å.

    Planck's law: ``pi B = 2 pi h c² / lambda⁵ / (exp(h c / (lambda k T)) - 1)``
    (Rybicki & Lightman 1979, equation 1.52).

    Parameters
    ----------
    wavelength : (...) array or quantity
        Å.
    teff : (...) array or quantity
        K; broadcast against `wavelength`.

    Returns
    -------
    (...) array

    Raises
    ------
    InvalidInput
        A temperature or a wavelength that is not positive.

    Examples
    --------
    >>> f"{planck(5000, 5772):.3e}"
    '8.243e+06'
    """
    wave = np.asarray(to_value(wavelength, "Angstrom", "wavelength"), dtype=np.float64) * _CM
    t = np.asarray(to_value(teff, "K", "teff"), dtype=np.float64)
    for name, values in (("wavelength", wave / _CM), ("teff", t)):
        if not (values > 0).all():
            wrong = float(values[~(values > 0)][0])
            raise InvalidInput(
                f"{name} = {wrong:g}: a blackbody needs a positive wavelength (Å) and teff (K)",
                name=name,
                value=wrong,
            )
    x = np.minimum(_HC_K / (wave * t), 700.0)  # exp(x) overflows soon beyond this
    flux: Floats = np.pi * _TWO_H_C2 / wave**5 / np.expm1(x) * _CM
    return flux


def planck_mean(wave_min: ArrayLike, wave_max: ArrayLike, teff: ArrayLike) -> Floats:
    """Mean of `planck` over ranges of wavelength, by 16-point Gauss-Legendre quadrature.

    The nodes are in log wavelength, where a blackbody is smooth. A single range from 3000 to
    60000 Å is accurate to 1e-8, and one from 1000 Å to 100 µm to 1e-3.

    Parameters
    ----------
    wave_min, wave_max : (M,) arrays or quantities
        Å.
    teff : (...) array or quantity
        K.

    Returns
    -------
    (..., M) array
        erg/s/cm²/Å.
    """
    low = np.asarray(to_value(wave_min, "Angstrom", "wave_min"), dtype=np.float64)[:, None]
    high = np.asarray(to_value(wave_max, "Angstrom", "wave_max"), dtype=np.float64)[:, None]
    temperature = np.asarray(to_value(teff, "K", "teff"), dtype=np.float64)
    half = 0.5 * np.log(high / low)
    nodes = np.sqrt(low * high) * np.exp(half * _NODES)
    values = planck(nodes, temperature[..., None, None])
    mean: Floats = (values * (nodes * _WEIGHTS * half / (high - low))).sum(axis=-1)
    return mean


def planck_fraction(wavelength: float, teff: ArrayLike) -> Floats:
    """Return the part of a blackbody's flux that is emitted below a wavelength.

    ``15 / pi⁴ sum exp(-n x) (x³ / n + 3 x² / n² + 6 x / n³ + 6 / n⁴)``, x = h c / (lambda k T)
    (Chang & Rhee 1984, Int. Comm. Heat Mass Transfer 11, 451).

    Parameters
    ----------
    wavelength : float
        Å.
    teff : (...) array
        K.

    Examples
    --------
    >>> (1 - planck_fraction(55_000.0, [6000.0, 3000.0])).round(3).tolist()
    [0.004, 0.024]
    """
    x = _HC_K / (wavelength * _CM * np.asarray(teff, dtype=np.float64))[..., None]
    n = np.arange(1.0, 300.0)
    terms = np.exp(-n * x) * (x**3 / n + 3 * x**2 / n**2 + 6 * x / n**3 + 6 / n**4)
    fraction: Floats = 15 / np.pi**4 * terms.sum(axis=-1)
    return fraction


@dataclass(frozen=True, eq=False)
class BlackBody:
    """A blackbody as a source of components. It has no lines to shift or broaden.

    Attributes
    ----------
    orders : Orders
        Ranges over which the flux is averaged, Å.
    wavelength : sequence of M (n_pixels,) arrays
        Pixels of the data, Å, in the library's medium.
    unit : float
        Value of 1 erg/s/cm²/Å in the flux unit of the libraries.
    """

    orders: Orders
    wavelength: Sequence[Floats]
    unit: float

    names = ("teff",)
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {}
    summary = "blackbody"
    library = None
    max_velocity = np.inf

    def log_mean(self, m: int, teff: Floats) -> Floats:
        """ln(mean flux) in the order with index `m`, (n,), for teff (n,)."""
        order = self.orders.take([m])
        mean: Floats = planck_mean(order.wave_min, order.wave_max, teff)[:, 0]
        return np.log(mean * self.unit)

    def shape(self, m: int, teff: Floats) -> Floats:
        """Flux over its mean in the order with index `m`, (n, n_pixels), for teff (n,)."""
        flux = planck(self.wavelength[m], teff[:, None]) * self.unit
        shape: Floats = flux / np.exp(self.log_mean(m, teff))[:, None]
        return shape

    def component(self, samples: Floats, columns: Mapping[str, int]) -> BlackBodyComponent:
        """Read the component's Teff from samples (n, n_all)."""
        teff = samples[:, columns["teff"]]
        valid = (teff >= BLACKBODY_TEFF[0]) & (teff <= BLACKBODY_TEFF[1])
        return BlackBodyComponent(self, np.where(valid, teff, _ANY_TEFF), valid)

    def outside(self, sample: Floats, columns: Mapping[str, int], prefix: str) -> OutsideGrid:
        """Return the error for one invalid sample (n_all,)."""
        teff = sample[columns["teff"]]
        return OutsideGrid(
            f"{prefix}: teff = {teff:g} K; expected a temperature of a blackbody from "
            "{:g} to {:g} K".format(*BLACKBODY_TEFF),
            name="teff",
            value=teff,
        )

    def reconstruction_error(self, m: int) -> float:  # noqa: ARG002
        """Return 0: the flux of a blackbody is exact."""
        return 0.0


@dataclass(frozen=True, eq=False)
class BlackBodyComponent:
    """A blackbody at n samples.

    Attributes
    ----------
    source : BlackBody
    teff : (n,) array
        K; arbitrary for an invalid sample.
    valid : (n,) bool array
    """

    source: BlackBody
    teff: Floats
    valid: Bools

    @property
    def covered(self) -> Bools:
        """True for every sample: a blackbody has no velocity."""
        return np.ones(len(self.teff), dtype=bool)

    @property
    def steps(self) -> Floats:
        """Empty, (n, 0): a blackbody has no grid."""
        return np.empty((len(self.teff), 0))

    def in_order(self, m: int) -> PlanckComponent:
        """Evaluate the mean flux in the order with index `m`."""
        return PlanckComponent(self.source, m, self.teff, self.source.log_mean(m, self.teff))


@dataclass(frozen=True, eq=False)
class PlanckComponent:
    """A blackbody in one order, at n samples.

    Attributes
    ----------
    source : BlackBody
    m : int
        Index of the order.
    teff : (n,) array
        K.
    log_mean : (n,) array
    """

    source: BlackBody
    m: int
    teff: Floats
    log_mean: Floats

    @property
    def covered(self) -> Bools:
        """True for every sample: a blackbody has no velocity."""
        return np.ones(len(self.teff), dtype=bool)

    def spectrum(self, light: Floats, batch: slice) -> Floats:
        """Return the spectra (n, n_pixels) of a batch of samples, scaled by their light (n,)."""
        return light[:, None] * self.source.shape(self.m, self.teff[batch])

    def blend(self, groups: Sequence[Sequence[Self]], light: Floats, batch: slice) -> PlanckBlend:
        """Add up the blackbodies of all groups."""
        components = [component for group in groups for component in group]
        spectra = [component.spectrum(light[:, k], batch) for k, component in enumerate(components)]
        return PlanckBlend(light, sum(spectra[1:], spectra[0]))


@dataclass(frozen=True, eq=False)
class PlanckBlend:
    """The sum of blackbodies in one order.

    Attributes
    ----------
    light : (n, k) array
    flux : (n, n_pixels) array
    """

    light: Floats
    flux: Floats

    def errors(self, root: Floats) -> tuple[Floats, Floats]:  # noqa: ARG002
        """Return no spectra and no variables: the flux of a blackbody is exact."""
        n, n_pixels = self.flux.shape
        return np.empty((n, 0, n_pixels)), np.empty((n, 0, 0))

    def reconstruction_errors(self, root: Floats) -> tuple[Floats, Floats]:
        """Return no spectra and no variables."""
        return self.errors(root)

    def light_errors(self, root: Floats) -> Floats:  # noqa: ARG002
        """Return no variables."""
        n, n_components = self.light.shape
        return np.empty((n, 0, n_components))
