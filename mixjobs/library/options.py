"""What a user states about a library, in place of what its files declare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from mixjobs.errors import InvalidInput
from mixjobs.wavelengths import MEDIA, Medium

FluxScale = Literal["raw", "scaled"]


@dataclass(frozen=True)
class LibraryOptions:
    """Statements of the user about a library. They replace the declarations of its files.

    Parameters
    ----------
    flux_unit, wavelength_unit : str, optional
        Units, such as ``"W/m2/um"`` and ``"nm"``.
    medium : {"air", "vacuum"}, optional
        Medium of the wavelengths.
    names : mapping, optional
        Names of parameters by their names in the library, such as ``{"Gravity": "logg"}``.
    flux_scale : {"raw", "scaled"}, optional
        Whether the spectra are raw, or scaled to one luminosity; neither is checked.

    Raises
    ------
    InvalidInput
        The medium or the flux scale is none of these, or the names are not a mapping.
    """

    flux_unit: str | None = None
    wavelength_unit: str | None = None
    medium: Medium | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    flux_scale: FluxScale | None = None

    def __post_init__(self) -> None:
        if self.flux_scale not in (None, *get_args(FluxScale)):
            raise InvalidInput(
                f"flux_scale = {self.flux_scale!r}; expected 'raw' or 'scaled'",
                name="flux_scale", value=self.flux_scale,
            )  # fmt: skip
        if self.medium not in (None, *MEDIA):
            raise InvalidInput(
                f"medium = {self.medium!r}; expected 'air' or 'vacuum'",
                name="medium", value=self.medium,
            )  # fmt: skip
        names = {} if self.names is None else self.names
        if not isinstance(names, Mapping) or not all(
            isinstance(text, str) and text for pair in names.items() for text in pair
        ):
            raise InvalidInput(
                f"names = {self.names!r}; expected a mapping from names in the library to names of "
                "parameters, such as {'Gravity': 'logg'}",
                name="names", value=self.names,
            )  # fmt: skip
        object.__setattr__(self, "names", dict(names))
