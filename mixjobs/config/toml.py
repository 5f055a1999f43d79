"""Read job files: TOML, and errors that name the key."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError

from mixjobs.errors import MissingFile, UnreadableFile, nearest

Pair = Annotated[tuple[float, float], Strict(False)]
PositiveInt = Annotated[int, Field(gt=0)]
IntPair = Annotated[tuple[PositiveInt, PositiveInt], Strict(False)]
Expected = Mapping[tuple[str, ...], str]


class Table(BaseModel):
    """A table of a job file: no key but its own, no value of another type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def read_toml(path: str | Path) -> dict[str, Any]:
    """Read a TOML file; `MissingFile` or `UnreadableFile` where that cannot be done."""
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingFile(f"{path}: no such file; check its name") from None
    except IsADirectoryError:
        raise UnreadableFile(f"{path}: is a folder; give a job file (TOML)") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UnreadableFile(f"{path}: not a TOML job file: {error}") from None


def beside(folder: Path, path: str | None) -> str | None:
    """Return a path that is relative to the job file's folder."""
    return None if path is None else str(folder / path)


def first_fault(
    error: ValidationError,
    data: Any,
    root: type[BaseModel],
    expected: Expected,
    within: tuple[str, ...] = (),
) -> str:
    """Say in one line what is wrong with the data of a job.

    Parameters
    ----------
    error : ValidationError
        What pydantic found in `data`.
    root : type
        The model of the data.
    expected : mapping
        What should be at a place, in better words than pydantic's; by one or two keys.
    within : tuple of str
        Where in the file the data are.
    """
    faults = error.errors()  # a key that is mistyped before one that is missing for it
    fault = next((f for f in faults if f["type"] == "extra_forbidden"), faults[0])
    location = within + _keys_of_data(fault["loc"], data, fault["type"] == "missing")
    place = ".".join(location)
    if fault["type"] == "extra_forbidden":
        return f"unknown key {place!r}{nearest(location[-1], _keys(_model_at(root, fault['loc'])))}"
    words = tuple(part for part in location if not part.isdigit())
    said = expected.get(words[:2]) or expected.get(words[:1])
    if fault["type"] == "missing" and not said:
        return f"{place!r} is missing"
    if not said:
        said = fault["msg"].removeprefix("Input should be ").partition(" or instance of")[0]
    return f"{place} = {fault['input']!r}; expected {said}"


def _keys_of_data(location: Sequence[str | int], data: Any, missing: bool) -> tuple[str, ...]:
    """Keep what the data's writer knows of pydantic's location: its own keys and places."""
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
            model = _model_in(fields[str(part)].annotation) or model
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Find the table that an annotation speaks of, if any: itself, or a part of it."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(part) for part in get_args(annotation))
    return next((model for model in found if model is not None), None)


def _keys(table: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in table.model_fields.items()]
