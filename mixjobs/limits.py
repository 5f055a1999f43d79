"""Limits of the numbers in job files, options and arguments.

A number outside its limits is a slip, such as a missing conversion of units. Numbers far outside
would overflow, fill the memory, or keep the computer busy for years.
"""

MAX_COUNT = 10**9  # of anything
MAX_WORKERS = 10_000
MAX_SEED = 2**63 - 1  # the largest whole number of TOML and of Zarr attributes
MAX_ORDER_NUMBER = 10**9
MAX_COMPONENTS = 20
MAX_DEGREE = 100  # of a continuum
MAX_RV_OF_EARTH = 100.0  # km/s; barycentric velocities are below 32 km/s, but for spacecraft
RESOLUTION = (1.0, 1e7)  # resolving powers of instruments; the highest is about 1e6
MAX_LIBRARY_RESOLUTION = 1e9
FWHM = (0.03, 3e5)  # km/s, of the same resolving powers
BLACKBODY_TEFF = (100.0, 1e6)  # K; a cooler one has no light at optical wavelengths
SNR = (0.1, 1e6)  # per pixel
MAX_COLUMNS = 100_000  # of a table
