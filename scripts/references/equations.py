"""Equations of the library's problems on a period, written independently of the library."""

import math

import numpy
from references.spectral import Equation


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
