"""Holes of the grid: how much of the prior they cover, and where the posterior ends at one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from mixjobs.errors import InvalidInput
from mixjobs.grid import describe_points
from mixjobs.inference.defaults import ModelDomain
from mixjobs.inference.parameters import Parameters
from mixjobs.inference.priors import open_uniform
from mixjobs.interpolation.cells import Cells
from mixjobs.interpolation.filling import fill_holes
from mixjobs.interpolation.holes import Nodes, near, theta_at
from mixjobs.model.library_model import LibraryModel
from mixjobs.typing import Bools, Floats, Ints

Kind = Literal["prior", "posterior"]

_SEED = 20130917
_N_DRAWS = 20_000
_MIN_ACCEPTED = 100  # draws that satisfy the constraints; otherwise constraints are ignored
_MAX_LISTED = 20  # points in a file
_WHOLE = {"prior": "prior's volume", "posterior": "samples"}
# The posterior ends at a hole if at least this fraction of the proposals x_i + x_j - x_k, which
# follow its shape, fall into the hole. It is 0.17 for a uniform posterior that the hole cuts off,
# 0.25 for an exponential one, and 0.1 for a normal one whose mean is 2.2 sd from the hole.
_MIN_PROPOSALS_IN_HOLE = 0.1


@dataclass(frozen=True)
class HoleReport:
    """Missing grid points that a component needs, or that it uses because they were filled.

    Attributes
    ----------
    component : int
        Number of the component, from 1; 0 if it is the only one.
    of : {"prior", "posterior"}
    fraction : float
        The fraction of a prior's volume, or of the samples, that needs one of the points; for a
        posterior that ends at a hole, the fraction of the samples within one grid step of it.
    points : tuple of dict
        The points that are needed most, at most 20, by the names of their parameters.
    n_points : int
        Number of all points that are needed.
    n_fillable : int
        Number of them that ``holes = "interpolate"`` would fill.
    error : (float, float) or None
        Of filled points: median and 95th percentile of the error of ln(mean flux) at known points
        that are filled in the same way. None for points that are missing.
    """

    component: int
    of: Kind
    fraction: float
    points: tuple[dict[str, float], ...]
    n_points: int
    n_fillable: int = 0
    error: tuple[float, float] | None = None

    def __str__(self) -> str:
        which = f"component {self.component}: " if self.component else ""
        part = f"{percent(self.fraction)} of the {_WHOLE[self.of]}"
        points = describe_points(self.points, self.n_points)
        if self.error is not None:
            median, worst = self.error
            uses = "use" if self.of == "posterior" else "uses"
            return (
                f"{which}{part} {uses} grid points that were filled from their neighbours: "
                f"{points}. Known points that are filled in the same way are off by {median:.2g} "
                f"(median) and {worst:.2g} (95 %) in ln(mean flux)."
            )
        lacks = f"the library has no spectrum at {points}"
        if self.of == "prior":
            return (
                f"{which}{part} needs grid points that are missing, and has no probability: "
                f"{lacks}. {', or '.join([*self._advice('set'), 'narrow the prior'])}."
            )
        them = "them" if self.n_points > 1 else "it"
        return (
            f"{which}the posterior ends at a hole of the grid: {lacks}. {part} lie within one grid "
            f"step of {them}. {', or '.join(self._advice('rerun with'))}."
        )

    def _advice(self, verb: str) -> list[str]:
        add = f"Add the spectr{'a' if self.n_points > 1 else 'um'}"
        if not self.n_fillable:
            return [add]
        some = (
            "" if self.n_fillable == self.n_points else f", which fills {self.n_fillable} of them"
        )
        return [add, f'{verb} holes = "interpolate"{some}']

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> HoleReport:
        """Make a report from its plain values, as in a file."""
        error = content["error"]
        return cls(**{
            **content,
            "points": tuple(content["points"]),
            "error": None if error is None else tuple(error),
        })  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {**asdict(self), "points": list(self.points)}


def percent(fraction: float) -> str:
    """Write a fraction in per cent.

    Examples
    --------
    >>> percent(0.412), percent(0.0123), percent(1.0)
    ('41 %', '1.2 %', '100 %')
    """
    return f"{100 * fraction:.0f} %" if fraction >= 0.0995 else f"{100 * fraction:.2g} %"


def prior_holes(parameters: Parameters, domain: ModelDomain) -> tuple[HoleReport, ...]:
    """Report the fraction of each component's prior that needs missing or filled grid points.

    The fraction is that of draws from the priors, with a fixed seed, that satisfy the constraints.

    Returns
    -------
    tuple of HoleReport
        One for each component and kind of points that its prior needs.

    Raises
    ------
    InvalidInput
        No draw of a component is covered by spectra.
    """
    components = _components(parameters, domain)
    if not components:
        return ()
    rng = np.random.default_rng(_SEED)
    draws = parameters.prior_transform(open_uniform(rng, (_N_DRAWS, len(parameters.names))))
    allowed = np.isfinite(parameters.log_prior(draws))
    draws = draws[allowed] if allowed.sum() >= _MIN_ACCEPTED else draws
    reports = []
    for component in components:
        uncovered, counts = component.needing(component.holes, draws)
        if uncovered.any():
            reports.append(component.report("prior", float(uncovered.mean()), counts))
        if uncovered.all():
            raise InvalidInput(str(reports[-1]), name="parameters", value=1.0)
        reports += component.report_filled("prior", draws, ~uncovered)
    return tuple(reports)


def posterior_holes(
    parameters: Parameters, domain: ModelDomain, x: Floats
) -> tuple[HoleReport, ...]:
    """Report where a posterior ends at a hole of the grid, and where it uses filled points.

    Parameters
    ----------
    parameters : Parameters
    domain : ModelDomain
    x : (n, P) array
        Samples of the posterior.

    Returns
    -------
    tuple of HoleReport
        At most one of each kind for each component.
    """
    components = _components(parameters, domain)
    if not components:
        return ()
    rng = np.random.default_rng(_SEED)
    i, j, k = rng.integers(0, len(x), (3, _N_DRAWS))
    proposals = x[i] + x[j] - x[k]
    proposals = proposals[np.isfinite(parameters.log_prior(proposals))]
    reports = []
    for component in components:
        in_hole, counts = component.needing(component.holes, proposals)
        if in_hole.sum() >= max(1, _MIN_PROPOSALS_IN_HOLE * len(proposals)):
            fraction = float(component.near(x, counts > 0).mean())
            reports.append(component.report("posterior", fraction, counts))
        reports += component.report_filled("posterior", x, np.ones(len(x), dtype=bool))
    return tuple(reports)


@dataclass(frozen=True, eq=False)
class _Component:
    """A component whose grid has holes.

    Attributes
    ----------
    number : int
        From 1; 0 if it is the only component.
    source : LibraryModel
    columns : mapping
        The columns of its parameters among all parameters.
    parameters : Parameters
    """

    number: int
    source: LibraryModel
    columns: Mapping[str, int]
    parameters: Parameters

    @cached_property
    def cells(self) -> Cells:
        """The cells of the grid, whose corners include the filled points."""
        return Cells(self.source.filling.grid if self.source.filling else self.source.grid)

    @cached_property
    def holes(self) -> Bools:
        """Whether each node of the flattened lattice is a hole that is not filled."""
        return self.cells.grid.lattice.ravel() < 0

    @cached_property
    def filled(self) -> Bools:
        """Whether each node of the flattened lattice is a filled point."""
        return self.cells.grid.lattice.ravel() >= len(self.source.grid)

    @cached_property
    def fillable(self) -> Bools:
        """Whether each node of the flattened lattice is a hole that could be filled."""
        grid = self.source.grid
        if self.source.filling is not None:
            return np.zeros(grid.lattice.size, dtype=bool)
        filling = fill_holes(grid, np.zeros((len(grid), 1)))
        return filling.grid.lattice.ravel() >= len(grid)

    def thetas(self, x: Floats) -> list[Floats]:
        """Return theta (n, D) in every epoch, at x (n, P)."""
        return [self.source.theta(params, self.columns) for params in self.parameters.params(x)]

    def needing(self, nodes: Bools, x: Floats) -> tuple[Bools, Ints]:
        """Whether each x (n, P) needs one of the nodes in any epoch, and how many need each."""
        needed = [Nodes.of(self.cells, theta) for theta in self.thetas(x)]
        any_needed = np.any([n.among(nodes) for n in needed], axis=0)
        return any_needed, np.sum([n.counts(nodes) for n in needed], axis=0)

    def near(self, x: Floats, nodes: Bools) -> Bools:
        """Whether each x (n, P) is within one grid step of a cell that needs one of the nodes."""
        close: Bools = np.any([near(self.cells, t, nodes) for t in self.thetas(x)], axis=0)
        return close

    def report(self, of: Kind, fraction: float, counts: Ints) -> HoleReport:
        """Report a fraction of samples and the nodes that they need, those needed most first."""
        grid, n_points = self.cells.grid, int(np.count_nonzero(counts))
        nodes = np.argsort(-counts, kind="stable")[: min(n_points, _MAX_LISTED)]
        names = [grid.names[d] for d in grid.free]
        points = tuple(
            dict(zip(names, theta, strict=True))
            for theta in theta_at(grid, nodes)[:, list(grid.free)].tolist()
        )
        n_fillable = int(np.count_nonzero(self.fillable & (counts > 0)))
        return HoleReport(self.number, of, fraction, points, n_points, n_fillable)

    def report_filled(self, of: Kind, x: Floats, valid: Bools) -> list[HoleReport]:
        """Report the filled points that the valid ones among samples (n, P) use, if any."""
        using, counts = self.needing(self.filled, x[valid])
        if self.source.filling is None or not using.any():
            return []
        rows = self.cells.grid.lattice.ravel()[counts > 0] - len(self.source.grid)
        median, worst = self.source.filling.error[rows].max(axis=0).tolist()
        report = self.report(of, np.count_nonzero(using) / len(x), counts)
        return [replace(report, n_fillable=0, error=(median, worst))]


def _components(parameters: Parameters, domain: ModelDomain) -> list[_Component]:
    """Return the components whose grids have holes."""
    single = len(domain.sources) == 1
    sources = zip(domain.sources, domain.layout.columns, strict=True)
    return [
        _Component(0 if single else number, source, columns, parameters)
        for number, (source, columns) in enumerate(sources, 1)
        if isinstance(source, LibraryModel) and len(source.grid.holes)
    ]
