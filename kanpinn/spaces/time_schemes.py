"""Collocation in time (Radau IIA and Gauss): stages, polynomials through the stages, their errors.

A window is a span of time that is solved at once, as one step of a collocation method.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import Any

import numpy as np
import torch
from numpy.polynomial import legendre
from numpy.typing import NDArray
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.jets import total

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Stages:
    """A collocation method for a window of time: its s stages, in units of the window's length h.

    A window is a span of time that is solved at once. In it the solution is the polynomial p of
    degree s that starts at the given value and satisfies the equation at the stages t + c_i h,
    where t is the start. Let z_i = p(t + c_i h) - p(t). Then the derivatives at the stages are h p'
    = D z, with the inverse D of the Butcher matrix. In a Newton step the stages are coupled by D
    only. The diagonalisation D = V Λ V⁻¹ replaces the s coupled linear systems by one system for
    each eigenvalue. The systems of a conjugate pair of eigenvalues are conjugate to each other, so
    that one of the two suffices.

    Args:
        kind: the name of the method in `SCHEMES`.
        count: the number of stages s.
        nodes: the c_i, (s,), increasing in (0, 1].
        nodal: the Legendre series of a multiple of Π (τ - c_i) on the window, (s + 1,).
        slopes: D, (s, s).
        eigenvalues: the k eigenvalues of D with imaginary parts of at least 0, (k,).
        vectors: the columns of V for the k eigenvalues, (s, k), multiplied by 2 for a conjugate
            pair.
        rows: the rows of V⁻¹ for the k eigenvalues, (k, s).

    Reference: Butcher, On the implementation of implicit Runge-Kutta methods (1976); Bickart
    (1977); Hairer and Wanner, Solving Ordinary Differential Equations II (1996), IV.8.
    """

    kind: str
    count: int
    nodes: Array
    nodal: Array
    slopes: Array
    eigenvalues: NDArray[np.complex128]
    vectors: NDArray[np.complex128]
    rows: NDArray[np.complex128]

    @property
    def damps(self) -> bool:
        """True if the last stage is at the end of the window: the method damps stiff components."""
        return bool(self.nodes[-1] == 1)

    @cached_property
    def preserves(self) -> bool:
        """True if the scheme preserves quadratic invariants (Hairer and Wanner, IV.12)."""
        weights, rounding = legendre_series(self.nodes)[0], 1e-10
        products = weights[:, None] * np.linalg.inv(self.slopes)
        return bool(np.abs(products + products.T - np.outer(weights, weights)).max() < rounding)

    @property
    def real(self) -> list[int]:
        """The indices of the real eigenvalues in `eigenvalues`."""
        return np.flatnonzero(self.eigenvalues.imag == 0).tolist()

    def rates(self, length: float) -> list[complex]:
        """The eigenvalues of D divided by the length of a window; real eigenvalues are floats."""
        scaled = (self.eigenvalues / length).tolist()
        return [one if one.imag else float(one.real) for one in scaled]

    def component(self, number: int, right: Sequence[Tensor]) -> list[Tensor]:
        """The right-hand sides (V⁻¹ b)_λ of the decoupled system of one eigenvalue λ, (…) each.

        Args:
            number: the index of the eigenvalue in `eigenvalues`.
            right: right-hand sides b at the stages, (s, …) each. The result is real for a real
                eigenvalue.
        """
        row = self._plain(number, self.rows[number])
        return [torch.tensordot(row, b.to(row.dtype), dims=1) for b in right]

    def decoupled(
        self, right: Sequence[Tensor], length: float
    ) -> list[tuple[complex, list[Tensor]]]:
        """Decouple the linear system (K + D/h M) x = b of all stages: one system per eigenvalue.

        For the eigenvalue λ of D it is (K + σ M) y = c with σ = λ/h and a component c of V⁻¹ b.

        Args:
            right: the right-hand sides b at the stages, (s, …) each; several tensors if b has
                parts.
            length: the length h of the window.

        Returns:
            For each eigenvalue σ and the parts of c without the axis of stages; both are real or
            both complex.
        """
        rates = enumerate(self.rates(length))
        return [(rate, self.component(number, right)) for number, rate in rates]

    def coupled(self, solutions: Sequence[Tensor]) -> Tensor:
        """The solutions x at the stages, (s, …), from the solutions y of the `decoupled` systems.

        Args:
            solutions: y for each eigenvalue, (…).
        """
        columns = [self._plain(k, self.vectors[:, k]) for k in range(len(solutions))]
        both = zip(columns, solutions, strict=True)
        return total(torch.tensordot(a[:, None], y[None], dims=1).real for a, y in both)

    def _plain(self, number: int, values: Array) -> Tensor:
        """Convert numbers that belong to an eigenvalue to a tensor, real if the eigenvalue is real.

        Args:
            number: the index of the eigenvalue.
            values: the numbers, complex, of any shape.
        """
        return torch.from_numpy(values.real if number in self.real else values)


# For each scheme the Legendre series on [-1, 1] of the polynomial whose roots are its s nodes,
# (s + 1,). Everything else about a scheme follows from these nodes.
SCHEMES: dict[str, Callable[[int], Array]] = {
    "radau": lambda s: np.eye(s + 1)[s] - np.eye(s + 1)[s - 1],  # P_s - P_(s-1), of order 2s - 1
    "gauss": lambda s: np.eye(s + 1)[s],  # P_s, of order 2s
}


@cache
def stages(count: int, kind: str = "radau") -> Stages:
    """Return the stages of a collocation method in time.

    Args:
        count: the number of stages s, from 1 to 39. From 12 on the diagonalisation costs digits.
        kind: the name of the method: "radau" (Radau IIA) has its last stage at the end of the
            window, and damps stiff components; "gauss" is symmetric in time, damps nothing and
            preserves quadratic invariants.

    Raises:
        InputError: for another method, a number of stages out of range, or a method with a stage at
            the start of the window, such as Lobatto IIIA.
    """
    if kind not in SCHEMES:
        known = " or ".join(f'"{name}"' for name in SCHEMES)
        raise InputError(f"the collocation in time must be {known}, got {kind!r}")
    most = 39
    if not 1 <= count <= most:
        raise InputError(f"the number of stages must be from 1 to {most}, got {count!r}")
    series, near = SCHEMES[kind](count), 1e-9
    roots = np.sort(legendre.legroots(series).real)
    roots -= legendre.legval(roots, series) / legendre.legval(roots, legendre.legder(series))
    if roots[0] < near - 1:
        raise InputError(
            f'the scheme "{kind}" has a stage at the start of the window, where the solution is '
            'known and the equation cannot be imposed: expected nodes after it, as of "radau"'
        )
    if roots[-1] > 1 - near:
        roots[-1] = 1
    # The Butcher matrix: the integrals from 0 to c_i of the Lagrange polynomials of the nodes. The
    # integral from -1 of the Legendre polynomial P_0 is P_1 + 1, and the integral of P_j is
    # (P_(j+1) - P_(j-1)) / (2j + 1).
    modes = legendre.legvander(roots, count)
    others = (modes[:, 2:] - modes[:, :-2]) / (2 * np.arange(1, count) + 1)
    integrals = np.hstack([modes[:, 1:2] + 1, others]) / 2 @ np.linalg.inv(modes[:, :-1])
    slopes = np.linalg.inv(integrals)
    values, vectors = np.linalg.eig(slopes)
    kept = values.imag >= 0  # real eigenvalues of a real matrix have no imaginary part at all
    doubled = np.where(values.imag > 0, 2, 1)
    rows = np.linalg.inv(vectors)
    return Stages(
        kind=kind,
        count=count,
        nodes=(roots + 1) / 2,
        nodal=series,
        slopes=slopes,
        eigenvalues=values[kept],
        vectors=(vectors * doubled)[:, kept],
        rows=rows[kept],
    )


def legendre_series(nodes: Array) -> Array:
    """The matrix that maps values at n nodes in [0, 1] to a Legendre series on [0, 1], (n, n)."""
    return np.linalg.inv(legendre.legvander(2 * nodes - 1, len(nodes) - 1))


def lagrange(nodes: Array, at: Array, order: int = 0) -> Array:
    """The values, or a derivative, of the Lagrange polynomials of nodes in [0, 1] at given points.

    Args:
        nodes: the nodes, (n,).
        at: the points, (k,).
        order: the order of the derivative, with respect to the variable of the nodes.

    Returns:
        (k, n): the derivative of polynomial j at point i.
    """
    series = legendre_series(nodes)
    if order:
        series = 2**order * legendre.legder(series, order)
    return legendre.legvander(2 * at - 1, len(series) - 1) @ series


# The polynomial of a window is p(t) = Σ_a starts_a(t) u_a + Σ_i unknowns_i(t) y_i. For an equation
# of first order u_0 is the value at the start, and y_i = p(t_i) - u_0 at the stages. For an
# equation of second order u_0 and u_1 are value and rate at the start, and y_i = p'(t_i) - u_1. The
# functions below give, for each order of the derivative from 0, the values at k moments of all
# starts_a followed by all unknowns_i, (k, order + s).


def at_stages(stages: Stages, length: float, order: int, highest: int) -> list[Array]:
    """The basis polynomials in time of a window, and their derivatives, at the window's stages.

    The result has for each order of the derivative from 0 a matrix (s, order + s). A comment above
    this function defines the polynomials. For an equation of second order, the values at the
    stages come from collocation of value and rate, which is stable. `at_moments` integrates the
    rate instead. Both agree at the end of the window.

    Args:
        stages: the s stages of the collocation method.
        length: the length of the window.
        order: the order of the equation in time, 1 or 2.
        highest: the highest order of the derivatives.
    """
    rates = at_moments(stages, stages.nodes, length, order, highest)
    if order == 2:
        rates[0] = np.hstack([rates[0][:, :order], np.linalg.inv(stages.slopes / length)])
    return rates


def at_moments(
    stages: Stages, moments: Array, length: float, order: int, highest: int
) -> list[Array]:
    """The basis polynomials in time of a window, and their derivatives, at k times.

    The result has for each order of the derivative from 0 a matrix (k, order + s). The comment
    above `at_stages` defines the polynomials. For an equation of second order the solution in the
    window is the integral of a polynomial rate of degree s, so that value and rate are continuous.

    Args:
        stages: the s stages of the collocation method.
        moments: the times, (k,), from 0 at the start of the window to 1 at its end; they may be
            beyond the window.
        length: the length of the window.
        order: the order of the equation in time, 1 or 2.
        highest: the highest order of the derivatives.
    """
    return _stretched(_of_unit_window(stages, tuple(moments), order, highest), length, order)


def _stretched(rates: list[Array], length: float, order: int) -> list[Array]:
    """Rescale the basis polynomials of a window of length 1 to a window of another length.

    Args:
        rates: for each order of the derivative, from 0, the polynomials' values, (k, order + s).
        length: the length.
        order: the order of the equation in time, 1 or 2. For order 2 all coefficients but the value
            at the start are rates, so that their polynomials grow with the length.
    """
    powers = np.minimum(np.arange(rates[0].shape[1]), order - 1.0)
    return [rate * length ** (powers - r) for r, rate in enumerate(rates)]


@lru_cache(maxsize=1000)
def _of_unit_window(
    stages: Stages, moments: tuple[float, ...], order: int, highest: int
) -> list[Array]:
    """The result of `at_moments` for a window of length 1, cached for repeated times.

    The arguments are those of `at_moments`.
    """
    at, nodes = np.array(moments), np.concatenate([[0.0], stages.nodes])
    unknowns: list[Array] = [lagrange(nodes, at, r)[:, 1:] for r in range(highest + 1)]
    if order == 2:
        gauss, weights = legendre.leggauss(len(nodes))
        integrals = [m / 2 * weights @ lagrange(nodes, m * (gauss + 1) / 2)[:, 1:] for m in moments]
        unknowns.insert(0, np.stack(integrals))
    starts = [np.zeros((len(at), order)) for _ in range(highest + 2)]
    starts[0][:, 0] = 1
    if order == 2:
        starts[0][:, 1], starts[1][:, 1] = at, 1
    both = zip(starts[: highest + 1], unknowns[: highest + 1], strict=True)
    return [np.hstack(pair) for pair in both]


def series_in_time(stages: Stages, length: float, order: int) -> list[Array]:
    """Matrices from the coefficients of a window's polynomial to its Legendre series in time.

    The polynomial p has the degree s + order - 1. Its order + s coefficients are u_a and y_i in
    the comment above `at_stages`.

    Args:
        stages: the s stages of the collocation method.
        length: the length of the window.
        order: the order of the equation in time, 1 or 2.

    Returns:
        For p and for each of its derivatives up to `order` a matrix, (s + order, order + s).
    """
    return _stretched(_series_of_unit_window(stages, order), length, order)


@lru_cache(maxsize=100)
def _series_of_unit_window(stages: Stages, order: int) -> list[Array]:
    """The result of `series_in_time` for a window of length 1."""
    nodes = (legendre.leggauss(stages.count + order)[0] + 1) / 2
    rates = _of_unit_window(stages, tuple(nodes), order, order)
    return [legendre_series(nodes) @ rate for rate in rates]


@dataclass(frozen=True)
class ErrorForm:
    """How the error of a collocation polynomial depends on time: it is proportional to ω(τ).

    Let the polynomial p satisfy an equation of order m in time at the stages c_i of a window, in
    which τ runs from 0 to 1. To leading order the error of p is proportional to ω, the m-fold
    integral from 0 of Π (τ - c_i).

    Args:
        moment: a time τ between the start and the first stage, near which |ω| is large.
        ratios: ω^(r) / ω at this time, for r = 0 … m, where the window has the length 1.
        mean: the root mean square of ω over the window, in units of |ω| at `moment`.
    """

    moment: float
    ratios: tuple[float, ...]
    mean: float


@lru_cache(maxsize=100)
def error_form(stages: Stages, order: int, moment: float | None = None) -> ErrorForm:
    """The time dependence ω(τ) of the error in a window with given collocation stages.

    Args:
        stages: the stages.
        order: the order of the equation in time.
        moment: the time τ, from 0 to 1, at which ω and its derivatives are evaluated; by default
            the middle between the start and the first stage.
    """
    moment = float(stages.nodes[0] / 2) if moment is None else moment
    series = stages.nodal
    for _ in range(order):
        series = legendre.legint(series, lbnd=-1, scl=0.5)
    values = [
        2**r * float(legendre.legval(2 * moment - 1, legendre.legder(series, r)))
        for r in range(order + 1)
    ]
    nodes, weights = legendre.leggauss(2 * stages.count)
    square = weights @ legendre.legval(nodes, series) ** 2 / 2
    ratios = tuple(value / values[0] for value in values)
    return ErrorForm(moment, ratios, math.sqrt(square) / abs(values[0]))


@lru_cache(maxsize=100)
def error_form_of_ratio(stages: Stages, ratio: float) -> ErrorForm:
    """The time dependence ω(τ) of the error for first order, with `moment` where ω' / ω = ratio.

    The quotient ω' / ω falls from infinity to 0 between the start and the first stage.

    Args:
        stages: the stages of the collocation method.
        ratio: the quotient, above 0.
    """
    low, high, halvings = 0.0, float(stages.nodes[0]), 60
    for _ in range(halvings):
        middle = (low + high) / 2
        if error_form(stages, 1, middle).ratios[1] > ratio:
            low = middle
        else:
            high = middle
    return error_form(stages, 1, low)
