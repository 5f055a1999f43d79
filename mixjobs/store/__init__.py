"""The store: its format on disk, and models loaded from it."""

from mixjobs.package_settings import import_package

import_package("zarr", "ZARR_")  # whatever the user's settings
