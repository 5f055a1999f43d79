"""Options of the command line, and what its commands share.

Options that are also keys of a job file are declared by the file's model: `FieldOptions` takes
their type, choices, unit, help text and default from there.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import sys
from collections.abc import Callable, Iterable
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args, get_origin

from mixjobs.errors import InvalidInput

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

T = TypeVar("T")
ThetaValues = list[float] | dict[str, float]
# Placeholders of arguments that are files or folders.
_PATHS = re.compile("FILE|FOLDER|STORE|RUN|LIBRARY|PATH|JOB|ADDRESS")
_MINUS = "\N{MINUS SIGN}"  # as printed in tables, and pasted from there
# By the placeholder of an option in the help.
_UNITS = {"KM/S": "km/s", "TEFF": "K", "Å": "Å", "THETA": "the units of the grid"}
_NUMBER_WITH_UNIT = re.compile(r"[\d.]\s*(?![eE][-+\d])[A-Za-zÅµ]")


def say(text: str) -> None:
    """Print a line for the user on standard error."""
    print(text, file=sys.stderr, flush=True)


class FieldOptions:
    """Adds options for the fields of a job file's model.

    Parameters
    ----------
    group : argument group
        Receives the options.
    model : type
        The model of a table of the job file.
    flags : dict
        Receives the option's name for each dotted key, for error messages.
    prefix : str
        What comes before the keys of this model, such as ``"orders."``.
    """

    def __init__(
        self, group: Any, model: type[BaseModel], flags: dict[str, str], prefix: str = ""
    ) -> None:
        self._group, self._model, self._flags, self._prefix = group, model, flags, prefix

    def add(self, name: str, *flags: str, help: str | None = None, **settings: Any) -> None:
        """Add an option for a field. It is None in the namespace unless the user gives it.

        Parameters
        ----------
        name : str
            The field.
        flags : str
            Names of the option; ``--name`` if none is given.
        help : str, optional
            Replaces the description of the field.
        settings
            Further arguments of `argparse.ArgumentParser.add_argument`.
        """
        field = self._model.model_fields[name]
        flags = flags or (f"--{name.replace('_', '-')}",)
        extra = field.json_schema_extra
        if isinstance(extra, dict) and "metavar" in extra:
            settings.setdefault("metavar", extra["metavar"])
        text = (help or field.description or "") + _default_text(field)
        self._group.add_argument(
            *flags,
            help=text.replace("%", "%%"),
            **{**_argument_type(field, settings.get("metavar")), **settings},
        )
        self._flags[f"{self._prefix}{field.alias or name}"] = flags[-1]


def _default_text(field: FieldInfo) -> str:
    default = None if field.is_required() or field.default_factory else field.default
    if default is None or isinstance(default, bool):
        return ""
    return f" (default: {default:g})" if isinstance(default, float) else f" (default: {default})"


def _argument_type(field: FieldInfo, metavar: str | None) -> dict[str, Any]:
    """Return what argparse needs to read a field; text where the command reads it itself."""
    kinds = [_plain(kind) for kind in get_args(field.annotation) if kind is not NoneType]
    union = get_origin(field.annotation) not in (Literal, list, tuple, dict, None)
    kind = kinds[0] if union and len(kinds) == 1 else field.annotation
    if kind is bool:
        return {"action": "store_const", "const": not field.default}
    if get_origin(kind) is Literal:
        return {"choices": get_args(kind)}
    if get_origin(kind) in (list, tuple) and {_plain(part) for part in get_args(kind)} == {int}:
        return {"type": reader(parse_integers)}
    readers: dict[Any, Any] = {int: reader(parse_positive), float: reader(parse_number, metavar)}
    return {"type": readers[kind]} if kind in readers else {}


def _plain(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def takes_path(action: argparse.Action) -> bool:
    """Whether the value of an argument is, or may be, a file or a folder."""
    return isinstance(action.metavar, str) and bool(_PATHS.search(action.metavar))


def expand_home(value: Any) -> Any:
    """Replace `~` at the beginning of a path, or of each path of a list, by the home folder.

    The shell does so in ``--output ~/a``, but not in ``--output=~/a``.
    """
    if isinstance(value, list):
        return [expand_home(part) for part in value]
    return os.path.expanduser(value) if isinstance(value, str) else value  # noqa: PTH111


def reader(parse: Callable[[str], T], metavar: str | None = None) -> Callable[[str], T]:
    """Make a function that parses text into the type of an argparse option.

    A minus sign as typeset is read like a hyphen. If the text has a unit, the error names that of
    the option: a key of `_UNITS`.
    """
    unit = _UNITS.get(metavar or "")

    def read(text: str) -> T:
        try:
            return parse(text.replace(_MINUS, "-"))
        except InvalidInput as error:
            has_unit = unit and _NUMBER_WITH_UNIT.search(text)
            hint = f"; write numbers in {unit}, without a unit" if has_unit else ""
            raise argparse.ArgumentTypeError(f"{error}{hint}") from None

    return read


def parse_positive(text: str) -> int:
    """Parse a whole number of 1 or more."""
    if not text.isdecimal() or len(text) > _MAX_DIGITS or int(text) < 1:
        raise InvalidInput(f"{text!r} is not a whole number of at least 1", value=text)
    return int(text)


_MAX_DIGITS = 18  # of a whole number; it is a 64-bit integer


def parse_number(text: str) -> float:
    """Parse a finite number."""
    try:
        return _finite(text)
    except ValueError:
        raise InvalidInput(f"{text!r} is not a finite number", value=text) from None


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def parse_integers(text: str) -> list[int]:
    """Parse whole numbers separated by commas.

    Examples
    --------
    >>> parse_integers("21,22")
    [21, 22]
    """
    try:
        numbers = [int(part) for part in text.split(",")]
        if all(len(part.strip()) <= _MAX_DIGITS for part in text.split(",")):
            return numbers
        raise ValueError(text)
    except ValueError:
        raise InvalidInput(
            f"{text!r} is not a list of whole numbers, separated by commas", value=text
        ) from None


def parse_floats(text: str) -> list[float]:
    """Parse numbers separated by commas.

    Examples
    --------
    >>> parse_floats("6000,4.0,-.5")
    [6000.0, 4.0, -0.5]
    """
    try:
        return [_finite(part) for part in text.split(",")]
    except ValueError:
        raise InvalidInput(
            f"{text!r} is not a finite number, or a list of them separated by commas", value=text
        ) from None


def parse_number_or_list(text: str) -> float | list[float]:
    """Parse one number, or several separated by commas.

    Examples
    --------
    >>> parse_number_or_list("-20"), parse_number_or_list("-20,5")
    (-20.0, [-20.0, 5.0])
    """
    numbers = parse_floats(text)
    return numbers if len(numbers) > 1 else numbers[0]


def parse_range(text: str) -> tuple[float, float]:
    """Parse LOW:HIGH.

    Examples
    --------
    >>> parse_range("3000:4500")
    (3000.0, 4500.0)
    """
    low, colon, high = text.partition(":")
    try:
        return _finite(low), _finite(high if colon else "")
    except ValueError:
        raise InvalidInput(
            f"{text!r} is not a range LOW:HIGH, such as 3000:4500", value=text
        ) from None


def parse_columns(texts: Iterable[str]) -> dict[str, str | int]:
    """Parse QUANTITY=NAME or QUANTITY=NUMBER, once for each of several quantities.

    Examples
    --------
    >>> parse_columns(["wavelength=LAM", "flux=2"])
    {'wavelength': 'LAM', 'flux': 2}
    """
    columns: dict[str, str | int] = {}
    for text in texts:
        quantity, equals, name = text.partition("=")
        if not equals or not name.strip() or quantity.strip() in columns:
            raise InvalidInput(
                f"columns = {text!r}; expected QUANTITY=NAME, such as wavelength=LAM, once for "
                "each quantity",
                name="columns", value=text,
            )  # fmt: skip
        columns[quantity.strip()] = int(name) if name.strip().isdecimal() else name.strip()
    return columns


def spectrum_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return the options that describe the file of an observed spectrum, as given."""
    columns = None if args.columns is None else parse_columns(args.columns)
    options = {
        "columns": columns, "wavelength_unit": args.wavelength_unit, "medium": args.medium,
        "snr": args.snr, "format": args.reader,
    }  # fmt: skip
    return {name: value for name, value in options.items() if value is not None}


def parse_select(texts: Iterable[str]) -> dict[str, tuple[float, float]]:
    """Parse NAME=LOW:HIGH, once for each of several parameters.

    Examples
    --------
    >>> parse_select(["teff=3000:4500", "feh=-0.5:0.5"])
    {'teff': (3000.0, 4500.0), 'feh': (-0.5, 0.5)}
    """
    ranges: dict[str, tuple[float, float]] = {}
    for text in texts:
        name, equals, limits = text.replace(_MINUS, "-").partition("=")
        if not equals:
            raise InvalidInput(
                f"select = {text!r}; expected NAME=LOW:HIGH, such as teff=3000:4500",
                name="select", value=text,
            )  # fmt: skip
        if name in ranges:
            raise InvalidInput(
                f"select gives two ranges for {name}; give one for each parameter",
                name="select", value=text,
            )  # fmt: skip
        try:
            ranges[name] = parse_range(limits)
        except InvalidInput:
            raise InvalidInput(
                f"select = {text!r}; expected NAME=LOW:HIGH with two finite numbers in the unit "
                "of the library's grid (K for teff), without a unit, such as teff=3000:4500",
                name="select", value=text,
            ) from None  # fmt: skip
    return ranges


def parse_names(texts: Iterable[str]) -> dict[str, str]:
    """Parse NAME=PARAMETER, once for each of several parameters.

    Examples
    --------
    >>> parse_names(["Gravity=logg", "[Fe/H]=feh"])
    {'Gravity': 'logg', '[Fe/H]': 'feh'}
    """
    names: dict[str, str] = {}
    for text in texts:
        name, _, parameter = (part.strip() for part in text.rpartition("="))
        if not name or not parameter:
            raise InvalidInput(
                f"names = {text!r}; expected NAME=PARAMETER, such as Gravity=logg",
                name="names", value=text,
            )  # fmt: skip
        names[name] = parameter
    return names


def parse_name_list(texts: Iterable[str]) -> list[str]:
    """Parse names separated by commas or spaces.

    Examples
    --------
    >>> parse_name_list(["teff_1,c", "rv"])
    ['teff_1', 'c', 'rv']
    """
    text = ",".join(texts)
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise InvalidInput(
            f"parameters = {text!r}: a name is missing at a comma; give names such as teff_1,c",
            name="parameters", value=text,
        )  # fmt: skip
    return names


def parse_theta(text: str) -> ThetaValues:
    """Parse theta by position or by name.

    Examples
    --------
    >>> parse_theta("6000,4.0,-1.5"), parse_theta("teff=6000, logg=4.0")
    ([6000.0, 4.0, -1.5], {'teff': 6000.0, 'logg': 4.0})
    """
    if "=" not in text:
        try:
            return parse_floats(text)
        except InvalidInput:
            raise InvalidInput(
                f"{text!r} is not a theta of finite numbers, such as 6000,4.0,0 or "
                "teff=6000,logg=4,feh=0",
                value=text,
            ) from None
    values: dict[str, float] = {}
    for part in text.split(","):
        name, _, number = (piece.strip() for piece in part.partition("="))
        if name in values:
            raise InvalidInput(f"{text!r} gives {name} twice; give it once", value=text)
        values[name] = parse_number(number)
    return values


def parse_scan(text: str) -> tuple[str, list[float]]:
    """Parse NAME=LOW:HIGH:N into the name and N evenly spaced values.

    Examples
    --------
    >>> parse_scan("rv=-20:20:5")
    ('rv', [-20.0, -10.0, 0.0, 10.0, 20.0])
    """
    name, _, scan = text.partition("=")
    try:
        low_text, high_text, n_text = scan.split(":")
        low, high, n = float(low_text), float(high_text), int(n_text)
    except ValueError:
        low, high, n = 0.0, 0.0, 0
    if not (name and float("-inf") < low < high < float("inf") and 2 <= n <= _MAX_SCAN):
        raise InvalidInput(
            f"{text!r} is not NAME=LOW:HIGH:N with LOW < HIGH and N from 2 to {_MAX_SCAN}, such as "
            "teff_2=3000:4000:5",
            value=text,
        )
    step = (high - low) / (n - 1)
    return name, [i * step + low for i in range(n - 1)] + [high]


_MAX_SCAN = 1000  # all spectra of a scan are in memory together
