"""Quasiperiodic chains with mobility edges: Hamiltonians, eigenstates and the exact edges.

The chains are rings of N sites, N a Fibonacci number, with b = F_{n-1}/F_n = (√5 - 1)/2 + O(N⁻²).
The potential is then periodic on the ring, and there are no ends at which states could sit.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy
from scipy.linalg import eigh

Array = numpy.ndarray


@dataclass(frozen=True)
class Model:
    """A family of chains.

    inputs: the energy E, the parameters, and a phase that has no influence. ranges: the interval
    from which each parameter is drawn uniformly. hamiltonian(parameters, phase, sites): the matrix.
    margin(E, *parameters): positive where the theory has localized states. edge: the same as text.
    sites: three Fibonacci numbers of sites; a smoke run uses the first two.
    """

    name: str
    title: str
    inputs: tuple[str, ...]
    ranges: tuple[tuple[float, float], ...]
    hamiltonian: Callable[..., Array]
    margin: Callable[..., Array]
    edge: str
    sites: tuple[int, int, int] = (55, 144, 377)
    phased: bool = True  # whether the phase is an input

    def __reduce__(self) -> tuple[Callable[[str], "Model"], tuple[str]]:
        """Pickle the name alone: the functions cannot be pickled."""
        return model_of, (self.name,)


def model_of(name: str) -> Model:
    """Return the model of this name."""
    return next(model for model in MODELS if model.name == name)


def golden(sites: int) -> float:
    """Return the ratio of neighbouring Fibonacci numbers whose denominator is `sites`.

    Raises:
        ValueError: if `sites` is not a Fibonacci number.
    """
    a, b = 1, 2
    while b < sites:
        a, b = b, a + b
    if b != sites:
        raise ValueError(f"sites must be a Fibonacci number of at least 2, got {sites}")
    return a / b


def cosine(phase: float, sites: int) -> Array:
    """Return cos(2πnb + φ) for n = 1 … N."""
    return numpy.cos(2 * numpy.pi * golden(sites) * numpy.arange(1, sites + 1) + phase)


def ring(potential: Array) -> Array:
    """Return the Hamiltonian of a ring with hopping t = 1 to both neighbours and a potential."""
    one = numpy.eye(len(potential))
    return numpy.roll(one, 1, axis=0) + numpy.roll(one, -1, axis=0) + numpy.diag(potential)


def mosaic(period: int) -> Callable[..., Array]:
    """Return the Hamiltonian with V_n = λ cos(2πnb + φ) on every κ-th site.

    Reference: Wang et al., PRL 125, 196604 (2020), whose λ is half of ours.
    """

    def hamiltonian(lam: float, phase: float, sites: int) -> Array:
        on = numpy.arange(1, sites + 1) % period == 0
        return ring(lam * cosine(phase, sites) * on)

    return hamiltonian


def gaam(lam: float, alpha: float, phase: float, sites: int) -> Array:
    """Return the Hamiltonian with V_n = 2λ cos(2πnb + φ) / (1 - α cos(2πnb + φ)).

    Reference: Ganeshan, Pixley and Das Sarma, PRL 114, 146601 (2015).
    """
    c = cosine(phase, sites)
    return ring(2 * lam * c / (1 - alpha * c))


def maam(lam: float, p: float, phase: float, sites: int) -> Array:
    """Return the Hamiltonian with V_n = λ cos(2πnb + φ) and hopping beyond neighbours.

    The hopping is t e^(-p|n - n'|) with t = e^p, so that it is 1 between neighbours.

    Reference: Biddle and Das Sarma, PRL 104, 070601 (2010).
    """
    n = numpy.arange(sites)
    apart = numpy.abs(n[:, None] - n)
    apart = numpy.minimum(apart, sites - apart)
    hopping = numpy.exp(p * (1 - apart)) * (apart > 0)
    return hopping + numpy.diag(lam * cosine(phase, sites))


def states(hamiltonian: Array) -> tuple[Array, Array]:
    """Return energies and fractal dimensions D = -log IPR / log N of all eigenstates."""
    # Without "evd" nearly degenerate states cost several times as much.
    energies, psi = eigh(hamiltonian, driver="evd")
    return energies, -numpy.log(participation(psi)) / numpy.log(len(hamiltonian))


def participation(psi: Array) -> Array:
    """Return the inverse participation ratio Σ|ψ|⁴ / (Σ|ψ|²)² of each column."""
    density = numpy.abs(psi) ** 2
    return (density**2).sum(axis=0) / density.sum(axis=0) ** 2


MODELS = (
    Model(
        *("mosaic2", "Mosaic κ = 2", ("E", "lam"), ((0.2, 4.0),), mosaic(2)),
        lambda e, lam: lam * numpy.abs(e) - 2,
        "λ |E| = 2",
        (34, 144, 610),
        phased=False,
    ),
    Model(
        *("mosaic3", "Mosaic κ = 3", ("E", "lam"), ((0.2, 4.0),), mosaic(3)),
        lambda e, lam: lam * numpy.abs(e**2 - 1) - 2,
        "λ |E² - 1| = 2",
        (21, 144, 987),
        phased=False,
    ),
    Model(
        *("gaam", "GAAM", ("E", "lam", "alpha", "phi"), ((0.2, 2.0), (-0.8, 0.8)), gaam),
        lambda e, lam, alpha: alpha * e - 2 * (1 - lam),
        "αE = 2 (1 - λ)",
    ),
    Model(
        *("maam", "MAAM", ("E", "lam", "p", "phi"), ((0.5, 4.0), (1.0, 4.0)), maam),
        lambda e, lam, p: lam * numpy.cosh(p) - e - numpy.exp(p),
        "λ cosh p = E + eᵖ",
    ),
)
