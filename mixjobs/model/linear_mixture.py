"""A mixture, linear around the parameters of a star: derivatives and errors of its spectra."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.polynomial.chebyshev import chebvander

from mixjobs.errors import InvalidInput
from mixjobs.model.components import root
from mixjobs.model.coverage import LinearOrder
from mixjobs.model.library_model import EmulatedComponent
from mixjobs.model.mixture import MixtureModel, OrderMixture
from mixjobs.typing import Floats

_RANGES = {"c": (0.0, 1.0), "vsini": (0.0, np.inf)}  # of parameters that are not axes of the grid
_ONE = slice(0, 1)  # the only sample


def linear_orders(
    model: MixtureModel,
    star: Mapping[str, float],
    steps: Mapping[str, float],
    columns: Sequence[Floats],
    errors: Sequence[Sequence[Floats]],
    degree: int,
) -> list[LinearOrder]:
    """Differentiate every order of a mixture at the parameters of a star.

    Parameters
    ----------
    model : MixtureModel
        K components of one library, in M orders.
    star : dict
        All parameters of the model.
    steps : dict
        The P parameters that the fit determines, with the steps of central differences.
    columns : sequence of M (J, R_m + 1) arrays
        Stated error of a component: see `mixjobs.model.joint_error.JointError`.
    errors : sequence of K sequences of M (E, R_m + 1) arrays
        True errors of each component: changes of its weights and of ln(mean flux).
    degree : int
        Of the continua.

    Raises
    ------
    OutsideGrid
        The model is not defined at the star.
    InvalidInput
        A parameter is too close to the end of its range for a derivative.
    """
    replace(model, outside="raise")(star)
    slopes = _slopes(model, star, steps)
    samples, _ = model.read({name: [value] for name, value in star.items()})
    mixing = root(samples.correlation)[0]
    orders = []
    for m, number in enumerate(model.orders.number.tolist()):
        spectrum, responses, residuals = _responses(model.order(samples, m))
        true = [of[m] @ response for of, response in zip(errors, responses, strict=True)]
        place = np.linspace(-1, 1, len(spectrum))
        orders.append(
            LinearOrder(
                number,
                slopes[m],
                _mixed(mixing, [columns[m] @ response for response in responses]),
                _mixed(mixing, residuals),
                sum(true[1:], true[0]).T,
                spectrum[:, None] * chebvander(place, degree),
            )
        )
    return orders


def _slopes(
    model: MixtureModel, star: Mapping[str, float], steps: Mapping[str, float]
) -> list[Floats]:
    """Differentiate the spectra with mean level 1: M arrays (n_pixels, P)."""
    changes = np.repeat(np.diag(list(steps.values())), 2, axis=0)
    changes[1::2] *= -1
    places = list(steps)
    values = {
        name: value + (changes[:, places.index(name)] if name in steps else np.zeros(len(changes)))
        for name, value in star.items()
    }
    slopes = []
    for batches in _by_order(model, values):
        differences = (batches[::2] - batches[1::2]) / (2 * np.array(list(steps.values())))[:, None]
        wrong = ~np.isfinite(differences).all(axis=1)
        if wrong.any():
            name = places[int(np.argmax(wrong))]
            raise InvalidInput(
                _too_close(name, star[name], steps[name]), name=name, value=star[name]
            )
        slopes.append(differences.T)
    return slopes


def _too_close(name: str, value: float, step: float) -> str:
    """State what a parameter is too close to for a central difference."""
    low, high = _RANGES.get(name.partition("_")[0], (-np.inf, np.inf))
    if low <= value - step and value + step <= high:
        return (
            f"{name} = {value:g} is too close to the end of the grid, to a hole or to the limits "
            "of the emulator; choose a star inside"
        )
    extent = f"{low:g} to {high:g}" if np.isfinite(high) else f"{low:g} or more"
    return (
        f"{name} = {value:g} is too close to the end of its range ({extent}) for a derivative; "
        f"choose a value inside, or leave {name} out of the parameters, which holds it at {value:g}"
    )


def _by_order(model: MixtureModel, values: Mapping[str, Floats]) -> list[Floats]:
    """Evaluate spectra divided by their mean level: M arrays (n, n_pixels)."""
    spectra: list[list[Floats]] = [[] for _ in model.wavelength]
    for batch in model.stream(values):
        spectra[batch.order_index].append(batch.flux / batch.level[:, None])
    return [np.concatenate(batches) for batches in spectra]


def _responses(order: OrderMixture) -> tuple[Floats, list[Floats], list[Floats]]:
    """Return the spectrum, its responses to errors of each component, and residual spectra.

    The spectrum (n_pixels,) has mean level 1. With its share l of the light, a component with
    spectrum s responds to an error of a weight by l times the eigenspectrum, and to one of
    ln(mean flux) by l (s - S), where S is the mixture: (R + 1, n_pixels).
    """
    light = order.light[0] / order.light[0].sum()
    components = [c for c in order.components if isinstance(c, EmulatedComponent)]
    parts = [component.spectrum(np.ones(1), _ONE)[0] for component in components]
    spectrum: Floats = light @ np.array(parts)
    responses, residuals = [], []
    for share, component, part in zip(light, components, parts, strict=True):
        basis, factors = component.basis, component.factors(_ONE)[0]
        eigenspectra = basis.pixels(factors * basis.transforms[1:])
        share_of_error = share * component.error_scale[0]  # larger at filled points
        responses.append(share_of_error * np.vstack([eigenspectra, part - spectrum]))
        residuals.append(share * basis.pixels(factors * basis.residual_transforms))
    return spectrum, responses, residuals


def _mixed(mixing: Floats, spectra: Sequence[Floats]) -> Floats:
    """Columns (n_pixels, K n) of independent variables, from spectra (n, n_pixels) of K components.

    The variables of two components are correlated; `mixing` (K, K) is the root of the correlation.
    """
    columns: Floats = np.einsum("ki,kjn->nij", mixing, np.array(spectra))
    return columns.reshape(len(columns), -1)
