"""Values of the free parameters, x: as arrays, by name, with units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mixjobs.errors import InvalidInput
from mixjobs.inference.expressions import check_name
from mixjobs.typing import Floats
from mixjobs.units import by_name, by_position, to_value, without_unit


def read_samples(x: ArrayLike | Mapping[str, Any], names: Sequence[str]) -> Floats:
    """Return free parameters as an array (P,) or (n, P), in the order of P names.

    Quantities are converted if they are given by name, or in a list of one value per parameter.

    Raises
    ------
    InvalidInput
        As `as_samples`; or a name is unknown or missing.
    """
    named = by_name(x)
    if named is None:
        return as_samples(by_position(x, names, "x"), names)
    for name in named:
        check_name(name, names, "x")
    missing = [name for name in names if name not in named]
    if missing:
        raise InvalidInput(
            f"missing {', '.join(missing)}; the free parameters are {', '.join(names)}",
            name=missing[0],
        )
    try:
        columns = [np.asarray(without_unit(named[n], n), dtype=np.float64) for n in names]
        return as_samples(np.stack(np.broadcast_arrays(*columns), axis=-1), names)
    except (TypeError, ValueError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(f"x by name: {error}", name="x", value=x) from None


def as_samples(x: ArrayLike, names: Sequence[str], label: str = "x") -> Floats:
    """Return free parameters as an array (P,) or (n, P); errors name it `label`.

    Raises
    ------
    InvalidInput
        The array has another shape, is not made of numbers, or has a unit.
    """
    try:
        samples = np.asarray(to_value(x, "", label), dtype=np.float64)
    except (TypeError, ValueError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(
            f"{label} is not an array of plain numbers ({error})", name=label, value=x
        ) from None
    n_free = len(names)
    if samples.ndim not in (1, 2) or samples.shape[-1] != n_free:
        raise InvalidInput(
            f"{label} of shape {samples.shape}; expected ({n_free},) or (n, {n_free}): "
            f"{', '.join(names)}",
            name=label,
            value=samples.shape,
        )
    return samples
