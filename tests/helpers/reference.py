"""Slow references that share no code with the package.

A library is a dictionary from a grid point (a tuple of floats) to its value (a float).
"""

import math
from bisect import bisect_left
from itertools import permutations, product

import numpy as np
from scipy import constants
from scipy.integrate import quad


def axes_of(nodes):
    return [sorted({point[d] for point in nodes}) for d in range(len(next(iter(nodes))))]


def sides(axis, x):
    """The axis value equal to x, or the two that enclose it."""
    right = bisect_left(axis, x)
    return [axis[right]] if axis[right] == x else [axis[right - 1], axis[right]]


def needed(nodes, theta):
    """The grid points that theta needs, whether or not they exist; None outside the grid."""
    axes = axes_of(nodes)
    if any(not axis[0] <= x <= axis[-1] for axis, x in zip(axes, theta, strict=True)):
        return None
    return list(product(*(sides(axis, x) for axis, x in zip(axes, theta, strict=True))))


def is_valid(nodes, theta):
    corners = needed(nodes, theta)
    return corners is not None and all(corner in nodes for corner in corners)


def multilinear(nodes, theta):
    """Interpolate along the last axis, then the one before it, and so on."""

    def along(d, corner):
        if d == len(theta):
            return nodes[corner]
        near = sides(axes[d], theta[d])
        values = [along(d + 1, (*corner, x)) for x in near]
        if len(near) == 1:
            return values[0]
        t = (theta[d] - near[0]) / (near[1] - near[0])
        return values[0] + t * (values[1] - values[0])

    axes = axes_of(nodes)
    return along(0, ())


def slopes_along(nodes, axis, d):
    """The slope along parameter d at every node with a neighbour.

    It is the derivative of the polynomial through the node and its `stencil`.
    """
    result = {}
    for point, value in nodes.items():
        place = axis.index(point[d])

        def value_at(step, point=point, place=place):
            i = place + step
            if not 0 <= i < len(axis):
                return None
            return nodes.get((*point[:d], axis[i], *point[d + 1 :]))

        near = [(0.0, value)]
        steps = stencil(value_at, lambda k, place=place: abs(axis[place + k] - axis[place]))
        near += [(axis[place + k] - point[d], value_at(k)) for k in steps]
        if len(near) > 1:
            x, y = np.array(near).T
            unit = np.abs(x).max()
            result[point] = np.linalg.solve(np.vander(x / unit, increasing=True), y)[1] / unit
    return result


def stencil(value_at, away):
    """Steps to the neighbours that define a slope; far ones only if the steps are similar."""

    def similar(*lengths):
        return max(lengths) <= 4 * min(lengths)

    left = value_at(-1) is not None
    right = value_at(1) is not None
    far_left = left and value_at(-2) is not None and similar(away(-1), away(-2) - away(-1))
    far_right = right and value_at(2) is not None and similar(away(1), away(2) - away(1))
    if left and right:
        wide = far_left and far_right and similar(away(-1), away(1))
        return [-2, -1, 1, 2] if wide else [-1, 1]
    if left:
        return [-2, -1] if far_left else [-1]
    if right:
        return [1, 2] if far_right else [1]
    return []


def hermite(nodes, theta):
    """Tensor-product cubic Hermite interpolation, one axis after the other."""
    axes = axes_of(nodes)
    tables = {(): nodes}  # derivatives at the nodes, by the parameters of the differentiation
    for d, axis in enumerate(axes):
        for key in list(tables):
            tables[(*key, d)] = slopes_along(tables[key], axis, d) if len(axis) > 1 else {}

    def along(d, corner, kind):
        if d == len(theta):
            return tables[kind][corner]
        near = sides(axes[d], theta[d])
        values = [along(d + 1, (*corner, x), kind) for x in near]
        if len(near) == 1:
            return values[0]
        slopes = [along(d + 1, (*corner, x), (*kind, d)) for x in near]
        return cubic_through(near, values, slopes, theta[d])

    return along(0, (), ())


def cubic_through(x, values, slopes, at):
    """The cubic polynomial with given values and slopes at two points."""
    h, u = x[1] - x[0], at - x[0]
    rise = (values[1] - values[0]) / h
    c2 = (3 * rise - 2 * slopes[0] - slopes[1]) / h
    c3 = (slopes[0] + slopes[1] - 2 * rise) / h**2
    return values[0] + u * (slopes[0] + u * (c2 + u * c3))


def kuhn(nodes, theta):
    """Linear interpolation in the simplex that contains theta, found by trying all."""
    near = [sides(axis, x) for axis, x in zip(axes_of(nodes), theta, strict=True)]
    free = [d for d, pair in enumerate(near) if len(pair) == 2]
    t = [(theta[d] - near[d][0]) / (near[d][1] - near[d][0]) for d in free]
    for path in permutations(range(len(free))):
        corners = [np.zeros(len(free), dtype=int)]
        for step in path:
            corners.append(corners[-1] + np.eye(len(free), dtype=int)[step])
        system = np.vstack([np.array(corners).T, np.ones(len(corners))])
        weights = np.linalg.solve(system, [*t, 1.0])
        if (weights >= -1e-12).all():
            return sum(
                w * nodes[_point(near, free, c)] for w, c in zip(weights, corners, strict=True)
            )
    raise AssertionError("a cell is the union of its simplices")


def _point(near, free, corner):
    point = [pair[0] for pair in near]
    for d, bit in zip(free, corner, strict=True):
        point[d] = near[d][bit]
    return tuple(point)


def planck_integral_mean(wave_min, wave_max, teff):
    """Mean of pi B_lambda over a range in Å, erg/s/cm²/Å, by adaptive quadrature in frequency."""

    def pi_b_nu(nu):
        x = constants.h * nu / (constants.k * teff)
        return 2 * math.pi * constants.h * nu**3 / constants.c**2 / math.expm1(x)

    bounds = constants.c / (wave_max * 1e-10), constants.c / (wave_min * 1e-10)
    watts_per_m2, _ = quad(pi_b_nu, *bounds, epsabs=0, epsrel=1e-11, limit=200)
    return watts_per_m2 * 1e3 / (wave_max - wave_min)  # 1 W/m² is 1000 erg/s/cm²
