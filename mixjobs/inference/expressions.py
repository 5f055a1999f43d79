"""What a user may say of a parameter: a prior, a value, a tie to another, an order of two."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixjobs.errors import InvalidInput, nearest
from mixjobs.inference.priors import Dirichlet, LogUniform, Normal, Prior, Uniform, make_prior

NOISE = ("ln_noise", "log_amplitude", "log_length")
OPTIMUM = "optimum"

_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_TIE = re.compile(rf"(?:([+-]?{_NUMBER})\s*\*\s*)?(\S+?)(?:\s*([+-])\s*({_NUMBER}))?")
_ORDER = re.compile(r"([^\s<>]+)\s*([<>])\s*([^\s<>]+)")


@dataclass(frozen=True)
class Tie:
    """A parameter that follows another: ``factor * name + offset``.

    Examples
    --------
    >>> print(Tie("logg_1", offset=-0.1), Tie("rv", 2.0), sep="; ")
    logg_1 - 0.1; 2 * rv
    """

    name: str
    factor: float = 1.0
    offset: float = 0.0

    def __str__(self) -> str:
        factor = "" if self.factor == 1 else f"{self.factor:g} * "
        sign = "-" if self.offset < 0 else "+"
        offset = f" {sign} {abs(self.offset):g}" if self.offset else ""
        return f"{factor}{self.name}{offset}"


@dataclass(frozen=True)
class Below:
    """A constraint: one parameter lies below another.

    Examples
    --------
    >>> print(Below("teff_2", "teff_1"))
    teff_2 < teff_1
    """

    lesser: str
    greater: str

    def __str__(self) -> str:
        return f"{self.lesser} < {self.greater}"


Rule = Prior | Dirichlet | float | Tie


def make_rule(setting: Any) -> Prior | float | Tie:
    """Make a rule from what a user says: a prior, or a mapping that is one; a number; a tie.

    Raises
    ------
    InvalidInput
        It is none of these.

    Examples
    --------
    >>> make_rule("2 * logg_1 + 0.1")
    Tie(name='logg_1', factor=2.0, offset=0.1)
    >>> make_rule({"uniform": [0, 1]}), make_rule(4.5)
    (Uniform(low=0.0, high=1.0), 4.5)
    """
    if isinstance(setting, Uniform | Normal | LogUniform | Tie):
        return setting
    if isinstance(setting, Mapping):
        return make_prior(setting)
    if isinstance(setting, str):
        return _read_tie(setting)
    if isinstance(setting, bool) or not isinstance(setting, int | float | np.number):
        raise InvalidInput(f"{setting!r}; expected a prior, a number or a tie")
    if not np.isfinite(setting):
        raise InvalidInput(f"fixed at {setting!r}; expected a finite number")
    return float(setting)


def _read_tie(text: str) -> Tie:
    found = _TIE.fullmatch(text.strip())
    if found is None:
        raise InvalidInput(f"{text!r}; expected a tie such as 'logg_1' or '2 * logg_1 + 0.1'")
    factor, name, sign, offset = found.groups()
    tie = Tie(name, float(factor or 1), float(f"{sign}{offset}" if sign else 0))
    if not (tie.factor and np.isfinite(tie.factor) and np.isfinite(tie.offset)):
        raise InvalidInput(f"{text!r}; expected finite numbers and a factor that is not 0")
    return tie


def read_constraint(text: str) -> Below:
    """Read a constraint, "teff_2 < teff_1" or "teff_1 > teff_2".

    Raises
    ------
    InvalidInput
        It is something else, or compares a parameter with itself.
    """
    found = _ORDER.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None or found[1] == found[3]:
        raise InvalidInput(f"constraint {text!r}: expected two parameters, as 'teff_2 < teff_1'")
    first, sign, second = found.groups()
    return Below(first, second) if sign == "<" else Below(second, first)


def resolve(name: str, rules: Mapping[str, Rule], path: tuple[str, ...] = ()) -> Tie | float:
    """Follow ties to their end: a tie to a parameter that has a prior, or a fixed value.

    Raises
    ------
    InvalidInput
        The ties form a circle.

    Examples
    --------
    >>> rules = {"a": Tie("b", 2.0), "b": Tie("c", 3.0, 1.0), "c": Uniform(0, 1), "d": 5.0}
    >>> resolve("a", rules), resolve("c", rules), resolve("d", rules)
    (Tie(name='c', factor=6.0, offset=2.0), Tie(name='c', factor=1.0, offset=0.0), 5.0)
    """
    if name in path:
        circle = " -> ".join((*path[path.index(name) :], name))
        raise InvalidInput(f"tied in a circle: {circle}; give one of them a prior or a value")
    rule = rules[name]
    if isinstance(rule, float):
        return rule
    if not isinstance(rule, Tie):
        return Tie(name)
    end = resolve(rule.name, rules, (*path, name))
    if isinstance(end, float):
        return rule.factor * end + rule.offset
    return Tie(end.name, rule.factor * end.factor, rule.factor * end.offset + rule.offset)


def can_hold(constraint: Below, rules: Mapping[str, Rule]) -> bool:
    """Whether a constraint is kept anywhere in the supports of the priors."""
    slopes: dict[str, float] = {}  # of lesser - greater, by free parameter
    least = 0.0
    for sign, name in ((1.0, constraint.lesser), (-1.0, constraint.greater)):
        end = resolve(name, rules)
        if isinstance(end, float):
            least += sign * end
        else:
            least += sign * end.offset
            slopes[end.name] = slopes.get(end.name, 0.0) + sign * end.factor
    for name, slope in slopes.items():
        rule = rules[name]
        if slope and not isinstance(rule, float | Tie):
            least += min(slope * bound for bound in rule.bounds)
    return least < 0


def known(name: str, names: Iterable[str], what: str) -> None:
    """Refuse a name that is not among the known ones, with the nearest of them."""
    among = list(dict.fromkeys(names))
    if name not in among:
        raise InvalidInput(f"{what}: unknown parameter {name!r}{nearest(name, among)}")


def numbered(name: str, fit: Sequence[str]) -> list[str]:
    """Names of a fit that a name stands for: itself, or those of its components.

    Examples
    --------
    >>> numbered("rv", ["teff_1", "rv_1", "rv_2"]), numbered("rv_2", ["rv_1", "rv_2"])
    (['rv_1', 'rv_2'], ['rv_2'])
    """
    if name in fit:
        return [name]
    return [n for n in fit if re.fullmatch(rf"{re.escape(name)}_\d+", n)]


def fraction_names(fit: Sequence[str]) -> list[str]:
    """Names of a fit that are fractions of components.

    Examples
    --------
    >>> fraction_names(["teff_1", "teff_2", "c_2", "c_3", "ln_noise"])
    ['c_2', 'c_3']
    """
    return numbered("c", fit)
