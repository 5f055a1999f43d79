"""From what a user says of the parameters to the parameters of a fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mixjobs.errors import InvalidInput
from mixjobs.inference.dirichlet import Dirichlet
from mixjobs.inference.parameters import Parameters
from mixjobs.inference.priors import Prior
from mixjobs.inference.rules import (
    NOISE,
    OPTIMUM,
    Below,
    Rule,
    Tie,
    fraction_names,
    known,
    make_rule,
    numbered,
    read_constraint,
)

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
