"""Spectra of IGRINS and HPF: real files, and files written like them."""

import shutil
from contextlib import suppress

import numpy as np
import pytest
from astropy.io import fits

from mixjobs.errors import MixjobsError, UnreadableFile
from mixjobs.observed.opening import open_spectrum

IGRINS = "SDCH_20150425_0064"
HPF = "Goldilocks_20210212T072837_v1.0_0037.spectra.fits"


@pytest.fixture
def igrins(data, tmp_path):
    """The spectrum in a folder of its own, to which other files can be copied."""
    folder = data / "instruments"
    shutil.copyfile(folder / f"{IGRINS}.spec_a0v.fits", tmp_path / f"{IGRINS}.spec_a0v.fits")
    return lambda *kinds: (
        [
            shutil.copyfile(folder / f"{IGRINS}.{kind}.fits", tmp_path / f"{IGRINS}.{kind}.fits")
            for kind in kinds
        ]
        and tmp_path / f"{IGRINS}.spec_a0v.fits"
    )


class TestIgrins:
    def test_orders_are_those_of_the_published_files(self, data):
        observed = open_spectrum(data / "instruments" / f"{IGRINS}.spec_a0v.fits")
        assert observed.orders.number.tolist() == list(range(98, 126))
        assert (observed.medium, observed.frame, observed.numbered) == (
            "vacuum", "topocentric", True,
        )  # fmt: skip
        for number in (106, 119):
            published = open_spectrum(data / "s1063" / f"S1063_IGRINS_m{number}.hdf5")
            wave = observed.wavelength[number - 98]
            assert wave[0] < published.wavelength[0][0] < published.wavelength[0][-1] < wave[-1]
            step = np.median(np.diff(wave))
            nearest = np.abs(wave[:, None] - published.wavelength[0][::50]).min(axis=0)
            assert nearest.max() < 0.5 * step

    def test_variance_and_sn_give_the_same_error(self, igrins, tmp_path):
        of_variance = open_spectrum(igrins("variance"))
        (tmp_path / f"{IGRINS}.variance.fits").unlink()
        of_sn = open_spectrum(igrins("sn"))
        for m in range(28):
            use = of_variance.mask[m] & of_sn.mask[m]
            ratio = of_sn.flux_error[m][use] / of_variance.flux_error[m][use]
            np.testing.assert_allclose(ratio[1:-1], 1, atol=2e-3)
        snr = np.nanmedian(of_variance.flux[8] / of_variance.flux_error[8])
        sn = fits.getdata(igrins("sn").with_name(f"{IGRINS}.sn.fits"))[8]
        assert 0.45 < snr / np.nanmedian(sn) < 0.6  # 3.7 pixels in a resolution element

    def test_errors_within_the_file(self, igrins):
        path = igrins("variance")
        flux = fits.getdata(path)
        hdu = fits.ImageHDU(np.full(flux.shape, 4.0), name="SPEC_DIVIDE_A0V_VARIANCE")
        with fits.open(path, mode="append") as hdus:
            hdus.append(hdu)
        assert (open_spectrum(path).flux_error[3] == 2).all()

    def test_without_errors_the_files_are_named(self, data, igrins, tmp_path):
        igrins("sn")
        (tmp_path / f"{IGRINS}.sn.fits").unlink()
        path = tmp_path / f"{IGRINS}.spec_a0v.fits"
        with pytest.raises(UnreadableFile, match=rf"{IGRINS}.variance.fits or {IGRINS}.sn.fits"):
            open_spectrum(path)
        assert len(open_spectrum(path, snr=50).orders) == 28

    @pytest.mark.parametrize("kind", ["sn", "variance"])
    def test_other_files_of_the_pipeline_are_refused(self, data, kind):
        with pytest.raises(UnreadableFile) as caught:
            open_spectrum(data / "instruments" / f"{IGRINS}.{kind}.fits")
        assert caught.value.name == kind

    @pytest.mark.parametrize("scale", [1.0, 1e3])  # µm, or nm as in older versions
    def test_an_extracted_spectrum_with_a_solution_next_to_it(self, igrins, tmp_path, scale):
        source = igrins("variance")
        with fits.open(source) as hdus:
            hdus[0].header["INSTRUME"] = "IGRINS"
            spectrum = fits.PrimaryHDU(hdus["TGT_SPEC"].data, hdus[0].header)
            spectrum.header["EXTNAME"] = ""
            spectrum.writeto(tmp_path / f"{IGRINS}.spec.fits", output_verify="silentfix")
            wave = hdus["WAVELENGTH"].data * scale
        with pytest.raises(UnreadableFile) as caught:
            open_spectrum(tmp_path / f"{IGRINS}.spec.fits")
        assert caught.value.name == "wavelength"
        fits.PrimaryHDU(wave).writeto(tmp_path / "SKY_SDCH_20150425_0029.wvlsol_v1.fits")
        observed = open_spectrum(tmp_path / f"{IGRINS}.spec.fits")
        np.testing.assert_allclose(
            observed.wavelength[3], open_spectrum(source).wavelength[3], rtol=1e-12
        )
        variance = fits.getdata(tmp_path / f"{IGRINS}.variance.fits")
        np.testing.assert_allclose(observed.flux_error[3] ** 2, variance[3], rtol=1e-6)


class TestHpf:
    def test_the_fibre_of_the_star(self, data):
        path = data / "instruments" / HPF
        observed = open_spectrum(path)
        assert observed.orders.number.tolist() == list(range(28))
        assert (observed.medium, observed.frame) == ("vacuum", "topocentric")
        assert observed.barycentric_velocity == pytest.approx(-14.19888 - 0.02845, abs=1e-5)
        with fits.open(path) as hdus:
            for m in (0, 27):
                np.testing.assert_array_equal(observed.wavelength[m], hdus["Sci Wavl"].data[m])
                np.testing.assert_array_equal(observed.flux[m], hdus["Sci Flux"].data[m])
                np.testing.assert_array_equal(observed.mask[m], hdus["Sci Error"].data[m] > 0)
        assert any("sky is not subtracted" in note for note in observed.notes)

    def test_the_variance_of_the_team(self, data, tmp_path):
        with fits.open(data / "instruments" / HPF) as hdus:
            for name in ("Sci", "Sky", "Cal"):
                hdu = hdus[f"{name} Error"]
                hdu.data = hdu.data**2
                hdu.name = f"{name} Variance"
            hdus.writeto(tmp_path / "Slope.optimal.fits")
        ours = open_spectrum(tmp_path / "Slope.optimal.fits")
        theirs = open_spectrum(data / "instruments" / HPF)
        np.testing.assert_allclose(ours.flux_error[5], theirs.flux_error[5], rtol=1e-6)


@pytest.mark.parametrize("name", [f"{IGRINS}.spec_a0v.fits", HPF])
def test_damage_to_a_real_file_raises_only_our_errors(data, tmp_path, name):
    whole = (data / "instruments" / name).read_bytes()
    rng = np.random.default_rng(3)
    for place in [*rng.integers(0, 40_000, 12), *rng.integers(0, len(whole), 8)]:
        damaged = bytearray(whole)
        damaged[place : place + 3] = rng.bytes(3)
        (tmp_path / name).write_bytes(damaged)
        with suppress(MixjobsError):
            open_spectrum(tmp_path / name, snr=50 if "spec_a0v" in name else None)
    for fraction in (0.2, 0.5, 0.99):
        (tmp_path / name).write_bytes(whole[: int(fraction * len(whole))])
        with pytest.raises(UnreadableFile):
            open_spectrum(tmp_path / name)
