"""Spectra of stars, compared with integration in real space."""

import numpy as np

from mixjobs.demo.library import DemoLibrary
from mixjobs.demo.star import star_spectrum
from tests.helpers import real_space


def test_spectrum_equals_the_integral_in_real_space():
    library = DemoLibrary({"teff": (4000, 6000)}, wave_max=5020.0, n_pixels=1200)
    fine = DemoLibrary({"teff": (4000, 6000)}, wave_max=5020.0, n_pixels=9600)
    wave = np.linspace(5005, 5015, 150)
    flux = star_spectrum(library, [[5900.0], [4200.0]], [0.7, 0.3], wave, 12.0, 15.0, 30_000)
    mixed = 0.7 * fine.spectrum([5900.0]) + 0.3 * fine.spectrum([4200.0])
    sigma = 1 / 30_000 / 2.354820045
    centre = np.log(wave)
    step = np.diff(centre)
    edges = np.concatenate([centre[:-1] - step / 2, centre[-2:] + step[-1] / 2])
    expected = real_space.broadened(fine.wavelength, mixed, wave, 12.0, 15.0, sigma, edges=edges)
    np.testing.assert_allclose(flux, expected, rtol=2e-4)
