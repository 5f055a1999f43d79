"""The demo library: its grid, its holes, and properties of its spectra."""

import math
import pickle
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixjobs.demo.library import DemoLibrary
from mixjobs.demo.lines import draw_features
from mixjobs.demo.physics import doppler_width
from mixjobs.errors import InvalidInput, MixjobsError
from mixjobs.typing import Floats

SPEED_OF_LIGHT = 299792.458  # km/s
FOUR_AXES = {
    "teff": (2300.0, 3800.0, 5800.0, 12000.0),
    "logg": (0.0, 4.5),
    "feh": (-1.0, 0.0),
    "alpha": (0.0, 0.4),
}
SOLAR = np.array([5800.0, 4.5, 0.0, 0.0])


def small(**changes: Any) -> DemoLibrary:
    """A library of 1200 pixels of the default width, with all four parameters."""
    options: dict[str, Any] = {"axes": FOUR_AXES, "wave_max": 5021.4, "n_pixels": 1200} | changes
    return DemoLibrary(**options)


def planck_flux(wavelength: Floats, teff: float) -> Floats:
    """pi B_lambda in erg/s/cm^2/Å from SI constants, independent of the package."""
    h, c, k = 6.62607015e-34, 299792458.0, 1.380649e-23
    metre = wavelength * 1e-10
    si = 2 * np.pi * h * c**2 / metre**5 / np.expm1(h * c / (metre * k * teff))
    return si * 1e3 * 1e-10  # W/m^2/m to erg/s/cm^2/Å


thetas = st.tuples(
    st.floats(2300.0, 12000.0), st.floats(0.0, 6.0), st.floats(-4.0, 1.0), st.floats(-0.2, 1.2)
)


class TestGrid:
    def test_default_has_36_points(self) -> None:
        library = DemoLibrary()
        points = library.points
        assert points.shape == (36, 3)
        assert points.dtype == np.float64
        assert library.names == ("teff", "logg", "feh")
        rows = {tuple(row) for row in points}
        assert len(rows) == 36
        assert {(6000.0, 4.0, 0.0), (6200.0, 5.0, -1.0)} <= rows

    def test_last_parameter_varies_fastest(self) -> None:
        assert DemoLibrary().points[:4].tolist() == [
            [5600.0, 4.0, -1.0],
            [5600.0, 4.0, -0.5],
            [5600.0, 4.0, 0.0],
            [5600.0, 4.5, -1.0],
        ]

    def test_axes_as_pairs_or_as_a_mapping(self) -> None:
        pairs = [("teff", [5000.0, 6000.0]), ("feh", [-0.5, -0.0])]
        library = DemoLibrary(axes=pairs)
        assert library == DemoLibrary(axes=dict(pairs))
        assert hash(library) == hash(DemoLibrary(axes=dict(pairs)))
        assert not np.any(np.signbit(library.points[:, 1]) & (library.points[:, 1] == 0.0))

    def test_wavelengths_are_log_uniform_with_exact_ends(self) -> None:
        library = DemoLibrary()
        wavelength = library.wavelength
        assert wavelength.shape == (16384,)
        assert (wavelength[0], wavelength[-1]) == (5000.0, 5300.0)
        step = np.diff(np.log(wavelength))
        assert np.ptp(step) < 1e-14
        assert library.dv == pytest.approx(
            (wavelength[1] / wavelength[0] - 1) * SPEED_OF_LIGHT, rel=1e-9
        )
        assert library.medium == "vacuum"


class TestHoles:
    AXES: ClassVar[dict[str, Any]] = {
        "teff": np.arange(2300.0, 12001.0, 485.0),
        "logg": np.arange(0.0, 6.1, 1.0),
        "feh": (-4.0, -3.0, -1.0, 0.0, 1.0),
        "alpha": (-0.2, 0.0, 0.4),
    }

    def points(self) -> tuple[Floats, Floats]:
        full = DemoLibrary(axes=self.AXES).points
        return full, DemoLibrary(axes=self.AXES, holes="phoenix").points

    def test_less_than_half_of_the_points_remain_in_sequence(self) -> None:
        full, ragged = self.points()
        kept = np.array([np.any(np.all(ragged == row, axis=1)) for row in full])
        np.testing.assert_array_equal(full[kept], ragged)
        assert 0.2 < kept.mean() < 0.5

    def test_alpha_varies_within_its_limits_only(self) -> None:
        full, ragged = self.points()

        def enhanced(points: Floats) -> Floats:
            return points.compress(points[:, 3] != 0.0, axis=0)

        teff, _, feh, _ = enhanced(ragged).T
        assert teff.min() >= 3500.0
        assert teff.max() <= 8000.0
        assert feh.min() == -3.0
        assert feh.max() == 0.0
        box = enhanced(full)
        box = box[(box[:, 0] >= 3500) & (box[:, 0] <= 8000) & (box[:, 2] >= -3) & (box[:, 2] <= 0)]
        dwarfs = box[box[:, 1] >= 2.0]
        assert len(enhanced(ragged)[enhanced(ragged)[:, 1] >= 2.0]) == len(dwarfs)

    def test_fewer_teff_at_low_logg(self) -> None:
        full, ragged = self.points()
        counts = [np.unique(ragged[ragged[:, 1] == logg, 0]).size for logg in self.AXES["logg"]]
        assert counts[0] < counts[1] < counts[2]
        assert set(counts[2:]) == {np.unique(full[:, 0]).size}

    def test_default_axes_have_no_holes(self) -> None:
        np.testing.assert_array_equal(DemoLibrary(holes="phoenix").points, DemoLibrary().points)


class TestSpectrum:
    def test_the_spectrum_depends_on_the_seed(self) -> None:
        first = small().spectrum(SOLAR)
        draw_features.cache_clear()
        np.testing.assert_array_equal(first, small().spectrum(SOLAR))
        np.testing.assert_array_equal(first, pickle.loads(pickle.dumps(small())).spectrum(SOLAR))
        other = small(seed=1).spectrum(SOLAR)
        assert np.corrcoef(first, other)[0, 1] < 0.5

    @given(theta=thetas)
    def test_flux_is_positive_and_below_the_continuum(self, theta: tuple[float, ...]) -> None:
        library = small()
        flux = library.spectrum(theta)
        continuum = planck_flux(library.wavelength, theta[0])
        assert np.all(flux.astype(np.float32) > 0.0)
        assert np.all(flux < continuum * (1 + 1e-6))

    @pytest.mark.parametrize("seed", [0, 1, 20130917])
    @pytest.mark.parametrize("waves", [(5000.0, 5300.0), (10000.0, 10600.0)])
    def test_mean_is_within_a_factor_of_15_of_planck(
        self, seed: int, waves: tuple[float, float]
    ) -> None:
        library = DemoLibrary(FOUR_AXES, *waves, n_pixels=4096, seed=seed)
        for teff in (2300.0, 3000.0, 3500.0, 4500.0, 5800.0, 8000.0, 12000.0):
            for theta in ([teff, 0.0, 0.0, 0.0], [teff, 4.5, 0.5, 0.4], [teff, 6.0, -3.0, 0.0]):
                mean = library.spectrum(theta).mean()
                ratio = mean / planck_flux(library.wavelength, teff).mean()
                assert 1 / 15 < ratio < 1.0

    def test_bands_strengthen_towards_cool_stars_and_differ_between_orders(self) -> None:
        library = DemoLibrary(FOUR_AXES)
        contrast = []
        for teff in (3000.0, 3800.0, 5800.0, 9000.0):
            flux = library.spectrum([teff, 4.5, 0.0, 0.0])
            ratio = flux / planck_flux(library.wavelength, teff)
            means = [order.mean() for order in np.array_split(ratio, 10)]
            contrast.append(max(means) / min(means))
        assert contrast[0] > contrast[1] > contrast[2]
        assert contrast[0] > 1.5
        assert contrast[2] < 1.15

    def test_strong_lines_have_wings(self) -> None:
        library = DemoLibrary(FOUR_AXES)
        flux = library.spectrum([5000.0, 4.5, 0.0, 0.0])
        depth = 1.0 - flux / planck_flux(library.wavelength, 5000.0)
        assert np.sum(depth > 0.7) > 50  # pixels of saturated cores
        low_gravity = library.spectrum([5000.0, 1.0, 0.0, 0.0])
        atoms, _ = draw_features(library.seed, math.log(5000.0), math.log(5300.0))
        inside = np.where(np.abs(atoms.centre - math.log(5150.0)) < 0.02, atoms.log_strength, -9.0)
        velocity = SPEED_OF_LIGHT * (np.log(library.wavelength) - atoms.centre[np.argmax(inside)])
        wing = (np.abs(velocity) > 30.0) & (np.abs(velocity) < 60.0)
        assert np.mean(depth[wing]) > np.median(depth) + 0.05
        assert np.mean(low_gravity[wing] / flux[wing]) > 1.03

    @pytest.mark.parametrize("column", range(4))
    @pytest.mark.parametrize("teff", [3500.0, 5800.0, 10000.0])
    def test_every_parameter_changes_the_spectrum(self, column: int, teff: float) -> None:
        theta = np.array([teff, 4.2, -0.3, 0.1])
        changed = theta.copy()
        changed[column] += (50.0, 0.25, 0.25, 0.2)[column]
        library = small()
        change = np.abs(library.spectrum(changed) / library.spectrum(theta) - 1.0)
        assert change.max() > 0.01

    def test_lines_saturate(self) -> None:
        library = small()
        depths = [
            1
            - library.spectrum([5000.0, 4.5, feh, 0.0]).mean()
            / planck_flux(library.wavelength, 5000.0).mean()
            for feh in (-3.0, -2.0, -1.0, 0.0)
        ]
        growth = np.diff(np.log10(depths))
        assert np.all(growth > 0.1)
        assert np.all(growth < 1.0)  # linear growth would be 1 per dex

    @pytest.mark.parametrize(
        ("column", "span"), [(0, 400.0), (1, 1.0), (2, 1.0), (3, 0.6)], ids=str
    )
    @pytest.mark.parametrize("teff", [3600.0, 6000.0])
    def test_the_spectrum_is_smooth_in_every_parameter(
        self, column: int, span: float, teff: float
    ) -> None:
        """Chebyshev interpolation converges geometrically only where all derivatives exist."""
        library = small(n_pixels=400, wave_max=5007.0)
        middle = np.array([teff, 4.5, -0.4, 0.2])

        def along(t: Floats) -> Floats:
            theta = np.tile(middle, (t.size, 1))
            theta[:, column] += 0.5 * span * t
            return np.log(library.spectrum(theta))

        check = np.linspace(-1.0, 1.0, 41)
        truth = along(check)
        errors = []
        for degree in (6, 12, 24):
            nodes = np.polynomial.chebyshev.chebpts1(degree + 1)
            fit = np.polynomial.chebyshev.chebfit(nodes, along(nodes), degree)
            errors.append(np.abs(np.polynomial.chebyshev.chebval(check, fit).T - truth).max())
        assert errors[2] < 1e-8
        assert errors[2] < 1e-4 * errors[0]

    def test_a_batch_equals_single_spectra(self) -> None:
        library = small()
        batch = library.spectrum(library.points[:6].reshape(2, 3, 4))
        assert batch.shape == (2, 3, 1200)
        for row, theta in zip(batch.reshape(6, -1), library.points[:6], strict=True):
            np.testing.assert_array_equal(row, library.spectrum(theta))

    def test_omitted_parameters_are_solar(self) -> None:
        short = small(axes={"teff": (5800.0,)})
        np.testing.assert_array_equal(short.spectrum([5800.0]), small().spectrum(SOLAR))
        swapped = small(axes={"alpha": (0.0,), "teff": (5800.0,)})
        np.testing.assert_array_equal(
            swapped.spectrum([0.3, 5900.0]), small().spectrum([5900.0, 4.5, 0.0, 0.3])
        )


class TestSampling:
    def test_default_pixels_sample_r_100000(self) -> None:
        library = DemoLibrary()
        assert SPEED_OF_LIGHT / 100_000 / library.dv >= 2.0
        narrowest = 2 * math.sqrt(math.log(2)) * doppler_width(2000.0, np.array(56.0))
        assert narrowest >= SPEED_OF_LIGHT / 100_000

    def test_no_feature_is_lost_between_the_pixels(self) -> None:
        """Band-limited interpolation of the pixels gives the spectrum midway between them."""
        coarse, fine = small(), small(n_pixels=2399)
        offset = np.arange(-31.5, 32.0)
        kernel = np.sinc(offset) * np.kaiser(offset.size, 8.0)
        for teff in (2300.0, 5800.0, 12000.0):
            theta = [teff, 4.5, 0.0, 0.0]
            pixels, truth = coarse.spectrum(theta), fine.spectrum(theta)
            np.testing.assert_allclose(truth[::2], pixels, rtol=1e-8)
            between = np.convolve(pixels, kernel, mode="valid")
            error = np.abs(between - truth[1::2][31:-31][: between.size])
            assert error.max() < 1e-2 * truth.max()
            assert np.sqrt(np.mean(error**2)) < 1e-3 * truth.max()

    def test_a_part_of_the_range_has_the_same_spectrum(self) -> None:
        """The range starts just past the edge of a cell, so lines and bands extend into it."""
        edge = math.exp(8.53)
        whole = small(wave_min=edge - 20.0, wave_max=edge + 20.0, n_pixels=2401)
        wavelength = whole.wavelength
        first = int(np.searchsorted(wavelength, edge)) + 1
        part = small(wave_min=wavelength[first], wave_max=wavelength[first + 400], n_pixels=401)
        for theta in (SOLAR, [3500.0, 4.5, 0.0, 0.2]):
            np.testing.assert_allclose(
                part.spectrum(theta), whole.spectrum(theta)[first : first + 401], rtol=1e-8
            )


class TestBadInput:
    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"axes": {"logg": (4.0,)}}, "expected teff"),
            ({"axes": {"teff": (6000.0,), "vsini": (1.0,)}}, "vsini"),
            ({"axes": [("teff", (6000.0,)), ("teff", (6100.0,))]}, "at most one"),
            ({"axes": {"teff": ()}}, "one or more"),
            ({"axes": {"teff": (6000.0, 6000.0)}}, "strictly increasing"),
            ({"axes": {"teff": (6000.0, math.nan)}}, "teff"),
            ({"axes": {"teff": (1000.0, 6000.0)}}, "2000"),
            ({"axes": {"teff": (6000.0,), "feh": (9.0,)}}, "feh"),
            ({"wave_min": 5300.0, "wave_max": 5000.0}, "wave_min"),
            ({"wave_min": 500.0}, "1000"),
            ({"wave_max": math.inf}, "finite"),
            ({"wave_min": math.nan}, "wavelengths"),
            ({"n_pixels": 1}, "n_pixels"),
            ({"seed": -1}, "seed"),
            ({"holes": "some"}, "phoenix"),
            ({"axes": {"teff": (9000.0,), "logg": (0.0,)}, "holes": "phoenix"}, "no grid point"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_is_refused_in_one_line(self, changes: dict[str, Any], words: str) -> None:
        with pytest.raises(InvalidInput, match=words) as caught:
            DemoLibrary(**changes)
        assert "\n" not in str(caught.value)
        assert isinstance(caught.value, MixjobsError)

    @pytest.mark.parametrize(
        "theta",
        [
            6000.0,
            [6000.0],
            [6000.0, 4.5, 0.0, 0.0, 0.0],
            [500.0, 4.5, 0.0, 0.0],
            [6000.0, 4.5, math.nan, 0.0],
        ],
        ids=str,
    )
    def test_theta(self, theta: Any) -> None:
        with pytest.raises(InvalidInput, match="expected"):
            small().spectrum(theta)
