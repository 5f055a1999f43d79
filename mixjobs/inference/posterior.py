"""The posterior as xarray groups, in the layout that ArviZ reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mixjobs.errors import MissingFile
from mixjobs.files import atomic_write
from mixjobs.inference.convergence import Convergence, assess
from mixjobs.inference.defaults import ModelDomain
from mixjobs.inference.digests import append_digest, check_appended
from mixjobs.inference.expressions import NOISE, resolve
from mixjobs.inference.holes import posterior_holes
from mixjobs.inference.run_folder import POSTERIOR, RunFolder, unreadable_result
from mixjobs.inference.segments import Chain
from mixjobs.interrupts import signals_deferred
from mixjobs.package_settings import import_package
from mixjobs.typing import Floats, Ints

if TYPE_CHECKING:  # a posterior is read without the model
    from xarray import Dataset, DataTree

    from mixjobs.inference.log_probability import LogProbability
    from mixjobs.inference.order_likelihoods import LikelihoodPlan
    from mixjobs.inference.order_noise import OrderNoise
    from mixjobs.inference.parameters import Parameters
    from mixjobs.inference.preparation import CompressionCheck
    from mixjobs.model.mixture import MixtureModel

MAX_DRAWS = 4000  # of all ensembles together
NOISE_HELD = "noise"  # group of the noise that is held constant
BOUNDS = "prior_bounds"  # attribute of each free parameter
_VERSIONS = ("mixjobs", "numpy", "scipy", "emcee", "celerite2", "xarray")


def make_posterior(
    folder: RunFolder, log_probability: LogProbability, check: CompressionCheck | None = None
) -> DataTree:
    """Make the posterior of a run: burn-in discarded, thinned to about 4000 draws at most.

    Each ensemble is a chain. Its draws are ordered walker by walker, so that ArviZ measures the
    autocorrelation along walkers. The coordinates `walker` and `step` identify each draw.

    Parameters
    ----------
    folder : RunFolder
    log_probability : LogProbability
        The log-probability that was sampled.
    check : CompressionCheck, optional
        Comparison of the draws with the pixels, from which they did not come.

    Returns
    -------
    xarray.DataTree
        Three groups, and `noise` if the noise of each order is held: its parameters by `order`. A
        stored posterior may also have `limit`, see `mixjobs.inference.limit`.
        `posterior` holds the free parameters (with the attribute `prior_bounds`), the
        tied ones, and the derived quantities of every order (see `derived`). `log_likelihood` holds
        `flux`, with the dimension `order`: ln of the density of an order given all others, as
        leave-one-out cross-validation needs it. `sample_stats` holds `lp`, the log-probability,
        `log_likelihood`, that of all orders together, and `acceptance_rate`, the fraction of the
        ensemble that moved in the step. Because the orders share the interpolation error, the
        densities of the orders do not add up to `log_likelihood`. An `order` belongs
        to one spectrum; `number` and `epoch` (from 1) identify it. The attributes of the root
        record the run, its convergence, the holes of the grid at which the posterior ends, and the
        versions of the software.

    Raises
    ------
    MissingFile, UnreadableFile
        There are no steps yet, or a segment is damaged.
    """
    from xarray import Dataset, DataTree

    chain = folder.sampled_chain()
    convergence = assess(chain.positions)
    kept = kept_steps(convergence, chain.log_probability.shape)
    walkers = chain.log_probability.shape[2]
    x = walker_major(chain.positions[:, kept])
    acceptance = np.repeat((chain.accepted[:, kept] / walkers)[:, :, None], walkers, axis=2)
    lp = walker_major(chain.log_probability[:, kept])
    stats = {
        "lp": lp,
        "log_likelihood": lp
        - log_probability.log_prior(x.reshape(-1, x.shape[-1])).reshape(lp.shape),
        "acceptance_rate": walker_major(acceptance),
    }
    coordinates = _Coordinates.of(log_probability.plan, chain, kept)
    values, samples = parameter_draws(log_probability.parameters, x), x.reshape(-1, x.shape[-1])
    domain = ModelDomain.of(log_probability.plan)
    holes = posterior_holes(log_probability.parameters, domain, samples)
    for name, by_order in derived(log_probability, samples).items():
        values[name] = by_order.reshape(*x.shape[:-1], by_order.shape[1])
    posterior = coordinates.dataset(values)
    for name, bounds in zip(folder.names, log_probability.parameters.bounds, strict=True):
        posterior[name].attrs[BOUNDS] = bounds
    if chain.by_order.shape[-1]:
        by_order = walker_major(chain.by_order[:, kept])
    else:  # without pixels, only the total is evaluated while sampling
        by_order = log_probability.by_order(samples)[:, 1:].reshape(*x.shape[:-1], -1)
    attributes = _attributes(folder, log_probability, convergence, kept)
    if check is not None:
        attributes["compression"] = json.dumps(check.to_dict())
    attributes["holes"] = json.dumps([report.to_dict() for report in holes])
    groups = {
        "/": Dataset(attrs=attributes),
        "posterior": posterior,
        "log_likelihood": coordinates.dataset({"flux": by_order}),
        "sample_stats": coordinates.dataset(stats),
    }
    if log_probability.noise:
        groups[NOISE_HELD] = coordinates.noise(log_probability.noise)
    return DataTree.from_dict(groups)


def kept_steps(convergence: Convergence, shape: tuple[int, ...]) -> Ints:
    """Return the steps to keep of a chain of shape (ensembles, n_steps, walkers)."""
    ensembles, n_steps, walkers = shape
    max_steps = max(1, MAX_DRAWS // (ensembles * walkers))
    thinning = max(convergence.thinning, -(-(n_steps - convergence.burn_in) // max_steps))
    return np.arange(convergence.burn_in, n_steps, thinning)


def walker_major(values: Floats) -> Floats:
    """Order the draws of each ensemble walker by walker.

    Examples
    --------
    >>> walker_major(np.array([[[1, 2], [10, 20]]])).tolist()  # two steps of two walkers
    [[1, 10, 2, 20]]
    """
    ensembles, steps, walkers, *rest = values.shape
    return values.swapaxes(1, 2).reshape(ensembles, steps * walkers, *rest)


def parameter_draws(parameters: Parameters, x: Floats) -> dict[str, Floats]:
    """Return the free and the tied parameters by name, (...), at x (..., P)."""
    by_epoch = parameters.params(x.reshape(-1, x.shape[-1]))
    draws = {}
    for names, params in zip(parameters.epoch_names, by_epoch, strict=True):
        for column, name in enumerate(names):
            if not isinstance(resolve(name, parameters.rules), float):
                draws[name] = params[:, column].reshape(x.shape[:-1])
    return draws


def fixed_values(parameters: Parameters) -> dict[str, float]:
    """Return the fixed parameters by name."""
    values = {name: resolve(name, parameters.rules) for name in parameters.rules}
    return {name: value for name, value in values.items() if isinstance(value, float)}


def order_labels(plan: LikelihoodPlan) -> list[str]:
    """Label the orders of a fit by number, and by epoch if there are several."""
    if len(plan.epochs) == 1:
        return [str(order.number) for order in plan.orders]
    return [f"{order.number}_e{order.epoch + 1}" for order in plan.orders]


def write_posterior(path: Path, posterior: DataTree) -> None:
    """Write a posterior as NetCDF; the file is complete or absent.

    Ctrl-C and SIGTERM take effect when the file is complete.

    Raises
    ------
    JobFailed
        The disk is full or read-only.
    """
    with signals_deferred(), atomic_write(path) as temporary:
        posterior.to_netcdf(temporary, engine="h5netcdf")
        append_digest(temporary)


def read_posterior(path: Path, digest_required: bool = False) -> DataTree:
    """Read a posterior into memory, and verify its digest.

    Raises
    ------
    MissingFile, UnreadableFile
    """
    import_package("dask", "DASK_")  # which xarray imports
    from xarray import DataTree, open_datatree

    if not path.exists():
        raise MissingFile(f"{path}: no such file; it is written when sampling ends", path=path)
    try:
        check_appended(path, digest_required)  # HDF5 may crash on a damaged file
        with closing(open_datatree(path, engine="h5netcdf")) as tree:
            groups = {node.path: node.to_dataset(inherit=False).load() for node in tree.subtree}
        if not {"n_steps", "identity", "shortfall"} <= set(groups["/"].attrs):
            raise ValueError("not a posterior: it has no attributes n_steps, identity, shortfall")
    except Exception as error:  # HDF5 and xarray raise many types for damaged content
        raise unreadable_result(path, error) from None
    return DataTree.from_dict(groups)


def stored_posterior(folder: RunFolder) -> DataTree | None:
    """Read the posterior of a run; None if it has not been written.

    Raises
    ------
    UnreadableFile
        It is damaged, was changed, or is that of another run.
    """
    path = folder.path / POSTERIOR
    if not path.exists():
        return None
    tree = read_posterior(path, folder.has_digests)
    if json.loads(tree.attrs["identity"]) != folder.identity:
        raise unreadable_result(path, ValueError("it is not of the run in run.json"))
    return tree


@dataclass(frozen=True, eq=False)
class _Coordinates:
    """The coordinates of draws and of orders."""

    draws: dict[str, Any]
    orders: dict[str, Any]

    @classmethod
    def of(cls, plan: LikelihoodPlan, chain: Chain, kept: Ints) -> _Coordinates:
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

        variables = {name: (("chain", "draw", "order")[: v.ndim], v) for name, v in values.items()}
        by_order = any(v.ndim == 3 for v in values.values())
        return Dataset(variables, self.draws | (self.orders if by_order else {}))

    def noise(self, held: Sequence[OrderNoise]) -> Dataset:
        """Make a Dataset of the noise parameters (order) that are held."""
        from xarray import Dataset

        values = np.array([noise.values(1)[0] for noise in held]).T
        names = NOISE if np.isfinite(values[1]).any() else NOISE[:1]
        return Dataset(
            {name: ("order", v) for name, v in zip(names, values, strict=False)}, self.orders
        )


def _attributes(
    folder: RunFolder, log_probability: LogProbability, convergence: Convergence, kept: Ints
) -> dict[str, Any]:
    tau = dict(zip(folder.names, convergence.tau.T.tolist(), strict=True))
    return {
        "run": str(folder.path),
        "identity": json.dumps(folder.identity),
        "notes": json.dumps(folder.notes),
        "versions": json.dumps({name: version(name) for name in _VERSIONS}),
        "seed": int(folder.identity["seed"]),
        "n_steps": convergence.n_steps,
        "burn_in": convergence.burn_in,
        "thinning": int(kept[1] - kept[0]) if len(kept) > 1 else convergence.n_steps,
        "tau": json.dumps(tau),
        "fixed": json.dumps(fixed_values(log_probability.parameters)),
        "shortfall": convergence.shortfall,
    }


def derived(log_probability: LogProbability, x: Floats) -> dict[str, Floats]:
    """Evaluate the derived quantities of each of the M orders at x (n, P).

    Returns
    -------
    dict of (n, M) arrays
        ``q`` and ``light_fraction_2`` of component 2; with three components or more ``q_2``,
        ``q_3`` and so on. With a blackbody also ``veiling``, the ratio of its light to that of the
        stars. Empty for one component.
    """
    plan, params = log_probability.plan, log_probability.parameters.params(x)
    by_epoch = []
    for epoch in plan.load(range(len(plan.orders))).epochs:
        by_epoch.append(light_of(epoch.model, epoch.mixture(params[epoch.epoch])))
    return {
        name: np.concatenate([quantities[name] for quantities in by_epoch], axis=1)
        for name in by_epoch[0]
    }


def light_of(model: MixtureModel, params: Floats) -> dict[str, Floats]:
    """Evaluate the derived quantities of a model at its parameters (n, n_params)."""
    n_components = len(model.sources)
    if n_components == 1:
        return {}
    light = model.light(params)
    equal = params.copy()  # at equal fractions, the light gives q even where c is 0
    equal[:, -(n_components - 1) :] = 1 / n_components
    q = model.light(equal) * n_components
    fraction = light / light.sum(axis=1, keepdims=True)
    quantities = {}
    for k in range(1, n_components):
        quantities["q" if n_components == 2 else f"q_{k + 1}"] = q[:, k]
        quantities[f"light_fraction_{k + 1}"] = fraction[:, k]
    black = np.array([source.library is None for source in model.sources])
    if black.any():
        with np.errstate(divide="ignore"):  # inf without light of stars
            quantities["veiling"] = light[:, black].sum(axis=1) / light[:, ~black].sum(axis=1)
    return quantities
