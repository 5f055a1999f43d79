"""The job file of ``mixjobs sample``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from mixjobs.config.cluster import EXPECTED, ClusterConfig
from mixjobs.config.toml import (
    Config,
    Expected,
    Pair,
    PositiveInt,
    contradiction,
    invalid,
    read_toml,
    resolve,
    validate,
)
from mixjobs.errors import InvalidInput

PositiveFloat = Annotated[float, Field(gt=0)]
Degree = Annotated[int, Field(ge=0)]
Widths = PositiveFloat | list[PositiveFloat]

_NOT_PATHS = ("library", "blackbody")  # names of components
_WIDTHS = "a positive number, or a list with one for each order"
_EXPECTED: Expected = {
    **EXPECTED,
    ("spectra", "resolution"): _WIDTHS,
    ("spectra", "fwhm"): f"{_WIDTHS}, in km/s",
    ("spectra", "barycentric_velocity"): "a number in km/s",
    ("spectra", "exclude"): "a file, or ranges [[LOW, HIGH], ...] in Å",
    ("model", "components"): 'a number of 1 or more, or a list such as ["library", "blackbody"]',
    ("continuum", "degree"): "a whole number of 0 or more, or one for each order, such as "
    "{ 21 = 3, default = 4 }",
    ("parameters", "constraints"): 'a list such as ["teff_2 < teff_1"]',
    ("parameters", "dirichlet"): "a list with a positive number for each component",
    ("parameters",): "a prior such as { uniform = [0, 1] }, a number, or an expression such as "
    "'logg_1'",
}


class _FiniteConfig(Config):
    model_config = ConfigDict(allow_inf_nan=False)


class SpectrumConfig(_FiniteConfig):
    """One epoch: an observed spectrum, and what its file does not state."""

    file: str = Field(description="file of the observed spectrum")
    medium: Literal["air", "vacuum"] | None = Field(
        default=None, description="medium of its wavelengths, if the file does not state it"
    )
    barycentric_velocity: float | None = Field(
        default=None, description="barycentric velocity in km/s to add to rv"
    )
    orders: list[int] | None = Field(default=None, description="orders to fit (default: all)")
    resolution: Widths | None = Field(default=None, description="resolving power")
    fwhm: Widths | None = Field(
        default=None, description="FWHM of the instrumental profile in km/s"
    )
    exclude: str | list[Pair] | None = Field(
        default=None, description="wavelength ranges in Å to mask, or a file that lists them"
    )

    @model_validator(mode="after")
    def _check(self) -> SpectrumConfig:
        if self.resolution is not None and self.fwhm is not None:
            raise contradiction("fwhm", "give either resolution or fwhm, not both")
        orders = self.orders
        if orders is not None and (not orders or len(set(orders)) < len(orders)):
            raise invalid("orders", orders, "order numbers, each once")
        ranges = self.exclude if isinstance(self.exclude, list) else []
        wrong = [list(pair) for pair in ranges if not pair[0] < pair[1]]
        if wrong:
            raise invalid("exclude", wrong[0], "[LOW, HIGH] in Å")
        return self


class ModelConfig(_FiniteConfig):
    """The mixture, as `mixjobs.load_mixture` takes it, and the parameters of each epoch."""

    components: PositiveInt | Annotated[list[str], Field(min_length=1)] = Field(
        default=2, description="number of photospheres, or a list of library, blackbody and stores"
    )
    shared: list[str] = Field(
        default_factory=lambda: ["logg", "feh", "vsini", "rv"],
        description="parameters that the components share",
    )
    method: Literal["cubic", "linear", "simplex"] | None = Field(
        default=None,
        description="interpolation between grid points (default: cubic, or simplex on an "
        "irregular grid)",
    )
    limb_darkening: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.6, description="linear limb-darkening coefficient of the rotation profile"
    )
    library_resolution: PositiveFloat | None = Field(
        default=None, description="resolving power of the library"
    )
    emulator_error: bool = Field(
        default=True, description="include the emulator's interpolation error in the covariance"
    )
    per_epoch: list[str] | None = Field(
        default=None, description="parameters that each epoch has for itself"
    )

    @property
    def n_components(self) -> int:
        """Number of components."""
        return self.components if isinstance(self.components, int) else len(self.components)


class ContinuumConfig(_FiniteConfig):
    """The Chebyshev continuum of each order, and the prior of its coefficients."""

    degree: Degree | dict[str, Degree] = Field(
        default=4, description="polynomial degree, for all orders or by order number"
    )
    prior_sd: PositiveFloat = Field(
        default=1.0, description="standard deviation of the normal prior of each coefficient"
    )

    @model_validator(mode="after")
    def _check(self) -> ContinuumConfig:
        degrees = self.degree if isinstance(self.degree, dict) else {}
        wrong = [key for key in degrees if key != "default" and not key.isdecimal()]
        if wrong:
            raise invalid("degree", wrong[0], "order numbers and 'default' as its keys")
        return self

    def of_order(self, number: int) -> int:
        """Return the degree in the order with this number.

        Examples
        --------
        >>> continuum = ContinuumConfig(degree={"21": 3})
        >>> continuum.of_order(21), continuum.of_order(22)
        (3, 4)
        """
        if isinstance(self.degree, int):
            return self.degree
        return self.degree.get(str(number), self.degree.get("default", 4))


class NoiseConfig(_FiniteConfig):
    """The noise model."""

    correlated: bool = Field(
        default=True, description="include correlated noise, not only the diagonal"
    )


class PriorConfig(_FiniteConfig):
    """A prior; `mixjobs.inference.priors` defines the kinds and checks them."""

    uniform: Pair | None = None
    normal: Pair | None = None
    loguniform: Pair | None = None
    low: float | None = None
    high: float | None = None


class ParametersConfig(_FiniteConfig):
    """Priors, fixed values and expressions of the parameters.

    In the file, `settings` are keys of this table.
    """

    settings: dict[str, PriorConfig | float | str] = Field(default_factory=dict)
    constraints: list[str] | None = None
    dirichlet: list[float] | None = None

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, data: Any) -> Any:
        """Move all keys except `constraints` and `dirichlet` into `settings`."""
        if not isinstance(data, Mapping):
            return data
        own = {key: data[key] for key in ("constraints", "dirichlet") if key in data}
        return own | {"settings": {key: data[key] for key in data if key not in own}}

    @property
    def plain_settings(self) -> dict[str, dict[str, Any] | float | str]:
        """The settings as plain values, as `mixjobs.inference.parameters` takes them."""
        return {
            name: value.model_dump(exclude_none=True) if isinstance(value, PriorConfig) else value
            for name, value in self.settings.items()
        }


class SamplingConfig(_FiniteConfig):
    """The sampler, and its longest run."""

    walkers: PositiveInt | None = Field(
        default=None, description="walkers per ensemble (default: 32, or 4 for each free parameter)"
    )
    ensembles: Annotated[int, Field(ge=2)] = Field(default=2, description="independent ensembles")
    max_steps: PositiveInt = Field(default=20000, description="largest number of steps")
    checkpoint: PositiveInt = Field(default=100, description="steps between checkpoints")

    @model_validator(mode="after")
    def _check(self) -> SamplingConfig:
        if self.walkers is not None and self.walkers % 2:
            raise invalid(
                "walkers", self.walkers, "an even number: an ensemble moves half of them at a time"
            )
        return self


class SampleConfig(_FiniteConfig):
    """Everything that ``mixjobs sample`` needs to know."""

    output: str = Field(description="run folder to write")
    store: str = Field(description="store with an emulator")
    seed: Degree = Field(default=1, description="seed of the random numbers")
    spectra: list[SpectrumConfig]
    model: ModelConfig = Field(default_factory=ModelConfig)
    continuum: ContinuumConfig = Field(default_factory=ContinuumConfig)
    noise: NoiseConfig = Field(default_factory=NoiseConfig)
    parameters: ParametersConfig = Field(default_factory=ParametersConfig)
    sampling: SamplingConfig = Field(default_factory=SamplingConfig)
    cluster: ClusterConfig | None = None

    @model_validator(mode="after")
    def _check(self) -> SampleConfig:
        if not self.spectra:
            raise contradiction("spectra", "no spectrum; give one [[spectra]] table per epoch")
        return self

    @property
    def per_epoch(self) -> list[str]:
        """Parameters of each epoch; with several epochs, rv and c unless the job says otherwise."""
        if self.model.per_epoch is not None or len(self.spectra) == 1:
            return self.model.per_epoch or []
        return ["rv", "c"] if self.model.n_components > 1 else ["rv"]


def read_sample_job(path: str | Path) -> SampleConfig:
    """Read a job file. Its paths are relative to the file; `~` is the home folder.

    Raises
    ------
    MissingFile, UnreadableFile
        No such file, or not TOML.
    InvalidInput
        An unknown, missing or invalid key.
    """
    job = make_sample_job(read_toml(path), str(path))
    return _resolve_paths(Path(path).expanduser().parent, job)


def absolute(job: SampleConfig) -> SampleConfig:
    """Return the job with absolute paths."""
    return _resolve_paths(Path.cwd(), job)


def _resolve_paths(folder: Path, job: SampleConfig) -> SampleConfig:
    components = job.model.components
    if not isinstance(components, int):
        components = [c if c in _NOT_PATHS else str(resolve(folder, c)) for c in components]
    return job.model_copy(
        update={
            "output": resolve(folder, job.output),
            "store": resolve(folder, job.store),
            "spectra": [_resolve_spectrum(folder, spectrum) for spectrum in job.spectra],
            "model": job.model.model_copy(update={"components": components}),
        }
    )


def _resolve_spectrum(folder: Path, spectrum: SpectrumConfig) -> SpectrumConfig:
    exclude = spectrum.exclude
    if isinstance(exclude, str):
        exclude = resolve(folder, exclude)
    return spectrum.model_copy(update={"file": resolve(folder, spectrum.file), "exclude": exclude})


def make_sample_job(data: Mapping[str, Any], source: str) -> SampleConfig:
    """Validate the data of a job; errors name their `source`."""
    if isinstance(data.get("spectra"), Mapping):
        raise InvalidInput(
            f"{source}: [spectra] is a single table; write [[spectra]], once for each spectrum",
            name="spectra",
        )
    return validate(SampleConfig, data, source, _EXPECTED)
