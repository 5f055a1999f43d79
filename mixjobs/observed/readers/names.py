"""Names of columns, datasets and extensions, and the quantities that they mean."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mixjobs.errors import InvalidInput, UnreadableFile, nearest
from mixjobs.wavelengths import Medium

# In lower case, with blanks and dashes as underscores. The first tier with a match decides.
_TIERS: dict[str, tuple[str, ...]] = {
    "wavelength": (
        "wavelength wavelengths wave waves wl wls lambda lambdas lam wav wvl wavl wlen lamb "
        "wave_length spectral_axis x_wave awav waveab wavedata waveobs sciwave",
        "loglam log_lambda loglambda log_wave log_wavelength log10_wavelength logwave",
    ),
    "flux": (
        "flux fluxes fls fl flam f_lambda flux_lambda flux_density fluxdensity sci_flux f_lam "
        "fluxab scidata sciflux",
        "sci science spec spectrum intensity counts signal flux_norm norm_flux normalized_flux "
        "normalised_flux flux_normalized flux_reduced f data net",
    ),
    "flux_error": (
        "sigma sigmas error errors err errs uncertainty uncertainties flux_error flux_err fluxerr "
        "fluxerror flux_sigma flux_uncertainty flux_unc e_flux eflux err_flux error_flux unc "
        "uncert stddev std stdev flux_std sci_error noise dflux flux_errors sig flux_e errdata",
        "err_reduced err_norm norm_err error_up",
    ),
    "variance": (
        "variance var flux_var flux_variance fluxvar varflux var_flux variances vari scivar",
    ),
    "ivar": ("ivar invvar inverse_variance inv_var flux_ivar ivar_flux inversevariance invar",),
    "snr": (
        "snr sn s_n s/n sn_ratio signal_to_noise snr_per_pixel signaltonoise signal_to_noise_ratio",
    ),
    "mask": ("mask masks use good usable use_pixel",),
    "flags": (
        "and_mask andmask quality qual dq dqf "
        "flag flags bad bad_pixel badpix bad_pixels bpm data_quality "
        "quality_flag pixel_flag bitmask qual_flag dataquality qualflag qualdata",
        "or_mask ormask",
    ),
    "order": ("order orders sporder spec_order order_number ordernumber ord echelle_order echord",),
}  # fmt: skip
QUANTITIES = tuple(_TIERS)
_SPELLINGS = {name: [tier.split() for tier in tiers] for name, tiers in _TIERS.items()}
ERRORS = ("flux_error", "variance", "ivar", "snr")  # the first that a file has is used
_LOGARITHMS = set(_SPELLINGS["wavelength"][1])

_UNIT = re.compile(r"\s*[(\[]\s*([^)\]]*?)\s*[)\]]\s*$")
_UNIT_SUFFIX = re.compile(r"^(.+?)_(nm|um|micron|microns|aa|angstroms?|ang|a|cm|mm)$")
_MEDIUM = re.compile(r"^(?:(air|vac|vacuum)_(.+)|(.+?)_?(air|vac|vacuum)(?:_bary)?)$")


class Meaning(NamedTuple):
    """What the name of a column tells.

    Attributes
    ----------
    quantity : str or None
        One of `QUANTITIES`.
    tier : int
        0 for the usual names; higher for names that count only if there is none of these.
    unit : str or None
        Such as "nm" in "wavelength (nm)" or "wave_nm".
    medium : {"air", "vacuum"} or None
        As in "wavelength_air".
    """

    quantity: str | None
    tier: int = 0
    unit: str | None = None
    medium: Medium | None = None


def meaning(name: str) -> Meaning:
    """Return what the name of a column, a dataset or an extension tells.

    Examples
    --------
    >>> meaning("Wavelength (nm)")
    Meaning(quantity='wavelength', tier=0, unit='nm', medium=None)
    >>> meaning("WAVE_AIR").medium, meaning("loglam").unit, meaning("S/N").quantity
    ('air', 'log10(Angstrom)', 'snr')
    """
    bracket = _UNIT.search(name)
    unit = bracket[1] if bracket else None
    key = re.sub(r"[\s\-]+", "_", _UNIT.sub("", name).strip().lower()).strip("_.")
    found = _spelled(key)
    if found.quantity:
        return found._replace(unit=unit or found.unit)
    suffix, side = _UNIT_SUFFIX.match(key), _MEDIUM.match(key)
    if suffix and _spelled(suffix[1]).quantity == "wavelength":
        return _spelled(suffix[1])._replace(unit=unit or suffix[2])
    if side:
        rest = _spelled(side[2] or side[3])
        if rest.quantity == "wavelength":
            medium: Medium = "air" if (side[1] or side[4]) == "air" else "vacuum"
            tier = rest.tier + (2 if medium == "air" else 1)  # some files have both
            return rest._replace(unit=unit or rest.unit, medium=medium, tier=tier)
    return Meaning(None)


def _spelled(key: str) -> Meaning:
    for quantity, tiers in _SPELLINGS.items():
        for tier, names in enumerate(tiers):
            if key in names:
                unit = "log10(Angstrom)" if key in _LOGARITHMS else None
                return Meaning(quantity, tier, unit)
    return Meaning(None)


def check_columns(columns: Mapping[str, str | int]) -> dict[str, str | int]:
    """Return names that a user gives, after checking their keys.

    Raises
    ------
    InvalidInput
        A key is not a quantity, or a value is neither a name nor a number.
    """
    keys = (*QUANTITIES, "extension")
    for key, value in columns.items():
        if key not in keys:
            raise InvalidInput(
                f"columns: {key!r} is not a quantity of a spectrum{nearest(str(key), keys)}",
                name="columns",
                value=key,
            )
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise InvalidInput(
                f"columns: {key} = {value!r}; expected the name or the number of a column, an "
                "extension or a dataset",
                name="columns",
                value=value,
            )
    return dict(columns)


def find_quantities(
    path: Path,
    names: Sequence[str],
    given: Mapping[str, str | int],
    kind: str,
    *,
    first: int = 1,
    known: Mapping[str, str] | None = None,
) -> dict[str, int]:
    """Return the index of each quantity among the names of a file.

    Parameters
    ----------
    path : Path
    names : sequence of str
    given : mapping
        Names or numbers that the user gives, by quantity.
    kind : str
        "column", "dataset" or "extension", for errors.
    first : int
        Number of the first name: columns count from 1, extensions from 0.
    known : mapping, optional
        Quantities that the file itself declares, by name; they go before the spelling of names.

    Raises
    ------
    UnreadableFile
        Two names could be the same quantity.
    InvalidInput
        A name or a number that the user gives is not in the file.
    """
    found = {
        quantity: _index(path, names, quantity, name, kind, first)
        for quantity, name in given.items()
        if quantity in QUANTITIES
    }
    meanings = [meaning(name) for name in names]
    for quantity in QUANTITIES:
        if quantity in found:
            continue
        declared = [k for k, name in enumerate(names) if (known or {}).get(name) == quantity]
        spelled = [k for k, one in enumerate(meanings) if one.quantity == quantity]
        best = min((meanings[k].tier for k in spelled), default=0)
        matches = declared or [k for k in spelled if meanings[k].tier == best]
        matches = [k for k in matches if k not in found.values()]
        if len(matches) > 1:
            listed = [names[k] for k in matches]
            raise UnreadableFile(
                f"{path}: the {kind}s {' and '.join(listed)} could each be the "
                f"{quantity.replace('_', ' ')}; rename the others, or give "
                f'columns = {{ {quantity} = "{listed[0]}" }}',
                path=path, name=quantity, value=listed,
            )  # fmt: skip
        if matches:
            found[quantity] = matches[0]
    return _only_given(found, given)


def _only_given(found: dict[str, int], given: Mapping[str, str | int]) -> dict[str, int]:
    """Drop other kinds of flux error if the user gives one."""
    if not any(kind in given for kind in ERRORS):
        return found
    return {name: k for name, k in found.items() if name not in ERRORS or name in given}


def _index(
    path: Path, names: Sequence[str], quantity: str, name: str | int, kind: str, first: int
) -> int:
    if isinstance(name, int) and first <= name < len(names) + first:
        return name - first
    if name in names:
        return list(names).index(str(name))
    lower = [one.strip().lower() for one in names]
    if isinstance(name, str) and lower.count(name.strip().lower()) == 1:
        return lower.index(name.strip().lower())
    listed = ", ".join(one or "(no name)" for one in names[:12]) + ("..." * (len(names) > 12))
    numbers = f"numbers {first} to {len(names) + first - 1}"
    raise InvalidInput(
        f"{path}: columns: {quantity} = {name!r} is not a {kind} of the file; choose from "
        f"{listed} ({numbers})",
        path=path, name="columns", value=name,
    )  # fmt: skip
