"""The likelihood from sufficient statistics, against that from pixels, per walker and order.

Orders of 500 to 8000 pixels, two photospheres that move together, Matern-3/2 noise that is held,
emulators of 10 and 30 eigenspectra, 40 walkers, one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.fits import NOISE
from benchmarks.likelihood import TRUTH, Size, Star, table
from benchmarks.measure import Row, cpu_seconds, in_turn, interval, ratio, same
from mixjobs.inference.compressed import CompressedLikelihoods, compressed_epoch
from mixjobs.inference.coupling import couple
from mixjobs.inference.order_likelihoods import OrderLikelihoods
from mixjobs.inference.order_noise import OrderNoise
from mixjobs.inference.statistics import VelocityBox
from mixjobs.typing import Floats

AIMS, AIM_NODES, AIM_CONSTANT = {10: 30, 30: 20}, 3, 1.1
PIXELS, N_WALKERS, ROUNDS = (500, 1500, 2300, 8000), 40, 6
BOX = VelocityBox((3.5, 6.5), (10.5, 13.5), 10.0)  # km/s, around the truth


def run(small: bool) -> Iterator[Row]:
    """Measure orders of several lengths, with few and many eigenspectra."""
    for rank, aim in ((4, 1),) if small else AIMS.items():
        pixels = (200, 400) if small else PIXELS
        size = Size(200, rank, N_WALKERS, pixels, 1, (8, 16), 2 if small else ROUNDS)
        with TemporaryDirectory(prefix="mixjobs-benchmark-") as folder:
            yield from rows(Star(Path(folder), size), size, aim)


def rows(star: Star, size: Size, aim: float) -> Iterator[Row]:
    """Return the rows of one number of eigenspectra."""
    exact = {n: star.fits([1 + i]) for i, n in enumerate(size.growth)}
    values = table((*exact[size.growth[0]].epochs[0].model.parameters, *NOISE), size.n_walkers)
    flat = (1.0, *[0.0] * (exact[size.growth[0]].epochs[0].data[0].polynomials.shape[1] - 1))
    ln_noise, log_amplitude, log_length = (TRUTH[name] for name in NOISE)
    held = (OrderNoise(ln_noise, log_amplitude, log_length, flat),) * len(star.orders)
    fast = {n: _compressed(fits, values[:1], held) for n, fits in exact.items()}
    for n, fits in exact.items():
        expected, found = (couple(f.terms([values], held)).total for f in (fits, fast[n]))
        same(f"{n} pixels", found, expected, rtol=1e-6)
    sides = {f"exact {n}": _seconds(fits, values, held) for n, fits in exact.items()}
    sides |= {f"fast {n}": _seconds(fits, values, held) for n, fits in fast.items()}
    middle = size.growth[-2]
    sides["nodes"] = lambda: cpu_seconds(
        lambda: exact[middle].statistics([values[:1]], [BOX], held)
    )
    times = in_turn(size.rounds, **sides)
    for n in size.growth:
        gain = ratio(times[f"exact {n}"], times[f"fast {n}"])
        is_goal = n == middle
        yield Row(
            f"likelihood of an order of {n} pixels with {size.rank} eigenspectra: pixels / "
            "statistics",
            f"{gain:.1f} ({interval(times[f'exact {n}'], times[f'fast {n}'])}); "
            f"{1e6 * float(np.median(times[f'fast {n}'])) / size.n_walkers:.0f} µs here",
            f">= {aim}" if is_goal else "",
            gain >= aim if is_goal else None,
        )
    first, last = (times[f"fast {n}"] for n in (size.growth[0], size.growth[-1]))
    yield Row(
        f"statistics: {size.growth[-1]} pixels / {size.growth[0]} pixels",
        f"{ratio(last, first):.2f} ({interval(last, first)})",
        f"<= {AIM_CONSTANT}",
        ratio(last, first) <= AIM_CONSTANT,
    )
    nodes = ratio(times["nodes"], times[f"exact {middle}"])
    yield Row(
        f"{len(BOX.nodes())} nodes of an order of {middle} pixels / a step of {size.n_walkers} "
        "walkers from pixels",
        f"{nodes:.2f} ({interval(times['nodes'], times[f'exact {middle}'])})",
        f"<= {AIM_NODES}",
        nodes <= AIM_NODES,
    )


def _compressed(
    exact: OrderLikelihoods, params: Floats, held: tuple[OrderNoise, ...]
) -> CompressedLikelihoods:
    statistics = exact.statistics([params], [BOX], held)
    return CompressedLikelihoods((compressed_epoch(exact.epochs[0], statistics),), True)


def _seconds(
    fits: OrderLikelihoods | CompressedLikelihoods, values: Floats, held: tuple[OrderNoise, ...]
) -> Callable[[], float]:
    return lambda: cpu_seconds(lambda: fits.terms([values], held))
