"""The medium of wavelengths that a file declares: air or vacuum."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from mixjobs.declarations import Declaration, attribute_text, read_flag
from mixjobs.errors import UnreadableFile
from mixjobs.wavelengths import Medium

# Keywords that declare the medium, and what their values mean.
_WORD_MEDIA: dict[str, Medium] = {
    "air": "air", "vacuum": "vacuum", "vac": "vacuum", "awav": "air", "wave": "vacuum",
    "in air": "air", "in vacuum": "vacuum",
}  # fmt: skip
_FLAG_MEDIA: dict[str, tuple[Medium, Medium]] = {  # if true, if false
    "air": ("air", "vacuum"), "vacuum": ("vacuum", "air"), "vac": ("vacuum", "air"),
    **{
        f"{before}{word}{after}": ("air", "vacuum") if word == "air" else ("vacuum", "air")
        for word in ("air", "vac", "vacuum")
        for before, after in (
            ("in", ""), ("in_", ""), ("is", ""), ("is_", ""), ("", "wave"), ("", "_wave"),
            ("", "wavelength"), ("", "_wavelength"), ("", "wl"), ("", "_wl"),
        )
    },
}  # fmt: skip
_MEDIUM_WORDS = (
    "medium", *(f"{a}{_}{b}" for a, b in (("air", "vac"), ("vac", "air"), ("air", "vacuum"))
                for _ in ("", "_", "or", "_or_")),
    *(f"{wave}{_}{word}" for wave in ("wave", "wavelength", "lam", "lambda", "wl", "wlen")
      for _ in ("", "_") for word in ("medium", "med")),
    "wavetype", "wave_type",
)  # fmt: skip
_OTHER_USES = ("lamframe", "wlframe", "waveframe", "wave_frame", "frame")  # or a velocity frame
_AXIS = re.compile(r"^(ctype1|tctyp\d+)$")
_UCD = re.compile(r"^tucd\d+$")


def declared_medium(
    declarations: Iterable[tuple[str, Any]], path: str | os.PathLike[str]
) -> Medium | None:
    """Return the medium that a file declares; None if it declares none.

    Parameters
    ----------
    declarations : pairs of (keyword, value)
        Flags such as ``air``, ``INAIR`` and ``VACUUM``; the words "air" or "vacuum" under
        ``medium``, ``AIRORVAC``, ``LAMFRAME`` and the like;
        the types AWAV (air) and WAVE (vacuum) of FITS (Greisen et al. 2006, A&A 446, 747) under
        ``CTYPE1`` or ``TCTYPn``, and the UCD ``em.wl;obs.atmos`` (air) of ESO's phase 3. Keywords
        and words are read in any case; other keywords are ignored.
    path : str or path
        The file, for the error.

    Raises
    ------
    UnreadableFile
        A value is neither air nor vacuum, or two of them contradict each other.

    Examples
    --------
    >>> declared_medium([("air", False), ("MEDIUM", "Vacuum")], "star.fits")
    'vacuum'
    >>> declared_medium([("TCTYP1", "AWAV")], "star.fits")
    'air'
    """
    declaration = medium_declaration(declarations, path)
    return None if declaration is None else _WORD_MEDIA[declaration.understood]


def medium_declaration(
    declarations: Iterable[tuple[str, Any]], path: str | os.PathLike[str]
) -> Declaration | None:
    """Return how a file declares its medium, as `declared_medium` reads it; None if it does not.

    Examples
    --------
    >>> print(medium_declaration([("AIRORVAC", "air")], "star.fits"))
    medium: air (declared: AIRORVAC = 'air')
    """
    media: dict[Medium, str] = {}
    values: dict[str, Any] = {}
    for keyword, value in declarations:
        key = str(keyword).strip().lower()
        medium: Medium | None
        if _says_nothing(key, value):
            continue
        if key in _OTHER_USES:
            medium = _WORD_MEDIA.get(attribute_text(value).strip().lower())
        elif key in (*_FLAG_MEDIA, *_MEDIUM_WORDS):
            medium = _medium_of(key, value)
            if medium is None:
                expected = "air or vacuum" if key in _MEDIUM_WORDS else "True or False"
                raise UnreadableFile(
                    f"{os.fspath(path)}: {keyword} is {value!r}; expected {expected}: "
                    "correct the file",
                    path=path, name=str(keyword), value=value,
                )  # fmt: skip
        else:
            medium = _medium_of_axis(key, value)
        if medium is not None:
            media[medium] = str(keyword)
            values[str(keyword)] = attribute_text(value).strip()
    if len(media) > 1:
        raise UnreadableFile(
            f"{os.fspath(path)}: declares both air ({media['air']}) and vacuum "
            f"({media['vacuum']}); expected one medium: correct the file",
            path=path, name=media["vacuum"], value="air and vacuum",
        )  # fmt: skip
    for medium, keyword in media.items():
        return Declaration("medium", f"{keyword} = {values[keyword]!r}", medium)
    return None


def _says_nothing(key: str, value: Any) -> bool:
    """Whether a keyword declares no medium: it is blank, or ``VACUUM`` is a pressure."""
    if value is None or not attribute_text(value).strip():
        return True
    if key not in _FLAG_MEDIA or isinstance(value, bool | np.bool_):
        return type(value).__name__ == "Undefined"  # a card of FITS without a value
    try:
        number = float(attribute_text(value))
    except ValueError:
        return type(value).__name__ == "Undefined"
    return key in ("vacuum", "vac") and number not in (0, 1)


def is_medium_keyword(keyword: str, *, axis_types: bool = True) -> bool:
    """Whether a keyword may declare the medium; without `axis_types`, CTYPE1 and the like do not.

    Examples
    --------
    >>> is_medium_keyword("AIRORVAC"), is_medium_keyword("CTYPE1", axis_types=False)
    (True, False)
    """
    key = keyword.strip().lower()
    if key in (*_FLAG_MEDIA, *_MEDIUM_WORDS, *_OTHER_USES):
        return True
    return axis_types and bool(_AXIS.match(key) or _UCD.match(key))


def _medium_of(key: str, value: Any) -> Medium | None:
    word = _WORD_MEDIA.get(attribute_text(value).strip().strip("'\"").lower())
    if word is not None or key in _MEDIUM_WORDS:
        return word
    flag = read_flag(value)
    return None if flag is None else _FLAG_MEDIA[key][0 if flag else 1]


def _medium_of_axis(key: str, value: Any) -> Medium | None:
    """Return the medium of a FITS axis type or a UCD; None if they say nothing about it."""
    text = attribute_text(value).strip().lower()
    if _AXIS.match(key):
        axis = text.split("-")[0]
        return _WORD_MEDIA[axis] if axis in ("awav", "wave") else None
    if _UCD.match(key):
        return "air" if text == "em.wl;obs.atmos" else None
    return None
