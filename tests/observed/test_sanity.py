"""Suspect numbers: what is noted, what is refused, and what is left in peace."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mixjobs
from mixjobs.errors import UnreadableFile
from mixjobs.observed.repeats import Pixels, n_repeated
from mixjobs.observed.sanity import scatter, suspicions
from mixjobs.observed.spectrum import ObservedSpectrum

N = 400


def star(seed=0, level=1.0, snr=100.0, n=N):
    """Flux with lines that four pixels resolve, its error, and a mask."""
    rng = np.random.default_rng(seed)
    lines = np.convolve(rng.random(n + 20), np.hanning(9), "same")[10:-10]
    flux = level * (1 - 0.5 * lines / lines.max())
    flux_error = np.full(n, level / snr)
    return flux + flux_error * rng.normal(size=n), flux_error, np.ones(n, dtype=bool)


def suspicion(flux, flux_error, mask):
    notes = suspicions([flux], [flux_error], [mask])
    assert len(notes) <= 1
    return notes[0] if notes else ""


levels = st.sampled_from([1e-200, 1e-14, 1e-3, 1.0, 3e4, 1e9, 1e200])


@given(st.integers(0, 1000), levels, st.floats(5, 1000))
def test_an_ordinary_spectrum_is_not_suspect(seed, level, snr):
    assert suspicion(*star(seed, level, snr)) == ""


WRONG = {
    "variances": lambda flux, error: error**2,
    "inverse variances": lambda flux, error: error**-2,
    "per cent of the flux": lambda flux, error: 100 * error / flux,
    "signal-to-noise ratios": lambda flux, error: flux / error,
}


@pytest.mark.parametrize("name", WRONG)
@given(st.integers(0, 1000), st.sampled_from([1e-14, 1.0, 1e6]), st.floats(30, 300))
def test_errors_that_are_something_else(name, seed, level, snr):
    flux, error, mask = star(seed, level, snr)
    assert suspicion(flux, WRONG[name](flux, error), mask)


@pytest.mark.parametrize("name", WRONG)
def test_what_else_they_are(name):
    flux, error, mask = star(snr=100)
    assert f"look like {name}," in suspicion(flux, WRONG[name](flux, error), mask)


@pytest.mark.parametrize(("factor", "word"), [(0.02, "smaller"), (50.0, "larger")])
def test_errors_of_another_size(factor, word):
    flux, error, mask = star(level=1e-14)
    assert f"times {word} than the scatter" in suspicion(flux, factor * error, mask)


def test_a_signal_to_noise_ratio_that_no_detector_reaches():
    assert "S/N" in suspicion(*star(snr=4000))


def test_an_inverted_mask():
    flux, error, mask = star()
    mask[np.random.default_rng(0).random(N) > 0.03] = False
    assert "inverted" in suspicion(flux, error, mask)
    bad = flux + 2 * np.random.default_rng(1).normal(size=N)
    assert suspicion(np.where(mask, flux, bad), error, mask) == ""  # they were masked rightly
    assert suspicion(flux, np.where(mask, error, -99.9), mask) == ""
    assert "inverted" in suspicion(flux, error, np.zeros(N, dtype=bool))


def spectrum(flux, error, mask, n=N):
    return ObservedSpectrum.from_arrays(np.linspace(5000, 5040, n), flux, error, mask=mask)


def test_negative_flux_is_refused():
    flux, error, mask = star()
    with pytest.raises(UnreadableFile) as refused:
        spectrum(-flux, error, mask)
    assert (refused.value.name, refused.value.value) == ("flux", 1.0)
    flux[: N // 3] *= -1
    assert spectrum(flux, error, mask).orders.number.tolist() == [0]


def test_without_a_usable_pixel_the_reason_is_repeated():
    flux, error, mask = star()
    orders = mixjobs.Orders([0], [4990], [5050])
    for arrays in ((flux * np.nan, error, mask), (flux, 0 * error, mask), (flux, error, ~mask)):
        observed = spectrum(*arrays)
        with pytest.raises(mixjobs.errors.InvalidInput) as refused:
            observed.in_orders(orders, "vacuum")
        assert refused.value.name == "mask"
        assert all(note in str(refused.value) for note in observed.notes)


@pytest.mark.parametrize(
    "pattern",
    [
        "Gl51.hdf5", "LkCa15*.hdf5", "WASP14*.hdf5", "s1063/S1063_IGRINS_m110.hdf5",
        "wasp14/WASP14-2009-12-24.hdf5", "instruments/SDCH*spec_a0v.fits",
        "instruments/Goldilocks*.fits",
    ],
)  # fmt: skip
def test_no_false_alarm_on_real_spectra(data, pattern):
    (path,) = data.glob(pattern)
    real = mixjobs.open_spectrum(path)
    assert suspicions(real.flux, real.flux_error, real.mask) == []


def test_the_example_of_starfish_has_an_impossible_signal_to_noise_ratio(data):
    assert "S/N" in mixjobs.open_spectrum(data / "example_spec.hdf5").notes[-1]


@given(st.integers(0, 1000), st.floats(0.01, 100))
def test_the_scatter_is_the_noise_in_spite_of_lines(seed, noise):
    values = 50 * np.sin(np.arange(2000) / 5) + noise * np.random.default_rng(seed).normal(
        size=2000
    )
    assert scatter(values) == pytest.approx(noise, rel=0.15, abs=0.02)


def pixels(seed=0, start=5000.0, n=N):
    flux, error, mask = star(seed, n=n)
    return Pixels(start + 0.1 * np.arange(n), flux, error, mask)


@given(st.integers(0, 1000), st.floats(1e-20, 1e20), st.integers(0, 50), st.integers(0, 50))
def test_copies_are_found(seed, factor, first, last):
    """Scaled, rounded, cut, and with pixels removed or wavelengths converted."""
    original = pixels(seed)
    rounded = np.array([float(f"{f:.5g}") for f in original.flux * factor])
    copy = original._replace(flux=rounded, flux_error=original.flux_error * factor)
    assert n_repeated(original, copy) == N
    assert n_repeated(original, copy._replace(wavelength=copy.wavelength * 1.00028)) == N
    cut = Pixels(*(array[first : N - last] for array in copy))
    assert n_repeated(original, cut) == n_repeated(cut, original) == N - first - last
    assert n_repeated(original, Pixels(*(array[::7] for array in copy))) == -(-N // 7)


@given(st.integers(0, 1000))
def test_epochs_are_not_copies(seed):
    original = pixels(seed)
    rng = np.random.default_rng(seed + 1)
    other = original._replace(flux=original.flux + original.flux_error * rng.normal(size=N))
    assert n_repeated(original, other) == 0
    assert n_repeated(original, pixels(seed, start=6000.0)) == 0
    half = np.arange(N) < N // 2
    disjoint = original._replace(mask=half), original._replace(mask=~half)
    assert n_repeated(*disjoint) == 0


def test_real_epochs_are_not_copies(data):
    first, second = (
        mixjobs.open_spectrum(data / "wasp14" / f"WASP14-{date}.hdf5")
        for date in ("2009-12-24", "2010-03-29")
    )
    for m in range(len(first.orders)):
        arrays = [
            Pixels(s.wavelength[m], s.flux[m], s.flux_error[m], s.mask[m]) for s in (first, second)
        ]
        assert n_repeated(*arrays) == 0
        assert n_repeated(arrays[0], arrays[0]) == arrays[0].mask.sum()
