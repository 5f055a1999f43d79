"""Reading and validation of job files (TOML)."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Strict, ValidationError
from pydantic_core import PydanticCustomError

from mixjobs.config.limits import PositiveInt
from mixjobs.errors import InvalidInput, MissingFile, UnreadableFile, nearest
from mixjobs.files import read_text

Pair = Annotated[tuple[float, float], Strict(False)]
IntPair = Annotated[tuple[PositiveInt, PositiveInt], Strict(False)]
Expected = Mapping[tuple[str, ...], str]
# Types as pydantic names them, and as TOML users know them.
_PLAIN = {
    "a valid boolean": "true or false",
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "a valid string": "text in quotes",
    "a valid list": "a list",
}
_OURS = "mixjobs"  # the type of an error that a validator of ours raises


class Config(BaseModel):
    """One table of a job file: only known keys, each of the declared type; finite numbers."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


ConfigT = TypeVar("ConfigT", bound=Config)


def read_toml(path: str | Path) -> dict[str, Any]:
    """Read a TOML file, with or without a byte order mark.

    Raises
    ------
    MissingFile, UnreadableFile
        No such file, a folder, or not TOML.
    """
    try:
        return tomllib.loads(read_text(expand(path)))
    except FileNotFoundError:
        raise MissingFile(f"{path}: no such file; check the path", path=path) from None
    except IsADirectoryError:
        raise UnreadableFile(
            f"{path}: this is a folder; expected a job file (TOML)", path=path
        ) from None
    except UnreadableFile:
        raise
    except (OSError, ValueError, RecursionError) as error:  # a number with thousands of digits
        raise UnreadableFile(f"{path}: not a valid TOML file: {error}", path=path) from None


def expand(path: str | Path) -> Path:
    """Return a path whose `~` or `~user` at the beginning stands for a home folder.

    If there is no such user, the path is unchanged.
    """
    return Path(os.path.expanduser(path))  # noqa: PTH111 (Path's own raises RuntimeError)


def resolve(folder: Path, path: str | None) -> str | None:
    """Resolve a path of a job file: relative to the file's folder, `~` is the home folder."""
    return None if path is None else str(folder / expand(path))


def resolve_all(folder: Path, paths: str | list[str] | None) -> str | list[str] | None:
    """Resolve one path of a job file, or each of a list."""
    if isinstance(paths, list):
        return [str(resolve(folder, path)) for path in paths]
    return resolve(folder, paths)


def validate(
    model: type[ConfigT],
    data: Mapping[str, Any],
    source: str,
    expected: Expected,
    within: tuple[str, ...] = (),
) -> ConfigT:
    """Validate the data of a job.

    Parameters
    ----------
    model : type
        The model of the data.
    data : mapping
    source : str
        Name of the file, or of the command, for the error.
    expected : mapping
        What a key should hold, by one or two keys, where pydantic's wording does not help.
    within : tuple of str
        The table of the file that holds the data.

    Raises
    ------
    InvalidInput
        An unknown, missing or invalid key. Its `name` is the dotted key.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        name, value, text = _first_error(error, data, model, expected, within)
        raise InvalidInput(f"{source}: {text}", name=name, value=value) from None


def invalid(key: str, value: Any, expected: str) -> PydanticCustomError:
    """Return the error that a validator of a model raises for the value of one of its keys."""
    context = {"key": key, "value": value, "text": f"{value!r}; expected {expected}"}
    return PydanticCustomError(_OURS, "{text}", context)


def contradiction(key: str, text: str) -> PydanticCustomError:
    """Return the error that a validator of a model raises for keys that do not go together.

    An empty `key` stands for the table itself.
    """
    return PydanticCustomError(_OURS, "{text}", {"key": key, "value": None, "text": text})


def _first_error(
    error: ValidationError, data: Any, model: type[BaseModel], expected: Expected,
    within: tuple[str, ...],
) -> tuple[str, Any, str]:  # fmt: skip
    """Return the key, the value and a line of text; an unknown key comes before a missing one."""
    errors = error.errors()
    first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
    keys = within + _keys_in_data(first["loc"], data, first["type"] == "missing")
    if first["type"] == _OURS:
        key, value, text = (first["ctx"][part] for part in ("key", "value", "text"))
        name = ".".join([*keys, key] if key else keys)
        return name, value, f"{name}: {text}" if value is None else f"{name} = {text}"
    name, value = ".".join(keys), first["input"]
    if first["type"] == "extra_forbidden":
        hint = nearest(keys[-1], _field_keys(_model_at(model, first["loc"])))
        return name, value, f"unknown key {name!r}{hint}"
    words = tuple(part for part in keys if not part.isdigit())
    wanted = expected.get(words[:2]) or expected.get(words[:1])
    if first["type"] == "missing" and not wanted:
        return name, None, f"the key {name!r} is missing; add it"
    if not wanted:
        wanted = first["msg"].removeprefix("Input should be ").partition(" or instance of")[0]
        wanted = _PLAIN.get(wanted, wanted)
    return name, value, f"{name} = {value!r}; expected {wanted}"


def _keys_in_data(location: Sequence[str | int], data: Any, missing: bool) -> tuple[str, ...]:
    """Keep the parts of pydantic's location that are keys or positions in the data."""
    kept = []
    for part in location:
        if isinstance(data, Mapping) and part in data:
            data = data[str(part)]
        elif isinstance(data, Sequence) and isinstance(part, int) and part < len(data):
            data = data[part]
        elif not (missing and part == location[-1] and isinstance(part, str)):
            continue
        kept.append(str(part))
    return tuple(kept)


def _model_at(root: type[BaseModel], location: Sequence[str | int]) -> type[BaseModel]:
    model = root
    for part in location[:-1]:
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        if part in fields:
            model = model_of(fields[str(part)].annotation) or model
    return model


def model_of(annotation: Any) -> type[BaseModel] | None:
    """Return the model in an annotation such as ``list[SpectrumConfig] | None``, if any."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    models = (model_of(part) for part in get_args(annotation))
    return next((model for model in models if model is not None), None)


def _field_keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]
