"""The job file of ``mixjobs sample``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from mixjobs.config.cluster import EXPECTED, ClusterConfig, resolve_paths
from mixjobs.config.limits import (
    Columns,
    Fwhm,
    LibraryResolution,
    OrderNumber,
    Resolution,
    Seed,
    Snr,
)
from mixjobs.config.toml import (
    Config,
    Expected,
    Pair,
    contradiction,
    expand,
    invalid,
    read_toml,
    resolve,
    validate,
)
from mixjobs.errors import InvalidInput
from mixjobs.limits import FWHM, MAX_COMPONENTS, MAX_DEGREE, MAX_RV_OF_EARTH, RESOLUTION, SNR

Degree = Annotated[int, Field(ge=0, le=MAX_DEGREE)]

_NOT_PATHS = ("library", "blackbody")  # names of components
_WIDTHS = "a positive number, or a list with one for each order, from {:g} to {:g}"
_EXPECTED: Expected = {
    **EXPECTED,
    ("spectra", "resolution"): _WIDTHS.format(*RESOLUTION),
    ("spectra", "fwhm"): f"{_WIDTHS.format(*FWHM)} km/s",
    ("spectra", "barycentric_velocity"): f"a number in km/s, from {-MAX_RV_OF_EARTH:g} to "
    f"{MAX_RV_OF_EARTH:g}; that of the Earth is at most 32",
    ("spectra", "columns"): 'names or numbers of quantities, such as { wavelength = "LAM", '
    'flux = "F1", flux_error = "E1" }',
    ("spectra", "snr"): "a number from {:g} to {:g}".format(*SNR),
    ("spectra", "exclude"): "a file, or ranges [[LOW, HIGH], ...] in Å",
    ("model", "components"): f"a number from 1 to {MAX_COMPONENTS}, or a list such as "
    '["library", "blackbody"]',
    ("continuum", "degree"): f"a whole number from 0 to {MAX_DEGREE}, or one for each order, such "
    "as { 21 = 3, default = 4 }",
    ("parameters", "constraints"): 'a list such as ["teff_2 < teff_1"]',
    ("parameters", "dirichlet"): "a list with a positive number for each of two or more "
    "components, from 0.001 to 1e6",
    ("parameters",): "a prior such as { uniform = [0, 1] }, a number, or an expression such as "
    "'logg_1'",
}


class SpectrumConfig(Config):
    """One epoch: an observed spectrum, and what its file does not state."""

    file: str = Field(
        description="file of the observed spectrum, or a pattern of the files of its orders"
    )
    numbers: list[OrderNumber] | None = Field(
        default=None,
        description="numbers of its orders (default: as in the file, or in the names of the files)",
    )
    medium: Literal["air", "vacuum"] | None = Field(
        default=None, description="medium of its wavelengths, if the file does not state it"
    )
    columns: Columns | None = Field(
        default=None,
        description="names or numbers of its columns or extensions, such as "
        '{ wavelength = "LAM", flux = "F1", flux_error = "E1" }',
    )
    wavelength_unit: str | None = Field(
        default=None,
        description="unit of its wavelengths, if the file does not state it",
        json_schema_extra={"metavar": "UNIT"},
    )
    snr: Snr | None = Field(
        default=None, description="S/N per pixel at the median flux, for a file without flux errors"
    )
    format: Literal["specutils"] | None = Field(
        default=None, description="read the file with the loaders of specutils"
    )
    barycentric_velocity: (
        Annotated[float, Field(ge=-MAX_RV_OF_EARTH, le=MAX_RV_OF_EARTH)] | None
    ) = Field(default=None, description="barycentric velocity in km/s to add to rv")
    orders: list[OrderNumber] | None = Field(
        default=None, description="orders to fit (default: all)"
    )
    resolution: Resolution | list[Resolution] | None = Field(
        default=None, description="resolving power"
    )
    fwhm: Fwhm | list[Fwhm] | None = Field(
        default=None, description="FWHM of the instrumental profile in km/s"
    )
    exclude: str | list[Pair] | None = Field(
        default=None, description="wavelength ranges in Å to mask, or a file that lists them"
    )

    @model_validator(mode="after")
    def _check(self) -> SpectrumConfig:
        if self.resolution is not None and self.fwhm is not None:
            raise contradiction("fwhm", "give either resolution or fwhm, not both")
        for key in ("numbers", "orders"):
            orders = getattr(self, key)
            if orders is not None and (not orders or len(set(orders)) < len(orders)):
                raise invalid(key, orders, "order numbers, each once")
        ranges = self.exclude if isinstance(self.exclude, list) else []
        wrong = [list(pair) for pair in ranges if not pair[0] < pair[1]]
        if wrong:
            raise invalid("exclude", wrong[0], "[LOW, HIGH] in Å")
        return self


class ModelConfig(Config):
    """The mixture, as `mixjobs.load_mixture` takes it, and the parameters of each epoch."""

    components: (
        Annotated[int, Field(ge=1, le=MAX_COMPONENTS)]
        | Annotated[list[str], Field(min_length=1, max_length=MAX_COMPONENTS)]
    ) = Field(
        default=2, description="number of photospheres, or a list of library, blackbody and stores"
    )
    shared: list[str] | None = Field(
        default=None, description="parameters that the components share (default: all but teff)"
    )
    method: Literal["cubic", "linear", "simplex"] | None = Field(
        default=None,
        description="interpolation between grid points (default: cubic, or simplex on an "
        "irregular grid)",
    )
    holes: Literal["refuse", "interpolate"] | None = Field(
        default=None,
        description="holes of the grid: refuse, or interpolate them from their neighbours "
        "(default: as the store was built)",
    )
    limb_darkening: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.6, description="linear limb-darkening coefficient of the rotation profile"
    )
    library_resolution: LibraryResolution | None = Field(
        default=None, description="resolving power of the library"
    )
    emulator_error: bool = Field(
        default=True, description="include the emulator's interpolation error in the covariance"
    )
    per_epoch: list[str] | None = Field(
        default=None, description="parameters that each epoch has for itself"
    )

    @model_validator(mode="after")
    def _check(self) -> ModelConfig:
        if self.n_components == 1 and self.shared:
            raise contradiction(
                "shared", f"{self.shared}, but there is only one component; leave this key out"
            )
        return self

    @property
    def n_components(self) -> int:
        """Number of components."""
        return self.components if isinstance(self.components, int) else len(self.components)


class ContinuumConfig(Config):
    """The Chebyshev continuum of each order, and the prior of its coefficients."""

    degree: Degree | dict[str, Degree] = Field(
        default=4, description="polynomial degree, for all orders or by order number"
    )
    prior_sd: Annotated[float, Field(ge=1e-6, le=1e6)] = Field(
        default=1.0, description="standard deviation of the normal prior of each coefficient"
    )

    @model_validator(mode="after")
    def _check(self) -> ContinuumConfig:
        if self.degree == {}:
            raise invalid("degree", self.degree, "a degree, or one for each order")
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


class NoiseConfig(Config):
    """The noise model."""

    correlated: bool = Field(
        default=True, description="include correlated noise, not only the diagonal"
    )
    shared: bool = Field(
        default=False,
        description="sample one set of noise parameters for all orders, instead of holding those "
        "of each order at their optimum",
    )
    sample: list[OrderNumber] | None = Field(
        default=None, description="orders whose own noise parameters are sampled"
    )

    @model_validator(mode="after")
    def _check(self) -> NoiseConfig:
        if self.sample and self.shared:
            raise contradiction(
                "sample", "shared noise has no parameters of one order; leave it out"
            )
        if self.sample is not None and len(set(self.sample)) < len(self.sample):
            raise invalid("sample", self.sample, "order numbers, each once")
        return self


class PriorConfig(Config):
    """A prior; `mixjobs.inference.priors` defines the kinds and checks them."""

    uniform: Pair | None = None
    normal: Pair | None = None
    loguniform: Pair | None = None
    low: float | None = None
    high: float | None = None


class ParametersConfig(Config):
    """Priors, fixed values and expressions of the parameters.

    In the file, `settings` are keys of this table.
    """

    settings: dict[str, PriorConfig | float | str] = Field(default_factory=dict)
    constraints: list[str] | None = None
    dirichlet: (
        Annotated[list[Annotated[float, Field(ge=1e-3, le=1e6)]], Field(min_length=2)] | None
    ) = None

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


class SamplingConfig(Config):
    """The sampler, and its longest run."""

    walkers: Annotated[int, Field(gt=0, le=10_000)] | None = Field(
        default=None, description="walkers per ensemble (default: 32, or 4 for each free parameter)"
    )
    likelihood: Literal["compressed", "exact"] = Field(
        default="compressed",
        description="evaluate ln P from sufficient statistics where that is possible, or always "
        "from pixels",
    )
    by_order: bool = Field(
        default=False, description="then fit every order on its own too, and pool the results"
    )
    ensembles: Annotated[int, Field(ge=2, le=100)] = Field(
        default=2, description="independent ensembles"
    )
    max_steps: Annotated[int, Field(gt=0, le=10**8)] = Field(
        default=20000, description="largest number of steps"
    )
    checkpoint: Annotated[int, Field(gt=0, le=100_000)] = Field(
        default=100, description="steps between checkpoints"
    )

    @model_validator(mode="after")
    def _check(self) -> SamplingConfig:
        if self.walkers is not None and self.walkers % 2:
            raise invalid(
                "walkers", self.walkers, "an even number: an ensemble moves half of them at a time"
            )
        return self


class SampleConfig(Config):
    """Everything that ``mixjobs sample`` needs to know."""

    output: str = Field(description="run folder to write")
    store: str = Field(description="store with an emulator")
    seed: Seed = Field(default=1, description="seed of the random numbers")
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
        model = self.model
        if len(self.spectra) == 1 and model.per_epoch:
            raise contradiction(
                "model.per_epoch",
                f"{model.per_epoch}, but there is only one spectrum; leave this key out, or add "
                "[[spectra]] tables of further epochs",
            )
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
    return _resolve_paths(expand(path).parent, job)


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
            "cluster": job.cluster and resolve_paths(folder, job.cluster),
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
