"""The posterior as ArviZ keeps it: draws, what they say of each order, and how they were made."""

from __future__ import annotations

import json
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mixjobs.errors import MissingFile, UnreadableFile
from mixjobs.files import atomic_write
from mixjobs.inference.convergence import Assessment, assess
from mixjobs.inference.expressions import resolve
from mixjobs.inference.log_probability import LogProbability
from mixjobs.inference.order_likelihoods import LikelihoodPlan, read_table
from mixjobs.inference.parameters import Parameters
from mixjobs.inference.run import Chain, RunFolder, read_chain
from mixjobs.model.components import BlackBody
from mixjobs.model.mixture import MixtureModel
from mixjobs.typing import Floats, Ints

if TYPE_CHECKING:
    from arviz import InferenceData
    from xarray import Dataset


MOST_DRAWS = 4000  # of all ensembles together
BOUNDS = "prior_bounds"  # attribute of a free parameter's draws
_ENGINE = "h5netcdf"
_VERSIONS = ("mixjobs", "numpy", "scipy", "emcee", "celerite2", "arviz")


def import_arviz() -> Any:
    """Import ArviZ, which takes seconds: only where it is needed.

    Once a day it warns that its next version will be another package; this one is what is used.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"\s*ArviZ is undergoing a major refactor", FutureWarning)
        import arviz
    return arviz


def make_posterior(folder: RunFolder, log_probability: LogProbability) -> InferenceData:
    """Make ArviZ's InferenceData of a run, its burn-in left out, at most about 4000 draws.

    A chain is an ensemble; its draws are those of one walker after the other, so that ArviZ sees
    the autocorrelation of walkers. `walker` and `step` tell which is which.

    Parameters
    ----------
    folder : RunFolder
    log_probability : LogProbability
        Of the parameters that were sampled.

    Returns
    -------
    InferenceData
        `posterior`: each free parameter (its attribute `prior_bounds`: where its prior ends), each
        tied one, and what `derived` has in every order. `log_likelihood`: `flux`,
        with dimension `order`. `sample_stats`: `lp`, the log-probability, and `acceptance_rate`,
        the part of the ensemble that moved in the step. An `order` is one of one spectrum, its
        `number` and `epoch` (from 1) beside it. Attributes are what is needed to make the run once
        more.

    Raises
    ------
    MissingFile, UnreadableFile
        There are no steps yet; a segment cannot be read.
    """
    arviz = import_arviz()
    chain = read_chain(folder)
    judged = assess(chain.positions)
    kept = kept_steps(judged, chain.log_probability.shape)
    walkers = chain.log_probability.shape[2]
    theta = walker_major(chain.positions[:, kept])
    moved = np.repeat((chain.accepted[:, kept] / walkers)[:, :, None], walkers, axis=2)
    stats = {
        "lp": walker_major(chain.log_probability[:, kept]),
        "acceptance_rate": walker_major(moved),
    }
    labels = _Labels.of(log_probability.plan, chain, kept)
    values = parameter_draws(log_probability.parameters, theta)
    values |= _in_ensembles(derived(log_probability, theta.reshape(-1, theta.shape[-1])), theta)
    posterior = labels.dataset(values)
    for name, bounds in zip(folder.names, log_probability.parameters.bounds, strict=True):
        posterior[name].attrs[BOUNDS] = bounds
    return arviz.InferenceData(  # type: ignore[no-any-return]
        attrs=_attributes(folder, log_probability, judged, kept),
        posterior=posterior,
        log_likelihood=labels.dataset({"flux": walker_major(chain.by_order[:, kept])}),
        sample_stats=labels.dataset(stats),
    )


def kept_steps(judged: Assessment, shape: tuple[int, ...]) -> Ints:
    """Rows of the steps that are kept, of a chain of shape (ensembles, n_steps, walkers)."""
    ensembles, n_steps, walkers = shape
    most = max(1, MOST_DRAWS // (ensembles * walkers))
    thin = max(judged.thin, -(-(n_steps - judged.burn) // most))
    return np.arange(judged.burn, n_steps, thin)


def walker_major(values: Floats) -> Floats:
    """Put the walkers of an ensemble one after the other.

    Examples
    --------
    >>> walker_major(np.array([[[1, 2], [10, 20]]])).tolist()  # two steps of two walkers
    [[1, 10, 2, 20]]
    """
    ensembles, steps, walkers, *rest = values.shape
    return values.swapaxes(1, 2).reshape(ensembles, steps * walkers, *rest)


def parameter_draws(parameters: Parameters, theta: Floats) -> dict[str, Floats]:
    """Return free and tied parameters by name, (...), at theta (..., P)."""
    tables = parameters.table(theta.reshape(-1, theta.shape[-1]))
    found = {}
    for names, table in zip(parameters.columns, tables, strict=True):
        for column, name in enumerate(names):
            if not isinstance(resolve(name, parameters.rules), float):
                found[name] = table[:, column].reshape(theta.shape[:-1])
    return found


def fixed_values(parameters: Parameters) -> dict[str, float]:
    """Return the parameters that have one value, by name."""
    ends = {name: resolve(name, parameters.rules) for name in parameters.rules}
    return {name: end for name, end in ends.items() if isinstance(end, float)}


def order_labels(plan: LikelihoodPlan) -> list[str]:
    """Name the orders of a fit: by their numbers, and of several spectra by the epoch too."""
    several = len(plan.epochs) > 1
    return [f"{o.number}_e{o.epoch + 1}" if several else f"{o.number}" for o in plan.orders]


def write_posterior(path: Path, posterior: InferenceData) -> None:
    """Write a netCDF file, completely or not at all.

    Raises
    ------
    JobFailed
        The disk is full, or must not be written to.
    """
    with atomic_write(path) as temporary:
        posterior.to_netcdf(str(temporary), engine=_ENGINE)


def read_posterior(path: Path) -> InferenceData:
    """Read what `write_posterior` has written.

    Raises
    ------
    MissingFile, UnreadableFile
    """
    arviz = import_arviz()
    if not path.exists():
        raise MissingFile(f"{path}: is not there; it is made when the sampling ends")
    try:
        with arviz.rc_context({"data.load": "eager"}):
            return arviz.from_netcdf(str(path), engine=_ENGINE)  # type: ignore[no-any-return]
    except (OSError, ValueError) as error:
        raise UnreadableFile(f"{path}: cannot be read ({error}); remove it") from None


def _in_ensembles(values: dict[str, Floats], theta: Floats) -> dict[str, Floats]:
    return {name: v.reshape(*theta.shape[:-1], v.shape[1]) for name, v in values.items()}


class _Labels:
    """The coordinates of draws and orders."""

    def __init__(self, draws: dict[str, Any], orders: dict[str, Any]) -> None:
        self._draws, self._orders = draws, orders

    @classmethod
    def of(cls, plan: LikelihoodPlan, chain: Chain, kept: Ints) -> _Labels:
        ensembles, _, walkers = chain.log_probability.shape
        return cls(
            {
                "chain": np.arange(ensembles),
                "draw": np.arange(walkers * len(kept)),
                "walker": ("draw", np.repeat(np.arange(walkers), len(kept))),
                "step": ("draw", np.tile(kept + 1, walkers)),  # step 0 is the start
            },
            {
                "order": order_labels(plan),
                "number": ("order", [order.number for order in plan.orders]),
                "epoch": ("order", [order.epoch + 1 for order in plan.orders]),
            },
        )

    def dataset(self, values: dict[str, Floats]) -> Dataset:
        """Make a Dataset of arrays (chain, draw) and (chain, draw, order)."""
        from xarray import Dataset

        named = {name: (("chain", "draw", "order")[: v.ndim], v) for name, v in values.items()}
        by_order = any(v.ndim == 3 for v in values.values())
        return Dataset(named, self._draws | (self._orders if by_order else {}))


def _attributes(
    folder: RunFolder, log_probability: LogProbability, judged: Assessment, kept: Ints
) -> dict[str, Any]:
    tau = dict(zip(folder.names, judged.tau.T.tolist(), strict=True))
    return {
        "run": str(folder.path),
        "identity": json.dumps(folder.identity),
        "notes": json.dumps(folder.notes),
        "versions": json.dumps({name: version(name) for name in _VERSIONS}),
        "seed": int(folder.identity["seed"]),
        "n_steps": judged.n_steps,
        "burn": judged.burn,
        "thin": int(kept[1] - kept[0]) if len(kept) > 1 else judged.n_steps,
        "tau": json.dumps(tau),
        "fixed": json.dumps(fixed_values(log_probability.parameters)),
        "lacks": judged.lacks,
    }


def derived(log_probability: LogProbability, theta: Floats) -> dict[str, Floats]:
    """Evaluate what is derived from theta (n, P) in each of the M orders.

    Returns
    -------
    dict of (n, M) arrays
        ``q`` and ``light_fraction_2`` of component 2, with three components or more ``q_2``,
        ``q_3`` and so on; where one is a black body, ``veiling``: its light over that of the
        stars. Nothing of one component.
    """
    plan, tables = log_probability.plan, log_probability.parameters.table(theta)
    by_epoch = []
    for epoch in plan.load(range(len(plan.orders))).epochs:
        values, _ = read_table(tables[epoch.epoch], epoch)
        by_epoch.append(light_of(epoch.model, values))
    return {
        name: np.concatenate([found[name] for found in by_epoch], axis=1) for name in by_epoch[0]
    }


def light_of(model: MixtureModel, values: Floats) -> dict[str, Floats]:
    """Evaluate the same of one model, at its parameters (n, n_params)."""
    n_components = len(model.sources)
    if n_components == 1:
        return {}
    light = model.light(values)
    evenly = values.copy()  # q is the light at equal fractions, also where c is 0
    evenly[:, -(n_components - 1) :] = 1 / n_components
    q = model.light(evenly) * n_components
    fraction = light / light.sum(axis=1, keepdims=True)
    found = {}
    for k in range(1, n_components):
        found["q" if n_components == 2 else f"q_{k + 1}"] = q[:, k]
        found[f"light_fraction_{k + 1}"] = fraction[:, k]
    black = np.array([isinstance(source, BlackBody) for source in model.sources])
    if black.any():
        with np.errstate(divide="ignore"):  # inf where there are no stars
            found["veiling"] = light[:, black].sum(axis=1) / light[:, ~black].sum(axis=1)
    return found
