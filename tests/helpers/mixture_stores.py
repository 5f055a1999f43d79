"""Demo libraries, and stores with an emulator, for tests of mixtures."""

import numpy as np

import mixjobs
from mixjobs.demo.library import DemoLibrary

KMS = 1 / 299792.458  # in ln(wavelength)

AXES = {"teff": (5600, 5800, 6000), "logg": (4.0, 4.5, 5.0), "feh": (-1.0, -0.5, 0.0)}
ORDERS = mixjobs.Orders([7, 8], [5004, 5009], [5011, 5018])
WINDOWS = {7: (5004.0, 5011.0), 8: (5009.0, 5018.0)}
FULL = {"rank": 1000}  # as many components as there are spectra


def demo_library(axes=None, n_pixels=1300, **options):
    """A demo library with pixels of 1 km/s from 5000 Å, by default to 5021.7 Å."""
    end = 5000 * np.exp((n_pixels - 1) * KMS)
    return DemoLibrary(axes or AXES, wave_min=5000.0, wave_max=end, n_pixels=n_pixels, **options)


def store_of(library, folder, name="store", orders=ORDERS, accuracy=FULL, **settings):
    """Write a demo library and build its store."""
    settings = {"max_rv": 60, "max_vsini": 30, "min_resolution": 20_000, **settings}
    if accuracy is FULL:
        accuracy = {"rank": len(library.points)}
    emulator = mixjobs.EmulatorSettings(**accuracy, **settings)
    path = library.write(folder / f"{name}.hdf5")
    mixjobs.build(path, orders, folder / name, emulator=emulator, table=False)
    return folder / name


def some_pixels(order, step, n):
    """Up to n data pixels of `step` km/s from the start of an order."""
    low, high = WINDOWS[order]
    wave = low * 1.0001 * np.exp(np.arange(n) * step * KMS)
    return wave[wave < high]
