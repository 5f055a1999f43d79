"""The Planck function and its means against independent integrals and limits."""

import numpy as np
import pytest
from astropy import units
from hypothesis import given
from hypothesis import strategies as st
from scipy import constants
from scipy.integrate import quad

from mixjobs.errors import InvalidInput
from mixjobs.model.blackbody import planck, planck_mean
from tests.helpers import reference


@pytest.mark.parametrize("teff", [500.0, 2600.0, 5772.0, 30000.0])
def test_stefan_boltzmann(teff):
    ends = np.log([1e2, 1e11])  # Å
    total, _ = quad(lambda w: float(planck(np.exp(w), teff)) * np.exp(w), *ends, limit=400)
    assert total == pytest.approx(constants.sigma * 1e3 * teff**4, rel=1e-7)  # W/m² to erg/s/cm²


@pytest.mark.parametrize("teff", [500.0, 2600.0, 5772.0, 30000.0])
def test_wien_displacement(teff):
    peak = constants.Wien * 1e10 / teff  # Å
    assert planck(peak, teff) > planck(peak * 1.001, teff)
    assert planck(peak, teff) > planck(peak * 0.999, teff)


def test_rayleigh_jeans_and_wien_limits():
    h, c, k = constants.h, constants.c, constants.k
    teff = 6000.0
    wave = 1e-1  # m; the flux in W/m²/m is 1e-7 of that in erg/s/cm²/Å
    jeans = 2 * np.pi * c * k * teff / wave**4
    assert planck(wave * 1e10, teff) * 1e7 == pytest.approx(jeans, rel=1e-4)
    wave = 5e-8
    wien = 2 * np.pi * h * c**2 / wave**5 * np.exp(-h * c / (wave * k * teff))
    assert planck(wave * 1e10, teff) * 1e7 == pytest.approx(wien, rel=1e-12)


@given(wave_min=st.floats(3000, 60000), width=st.floats(1e-4, 0.3), teff=st.floats(1000, 50000))
def test_the_mean_over_an_order_is_the_integral(wave_min, width, teff):
    wave_max = wave_min * (1 + width)
    (mean,) = planck_mean([wave_min], [wave_max], teff)
    expected = reference.planck_integral_mean(wave_min, wave_max, teff)
    assert mean == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("teff", [500, 2600, 6000, 30000])
@pytest.mark.parametrize(
    ("limits", "rel"), [((3000, 60000), 1e-8), ((5000, 50000), 1e-8), ((1000, 1e6), 2e-3)]
)
def test_the_mean_over_a_wide_range_is_the_integral(teff, limits, rel):
    (mean,) = planck_mean([limits[0]], [limits[1]], teff)
    assert mean == pytest.approx(reference.planck_integral_mean(*limits, teff), rel=rel)


def test_shapes():
    low, high = np.array([5000.0, 6000, 7000]), np.array([5100.0, 6100, 7100])
    teff = np.array([[3000.0, 4000], [5000, 6000]])
    means = planck_mean(low, high, teff)
    assert means.shape == (2, 2, 3)
    assert means[1, 0, 2] == pytest.approx(planck_mean(low[2:], high[2:], 5000.0)[0], rel=1e-14)
    assert planck(low, teff[..., None]).shape == (2, 2, 3)


def test_the_flux_grows_with_temperature_and_stays_finite():
    flux = planck(5000, np.geomspace(1, 1e6, 200))
    assert np.isfinite(flux).all()
    assert (np.diff(flux) >= 0).all()


@pytest.mark.parametrize(
    ("wave", "teff", "name"),
    [(5000, 0, "teff"), (5000, -1, "teff"), (0, 5000, "wavelength"), (5000, np.nan, "teff")],
)
def test_not_positive_is_refused(wave, teff, name):
    with pytest.raises(InvalidInput, match="positive") as error:
        planck(wave, teff)
    assert error.value.name == name


def test_quantities_are_converted():
    expected = planck(5000.0, 5800.0)
    assert planck(500 * units.nm, 5.8 * units.kK) == pytest.approx(expected, rel=1e-12)
    with pytest.raises(InvalidInput) as error:
        planck(5000, 5800 * units.AA)
    assert error.value.name == "teff"
