"""Callbacks of a sampling job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mixjobs.config.sample import SampleConfig
    from mixjobs.inference.log_probability import LogProbability
    from mixjobs.inference.order_noise import OrderNoise
    from mixjobs.inference.orders_alone import OrderFit
    from mixjobs.inference.preparation import CompressionCheck
    from mixjobs.inference.sampler import Progress


class SampleReport:
    """Callbacks of a sampling job; a subclass overrides those it needs. This class prints nothing.

    An exception that a method raises ends the job, like Ctrl-C. The run can be resumed.
    """

    def loaded(self, job: SampleConfig, log_probability: LogProbability) -> None:
        """The data and the model are loaded."""

    def searching(self, done: int, total: int) -> None:
        """The search for the optimum has finished `done` of at most `total` generations."""

    def starting(self, starts: Sequence[dict[str, float]], heights: Sequence[float]) -> None:
        """The search has ended; `starts` and `heights` hold each ensemble's start and its ln P."""

    def holding(self, noise: Sequence[OrderNoise]) -> None:
        """The noise of each order has been found, and is held from now on."""

    def hinting(self, hint: str) -> None:
        """The optimum suggests an error in the input, which `hint` describes."""

    def sampling(self, progress: Progress) -> None:
        """A step has been completed."""

    def repeating(self, check: CompressionCheck) -> None:
        """The draws disagree with the pixels; sampling begins again with a better compression."""

    def checked(self, check: CompressionCheck) -> None:
        """The draws, which did not come from pixels, have been compared with them."""

    def concluding(self) -> None:
        """Sampling has ended; the model comparison and the posterior follow."""

    def fitted_alone(self, fit: OrderFit, done: int, total: int) -> None:
        """An order has been fitted on its own, as the `done`-th of `total`."""

    def close(self) -> None:
        """The job has ended, or failed."""
