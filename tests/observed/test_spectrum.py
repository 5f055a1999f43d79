"""Observed spectra: real files compared with h5py, generated files, and many invalid files."""

import fcntl
import pickle
import tempfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixjobs.errors import MissingFile, MixjobsError, OrderError, UnreadableFile
from mixjobs.observed.spectrum import open_spectrum
from tests.helpers.drawn import observed_orders

CURRENT = ("waves", "fluxes", "sigmas")
OLDER = ("wls", "fls", "sigmas")
NAN, INF = np.nan, np.inf
WAVE = np.array([[5000.0, 5001.0, 5002.5], [5002.0, 5003.0, 5004.0]])
FLUX = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
SIGMA = np.full((2, 3), 0.1)


def write(path, wave=WAVE, flux=FLUX, sigma=SIGMA, masks=None, names=CURRENT, air=None, bcv=None):
    """Write a Starfish file; `air` has the attributes of the file and of the wavelengths, or None.

    `masks` and the arrays may be of any type that h5py stores.
    """
    with h5py.File(path, "w") as file:
        for name, values in zip((*names, "masks"), (wave, flux, sigma, masks), strict=True):
            if values is not None:
                file[name] = values
        for owner, value in zip((file, file[names[0]]), air or (None, None), strict=True):
            if value is not None:
                owner.attrs["air"] = value
        if bcv is not None:
            file.attrs["BCV"] = bcv
    return path


class TestReal:
    @pytest.mark.parametrize(
        ("name", "names", "has_mask", "n_used", "notes"),
        [
            ("LkCa15-2013-10-12", OLDER, False, 51 * 2298, []),
            ("WASP14-2009-06-14", OLDER, False, 51 * 2298, []),
            (
                "Gl51",
                OLDER,
                True,
                4437 - 140,
                ["pixels masked because the flux or its error is not usable: 140"],
            ),
            (
                "example_spec",
                CURRENT,
                False,
                846,
                [
                    "the masks dataset is ignored because it contains 18000.1; "
                    "a mask contains only 0 and 1"
                ],
            ),
        ],
    )
    def test_content_equals_that_of_the_file(self, data, name, names, has_mask, n_used, notes):
        observed = open_spectrum(data / f"{name}.hdf5")
        with h5py.File(data / f"{name}.hdf5", "r", locking=False) as file:
            held = [np.atleast_2d(file[key][...]) for key in names]
            masks = np.atleast_2d(file["masks"][...]) if has_mask else None
        for arrays, expected in zip(
            (observed.wavelength, observed.flux, observed.flux_error), held, strict=True
        ):
            assert len(arrays) == len(expected) == len(observed.orders)
            for one, other in zip(arrays, expected, strict=True):
                assert one.dtype == np.float64
                np.testing.assert_array_equal(one, other)
        assert observed.orders.number.tolist() == list(range(len(held[0])))
        if masks is not None:
            np.testing.assert_array_equal(np.stack(observed.mask), masks == 1)
        assert sum(mask.sum() for mask in observed.mask) == n_used
        assert list(observed.notes) == notes
        assert observed.medium is None
        velocities = {"LkCa15-2013-10-12": 23.09774, "WASP14-2009-06-14": -19.99458}
        assert observed.barycentric_velocity == velocities.get(name)
        assert not observed.numbered
        assert observed.path == data / f"{name}.hdf5"

    def test_orders_covered_by_a_library(self, data):
        observed = open_spectrum(data / "LkCa15-2013-10-12.hdf5")
        with h5py.File(data / "PHOENIX_ACES_test.hdf5", "r", locking=False) as file:
            wavelength = file["wl"][...]
        uncovered = observed.orders.uncovered(wavelength)
        assert sorted(set(range(51)) - set(uncovered)) == list(range(21, 31))

    def test_a_library_is_not_an_observed_spectrum(self, data):
        with pytest.raises(UnreadableFile, match="this is a library of model spectra"):
            open_spectrum(data / "btsettl_prism.hdf5")


class TestProperties:
    @given(observed_orders(), st.sampled_from([CURRENT, OLDER]))
    def test_masks_and_ranges(self, content, names):
        wave, flux, sigma, masks = content
        with tempfile.TemporaryDirectory() as folder:
            observed = open_spectrum(write(Path(folder, "o.hdf5"), *content, names=names))
        for m, mask in enumerate(observed.mask):
            for pixel, use in enumerate(mask):
                valid = abs(flux[m, pixel]) < INF and 0 < sigma[m, pixel] < INF
                assert use == (valid and masks[m, pixel])
            lo, hi = observed.orders.take([m]).pixel_ranges(observed.wavelength[m])
            assert (lo[0], hi[0]) == (0, wave.shape[1])  # the whole order, including its last pixel
            assert observed.orders.wave_max[m] == np.nextafter(wave[m, -1], INF)

    @pytest.mark.parametrize("names", [CURRENT, OLDER])
    def test_a_one_dimensional_file_has_one_order(self, tmp_path, names):
        masks = np.array([1, 0, 1], dtype=np.int8)
        flat = write(tmp_path / "flat.hdf5", WAVE[0], FLUX[0], SIGMA[0], masks, names)
        row = write(tmp_path / "row.hdf5", WAVE[:1], FLUX[:1], SIGMA[:1], masks[None], names)
        for one, other in zip(
            _arrays(open_spectrum(flat)), _arrays(open_spectrum(row)), strict=True
        ):
            np.testing.assert_array_equal(one, other)
        assert open_spectrum(flat).mask[0].tolist() == [True, False, True]


def _arrays(observed):
    return (*observed.wavelength, *observed.flux, *observed.flux_error, *observed.mask)


class TestContent:
    @pytest.mark.parametrize(
        ("masks", "text"),
        [
            (WAVE, "5000"),
            (np.full((2, 3), 2), "2"),
            (np.full((2, 3), NAN), "nan"),
            (np.array([[1, 1, 1], [0, 1, 0.5]]), "0.5"),
        ],
    )
    def test_an_invalid_mask_is_ignored(self, tmp_path, masks, text):
        observed = open_spectrum(write(tmp_path / "o.hdf5", masks=masks))
        assert np.all(observed.mask)
        assert observed.notes == (
            f"the masks dataset is ignored because it contains {text}; "
            "a mask contains only 0 and 1",
        )

    @pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.float64])
    def test_masks_of_any_type(self, tmp_path, dtype):
        masks = np.array([[1, 0, 1], [0, 0, 0]], dtype=dtype)
        observed = open_spectrum(write(tmp_path / "o.hdf5", masks=masks))
        assert [mask.tolist() for mask in observed.mask] == [[True, False, True], [False] * 3]
        assert observed.notes == ("orders without a usable pixel: 1",)

    @pytest.mark.parametrize(
        ("air", "medium"),
        [
            ((None, None), None),
            ((True, None), "air"),
            ((None, False), "vacuum"),
            ((0, 0), "vacuum"),
            ((np.array([True]), 1), "air"),
        ],
    )
    def test_medium(self, tmp_path, air, medium):
        assert open_spectrum(write(tmp_path / "o.hdf5", air=air)).medium == medium

    @pytest.mark.parametrize("bcv", [None, 0, -12.5, np.float32(0.5), np.array([3.0])])
    def test_barycentric_velocity(self, tmp_path, bcv):
        observed = open_spectrum(write(tmp_path / "o.hdf5", bcv=bcv))
        assert observed.barycentric_velocity == (None if bcv is None else float(np.squeeze(bcv)))

    def test_repr_is_short(self, tmp_path):
        text = repr(open_spectrum(write(tmp_path / "o.hdf5", air=(True, None), bcv=-12.5)))
        assert text.splitlines()[:1] == ["<ObservedSpectrum>"]
        for fact in ("o.hdf5", "2 orders (0, 1)", "air", "-12.5 km/s"):
            assert fact in text
        assert len(text.splitlines()) < 8

    def test_arrays_are_read_only_and_pickle(self, tmp_path):
        observed = open_spectrum(str(write(tmp_path / "o.hdf5")))
        with pytest.raises(ValueError, match="read-only"):
            observed.flux[0][0] = 1.0
        copy = pickle.loads(pickle.dumps(observed))
        for array, copied in zip(_arrays(observed), _arrays(copy), strict=True):
            np.testing.assert_array_equal(array, copied)

    def test_a_locked_file_is_read(self, tmp_path):
        path = write(tmp_path / "o.hdf5")
        with path.open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)  # as on file systems where HDF5's own lock fails
            assert len(open_spectrum(path).orders) == 2

    @pytest.mark.parametrize("order", [">f8", "<f4", ">i4"])
    def test_every_number_type_becomes_native_float64(self, tmp_path, order):
        observed = open_spectrum(write(tmp_path / "o.hdf5", flux=FLUX.astype(order)))
        assert observed.flux[1].dtype == np.dtype("=f8")
        assert observed.flux[1].tolist() == [4.0, 5.0, 6.0]


def wave_of_order_1(*values):
    return np.array([WAVE[0], values])


def group_as_waves(path):
    write(path)
    with h5py.File(path, "a") as file:
        del file["waves"]
        file.create_group("waves")


def group_as_masks(path):
    write(path)
    with h5py.File(path, "a") as file:
        file.create_group("masks")


def dangling_masks(path):
    write(path)
    with h5py.File(path, "a") as file:
        file["masks"] = h5py.SoftLink("/gone")


def latin_name(path):
    with h5py.File(path, "w") as file:
        file["flux"] = 1.0
        file[b"\xe5ngstrom"] = 1.0  # not UTF-8: h5py returns this name as bytes


def many_names(path):
    with h5py.File(path, "w") as file:
        for k in range(10):
            file[f"d{k}"] = k


def failing_disk(path):
    path.symlink_to("/proc/self/mem")  # reading its first byte is an input/output error


def truncated(path):
    write(path)
    path.write_bytes(path.read_bytes()[:-200])


def damaged_inside(path):
    with h5py.File(path, "w") as file:
        for name, values in zip(CURRENT, (WAVE, FLUX, SIGMA), strict=True):
            file.create_dataset(name, data=values, compression="gzip")
        start = file["fluxes"].id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[start : start + 8] = b"\xff" * 8
    path.write_bytes(content)


def damaged_type(path):
    write(path)
    content, float64 = path.read_bytes(), bytes.fromhex("00004000340b0034ff030000")
    assert float64 in content
    path.write_bytes(content.replace(float64, float64[:-3] + b"\x7f\0\0"))  # the exponent's bias


def writes(**content):
    return lambda path: write(path, **content)


BAD = [
    (lambda path: None, MissingFile, "no such file"),
    (lambda path: path.mkdir(), UnreadableFile, "is a folder; expected the file"),
    (lambda path: path.write_bytes(b""), UnreadableFile, "cannot be read as HDF5"),
    (lambda path: path.write_text("5000 1 0.1\n"), UnreadableFile, "this is a text file; expected"),
    (failing_disk, UnreadableFile, "cannot be read as HDF5 .*Input/output error"),
    (truncated, UnreadableFile, "cannot be read as HDF5 .*truncated"),
    (damaged_inside, UnreadableFile, "cannot be read as HDF5 .*expected a complete Starfish"),
    (damaged_type, UnreadableFile, "cannot be read as HDF5 .*precision"),
    (
        lambda path: h5py.File(path, "w").close(),
        UnreadableFile,
        "waves, fluxes, sigmas or wls, fls, sigmas, .*contains nothing$",
    ),
    (
        writes(names=("wave", "fluxes", "sigmas")),
        UnreadableFile,
        "contains fluxes, sigmas, wave$",
    ),
    (writes(sigma=None), UnreadableFile, "contains fluxes, waves$"),
    (group_as_waves, UnreadableFile, "contains fluxes, sigmas, waves$"),
    (group_as_masks, UnreadableFile, 'masks is <HDF5 group "/masks".*expected a dataset'),
    (dangling_masks, UnreadableFile, "cannot be read as HDF5 .*expected a complete Starfish"),
    (latin_name, UnreadableFile, r"contains b'\\xe5ngstrom', flux$"),
    (many_names, UnreadableFile, "contains d0, d1, d2, d3, d4, d5, d6, d7 and 2 more$"),
    (
        writes(wave=wave_of_order_1(5002.0, 5001.0, 5003.0)),
        OrderError,
        "order 1: wavelength 5001 Å at pixel 1 follows 5002 Å; .*sort",
    ),
    (writes(wave=WAVE[:, ::-1]), OrderError, "order 0: .* at pixel 1 follows"),
    (
        writes(wave=wave_of_order_1(5001.0, 5002.0, 5002.0)),
        OrderError,
        "order 1: wavelength 5002 Å at pixel 2 follows 5002 Å; ",
    ),
    (
        writes(wave=wave_of_order_1(5001.0, 5002.0, NAN)),
        OrderError,
        "order 1: wavelength nan at pixel 2; expected finite, positive",
    ),
    (writes(wave=wave_of_order_1(5001.0, 5002.0, INF)), OrderError, "order 1: .* inf at pixel 2"),
    (writes(wave=wave_of_order_1(-1.0, 5002.0, 5003.0)), OrderError, "order 1: .* -1 at pixel 0"),
    (writes(wave=wave_of_order_1(0.0, 5002.0, 5003.0)), OrderError, "order 1: .* 0 at pixel 0"),
    (
        writes(flux=FLUX[:, :2]),
        UnreadableFile,
        r"different shapes: waves \(2, 3\), fluxes \(2, 2\), sigmas \(2, 3\); expected the same",
    ),
    (
        writes(sigma=SIGMA[0]),
        UnreadableFile,
        r"the datasets have different shapes: .* sigmas \(3,\);",
    ),
    (
        writes(masks=SIGMA[:1]),
        UnreadableFile,
        r"the datasets have different shapes: .* masks \(1, 3\);",
    ),
    (
        writes(wave=5000.0, flux=1.0, sigma=0.1),
        UnreadableFile,
        r"waves has shape \(\); expected \(pixels,\) or \(orders, pixels\)",
    ),
    (
        writes(wave=np.zeros((2, 0)), flux=np.zeros((2, 0)), sigma=np.zeros((2, 0))),
        UnreadableFile,
        r"waves has shape \(2, 0\);",
    ),
    (
        writes(wave=WAVE[None], flux=FLUX[None], sigma=SIGMA[None]),
        UnreadableFile,
        r"waves has shape \(1, 2, 3\);",
    ),
    (
        writes(wave=h5py.Empty("f8"), flux=h5py.Empty("f8"), sigma=h5py.Empty("f8")),
        UnreadableFile,
        "waves has shape None;",
    ),
    (
        writes(flux=FLUX.astype("S8")),
        UnreadableFile,
        r'fluxes is <.*type "\|S8">; expected a dataset of real numbers',
    ),
    (writes(flux=FLUX + 0j), UnreadableFile, 'fluxes is <.*type "<c16">; expected'),
    (writes(air=("perhaps", None)), UnreadableFile, "air is 'perhaps'; expected True or False"),
    (writes(bcv="fast"), UnreadableFile, "attribute BCV is 'fast'; expected a velocity in km/s"),
    (writes(bcv=NAN), UnreadableFile, "attribute BCV is .*nan.*; expected a velocity in km/s"),
    (writes(bcv=[1.0, 2.0]), UnreadableFile, "attribute BCV is array.*; expected a velocity"),
    (writes(air=(None, [True, True])), UnreadableFile, "air is array"),
    (
        writes(air=(True, False)),
        UnreadableFile,
        r"declares both air \(air\) and vacuum \(air\)",
    ),
]


@pytest.mark.parametrize(("make", "error", "message"), BAD)
def test_invalid_input_is_refused_in_one_line_with_the_path(tmp_path, make, error, message):
    path = tmp_path / "bad.hdf5"
    make(path)
    with pytest.raises(error, match=message) as caught:
        open_spectrum(path)
    assert isinstance(caught.value, MixjobsError)
    assert caught.value.path == str(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(path))


def test_damage_anywhere_raises_only_our_errors(tmp_path):
    """Damage every part of the file in turn."""
    whole = write(tmp_path / "o.hdf5", masks=np.ones((2, 3)), air=(True, True)).read_bytes()
    refused = 0
    for start in range(0, len(whole), 32):
        path = tmp_path / f"{start}.hdf5"
        path.write_bytes(
            whole[:start]
            + bytes(255 - byte for byte in whole[start : start + 4])
            + whole[start + 4 :]
        )
        try:
            open_spectrum(path)
        except MixjobsError:
            refused += 1
    assert refused > 20
