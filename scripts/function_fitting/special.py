"""The paper's fifteen special functions of two variables, on boxes away from singularities."""

from collections.abc import Callable
from math import pi

import numpy
import torch
from function_fitting.functions import Function
from scipy import special
from torch import Tensor

Array = numpy.ndarray
AMPLITUDE, PARAMETER = pi / 2, 0.9  # m = 1 is a singularity of the elliptic functions


def sph_harm(m: int, n: int) -> Callable[[Array, Array], Array]:
    """Return the function Re Y_n^m of azimuth and polar angle.

    SciPy has changed the function's name and the order of its arguments.
    """

    def values(azimuth: Array, polar: Array) -> Array:
        if hasattr(special, "sph_harm_y"):  # SciPy 1.15 and later
            return special.sph_harm_y(n, m, polar, azimuth).real
        return special.sph_harm(m, n, azimuth, polar).real

    return values


def lpmv(m: int) -> Callable[[Array, Array], Array]:
    """Return the function P_ν^m(x), with the phase (-1)^m."""
    return lambda order, x: special.lpmv(m, order, x)


def sn(u: Array, m: Array) -> Array:
    """Return Jacobi's sn(u | m)."""
    return special.ellipj(u, m)[0]


def _function(
    name: str,
    formula: str,
    low: tuple[float, float],
    high: tuple[float, float],
    of_arrays: Callable[[Array, Array], Array],
) -> Function:
    def values(x: Tensor) -> Tensor:
        return torch.from_numpy(numpy.asarray(of_arrays(*x.numpy().T), dtype=numpy.float64))

    return Function(name, formula, low, high, values)


def _functions() -> list[Function]:
    bessel = {"low": (0.0, 1.0), "high": (2.0, 10.0)}  # Y and K are infinite at x = 0
    modified = {"low": (0.0, 1.0), "high": (2.0, 5.0)}  # exponentials: a shorter range
    legendre = {"low": (0.0, -0.5), "high": (4.0, 0.9)}  # x = -1 is a singularity, x = 1 a root
    sphere = {"low": (0.0, 0.0), "high": (2 * pi, pi)}
    elliptic = {"low": (0.0, 0.0), "high": (AMPLITUDE, PARAMETER)}
    found = [
        _function("ellipj", "sn(u, m)", (0.0, 0.0), (5.0, PARAMETER), sn),
        _function("ellipkinc", "F(φ, m)", **elliptic, of_arrays=special.ellipkinc),
        _function("ellipeinc", "E(φ, m)", **elliptic, of_arrays=special.ellipeinc),
        _function("jv", "J_ν(x)", **bessel, of_arrays=special.jv),
        _function("yv", "Y_ν(x)", **bessel, of_arrays=special.yv),
        _function("kv", "K_ν(x)", **modified, of_arrays=special.kv),
        _function("iv", "I_ν(x)", **modified, of_arrays=special.iv),
    ]
    for m in (0, 1, 2):
        found.append(_function(f"lpmv {m}", f"P_ν^{m}(x)", **legendre, of_arrays=lpmv(m)))
    for m, n in ((0, 1), (1, 1), (0, 2), (1, 2), (2, 2)):
        name, formula = f"sph_harm {m},{n}", f"Re Y_{n}^{m}(θ, φ)"
        found.append(_function(name, formula, **sphere, of_arrays=sph_harm(m, n)))
    return found


FUNCTIONS = {function.name: function for function in _functions()}
