"""Patterns of file names: the files that match, and the numbers in their names."""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from collections.abc import Sequence
from pathlib import Path

from mixjobs.errors import InvalidInput, MissingFile

PLACE = "{order}"  # stands for the number in a pattern
_WILDCARD = re.compile(rf"[*?\[]|{re.escape(PLACE)}")
_DIGITS = re.compile("([0-9]+)")


def is_pattern(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a pattern: it has a wildcard or `PLACE`, and no such file exists.

    Examples
    --------
    >>> is_pattern("star_m*.hdf5"), is_pattern("star_m{order}.hdf5"), is_pattern("star.hdf5")
    (True, True, False)
    """
    return _WILDCARD.search(os.fspath(path)) is not None and not Path(path).exists()


def matching_files(pattern: str | os.PathLike[str]) -> list[Path]:
    """Return the files that match a pattern, in the sequence of the numbers in their names.

    The wildcards are those of the shell: ``*``, ``?``, ``[...]``, and ``**`` for any folders.
    `PLACE` matches a whole number. A folder of the pattern that exists is taken literally, whatever
    characters its name contains. Hidden files do not match ``*``.

    Raises
    ------
    MissingFile
        No file matches.
    InvalidInput
        `PLACE` occurs twice.
    """
    folder, rest = _split(pattern)
    wildcards = rest.replace(PLACE, "*")
    # unlike Path.glob, it skips hidden files
    names = glob.glob(wildcards, root_dir=folder, recursive=True)  # noqa: PTH207
    expression = _expression(pattern, rest)
    files = [folder / name for name in names if expression.match(name)]
    files = [file for file in files if file.is_file()]
    if not files:
        raise MissingFile(
            f"{os.fspath(pattern)}: no file matches this pattern; check the path", path=pattern
        )
    return sorted(files, key=_natural)


def numbers_in_names(pattern: str | os.PathLike[str], files: Sequence[Path]) -> list[int] | None:
    """Return the number in the name of each file that matches a pattern.

    It is the number at `PLACE`, or else the only one that differs between the names. A single name
    has nothing to differ from: its number is the only one that the wildcards match, at their end.

    Returns
    -------
    list of int, or None
        None for a single file without such a number.

    Raises
    ------
    InvalidInput
        Several numbers could be meant, or the names differ in more than numbers.

    Examples
    --------
    >>> numbers_in_names("M67_m*.fits", [Path("M67_m091.fits"), Path("M67_m106.fits")])
    [91, 106]
    """
    folder, rest = _split(pattern)
    names = [str(file.relative_to(folder)) for file in files]
    if PLACE in rest:
        matches = map(_expression(pattern, rest).match, names)
        return [int(match[1]) for match in matches if match]
    split = [_DIGITS.split(name) for name in names]
    odd_one = next((k for k, words in enumerate(split) if words[::2] != split[0][::2]), None)
    if odd_one is not None:
        raise _unclear(pattern, f"{names[0]} and {names[odd_one]} differ in more than a number")
    if len(names) == 1:
        return _number_in_wildcards(pattern, rest, names[0])
    fields = [
        k for k, words in enumerate(zip(*split, strict=True)) if len({*map(_value, words)}) > 1
    ]
    if len(fields) != 1:
        count = f"{len(fields)} numbers differ" if fields else "no number differs"
        raise _unclear(pattern, f"{count} between {names[0]} and {names[-1]}")
    return [int(words[fields[0]]) for words in split]


def _number_in_wildcards(pattern: str | os.PathLike[str], rest: str, name: str) -> list[int] | None:
    """Return the number between the literal ends of a pattern, in the only name that matches."""
    wildcards = [match.span() for match in re.finditer(r"\[[^]]*\]|[*?]", rest)]
    start, end = wildcards[0][0], len(name) - (len(rest) - wildcards[-1][1])
    matched = [m for m in _DIGITS.finditer(name) if m.start() < end and m.end() > start]
    if not matched:
        return None
    if len(matched) > 1 or matched[0].end() < end:
        raise _unclear(pattern, f"its only file is {name}")
    return [int(matched[0][0])]


def _split(pattern: str | os.PathLike[str]) -> tuple[Path, str]:
    """Return the folders of a pattern that exist, and the rest."""
    folder, parts = Path(), list(Path(pattern).parts)
    while len(parts) > 1 and (folder / parts[0]).is_dir():
        folder /= parts.pop(0)
    return folder, str(Path(*parts))


def _expression(pattern: str | os.PathLike[str], rest: str) -> re.Pattern[str]:
    """Return the regular expression of names, whose only group is the number at `PLACE`."""
    if rest.count(PLACE) > 1:
        raise InvalidInput(
            f"{os.fspath(pattern)}: {PLACE} occurs twice; give it once", path=pattern, name="path"
        )
    if PLACE not in rest:
        return re.compile("")  # already matched
    before, after = (fnmatch.translate(part)[:-2] for part in rest.split(PLACE))  # without \Z
    return re.compile(rf"{before}(?<![0-9])([0-9]+){after}\Z")


def _natural(file: Path) -> list[str | int]:
    words = _DIGITS.split(str(file))
    return [int(word) if k % 2 else word for k, word in enumerate(words)]


def _value(word: str) -> int | str:
    return int(word) if word.isdecimal() else word


def _unclear(pattern: str | os.PathLike[str], fault: str) -> InvalidInput:
    return InvalidInput(
        f"{os.fspath(pattern)}: the number of each order is not clear from the names: {fault}; "
        f"write {PLACE} in the pattern in its place, or give numbers = [...], one for each order",
        path=pattern,
        name="path",
    )
