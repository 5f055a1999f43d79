"""Cheap targets, and a process that samples one of them as the command does.

python -c "..." FOLDER MAX_STEPS CHECKPOINT PAUSE
"""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from mixjobs.cli.signals import Terminated, stop_if_told, termination
from mixjobs.errors import MixjobsError
from mixjobs.inference.run import RunFolder
from mixjobs.inference.sampler import sample

P, WALKERS = 3, 8
IDENTITY = {"names": ["a", "b", "c"], "seed": 5, "model": "correlated Gaussian"}
SIGMA = np.array([1.0, 30.0, 0.01])
MIX = np.array([[1, 0, 0], [0.9, 0.5, 0], [-0.7, 0.3, 0.4]])
COVARIANCE = (SIGMA[:, None] * MIX) @ (SIGMA[:, None] * MIX).T
INVERSE = np.linalg.inv(COVARIANCE)


def gaussian(theta):
    """A correlated Gaussian of two "orders", to be evaluated row by row alike in any batch."""
    values = np.zeros(len(theta))
    for i in range(P):
        for j in range(P):
            values += theta[:, i] * INVERSE[i, j] * theta[:, j]
    return -values[:, None] * np.array([0.5, 0.2, 0.3])


def half(theta):
    """Where a is negative the probability is zero, and the orders are not known."""
    values = gaussian(theta)
    outside = theta[:, 0] < 0
    values[outside] = np.nan
    values[outside, 0] = -np.inf
    return values


def banana(theta):
    """Two parameters: x is normal, y is x squared plus a normal one."""
    x, y = theta.T
    return -0.5 * (x**2 + (y - x**2) ** 2)[:, None]


def start(ensembles=2, walkers=WALKERS, p=P, seed=0):
    """Starting points beside the middle."""
    chance = np.random.default_rng(seed)
    return np.abs(chance.normal(size=(ensembles, walkers, p))) * 0.1 * (SIGMA if p == P else 1)


def folder(path, **more):
    """Return a run folder, made or resumed."""
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
    """Sample, saying each step that is done; the exit status is the command's."""
    path, max_steps, checkpoint, pause = sys.argv[2:]

    def slow(theta):
        time.sleep(float(pause))
        return half(theta)

    try:
        with termination():
            sample(
                slow, folder(Path(path)), start(), checkpoint=int(checkpoint),
                max_steps=int(max_steps), stop=stop_if_told,
                report=lambda progress: print(progress.steps, flush=True),
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
    """Whether two chains are the same, bit for bit."""
    return all(
        getattr(one, name).tobytes() == getattr(other, name).tobytes()
        for name in ("positions", "log_probability", "by_order", "accepted")
    )
