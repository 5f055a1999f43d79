"""Compression filters of HDF5 files that HDF5 itself does not have."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module

import h5py

from mixjobs.errors import UnreadableFile

# Registered numbers: https://github.com/HDFGroup/hdf5_plugins/blob/master/docs/RegisteredFilterPlugins.md
_NAMES = {
    4: "SZIP", 307: "BZip2", 32000: "LZF", 32001: "Blosc", 32004: "LZ4", 32008: "Bitshuffle",
    32012: "JPEG", 32013: "ZFP", 32015: "Zstandard", 32017: "SZ", 32018: "FCIDECOMP",
    32024: "SZ3", 32026: "Blosc2", 32028: "Sperr",
}  # fmt: skip


def load_filters(path: str | os.PathLike[str], datasets: Iterable[object]) -> None:
    """Make the compression filters of datasets available, with hdf5plugin if it is installed.

    Parameters
    ----------
    path : str or path
        The file, for the error.
    datasets : iterable
        Datasets that will be read; anything else is ignored.

    Raises
    ------
    UnreadableFile
        A filter is not available. `name` is the dataset, `value` the number of the filter.
    """
    for dataset in datasets:
        if isinstance(dataset, h5py.Dataset):
            for code, name in _missing(dataset):
                raise UnreadableFile(
                    f"{os.fspath(path)}: {dataset.name} is compressed with {name}, which this "
                    f"HDF5 library cannot read; {_remedy(code)}",
                    path=path, name=dataset.name, value=code,
                )  # fmt: skip


def _missing(dataset: h5py.Dataset) -> list[tuple[int, str]]:
    """Return the filters of a dataset that are not available, as numbers and names."""
    plist = dataset.id.get_create_plist()
    filters = [plist.get_filter(k) for k in range(plist.get_nfilters())]
    missing = [entry for entry in filters if not h5py.h5z.filter_avail(entry[0])]
    if missing:
        with suppress(ImportError):
            import_module("hdf5plugin")  # it registers its filters
        missing = [entry for entry in missing if not h5py.h5z.filter_avail(entry[0])]
    return [(code, _NAMES.get(code, _other_name(code, name))) for code, _, _, name in missing]


def _other_name(code: int, name: bytes) -> str:
    return f"filter {code} ({name.decode(errors='replace')})" if name else f"filter {code}"


def _remedy(code: int) -> str:
    """Return what to do about the filter with this number."""
    package = "hdf5plugin (pip install hdf5plugin)"
    if code < h5py.h5z.FILTER_RESERVED:  # a filter of HDF5 itself, which was built without it
        package = "an h5py that has it"
    return f"install {package}, or have the file written without this compression"
