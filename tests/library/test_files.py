"""Libraries in several files: the same values and the same store as those of a single file."""

import pickle
import shutil

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mixjobs
from mixjobs.demo.library import DemoLibrary
from mixjobs.errors import InvalidInput, LibraryError, MissingFile, OrderError
from mixjobs.library.files import FilesLibrary, lay_out
from mixjobs.store.emulator import emulated_orders, read_order
from mixjobs.wavelengths import vacuum_to_air
from tests.helpers.split_libraries import split, write_part

OVERLAPPING = ((0, 700), (400, 1000), (900, 1600), (1500, 2048))
ABUTTING = ((0, 500), (500, 1100), (1100, 2048))
WITH_GAP = ((0, 700), (400, 1000), (1200, 2048))
EMULATOR = mixjobs.EmulatorSettings(max_rv=20, max_vsini=10, min_resolution=50_000)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A library of 20 points and 2048 pixels."""
    axes = {"teff": (5600, 5700, 5800, 5900, 6000), "logg": (4.0, 4.5), "feh": (-0.5, 0.0)}
    path = tmp_path_factory.mktemp("whole") / "library.hdf5"
    return DemoLibrary(axes, wave_max=5060.0, n_pixels=2048).write(path)


@pytest.fixture(scope="module")
def parts(whole, tmp_path_factory):
    """The library in four files that overlap."""
    return split(whole, tmp_path_factory.mktemp("parts"), OVERLAPPING)


@pytest.fixture(scope="module")
def opened(whole, parts):
    """The library from one file and from four."""
    return mixjobs.open_library(whole), mixjobs.open_library(parts)


class TestValues:
    @pytest.mark.parametrize("ranges", [OVERLAPPING, ABUTTING])
    def test_the_same_pixels_as_in_one_file(self, whole, tmp_path, ranges):
        one = mixjobs.open_library(whole)
        several = mixjobs.open_library(split(whole, tmp_path, ranges))
        np.testing.assert_array_equal(several.wavelength, one.wavelength)
        np.testing.assert_array_equal(several.grid.points, one.grid.points)
        assert several.grid.names == one.grid.names
        for i in (0, 7, 11):
            np.testing.assert_array_equal(several.flux(i), one.flux(i))

    @given(st.data())
    def test_any_pixels_of_any_points(self, opened, data):
        one, several = opened
        rows = data.draw(st.lists(st.integers(0, 19), min_size=2, max_size=4, unique=True))
        reader = pickle.loads(pickle.dumps(several.take(rows).reader(range(len(rows)))))
        ends = st.integers(0, 2048)
        for row, spectrum in zip(rows, reader, strict=True):
            lo, hi = sorted((data.draw(ends), data.draw(ends)))
            np.testing.assert_array_equal(spectrum(lo, hi), one.flux(row, lo, hi))

    def test_every_section_has_its_own_pixels(self, parts):
        several = mixjobs.open_library(parts)
        files = [mixjobs.open_library(path) for path in parts]
        stitched, *single = several.sections
        assert stitched.stitched
        assert len(single) == len(files)
        for section, file in zip(single, files, strict=True):
            np.testing.assert_array_equal(section.wavelength, file.wavelength)
            stop = section.start + len(section.wavelength)
            np.testing.assert_array_equal(several.flux(5, section.start, stop), file.flux(5))

    def test_only_the_files_that_are_needed_are_opened(self, parts, tmp_path):
        paths = [shutil.copy(path, tmp_path) for path in parts]
        library = mixjobs.open_library(paths)
        reader = library.reader([2, 3])
        for path in paths[2:]:
            (tmp_path / path.split("/")[-1] if isinstance(path, str) else path).unlink()
        assert [spectrum(0, 300).shape for spectrum in reader] == [(300,)] * 2

    def test_the_name_of_a_spectrum_tells_its_file(self, parts):
        library = mixjobs.open_library(parts)
        for spectrum in library.reader([4]):
            spectrum(0, 10)
            assert str(parts[0]) in spectrum.name
            spectrum(2000, 2010)
            assert str(parts[0]) not in spectrum.name


class TestLayout:
    @given(st.lists(st.tuples(st.floats(5000, 5200), st.integers(2, 80), st.floats(0.2, 3)),
                    min_size=1, max_size=5))  # fmt: skip
    def test_pixels_ascend_and_none_are_lost(self, files):
        waves = [first + step * np.arange(n) for first, n, step in files]
        waves.sort(key=lambda wave: (wave[0], wave[-1]))
        layout = lay_out(waves)
        assert (np.diff(layout.wavelength) > 0).all()
        for section in layout.sections:
            numbers = np.arange(section.start, section.start + len(section.wavelength))
            copies = np.concatenate([
                waves[p.file][p.first : p.first + p.stop - p.start]
                for p in layout.pieces
                if section.start <= p.start and p.stop <= numbers[-1] + 1
            ])  # fmt: skip
            np.testing.assert_array_equal(copies, section.wavelength)
        for wave in waves:  # every file is a section
            assert any(np.array_equal(wave, section.wavelength) for section in layout.sections)

    @given(st.floats(0, 0.999), st.floats(0.3, 3))
    def test_stitching_leaves_no_tiny_step(self, shift, step):
        a, b = np.arange(5000.0, 5100.0), 5050 + shift + step * np.arange(60)
        layout = lay_out([a, b])
        assert np.diff(layout.wavelength).min() > 0.7 * min(1, step)
        assert np.diff(layout.wavelength).max() < 2 * max(1, step)


class TestStore:
    """The store is the same if the library is one file, or one file per order."""

    ORDERS = mixjobs.Orders([3, 4, 5], [5005.0, 5022.0, 5047.0], [5012.0, 5027.0, 5055.0])

    @pytest.mark.parametrize(
        "ranges",
        [
            ((100, 1000), (600, 1100), (1500, 2048)),  # a file for each order, with its buffer
            OVERLAPPING,
            ABUTTING,
            ((0, 300), (300, 930), (930, 1750), (1750, 2048)),  # all orders cross files
        ],
    )
    def test_the_same_as_from_one_file(self, whole, tmp_path, ranges):
        pattern = tmp_path / "part_m*.hdf5"
        split(whole, tmp_path, ranges)
        one = mixjobs.build(whole, self.ORDERS, tmp_path / "one.zarr", emulator=EMULATOR)
        several = mixjobs.build(pattern, self.ORDERS, tmp_path / "q.zarr", emulator=EMULATOR)
        np.testing.assert_array_equal(several.mean_flux, one.mean_flux)
        assert emulated_orders(several.path) == emulated_orders(one.path) == [3, 4, 5]
        for number in (3, 4, 5):
            expected, _ = read_order(one.path, number)
            emulator, _ = read_order(several.path, number)
            assert emulator.grid == expected.grid
            for name in ("wavelength", "mean", "eigenspectra", "weights"):
                np.testing.assert_array_equal(getattr(emulator, name), getattr(expected, name))

    def test_blocks_do_not_change_the_values(self, parts, tmp_path):
        stores = [
            mixjobs.build(parts, self.ORDERS, tmp_path / f"{k}.zarr", block=block)
            for k, block in enumerate([(1, 1), (3, 5), (2, 20)])
        ]
        for store in stores[1:]:
            np.testing.assert_array_equal(store.mean_flux, stores[0].mean_flux)

    def test_the_sequence_of_the_files_does_not_matter(self, parts, tmp_path):
        forward = mixjobs.build(parts, self.ORDERS, tmp_path / "a.zarr")
        backward = mixjobs.build(parts[::-1], self.ORDERS, tmp_path / "b.zarr")
        np.testing.assert_array_equal(forward.mean_flux, backward.mean_flux)

    def test_a_change_of_any_file_is_another_library(self, parts, tmp_path):
        copies = [tmp_path / path.name for path in parts]
        for path, copy in zip(parts, copies, strict=True):
            shutil.copy(path, copy)
        before = mixjobs.open_library(copies).fingerprint
        assert list(before) == [copy.name for copy in copies]
        with h5py.File(copies[2], "a") as file:
            file.attrs["comment"] = "changed"
        after = mixjobs.open_library(copies).fingerprint
        assert [name for name in before if before[name] != after[name]] == [copies[2].name]


class TestGaps:
    def test_an_order_in_a_gap(self, whole, tmp_path):
        library = mixjobs.open_library(split(whole, tmp_path, WITH_GAP))
        wave = library.wavelength
        gap = wave[999], wave[1000]
        orders = mixjobs.Orders([7, 8], [5005.0, gap[0] - 1], [5010.0, gap[0] + 1])
        with pytest.raises(OrderError) as error:
            mixjobs.build(library, orders, tmp_path / "q.zarr")
        assert (error.value.order, error.value.name, error.value.value) == (8, "gap", gap)
        store = mixjobs.build(library, orders, tmp_path / "q.zarr", skip_uncovered=True)
        assert store.orders.number.tolist() == [7]

    @pytest.mark.parametrize("short_buffer", ["refuse", "skip", "shrink"])
    def test_a_buffer_in_a_gap(self, whole, tmp_path, short_buffer):
        library = mixjobs.open_library(split(whole, tmp_path, WITH_GAP))
        end = library.wavelength[999]
        orders = mixjobs.Orders([7, 8], [5005.0, end - 3], [5010.0, end - 0.1])
        settings = mixjobs.EmulatorSettings(
            max_rv=20, max_vsini=10, min_resolution=50_000, short_buffer=short_buffer
        )
        notes = []
        arguments = (library, orders, tmp_path / "q.zarr")
        if short_buffer == "refuse":
            with pytest.raises(OrderError) as error:
                mixjobs.build(*arguments, emulator=settings)
            assert (error.value.order, error.value.name) == (8, "short_buffer")
            assert f"gap from {end:.6g}" in str(error.value)
            return
        store = mixjobs.build(*arguments, emulator=settings, note=notes.append)
        assert any("order 8" in note and f"gap from {end:.6g}" in note for note in notes)
        assert emulated_orders(store.path) == ([7] if short_buffer == "skip" else [7, 8])


class TestGrids:
    def test_points_missing_from_a_file_are_holes(self, whole, tmp_path):
        paths = split(whole, tmp_path, OVERLAPPING)
        write_part(whole, paths[1], *OVERLAPPING[1], drop=(5, 6))
        write_part(whole, paths[3], *OVERLAPPING[3], drop=(6,))
        one, several = mixjobs.open_library(whole), mixjobs.open_library(paths)
        rows = [row for row in range(20) if row not in (5, 6)]
        np.testing.assert_array_equal(several.grid.points, one.grid.points[rows])
        assert sorted(several.grid.holes.tolist()) == sorted(one.grid.points[[5, 6]].tolist())
        np.testing.assert_array_equal(several.flux(6), one.flux(8))
        assert len(several.notes) == 2
        for path, note, missing in ((1, 0, (5, 6)), (3, 1, (6,))):
            assert str(paths[path]) in several.notes[note]
            for row in missing:
                theta = one.grid.points[row]
                assert f"teff={theta[0]:g}, logg={theta[1]:g}" in several.notes[note]
        store = mixjobs.build(several, mixjobs.Orders.from_edges([5005, 5010]), tmp_path / "q.zarr")
        assert store.attributes["library_notes"] == list(several.notes)

    def test_names_and_sequence_of_parameters_may_differ(self, whole, tmp_path):
        paths = split(whole, tmp_path, OVERLAPPING[:2])
        rename = {"Z": "[Fe/H]", "T": "Teff", "logg": "log g"}
        write_part(whole, paths[1], *OVERLAPPING[1], rename=rename)
        assert mixjobs.open_library(paths[1]).grid.names == ("feh", "teff", "logg")
        one, several = mixjobs.open_library(whole), mixjobs.open_library(paths)
        np.testing.assert_array_equal(several.grid.points, one.grid.points)
        np.testing.assert_array_equal(several.flux(7), one.flux(7, 0, 1000))

    def test_other_parameters(self, whole, tmp_path):
        paths = split(whole, tmp_path, OVERLAPPING[:2])
        rename = {"T": "T", "logg": "logg", "Z": "alpha"}
        write_part(whole, paths[1], *OVERLAPPING[1], rename=rename)
        with pytest.raises(LibraryError) as error:
            mixjobs.open_library(paths)
        assert (error.value.path, error.value.name) == (str(paths[1]), "names")
        assert "alpha" in error.value.value

    def test_no_common_points(self, whole, tmp_path):
        paths = split(whole, tmp_path, OVERLAPPING[:2])
        write_part(whole, paths[0], *OVERLAPPING[0], drop=range(6))
        write_part(whole, paths[1], *OVERLAPPING[1], drop=range(6, 20))
        with pytest.raises(LibraryError) as error:
            mixjobs.open_library(paths)
        assert (error.value.name, error.value.value) == ("points", 0)


class TestOverlaps:
    @pytest.mark.parametrize("factor", [1.008, 0.99, 3.14159])
    def test_files_that_disagree(self, whole, tmp_path, factor):
        paths = split(whole, tmp_path, OVERLAPPING)
        write_part(whole, paths[2], *OVERLAPPING[2], factor=factor)
        with pytest.raises(LibraryError) as error:
            mixjobs.open_library(paths)
        assert (error.value.name, error.value.path) == (str(paths[1]), str(paths[2]))
        assert error.value.value == pytest.approx(factor, rel=1e-5)

    @pytest.mark.parametrize("factor", [0.0, np.nan, -1.0])
    def test_flux_that_cannot_be_compared(self, whole, tmp_path, factor):
        paths = split(whole, tmp_path, OVERLAPPING)
        write_part(whole, paths[2], *OVERLAPPING[2], factor=factor)
        with pytest.raises(LibraryError) as error:
            mixjobs.open_library(paths)
        assert (error.value.path, error.value.name) == (str(paths[2]), "flux")

    @pytest.mark.parametrize("step", [2, 3, 7])
    def test_other_sampling_agrees(self, whole, tmp_path, step):
        paths = split(whole, tmp_path, OVERLAPPING)
        write_part(whole, paths[1], *OVERLAPPING[1], step=step)
        mixjobs.open_library(paths)
        write_part(whole, paths[1], *OVERLAPPING[1], step=step, factor=1.1)
        with pytest.raises(LibraryError):
            mixjobs.open_library(paths)

    def test_one_common_pixel(self, whole, tmp_path):
        paths = split(whole, tmp_path, ((0, 500), (499, 1100)))
        np.testing.assert_array_equal(
            mixjobs.open_library(paths).wavelength, mixjobs.open_library(whole).wavelength[:1100]
        )
        write_part(whole, paths[1], 499, 1100, factor=1.01)
        with pytest.raises(LibraryError):
            mixjobs.open_library(paths)


def declared_media(library):
    return {
        d.quantity: (d.understood, d.assumed)
        for d in library.declarations
        if d.quantity.startswith("medium")
    }


class TestMedia:
    def test_air_is_converted_to_vacuum(self, whole, tmp_path):
        paths = split(whole, tmp_path, OVERLAPPING)
        write_part(whole, paths[1], *OVERLAPPING[1], air=True)
        with h5py.File(paths[1], "a") as file:
            file["wl"][...] = vacuum_to_air(file["wl"][...])
        one, several = mixjobs.open_library(whole), mixjobs.open_library(paths)
        assert several.medium == "vacuum"
        np.testing.assert_allclose(several.wavelength, one.wavelength, rtol=1e-12)
        assert declared_media(several) == {
            "medium": ("vacuum", False),
            "medium of part_m01.hdf5": ("air, converted to vacuum", False),
        }

    def test_an_undeclared_medium_is_that_of_the_others(self, whole, tmp_path):
        paths = split(whole, tmp_path, OVERLAPPING)
        write_part(whole, paths[1], *OVERLAPPING[1], air="unknown")
        several = mixjobs.open_library(paths)
        assert several.medium == "vacuum"
        assert declared_media(several)["medium of part_m01.hdf5"] == (
            "vacuum, as in the other files",
            True,
        )


class TestPaths:
    def test_list_pattern_and_folder_are_the_same(self, parts):
        folder = parts[0].parent
        for paths in (parts, tuple(map(str, parts)), folder / "part_*.hdf5", str(folder), folder,
                      [folder / "part_m0[01].hdf5", *parts[2:]]):  # fmt: skip
            library = mixjobs.open_library(paths)
            assert isinstance(library, FilesLibrary)
            assert library.files == tuple(map(str, parts))

    def test_a_pattern_that_matches_one_file(self, parts):
        library = mixjobs.open_library(parts[0].parent / "*m00.hdf5")
        assert library.path == str(parts[0])

    def test_no_match(self, tmp_path):
        with pytest.raises(MissingFile) as error:
            mixjobs.open_library(tmp_path / "m*.hdf5")
        assert error.value.path == str(tmp_path / "m*.hdf5")

    def test_a_missing_file_of_a_list(self, parts, tmp_path):
        with pytest.raises(MissingFile) as error:
            mixjobs.open_library([parts[0], tmp_path / "m7.hdf5"])
        assert error.value.path == str(tmp_path / "m7.hdf5")

    def test_a_file_given_twice(self, parts, tmp_path):
        link = tmp_path / "link.hdf5"
        link.symlink_to(parts[1])
        with pytest.raises(InvalidInput) as error:
            mixjobs.open_library([*parts, link])
        assert error.value.path == str(link)

    def test_an_empty_list(self):
        with pytest.raises(InvalidInput):
            mixjobs.open_library([])

    def test_a_file_of_another_kind_is_named(self, parts, tmp_path):
        other = tmp_path / "notes.txt"
        other.write_text("not a library")
        with pytest.raises(mixjobs.MixjobsError) as error:
            mixjobs.open_library([*parts, other])
        assert error.value.path == str(other)


def test_real_orders_of_s1063_are_one_library(data, tmp_path):
    """Nine orders of IGRINS; each is read from its own file, bit for bit."""
    pattern = data / "s1063" / "PHOENIX_IGRINS_m*.hdf5"
    library = mixjobs.open_library(pattern)
    assert (len(library.files), len(library.grid), library.medium) == (9, 216, "vacuum")
    assert [stitched.stitched for stitched in library.sections[:5]] == [
        True,
        False,
        True,
        True,
        True,
    ]
    select = {"teff": (4000, 4100), "feh": (0, 0)}
    pixels = {
        m: mixjobs.open_spectrum(data / "s1063" / f"S1063_IGRINS_m{m}.hdf5").wavelength[0]
        for m in (107, 110, 116)
    }
    options = {"select": select, "emulator": True}
    store = mixjobs.build(library, pixels, tmp_path / "q.zarr", **options)
    for k, m in enumerate(store.orders.number.tolist()):
        file = data / "s1063" / f"PHOENIX_IGRINS_m{m}.hdf5"
        alone = mixjobs.build(file, {m: pixels[m]}, tmp_path / f"{m}.zarr", **options)
        np.testing.assert_array_equal(store.mean_flux[k], alone.mean_flux[0])
        (a, _), (b, _) = read_order(store.path, m), read_order(alone.path, m)
        np.testing.assert_array_equal(a.eigenspectra, b.eigenspectra)
