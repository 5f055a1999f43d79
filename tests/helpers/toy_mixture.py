"""A mixture with a likelihood that is cheap to integrate: three pixels, and two temperatures."""

from dataclasses import dataclass, replace

import numpy as np

from mixjobs.inference.likelihood import Continuum
from mixjobs.inference.order_likelihoods import (
    Epoch,
    EpochOrder,
    LikelihoodPlan,
    ModelOptions,
)
from mixjobs.inference.parameters import Parameters, make_parameters
from mixjobs.inference.priors import Dirichlet, Uniform
from mixjobs.inference.teff_priors import RestrictedPrior, TeffDraws, TeffPriors

LOW, HIGH = 4000.0, 7000.0
CONSTRAINT = "teff_2 < teff_1"
PRIORS = {"teff_1": Uniform(LOW, HIGH), "teff_2": Uniform(LOW, HIGH), "c": Uniform(0, 1)}


def spectrum(teff):
    """Flux in three pixels, (..., 3)."""
    x = (np.asarray(teff) - LOW) / (HIGH - LOW)
    return np.stack([x, x**2, np.sin(3 * x)], axis=-1)


@dataclass(frozen=True)
class Toy:
    """A star of one or two components, and its priors."""

    truth: tuple[float, float, float]  # c, teff_1, teff_2
    flux_error: float
    priors: dict
    constraints: tuple[str, ...] = ()

    @property
    def parameters(self):
        return make_parameters(tuple(self.priors), self.priors, constraints=self.constraints)

    @property
    def teff_priors(self):
        first, second = (
            RestrictedPrior.of(self.priors[name], LOW, HIGH) for name in ("teff_1", "teff_2")
        )
        return TeffPriors.of(self.parameters, first, second)

    def ln_likelihood(self, c, teff_1, teff_2):
        """ln of the likelihood, broadcast."""
        c_0, teff_1_0, teff_2_0 = self.truth
        data = (1 - c_0) * spectrum(teff_1_0) + c_0 * spectrum(teff_2_0)
        c = np.asarray(c)[..., None]
        residual = (1 - c) * spectrum(teff_1) + c * spectrum(teff_2) - data
        return -0.5 * (residual**2).sum(axis=-1) / self.flux_error**2

    def grid(self, n):
        """Points of equal prior probability of c, teff_1 and teff_2."""
        u = (np.arange(n) + 0.5) / n
        c, *teff = (self.priors[name] for name in ("c", "teff_1", "teff_2"))
        points = c.quantile(u[:, None])[:, 0] if isinstance(c, Dirichlet) else c.quantile(u)
        return [points, *(prior.quantile(u) for prior in teff)]

    def ln_evidence(self, n=120):
        """ln of the evidence of one component and of two, by quadrature."""
        c, teff_1, teff_2 = self.grid(n)
        one = np.exp(self.ln_likelihood(0.0, self.grid(5000)[1], LOW)).mean()
        two = np.exp(self.ln_likelihood(c[:, None, None], teff_1[:, None], teff_2))
        two = two[:, teff_2 < teff_1[:, None]] if self.constraints else two
        return np.log(one), np.log(two.mean())

    def draws(self, n=4_000_000, seed=1):
        """Independent draws of the posterior, by rejection."""
        rng = np.random.default_rng(seed)
        x = self.parameters.prior_transform(1 - rng.random((n, 3)))
        ln_l = self.ln_likelihood(x[:, 2], x[:, 0], x[:, 1])
        allowed = (x[:, 1] < x[:, 0]) | (not self.constraints)
        kept = x[allowed & (np.log(1 - rng.random(n)) < ln_l - ln_l[allowed].max())]
        return TeffDraws(kept[:, 2], kept[:, 0], kept[:, 1])


@dataclass(frozen=True)
class ToyLogProbability:
    """ln P of a toy, with the members of `LogProbability` that a limit curve needs."""

    toy: Toy
    parameters: Parameters
    plan: LikelihoodPlan

    @classmethod
    def of(cls, toy):
        order = EpochOrder(0, 1, *[np.ones(3)] * 4, Continuum(1))
        plan = LikelihoodPlan("", 2, ModelOptions(), [Epoch()], [order], emulator_error=False)
        return cls(toy, toy.parameters, plan)

    @property
    def names(self):
        return self.parameters.names

    def fix(self, name, value):
        return replace(self, parameters=self.parameters.fix(name, value))

    def log_prior(self, x):
        return self.parameters.log_prior(x)

    def __call__(self, x):
        (params,) = self.parameters.params(x)
        teff_1, teff_2, c = (params[:, self.parameters.base_names.index(n)] for n in PRIORS)
        return self.log_prior(x) + self.toy.ln_likelihood(c, teff_1, teff_2)
