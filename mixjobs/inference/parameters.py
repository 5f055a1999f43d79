"""The parameters of a fit: which are free, fixed or tied, and which each epoch has for itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixjobs.errors import InvalidInput
from mixjobs.inference.dirichlet import Dirichlet
from mixjobs.inference.priors import Prior, open_unit
from mixjobs.inference.rules import (
    Below,
    Rule,
    Tie,
    can_hold,
    fraction_names,
    known,
    make_rule,
    numbered,
    resolve,
)
from mixjobs.model.layout import fractions
from mixjobs.typing import Floats

_BATCH = 1000  # draws at a time, at least
_ENOUGH = 100_000  # draws after which too few that keep the constraints are an error
_TOO_FEW = 1e-3


class Row(NamedTuple):
    """A line of the table that is printed before a fit starts."""

    name: str
    status: str  # "free", "optimum", "fixed" or "tied"
    prior: str  # its prior, its value, or what it is tied to


@dataclass(frozen=True, eq=False)
class Parameters:
    """The parameters of a fit, and their prior; made by `settings.make_parameters`.

    Attributes
    ----------
    fit : tuple of str
        The names that the fit has, the columns of a table.
    columns : tuple over epochs of tuples of str
        The parameter that each epoch has in each column: ``rv_e2`` in the place of ``rv``.
    rules : dict
        What governs each parameter: a prior, a fixed value, or a tie.
    constraints : tuple of Below
    optimum : tuple of str
        Free parameters that are to be fixed, with `fix`, at what an optimiser finds.
    """

    fit: tuple[str, ...]
    columns: tuple[tuple[str, ...], ...]
    rules: Mapping[str, Rule]
    constraints: tuple[Below, ...] = ()
    optimum: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in self.rules:
            resolve(name, self.rules)
        for constraint in self.constraints:
            if not can_hold(constraint, self.rules):
                raise InvalidInput(
                    f"constraint {constraint} can never hold with these priors; change one of them"
                )
        if not self.names:
            raise InvalidInput("no parameter is free; give at least one of them a prior")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The P free parameters, in the order of theta."""
        return tuple(n for n, rule in self.rules.items() if not isinstance(rule, float | Tie))

    @cached_property
    def bounds(self) -> Floats:
        """Support of each free parameter's prior, (P, 2); infinite where it has no bound."""
        bounds = np.empty((len(self.names), 2))
        for place, prior in self._priors:
            bounds[place] = prior.bounds
        return bounds

    def table(self, theta: ArrayLike) -> list[Floats]:
        """Fill in what is fixed and tied.

        Parameters
        ----------
        theta : (n, P) array

        Returns
        -------
        list over epochs of (n, n_names) arrays
            In the order of `fit`.
        """
        every = self._every(self._rows(theta))
        place = {name: column for column, name in enumerate(self.rules)}
        return [every[:, [place[name] for name in names]] for names in self.columns]

    def log_prior(self, theta: ArrayLike) -> Floats:
        """Logarithm of the prior density of the free parameters, (n,), at theta (n, P).

        -inf outside a support, where a constraint is broken, and where the fractions of the
        components are none (from 0 to 1, and together too). The density is the product of the
        priors: it is not normalised again for what constraints take away. That is a constant
        factor, which no sample depends on; an evidence would.
        """
        rows = self._rows(theta)
        total = np.zeros(len(rows))
        for place, prior in self._priors:
            total += prior.log(rows[:, place])
        total[~self._keeps(rows)] = -np.inf
        return total

    def quantile(self, u: ArrayLike) -> Floats:
        """Map u in the unit cube, (P,) or (n, P), to theta of that shape, with the priors' density.

        Constraints are not looked at.
        """
        unit = self.one_or_rows(u, "u")
        rows = np.atleast_2d(unit)
        theta = np.empty_like(rows)
        for place, prior in self._priors:
            theta[:, place] = prior.quantile(rows[:, place])
        return theta.reshape(unit.shape)

    def one_or_rows(self, values: ArrayLike, called: str = "theta") -> Floats:
        """Return one value a free parameter, (P,), or rows of them, (n, P), as an array.

        Raises
        ------
        InvalidInput
            Values of another shape, by what they are called.
        """
        found = np.asarray(values, dtype=np.float64)
        n_free = len(self.names)
        if found.ndim not in (1, 2) or found.shape[-1] != n_free:
            raise InvalidInput(
                f"{called} of shape {found.shape}; expected ({n_free},) or (n, {n_free}): "
                f"{', '.join(self.names)}"
            )
        return found

    def draw(self, rng: np.random.Generator, n: int) -> Floats:
        """Draw n theta, (n, P), from the prior; draws that break a constraint are drawn again.

        Raises
        ------
        InvalidInput
            Nearly none of the draws keeps the constraints.
        """
        kept = np.empty((0, len(self.names)))
        tried = 0
        while len(kept) < n:
            if tried >= _ENOUGH and len(kept) < _TOO_FEW * tried:
                said = ", ".join(map(str, self.constraints)) or "fractions from 0 to 1"
                raise InvalidInput(
                    f"of {tried} draws from the priors {len(kept)} keep to {said}; "
                    "change the priors or the constraints"
                )
            drawn = self.quantile(open_unit(rng, (max(n, _BATCH), len(self.names))))
            tried += len(drawn)
            kept = np.concatenate([kept, drawn[np.isfinite(self.log_prior(drawn))]])
        return kept[:n]

    def fix(self, name: str, value: float) -> Parameters:
        """Return these parameters with one of them fixed that was free.

        The name of what each epoch or each component has for itself, as `rv`, fixes them all.

        Raises
        ------
        InvalidInput
            The name is unknown or is not free, the value not finite; one of several fractions
            that have one Dirichlet prior; a constraint can then never hold.
        """
        fixed = self._called(name)
        unfree = [n for n in fixed if n not in self.names]
        if unfree:
            raise InvalidInput(f"{unfree[0]} is not free; there are {', '.join(self.names)}")
        for names in self._fractions:
            joint = isinstance(self.rules[names[0]], Dirichlet)
            if joint and 0 < len(set(names) & set(fixed)) < len(names):
                raise InvalidInput(f"fix all of {', '.join(names)}: they share a Dirichlet prior")
        rule = make_rule(value)
        if not isinstance(rule, float):
            raise InvalidInput(f"{name} fixed at {value!r}; expected a number")
        return replace(
            self,
            rules={n: rule if n in fixed else old for n, old in self.rules.items()},
            optimum=tuple(n for n in self.optimum if n not in fixed),
        )

    def rows(self) -> list[Row]:
        """Name, status and prior of every parameter, for the table printed before the start."""
        return [Row(name, self._status(name), _said(rule)) for name, rule in self.rules.items()]

    def _status(self, name: str) -> str:
        rule = self.rules[name]
        if isinstance(rule, float):
            return "fixed"
        if isinstance(rule, Tie):
            return "tied"
        return "optimum" if name in self.optimum else "free"

    @cached_property
    def _priors(self) -> list[tuple[int | list[int], Prior | Dirichlet]]:
        """Each prior, and its column or columns of theta."""
        found: list[tuple[int | list[int], Prior | Dirichlet]] = []
        for name, rule in self.rules.items():
            if isinstance(rule, Dirichlet):
                group = next(names for names in self._fractions if name in names)
                if name == group[0]:
                    found.append(([self.names.index(n) for n in group], rule))
            elif not isinstance(rule, float | Tie):
                found.append((self.names.index(name), rule))
        return found

    @cached_property
    def _fractions(self) -> list[tuple[str, ...]]:
        """The fractions of the components, of each epoch; one group where epochs share them."""
        places = [self.fit.index(name) for name in fraction_names(self.fit)]
        groups = dict.fromkeys(tuple(names[p] for p in places) for names in self.columns)
        return [group for group in groups if group]

    def _called(self, name: str) -> list[str]:
        """All parameters that a name speaks of: itself, or what epochs and components have."""
        if name in self.rules:
            return [name]
        known(name, [*self.rules, *self.fit] + ["c"] * bool(self._fractions), "fix")
        places = [self.fit.index(n) for n in numbered(name, self.fit)]
        return list(dict.fromkeys(names[p] for p in places for names in self.columns))

    def _keeps(self, theta: Floats) -> NDArray[np.bool_]:
        """Whether each row keeps the constraints, and its fractions are fractions: (n,)."""
        every = self._every(theta)
        place = {name: column for column, name in enumerate(self.rules)}
        keeps = np.ones(len(theta), dtype=bool)
        for constraint in self.constraints:
            keeps &= every[:, place[constraint.lesser]] < every[:, place[constraint.greater]]
        for names in self._fractions:
            with np.errstate(over="ignore"):
                c = fractions(every[:, [place[name] for name in names]])
            keeps &= ~np.isnan(c).any(axis=1)
        return keeps

    def _every(self, theta: Floats) -> Floats:
        """Values of all parameters, (n, n_rules), in the order of `rules`."""
        # No matrix product: its last bits depend on how many rows it is given.
        every = np.empty((len(theta), len(self.rules)))
        for column, end in enumerate(self._ends):
            if isinstance(end, float):
                every[:, column] = end
                continue
            with np.errstate(over="ignore"):
                every[:, column] = end.factor * theta[:, self.names.index(end.name)] + end.offset
        return every

    @cached_property
    def _ends(self) -> list[Tie | float]:
        return [resolve(name, self.rules) for name in self.rules]

    def _rows(self, theta: ArrayLike) -> Floats:
        rows = np.asarray(theta, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != len(self.names):
            raise InvalidInput(
                f"theta of shape {rows.shape}; expected (n, {len(self.names)}): "
                f"{', '.join(self.names)}"
            )
        return rows


def _said(rule: Rule) -> str:
    return f"{rule:g}" if isinstance(rule, float) else str(rule)
