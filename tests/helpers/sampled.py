"""Cheap targets, and a process that samples one of them like the command.

python -c "..." FOLDER MAX_STEPS CHECKPOINT PAUSE
"""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from mixjobs.cli.signals import Terminated, stop_if_told, termination
from mixjobs.errors import MixjobsError
from mixjobs.inference.run_folder import RunFolder
from mixjobs.inference.sampler import run_ensembles

P, WALKERS = 3, 8
IDENTITY = {"names": ["a", "b", "c"], "seed": 5, "model": "correlated Gaussian"}
SIGMA = np.array([1.0, 30.0, 0.01])
MIX = np.array([[1, 0, 0], [0.9, 0.5, 0], [-0.7, 0.3, 0.4]])
COVARIANCE = (SIGMA[:, None] * MIX) @ (SIGMA[:, None] * MIX).T
INVERSE = np.linalg.inv(COVARIANCE)


def gaussian(x):
    """A correlated Gaussian of two "orders"; a sample has the same value in any batch."""
    values = np.zeros(len(x))
    for i in range(P):
        for j in range(P):
            values += x[:, i] * INVERSE[i, j] * x[:, j]
    return -values[:, None] * np.array([0.5, 0.2, 0.3])


def half(x):
    """The same for positive a; elsewhere the probability is zero, and the orders are NaN."""
    values = gaussian(x)
    outside = x[:, 0] < 0
    values[outside] = np.nan
    values[outside, 0] = -np.inf
    return values


def banana(x):
    """Two parameters: a is normal, and b is a squared plus a normal number."""
    a, b = x.T
    return -0.5 * (a**2 + (b - a**2) ** 2)[:, None]


def start(ensembles=2, walkers=WALKERS, p=P, seed=0):
    """Starting points near the mode."""
    rng = np.random.default_rng(seed)
    return np.abs(rng.normal(size=(ensembles, walkers, p))) * 0.1 * (SIGMA if p == P else 1)


def folder(path, **more):
    """Create or resume a run folder."""
    identity = IDENTITY | more
    return RunFolder.resume(path, identity) if path.exists() else RunFolder.create(path, identity)


def begin(path, max_steps=60, checkpoint=7, pause=0.0):
    """Start a process that samples."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "from tests.helpers import sampled; sys.exit(sampled.main())"
    )
    words = (Path(__file__).parents[2], path, max_steps, checkpoint, pause)
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, words)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def main():
    """Sample, print the number of each completed step, and return the command's exit status."""
    path, max_steps, checkpoint, pause = sys.argv[2:]

    def slow(x):
        time.sleep(float(pause))
        return half(x)

    def report(progress):
        print(progress.steps, flush=True)
        stop_if_told()

    try:
        with termination():
            run_ensembles(
                slow, folder(Path(path)), start(), checkpoint=int(checkpoint),
                max_steps=int(max_steps), report=report,
            )  # fmt: skip
    except MixjobsError as error:
        print(error, file=sys.stderr)
        return 2
    except Terminated:
        return 143
    except KeyboardInterrupt:
        return 130
    return 0


def same(one, other):
    """Whether two chains are equal bit for bit."""
    return all(
        getattr(one, name).tobytes() == getattr(other, name).tobytes()
        for name in ("positions", "log_probability", "by_order", "accepted")
    )
