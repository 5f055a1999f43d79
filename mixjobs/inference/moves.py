"""How walkers move: emcee's moves, made where the bounds of the parameters are infinitely far away.

A fraction near 0 or 1, or a star at the edge of its library, has walkers crowded against a wall
and in corners that widen along it, where steps of one length are too long here and too short
there. Between the logits of the same parameters there is no wall (docs/sampling_benchmarks.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import emcee
import numpy as np

from mixjobs.typing import Floats

_FAR = 36.0  # the logit at which a share of an interval is 1 but for the rounding of a double


@dataclass(frozen=True, eq=False)
class Box:
    """What lies between bounds, and its map to a space without any.

    Parameter by parameter z = ln(theta - low) - ln(high - theta), without the term of a bound that
    is infinite; z = theta where both are.

    Attributes
    ----------
    bounds : ndarray (P, 2)
    """

    bounds: Floats

    def to_space(self, theta: Floats) -> Floats:
        """Map theta (n, P) to z (n, P)."""
        low, high = np.isfinite(self.bounds).T
        above, below = self._distances(theta)
        z = np.where(low | high, above - below, theta)
        return np.where(low & high, np.clip(z, -_FAR, _FAR), z)

    def from_space(self, z: Floats) -> Floats:
        """Map z (n, P) to theta (n, P)."""
        low, high = np.isfinite(self.bounds).T
        a, b = self.bounds.T
        with np.errstate(over="ignore", invalid="ignore"):
            cases = [low & high, low, high]
            theta = [a + (b - a) / (1 + np.exp(-z)), a + np.exp(z), b - np.exp(-z)]
            return np.select(cases, theta, z)

    def log_jacobian(self, theta: Floats) -> Floats:
        """Return ln |d theta / d z|, (n,); -inf at a bound."""
        both = np.isfinite(self.bounds).all(axis=1)
        width = np.ptp(self.bounds[both], axis=1)
        above, below = self._distances(theta)
        total: Floats = (above + below).sum(axis=1) - np.log(width).sum()
        return total

    def _distances(self, theta: Floats) -> tuple[Floats, Floats]:
        """Return ln(theta - low) and ln(high - theta), each (n, P); 0 for an infinite bound."""
        low, high = np.isfinite(self.bounds).T
        a, b = self.bounds.T
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(low, np.log(theta - a), 0), np.where(high, np.log(b - theta), 0)


def make_moves(bounds: Floats) -> list[tuple[Any, float]]:
    """Return emcee's moves within bounds (P, 2), and how often each is made.

    On correlated Gaussians of 8 and 12 parameters, with and without a wall through them, the
    autocorrelation time of differential evolution is a quarter of the stretch move's. A fifth of
    stretch moves costs a tenth of that, and in a bent valley, where steps of one length are often
    too long, it is shorter with them (about 230 steps, 360 without, 530 with stretch moves alone).
    Both know neither scale nor direction, keep nothing from step to step, and propose for half of
    the walkers at a time: one batch shape. The snooker move proposes for a quarter.
    """
    box = Box(bounds)
    return [
        (_within(box, emcee.moves.DEMove()), 0.8),
        (_within(box, emcee.moves.StretchMove()), 0.2),
    ]


def _within(box: Box, move: Any) -> Any:
    """Have a move make its proposals in the box's space."""
    propose = move.get_proposal

    def get_proposal(
        moving: Floats, others: Sequence[Floats], random: Any
    ) -> tuple[Floats, Floats]:
        z, factors = propose(box.to_space(moving), [box.to_space(z) for z in others], random)
        theta = box.from_space(z)
        return theta, factors + box.log_jacobian(theta) - box.log_jacobian(moving)

    move.get_proposal = get_proposal
    return move
