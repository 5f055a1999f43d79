"""Flux scale of Starfish files: the numbers decide, and a scaling is undone."""

import itertools

import h5py
import numpy as np
import pytest

import mixjobs
from mixjobs.errors import InvalidInput
from mixjobs.library import open_library
from mixjobs.model.blackbody import planck
from tests.helpers.starfish_files import WAVE, key_of, write

SIGMA, F_SUN = 5.670374e-5, 6.3156e10
RADIUS = 7e10
TEFF = [4600.0, 4800.0, 5000.0, 5200.0, 5400.0]
POINTS = [[t, g] for g in (4.0, 4.5) for t in TEFF]


def fluxes(scale):
    """Blackbodies (N, n_pixels): raw, per steradian, scaled to one luminosity, or normalised."""
    teff = np.array(POINTS)[:, :1]
    flux = planck(WAVE, teff) * (1 + 0.02 * np.array(POINTS)[:, 1:])
    return (
        flux
        * {
            "raw": 1.0,
            "intensity": 1 / np.pi,
            "per cm": 1e8,
            "scaled": F_SUN / (SIGMA * teff**4),
            "normalised": 1 / flux.mean(axis=1, keepdims=True),
            "normalised to a high level": 3e6 / flux.mean(axis=1, keepdims=True),
            "divided by its peak": 3e6 / flux.max(axis=1, keepdims=True),
        }[scale]
    )


def library(path, scale, *, flag=None, headers=False, unit="erg/s/cm2/AA", place="root"):
    """Write a library whose numbers have this scale, and which declares this flag."""
    write(path, POINTS)
    with h5py.File(path, "a") as file:
        if unit:
            file["flux"].attrs["units"] = unit
        if flag is not None and place == "root":
            file.attrs["norm"] = flag
        for point, flux in zip(POINTS, fluxes(scale), strict=True):
            spectrum = file[f"flux/{key_of(point, ('T', 'logg'))}"]
            spectrum[...] = flux
            if flag is not None and place == "each":
                spectrum.attrs["norm"] = flag
            if headers:
                f_bol = SIGMA * point[0] ** 4
                spectrum.attrs["PHXLUM"] = 4 * np.pi * RADIUS**2 * f_bol
                spectrum.attrs["PHXREFF"] = RADIUS
    return path


def of(opened, quantity="flux scale"):
    return next(d for d in opened.declarations if d.quantity == quantity)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.hdf5"


class TestReal:
    @pytest.mark.parametrize("suffix", ["", "_air"])
    def test_ratios_agree_to_half_a_per_cent(self, data, suffix):
        """The same three spectra of PHOENIX, raw and scaled to one luminosity."""
        raw = open_library(data / f"PHOENIX_{'air' if suffix else '50k'}.hdf5")
        path = data / f"PHOENIX_norm{suffix}.hdf5"
        scaled = open_library(path)
        assert (raw.flux_calibration.status, scaled.flux_calibration.status) == ("raw", "rescaled")
        np.testing.assert_array_equal(raw.grid.points, scaled.grid.points)
        means = [np.array([lib.flux(i).mean() for i in range(3)]) for lib in (raw, scaled)]
        ratios = [m[None, :] / m[:, None] for m in means]
        np.testing.assert_allclose(ratios[1], ratios[0], rtol=5e-3)
        np.testing.assert_allclose(means[1], means[0], rtol=0.015)
        stored = open_library(path, flux_scale="raw")
        unscaled = np.array([stored.flux(i).mean() for i in range(3)])
        assert np.abs(unscaled / unscaled[0] / ratios[0][0] - 1).max() > 0.1

    def test_phoenix_aces_is_rescaled_with_its_headers(self, data):
        library = open_library(data / "PHOENIX_ACES_test.hdf5")
        assert library.flux_calibration.status == "rescaled"
        with h5py.File(data / "PHOENIX_ACES_test.hdf5", "r", locking=False) as file:
            for i, (teff, logg, *_) in enumerate(library.grid.points):
                dataset = file[f"flux/t{teff:.0f}g{logg:.1f}z0.0a0.0"]
                f_bol = dataset.attrs["PHXLUM"] / (4 * np.pi * dataset.attrs["PHXREFF"] ** 2)
                expected = dataset[...].astype(float) * (f_bol / F_SUN)
                beyond = 1 - library.flux(i) / expected
                np.testing.assert_allclose(beyond, beyond[0], atol=1e-12)
                assert 0.005 < beyond[0] < 0.007  # of the flux of a blackbody, beyond 5.5 µm

    @pytest.mark.parametrize(
        ("name", "status", "agrees"),
        [
            ("btsettl_prism", "raw", True), ("PHOENIX_50k", "raw", True),
            ("PHOENIX_norm", "rescaled", True), ("PHOENIX_ESPaDOnS_m000", "rescaled", True),
            *((f"s1063/PHOENIX_IGRINS_m{m}", "raw", False) for m in (106, 110, 119)),
        ],
    )  # fmt: skip
    def test_the_numbers_decide(self, data, name, status, agrees):
        library = open_library(data / f"{name}.hdf5")
        assert library.flux_calibration.status == status
        assert library.flux_calibration.by_numbers
        assert of(library).contradicted is not agrees

    def test_intensities_of_s1063_have_the_right_ratio(self, data):
        library = open_library(data / "s1063/PHOENIX_IGRINS_m110.hdf5")
        star = mixjobs.open_spectrum(data / "s1063/S1063_IGRINS_m110.hdf5").wavelength[0]
        lo, hi = np.searchsorted(library.wavelength, [star[0], star[-1]])
        rows = [library.grid.row([t, 3.5, 0.0]) for t in (4000.0, 5200.0)]
        cool, hot = (library.flux(row)[lo:hi].mean() for row in rows)
        assert cool / hot == pytest.approx(0.675, abs=0.01)
        assert library.flux_calibration.doubt
        settled = open_library(library.path, flux_unit="erg/s/cm2/AA/sr")
        assert not settled.flux_calibration.doubt
        np.testing.assert_allclose(settled.flux(0), library.flux(0) * np.pi, rtol=1e-12)


FLAGS = [None, True, False]


class TestNumbersDecide:
    @pytest.mark.parametrize(
        ("flag", "headers", "scale"),
        list(itertools.product(FLAGS, [False, True], ["raw", "intensity", "per cm"])),
    )
    def test_raw_whatever_the_flag_says(self, path, flag, headers, scale):
        opened = open_library(library(path, scale, flag=flag, headers=headers))
        assert opened.flux_calibration.status == "raw"
        assert of(opened).contradicted is (flag is True)
        assert of(opened).assumed is (flag is None)
        expected = fluxes(scale)[3].astype(np.float32) * (1e-8 if scale == "per cm" else 1.0)
        np.testing.assert_allclose(opened.flux(3), expected, rtol=1e-6)

    @pytest.mark.parametrize("flag", FLAGS)
    def test_scaled_whatever_the_flag_says(self, path, flag):
        opened = open_library(library(path, "scaled", flag=flag, headers=True))
        assert opened.flux_calibration.status == "rescaled"
        assert of(opened).contradicted is (flag is False)
        for i in (0, 7):
            np.testing.assert_allclose(opened.flux(i), fluxes("raw")[i], rtol=0.01)

    @pytest.mark.parametrize("flag", FLAGS)
    def test_scaled_without_headers(self, path, flag):
        opened = open_library(library(path, "scaled", flag=flag))
        assert opened.flux_calibration.status == "normalised"
        requested = open_library(path, flux_scale="scaled")
        assert requested.flux_calibration.status == "rescaled"
        np.testing.assert_allclose(requested.flux(4), fluxes("raw")[4], rtol=0.01)

    @pytest.mark.parametrize(
        "scale", ["normalised", "normalised to a high level", "divided by its peak"]
    )
    @pytest.mark.parametrize("flag", FLAGS)
    def test_normalised_whatever_the_flag_says(self, path, flag, scale):
        opened = open_library(library(path, scale, flag=flag, headers=True))
        assert opened.flux_calibration.status == "normalised"

    def test_a_part_keeps_the_scale(self, path):
        opened = open_library(library(path, "scaled", flag=True, headers=True))
        part = opened.take([7, 0])
        np.testing.assert_array_equal(part.flux(0), opened.flux(7))
        assert part.flux_calibration == opened.flux_calibration


class TestNumbersCannotTell:
    """Spectra of a single Teff near that of the Sun."""

    @staticmethod
    def single(path, flag, headers, place="root"):
        points = [[5700.0, 4.0], [5700.0, 4.5]]
        attributes = {} if flag is None else {"norm": flag}
        each = {"PHXLUM": 4 * np.pi * RADIUS**2 * SIGMA * 5700.0**4, "PHXREFF": RADIUS}
        each = each if headers else {}
        root = attributes if place == "root" else {}
        each = each | (attributes if place == "each" else {})
        write(path, points, root=root, each=each)
        with h5py.File(path, "a") as file:
            for k, key in enumerate(file["flux"]):
                file[f"flux/{key}"][...] = planck(WAVE, 5700.0) * (1 + 0.02 * k)
        return open_library(path)

    @pytest.mark.parametrize("place", ["root", "each"])
    @pytest.mark.parametrize("value", [False, "False", b"false", 0, np.array([False])], ids=repr)
    def test_a_flag_that_says_raw_is_used(self, path, value, place):
        opened = self.single(path, value, headers=True, place=place)
        assert opened.flux_calibration.status == "raw"
        assert not opened.flux_calibration.by_numbers

    @pytest.mark.parametrize(
        ("flag", "headers", "status"),
        [
            (True, True, "undecided"), ("True", True, "undecided"), (True, False, "normalised"),
            (None, True, "undecided"), (None, False, "undecided"), ("perhaps", True, "undecided"),
        ],
    )  # fmt: skip
    def test_the_user_is_asked(self, path, tmp_path, flag, headers, status):
        assert self.single(path, flag, headers).flux_calibration.status == status
        with pytest.raises(mixjobs.errors.NotRaw) as caught:
            mixjobs.build(path, mixjobs.Orders.from_edges([5010, 5090]), tmp_path / "q.zarr")
        assert (caught.value.name, caught.value.value) == ("flux_scale", status)
        for answer, expected in (("raw", "assumed"), ("scaled", "rescaled")):
            opened = open_library(path, flux_scale=answer)
            assert opened.flux_calibration.status == expected

    def test_contradictory_flags(self, path):
        self.single(path, True, headers=True, place="each")
        with h5py.File(path, "a") as file:
            next(iter(file["flux"].values())).attrs["norm"] = False
        assert open_library(path).flux_calibration.status == "undecided"

    @pytest.mark.parametrize(
        "header",
        [{"PHXREFF": 0.0}, {"PHXLUM": np.nan}, {"PHXLUM": -1.0}, {"PHXLUM": "bright"}],
        ids=repr,
    )
    def test_an_invalid_header_counts_as_none(self, path, header):
        self.single(path, True, headers=True)
        with h5py.File(path, "a") as file:
            next(iter(file["flux"].values())).attrs.update(header)
        assert open_library(path).flux_calibration.status == "normalised"


def test_a_scaling_cannot_be_undone_without_headers_and_teff(path):
    write(path, POINTS)
    with pytest.raises(InvalidInput) as caught:
        open_library(path, names={"T": "mass"}, flux_scale="scaled")
    assert (caught.value.name, caught.value.path) == ("flux_scale", str(path))


def test_an_unknown_scale(path):
    with pytest.raises(InvalidInput) as caught:
        open_library(write(path), flux_scale="bright")
    assert (caught.value.name, caught.value.value) == ("flux_scale", "bright")


def test_a_relative_unit_is_refused_by_the_build(path, tmp_path):
    opened = open_library(library(path, "raw", flag=False, unit="normalized flux"))
    assert opened.flux_calibration.status == "normalised"
    assert not open_library(path, flux_unit="erg/s/cm2/AA").flux_calibration.doubt


class TestLevel:
    @pytest.mark.parametrize(
        ("unit", "option", "doubt"),
        [
            ("erg/s/cm2/AA", None, True), (None, None, True), ("erg/s/cm2/AA/sr", None, False),
            ("erg/s/cm2/AA", "erg/s/cm2/AA", False), ("erg/s/cm2/AA", "erg/s/cm2/AA/sr", False),
        ],
    )  # fmt: skip
    def test_an_intensity_leaves_a_doubt_until_the_unit_is_given(self, path, unit, option, doubt):
        opened = open_library(library(path, "intensity", flag=False, unit=unit), flux_unit=option)
        assert bool(opened.flux_calibration.doubt) is doubt
        assert of(opened, "flux unit").contradicted is (doubt or option == "erg/s/cm2/AA")

    @pytest.mark.parametrize(
        ("unit", "doubt", "factor"),
        [
            ("erg/s/cm2/nm", True, "0.1"), ("W/m2/nm", True, "100"), ("erg/s/cm2/AA", False, ""),
            ("erg/s/cm2/um/sr", True, "0.000314"),
        ],
    )  # fmt: skip
    def test_a_recognised_factor_is_named(self, path, unit, doubt, factor):
        """The numbers are in erg/s/cm²/Å, whatever the file declares."""
        opened = open_library(library(path, "raw", flag=False, unit=unit))
        assert opened.flux_calibration.status == "raw"
        assert bool(opened.flux_calibration.doubt) is doubt
        named = f"a factor of {factor}, as if in erg/s/cm2/AA"
        assert (named in of(opened, "flux unit").numbers) is doubt

    def test_without_a_unit_the_tolerance_is_larger(self, path):
        library(path, "raw", flag=False, unit=None)
        with h5py.File(path, "a") as file:
            for spectrum in file["flux"].values():
                spectrum[...] *= 8
        assert not open_library(path).flux_calibration.doubt
        with h5py.File(path, "a") as file:
            file["flux"].attrs["units"] = "erg/s/cm2/AA"
        assert open_library(path).flux_calibration.doubt
