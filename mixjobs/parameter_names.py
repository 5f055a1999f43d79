"""Names of parameters, in the spellings of libraries."""

from __future__ import annotations

import re

# Spellings of Starfish, MSG, SVO, PHOENIX, SPHINX and Kurucz, without case, blanks and brackets.
_PARAMETERS = {
    "teff": ("t", "te", "teff", "temp", "temperature", "effectivetemperature", "phxteff", "tstar"),
    "logg": ("g", "logg", "log10g", "lgg", "grav", "gravity", "surfacegravity", "phxlogg"),
    "feh": (
        "z", "feh", "fe/h", "m/h", "mh", "meta", "met", "metal", "metallicity", "logz", "phxm/h",
        "logfeh", "abundance", "fe", "log10z", "logmet", "logz/zsun",
    ),
    "alpha": (
        "a", "alpha", "alpha/fe", "alphafe", "a/fe", "afe", "alpha/m", "a/m", "alpham", "am",
        "phxalpha", "α/fe", "alphaenhancement", "alpha/h",
    ),
}  # fmt: skip
_SPELLINGS = {spelling: name for name, known in _PARAMETERS.items() for spelling in known}
_UNIT_OF_NAME = re.compile(
    r"[(\[]\s*(k|kelvin|dex|cgs|deg|cm/s\^?2|cm\s*s-2|log\s*\(?cm/s\^?2\)?)\s*[)\]]$", re.IGNORECASE
)


def parameter_name(original: str) -> str | None:
    """Return the standard name of a parameter; None if the spelling is not known.

    Examples
    --------
    >>> parameter_name("Teff (K)"), parameter_name("log(g)"), parameter_name("[Fe/H]")
    ('teff', 'logg', 'feh')
    >>> parameter_name("mass_loss") is None
    True
    """
    plain = _UNIT_OF_NAME.sub("", original.strip())
    key = re.sub(r"[\s_\-()\[\]{}$\\^:]", "", plain).lower()
    return _SPELLINGS.get(key)
