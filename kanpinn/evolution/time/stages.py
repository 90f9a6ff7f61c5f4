"""Collocation in time: the stages of a window, and the matrices of its polynomials."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

from kanpinn._support.errors import InputError

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Stages:
    """The s stages of a window of length 1, at which an equation in time holds exactly.

    In a window of length h the solution is the polynomial p of degree s that starts at the given
    value and satisfies the equation at t + c_i h. With z_i = p(t + c_i h) - p(t) its rates there
    are h p' = D z. The matrix D = V Λ V⁻¹ is diagonalised, so that the s coupled linear systems of
    a Newton step become one independent system for each eigenvalue; those of a conjugate pair are
    conjugate to each other.

    kind: "radau" or "gauss". nodes: c, (s,), increasing in (0, 1]. nodal: the Legendre series of a
    multiple of Π (τ - c_i) on the window, (s + 1,). slopes: D, (s, s), the inverse of the Butcher
    matrix. eigenvalues: those of D with imaginary parts of at least 0. vectors: the
    columns of V that belong to them, doubled for a pair, whose conjugate they stand for as well.
    rows: the rows of V⁻¹ that belong to them.

    Reference: Butcher, On the implementation of implicit Runge-Kutta methods (1976); Bickart
    (1977); Hairer and Wanner, Solving Ordinary Differential Equations II (1996), IV.8.
    """

    kind: str
    nodes: Array
    nodal: Array
    slopes: Array
    eigenvalues: NDArray[np.complex128]
    vectors: NDArray[np.complex128]
    rows: NDArray[np.complex128]

    @property
    def count(self) -> int:
        """The number of stages s."""
        return len(self.nodes)


@cache
def stages(count: int, kind: str = "radau") -> Stages:
    """Return the stages of Radau IIA, of order 2s - 1, or of Gauss, of order 2s.

    Args:
        count: s, from 1 to 39. From 12 on the diagonalisation costs digits.
        kind: "radau", whose last stage is the end of the window and which damps what is stiff;
            "gauss" is symmetric in time, damps nothing and preserves quadratic invariants.

    Raises:
        InputError: for another kind, or a number of stages out of range.
    """
    if kind not in ("radau", "gauss"):
        raise InputError(f'the collocation in time must be "radau" or "gauss", got {kind!r}')
    most = 39
    if not 1 <= count <= most:
        raise InputError(f"the number of stages must be from 1 to {most}, got {count!r}")
    series = np.zeros(count + 1)
    series[count] = 1
    if kind == "radau":
        series[count - 1] = -1  # P_s - P_(s-1) vanishes at 1
    roots = np.sort(legendre.legroots(series).real)
    roots -= legendre.legval(roots, series) / legendre.legval(roots, legendre.legder(series))
    if kind == "radau":
        roots[-1] = 1
    slopes = np.linalg.inv(_integrals(roots))
    values, vectors = np.linalg.eig(slopes)
    kept = values.imag > -1e-12
    doubled = np.where(values.imag > 1e-12, 2, 1)
    rows = np.linalg.inv(vectors)
    return Stages(
        kind=kind,
        nodes=(roots + 1) / 2,
        nodal=series,
        slopes=slopes,
        eigenvalues=values[kept],
        vectors=(vectors * doubled)[:, kept],
        rows=rows[kept],
    )


def _integrals(roots: Array) -> Array:
    """The Butcher matrix: the integrals from 0 to c_i of the Lagrange polynomials of the nodes.

    roots: the nodes scaled to [-1, 1].
    """
    count = len(roots)
    values = legendre.legvander(roots, count)
    # From -1 on the integral of P_0 is P_1 + 1, and that of P_j is (P_(j+1) - P_(j-1)) / (2j + 1).
    others = (values[:, 2:] - values[:, :-2]) / (2 * np.arange(1, count) + 1)
    return np.hstack([values[:, 1:2] + 1, others]) / 2 @ np.linalg.inv(values[:, :-1])


def lagrange(nodes: Array, at: Array, order: int = 0) -> Array:
    """The Lagrange polynomials of some nodes in [0, 1], differentiated, at other places.

    Args:
        nodes: the nodes, (n,).
        at: the places, (k,).
        order: of the derivative, with respect to the nodes' own variable.

    Returns:
        (k, n): the derivative of polynomial j at place i.
    """
    series = np.linalg.inv(legendre.legvander(2 * nodes - 1, len(nodes) - 1))
    if order:
        series = 2**order * legendre.legder(series, order)
    return legendre.legvander(2 * at - 1, len(series) - 1) @ series


def legendre_series(nodes: Array) -> Array:
    """The matrix that turns values at n nodes in [0, 1] into a Legendre series on the interval."""
    return np.linalg.inv(legendre.legvander(2 * nodes - 1, len(nodes) - 1))
