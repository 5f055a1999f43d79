"""Free, fixed and tied parameters of a fit, and their joint prior."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from mixjobs.display import Summarised
from mixjobs.errors import InvalidInput
from mixjobs.inference.epoch_names import EpochNames
from mixjobs.inference.expressions import (
    NOISE,
    OPTIMUM,
    Below,
    Rule,
    Tie,
    can_hold,
    check_name,
    fraction_names,
    make_rule,
    of_components,
    resolve,
    without_units,
)
from mixjobs.inference.priors import Dirichlet, Prior, open_uniform
from mixjobs.inference.samples import as_samples, read_samples
from mixjobs.model.layout import fractions
from mixjobs.typing import Bools, Floats

_MIN_BATCH = 1000  # prior draws at a time
_MAX_TRIES = 100_000  # prior draws after which a low acceptance is an error
_MIN_ACCEPTANCE = 1e-3


class ParameterEntry(NamedTuple):
    """One line of the parameter table that is printed before a run."""

    name: str
    status: str  # "free", "optimum", "fixed" or "tied"
    prior: str  # the prior, the value, or the tie


@dataclass(frozen=True, eq=False, repr=False)
class Parameters(Summarised):
    """The P free parameters of a fit and their prior; made by `make_parameters`.

    A vector of the free parameters is called `x`, a vector of all parameters of one epoch
    `params`.

    Attributes
    ----------
    base_names : tuple of str
        All parameters of one epoch: those of the model, then those of the noise.
    epoch_names : tuple over epochs of tuples of str
        The same parameters under the names of each epoch: ``rv_e2`` instead of ``rv``.
    rules : dict
        The prior, the fixed value or the tie of each parameter of all epochs.
    constraints : tuple of Below
    optimum : tuple of str
        Free parameters that are to be fixed at the optimum of a search, by `fix`.
    """

    base_names: tuple[str, ...]
    epoch_names: tuple[tuple[str, ...], ...]
    rules: Mapping[str, Rule]
    constraints: tuple[Below, ...] = ()
    optimum: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in self.rules:
            resolve(name, self.rules)
        for constraint in self.constraints:
            if not can_hold(constraint, self.rules):
                raise InvalidInput(
                    f"the constraint {constraint} never holds with these priors; "
                    "change one of them",
                    name="constraints",
                    value=str(constraint),
                )
        if not self.names:
            raise InvalidInput("no parameter is free; give at least one of them a prior")

    def _facts(self) -> Mapping[str, object]:
        facts = {entry.name: f"{entry.status}, {entry.prior}" for entry in self.entries()}
        return facts | {f"constraint {k}": c for k, c in enumerate(self.constraints, 1)}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The P free parameters, in the order of x."""
        return tuple(n for n, rule in self.rules.items() if not isinstance(rule, float | Tie))

    @cached_property
    def bounds(self) -> Floats:
        """Support of the prior of each free parameter, (P, 2); infinite where it is unbounded."""
        bounds = np.empty((len(self.names), 2))
        for columns, prior in self._priors:
            bounds[columns] = prior.bounds
        return bounds

    def prior(self, name: str) -> Prior | Dirichlet:
        """Return the prior of a free parameter.

        Raises
        ------
        KeyError
            It is not free.
        """
        rule = self.rules[name]
        if isinstance(rule, float | Tie):
            raise KeyError(name)
        return rule

    def params(self, x: ArrayLike) -> list[Floats]:
        """Return all parameters of every epoch: free, fixed and tied.

        Parameters
        ----------
        x : (P,) or (n, P) array
            The free parameters, in the order of `names`.

        Returns
        -------
        list over epochs of (n_names,) or (n, n_names) arrays
            In the order of `base_names`.
        """
        samples = read_samples(x, self.names)
        values = self._values(np.atleast_2d(samples))
        column_of = {name: column for column, name in enumerate(self.rules)}
        return [
            values[:, [column_of[name] for name in names]].reshape(*samples.shape[:-1], len(names))
            for names in self.epoch_names
        ]

    def log_prior(self, x: ArrayLike) -> Any:
        """Evaluate the logarithm of the prior density, constraints included.

        The density is the product of the priors. It is not renormalised for the volume that the
        constraints exclude, because a constant factor does not change the posterior.

        Parameters
        ----------
        x : (P,) or (n, P) array

        Returns
        -------
        float for x (P,), (n,) array for x (n, P)
            -inf outside the support of a prior, where a constraint is broken, and where the
            filling factors are outside [0, 1] or add up to more than 1.
        """
        samples = read_samples(x, self.names)
        rows = np.atleast_2d(samples)
        total = np.zeros(len(rows))
        for columns, prior in self._priors:
            total += prior.log_density(rows[:, columns])
        total[~self._allowed(rows)] = -np.inf
        return total if samples.ndim == 2 else float(total[0])

    def prior_transform(self, u: ArrayLike) -> Floats:
        """Map the unit cube to the free parameters, by the quantiles of the priors.

        Constraints are *not* applied: where x breaks one, `log_prior` is -inf.

        Parameters
        ----------
        u : (P,) or (n, P) array
            Numbers from 0 to 1.

        Returns
        -------
        (P,) or (n, P) array
            Uniform u give x with the density of the priors.

        Raises
        ------
        InvalidInput
            u has another shape or a unit, is NaN, or lies outside [0, 1].
        """
        unit_cube = as_samples(u, self.names, "u")
        outside = unit_cube[~((unit_cube >= 0) & (unit_cube <= 1))]
        if len(outside):
            raise InvalidInput(
                f"u contains {outside[0]:g}; expected numbers from 0 to 1",
                name="u",
                value=float(outside[0]),
            )
        rows = np.atleast_2d(unit_cube)
        x = np.empty_like(rows)
        for columns, prior in self._priors:
            x[:, columns] = prior.quantile(rows[:, columns])
        return x.reshape(unit_cube.shape)

    def draw(self, rng: np.random.Generator, n: int) -> Floats:
        """Draw n samples, (n, P), from the prior; those that break a constraint are rejected.

        Raises
        ------
        InvalidInput
            Fewer than one in 1000 draws satisfies the constraints.
        """
        accepted = np.empty((0, len(self.names)))
        n_tries = 0
        while len(accepted) < n:
            if n_tries >= _MAX_TRIES and len(accepted) < _MIN_ACCEPTANCE * n_tries:
                text = ", ".join(map(str, self.constraints)) or "filling factors from 0 to 1"
                raise InvalidInput(
                    f"{len(accepted)} of {n_tries} draws from the priors satisfy {text}; "
                    "change the priors or the constraints",
                    name="constraints",
                    value=text,
                )
            draws = self.prior_transform(open_uniform(rng, (max(n, _MIN_BATCH), len(self.names))))
            n_tries += len(draws)
            accepted = np.concatenate([accepted, draws[np.isfinite(self.log_prior(draws))]])
        return accepted[:n]

    def fix(self, name: str, value: Any) -> Parameters:
        """Return these parameters with a free one fixed.

        Parameters
        ----------
        name : str
            A free parameter; a name without the suffix of an epoch or a component, such as `rv`,
            fixes it in all of them.
        value : float or astropy quantity
            A plain number is in the unit of the parameter: K, km/s, dex.

        Raises
        ------
        InvalidInput
            The parameter is unknown or not free; the value is not a finite number, or its unit
            does not convert; only some of the fractions under one Dirichlet prior are fixed; a
            constraint can no longer hold.
        """
        fixed = self._expanded(name)
        unfree = [n for n in fixed if n not in self.names]
        if unfree:
            raise InvalidInput(
                f"{unfree[0]} is not free; the free parameters are {', '.join(self.names)}",
                name=unfree[0],
            )
        for names in self._fractions:
            joint = isinstance(self.rules[names[0]], Dirichlet)
            if joint and 0 < len(set(names) & set(fixed)) < len(names):
                raise InvalidInput(
                    f"cannot fix {name} alone: {', '.join(names)} share a Dirichlet prior; "
                    "fix all of them",
                    name=name,
                )
        rule = _rule(name, without_units(name, value))
        if not isinstance(rule, float):
            raise InvalidInput(
                f"{name} fixed at {value!r}; expected a number", name=name, value=value
            )
        return replace(
            self,
            rules={n: rule if n in fixed else old for n, old in self.rules.items()},
            optimum=tuple(n for n in self.optimum if n not in fixed),
        )

    def within(self, ranges: Mapping[str, tuple[float, float]]) -> Parameters:
        """Return these parameters with some priors restricted to ranges that they overlap."""
        rules = dict(self.rules)
        for name, (low, high) in ranges.items():
            rule = rules[name]
            if isinstance(rule, Prior) and low < high and rule.low < high and rule.high > low:
                rules[name] = replace(rule, low=max(rule.low, low), high=min(rule.high, high))
        return replace(self, rules=rules)

    def entries(self) -> list[ParameterEntry]:
        """Name, status and prior of every parameter, for the table printed before a run."""
        return [
            ParameterEntry(name, self._status(name), _text(rule))
            for name, rule in self.rules.items()
        ]

    def _status(self, name: str) -> str:
        rule = self.rules[name]
        if isinstance(rule, float):
            return "fixed"
        if isinstance(rule, Tie):
            return "tied"
        return "optimum" if name in self.optimum else "free"

    @cached_property
    def _priors(self) -> list[tuple[int | list[int], Prior | Dirichlet]]:
        """Each prior, with its column or columns of x."""
        priors: list[tuple[int | list[int], Prior | Dirichlet]] = []
        for name, rule in self.rules.items():
            if isinstance(rule, Dirichlet):
                group = next(names for names in self._fractions if name in names)
                if name == group[0]:
                    priors.append(([self.names.index(n) for n in group], rule))
            elif not isinstance(rule, float | Tie):
                priors.append((self.names.index(name), rule))
        return priors

    @cached_property
    def _fractions(self) -> list[tuple[str, ...]]:
        """Names of the filling factors of each epoch; epochs that share them appear once."""
        places = [self.base_names.index(name) for name in fraction_names(self.base_names)]
        groups = dict.fromkeys(tuple(names[p] for p in places) for names in self.epoch_names)
        return [group for group in groups if group]

    def _expanded(self, name: str) -> list[str]:
        """Parameters that a name stands for: itself, or those of all epochs and components."""
        if name in self.rules:
            return [name]
        valid = [*self.rules, *self.base_names] + ["c"] * bool(self._fractions)
        check_name(name, valid, "fix")
        places = [self.base_names.index(n) for n in of_components(name, self.base_names)]
        return list(dict.fromkeys(names[p] for p in places for names in self.epoch_names))

    def _allowed(self, samples: Floats) -> Bools:
        """Whether samples (n, P) satisfy the constraints and have valid filling factors, (n,)."""
        values = self._values(samples)
        column_of = {name: column for column, name in enumerate(self.rules)}
        allowed = np.ones(len(samples), dtype=bool)
        for constraint in self.constraints:
            lesser, greater = column_of[constraint.lesser], column_of[constraint.greater]
            allowed &= values[:, lesser] < values[:, greater]
        for names in self._fractions:
            with np.errstate(over="ignore"):
                c = fractions(values[:, [column_of[name] for name in names]])
            allowed &= ~np.isnan(c).any(axis=1)
        return allowed

    def _values(self, samples: Floats) -> Floats:
        """Parameters of all epochs, (n, n_rules), in the order of `rules`, at samples (n, P)."""
        # The last bits of a matrix product would depend on the number of samples.
        values = np.empty((len(samples), len(self.rules)))
        for column, target in enumerate(self._targets):
            if isinstance(target, float):
                values[:, column] = target
                continue
            free = samples[:, self.names.index(target.name)]
            with np.errstate(over="ignore"):
                values[:, column] = target.factor * free + target.offset
        return values

    @cached_property
    def _targets(self) -> list[Tie | float]:
        return [resolve(name, self.rules) for name in self.rules]


def _text(rule: Rule) -> str:
    return f"{rule:g}" if isinstance(rule, float) else str(rule)


def make_parameters(
    base_names: Sequence[str],
    defaults: Mapping[str, Prior],
    settings: Mapping[str, Any] | None = None,
    *,
    per_epoch: Sequence[str] = (),
    n_epochs: int = 1,
    constraints: Sequence[str] = (),
    dirichlet: Sequence[float] | None = None,
    optimum: Sequence[str] = (),
) -> Parameters:
    """Assign each parameter of a fit a prior, a value or a tie.

    Parameters
    ----------
    base_names : sequence of str
        All parameters of one epoch: those of the model, then those of the noise.
    defaults : mapping
        Priors of the parameters without a setting, by name; other names are ignored.
    settings : mapping, optional
        By name: a prior object or a mapping such as ``{"uniform": [0, 1]}``; a number, which is a
        fixed value; a tie, "2 * logg_1 + 0.1"; or "optimum", for a noise parameter. Numbers may be
        astropy quantities, except in prior objects.
    per_epoch : sequence of str
        Parameters that differ between epochs: ``rv`` becomes ``rv_e1``, ``rv_e2`` and so on. A
        setting, tie or constraint of `rv` applies to every epoch that has none of its own. A name
        without the number of a component stands for all of them: `rv` for `rv_1` and `rv_2`.
    n_epochs : int
    constraints : sequence of str
        Inequalities of two parameters, "teff_2 < teff_1".
    dirichlet : sequence of float, optional
        Dirichlet prior of the filling factors of all components, in place of priors of `c`.
    optimum : sequence of str
        Names in `base_names` that are set to "optimum" wherever they have a prior.

    Raises
    ------
    InvalidInput
        A name is unknown; a setting is invalid; ties form a circle; a constraint can never hold; a
        free parameter has no prior; or no parameter is free.

    Examples
    --------
    >>> from mixjobs.inference.priors import Uniform
    >>> base_names, defaults = ("teff", "rv"), {"rv": Uniform(-50, 50)}
    >>> parameters = make_parameters(
    ...     base_names, defaults, {"teff": 5000}, per_epoch=["rv"], n_epochs=2
    ... )
    >>> parameters.names
    ('rv_e1', 'rv_e2')
    >>> [params.tolist() for params in parameters.params([10, 20])]
    [[5000.0, 10.0], [5000.0, 20.0]]
    """
    names = EpochNames.make(base_names, per_epoch, n_epochs)
    settings = dict(settings or {})
    if dirichlet is not None:
        settings |= _dirichlet_setting(names, settings, Dirichlet(tuple(dirichlet)))
    for name in settings:
        check_name(name, [*names.of_all_epochs, *base_names], "parameters")
    _check_used(names, settings)
    rules: dict[str, Rule] = {}
    searched = []
    for name, base_name, epoch in names:
        default = defaults.get(name, defaults.get(base_name))
        setting = settings.get(name, settings.get(base_name, default))
        if isinstance(setting, str) and setting == OPTIMUM:
            _check_noise(base_name)
            searched.append(name)
            setting = default
        rules[name] = names.in_rule(_rule(name, without_units(name, setting)), name, epoch)
        if base_name in optimum and not isinstance(rules[name], float | Tie):
            searched.append(name)
    searched = list(dict.fromkeys(searched))
    return Parameters(
        names.base, names.by_epoch, rules, names.in_constraints(constraints), tuple(searched)
    )


def _check_used(names: EpochNames, settings: Mapping[str, Any]) -> None:
    """Refuse a setting of all epochs if each of them has a setting of its own."""
    used = {name if name in settings else base_name for name, base_name, _ in names}
    unused = [name for name in settings if name not in used]
    if unused:
        raise InvalidInput(
            f"{unused[0]} has no effect, because each epoch has a setting of its own; remove one "
            "of them",
            name=unused[0],
            value=settings[unused[0]],
        )


def _check_noise(name: str) -> None:
    if name not in NOISE:
        raise InvalidInput(
            f'{name} = "{OPTIMUM}"; only {", ".join(NOISE)} can be fixed at their optimum',
            name=name,
            value=OPTIMUM,
        )


def _rule(name: str, setting: Any) -> Rule:
    if setting is None:
        raise InvalidInput(f"{name} has neither a setting nor a default prior", name=name)
    if isinstance(setting, Dirichlet):
        return setting
    try:
        return make_rule(setting)
    except InvalidInput as error:
        raise InvalidInput(f"{name}: {error}", name=name, value=setting) from None


def _dirichlet_setting(
    names: EpochNames, settings: Mapping[str, Any], prior: Dirichlet
) -> dict[str, Dirichlet]:
    """Return the settings that give every filling factor the joint prior."""
    base_names = fraction_names(names.base)
    if len(base_names) != len(prior.alpha) - 1:
        raise InvalidInput(
            f"dirichlet has {len(prior.alpha)} components, the model {len(base_names) + 1}; "
            "give one number for each component",
            name="dirichlet",
            value=prior.alpha,
        )
    text = ", ".join(base_names)
    places = [names.base.index(name) for name in base_names]
    of_epochs = {epoch_names[p] for epoch_names in names.by_epoch for p in places}
    repeated = [name for name in settings if name in of_epochs | set(base_names)]
    if repeated:
        raise InvalidInput(
            f"dirichlet is the prior of {text}; remove the setting of {repeated[0]}",
            name=repeated[0],
            value=settings[repeated[0]],
        )
    if len({epoch_names[p] == names.base[p] for epoch_names in names.by_epoch for p in places}) > 1:
        raise InvalidInput(
            f"dirichlet is a joint prior of {text}; list all of them or none in per_epoch",
            name="per_epoch",
        )
    return dict.fromkeys(base_names, prior)
