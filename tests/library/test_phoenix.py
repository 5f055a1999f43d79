"""A directory of PHOENIX HiRes FITS files; the demo library's spectra are the truth."""

import bz2
import gzip
import lzma
import pickle
import shutil
import subprocess
import sys
import tracemalloc
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
from astropy.io import fits

import mixjobs
from mixjobs.demo.library import DemoLibrary
from mixjobs.errors import InvalidInput, LibraryError, MixjobsError, OutsideGrid, UnreadableFile
from mixjobs.library.phoenix import PhoenixSpectrum, open_image
from mixjobs.library.phoenix_files import is_phoenix, parse_names
from mixjobs.report.info import describe_path

AXES = {
    "teff": (3300, 3500, 5000, 9000),
    "logg": (0.5, 4.5, 5.0),
    "feh": (-3.5, -1.0, 0.0, 0.5),
    "alpha": (-0.2, 0.0, 0.4),
}
TRUTH = DemoLibrary(axes=AXES, n_pixels=512, holes="phoenix")
SMALL = DemoLibrary(
    {"teff": (5000, 5100, 5200), "logg": (4.0, 4.5), "feh": (-0.5, 0.0)}, n_pixels=64
)
TAIL = "PHOENIX-ACES-AGSS-COND-2011"
ORDERS = mixjobs.Orders.from_edges([5010, 5100, 5200, 5290])


def true_flux(truth: DemoLibrary, theta) -> np.ndarray:
    """The expected flux, from the content of a file: float32, per cm of wavelength."""
    return (truth.spectrum(theta) * 1e8).astype(np.float32).astype(np.float64) * 1e-8


def listing(folder: Path) -> list[tuple[str, int, int]]:
    """Path, size and modification time of everything in a folder."""
    paths = [folder, *sorted(folder.rglob("*"))]
    return [(str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in paths]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return TRUTH.write(tmp_path_factory.mktemp("phoenix") / "HiRes", layout="phoenix")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return SMALL.write(tmp_path_factory.mktemp("phoenix") / "HiRes", layout="phoenix")


@pytest.fixture
def small(pristine: Path, tmp_path: Path) -> Path:
    """A copy of 12 spectra of 64 pixels, which the test may damage."""
    return Path(shutil.copytree(pristine, tmp_path / "HiRes"))


def first_spectrum(folder: Path) -> Path:
    return sorted(folder.glob("Z*/*.fits"))[0]


class TestLibrary:
    def test_file_names_of_the_server_are_parsed(self) -> None:
        names = [
            f"Z-0.0/lte05000-4.50-0.0.{TAIL}-HiRes.fits",
            f"Z-0.5.Alpha=+0.20/lte12000-0.00-0.5.Alpha=+0.20.{TAIL}-HiRes.fits",
            f"Z+1.0/lte02300-6.00+1.0.{TAIL}-HiRes.fits",
            f"Z-0.0/lte04000+0.50-0.0.{TAIL}-HiRes.fits",
        ]
        points, parameters = parse_names(names)
        assert parameters == ("teff", "logg", "feh", "alpha")
        expected = [[5000, 4.5, 0, 0], [12000, 0, -0.5, 0.2], [2300, 6, 1, 0], [4000, -0.5, 0, 0]]
        np.testing.assert_array_equal(points, expected)
        assert not np.signbit(points[:3, [0, 1, 3]]).any()
        assert not np.signbit(points[0]).any()

    def test_every_spectrum_equals_the_truth(self, folder: Path) -> None:
        library = mixjobs.open_library(folder)
        np.testing.assert_array_equal(library.wavelength, TRUTH.wavelength)
        for theta in TRUTH.points:
            row = library.grid.row(theta)
            assert row is not None
            expected = true_flux(TRUTH, theta)
            np.testing.assert_array_equal(library.flux(row), expected)
            np.testing.assert_array_equal(library.flux(row, 5, 9), expected[5:9])
            np.testing.assert_array_equal(library.flux(row, 500), expected[500:])

    def test_properties_of_a_library(self, folder: Path) -> None:
        library = mixjobs.open_library(str(folder), format="phoenix")
        assert (library.format, library.path) == ("phoenix", str(folder.resolve()))
        assert library.grid.names == library.original_names == ("teff", "logg", "feh", "alpha")
        assert (library.medium, library.flux_unit) == ("vacuum", "erg/s/cm^2/cm")
        assert library.flux_calibration.status == "raw"
        assert library.flux(0).dtype == np.float64

    def test_holes_are_those_of_the_generator(self, folder: Path) -> None:
        grid = mixjobs.open_library(folder).grid
        points = {tuple(point) for point in TRUTH.points.tolist()}
        everywhere = np.stack(np.meshgrid(*AXES.values()), axis=-1).reshape(-1, 4)
        holes = {tuple(point) for point in everywhere.tolist()} - points
        assert holes
        assert grid.is_product
        assert {tuple(point) for point in grid.points.tolist()} == points
        assert {tuple(point) for point in grid.holes.tolist()} == holes

    def test_a_missing_file_is_a_hole(self, small: Path, tmp_path: Path) -> None:
        (small / f"Z-0.5/lte05200-4.00-0.5.{TAIL}-HiRes.fits").unlink()
        library = mixjobs.open_library(small)
        assert library.grid.holes.tolist() == [[5200, 4, -0.5]]
        mixjobs.build(library, ORDERS, tmp_path / "q.zarr")
        q = mixjobs.load_flux_ratio(tmp_path / "q.zarr", method="linear")
        with pytest.raises(OutsideGrid, match=r"teff=5200, logg=4, feh=-0\.5"):
            q((5200, 4, -0.5), (5000, 4.5, 0))

    @pytest.mark.parametrize("given", ["HiResFITS", f"HiResFITS/{TAIL}"])
    def test_wavelengths_one_folder_up_as_on_the_server(
        self, given: str, small: Path, tmp_path: Path
    ) -> None:
        expected = mixjobs.open_library(small)
        (tmp_path / "HiResFITS").mkdir()
        small.rename(tmp_path / "HiResFITS" / TAIL)
        wave = next((tmp_path / "HiResFITS" / TAIL).glob("WAVE*"))
        wave.rename(tmp_path / "HiResFITS" / wave.name)
        library = mixjobs.open_library(tmp_path / given)
        np.testing.assert_array_equal(library.grid.points, expected.grid.points)
        np.testing.assert_array_equal(library.flux(7), true_flux(SMALL, library.grid.points[7]))

    def test_other_files_are_ignored(self, small: Path) -> None:
        for name in ("README", "Z-0.0/index.html", "Z-0.0/lte05300-4.50-0.0.fits.part", "a.fits"):
            (small / name).write_text("not of the library")
        assert len(mixjobs.open_library(small).grid) == 12

    def test_take_keeps_each_spectrum_with_its_point(self, small: Path) -> None:
        part = mixjobs.open_library(small).take(np.array([5, 1, 3])).take([2, 0])
        for i, theta in enumerate(part.grid.points):
            np.testing.assert_array_equal(part.flux(i), true_flux(SMALL, theta))

    def test_a_relative_path_is_made_absolute(
        self, small: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(small.parent)
        library = mixjobs.open_library("HiRes")
        monkeypatch.chdir("/")
        assert library.flux(0).shape == (64,)


def compress(*patterns: str, suffix: str = ".gz", function=gzip.compress):
    """Compress some files, as many archives do."""

    def change(folder: Path) -> None:
        for pattern in patterns:
            for path in folder.glob(pattern):
                path.with_name(path.name + suffix).write_bytes(function(path.read_bytes()))
                path.unlink()

    return change


def flatten(folder: Path) -> None:
    for path in folder.glob("Z*/*"):
        path.rename(folder / path.name)


def rename_folders(rename):
    def change(folder: Path) -> None:
        for path in [*folder.glob("Z*")]:
            path.rename(folder / rename(path.name))

    return change


def link_files(folder: Path) -> None:
    """Keep the spectra elsewhere, under other names."""
    for number, path in enumerate(folder.glob("Z*/*")):
        path.symlink_to(path.rename(folder.parent / f"{number}.fits"))


def link_folders(folder: Path) -> None:
    for path in [*folder.glob("Z*")]:
        path.symlink_to(path.rename(folder.parent / f"of {path.name}"), target_is_directory=True)


def lower_case(folder: Path) -> None:
    for path in [*folder.glob("Z*/*"), *folder.glob("WAVE*")]:
        path.rename(path.with_name(path.name.lower()))
    rename_folders(str.lower)(folder)


def link_in_a_circle(folder: Path) -> None:
    (folder / "Z-0.0" / "all").symlink_to(folder, target_is_directory=True)
    (folder / "Z").symlink_to(folder / "Z-0.0", target_is_directory=True)


def both(folder: Path) -> None:
    """Leave a damaged compressed copy beside each file."""
    for path in [*folder.glob("Z*/*"), *folder.glob("WAVE*")]:
        path.with_name(path.name + ".gz").write_bytes(b"damaged")


def wavelengths_in_each_folder(folder: Path) -> None:
    wave = next(folder.glob("WAVE*"))
    for path in folder.glob("Z*"):
        shutil.copy(wave, path)
    wave.unlink()


ARRANGEMENTS = {
    "compressed": compress("Z*/*", "WAVE*"),
    "bzip2": compress("Z*/*", "WAVE*", suffix=".bz2", function=bz2.compress),
    "xz": compress("Z-0.0/*", suffix=".xz", function=lzma.compress),
    "compressed spectra": compress("Z*/*"),
    "some compressed": compress("Z-0.0/*", "Z-0.5/lte0510*"),
    "both": both,
    "flat": flatten,
    "flat and compressed": lambda folder: [compress("Z*/*")(folder), flatten(folder)],
    "lower case": lower_case,
    "phxm00": rename_folders(lambda name: f"phxm{name[2:].replace('.', '')}"),
    "other names": rename_folders(lambda name: f"metals {name}"),
    "links to files": link_files,
    "links to folders": link_folders,
    "links to itself": link_in_a_circle,
    "wavelengths in each folder": wavelengths_in_each_folder,
    "a server's folders": lambda folder: [
        (folder / TAIL).mkdir(), *(path.rename(folder / TAIL / path.name)
                                   for path in [*folder.glob("Z*")]),
    ],
}  # fmt: skip


def read_point(folder: Path, theta) -> None:
    library = mixjobs.open_library(folder)
    library.flux(library.grid.row(theta))


class TestArrangements:
    """Folders as users have them."""

    @pytest.mark.parametrize("arrangement", ARRANGEMENTS)
    def test_the_same_library(self, arrangement: str, small: Path) -> None:
        ARRANGEMENTS[arrangement](small)
        assert is_phoenix(small)
        library = mixjobs.open_library(small)
        assert library.format == "phoenix"
        np.testing.assert_array_equal(library.wavelength, SMALL.wavelength)
        points = {tuple(theta) for theta in SMALL.points.tolist()}
        assert {tuple(theta) for theta in library.grid.points.tolist()} == points
        for spectrum, theta in zip(library.reader(range(12)), library.grid.points, strict=True):
            np.testing.assert_array_equal(spectrum(0, 64), true_flux(SMALL, theta))
        assert describe_path(small)["n_points"] == 12

    @pytest.mark.parametrize("levels", [1, 2])
    def test_wavelengths_above_a_flat_folder(self, levels: int, small: Path) -> None:
        flatten(small)
        wave = next(small.glob("WAVE*"))
        folder = small
        for _ in range(levels):
            inner = folder / "inner"
            inner.mkdir()
            for path in folder.glob("lte*"):
                path.rename(inner / path.name)
            folder = inner
        assert len(mixjobs.open_library(folder).wavelength) == 64
        wave.unlink()
        with pytest.raises(LibraryError):
            mixjobs.open_library(folder)

    def test_wavelengths_beside_a_link(self, small: Path, tmp_path: Path) -> None:
        home = tmp_path / "home"
        home.mkdir()
        wave = next(small.glob("WAVE*"))
        wave.rename(home / wave.name)
        (home / "PHOENIX").symlink_to(small, target_is_directory=True)
        assert len(mixjobs.open_library(home / "PHOENIX").grid) == 12

    def test_alpha_in_the_name_of_the_file_decides(self, folder: Path, tmp_path: Path) -> None:
        flat = tmp_path / "flat"
        shutil.copytree(folder, flat)
        flatten(flat)
        assert (flat / f"lte03500-4.50-1.0.Alpha=+0.40.{TAIL}-HiRes.fits").exists()
        library, expected = mixjobs.open_library(flat), mixjobs.open_library(folder)
        points = {tuple(theta) for theta in expected.grid.points.tolist()}
        assert {tuple(theta) for theta in library.grid.points.tolist()} == points

    @pytest.mark.parametrize("name", ["Z-1.0", "z-1.0", "phxm10", "WAVE_PHOENIX-ACES.fits",
                                      f"lte05300-4.50-0.0.{TAIL}-HiRes.fits.gz"])  # fmt: skip
    def test_a_broken_link_is_named(self, name: str, small: Path) -> None:
        if name.startswith("WAVE"):
            next(small.glob("WAVE*")).unlink()
        (small / name).symlink_to("gone")
        with pytest.raises(UnreadableFile, match="link, to gone") as caught:
            mixjobs.open_library(small)
        assert caught.value.path == str(small / name)

    @pytest.mark.parametrize(
        "name",
        [
            "lte030.0-4.5-0.0a+0.0.BT-Settl.spec.7.fits",
            "lte05000-4.50-0.0.fits.gz",
            f"lte5000-4.50-0.0.{TAIL}-HiRes.fits",
            f"lte05000-4.50.{TAIL}-HiRes.fits",
        ],
    )
    def test_an_unrecognised_spectrum_is_named(self, name: str, small: Path) -> None:
        (small / "Z-0.0" / name).write_bytes(b"?")
        with pytest.raises(LibraryError) as caught:
            mixjobs.open_library(small)
        assert caught.value.value == f"Z-0.0/{name}"

    @pytest.mark.parametrize("keep", [0, 10, 100])
    def test_a_truncated_compressed_file_is_named(self, keep: int, small: Path) -> None:
        compress("Z*/*")(small)
        path = small / "Z-0.0" / f"lte05000-4.50-0.0.{TAIL}-HiRes.fits.gz"
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(UnreadableFile) as caught:
            read_point(small, [5000, 4.5, 0])
        assert caught.value.path == str(path)

    def test_the_store_is_the_same(self, small: Path, tmp_path: Path) -> None:
        plain = mixjobs.build(small, ORDERS, tmp_path / "plain.zarr")
        compress("Z*/*", "WAVE*")(small)
        compressed = mixjobs.build(small, ORDERS, tmp_path / "compressed.zarr")
        np.testing.assert_array_equal(plain.mean_flux, compressed.mean_flux)


class TestReading:
    def test_readers_pickle_to_few_bytes(self, folder: Path) -> None:
        library = mixjobs.open_library(folder)
        reader = pickle.loads(pickle.dumps(library.reader([3, 1])))
        assert len(pickle.dumps(reader)) < 1000
        for row, spectrum in zip([3, 1], reader, strict=True):
            assert spectrum.name in library.names[row]
            np.testing.assert_array_equal(spectrum(0, 100), library.flux(row, 0, 100))

    def test_one_file_is_open_at_a_time_and_all_are_closed(self, folder: Path) -> None:
        def in_use() -> tuple[int, int]:
            process, under = psutil.Process(), str(folder.resolve())
            files = [f.path for f in process.open_files() if f.path.startswith(under)]
            maps = [m.path for m in process.memory_maps() if m.path.startswith(under)]
            return len(set(files)), len(maps)

        library = mixjobs.open_library(folder)
        assert in_use() == (0, 0)
        for spectrum in library.reader(range(5)):
            assert len(spectrum(0, 5)) == 5
            assert in_use() == (1, 1)
        del spectrum
        assert in_use() == (0, 0)

    def test_only_the_requested_pixels_are_in_memory(self, tmp_path: Path) -> None:
        """Read 100 pixels of a file of 8 MB."""
        fits.PrimaryHDU(np.ones(2_000_000, dtype=np.float32)).writeto(tmp_path / "a.fits")
        tracemalloc.start()
        with open_image(tmp_path / "a.fits") as data:
            pixels = PhoenixSpectrum("a", data)(1000, 1100)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert pixels.sum() == 100
        assert peak < 1_000_000

    def test_opening_a_library_opens_no_spectrum(self, small: Path) -> None:
        for path in small.glob("Z*/*"):
            path.write_bytes(b"x" * 5760)
        assert len(mixjobs.open_library(small).grid) == 12

    def test_astropy_is_imported_only_when_needed(self, demo: Path) -> None:
        """Workers import the modules of all formats."""
        code = (
            "import sys, mixjobs, mixjobs.demo.library, mixjobs.builder.stages;"
            f"mixjobs.open_library({str(demo)!r}).flux(0); sys.exit('astropy' in sys.modules)"
        )
        assert subprocess.run([sys.executable, "-c", code]).returncode == 0


class TestJob:
    def test_a_serial_job_gives_the_true_means(self, folder: Path, tmp_path: Path) -> None:
        before = listing(folder)
        store = mixjobs.build(folder, ORDERS, tmp_path / "q.zarr")
        assert listing(folder) == before
        lo, hi = ORDERS.pixel_ranges(TRUTH.wavelength)
        assert len(store.grid) == len(TRUTH.points)
        for theta, means in zip(store.grid.points, store.mean_flux.T, strict=True):
            flux = TRUTH.spectrum(theta)
            expected = [flux[a:b].mean() for a, b in zip(lo, hi, strict=True)]
            np.testing.assert_allclose(means, expected, rtol=1e-7)
        assert store.attributes["flux_unit"] == "erg/s/cm2/AA"
        assert store.attributes["library_format"] == "phoenix"
        assert store.attributes["medium"] == "vacuum"

    def test_workers_give_the_same_bits(self, small: Path, tmp_path: Path, client) -> None:
        serial = mixjobs.build(small, ORDERS, tmp_path / "serial.zarr")
        distributed = mixjobs.build(small, ORDERS, tmp_path / "distributed.zarr", client)
        assert serial.mean_flux.tobytes() == distributed.mean_flux.tobytes()

    def test_both_layouts_give_the_same_ratios(self, small: Path, tmp_path: Path) -> None:
        fits_store = mixjobs.build(small, ORDERS, tmp_path / "fits.zarr")
        hdf5 = SMALL.write(tmp_path / "grid.hdf5")
        hdf5_store = mixjobs.build(hdf5, ORDERS, tmp_path / "hdf5.zarr")
        rows = [fits_store.grid.row(theta) for theta in hdf5_store.grid.points]
        ratios = fits_store.flux_ratio[...][:, rows][:, :, rows]
        np.testing.assert_allclose(ratios, hdf5_store.flux_ratio[...], rtol=1e-6)


class TestFingerprint:
    def test_reading_does_not_change_the_fingerprint(self, small: Path) -> None:
        before = mixjobs.open_library(small).fingerprint
        mixjobs.open_library(small).flux(0)
        assert mixjobs.open_library(small).fingerprint == before

    def test_a_change_in_place_changes_the_fingerprint(self, small: Path) -> None:
        before = mixjobs.open_library(small).fingerprint
        path = first_spectrum(small)
        size = path.stat().st_size
        with path.open("r+b") as file:
            file.seek(2880)
            file.write(b"\x01")
        assert path.stat().st_size == size
        assert mixjobs.open_library(small).fingerprint != before

    @pytest.mark.parametrize(
        "change",
        [
            lambda folder: first_spectrum(folder).unlink(),
            lambda folder: shutil.copy2(
                first_spectrum(folder), folder / f"Z-0.0/lte05300-4.50-0.0.{TAIL}-HiRes.fits"
            ),
            lambda folder: fits.PrimaryHDU(np.arange(64.0) + 5000).writeto(
                next(folder.glob("WAVE*")), overwrite=True
            ),
        ],
        ids=["one less", "one more", "other wavelengths"],
    )
    def test_other_files_change_the_fingerprint(self, change, small: Path) -> None:
        before = mixjobs.open_library(small).fingerprint
        change(small)
        assert mixjobs.open_library(small).fingerprint != before


def wave(values):
    def damage(folder: Path) -> None:
        fits.PrimaryHDU(values).writeto(next(folder.glob("WAVE*")), overwrite=True)

    return damage


def remove(pattern: str):
    def damage(folder: Path) -> None:
        for path in folder.glob(pattern):
            path.unlink()

    return damage


def rename(name: str):
    def damage(folder: Path) -> None:
        path = first_spectrum(folder)
        path.rename(path.with_name(name))

    return damage


def remove_all_but_one(folder: Path) -> None:
    for path in sorted(folder.glob("Z*/*"))[1:]:
        path.unlink()


def repeat_point(folder: Path) -> None:
    (folder / "Z-0.0b").mkdir()
    path = first_spectrum(folder)
    shutil.copy(path, folder / "Z-0.0b" / path.name)


def zarr_group(folder: Path) -> None:
    (folder / "zarr.json").write_text("{}")


def two_wavelengths(folder: Path) -> None:
    shutil.copy(next(folder.glob("WAVE*")), folder / "WAVE_PHOENIX-OTHER.fits")


ASCENDING = np.arange(64.0) + 5000
DIRECTORIES = {
    "no wavelengths": (remove("WAVE*"), LibraryError, {"value": 0}),
    "two of them": (two_wavelengths, LibraryError, {"value": 2}),
    "no spectra": (remove("Z*/*"), LibraryError, {}),
    "a strange name": (
        rename(f"lteXXXXX-4.50-0.0.{TAIL}-HiRes.fits"), LibraryError,
        {"value": f"Z-0.0/lteXXXXX-4.50-0.0.{TAIL}-HiRes.fits"},
    ),
    "one spectrum": (remove_all_but_one, LibraryError, {"name": "points", "value": 1}),
    "a point twice": (
        repeat_point, LibraryError, {"name": "points", "value": [5000.0, 4.0, 0.0, 0.0]},
    ),
    "falling wavelengths": (wave(ASCENDING[::-1]), LibraryError, {"value": 5062.0, "pixel": 1}),
    "repeated wavelengths": (wave(ASCENDING // 2), LibraryError, {"value": 2500.0, "pixel": 1}),
    "wavelengths one bit apart": (
        wave(np.insert(ASCENDING, 6, np.nextafter(ASCENDING[5], 6000))), LibraryError,
        {"value": np.nextafter(5005.0, 6000), "pixel": 6},
    ),
    "NaN in the wavelengths": (wave(ASCENDING * np.nan), LibraryError, {"pixel": 0}),
    "one wavelength": (wave(ASCENDING[:1]), LibraryError, {"value": 1}),
    "wavelengths of integers": (wave(np.arange(64) + 5000), LibraryError, {"value": (64,)}),
    "an empty file": (
        lambda folder: first_spectrum(folder).write_bytes(b""), UnreadableFile, {"value": 0},
    ),
    "a dangling link": (
        lambda folder: (folder / f"Z-0.0/lte05300-4.50-0.0.{TAIL}-HiRes.fits").symlink_to("no"),
        UnreadableFile, {},
    ),
    "a store": (zarr_group, InvalidInput, {}),
}  # fmt: skip


class TestBadDirectories:
    @pytest.mark.parametrize("fault", DIRECTORIES)
    def test_is_refused_in_one_line(self, fault: str, small: Path) -> None:
        damage, error, facts = DIRECTORIES[fault]
        damage(small)
        with pytest.raises(error) as caught:
            mixjobs.open_library(small)
        assert type(caught.value) is error
        assert {name: getattr(caught.value, name) for name in facts} == facts
        assert caught.value.path.startswith(str(small))
        assert caught.value.path in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_an_empty_directory(self, small: Path) -> None:
        (small / "empty").mkdir()
        with pytest.raises(LibraryError, match=r"expected a PHOENIX folder with WAVE.*Z-0\.0/"):
            mixjobs.open_library(small / "empty")

    def test_a_format_that_does_not_fit_the_path(self, small: Path, demo: Path) -> None:
        for path, format in ((small, "starfish"), (demo, "phoenix")):
            with pytest.raises(InvalidInput) as caught:
                mixjobs.open_library(path, format=format)
            facts = caught.value.path, caught.value.name, caught.value.value
            assert facts == (str(path), "format", format)


def image(values):
    def damage(path: Path) -> None:
        fits.PrimaryHDU(values).writeto(path, overwrite=True)

    return damage


def edit(function):
    return lambda path: path.write_bytes(function(path.read_bytes()))


SPECTRA = {
    "cut in the header": (
        edit(lambda b: b[:1000]),
        UnreadableFile,
        "not a complete FITS file",
    ),
    "cut behind it": (edit(lambda b: b[:2880]), UnreadableFile, "not a complete FITS file"),
    "cut in the pixels": (
        edit(lambda b: b[:3000]),
        UnreadableFile,
        "not a complete .*copy it",
    ),
    "empty": (edit(lambda b: b""), UnreadableFile, "not a complete FITS file"),
    "zero-filled": (
        edit(lambda b: bytes(len(b))),
        UnreadableFile,
        "not a complete FITS file",
    ),
    "text": (
        edit(lambda b: b"not FITS " * 999),
        UnreadableFile,
        "not a complete FITS file",
    ),
    "headless": (edit(lambda b: b[2880:]), UnreadableFile, "not a complete FITS file"),
    "gone": (lambda path: path.unlink(), UnreadableFile, "cannot be opened .*but existed"),
    "a folder": (lambda p: [p.unlink(), p.mkdir()], UnreadableFile, "cannot be opened"),
    "shorter": (image(np.ones(63, np.float32)), LibraryError, "with 63 pixels; expected 64"),
    "longer": (image(np.ones(65, np.float32)), LibraryError, "with 65 pixels; expected 64"),
    "no image": (image(None), LibraryError, "no image in"),
    "integers": (
        image(np.ones(64, np.int32)),
        LibraryError,
        r"image of .*int32.*floating-point",
    ),
    "two axes": (image(np.ones((1, 64), np.float32)), LibraryError, r"shape \(1, 64\)"),
}


class TestBadSpectra:
    @pytest.mark.parametrize("fault", SPECTRA)
    def test_is_refused_in_one_line(self, fault: str, small: Path) -> None:
        damage, error, message = SPECTRA[fault]
        library = mixjobs.open_library(small)
        path = small / library.names[4]
        damage(path)
        with pytest.raises(error, match=message) as caught:
            library.flux(4)
        assert caught.value.path == str(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
        del caught  # its traceback refers to the mapped pixels
        assert not [f for f in psutil.Process().open_files() if f.path == str(path)]
        np.testing.assert_array_equal(library.flux(5), true_flux(SMALL, library.grid.points[5]))

    def test_a_build_names_the_damaged_file(self, small: Path, tmp_path: Path) -> None:
        path = first_spectrum(small)
        path.write_bytes(path.read_bytes()[:3000])
        with pytest.raises(UnreadableFile, match=path.name):
            mixjobs.build(small, ORDERS, tmp_path / "q.zarr")
        assert not (tmp_path / "q.zarr").exists()

    def test_a_build_names_a_spectrum_without_flux(self, small: Path, tmp_path: Path) -> None:
        image(np.zeros(64, np.float32))(first_spectrum(small))
        with pytest.raises(LibraryError, match=r"spectrum Z-0\.0/lte05000-4\.00.*order 0 .*zero"):
            mixjobs.build(small, ORDERS, tmp_path / "q.zarr")

    def test_missing_padding_and_compression_are_accepted(self, small: Path) -> None:
        library = mixjobs.open_library(small)
        path = small / library.names[0]
        whole = path.read_bytes()
        for content in (whole[: 2880 + 4 * 64], gzip.compress(whole)):
            path.write_bytes(content)
            np.testing.assert_array_equal(library.flux(0), true_flux(SMALL, library.grid.points[0]))

    def test_damage_anywhere_in_the_header_raises_only_our_errors(self, small: Path) -> None:
        """Damage every eight bytes in turn; astropy raises many exceptions on damaged headers."""
        library = mixjobs.open_library(small)
        path = small / library.names[0]
        whole = path.read_bytes()
        readable = 0
        for offset in range(0, 640, 8):
            for filling in (bytes(8), b"\xff" * 8, b"-7654321", b"'       "):
                path.write_bytes(whole[:offset] + filling + whole[offset + 8 :])
                with suppress(MixjobsError):
                    library.flux(0)
                    readable += 1
        assert 50 < readable < 270  # of 320
