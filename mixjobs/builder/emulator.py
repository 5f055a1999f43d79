"""The emulator of a build: its settings, its segments, and the resources that they need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mixjobs.builder.segments import Segment, make_segments
from mixjobs.config.build import EmulatorConfig
from mixjobs.config.toml import validate
from mixjobs.display import Summarised
from mixjobs.errors import InvalidInput
from mixjobs.model.broadening import half_width, profile_sigma
from mixjobs.orders import Orders
from mixjobs.sections import Section
from mixjobs.units import to_integer, to_value
from mixjobs.wavelengths import SPEED_OF_LIGHT

_UNITS = {"max_rv": "km/s", "max_vsini": "km/s", "step": "km/s"}
_COUNTS = ("rank", "max_rank")


class EmulatorSettings(EmulatorConfig, Summarised):
    """The velocities and instruments that an emulator must cover, and its accuracy.

    All parameters are optional keywords, the same as in the table ``[emulator]`` of a job file.

    Parameters
    ----------
    max_rv, max_vsini : float or Quantity
        Largest radial velocity and projected rotation velocity, km/s.
    min_resolution : float
        Lowest resolving power.
    step : float or Quantity
        Step of the wavelength grid, km/s; by default the library's own.
    short_buffer : {"refuse", "skip", "shrink"}
        What to do with an order whose buffer extends beyond the library.
    explained_variance : float
        Least fraction of the variance that the eigenspectra explain.
    max_residual : float
        Largest residual of any pixel at the grid points, as a fraction of the mean flux.
    max_rank : int
        Largest number of eigenspectra, which overrules the two limits above.
    rank : int
        Exactly this number of eigenspectra.

    Raises
    ------
    InvalidInput
        A parameter is unknown, or its value is out of range.

    Examples
    --------
    >>> settings = EmulatorSettings(max_rv=50, rank=12)
    >>> settings.max_rv, settings.max_vsini, f"{settings.buffer_velocity:.0f} km/s"
    (50.0, 150.0, '264 km/s')
    """

    def __init__(self, **options: Any) -> None:
        values = {name: _plain(name, value) for name, value in options.items()}
        # pydantic accepts Python's scalars, but not NumPy's
        values = {name: v.item() if hasattr(v, "item") else v for name, v in values.items()}
        validate(EmulatorConfig, values, "emulator", {})
        super().__init__(**values)

    def _facts(self) -> dict[str, object]:
        limits = (
            f"{self.explained_variance:g} of the variance, residuals up to {self.max_residual:g}"
        )
        return {
            "rv": f"up to {self.max_rv:g} km/s",
            "vsini": f"up to {self.max_vsini:g} km/s",
            "resolution": f"at least {self.min_resolution:g}",
            "step": "the library's" if self.step is None else f"{self.step:g} km/s",
            "short buffer": self.short_buffer,
            "eigenspectra": self.rank or f"up to {self.max_rank}: {limits}",
        }

    def __repr__(self) -> str:  # pydantic's comes first in the base classes
        return Summarised.__repr__(self)

    __str__ = __repr__

    def __dir__(self) -> list[str]:
        """List the settings, without pydantic's methods."""
        return [*EmulatorConfig.model_fields, "buffer", "buffer_velocity"]

    @property
    def buffer(self) -> float:
        """Width of the buffer on either side of an order, in ln(wavelength)."""
        sigma = profile_sigma(resolution=self.min_resolution)
        return float(half_width(self.max_vsini, self.max_rv, sigma))

    @property
    def buffer_velocity(self) -> float:
        """Width of the buffer in km/s."""
        return self.buffer * SPEED_OF_LIGHT


def _plain(name: str, value: Any) -> Any:
    """Convert a quantity; leave the rest to pydantic."""
    plain = to_value(value, _UNITS.get(name, ""), name)
    return plain if plain is value or name not in _COUNTS else to_integer(plain, name)


def emulator_settings(emulator: EmulatorConfig | bool | None) -> EmulatorSettings | None:
    """Return the settings of an emulator: True stands for the defaults, False for none."""
    if emulator is None or emulator is False:
        return None
    if emulator is True:
        return EmulatorSettings()
    if isinstance(emulator, EmulatorSettings):
        return emulator
    if isinstance(emulator, EmulatorConfig):
        return EmulatorSettings(**emulator.model_dump())
    raise InvalidInput(
        f"emulator = {emulator!r}; expected True, False or an EmulatorSettings",
        name="emulator",
        value=emulator,
    )


@dataclass(frozen=True, eq=False)
class EmulatorPlan:
    """The emulator of a build.

    Attributes
    ----------
    settings : EmulatorSettings
    segments : list of M Segment or None
        None for an order that has no emulator.
    notes : tuple of str
        A line for each order that was left out or whose buffer was shortened.
    n_points : int
        Number of grid points.
    """

    settings: EmulatorSettings
    segments: Sequence[Segment | None]
    notes: tuple[str, ...]
    n_points: int

    @property
    def n_orders(self) -> int:
        """Number of orders that will have an emulator."""
        return sum(segment is not None for segment in self.segments)

    @property
    def n_pixels(self) -> int:
        """Number of pixels of all segments' grids."""
        return sum(segment.grid.n_pixels for segment in self.segments if segment)

    @property
    def scratch_bytes(self) -> int:
        """Size of the scratch arrays: all spectra on all segments, float32."""
        return 4 * self.n_points * self.n_pixels

    @property
    def stored_bytes(self) -> int:
        """Largest size of the emulator in the store."""
        rank = min(self.settings.rank or self.settings.max_rank, self.n_points)
        return 8 * (rank + 2) * (self.n_pixels + self.n_orders * self.n_points)

    def worker_bytes(self, points: int) -> int:
        """Memory of a task, which holds the spectra of `points` points, or one order of all points.

        Decomposing an order takes its matrix and a copy; a full decomposition takes a second copy.
        """
        widest = max(segment.grid.n_pixels for segment in self.segments if segment)
        full = min(self.n_points, widest) <= 2 * self.settings.max_rank
        return 8 * max(2 * points * self.n_pixels, (3 if full else 2) * self.n_points * widest)

    @property
    def attributes(self) -> dict[str, Any]:
        """Attributes of the emulator in the store: how it was made."""
        return {
            "n_orders": self.n_orders,
            **self.settings.model_dump(),
            "buffer": self.settings.buffer_velocity,
            "notes": list(self.notes),
        }

    @property
    def identity(self) -> str:
        """The settings in one line, which must be the same in a resumed job."""
        settings = self.settings.model_dump()
        return ", ".join(f"{name} {value}" for name, value in settings.items() if value is not None)


def plan_emulator(
    sections: Sequence[Section], orders: Orders, settings: EmulatorSettings, n_points: int
) -> EmulatorPlan:
    """Lay out the segments of a library's orders.

    Parameters
    ----------
    sections : sequence of Section
        Sections of the library.
    orders : Orders
    settings : EmulatorSettings
    n_points : int
        Number of grid points.

    Raises
    ------
    OrderError
        The library does not cover the buffer of an order, and `short_buffer` is "refuse".
    InvalidInput
        More eigenspectra are requested than there are grid points.
    """
    if settings.rank is not None and settings.rank > n_points:
        raise InvalidInput(
            f"rank = {settings.rank}: {n_points} grid points have at most as many eigenspectra; "
            "lower the rank, or leave it out",
            name="emulator.rank",
            value=settings.rank,
        )
    segments, notes = make_segments(sections, orders, settings)
    return EmulatorPlan(settings, segments, tuple(notes), n_points)
