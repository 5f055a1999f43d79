"""Spectra given in Python: arrays, quantities, and objects and files of specutils."""

import warnings

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import (
    InverseVariance,
    StdDevUncertainty,
    UnknownUncertainty,
    VarianceUncertainty,
)
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st

from mixjobs.errors import InvalidInput, MixjobsError, UnreadableFile
from mixjobs.observed.opening import open_spectrum
from mixjobs.observed.spectrum import ObservedSpectrum

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    specutils = pytest.importorskip("specutils")

WAVE = [5031.0 + 0.05 * np.arange(40), 5061.0 + 0.05 * np.arange(30)]
FLUX = [1 + np.sin(wave) ** 2 for wave in WAVE]
ERROR = [0.01 + 0.001 * flux for flux in FLUX]


def spectrum(k, unit=u.AA, kind=StdDevUncertainty, **options):
    flux_unit = u.Unit("erg / (s cm2 AA)")
    axis = (WAVE[k] * u.AA).to(unit, u.spectral())
    flux, error = FLUX[k] * flux_unit, ERROR[k] * flux_unit
    power = {StdDevUncertainty: 1, VarianceUncertainty: 2, InverseVariance: -2}.get(kind)
    uncertainty = None if power is None else kind((error**power).value, unit=flux_unit**power)
    return specutils.Spectrum(spectral_axis=axis, flux=flux, uncertainty=uncertainty, **options)


def check(observed, rtol=1e-11):
    for m, wave in enumerate(WAVE[: len(observed.orders)]):
        scale = observed.flux[m][0] / FLUX[m][0]
        np.testing.assert_allclose(observed.wavelength[m], wave, rtol=rtol)
        np.testing.assert_allclose(observed.flux[m], FLUX[m] * scale, rtol=1e-9)
        np.testing.assert_allclose(observed.flux_error[m], ERROR[m] * scale, rtol=1e-9)


class TestSpecutils:
    @pytest.mark.parametrize("unit", [u.AA, u.nm, u.um, u.GHz, 1 / u.cm, u.eV])
    @pytest.mark.parametrize("kind", [StdDevUncertainty, VarianceUncertainty, InverseVariance])
    def test_every_axis_and_uncertainty(self, unit, kind):
        observed = open_spectrum(spectrum(0, unit, kind=kind))
        check(observed, 1e-8)
        assert observed.orders.number.tolist() == [0]

    def test_flux_per_frequency(self):
        one = spectrum(0)
        in_jansky = one.flux.to(u.Jy, u.spectral_density(one.spectral_axis))
        error = (ERROR[0] * one.flux.unit).to(u.Jy, u.spectral_density(one.spectral_axis))
        check(
            open_spectrum(
                specutils.Spectrum(
                    spectral_axis=one.spectral_axis,
                    flux=in_jansky,
                    uncertainty=StdDevUncertainty(error),
                )
            )
        )

    def test_a_list_has_one_order_in_each_element(self):
        both = specutils.SpectrumList([spectrum(0), spectrum(1, u.nm)])
        check(open_spectrum(both))
        check(open_spectrum([spectrum(0), spectrum(1)]))  # a plain list as well
        numbered = open_spectrum(both, numbers=[92, 91], medium="air")
        assert numbered.orders.number.tolist() == [92, 91]
        assert numbered.medium == "air"

    def test_a_collection(self):
        values = [np.stack([x[0][:30], x[1]]) for x in (WAVE, FLUX, ERROR)]
        collection = specutils.SpectrumCollection(
            spectral_axis=values[0] * u.AA,
            flux=values[1] * u.Jy,
            uncertainty=StdDevUncertainty(values[2]),
        )
        observed = open_spectrum(collection)
        np.testing.assert_allclose(observed.wavelength[1], WAVE[1])
        assert [len(flux) for flux in observed.flux] == [30, 30]

    def test_metadata_and_masks(self):
        header = fits.Header({"AIRORVAC": "air", "SPECSYS": "BARYCENT", "ORDER": 92})
        mask = np.arange(40) == 3
        observed = open_spectrum(spectrum(0, meta={"header": header, "bcv": 3.5}, mask=mask))
        assert (observed.medium, observed.frame, observed.barycentric_velocity) == (
            "air", "barycentric", 3.5,
        )  # fmt: skip
        assert observed.orders.number.tolist() == [92]
        assert np.flatnonzero(~observed.mask[0]).tolist() == [3]

    def test_epochs(self):
        first, second = open_spectrum([specutils.SpectrumList([spectrum(0)]), spectrum(1)])[:2]
        assert first.wavelength[0][0] < second.wavelength[0][0]

    @pytest.mark.parametrize(
        "make",
        [
            lambda: spectrum(0, kind=UnknownUncertainty),
            lambda: specutils.Spectrum(spectral_axis=WAVE[0] * u.AA, flux=np.ones((3, 40)) * u.Jy),
            lambda: specutils.Spectrum(
                spectral_axis=np.arange(9.0) * u.pix, flux=np.ones(9) * u.Jy
            ),
            lambda: [spectrum(0), spectrum(1, kind=VarianceUncertainty)],
            lambda: spectrum(0, meta={"medium": "water"}),
            lambda: 5000.0,
        ],
    )
    def test_what_cannot_be_read_is_refused(self, make):
        with pytest.raises(MixjobsError) as caught:
            open_spectrum(make())
        assert "\n" not in str(caught.value)

    def test_files_by_the_loaders_of_specutils(self, tmp_path):
        table = Table(
            {"wavelength": WAVE[0] * u.AA, "flux": FLUX[0] * u.Jy, "err": ERROR[0] * u.Jy}
        )
        table.rename_column("err", "uncertainty")
        table.write(tmp_path / "o.ecsv")
        observed = open_spectrum(tmp_path / "o.ecsv", format="specutils")
        np.testing.assert_allclose(observed.wavelength[0], WAVE[0])
        assert observed.notes[0].startswith("read by specutils")
        assert observed.path == tmp_path / "o.ecsv"

    def test_a_file_that_no_loader_reads(self, tmp_path):
        (tmp_path / "o.bin").write_bytes(b"\0\1\2")
        with pytest.raises(UnreadableFile) as caught:
            open_spectrum(tmp_path / "o.bin", format="specutils")
        assert caught.value.name == "format"


class TestArrays:
    @pytest.mark.parametrize("scale", [None, u.AA, u.nm, u.um])
    def test_lists_of_arrays_and_quantities(self, scale):
        wave = WAVE if scale is None else [(w * u.AA).to(scale) for w in WAVE]
        observed = ObservedSpectrum.from_arrays(wave, FLUX, ERROR, numbers=[92, 91])
        check(observed, 1e-14)
        assert observed.numbered
        assert (len(observed.notes) == 1) == (scale is None)  # the unit is assumed

    def test_one_and_two_dimensions(self):
        one = ObservedSpectrum.from_arrays(WAVE[0], FLUX[0], ERROR[0], medium="vacuum")
        two = ObservedSpectrum.from_arrays(WAVE[0][None], FLUX[0][None], ERROR[0][None])
        np.testing.assert_array_equal(one.flux[0], two.flux[0])
        assert (one.medium, two.medium) == ("vacuum", None)
        assert open_spectrum(one) is one

    def test_masks_velocity_and_masked_arrays(self):
        flux = np.ma.masked_greater(FLUX[0], 1.9)
        mask = np.arange(40) > 4
        observed = ObservedSpectrum.from_arrays(
            WAVE[0], flux, ERROR[0], mask=mask, barycentric_velocity=-1500 * u.m / u.s
        )
        np.testing.assert_array_equal(observed.mask[0], mask & (FLUX[0] <= 1.9))
        assert observed.barycentric_velocity == -1.5

    def test_a_signal_to_noise_ratio(self):
        observed = ObservedSpectrum.from_arrays(WAVE[0], FLUX[0], snr=50)
        np.testing.assert_allclose(observed.flux_error[0], np.median(FLUX[0]) / 50)

    @pytest.mark.parametrize(
        ("arguments", "name"),
        [
            ({"flux_error": None}, "flux_error"),
            ({"numbers": [1]}, "numbers"),
            ({"numbers": [1, 1]}, "numbers"),
            ({"flux": FLUX[:1]}, "flux"),
            ({"flux": [FLUX[0], FLUX[0]]}, "the array flux"),
            ({"wavelength": [w / 10 for w in WAVE]}, "the array wavelength"),
            ({"wavelength": [w * u.K for w in WAVE]}, "unit of wavelength"),
            ({"flux": [f > 1 for f in FLUX]}, "the array flux"),
            ({"medium": "water"}, "medium"),
            ({"wavelength": np.ones((2, 2, 2))}, "wavelength"),
        ],
    )
    def test_invalid_arrays_are_refused(self, arguments, name):
        arrays = {"wavelength": WAVE, "flux": FLUX, "flux_error": ERROR} | arguments
        with pytest.raises((InvalidInput, UnreadableFile)) as caught:
            ObservedSpectrum.from_arrays(**arrays)
        assert caught.value.name == name

    @given(st.lists(st.integers(2, 9), min_size=1, max_size=4))
    def test_orders_of_any_length(self, lengths):
        wave = [5000.0 + 100 * k + np.arange(n) for k, n in enumerate(lengths)]
        flux = [np.ones(n) for n in lengths]
        observed = ObservedSpectrum.from_arrays(wave, flux, flux)
        assert [len(one) for one in observed.wavelength] == lengths
