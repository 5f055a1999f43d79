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
from mixjobs.observed.opening import open_spectrum
from tests.helpers.drawn import observed_orders

CURRENT = ("waves", "fluxes", "sigmas")
OLDER = ("wls", "fls", "sigmas")
NO_UNIT = "the wavelengths have no unit; assumed to be in Å"
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
        ("name", "names", "has_mask", "n_used", "n_notes"),
        [
            ("LkCa15-2013-10-12", OLDER, False, 51 * 2298, 1),
            ("WASP14-2009-06-14", OLDER, False, 51 * 2298, 1),
            ("Gl51", OLDER, True, 4437 - 140, 3),  # the unit, the mask, and invalid errors
            (
                "example_spec",
                CURRENT,
                False,
                846,
                3,
            ),  # a mask of wavelengths; S/N 57,000
        ],
    )
    def test_content_equals_that_of_the_file(self, data, name, names, has_mask, n_used, n_notes):
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
        assert len(observed.notes) == n_notes
        assert observed.notes[0] == NO_UNIT
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
        ("masks", "value"),
        [
            (WAVE, "5000"),
            (np.full((2, 3), 2), "2"),
            (np.full((2, 3), NAN), "nan"),
            (np.array([[1, 1, 1], [0, 1, 0.5]]), "0.5"),
        ],
    )
    def test_an_invalid_mask_is_ignored(self, tmp_path, masks, value):
        observed = open_spectrum(write(tmp_path / "o.hdf5", masks=masks))
        assert np.all(observed.mask)
        assert f"masks is ignored because it contains {value};" in observed.notes[1]

    @pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.float64])
    def test_masks_of_any_type(self, tmp_path, dtype):
        masks = np.array([[1, 0, 1], [0, 0, 0]], dtype=dtype)
        observed = open_spectrum(write(tmp_path / "o.hdf5", masks=masks))
        assert [mask.tolist() for mask in observed.mask] == [[True, False, True], [False] * 3]
        assert observed.notes[2:] == ("orders without a usable pixel: 1",)

    def test_flags_of_zero_are_good_pixels(self, tmp_path):
        masks = np.array([[0, 4, 0], [0, 0, 1025]])
        observed = open_spectrum(write(tmp_path / "o.hdf5", masks=masks))
        assert [mask.tolist() for mask in observed.mask] == [
            [True, False, True],
            [True, True, False],
        ]
        assert any("read as flags" in str(one) for one in observed.declarations)

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
        assert len(text.splitlines()) < 9

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


# what is written, the error, and facts in it: the name, the order and the pixel
BAD = [
    (lambda path: None, MissingFile, None),
    (lambda path: path.mkdir(), UnreadableFile, None),
    (lambda path: path.write_bytes(b""), UnreadableFile, None),
    (lambda path: path.write_text("stars are bright\n"), UnreadableFile, None),
    (failing_disk, UnreadableFile, None),
    (truncated, UnreadableFile, None),
    (damaged_inside, UnreadableFile, None),
    (damaged_type, UnreadableFile, None),
    (lambda path: h5py.File(path, "w").close(), UnreadableFile, None),
    (writes(names=("x", "fluxes", "sigmas")), UnreadableFile, None),
    (writes(sigma=None), UnreadableFile, ("flux_error",)),
    (group_as_waves, UnreadableFile, None),
    (dangling_masks, UnreadableFile, ("masks",)),
    (latin_name, UnreadableFile, None),
    (many_names, UnreadableFile, None),
    (writes(wave=wave_of_order_1(5002.0, 5001.0, 5003.0)), OrderError, ("wavelength", 1, 1)),
    (writes(wave=wave_of_order_1(5001.0, 5002.0, 5002.0)), OrderError, ("wavelength", 1, 2)),
    (writes(wave=wave_of_order_1(5001.0, NAN, 5003.0)), OrderError, ("wavelength", 1, 1)),
    (writes(wave=wave_of_order_1(5001.0, -1.0, 5003.0)), OrderError, ("wavelength", 1, 1)),
    (writes(flux=FLUX[:, :2]), UnreadableFile, None),
    (writes(sigma=SIGMA[0]), UnreadableFile, None),
    (writes(masks=SIGMA[:1]), UnreadableFile, None),
    (writes(wave=5000.0, flux=1.0, sigma=0.1), UnreadableFile, ("waves",)),
    (
        writes(wave=np.zeros((2, 0)), flux=np.zeros((2, 0)), sigma=np.zeros((2, 0))),
        UnreadableFile,
        ("waves",),
    ),
    (writes(wave=np.zeros((2, 3))), UnreadableFile, ("wavelength",)),
    (writes(wave=np.full((2, 3), NAN)), UnreadableFile, ("wavelength",)),
    (writes(wave=WAVE[None], flux=FLUX[None], sigma=SIGMA[None]), UnreadableFile, ("waves",)),
    (
        writes(wave=h5py.Empty("f8"), flux=h5py.Empty("f8"), sigma=h5py.Empty("f8")),
        UnreadableFile,
        ("waves",),
    ),
    (writes(flux=FLUX.astype("S8")), UnreadableFile, ("fluxes",)),
    (writes(flux=FLUX + 0j), UnreadableFile, ("fluxes",)),
    (writes(flux=FLUX > 2), UnreadableFile, ("dataset fluxes",)),
    (writes(sigma=SIGMA > 0), UnreadableFile, ("dataset sigmas",)),
    (writes(air=("perhaps", None)), UnreadableFile, ("air",)),
    (writes(bcv="fast"), UnreadableFile, ("BCV",)),
    (writes(bcv=NAN), UnreadableFile, ("BCV",)),
    (writes(bcv=[1.0, 2.0]), UnreadableFile, ("BCV",)),
    (writes(air=(None, [True, True])), UnreadableFile, ("air",)),
    (writes(air=(True, False)), UnreadableFile, ("air",)),
    (writes(wave=WAVE / 1e4), UnreadableFile, ("dataset waves",)),
    (writes(wave=WAVE / 10), UnreadableFile, ("dataset waves",)),
]


@pytest.mark.parametrize(("make", "error", "facts"), BAD)
def test_invalid_input_is_refused_in_one_line_with_the_path(tmp_path, make, error, facts):
    path = tmp_path / "bad.hdf5"
    make(path)
    with pytest.raises(error) as caught:
        open_spectrum(path)
    known = (caught.value.name, caught.value.order, caught.value.pixel)
    assert facts is None or known[: len(facts)] == facts
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
