"""What an emulator will need: its windows, its scratch space, its memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mixjobs.orders import Orders
from mixjobs.tables.windows import EmulatorSettings, Window, make_windows
from mixjobs.typing import Floats
from mixjobs.wavelengths import SPEED_OF_LIGHT


@dataclass(frozen=True, eq=False)
class EmulatorPlan:
    """The emulator of a job.

    Attributes
    ----------
    settings : EmulatorSettings
    windows : list
        One an order, None where it has no emulator.
    notes : tuple of str
        Orders that were left out or whose buffer was shortened, with the numbers.
    n_points : int
    """

    settings: EmulatorSettings
    windows: Sequence[Window | None]
    notes: tuple[str, ...]
    n_points: int

    @property
    def n_orders(self) -> int:
        """Orders that will have an emulator."""
        return sum(window is not None for window in self.windows)

    @property
    def n_pixels(self) -> int:
        """Grid pixels of all orders."""
        return sum(window.grid.n_pixels for window in self.windows if window)

    @property
    def scratch_bytes(self) -> int:
        """Size of the scratch array: all spectra in their windows, float32."""
        return 4 * self.n_points * self.n_pixels

    @property
    def stored_bytes(self) -> int:
        """Size of the emulator in the store, at most."""
        accuracy = self.settings.accuracy
        rank = min(accuracy.rank or accuracy.max_rank, self.n_points)
        return 8 * (rank + 2) * (self.n_pixels + self.n_orders * self.n_points)

    def worker_bytes(self, points: int) -> int:
        """Memory that a task needs: spectra of so many points, or one order of all points.

        An order's matrix, and beside it two more where it is decomposed fully.
        """
        widest = max(window.grid.n_pixels for window in self.windows if window)
        few = min(self.n_points, widest) <= 2 * self.settings.accuracy.max_rank
        return 8 * max(2 * points * self.n_pixels, (3 if few else 2) * self.n_points * widest)

    @property
    def attributes(self) -> dict[str, Any]:
        """What the store says of how its emulator was made."""
        return {
            "n_orders": self.n_orders,
            **asdict(self.settings),
            "buffer": self.settings.buffer * SPEED_OF_LIGHT,
            "notes": list(self.notes),
        }

    @property
    def identity(self) -> str:
        """What makes this emulator this emulator, for a reader and for a resumed job."""
        said = asdict(self.settings)
        said |= said.pop("accuracy")
        return ", ".join(f"{name} {value}" for name, value in said.items() if value is not None)


def plan_emulator(
    wavelength: Floats, orders: Orders, settings: EmulatorSettings, n_points: int
) -> EmulatorPlan:
    """Lay out the windows of a library's orders.

    Raises
    ------
    OrderError
        The library does not cover an order's buffer, and that is not allowed.
    """
    windows, notes = make_windows(wavelength, orders, settings)
    return EmulatorPlan(settings, windows, tuple(notes), n_points)
