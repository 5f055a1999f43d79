"""The simulated observation of the demo's spotted star."""

import numpy as np

from mixjobs.demo.spotted_star import LIBRARY, ORDERS, TRUTH, observe


def test_observation_has_the_stated_noise_and_ranges():
    orders = observe()
    assert [number for number, *_ in orders] == ORDERS.number.tolist()
    for (_, wave, flux, flux_error), low, high in zip(
        orders, ORDERS.wave_min, ORDERS.wave_max, strict=True
    ):
        assert low < wave[0] < wave[-1] < high
        assert np.median(flux / flux_error) == np.clip(np.median(flux / flux_error), 90, 110)
    assert set(TRUTH) > {"teff_1", "teff_2", "c"}
    assert LIBRARY.wavelength[0] < ORDERS.wave_min[0]


def test_noise_depends_only_on_the_seed():
    flux, repeated, other = observe(1)[0][2], observe(1)[0][2], observe(2)[0][2]
    assert flux.tobytes() == repeated.tobytes() != other.tobytes()
    assert np.std(flux - other) < 0.02
