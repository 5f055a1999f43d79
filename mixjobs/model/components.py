"""The components of a mixture, and what each row of parameters asks of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Literal

import numpy as np
from scipy.sparse import csr_array

from mixjobs.errors import OutsideGrid
from mixjobs.grid import Grid
from mixjobs.interpolation import Outside
from mixjobs.interpolation.cells import Interpolation, why_invalid
from mixjobs.model.blackbody import planck, planck_mean
from mixjobs.model.layout import Layout, Values, fractions, solid_angles
from mixjobs.model.order_model import OrderBasis
from mixjobs.orders import Orders
from mixjobs.typing import Bools, Floats

Weighting = Literal["c", "log_omega"]
Columns = Mapping[str, int]


@dataclass(frozen=True, eq=False)
class Read:
    """What one component reads in the table of all parameters.

    Attributes
    ----------
    place : (n, R) sparse array, or (n,) array
        Interpolation weights; of a black body, Teff.
    rv, vsini : (n,) arrays
        km/s; 0 where the row is not valid, and for a black body.
    steps : (n, D) array
        theta in steps of the grid's axes (their mean steps); D is 0 for a black body.
    valid : (n,) bool array
    """

    place: csr_array | Floats
    rv: Floats
    vsini: Floats
    steps: Floats
    valid: Bools


@dataclass(frozen=True, eq=False)
class LibraryModel:
    """A library in a mixture: its grid, how to go between its points, its orders."""

    grid: Grid
    between: Interpolation
    orders: Sequence[OrderBasis]

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters of a component; those with one value on the grid are left out."""
        return (*(self.grid.names[d] for d in self.grid.free), "vsini", "rv")

    @property
    def max_velocity(self) -> float:
        """How far velocities may take light from, in every order: km/s."""
        return min(order.max_velocity for order in self.orders)

    def _theta(self, table: Floats, columns: Columns) -> Floats:
        theta = np.repeat(self.grid.points[:1], len(table), axis=0)
        for d in self.grid.free:
            theta[:, d] = table[:, columns[self.grid.names[d]]]
        return theta

    def read(self, table: Floats, columns: Columns) -> Read:
        """Read a component's parameters in the table (n, all of them)."""
        theta = self._theta(table, columns)
        rv, vsini = table[:, columns["rv"]], table[:, columns["vsini"]]
        place, valid = self.between.weights(theta)
        valid = valid & (vsini >= 0) & (vsini < np.inf) & (np.abs(rv) < np.inf)
        if not valid.all():  # such a row gets another's weights: its own mean nothing
            theta = np.where(valid[:, None], theta, self.grid.points[0])
            place, _ = self.between.weights(theta)
        step = np.array([np.diff(self.grid.axes[d]).mean() for d in self.grid.free])
        moving = np.where(valid, rv, 0.0), np.where(valid, vsini, 0.0)
        return Read(place, *moving, theta[:, list(self.grid.free)] / step, valid)

    def covers(self, read: Read) -> Bools:
        """Whether the velocities of each row stay within the buffer of every order: (n,)."""
        return np.abs(read.rv) <= self.max_velocity - read.vsini  # a sum might overflow

    def why(self, row: Floats, columns: Columns) -> str:
        """Say why one row of the table is not valid."""
        rv, vsini = row[columns["rv"]], row[columns["vsini"]]
        if vsini < 0:
            return f"vsini = {vsini:g} km/s is negative"
        if not abs(rv) <= self.max_velocity - vsini:
            return (
                f"rv = {rv:g} and vsini = {vsini:g} km/s go beyond the emulator's buffer, "
                f"which leaves {self.max_velocity:.4g} km/s for both; build it with a larger "
                "--max-rv"
            )
        return why_invalid(self.grid, self._theta(row[None], columns)[0])

    def log_mean_error(self, m: int) -> float:
        """Standard error of ln(mean flux) in order row `m`."""
        return self.orders[m].log_mean_error

    def reconstruction_error(self, m: int) -> float:
        """r.m.s. of what the emulator leaves out in order row `m`."""
        return self.orders[m].reconstruction_error


@dataclass(frozen=True, eq=False)
class BlackBody:
    """A black body in a mixture; it has no lines, so neither rotation nor velocity.

    Attributes
    ----------
    orders : Orders
        Windows of its Planck means, Å.
    wavelength : sequence of (n_pixels,) arrays
        The data's pixels.
    unit : float
        A flux of 1 erg/s/cm²/Å in the unit of the libraries.
    """

    orders: Orders
    wavelength: Sequence[Floats]
    unit: float

    names = ("teff",)

    def log_mean(self, m: int, teff: Floats) -> Floats:
        """ln(mean flux) in order row `m`, (n,), for teff (n,)."""
        window = self.orders.take([m])
        mean: Floats = planck_mean(window.wave_min, window.wave_max, teff)[:, 0]
        return np.log(mean * self.unit)

    def shape(self, m: int, teff: Floats) -> Floats:
        """Flux over its mean on the pixels of order row `m`, (n, n_pixels), for teff (n,)."""
        flux = planck(self.wavelength[m], teff[:, None]) * self.unit
        shape: Floats = flux / np.exp(self.log_mean(m, teff))[:, None]
        return shape

    def read(self, table: Floats, columns: Columns) -> Read:
        """Read a component's Teff in the table (n, all parameters)."""
        teff = table[:, columns["teff"]]
        valid = (teff > 0) & (teff < np.inf)
        still = np.zeros(len(table))
        return Read(np.where(valid, teff, 5000.0), still, still, still[:, None][:, :0], valid)

    def covers(self, read: Read) -> Bools:
        """Return True: a black body does not move."""
        return np.ones(len(read.rv), dtype=bool)

    def why(self, row: Floats, columns: Columns) -> str:
        """Say why one row of the table is not valid."""
        return f"a black body has no temperature of {row[columns['teff']]:g} K"

    def log_mean_error(self, m: int) -> float:  # noqa: ARG002
        """Return 0: a black body's mean is exact."""
        return 0.0

    def reconstruction_error(self, m: int) -> float:  # noqa: ARG002
        """Return 0: a black body's flux is exact."""
        return 0.0


Source = LibraryModel | BlackBody


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of parameters, read for every component; made by `read_rows`.

    Attributes
    ----------
    weight : (n, K) array
        The fraction of each component, or its solid angle; NaN in a row that is not valid.
    components : tuple of Read
    library : tuple of int
        Which library each component is of; another number for each black body.
    """

    weight: Floats
    components: tuple[Read, ...]
    library: tuple[int, ...]

    @cached_property
    def correlation(self) -> Floats:
        """How far the errors of the components' emulators go together: (n, K, K).

        ``exp(-d²/2)`` for two of one library, d their distance in steps of the grid: what lies in
        the same cell is interpolated from the same points. Else 0.
        """
        found = np.broadcast_to(np.eye(len(self.library)), (len(self), *[len(self.library)] * 2))
        found = found.copy()
        for j, k in combinations(range(len(self.library)), 2):
            if self.library[j] == self.library[k]:
                distance = self.components[j].steps - self.components[k].steps
                found[:, j, k] = found[:, k, j] = np.exp(-0.5 * (distance**2).sum(axis=1))
        return found

    def __len__(self) -> int:
        return len(self.weight)


def read_rows(
    sources: Sequence[Source],
    layout: Layout,
    weighting: Weighting,
    outside: Outside,
    values: Values,
) -> tuple[Rows, tuple[int, ...]]:
    """Read rows of parameters, and check them.

    Returns
    -------
    rows : Rows
    leading : tuple of int
        The leading shape of the values.

    Raises
    ------
    InvalidInput
        Parameters of another shape, or with wrong names.
    OutsideGrid
        If `outside` is "raise": a theta that is not valid, a velocity beyond the buffer, or
        fractions that are none.
    """
    table, leading = layout.table(values)
    n_weights = len(sources) - (weighting == "c")
    given = table[:, table.shape[1] - n_weights :]
    weight = fractions(given) if weighting == "c" else solid_angles(given)
    read = [source.read(table, c) for source, c in zip(sources, layout.columns, strict=True)]
    if outside == "raise":
        wrong = np.isnan(weight).any(axis=1)
        if wrong.any():
            said = ", ".join(f"{c:g}" for c in given[wrong][0])
            if weighting == "log_omega":
                raise OutsideGrid(f"log_omega = {said}: expected at most 100")
            raise OutsideGrid(f"c = {said}: expected fractions, from 0 to 1 and together too")
        for k, (source, columns) in enumerate(zip(sources, layout.columns, strict=True)):
            fits = read[k].valid & source.covers(read[k])
            if not fits.all():
                row = table[~fits][0]
                raise OutsideGrid(f"component {k + 1}: {source.why(row, columns)}")
    for component in read:
        weight[~component.valid] = np.nan
    library = tuple(list(map(id, sources)).index(id(source)) for source in sources)
    return Rows(weight, tuple(read), library), leading
