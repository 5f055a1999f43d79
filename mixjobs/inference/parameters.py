"""The parameters of a fit: which are free, fixed or tied, and which each epoch has for itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixjobs.errors import InvalidInput
from mixjobs.inference.expressions import (
    NOISE,
    OPTIMUM,
    Below,
    Rule,
    Tie,
    can_hold,
    fraction_names,
    known,
    make_rule,
    numbered,
    read_constraint,
    resolve,
)
from mixjobs.inference.priors import Dirichlet, Prior, open_unit
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


Columns = tuple[tuple[str, ...], ...]


def make_parameters(
    fit: Sequence[str],
    defaults: Mapping[str, Prior],
    settings: Mapping[str, Any] | None = None,
    *,
    per_epoch: Sequence[str] = (),
    n_epochs: int = 1,
    constraints: Sequence[str] = (),
    dirichlet: Sequence[float] | None = None,
) -> Parameters:
    """Say which parameters of a fit are free, fixed or tied.

    Parameters
    ----------
    fit : sequence of str
        The names that the fit has: the model's parameters, with nothing fixed, and the noise's.
    defaults : mapping
        Priors by name, of what the user says nothing about; names that the fit has not are passed
        over.
    settings : mapping, optional
        What the user says, by name: a prior (an object, or a mapping such as
        ``{"uniform": [0, 1]}``), a number (fixed), a tie ("2 * logg_1 + 0.1"), or, of the noise's
        parameters, "optimum".
    per_epoch : sequence of str
        What each epoch has for itself: ``rv`` becomes ``rv_e1``, ``rv_e2`` and so on where there
        is more than one epoch. A setting, a tie or a constraint of `rv` is then that of each
        epoch that has none of its own. A name whose components are numbered stands for all of
        them: `rv` for `rv_1` and `rv_2`.
    n_epochs : int
    constraints : sequence of str
        Orders of two parameters, "teff_2 < teff_1".
    dirichlet : sequence of float, optional
        A Dirichlet prior of all components' fractions, in the place of the priors of `c`.

    Raises
    ------
    InvalidInput
        A name that is unknown, a setting that cannot be used, ties in a circle, a constraint that
        can never hold, a free parameter without a prior, none that is free.

    Examples
    --------
    >>> from mixjobs.inference.priors import Uniform
    >>> fit, usual = ("teff", "rv"), {"rv": Uniform(-50, 50)}
    >>> found = make_parameters(fit, usual, {"teff": 5000}, per_epoch=["rv"], n_epochs=2)
    >>> found.names
    ('rv_e1', 'rv_e2')
    >>> [table.tolist() for table in found.table([[10, 20]])]
    [[[5000.0, 10.0]], [[5000.0, 20.0]]]
    """
    columns = _columns(fit, per_epoch, n_epochs)
    said = _with_dirichlet(fit, columns, dict(settings or {}), dirichlet)
    for name in said:
        known(name, [name for names in columns for name in names] + list(fit), "parameters")
    rules: dict[str, Rule] = {}
    optimum = []
    for k, plain in enumerate(fit):
        for epoch, names in enumerate(columns):
            name = names[k]
            default = defaults.get(name, defaults.get(plain))
            setting = said.get(name, said.get(plain, default))
            if isinstance(setting, str) and setting == OPTIMUM:
                setting = _of_noise(plain, default)
                optimum += [name]
            rule = _rule(name, setting)
            if isinstance(rule, Tie):
                meant = epoch if name != plain else None
                target = _own(rule.name, meant, fit, columns, f"{name} = {rule}")
                rule = Tie(target, rule.factor, rule.offset)
            rules.setdefault(name, rule)
    below = _constraints(fit, columns, constraints)
    return Parameters(tuple(fit), columns, rules, below, tuple(dict.fromkeys(optimum)))


def _columns(fit: Sequence[str], per_epoch: Sequence[str], n_epochs: int) -> Columns:
    """Name what each epoch has in the place of each name of the fit."""
    own = []
    for name in per_epoch:
        found = numbered(name, fit)
        if not found:
            known(name, fit, "per_epoch")
        own += found
    if n_epochs == 1:
        return (tuple(fit),)
    return tuple(
        tuple(f"{name}_e{e}" if name in own else name for name in fit)
        for e in range(1, n_epochs + 1)
    )


def _with_dirichlet(
    fit: Sequence[str],
    columns: Columns,
    said: dict[str, Any],
    alpha: Sequence[float] | None,
) -> dict[str, Any]:
    """Add the fractions' common prior to what is said."""
    if alpha is None:
        return said
    prior, fractions = Dirichlet(tuple(alpha)), fraction_names(fit)
    if len(fractions) != len(prior.alpha) - 1:
        raise InvalidInput(
            f"dirichlet of {len(prior.alpha)} components; the model has {len(fractions) + 1}"
        )
    places = [fit.index(name) for name in fractions]
    own = {names[p] for names in columns for p in places}
    twice = [name for name in said if name in own | set(fractions)]
    if twice:
        raise InvalidInput(
            f"dirichlet is the prior of {', '.join(fractions)}; leave {twice[0]} out"
        )
    if len({names[p] == fit[p] for names in columns for p in places}) > 1:
        raise InvalidInput(
            f"dirichlet is one prior of {', '.join(fractions)}; name all or none in per_epoch"
        )
    return said | dict.fromkeys(fractions, prior)


def _of_noise(plain: str, default: Prior | None) -> Prior | None:
    if plain not in NOISE:
        raise InvalidInput(
            f'{plain} = "{OPTIMUM}"; only {", ".join(NOISE)} can be fixed at their optimum'
        )
    return default


def _rule(name: str, setting: Any) -> Rule:
    if setting is None:
        raise InvalidInput(f"{name} has no default prior; give one in [parameters]")
    if isinstance(setting, Dirichlet):
        return setting
    try:
        return make_rule(setting)
    except InvalidInput as error:
        raise InvalidInput(f"{name}: {error}") from None


def _own(name: str, epoch: int | None, fit: Sequence[str], columns: Columns, what: str) -> str:
    """Return the parameter that an epoch has under a name; None where no epoch is meant."""
    every = [name for names in columns for name in names]
    if name in every:
        return name
    known(name, [*every, *fit], what)
    own = columns[epoch or 0][fit.index(name)]
    if epoch is None:
        raise InvalidInput(f"{what}: each epoch has a {name} of its own; name one, such as {own}")
    return own


def _constraints(
    fit: Sequence[str], columns: Columns, constraints: Sequence[str]
) -> tuple[Below, ...]:
    """Read the constraints; one of what each epoch has for itself is one in each epoch."""
    found = []
    for text in constraints:
        given = read_constraint(text)
        for epoch in range(len(columns)):
            sides = [
                _own(name, epoch, fit, columns, f"constraint {text!r}")
                for name in (given.lesser, given.greater)
            ]
            found.append(Below(*sides))
    return tuple(dict.fromkeys(found))
