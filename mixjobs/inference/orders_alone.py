"""The results of orders that were fitted on their own, and what they say together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import TypeAdapter

from mixjobs.inference.interval import Interval
from mixjobs.inference.pool import NormalPrior, Pooled, pool
from mixjobs.inference.run_folder import BY_ORDER, RunFolder, unreadable_result
from mixjobs.orders import number_list


@dataclass(frozen=True)
class OrderEstimate:
    """One parameter from one order.

    Attributes
    ----------
    interval : Interval
    mean, sd : float
        Of the draws.
    shared : tuple of float
        Response of the mean to the variables z of the interpolation error that all orders share.
    truncated : bool
        Whether the prior truncates the interval.
    unconstrained : bool
        Whether the draws are hardly narrower than the prior.
    prior : NormalPrior or None
        The prior, if it is normal.
    """

    interval: Interval
    mean: float
    sd: float
    shared: tuple[float, ...]
    truncated: bool
    unconstrained: bool = False
    prior: NormalPrior | None = None

    @property
    def is_measured(self) -> bool:
        """Whether the data of the order decide the estimate: not its prior, nor a stuck chain."""
        return self.sd > 0 and not (self.truncated or self.unconstrained)


@dataclass(frozen=True)
class OrderFit:
    """The fit of one order.

    Attributes
    ----------
    number : int
        Order number.
    estimates : dict of OrderEstimate
        Of each free parameter; empty if the fit failed.
    shortfall : str
        The convergence criterion that the chain fails; empty if it has converged.
    failure : str
        Why the fit failed; empty if it did not.
    """

    number: int
    estimates: dict[str, OrderEstimate]
    shortfall: str = ""
    failure: str = ""


@dataclass(frozen=True)
class OrdersAlone:
    """The fits of all orders, each on its own, and the pooled results.

    Attributes
    ----------
    fits : tuple of OrderFit
    pooled : dict of Pooled
        Of each parameter for which two or more orders can be pooled; see `included`.
    """

    fits: tuple[OrderFit, ...]
    pooled: dict[str, Pooled]

    @classmethod
    def of(cls, fits: Sequence[OrderFit]) -> OrdersAlone:
        """Pool the fits."""
        alone = cls(tuple(sorted(fits, key=lambda fit: fit.number)), {})
        for name in alone.names:
            estimates = [fit.estimates[name] for fit in alone.included(name)]
            if len(estimates) > 1:
                alone.pooled[name] = pool(
                    [e.mean for e in estimates],
                    [e.sd for e in estimates],
                    np.array([e.shared for e in estimates]).reshape(len(estimates), -1),
                    estimates[0].prior,
                )
        return alone

    @classmethod
    def stored(cls, folder: RunFolder) -> OrdersAlone | None:
        """Read the fits of a run; None if its orders were not fitted alone.

        Raises
        ------
        UnreadableFile
        """
        content = folder.read_json(BY_ORDER)
        if content is None:
            return None
        try:
            return TypeAdapter(cls).validate_python(content)
        except ValueError as error:
            raise unreadable_result(folder.path / BY_ORDER, error) from None

    @property
    def names(self) -> list[str]:
        """The parameters of the fits."""
        return list(dict.fromkeys(name for fit in self.fits for name in fit.estimates))

    def included(self, name: str) -> list[OrderFit]:
        """Return the fits of a parameter that are pooled: those that measure it."""
        return [f for f in self.fits if name in f.estimates and f.estimates[name].is_measured]

    def disagreeing(self) -> dict[str, dict[int, float]]:
        """Return the orders that disagree with the others, by parameter.

        Returns
        -------
        dict of dict of float
            ``[name][number]``: the difference from what the other orders predict, in standard
            deviations.
        """
        found = {}
        for name, pooled in self.pooled.items():
            numbers = [fit.number for fit in self.included(name)]
            found[name] = {numbers[m]: pooled.deviations[m] for m in pooled.disagreeing}
        return {name: orders for name, orders in found.items() if orders}

    @property
    def notes(self) -> list[str]:
        """What a reader must know, one sentence each."""
        notes = [
            f"orders that disagree with the others in {name}: "
            + ", ".join(f"{number} ({sd:+.1f} sd)" for number, sd in orders.items())
            for name, orders in self.disagreeing().items()
        ]
        for name in self.names:
            notes += self._not_pooled(name)
        unconverged = [fit.number for fit in self.fits if fit.shortfall]
        if unconverged:
            notes.append(
                f"alone, NOT CONVERGED: order {number_list(unconverged)}. Raise max_steps and "
                "resume the run"
            )
        return notes + [
            f"order {fit.number} alone: {fit.failure}" for fit in self.fits if fit.failure
        ]

    def _not_pooled(self, name: str) -> list[str]:
        """Say which orders are not pooled in a parameter, and why."""
        notes, estimates = [], {f.number: f.estimates[name] for f in self.fits if f.estimates}
        truncated = [m for m, estimate in estimates.items() if estimate.truncated]
        if truncated:
            notes.append(
                f"not pooled in {name}, whose interval the prior truncates: "
                f"order {number_list(truncated)}"
            )
        free = [m for m, e in estimates.items() if e.unconstrained and not e.truncated]
        if free:
            notes.append(
                f"not pooled in {name}, which the data of one order hardly constrain: "
                f"order {number_list(free)}"
            )
        return notes
