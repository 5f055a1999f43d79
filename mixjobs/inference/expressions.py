"""Settings of parameters: priors, fixed values, ties and constraints."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixjobs.errors import InvalidInput, nearest
from mixjobs.inference.priors import Dirichlet, LogUniform, Normal, Prior, Uniform, make_prior
from mixjobs.units import PARAMETER_UNITS, SUFFIXES, without_unit

NOISE = ("ln_noise", "log_amplitude", "log_length")
OPTIMUM = "optimum"

_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_VALUE = re.compile(rf"[-+\N{{MINUS SIGN}}]?{_NUMBER}(\s*[^\W\d]\S*)?")  # and perhaps a unit
_TIE = re.compile(rf"(?:([+-]?{_NUMBER})\s*\*\s*)?(\S+?)(?:\s*([+-])\s*({_NUMBER}))?")
_CONSTRAINT = re.compile(r"([^\s<>]+)\s*([<>])\s*([^\s<>]+)")


@dataclass(frozen=True)
class Tie:
    """A parameter that is a linear function of another: ``factor * name + offset``.

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
    """A constraint: one parameter is less than another.

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
    """Make a prior, a fixed value or a tie from a setting.

    Parameters
    ----------
    setting : Prior, Tie, mapping, float or str
        A mapping describes a prior, see `make_prior`; a number is a fixed value; text is a tie.

    Raises
    ------
    InvalidInput
        The setting is none of these, or its numbers are invalid.

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
        raise InvalidInput(f"{setting!r}; expected a prior, a number or a tie", value=setting)
    if not np.isfinite(setting):
        raise InvalidInput(f"fixed at {setting!r}; expected a finite number", value=setting)
    return float(setting)


def without_units(name: str, setting: Any) -> Any:
    """Convert astropy quantities in a setting to plain numbers in the unit of the parameter.

    Parameters
    ----------
    name : str
        The parameter, for instance ``rv_2_e1``. Effective temperatures are in K, velocities in
        km/s; quantities of other parameters must be dimensionless or in dex.
    setting : object
        A quantity, or the mapping of a prior whose numbers may be quantities; anything else is
        returned unchanged.

    Raises
    ------
    InvalidInput
        A quantity has a unit that does not convert, or the setting is a number as text.

    Examples
    --------
    >>> from astropy import units as u
    >>> without_units("rv_2", 500 * u.m / u.s)
    0.5
    >>> without_units("rv", {"uniform": [-1, 1] * u.km / u.s})
    {'uniform': [-1.0, 1.0]}
    """
    unit = PARAMETER_UNITS.get(SUFFIXES.sub("", name), "")
    if isinstance(setting, str) and _VALUE.fullmatch(setting.strip()):
        expected = f"a number in {unit}, without quotes or a unit" if unit else "a number"
        raise InvalidInput(f"{name} = {setting!r}; expected {expected}", name=name, value=setting)
    if isinstance(setting, Mapping):
        return {key: _plain(value, name) for key, value in setting.items()}
    return _plain(setting, name)


def _plain(value: Any, name: str) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(item, name) for item in value]
    converted = without_unit(value, name)
    return converted if converted is value else np.asarray(converted).tolist()


def _read_tie(text: str) -> Tie:
    match = _TIE.fullmatch(text.strip())
    if match is None:
        raise InvalidInput(
            f"{text!r}; expected a tie such as 'logg_1' or '2 * logg_1 + 0.1'", value=text
        )
    factor, name, sign, offset = match.groups()
    tie = Tie(name, float(factor or 1), float(f"{sign}{offset}" if sign else 0))
    if not (tie.factor and np.isfinite(tie.factor) and np.isfinite(tie.offset)):
        raise InvalidInput(
            f"{text!r}; expected finite numbers and a factor other than 0", value=text
        )
    return tie


def read_constraint(text: str) -> Below:
    """Read a constraint, "teff_2 < teff_1" or "teff_1 > teff_2".

    Raises
    ------
    InvalidInput
        The text is not of this form, or compares a parameter with itself.
    """
    match = _CONSTRAINT.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None or match[1] == match[3]:
        raise InvalidInput(
            f"constraint {text!r}; expected two parameters, as in 'teff_2 < teff_1'",
            name="constraints",
            value=text,
        )
    first, sign, second = match.groups()
    return Below(first, second) if sign == "<" else Below(second, first)


def resolve(name: str, rules: Mapping[str, Rule], path: tuple[str, ...] = ()) -> Tie | float:
    """Follow ties to a parameter with a prior, or to a fixed value.

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
        raise InvalidInput(
            f"parameters tied in a circle: {circle}; give one of them a prior or a value", name=name
        )
    rule = rules[name]
    if isinstance(rule, float):
        return rule
    if not isinstance(rule, Tie):
        return Tie(name)
    target = resolve(rule.name, rules, (*path, name))
    if isinstance(target, float):
        return rule.factor * target + rule.offset
    return Tie(target.name, rule.factor * target.factor, rule.factor * target.offset + rule.offset)


def can_hold(constraint: Below, rules: Mapping[str, Rule]) -> bool:
    """Whether a constraint holds anywhere in the supports of the priors."""
    slopes: dict[str, float] = {}  # of lesser - greater, by free parameter
    minimum = 0.0
    for sign, name in ((1.0, constraint.lesser), (-1.0, constraint.greater)):
        target = resolve(name, rules)
        if isinstance(target, float):
            minimum += sign * target
        else:
            minimum += sign * target.offset
            slopes[target.name] = slopes.get(target.name, 0.0) + sign * target.factor
    for name, slope in slopes.items():
        rule = rules[name]
        if slope and not isinstance(rule, float | Tie):
            minimum += min(slope * bound for bound in rule.bounds)
    return minimum < 0


def check_name(name: str, valid: Iterable[str], context: str) -> None:
    """Refuse an unknown name, and suggest the nearest valid one.

    Raises
    ------
    InvalidInput
        The name is unknown; its message begins with the context.
    """
    names = list(dict.fromkeys(valid))
    if name not in names:
        raise InvalidInput(
            f"{context}: unknown parameter {name!r}{nearest(name, names)}", name=name
        )


def of_components(name: str, base_names: Sequence[str]) -> list[str]:
    """Parameters that a name stands for: itself, or those of all components.

    Examples
    --------
    >>> of_components("rv", ["teff_1", "rv_1", "rv_2"]), of_components("rv_2", ["rv_1", "rv_2"])
    (['rv_1', 'rv_2'], ['rv_2'])
    """
    if name in base_names:
        return [name]
    return [n for n in base_names if re.fullmatch(rf"{re.escape(name)}_\d+", n)]


def noise_names(correlated: bool, orders: Iterable[int] = ()) -> list[str]:
    """Return the noise parameters: of all orders, then of orders with parameters of their own.

    Examples
    --------
    >>> noise_names(False, [92])
    ['ln_noise', 'ln_noise_m92']
    """
    names = NOISE if correlated else NOISE[:1]
    return [*names, *(f"{name}_m{number}" for number in orders for name in names)]


def is_noise(name: str) -> bool:
    """Whether a parameter belongs to the noise, of all orders or of one.

    Examples
    --------
    >>> [name for name in ("ln_noise", "log_length_m92", "ln_noise_e2", "logg") if is_noise(name)]
    ['ln_noise', 'log_length_m92', 'ln_noise_e2']
    """
    return re.sub(r"(_m\d+)?(_e\d+)?$", "", name) in NOISE


def fraction_names(base_names: Sequence[str]) -> list[str]:
    """Parameters that are filling factors.

    Examples
    --------
    >>> fraction_names(["teff_1", "teff_2", "c_2", "c_3", "ln_noise"])
    ['c_2', 'c_3']
    """
    return of_components("c", base_names)
