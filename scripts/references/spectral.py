"""Fourier spectral solutions of evolution equations that are periodic in one dimension of space.

u_t = L u + N(u): L is linear, a number for each wave number, and exact in time; N goes by fourth
order Runge-Kutta steps between exponentials (ETDRK4), whose coefficients are means over circles in
the complex plane, where the formulas do not cancel.

Reference: Cox and Matthews, Exponential time differencing for stiff systems (2002); Kassam and
Trefethen, Fourth-order time-stepping for stiff PDEs (2005).
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy
from numpy import ndarray

CIRCLE = numpy.exp(2j * math.pi * (numpy.arange(32) + 0.5) / 32)


@dataclass(frozen=True)
class Equation:
    """u_t = L u + N(u) on a period.

    Args:
        low, high: the ends of a period.
        linear: L at wave numbers k, (n,) → (n,).
        nonlinear: the spectrum of N from that of u and wave numbers, (n,), (n,) → (n,).
        initial: u at t = 0, a function of x, (n,) → (n,).
        fields: the names of the real and, if u is complex, the imaginary part of u.
    """

    low: float
    high: float
    linear: Callable[[ndarray], ndarray]
    nonlinear: Callable[[ndarray, ndarray], ndarray]
    initial: Callable[[ndarray], ndarray]
    fields: tuple[str, ...] = ("u",)

    def waves(self, modes: int) -> ndarray:
        """Return wave numbers k in the order of the fast Fourier transform, (modes,)."""
        return 2 * math.pi * numpy.fft.fftfreq(modes, (self.high - self.low) / modes)

    def grid(self, modes: int) -> ndarray:
        """Return equispaced points of one period, (modes,)."""
        return self.low + (self.high - self.low) * numpy.arange(modes) / modes


@dataclass(frozen=True)
class Solution:
    """Spectra (times, modes), scaled so that u = Σ_k û_k exp(i k (x - low)), at times (times,)."""

    equation: Equation
    times: ndarray
    spectra: ndarray

    def __call__(self, x: ndarray, order: int = 0) -> ndarray:
        """Return u or a derivative by x at points x (n,) and all times, complex (n, times)."""
        k = self.equation.waves(self.spectra.shape[1])
        spectra = (self.spectra * (1j * k) ** order).T
        blocks = numpy.split(x - self.equation.low, range(64, len(x), 64))  # of waves in memory
        return numpy.concatenate([numpy.exp(1j * numpy.outer(b, k)) @ spectra for b in blocks])


def solve(equation: Equation, times: ndarray, modes: int, step: float) -> Solution:
    """Solve up to each of some times, the first of which is 0, with steps no longer than `step`."""
    k = equation.waves(modes)
    u = projection(equation, modes)
    found = [u]
    for begin, end in itertools.pairwise(times):
        count = math.ceil((end - begin) / step * (1 - 1e-12))
        factors = factors_of(equation.linear(k), (end - begin) / count)
        for _ in range(count):
            u = step_of(lambda v: equation.nonlinear(v, k), u, factors)
        found.append(u)
    return Solution(equation, numpy.asarray(times), numpy.stack(found) / modes)


def projection(equation: Equation, modes: int, finer: int = 16) -> ndarray:
    """Return the spectrum of the initial values, (modes,), from a grid with hardly any aliasing."""
    spectrum = numpy.fft.fft(equation.initial(equation.grid(finer * modes))) / finer
    half = modes // 2
    return numpy.concatenate([spectrum[:half], spectrum[-half:]])


class Factors(NamedTuple):
    """exp(hL), exp(hL/2) and the weights of N, (modes,) each."""

    whole: ndarray
    half: ndarray
    middle: ndarray
    first: ndarray
    second: ndarray
    third: ndarray


def factors_of(linear: ndarray, h: float) -> Factors:
    """Return Kassam and Trefethen's coefficients, section 3."""
    z = (h * linear)[..., None] + CIRCLE
    e = numpy.exp(z)
    return Factors(
        numpy.exp(h * linear),
        numpy.exp(h * linear / 2),
        h * _mean((numpy.exp(z / 2) - 1) / z),
        h * _mean((-4 - z + e * (4 - 3 * z + z**2)) / z**3),
        h * _mean(2 * (2 + z + e * (z - 2)) / z**3),
        h * _mean((-4 - 3 * z - z**2 + e * (4 - z)) / z**3),
    )


def _mean(values: ndarray) -> ndarray:
    return values.mean(axis=-1)


def step_of(nonlinear: Callable[[ndarray], ndarray], u: ndarray, f: Factors) -> ndarray:
    """Return the state after one step of ETDRK4, Cox and Matthews' equations 26 to 29."""
    at_u = nonlinear(u)
    a = f.half * u + f.middle * at_u
    at_a = nonlinear(a)
    b = f.half * u + f.middle * at_a
    at_b = nonlinear(b)
    c = f.half * a + f.middle * (2 * at_b - at_u)
    return f.whole * u + f.first * at_u + f.second * (at_a + at_b) + f.third * nonlinear(c)
