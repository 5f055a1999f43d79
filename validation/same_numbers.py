"""Compare two versions of mixjobs: the same stores and the same chain, bit for bit.

    python -m validation.same_numbers OLD NEW [--out FOLDER]

OLD and NEW are the commands of the two versions, such as ``old-venv/bin/mixjobs``. Each builds
stores of three real libraries, one of them with an emulator, and samples the demo star. Arrays and
chains must have the same bytes. Attributes must be equal once old names are mapped to new ones.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from validation.real_data import real_data

# Names of arrays, attributes and keys: old -> new.
NAMES = {
    "components": "eigenspectra",
    "truncation": "reconstruction_error",
    "variance": "explained_variance",
    "worst": "max_residual",
    "raw": "flux_calibration",
    "raw_how": "flux_calibration_evidence",
    "raw_numbers": "flux_level",
}
# Attributes that name a place, a time or a version, and sentences for a reader.
FREE = {
    "created", "library", "library modified", "mixjobs_version", "schema_version", "orders_from",
    "flux_calibration_evidence", "flux_level",
}  # fmt: skip
BUILDS = (
    ("btsettl_prism.hdf5", "--n-orders 6 --range 7000:50000 --select teff=3000:4500"),
    ("PHOENIX_ACES_test.hdf5",
     "--orders-from LkCa15-2013-10-12.hdf5 --numbers 25,26 --emulator --max-rv 50 --max-vsini 50"),
    ("PHOENIX_50k.hdf5", "--n-orders 4"),
)  # fmt: skip


def run(command: str, folder: Path) -> None:
    """Build the stores and sample the demo star with one version."""
    folder.mkdir(parents=True)
    for library, options in BUILDS:
        store = folder / f"{Path(library).stem}.zarr"
        words = [real_data(w) if w.endswith(".hdf5") else w for w in options.split()]
        subprocess.run([command, "build", real_data(library), "-o", store, *words], check=True)
    subprocess.run([command, "demo", folder / "demo", "--sample", "--workers", "1"], check=True)


def compare(old: Path, new: Path) -> Iterator[str]:
    """Yield a line for each difference between the results of two versions."""
    stores = [*old.glob("*.zarr"), *(old / "demo").glob("*.zarr")]
    segments = sorted((old / "demo/run/steps").glob("*.npz"))
    print(f"comparing {len(stores)} stores, and {len(segments)} segments of a chain")
    for store in stores:
        yield from compare_stores(store, new / store.relative_to(old))
    for segment in segments:
        twin = new / segment.relative_to(old)
        with np.load(segment) as first, np.load(twin) as second:
            for name in first.files:
                if first[name].tobytes() != second[name].tobytes():
                    yield f"{twin}: {name} differs"


def compare_stores(old: Path, new: Path) -> Iterator[str]:
    """Yield a line for each array or attribute that differs."""
    first = {"/".join(NAMES.get(n, n) for n in name.split("/")): m for name, m in members(old)}
    second = dict(members(new))
    for name in first.keys() ^ second.keys():
        yield f"{new}/{name}: only in one version"
    for name in first.keys() & second.keys():
        one, two = first[name], second[name]
        if isinstance(one, zarr.Array) and content(one) != content(two):
            yield f"{new}/{name}: the values differ"
        before, after = mapped(dict(one.attrs)), mapped(dict(two.attrs))
        for key in before.keys() | after.keys():
            if before.get(key) != after.get(key):
                yield f"{new}/{name}: {key} was {before.get(key)}, is {after.get(key)}"


def members(store: Path) -> Iterator[tuple[str, Any]]:
    """Yield the group of a store, and every group and array in it, with their names."""
    group = zarr.open_group(store, mode="r", use_consolidated=False)
    yield "", group
    yield from group.members(max_depth=None)


def content(array: Any) -> bytes | list[str]:
    """Return the bytes of numbers, or the strings themselves."""
    values = np.asarray(array[...])
    return list(map(str, values)) if values.dtype.kind in "OT" else values.tobytes()


def mapped(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return attributes under their new names, without those that may differ."""
    flat = {**attributes, **attributes.get("accuracy", {})}
    flat.pop("accuracy", None)
    named = {NAMES.get(key, key): value for key, value in flat.items() if value is not None}
    for key, value in named.items():
        if isinstance(value, dict):
            named[key] = mapped(value)
        if isinstance(value, str):
            for old in ("variance", "worst"):
                named[key] = named[key].replace(f", {old} ", f", {NAMES[old]} ")
    return {key: value for key, value in named.items() if key not in FREE}


def main() -> int:
    """Run both versions and print what differs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("old", metavar="OLD", help="command of the older version")
    parser.add_argument("new", metavar="NEW", help="command of the newer version")
    parser.add_argument("--out", type=Path, default=Path("same-numbers"), metavar="FOLDER")
    options = parser.parse_args()
    for name in ("old", "new"):
        if not (options.out / name).exists():
            run(getattr(options, name), options.out / name)
    differences = list(compare(options.out / "old", options.out / "new"))
    print("\n".join(differences) or "the same arrays, attributes and chain")
    return bool(differences)


if __name__ == "__main__":
    sys.exit(main())
