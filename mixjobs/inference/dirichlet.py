"""The prior of the fractions of all components together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv, gammaln, xlogy

from mixjobs.errors import InvalidInput
from mixjobs.inference.priors import open_unit
from mixjobs.model.layout import fractions
from mixjobs.typing import Floats

_LEAST = 1e-16  # of a probability: for smaller ones, scipy's inverse of the beta integral may fail


@dataclass(frozen=True)
class Dirichlet:
    """A Dirichlet density of the fractions of K components, which add up to 1.

    It is a density of the K - 1 fractions that are sampled: those of component 2 on.

    Parameters
    ----------
    alpha : tuple of K floats
        Component 1 first; all 1 for the same density everywhere.

    Raises
    ------
    InvalidInput
        Fewer than two numbers, or one that is not positive and finite.

    Examples
    --------
    >>> print(Dirichlet((1, 1, 1)))
    Dirichlet 1, 1, 1
    >>> Dirichlet((1, 1, 1)).log([[0.5, 0.25], [0.5, 0.75]]).round(3).tolist()
    [0.693, -inf]
    """

    alpha: tuple[float, ...]

    def __post_init__(self) -> None:
        try:
            alpha = tuple(float(a) for a in self.alpha)
        except (TypeError, ValueError):
            alpha = ()
        if len(alpha) < 2 or not all(0 < a < np.inf for a in alpha):
            raise InvalidInput(
                f"dirichlet {self.alpha!r}: expected a positive number for each component"
            )
        object.__setattr__(self, "alpha", alpha)

    bounds = (0.0, 1.0)  # of each fraction

    def log(self, c: ArrayLike) -> Floats:
        """Logarithm of the normalised density, (n,), at fractions c (n, K - 1).

        -inf where they are no fractions, and where the density is infinite: at an edge with an
        alpha below 1.
        """
        every = fractions(np.asarray(c, dtype=np.float64))
        usable = ~np.isnan(every).any(axis=1)
        every[~usable] = 0.5
        alpha = np.array(self.alpha)
        at_edge = ((every == 0) & (alpha < 1)).any(axis=1)
        every[at_edge] = 0.5
        log = xlogy(alpha - 1, every).sum(axis=1) + gammaln(alpha.sum()) - gammaln(alpha).sum()
        return np.where(usable & ~at_edge, log, -np.inf)

    def quantile(self, u: ArrayLike) -> Floats:
        """Fractions (n, K - 1) from u (n, K - 1) in 0 to 1: each, given those before it.

        A fraction's share of what those before it have left has a beta density. A u below 1e-16 is
        taken for 0.
        """
        share = np.asarray(u, dtype=np.float64)
        share = np.where(share < _LEAST, 0.0, share)
        c, left = np.empty_like(share), np.ones(len(share))
        for k, alpha in enumerate(self.alpha[1:]):
            others = self.alpha[0] + sum(self.alpha[k + 2 :])
            c[:, k] = left * betaincinv(alpha, others, share[:, k])
            left = np.maximum(left - c[:, k], 0.0)
        return c

    def draw(self, rng: np.random.Generator, n: int) -> Floats:
        """Draw n sets of fractions, (n, K - 1)."""
        return self.quantile(open_unit(rng, (n, len(self.alpha) - 1)))

    def __str__(self) -> str:
        return f"Dirichlet {', '.join(f'{a:g}' for a in self.alpha)}"
