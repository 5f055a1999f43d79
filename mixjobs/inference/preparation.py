"""What sampling begins with: the optimum, the noise of each order, and sufficient statistics.

The search for the optimum needs noise, and the noise of each order needs the optimum. Both are
therefore found in turn: roughly, by a search, and once more after first draws.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from operator import methodcaller
from typing import TYPE_CHECKING, Any

import numpy as np

from mixjobs.inference.compression import Compression, Velocities, compress
from mixjobs.inference.convergence import assess
from mixjobs.inference.distributed import distribute
from mixjobs.inference.log_probability import LogProbability
from mixjobs.inference.optimum import Report, find_starts, start_walkers
from mixjobs.inference.order_likelihoods import LikelihoodPlan
from mixjobs.inference.order_noise import OrderNoise, noise_rules
from mixjobs.inference.priors import Prior
from mixjobs.inference.sampler import short_chain
from mixjobs.inference.segments import Chain
from mixjobs.inference.statistics import VelocityBox
from mixjobs.typing import Floats

if TYPE_CHECKING:
    from distributed import Client

N_STEPS = 100  # of the first draws with pixels
N_COMPRESSED_STEPS = 300  # without them; the second half shows where the posterior is
_N_ROUGH_DRAWS = 24  # of the prior, each at all velocities
_MAX_ROUGH_VELOCITIES = 200
_N_ROUGH_ORDERS = 6
_ROUGH_STEP = 0.6  # of the profile
_SEARCH = {"rv": 12.0, "vsini": 20.0}  # half-widths of the boxes, km/s
_AROUND_OPTIMUM = {"rv": 5.0, "vsini": 6.0}
_AROUND_POSTERIOR = {"rv": 0.5, "vsini": 1.0}
_N_SD = 7.0  # of the posterior, from the middle of a box to its ends
_SEARCH_DENSITY = 4.0  # of the nodes of a search, which needs ln P to a few units only
_MAX_NODES = 1500  # of a box
_N_CHECKED = 200  # draws that are compared with the pixels
_MAX_DIFFERENCE = 0.05  # in ln P
_MAX_NEAR_EDGES, _GROWTH, _MAX_IMPROVED = 1e-3, 1.5, 4
_MAX_MOVES = 8  # of the box of a search whose optimum is at its edge


@dataclass(frozen=True, eq=False)
class Preparation:
    """What sampling begins with.

    Attributes
    ----------
    log_probability : LogProbability
        From pixels, with the noise held.
    starts : (ensembles, P) array
    compression : Compression or None
        Where the statistics are computed; None if the fit needs pixels.
    """

    log_probability: LogProbability
    starts: Floats
    compression: Compression | None = None

    def target(self) -> LogProbability:
        """Return the log-probability to sample."""
        if self.compression is None:
            return self.log_probability
        return compress(self.log_probability, self.compression)

    def to_dict(self) -> dict[str, Any]:
        """Return noise, starts and boxes as plain values, for JSON."""
        plan, noise = self.log_probability.plan, self.log_probability.noise
        orders = [
            {"epoch": order.epoch + 1, "number": order.number, **held.to_dict()}
            for order, held in zip(plan.orders, noise, strict=bool(noise))
        ]
        names = self.log_probability.names
        named = [dict(zip(names, start, strict=True)) for start in self.starts.tolist()]
        compression = None if self.compression is None else self.compression.to_dict()
        return {"orders": orders, "starts": named, "compression": compression}

    @classmethod
    def from_dict(cls, log_probability: LogProbability, content: Mapping[str, Any]) -> Preparation:
        """Read the output of `to_dict`; a KeyError or TypeError states what it lacks."""
        noise = tuple(map(OrderNoise.from_dict, content["orders"]))
        if noise and len(noise) != len(log_probability.plan.orders):
            raise KeyError("noise of some orders")
        names, compression = log_probability.names, content.get("compression")
        return cls(
            replace(log_probability, noise=noise),
            np.array([[start[name] for name in names] for start in content["starts"]]),
            None if compression is None else Compression.from_dict(compression),
        )


def hold_order_noise(
    log_probability: LogProbability, free: LogProbability, starts: Floats, walkers: int, seed: int
) -> Preparation:
    """Hold the noise of each order at its optimum, found at the best start and after first draws.

    Parameters
    ----------
    log_probability : LogProbability
        With the noise parameters fixed at the values of the search.
    free : LogProbability
        Before the noise was fixed.
    starts : (ensembles, P) array
        Optima from the search.
    walkers : int
        Of one ensemble.
    seed : int
    """
    rules = noise_rules(free.parameters)
    first = log_probability.hold_noise(_best(log_probability, starts), rules)
    draws = _first_draws(first, starts, walkers, seed, N_STEPS)
    best = np.array([_best(first, ensemble[-1]) for ensemble in draws])
    return Preparation(first.hold_noise(_best(first, best), rules), best)


def prepare_compressed(
    free: LogProbability,
    ensembles: int,
    walkers: int,
    seed: int,
    report: Report,
    client: Client | None = None,
) -> Preparation:
    """Find optimum, noise and boxes of a fit that can do without pixels.

    Parameters
    ----------
    free : LogProbability
        With the noise parameters free; those set to "optimum" are found for each order.
    ensembles, walkers : int
        Number of ensembles, and of walkers in each.
    seed : int
    report : callable
        See `find_starts`.
    client : Client, optional
        With which `free` was loaded; its workers sample the first draws of the ensembles.
    """
    exact = _noise_fixed(free)
    velocities = Velocities.of(exact)
    best = rough_optimum(exact, velocities, seed)
    exact = _with_noise_at(best, exact, free)
    starts = _search(exact, velocities, best, ensembles, seed, report)
    exact = _with_noise_at(starts[0], exact, free)
    first = compressed_near(exact, starts[0])
    starts[~np.isfinite(first(starts))] = starts[0]
    draws = _first_draws(first, starts, walkers, seed, N_COMPRESSED_STEPS, client)
    starts = np.array([_best(first, ensemble[-1]) for ensemble in draws])
    best = _best(first, starts)
    exact = _with_noise_at(best, exact, free)
    late = draws[:, N_COMPRESSED_STEPS // 2 :].reshape(-1, draws.shape[-1])
    boxes = velocities.boxes(exact, late, _AROUND_POSTERIOR, _N_SD)
    if _too_large(boxes):
        return Preparation(exact, starts)
    return Preparation(exact, starts, Compression(_named(exact, best), boxes))


def _too_large(boxes: tuple[VelocityBox, ...]) -> bool:
    """Whether the velocities are so uncertain that pixels take less time and memory."""
    return max(len(box.nodes()) for box in boxes) > _MAX_NODES


@dataclass(frozen=True)
class CompressionCheck:
    """Draws from statistics, compared with the pixels.

    Attributes
    ----------
    n_draws : int
        Draws at which ln P was evaluated both ways.
    largest, rms : float
        Largest and r.m.s. difference of ln P there, after its median is subtracted.
    near_edges : float
        Largest fraction of all draws near an end of a velocity box that is not one of the prior.
    """

    n_draws: int
    largest: float
    rms: float
    near_edges: float

    @property
    def passed(self) -> bool:
        """Whether the differences and the boxes are good enough."""
        return self.largest <= _MAX_DIFFERENCE and self.near_edges <= _MAX_NEAR_EDGES

    def __str__(self) -> str:
        return (
            f"compared with the pixels at {self.n_draws} draws, ln P differs by at most "
            f"{self.largest:.2g} (r.m.s. {self.rms:.2g}); {100 * self.near_edges:.2g} % of the "
            "draws are near the ends of the velocity box"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers, for JSON."""
        return asdict(self)

    def improved(self, preparation: Preparation) -> Preparation:
        """Return a preparation with more nodes or larger boxes, or at last one with pixels."""
        compression = preparation.compression
        assert compression is not None
        boxes = compression.boxes
        if self.near_edges > _MAX_NEAR_EDGES:
            exact = preparation.log_probability
            boxes = Velocities.of(exact).grown(exact, boxes, _GROWTH)
        else:
            boxes = tuple(replace(box, density=_GROWTH * box.density) for box in boxes)
        repeated = compression.n_improved == _MAX_IMPROVED
        if repeated or boxes == compression.boxes or _too_large(boxes):
            return replace(preparation, compression=None)
        n_improved = compression.n_improved + 1
        improved = replace(compression, boxes=boxes, n_improved=n_improved)
        return replace(preparation, compression=improved)


def check_compression(
    preparation: Preparation, target: LogProbability, chain: Chain, seed: int
) -> CompressionCheck:
    """Compare draws of a chain, after its burn-in, with the pixels."""
    compression = preparation.compression
    assert compression is not None
    exact, burn_in = preparation.log_probability, assess(chain.positions).burn_in
    draws = chain.positions[:, burn_in:].reshape(-1, chain.positions.shape[-1])
    some = np.random.default_rng([seed, 5]).choice(len(draws), min(len(draws), _N_CHECKED), False)
    difference = target(draws[some]) - exact(draws[some])  # inf where only one is defined
    difference = np.where(np.isfinite(difference), difference - np.median(difference), np.inf)
    return CompressionCheck(
        len(some),
        float(np.abs(difference).max()),
        float(np.sqrt(np.mean(difference**2))),
        Velocities.of(exact).near_edges(exact, compression.boxes, draws),
    )


def rough_optimum(log_probability: LogProbability, velocities: Velocities, seed: int) -> Floats:
    """Return the best of some draws from the prior at all radial velocities, (P,).

    The likelihood is that of white noise of free size, without the error of the spectrum.
    """
    names, parameters = log_probability.names, log_probability.parameters
    draws = parameters.draw(np.random.default_rng([seed, 4]), _N_ROUGH_DRAWS)
    grids = _velocity_grids(log_probability, velocities)
    n = len(next(iter(grids.values()), [0]))
    x = np.repeat(draws, n, axis=0)
    for name, grid in grids.items():
        x[:, names.index(name)] = np.tile(grid, len(draws))
    chosen = _rough_orders(log_probability.plan)
    values = log_probability.evaluate(methodcaller("rough_fit", parameters.params(x), chosen))
    # Orders of epochs with the same velocity are added up before the best velocity is chosen.
    total = {of_epoch["rv"]: np.zeros((len(draws), n)) for of_epoch in velocities.names}
    for order, value in zip(log_probability.plan.orders, values, strict=True):
        total[velocities.names[order.epoch]["rv"]] += value.reshape(len(draws), n)
    best = int(np.argmax(sum(of_name.max(axis=1) for of_name in total.values())))
    found: Floats = draws[best].copy()
    for name, grid in grids.items():
        found[names.index(name)] = grid[np.argmax(total[name][best])]
    return found


def _rough_orders(plan: LikelihoodPlan) -> frozenset[int]:
    """Choose orders of every epoch, about six in all, or one of each: enough for a velocity."""
    n, chosen = max(1, _N_ROUGH_ORDERS // len(plan.epochs)), set()
    for epoch in range(len(plan.epochs)):
        places = [i for i, order in enumerate(plan.orders) if order.epoch == epoch]
        chosen |= {places[i] for i in np.linspace(0, len(places) - 1, n).round().astype(int)}
    return frozenset(chosen)


def _velocity_grids(log_probability: LogProbability, velocities: Velocities) -> dict[str, Floats]:
    """Return grids of equal length over the priors of the free radial velocities."""
    ranges, n = {}, 1
    for of_epoch, profile in zip(velocities.names, velocities.profiles, strict=True):
        name = of_epoch["rv"]
        if name in log_probability.names:
            prior = log_probability.parameters.prior(name)
            assert isinstance(prior, Prior)  # only filling factors share a Dirichlet prior
            low, high = prior.quantile(np.array([1e-3, 1 - 1e-3]))
            ranges[name] = low, high
            n = max(n, int((high - low) / (_ROUGH_STEP * profile)) + 2)
    n = min(n, _MAX_ROUGH_VELOCITIES)
    return {name: np.linspace(low, high, n) for name, (low, high) in ranges.items()}


def _noise_fixed(free: LogProbability) -> LogProbability:
    """Fix the noise parameters that each order is to have for itself, at any value."""
    fixed = free
    for name in free.parameters.optimum:
        prior = free.parameters.prior(name)
        fixed = fixed.fix(name, float(np.ravel(prior.quantile(np.array([0.5])))[0]))
    return fixed


def _with_noise_at(x: Floats, exact: LogProbability, free: LogProbability) -> LogProbability:
    """Hold the noise of each order at its optimum for x (P,), unless the noise is sampled."""
    if not free.parameters.optimum:
        return exact
    return exact.hold_noise(x, noise_rules(free.parameters))


def _search(
    exact: LogProbability,
    velocities: Velocities,
    around: Floats,
    ensembles: int,
    seed: int,
    report: Report,
) -> Floats:
    """Search in a box around a velocity, which moves while the optimum is at its edge.

    Returns the starts (ensembles, P), the best one first.
    """
    for _ in range(_MAX_MOVES):
        boxes = velocities.boxes(exact, around[None], _SEARCH, density=_SEARCH_DENSITY)
        compressed = compress(exact, Compression(_named(exact, around), boxes))
        target = velocities.within(compressed, boxes)
        starts = find_starts(target, ensembles, seed, report)
        starts = starts[np.argsort(-target(starts))]
        if not velocities.near_edges(exact, boxes, starts[:1]):
            break
        around = starts[0]
    return starts


def find_optimum_near(exact: LogProbability, around: Floats, seed: int) -> Floats:
    """Search for the optimum (P,) without pixels, near the velocities of x (P,)."""
    starts = _search(exact, Velocities.of(exact), around, 1, seed, lambda *_: None)
    best: Floats = starts[0]
    return best


def compressed_near(exact: LogProbability, x: Floats) -> LogProbability:
    """Return the same log-probability without pixels, around the velocities of x (P,)."""
    boxes = Velocities.of(exact).boxes(exact, x[None], _AROUND_OPTIMUM)
    return compress(exact, Compression(_named(exact, x), boxes))


def _first_draws(
    log_probability: LogProbability,
    starts: Floats,
    walkers: int,
    seed: int,
    n_steps: int,
    client: Client | None = None,
) -> Floats:
    """Return a short chain of each ensemble, (ensembles, n_steps, walkers, P).

    Workers of a client sample one ensemble each; the log-probability must not use them itself.
    """
    positions = start_walkers(log_probability, starts, walkers, seed)
    build = partial(_short_chains, log_probability, positions, seed, n_steps)
    return np.array(distribute(client, build, range(len(positions)))())


def _short_chains(
    log_probability: LogProbability, positions: Floats, seed: int, n_steps: int, e: Sequence[int]
) -> Callable[[], list[Floats]]:
    """Return a function that samples the ensembles with indices `e`."""

    def sample() -> list[Floats]:
        return [
            short_chain(
                log_probability, positions[k], log_probability(positions[k]),
                bounds=log_probability.parameters.bounds, n_steps=n_steps, seed=[seed, 3, k],
            )
            for k in e
        ]  # fmt: skip

    return sample


def _best(log_probability: LogProbability, x: Floats) -> Floats:
    best: Floats = x[np.argmax(log_probability(x))]
    return best


def _named(log_probability: LogProbability, x: Floats) -> dict[str, float]:
    return dict(zip(log_probability.names, x.tolist(), strict=True))
