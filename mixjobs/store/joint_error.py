"""The joint interpolation error of a store's emulators."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from mixjobs.files import atomic_write
from mixjobs.interpolation import Method, default_method
from mixjobs.interpolation.cross_validation import axis_folds
from mixjobs.model.error_size import MIN_VALUES, measured_factors
from mixjobs.model.joint_error import JointError, joint_error
from mixjobs.model.reference import ReferenceOrder
from mixjobs.store.checksums import CODECS, open_node, unusable
from mixjobs.store.emulator import GROUP, emulated_orders, read_attributes, read_order
from mixjobs.store.format import WRITE_ALL, Store, consolidate, read_array
from mixjobs.store.zarr_settings import default_settings
from mixjobs.typing import Floats

NODE = f"{GROUP}/joint_error"
_FIRST_SCHEMA = 4  # of the store


def estimate_joint_error(store: Store, method: Method) -> tuple[list[int], JointError]:
    """Estimate the joint error of all orders that have an emulator.

    Returns
    -------
    numbers : list of M int
        The orders, ascending.
    error : JointError
    """
    numbers = emulated_orders(store.path)
    rows = [store.orders.number.tolist().index(number) for number in numbers]
    emulators = [read_order(store.path, number)[0] for number in numbers]
    axes = axis_folds(store.grid, method)
    resolution = read_attributes(store.path)["min_resolution"]
    reference = [ReferenceOrder.of_emulator(emulator, resolution) for emulator in emulators]
    error = joint_error(
        axes,
        [emulator.weights for emulator in emulators],
        list(np.log(store.mean_flux[rows])),
        [emulator.grid.n_pixels for emulator in emulators],
        measured_factors(store.grid, axes, reference),
    )
    return numbers, error


@default_settings()
def write_joint_error(
    temporary: Path, store: Path, numbers: Sequence[int], error: JointError, method: Method
) -> None:
    """Write the joint error to a temporary folder, and rename it into the store.

    Parameters
    ----------
    temporary, store : Path
    numbers : sequence of M int
        Order numbers.
    error : JointError
    method : {"cubic", "linear", "simplex"}
        The interpolation to which it applies.
    """
    attributes: dict[str, Any] = {
        "method": method,
        "factors": error.factors,
        "measured_axes": list(error.measured_axes),
        "short_axes": list(error.short_axes),
    }
    with atomic_write(store / NODE, temporary) as temporary:
        group = zarr.open_group(temporary, mode="w", zarr_format=3, attributes=attributes)
        for number, columns in zip(numbers, error.columns, strict=True):
            array = group.create_array(
                f"{number}", shape=columns.shape, chunks=tuple(max(1, n) for n in columns.shape),
                dtype="float64", fill_value=np.nan, dimension_names=("column", "weight"),
                compressors=CODECS, config=WRITE_ALL,
            )  # fmt: skip
            array[...] = columns
        consolidate(temporary)
        shutil.rmtree(store / NODE, ignore_errors=True)


@default_settings()
def read_joint_error(store: Store, method: Method) -> tuple[list[int], JointError]:
    """Read the joint error of all orders that have an emulator.

    It is estimated anew for another interpolation method, and for a store of an earlier version.

    Returns
    -------
    numbers : list of M int
        The orders, ascending.
    error : JointError

    Raises
    ------
    StoreError
        It is missing or damaged.
    """
    try:
        group = open_node(store.path, NODE, use_consolidated=False)
        attributes: Any = dict(group.attrs)
        stored = attributes["method"]
    except (FileNotFoundError, KeyError):
        if store.attributes["schema_version"] >= _FIRST_SCHEMA:
            raise unusable(store.path, NODE, "is missing") from None
        stored = None
    if stored != method:
        return estimate_joint_error(store, method)
    numbers = emulated_orders(store.path)
    columns = tuple(_read_columns(store, group, number) for number in numbers)
    measured, short = (tuple(attributes.get(key, ())) for key in ("measured_axes", "short_axes"))
    return numbers, JointError(columns, attributes["factors"], measured, short)


def _read_columns(store: Store, group: zarr.Group, number: int) -> Floats:
    columns: Floats = read_array(store.path, group, f"{number}")
    if columns.ndim != 2 or not np.isfinite(columns).all():
        raise unusable(store.path, f"{NODE}/{number}", "holds impossible values")
    return columns


def joint_error_notes(store: Store) -> list[str]:
    """Say along which axes of a store's grid the error is uncertain or assumed, a line each.

    Raises
    ------
    StoreError
        The joint error is missing or damaged.
    """
    if not emulated_orders(store.path):
        return []
    _, error = read_joint_error(store, default_method(store.grid))
    sizes = {name: len(axis) for name, axis in zip(store.grid.names, store.grid.axes, strict=True)}
    known = {*error.short_axes, *error.measured_axes}
    assumed = [name for name in error.factors if name not in known]
    notes = []
    if error.short_axes:
        notes.append(
            f"the interpolation error is uncertain along {_counted(error.short_axes, sizes)}; five "
            "values, and two grid points beyond the prior on either side, would about halve it"
        )
    if assumed:
        notes.append(
            f"the size of the interpolation error along {_counted(assumed, sizes)} is assumed; it "
            f"is measured for cubic interpolation along axes with {MIN_VALUES} values or more"
        )
    return notes


def _counted(names: Sequence[str], sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({sizes[name]} values)" for name in names)
