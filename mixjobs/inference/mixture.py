"""A mixture whose orders are evaluated on Dask workers: the same call as the local one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixjobs.inference.workers import spread
from mixjobs.model.instrument import in_order, of_orders
from mixjobs.model.layout import Values
from mixjobs.model.mixture import MixtureModel
from mixjobs.store.loading import load_mixture, order_numbers
from mixjobs.typing import Floats

if TYPE_CHECKING:
    from distributed import Client


def spread_mixture(
    client: Client | None,
    path: str | Path,
    components: int | Sequence[str | Path] = 2,
    **options: Any,
) -> Callable[[Values], tuple[Floats, ...]]:
    """Spread the orders of a mixture over workers, which build their models from the store.

    Parameters
    ----------
    client : Client or None
        None evaluates in this process.
    path, components, options
        As for `mixjobs.load_mixture`; workers must see the path.

    Returns
    -------
    callable
        ``evaluate(values)`` gives what the model that `load_mixture` returns would: one array
        (..., n_pixels) an order. It raises what `load_mixture` (in the first call) and the model
        do, and `JobFailed`.
    """
    numbers = order_numbers(path, options.pop("orders", None))
    by_order: dict[str, Mapping[int, Any]] = {}
    if options.get("wavelengths") is not None:
        waves = in_order(options.pop("wavelengths"), numbers)
        by_order["wavelengths"] = dict(zip(numbers, waves, strict=True))
    for name in ("resolution", "fwhm"):
        if options.get(name) is not None:
            widths = of_orders(options.pop(name), len(numbers))
            by_order[name] = dict(zip(numbers, widths, strict=True))
    build = partial(_load_share, str(path), components, options, by_order)
    evaluate = spread(client, build, numbers)
    return lambda values: tuple(evaluate(values))


def _load_share(
    path: str,
    components: int | Sequence[str | Path],
    options: Mapping[str, Any],
    by_order: Mapping[str, Mapping[int, Any]],
    share: Sequence[int],
) -> MixtureModel:
    """Load the orders of one share, in the worker."""
    of_share: dict[str, Any] = {
        name: [values[number] for number in share] for name, values in by_order.items()
    }
    return load_mixture(path, components, orders=share, **options, **of_share)
