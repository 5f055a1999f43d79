"""What the evidence scripts share: trials kept as they come, posteriors, tables.

A script has a list of trials, each a flat dict of what distinguishes it, and a function that adds
to one of them what was found. Results go to a file of JSON lines, so that a run that was cut short
counts, and goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import emcee
import numpy as np

from mixjobs.inference.log_probability import LogProbability
from mixjobs.inference.optimum import start_walkers
from mixjobs.inference.sampler import make_moves
from mixjobs.typing import Floats

Trial = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """What the command line asks for."""

    small: bool
    processes: int
    out: Path
    report: bool


def read_options(name: str, what: str) -> Options:
    """Read the command line of one script; its results go to a folder of its name."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=what)
    usual = Path(tempfile.gettempdir()) / "mixjobs-evidence"
    parser.add_argument("--small", action="store_true", help="a size that runs in seconds")
    parser.add_argument("--processes", type=int, default=1, help="trials run at a time")
    parser.add_argument("--out", type=Path, default=usual, help=f"folder of results ({usual})")
    parser.add_argument("--report", action="store_true", help="table and figure of what is there")
    given = parser.parse_args()
    folder = given.out / (f"{name}-small" if given.small else name)
    folder.mkdir(parents=True, exist_ok=True)
    return Options(given.small, given.processes, folder, given.report)


def run_trials(
    trials: Sequence[Trial], one: Callable[[Trial], Trial], path: Path, processes: int
) -> None:
    """Run the trials that the file has not, and add each to it as it ends."""
    there = results(path)
    known = [{k: found[k] for k in trials[0]} for found in there]
    todo = [trial for trial in trials if trial not in known]
    whole = path.with_suffix(".whole")  # without a line that was cut
    whole.write_text("".join(json.dumps(found) + "\n" for found in there))
    whole.replace(path)
    with path.open("a") as file:
        for found in _each(todo, one, processes):
            file.write(json.dumps(found) + "\n")
            file.flush()


def _each(todo: Sequence[Trial], one: Callable[[Trial], Trial], processes: int) -> Iterator[Trial]:
    if processes == 1:
        yield from map(one, todo)
        return
    with get_context("spawn").Pool(processes) as pool:
        yield from pool.imap_unordered(one, todo)


def results(path: Path) -> list[Trial]:
    """Read what is there; the last line may have been cut."""
    lines = path.read_text().split("\n")[:-1] if path.is_file() else []
    return [json.loads(line) for line in lines]


def chosen(found: Sequence[Trial], **wanted: object) -> list[Trial]:
    """Return the results of some trials."""
    return [t for t in found if all(t[name] == value for name, value in wanted.items())]


@dataclass(frozen=True, eq=False)
class Posterior:
    """Samples (n, P) after the burn-in, the longest autocorrelation time, and the largest ln P."""

    samples: Floats
    tau: float
    best: float


def posterior(
    log_probability: LogProbability, start: Floats, seed: int, walkers: int, steps: int
) -> Posterior:
    """Sample an ensemble around `start`; the first third is dropped."""
    bounds = log_probability.parameters.bounds
    sampler = ensemble(log_probability, bounds, start, seed, walkers, steps)
    burnt = steps // 3
    with np.errstate(invalid="ignore"):  # a walker that has not moved, in a short run
        tau = sampler.get_autocorr_time(discard=burnt, tol=0).max()
    best = sampler.get_log_prob(discard=burnt).max()
    tau = float(tau) if np.isfinite(tau) else float(steps - burnt)
    return Posterior(sampler.get_chain(discard=burnt, flat=True), tau, float(best))


def ensemble(
    log_probability: LogProbability, bounds: Floats, start: Floats, seed: int, walkers: int,
    steps: int,
) -> Any:  # fmt: skip
    """Run emcee with the moves of `mixjobs sample`, walkers scattered around `start`."""
    walking = start_walkers(log_probability, start[None], walkers, seed)[0]
    sampler = emcee.EnsembleSampler(
        walkers, len(start), log_probability, vectorize=True, moves=make_moves(bounds)
    )
    random_state = np.random.RandomState(seed).get_state()  # what emcee takes
    sampler.run_mcmc(emcee.State(walking, random_state=random_state), steps)
    return sampler


def averaged(function: Callable[[Floats], Floats], wavelength: Floats) -> Floats:
    """Mean of a function of ln(wavelength) over pixels that meet half way, by quadrature."""
    centre = np.log(wavelength)
    middle = (centre[1:] + centre[:-1]) / 2
    edges = np.concatenate([[2 * centre[0] - middle[0]], middle, [2 * centre[-1] - middle[-1]]])
    node, weight = np.polynomial.legendre.leggauss(8)
    half = np.diff(edges)[:, None] / 2
    mean: Floats = function((edges[1:] + edges[:-1])[:, None] / 2 + half * node) @ weight / 2
    return mean


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
