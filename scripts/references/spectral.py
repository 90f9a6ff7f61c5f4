"""Spectral and exact solutions of equations of evolution in one dimension."""

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


def allen_cahn(diffusion: float = 1e-4) -> Equation:
    """Return u_t = D u_xx + 5 (u - u³)."""
    return Equation(
        -1.0,
        1.0,
        lambda k: 5 - diffusion * k**2,
        lambda u, k: -5 * numpy.fft.fft(numpy.fft.ifft(u).real ** 3),
        lambda x: x**2 * numpy.cos(math.pi * x),
    )


def kuramoto_sivashinsky(
    advection: float = 100 / 16, production: float = 100 / 16**2, damping: float = 100 / 16**4
) -> Equation:
    """Return u_t + α u u_x + β u_xx + γ u_xxxx = 0."""
    return Equation(
        0.0,
        2 * math.pi,
        lambda k: production * k**2 - damping * k**4,
        lambda u, k: -advection / 2 * 1j * k * numpy.fft.fft(numpy.fft.ifft(u).real ** 2),
        lambda x: numpy.cos(x) * (1 + numpy.sin(x)),
    )


def schroedinger(low: float = -5.0, high: float = 5.0) -> Equation:
    """Return i h_t + h_xx / 2 + |h|² h = 0."""

    def cubic(u: numpy.ndarray, k: numpy.ndarray) -> numpy.ndarray:
        h = numpy.fft.ifft(u)
        return 1j * numpy.fft.fft(abs(h) ** 2 * h)

    start = lambda x: 2 / numpy.cosh(x)  # noqa: E731
    return Equation(low, high, lambda k: -0.5j * k**2, cubic, start, ("u", "v"))


def zabusky_kruskal(dispersion: float = 0.022) -> Equation:
    """Return u_t + u u_x + δ² u_xxx = 0."""
    return Equation(
        -1.0,
        1.0,
        lambda k: 1j * dispersion**2 * k**3,
        lambda u, k: -0.5j * k * numpy.fft.fft(numpy.fft.ifft(u).real ** 2),
        lambda x: numpy.cos(math.pi * x),
    )


def burgers(viscosity: float = 0.01 / math.pi) -> Equation:
    """Return u_t + u u_x = ν u_xx; an odd solution is 0 at both ends of half a period."""
    return Equation(
        -1.0,
        1.0,
        lambda k: -viscosity * k**2,
        lambda u, k: -0.5j * k * numpy.fft.fft(numpy.fft.ifft(u).real ** 2),
        lambda x: -numpy.sin(math.pi * x),
    )
