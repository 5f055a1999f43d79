"""Starfish libraries: real files compared with h5py, generated files, and many invalid files."""

import os
import pickle

import h5py
import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixjobs.errors import InvalidInput, LibraryError, MissingFile, MixjobsError, UnreadableFile
from mixjobs.library import open_library
from tests.helpers.starfish_files import LAYOUTS, POINTS, WAVE, key_of, spectrum, write

FIELD = ("teff", "logg", "feh", "alpha")
ORIGINAL = {
    "current": ("T", "logg", "Z", "alpha"),
    "0.2": ("T", "logg", "Z", "alpha"),
    "attributes": ("temp", "logg", "Z", "alpha"),
    "keys": ("T", "logg", "Z", "alpha"),
}
THREE = ("teff", "logg", "feh")


def rows_by_point(points):
    return {tuple(point): row for row, point in enumerate(np.asarray(points).tolist())}


class TestReal:
    @pytest.mark.parametrize(
        ("name", "n_points", "names", "original", "medium", "unit", "n_pixels"),
        [
            ("btsettl_prism", 1319, THREE, "T", "vacuum", "erg/s/cm^2/AA", 1001),
            ("PHOENIX_ACES_test", 12, FIELD, "temp", "air", "erg/cm^2/s/A", 32768),
            ("PHOENIX_50k", 3, THREE, "T", "vacuum", "erg/cm^2/s/A", 1024),
            ("PHOENIX_norm", 3, THREE, "T", "vacuum", "erg/cm^2/s/A", 1024),
            ("PHOENIX_air", 3, THREE, "T", "air", "erg/cm^2/s/A", 1024),
            ("PHOENIX_norm_air", 3, THREE, "T", "air", "erg/cm^2/s/A", 1024),
        ],
    )
    def test_content_equals_that_of_the_file(
        self, data, name, n_points, names, original, medium, unit, n_pixels
    ):
        library = open_library(data / f"{name}.hdf5")
        assert (len(library.grid), library.grid.names) == (n_points, names)
        assert library.original_names == (original, *("logg", "Z", "alpha")[: len(names) - 1])
        assert (library.medium, library.flux_unit, library.format) == (medium, unit, "starfish")
        with h5py.File(data / f"{name}.hdf5", "r", locking=False) as file:
            np.testing.assert_array_equal(library.wavelength, file["wl"][...])
            assert len(library.wavelength) == n_pixels
            assert len(file["flux"]) == n_points
            for row in range(0, n_points, max(1, n_points // 7)):
                key = key_of(library.grid.points[row], ("T", "logg", "Z", "alpha")[: len(names)])
                stored = file["flux"][key][...].astype(float)
                flux = library.flux(row)
                assert flux.dtype == np.float64
                np.testing.assert_allclose(flux / flux.mean(), stored / stored.mean(), rtol=1e-13)
                if "norm" not in name and "ACES" not in name:
                    factor = 1.0 if name == "btsettl_prism" else 1e-8  # the others are per cm
                    np.testing.assert_array_equal(flux, stored * factor)

    def test_btsettl_has_a_hole_and_uneven_steps(self, data):
        grid = open_library(data / "btsettl_prism.hdf5").grid
        assert [len(axis) for axis in grid.axes] == [20, 6, 11]
        assert grid.is_product
        assert grid.holes.tolist() == [[4400.0, 3.0, -3.0]]
        assert grid.axes[2][-3:].tolist() == [0.0, 0.3, 0.5]

    def test_phoenix_has_fixed_axes(self, data):
        grid = open_library(data / "PHOENIX_ACES_test.hdf5").grid
        assert grid.free == (0, 1)
        assert grid.row({"teff": 5100, "logg": 4.0}) == 4

    def test_selection(self, data):
        whole = open_library(data / "btsettl_prism.hdf5")
        part = whole.take(whole.grid.select({"teff": (3000, 4500), "feh": (-0.5, 0.5)}))
        assert part.grid.axes[0].min() == 3000
        assert set(part.grid.axes[2]) == {-0.5, 0.0, 0.3, 0.5}
        for row in (0, 7, len(part.grid) - 1):
            row_in_whole = whole.grid.row(part.grid.points[row])
            np.testing.assert_array_equal(part.flux(row), whole.flux(row_in_whole))


class TestLayouts:
    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize("n_parameters", [1, 2, 3, 4])
    def test_every_point_has_its_own_spectrum(self, tmp_path, layout, n_parameters):
        if n_parameters == 1:
            points = np.array([[9900.0], [10000.0], [3000.0]])
        else:
            fixed = np.tile([-0.5, 0.2], (len(POINTS), 1))
            points = np.concatenate([POINTS, fixed], axis=1)[:, :n_parameters]
        library = open_library(write(tmp_path / "a.hdf5", points, layout=layout))
        assert library.grid.names == FIELD[:n_parameters]
        assert library.original_names == ORIGINAL[layout][:n_parameters]
        rows = rows_by_point(points)
        assert {tuple(p) for p in library.grid.points.tolist()} == set(rows)
        for i, point in enumerate(library.grid.points.tolist()):
            np.testing.assert_array_equal(library.flux(i), spectrum(rows[tuple(point)]))
        assert library.grid.free == tuple(range(min(n_parameters, 2)))

    @pytest.mark.parametrize("layout", ["current", "0.2"])
    def test_sequence_of_the_table_is_kept(self, tmp_path, layout):
        library = open_library(write(tmp_path / "a.hdf5", layout=layout))
        np.testing.assert_array_equal(library.grid.points, POINTS)

    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize("zero", [0.0, -0.0])
    @pytest.mark.parametrize("text", ["0.0", "-0.0"])
    def test_negative_zero(self, tmp_path, layout, zero, text):
        points = np.array([[3000.0, 4.0, zero], [3000.0, 4.0, -0.5], [3100.0, 4.0, zero]])
        keys = [f"t3000g4.0z{text}", "t3000g4.0z-0.5", f"t3100g4.0z{text}"]
        path = write(tmp_path / "a.hdf5", points, layout=layout, keys=keys)
        library = open_library(path)
        assert not np.signbit(library.grid.points[library.grid.points == 0]).any()
        rows = rows_by_point(points + 0.0)
        for i, point in enumerate(library.grid.points.tolist()):
            np.testing.assert_array_equal(library.flux(i), spectrum(rows[tuple(point)]))

    @pytest.mark.parametrize("layout", ["current", "0.2"])
    def test_negative_number_rounded_to_zero_in_its_key(self, tmp_path, layout):
        points = np.array([[3000.0, 4.0, -0.04], [3100.0, 4.0, 0.0]])
        library = open_library(write(tmp_path / "a.hdf5", points, layout=layout))
        assert library.keys == ("t3000g4.0z-0.0", "t3100g4.0z0.0")

    @pytest.mark.parametrize("layout", ["current", "0.2"])
    def test_points_in_single_precision_become_decimals(self, tmp_path, layout):
        points = np.array([[3000.0, 4.1, -0.3], [3100.0, 4.1, 0.7]], dtype=np.float32)
        library = open_library(write(tmp_path / "a.hdf5", points, layout=layout))
        assert library.grid.points.tolist() == [[3000.0, 4.1, -0.3], [3100.0, 4.1, 0.7]]

    def test_names_stored_as_fixed_length_bytes(self, tmp_path):
        path = write(tmp_path / "a.hdf5")
        with h5py.File(path, "a") as file:
            file["grid_points"].attrs["names"] = np.array(["Teff", "mass_loss"], dtype="S")
            file["flux"].attrs["key_name"] = np.bytes_(file["flux"].attrs["key_name"])
            file["flux"].attrs["units"] = np.bytes_("erg/s/cm^2/AA")
        library = open_library(path)
        assert library.grid.names == ("teff", "mass_loss")
        assert library.original_names == ("Teff", "mass_loss")
        assert library.flux_unit == "erg/s/cm^2/AA"

    def test_one_parameter_in_one_dimension(self, tmp_path):
        path = write(tmp_path / "a.hdf5", np.array([[3000.0], [3100.0]]))
        with h5py.File(path, "a") as file:
            del file["grid_points"]
            file["grid_points"] = [3000.0, 3100.0]
            file["grid_points"].attrs["names"] = "T"
        assert open_library(path).grid.points.tolist() == [[3000.0], [3100.0]]

    @pytest.mark.parametrize("dtype", ["f4", ">f4", "f8", ">f8", "i4"])
    def test_flux_of_any_number_type(self, tmp_path, dtype):
        path = write(tmp_path / "a.hdf5")
        key = key_of(POINTS[1], ("T", "logg"))
        values = np.arange(len(WAVE)).astype(dtype)
        with h5py.File(path, "a") as file:
            del file["flux"][key]
            file["flux"][key] = values
        flux = open_library(path).flux(1)
        assert flux.dtype == np.dtype("float64")
        np.testing.assert_array_equal(flux, np.arange(len(WAVE)))

    @pytest.mark.parametrize(
        ("place", "value", "medium"),
        [
            ("wl", np.True_, "air"),
            ("wl", "False", "vacuum"),
            ("spectrum", True, "air"),
            ("spectrum", 0, "vacuum"),
            (None, None, "unknown"),
        ],
    )
    def test_medium(self, tmp_path, place, value, medium):
        path = write(tmp_path / "a.hdf5", each={"air": value} if place == "spectrum" else None)
        if place == "wl":
            with h5py.File(path, "a") as file:
                file["wl"].attrs["air"] = value
        assert open_library(path).medium == medium

    @pytest.mark.parametrize("value", ["perhaps", [True, False]])
    def test_an_unreadable_medium_is_refused(self, tmp_path, value):
        path = write(tmp_path / "a.hdf5")
        with h5py.File(path, "a") as file:
            file["wl"].attrs["air"] = value
        with pytest.raises(UnreadableFile) as caught:
            open_library(path)
        assert (caught.value.path, caught.value.name) == (str(path), "air")

    def test_a_file_in_both_air_and_vacuum_is_refused(self, tmp_path):
        path = write(tmp_path / "a.hdf5", each={"air": True})
        with h5py.File(path, "a") as file:
            file["wl"].attrs["air"] = False
        with pytest.raises(UnreadableFile, match=r"both air .* and vacuum"):
            open_library(path)

    def test_repr_is_short(self, tmp_path):
        shown = repr(open_library(write(tmp_path / "a.hdf5")))
        assert shown.startswith("<StarfishLibrary>")
        assert len(shown.splitlines()) == 8


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return open_library(write(tmp_path_factory.mktemp("lib") / "a.hdf5"))


class TestReading:
    @given(st.integers(0, len(POINTS) - 1), st.integers(0, 63), st.integers(0, 64))
    def test_part_of_a_spectrum(self, library, i, lo, hi):
        part = library.flux(i, lo, hi)
        assert part.dtype == np.float64
        np.testing.assert_array_equal(part, spectrum(i)[lo:hi])
        np.testing.assert_array_equal(library.flux(i, lo), spectrum(i)[lo:])

    def test_reader_yields_the_rows_in_sequence(self, library):
        spectra = [(s.name, s(3, 9)) for s in library.reader([4, 0, 2])]
        assert [name for name, _ in spectra] == [library.keys[i] for i in (4, 0, 2)]
        for i, (_, flux) in zip((4, 0, 2), spectra, strict=True):
            np.testing.assert_array_equal(flux, spectrum(i)[3:9])

    def test_reader_is_small_and_survives_pickling_before_and_after_use(self, library):
        reader = library.reader(range(6))
        first = [s(0, 64) for s in reader]
        pickled = pickle.dumps(reader)
        assert len(pickled) < 600
        repeated = [s(0, 64) for s in pickle.loads(pickled)]
        np.testing.assert_array_equal(first, repeated)

    def test_reader_opens_one_file_at_a_time_and_closes_it(self, library):
        def open_files():
            return [f.path for f in psutil.Process().open_files()].count(library.path)

        assert open_files() == 0
        for spectrum_ in library.reader(range(6)):
            assert (open_files(), len(spectrum_(0, 5))) == (1, 5)
        assert open_files() == 0

    def test_library_survives_pickling(self, library):
        copy = pickle.loads(pickle.dumps(library))
        np.testing.assert_array_equal(copy.flux(2), library.flux(2))
        assert copy.fingerprint == library.fingerprint

    def test_take_keeps_each_spectrum_with_its_point(self, library):
        part = library.take(np.array([5, 1, 3]))
        np.testing.assert_array_equal(part.grid.points, POINTS[[5, 1, 3]])
        for i, row in enumerate((5, 1, 3)):
            np.testing.assert_array_equal(part.flux(i), spectrum(row))
        subset = part.take([2, 0])
        np.testing.assert_array_equal(subset.flux(1), spectrum(5))

    def test_a_relative_path_is_made_absolute(self, tmp_path, monkeypatch):
        write(tmp_path / "a.hdf5")
        monkeypatch.chdir(tmp_path)
        library = open_library("a.hdf5", format="starfish")
        monkeypatch.chdir("/")
        assert library.flux(0).shape == (64,)

    def test_no_write_permission_is_needed(self, tmp_path):
        path = write(tmp_path / "a.hdf5")
        path.chmod(0o400)
        assert open_library(path).flux(0).shape == (64,)


class TestFingerprint:
    def test_the_fingerprint_is_reproducible(self, tmp_path):
        path = write(tmp_path / "a.hdf5")
        assert open_library(path).fingerprint == open_library(path).fingerprint

    def test_a_change_in_place_changes_the_fingerprint(self, tmp_path):
        path = write(tmp_path / "a.hdf5")
        before, size = open_library(path).fingerprint, path.stat().st_size
        with h5py.File(path, "a") as file:
            next(iter(file["flux"].values()))[3] = 17
        assert path.stat().st_size == size
        assert open_library(path).fingerprint != before

    def test_other_wavelengths_or_points_change_it_at_equal_time_and_size(self, tmp_path):
        fingerprints = []
        for name, change in (("a", {}), ("b", {"wave": WAVE + 1}), ("c", {"points": POINTS + 1})):
            path = write(tmp_path / name, **change)
            os.utime(path, (1e9, 1e9))
            fingerprints.append(open_library(path).fingerprint)
        assert len({(f["size"], f["modified"]) for f in fingerprints}) == 1
        assert len({tuple(f.values()) for f in fingerprints}) == 3


def change(function):
    """Damage a good library with h5py."""

    def damage(path):
        with h5py.File(write(path), "a") as file:
            function(file)

    return damage


def replace(name, values):
    def function(file):
        attributes = dict(file[name].attrs)
        del file[name]
        file[name] = values
        file[name].attrs.update(attributes)

    return change(function)


def wave(pixel, value):
    values = WAVE.copy()
    values[pixel] = value
    return replace("wl", values)


def attribute(owner, name, value):
    return change(lambda file: file[owner].attrs.__setitem__(name, value))


def edit(function):
    def damage(path):
        whole = write(path).read_bytes()
        path.write_bytes(function(whole))

    return damage


def change_oldest(function):
    def damage(path):
        with h5py.File(write(path, layout="attributes"), "a") as file:
            function(file)

    return damage


FIRST = "flux/t9900g4.5"

BAD = [
    ("missing", lambda path: None, MissingFile, {}),
    ("empty", lambda path: path.touch(), UnreadableFile, {}),
    ("text", lambda path: path.write_text("not HDF5\n" * 99), UnreadableFile, {}),
    ("zero-filled", edit(lambda b: bytes(len(b))), UnreadableFile, {}),
    ("truncated", edit(lambda b: b[: len(b) // 2]), UnreadableFile, {}),
    (
        "half zero-filled",
        edit(lambda b: b[:900] + bytes(len(b) - 900)),
        UnreadableFile,
        {},
    ),
    ("directory", lambda path: path.mkdir(), LibraryError, {}),
    (
        "not Starfish",
        lambda path: h5py.File(path, "w").create_dataset("a", data=1).file.close(),
        LibraryError,
        {"name": "wl"},
    ),
    (
        "no groups at all",
        lambda path: h5py.File(path, "w").close(),
        LibraryError,
        {"name": "wl"},
    ),
    (
        "flux is one array",
        replace("flux", np.ones((6, 64))),
        LibraryError,
        {"name": "flux"},
    ),
    (
        "no spectra",
        change(lambda file: file["flux"].clear()),
        LibraryError,
        {"name": "flux"},
    ),
    (
        "one point",
        lambda path: write(path, POINTS[:1]),
        LibraryError,
        {"name": "points", "value": 1},
    ),
    (
        "duplicate points",
        replace("grid_points", POINTS[[0, 1, 2, 3, 4, 4]]),
        LibraryError,
        {"value": "t10000g4.0"},
    ),
    (
        "duplicate points, oldest layout",
        change_oldest(lambda file: file[FIRST].attrs.update({"temp": 10000.0})),
        LibraryError,
        {"name": "points", "value": [10000.0, 4.5]},
    ),
    (
        "key_name with too few digits",
        lambda path: write(path, [[3000.1, 4.0], [3000.2, 4.0]], keys=["t3000g4.0", "x"]),
        LibraryError,
        {"value": "t3000g4.0"},
    ),
    (
        "lost key",
        change(lambda file: file.__delitem__(FIRST)),
        LibraryError,
        {"value": "t9900g4.5"},
    ),
    (
        "attributes lost in the oldest layout",
        change_oldest(lambda file: file[FIRST].attrs.__delitem__("logg")),
        LibraryError,
        {"name": "t9900g4.5"},
    ),
    (
        "oldest layout with keys without parameters",
        lambda path: write(path, layout="keys", keys=list("abcdef")),
        LibraryError,
        {"value": "a"},
    ),
    (
        "no names",
        change(lambda file: file["grid_points"].attrs.__delitem__("names")),
        LibraryError,
        {"name": "grid_points", "value": ()},
    ),
    (
        "too few names",
        attribute("grid_points", "names", ["T"]),
        LibraryError,
        {"name": "grid_points", "value": ("T",)},
    ),
    (
        "no key_name",
        change(lambda file: file["flux"].attrs.__delitem__("key_name")),
        LibraryError,
        {"name": "grid_points"},
    ),
    *[
        (
            f"key_name {pattern}",
            attribute("flux", "key_name", pattern),
            LibraryError,
            {"name": "key_name", "value": pattern},
        )
        for pattern in ("t{0}g{1}z{2}", "t{0:d}", "{teff}", "t{0", "{0.x}")
    ],
    (
        "two names that mean the row_in_whole",
        attribute("grid_points", "names", ["T", "Teff"]),
        LibraryError,
        {"name": "names", "value": ("T", "Teff")},
    ),
    (
        "points that are text",
        replace("grid_points", np.array([b"a", b"b"])),
        LibraryError,
        {"name": "grid_points"},
    ),
    (
        "no rows of points",
        replace("grid_points", np.empty((0, 2))),
        LibraryError,
        {"name": "grid_points"},
    ),
    (
        "points with NaN",
        replace("grid_points", POINTS * np.nan),
        LibraryError,
        {"value": "tnangnan"},
    ),
    (
        "pars that do not fit the keys",
        lambda path: write(path, layout="0.2", keys=[f"t{i}" for i in range(6)]),
        LibraryError,
        {"name": "pars", "value": 2},
    ),
    (
        "spectra of unequal length",
        replace(FIRST, np.ones(63)),
        LibraryError,
        {"name": "t9900g4.5", "value": (63,)},
    ),
    ("spectrum that is text", replace(FIRST, [b"a"] * 64), LibraryError, {"value": (64,)}),
    (
        "spectrum that is a group",
        change(lambda file: (file.__delitem__(FIRST), file.create_group(FIRST))),
        LibraryError,
        {"name": "t9900g4.5"},
    ),
    (
        "wavelengths unsorted",
        wave(9, 5050.0),
        LibraryError,
        {"pixel": 10, "value": WAVE[10]},
    ),
    (
        "wavelengths repeated",
        wave(9, WAVE[8]),
        LibraryError,
        {"pixel": 9, "value": WAVE[8]},
    ),
    ("wavelengths with NaN", wave(9, np.nan), LibraryError, {"pixel": 9}),
    (
        "wavelengths infinite",
        wave(63, np.inf),
        LibraryError,
        {"pixel": 63, "value": np.inf},
    ),
    ("wavelengths from 0", wave(0, 0.0), LibraryError, {"pixel": 0, "value": 0.0}),
    ("wavelengths in 2-D", replace("wl", WAVE.reshape(2, 32)), LibraryError, {"value": (2, 32)}),
    ("wavelengths that are text", replace("wl", [b"a"] * 64), LibraryError, {"name": "wl"}),
    ("one wavelength", replace("wl", WAVE[:1]), LibraryError, {"value": (1,)}),
    ("unit", attribute("wl", "units", "s"), UnreadableFile, {"name": "units", "value": "s"}),
]


class TestBadInput:
    @pytest.mark.parametrize(("damage", "error", "facts"), [b[1:] for b in BAD], ids=[
        b[0] for b in BAD
    ])  # fmt: skip
    def test_is_refused_in_one_line(self, tmp_path, damage, error, facts):
        path = tmp_path / "a.hdf5"
        damage(path)
        with pytest.raises(error) as caught:
            open_library(path)
        assert type(caught.value) is error
        assert caught.value.path == str(path)
        assert {name: getattr(caught.value, name) for name in facts} == facts
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_unknown_format(self, tmp_path):
        with pytest.raises(InvalidInput, match=r"format 'votable' is unknown; choose .*starfish"):
            open_library(write(tmp_path / "a.hdf5"), format="votable")

    def test_an_observed_spectrum_is_not_a_library(self, data):
        with pytest.raises(LibraryError, match="this is an observed spectrum"):
            open_library(data / "LkCa15-2013-10-12.hdf5")

    def test_damage_detected_only_by_reading(self, tmp_path):
        path = write(tmp_path / "a.hdf5")
        with h5py.File(path, "a") as file:
            del file[FIRST]
            dataset = file.create_dataset(FIRST, data=spectrum(0), chunks=(64,), compression="gzip")
            place = dataset.id.get_chunk_info(0)
        content = bytearray(path.read_bytes())
        content[place.byte_offset : place.byte_offset + place.size] = bytes(place.size)
        path.write_bytes(content)
        library = open_library(path)
        np.testing.assert_array_equal(library.flux(1), spectrum(1))
        with pytest.raises(UnreadableFile, match=r"spectrum t9900g4\.5 cannot be read \(.*damaged"):
            library.flux(0)

    def test_file_removed_or_changed_after_it_was_opened(self, tmp_path):
        path = write(tmp_path / "a.hdf5")
        library = open_library(path)
        with h5py.File(path, "a") as file:
            del file[FIRST]
        with pytest.raises(UnreadableFile, match="not a complete HDF5 file"):
            library.flux(0)
        path.unlink()
        with pytest.raises(MissingFile, match="no such library"):
            library.flux(0)

    def test_zeros_anywhere_raise_only_our_errors(self, tmp_path):
        """Zero every half kilobyte in turn; h5py raises more than OSError."""
        path = tmp_path / "a.hdf5"
        whole = write(path, each={"norm": True, "PHXLUM": 1e34, "PHXREFF": 1e11}).read_bytes()
        refused = 0
        for offset in range(0, len(whole), 512):
            path.write_bytes(whole[:offset] + bytes(512) + whole[offset + 512 :])
            try:
                library = open_library(path)
                for i in range(len(library.grid)):
                    library.flux(i)
            except MixjobsError:
                refused += 1
        assert refused > 5
