"""The job file of ``mixjobs sample``: TOML, validated."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError, model_validator

from mixjobs.config.cluster import ClusterConfig, check_cluster
from mixjobs.config.toml import Pair, PositiveInt, Table, beside, first_fault, read_toml
from mixjobs.errors import InvalidInput

PositiveFloat = Annotated[float, Field(gt=0)]
Degree = Annotated[int, Field(ge=0)]
Widths = PositiveFloat | list[PositiveFloat]

_NOT_PATHS = ("library", "blackbody")  # names of components
_NUMBERS = "a positive number, or a list of one for each order"
_EXPECTED = {
    ("spectra", "resolution"): _NUMBERS,
    ("spectra", "fwhm"): _NUMBERS,
    ("spectra", "exclude"): "a file, or windows [[LOW, HIGH], ...] in Å",
    ("model", "components"): 'a number from 1 up, or a list such as ["library", "blackbody"]',
    ("continuum", "degree"): "a whole number from 0 up, or one by order, { 21 = 3, default = 4 }",
    ("parameters", "constraints"): 'a list such as ["teff_2 < teff_1"]',
    ("parameters", "dirichlet"): "a list of a positive number for each component",
    ("parameters",): "a prior such as { uniform = [0, 1] }, a number, or a tie such as 'logg_1'",
}


class _Table(Table):
    model_config = ConfigDict(allow_inf_nan=False)


class SpectrumConfig(_Table):
    """One epoch: an observed spectrum, and what its file does not say."""

    file: str
    medium: Literal["air", "vacuum"] | None = None
    barycentric_velocity: float | None = None
    orders: list[int] | None = None
    resolution: Widths | None = None
    fwhm: Widths | None = None
    exclude: str | list[Pair] | None = None


class ModelConfig(_Table):
    """The mixture; what `mixjobs.load_mixture` takes, and what each epoch has for itself."""

    components: PositiveInt | Annotated[list[str], Field(min_length=1)] = 2
    shared: list[str] = Field(default_factory=lambda: ["logg", "feh", "vsini", "rv"])
    method: Literal["cubic", "linear", "simplex"] | None = None
    limb_darkening: Annotated[float, Field(ge=0, le=1)] = 0.6
    library_resolution: PositiveFloat | None = None
    emulator_error: bool = True
    per_epoch: list[str] | None = None

    @property
    def n_components(self) -> int:
        """How many components there are."""
        return self.components if isinstance(self.components, int) else len(self.components)


class ContinuumConfig(_Table):
    """The Chebyshev continuum of each order, and the prior of its coefficients."""

    degree: Degree | dict[str, Degree] = 4
    prior_sd: PositiveFloat = 1.0

    def of_order(self, number: int) -> int:
        """Return the degree in the order with this number.

        Examples
        --------
        >>> table = ContinuumConfig(degree={"21": 3})
        >>> table.of_order(21), table.of_order(22)
        (3, 4)
        """
        if isinstance(self.degree, int):
            return self.degree
        return self.degree.get(str(number), self.degree.get("default", 4))


class NoiseConfig(_Table):
    """The noise: whether there is more than the diagonal."""

    correlated: bool = True


class PriorConfig(_Table):
    """A prior; `mixjobs.inference.priors` has the kinds and checks them."""

    uniform: Pair | None = None
    normal: Pair | None = None
    loguniform: Pair | None = None
    low: float | None = None
    high: float | None = None


class ParametersConfig(_Table):
    """What is said of the parameters; in the file, `settings` are keys of this table."""

    settings: dict[str, PriorConfig | float | str] = Field(default_factory=dict)
    constraints: list[str] | None = None
    dirichlet: list[float] | None = None

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, data: Any) -> Any:
        """Put all keys that are not this table's own into `settings`."""
        if not isinstance(data, Mapping):
            return data
        own = {key: data[key] for key in ("constraints", "dirichlet") if key in data}
        return own | {"settings": {key: data[key] for key in data if key not in own}}

    @property
    def plain_settings(self) -> dict[str, dict[str, Any] | float | str]:
        """The settings in plain terms, as `mixjobs.inference.parameters` takes them."""
        return {
            name: value.model_dump(exclude_none=True) if isinstance(value, PriorConfig) else value
            for name, value in self.settings.items()
        }


class SamplingConfig(_Table):
    """How it is sampled, and how long at most."""

    walkers: PositiveInt | None = None
    ensembles: Annotated[int, Field(ge=2)] = 2
    max_steps: PositiveInt = 20000
    checkpoint: PositiveInt = 100


class SampleConfig(_Table):
    """What ``mixjobs sample`` is asked to do."""

    output: str
    store: str
    seed: Degree = 1
    spectra: list[SpectrumConfig]
    model: ModelConfig = Field(default_factory=ModelConfig)
    continuum: ContinuumConfig = Field(default_factory=ContinuumConfig)
    noise: NoiseConfig = Field(default_factory=NoiseConfig)
    parameters: ParametersConfig = Field(default_factory=ParametersConfig)
    sampling: SamplingConfig = Field(default_factory=SamplingConfig)
    cluster: ClusterConfig | None = None

    @property
    def per_epoch(self) -> list[str]:
        """What each epoch has for itself; of several, its velocity and its fractions."""
        if self.model.per_epoch is not None or len(self.spectra) == 1:
            return self.model.per_epoch or []
        return ["rv", "c"] if self.model.n_components > 1 else ["rv"]


def read_sample_job(path: str | Path) -> SampleConfig:
    """Read and check a job file; paths in it are relative to the file.

    Raises
    ------
    MissingFile, UnreadableFile
        It is not there, or is not TOML.
    InvalidInput
        A key is unknown or missing, or has a value that cannot be used.
    """
    return _beside(Path(path).parent, make_sample_job(read_toml(path), str(path)))


def absolute(job: SampleConfig) -> SampleConfig:
    """Return a job whose paths are found from everywhere."""
    return _beside(Path.cwd(), job)


def _beside(folder: Path, job: SampleConfig) -> SampleConfig:
    """Return a job with its paths taken as relative to a folder."""
    components = job.model.components
    if not isinstance(components, int):
        components = [c if c in _NOT_PATHS else str(folder / c) for c in components]
    return job.model_copy(
        update={
            "output": beside(folder, job.output),
            "store": beside(folder, job.store),
            "spectra": [_spectrum_beside(folder, spectrum) for spectrum in job.spectra],
            "model": job.model.model_copy(update={"components": components}),
        }
    )


def make_sample_job(data: Mapping[str, Any], source: str) -> SampleConfig:
    """Check the data of a job; `source` names them in an error."""
    if isinstance(data.get("spectra"), Mapping):
        raise InvalidInput(f"{source}: [spectra] is one table; write [[spectra]] for each spectrum")
    try:
        job = SampleConfig.model_validate(data)
    except ValidationError as error:
        fault = first_fault(error, data, SampleConfig, _EXPECTED)
        raise InvalidInput(f"{source}: {fault}") from None
    if not job.spectra:
        raise InvalidInput(f"{source}: there is no spectrum; give a table [[spectra]] an epoch")
    for row, spectrum in enumerate(job.spectra):
        _check_spectrum(spectrum, f"{source}: spectra.{row}")
    _check_degrees(job.continuum, source)
    if job.sampling.walkers is not None and job.sampling.walkers % 2:
        raise InvalidInput(
            f"{source}: sampling.walkers = {job.sampling.walkers}; expected an even number: "
            "each half of an ensemble moves by the other"
        )
    if job.cluster is not None:
        check_cluster(job.cluster, source)
    return job


def _check_spectrum(spectrum: SpectrumConfig, place: str) -> None:
    if spectrum.resolution is not None and spectrum.fwhm is not None:
        raise InvalidInput(f"{place} has both resolution and fwhm; give only one")
    orders = spectrum.orders
    if orders is not None and (not orders or len(set(orders)) < len(orders)):
        raise InvalidInput(f"{place}.orders = {orders}; expected order numbers, each once")
    windows = spectrum.exclude if isinstance(spectrum.exclude, list) else []
    wrong = [list(window) for window in windows if not window[0] < window[1]]
    if wrong:
        raise InvalidInput(f"{place}.exclude has {wrong[0]}; expected [LOW, HIGH] in Å")


def _check_degrees(continuum: ContinuumConfig, source: str) -> None:
    degrees = continuum.degree if isinstance(continuum.degree, dict) else {}
    wrong = [key for key in degrees if key != "default" and not key.isdecimal()]
    if wrong:
        raise InvalidInput(
            f"{source}: continuum.degree has {wrong[0]!r}; expected order numbers and 'default'"
        )


def _spectrum_beside(folder: Path, spectrum: SpectrumConfig) -> SpectrumConfig:
    exclude = spectrum.exclude
    if isinstance(exclude, str):
        exclude = beside(folder, exclude)
    return spectrum.model_copy(update={"file": beside(folder, spectrum.file), "exclude": exclude})
