"""The exponents λ of solutions that are like r^λ at the distance r from a corner in the plane.

They are the eigenvalues of the boundary pencil, a family of operators in the angle θ, polynomial in
λ, that follows from the equation and the conditions at the corner. A symbol is a dictionary with
the coefficients of derivatives in linearised equations, see `Symbol` below.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import scipy.linalg
from numpy.polynomial import chebyshev
from numpy.typing import NDArray
from torch import Tensor

from kanpinn.jets import Channels
from kanpinn.spaces.cells.geometry.corner_functions import by_conjugates

Array = NDArray[Any]
# For each (i, j) the coefficients of ∂^i/∂w^i ∂^j/∂w̄^j in e equations for m fields, (e, m).
Symbol = dict[tuple[int, int], Array]
ROUNDING = 1e-9  # coefficients of at most this relative size count as zero


def symbol_of(slopes: Tensor, channels: Channels, across: tuple[complex, ...]) -> Symbol:
    """The coefficients of derivatives by w and w̄ in e linearised equations at a point (a symbol).

    Here w is a complex coordinate across the corner or edge, see `CornerFunctions`. Derivatives
    along an edge in space are left out: for functions like r^λ they are smaller than derivatives of
    the same order across the edge.

    Args:
        slopes: the derivatives of the residuals by the values and derivatives (parts of the jet) of
            m fields, (e, parts, m).
        channels: the derivatives that the jet has.
        across: the derivatives of w by the d coordinates.

    Returns:
        For each pair (i, j) the coefficients of ∂^i/∂w^i ∂^j/∂w̄^j, (e, m).
    """
    found: Symbol = {}
    for part, terms in enumerate(by_conjugates(channels, across, (0.0,) * len(across))):
        own = slopes[:, part].numpy()
        if own.any():
            for (i, j, _), factor in terms:
                found[i, j] = found.get((i, j), 0) + factor * own
    return found


def joined(symbols: Sequence[Symbol]) -> Symbol:
    """One symbol (table of coefficients of derivatives) with the equations of several symbols."""
    counts = [len(next(iter(one.values()))) if one else 0 for one in symbols]
    found: Symbol = {}
    for number, symbol in enumerate(symbols):
        for orders, one in symbol.items():
            if orders not in found:
                found[orders] = np.zeros((sum(counts), one.shape[1]), complex)
            start = sum(counts[:number])
            found[orders][start : start + len(one)] = one
    return found


def _rows_of(symbol: Symbol) -> list[Symbol]:
    """Split a symbol (table of coefficients of derivatives) into symbols of single equations."""
    count = len(next(iter(symbol.values()), ()))
    return [{orders: one[i : i + 1] for orders, one in symbol.items()} for i in range(count)]


def _orders(symbol: Symbol) -> Array:
    """The highest order of derivatives of each of m fields in each of e equations, (e, m).

    The order is -inf if the equation does not contain the field.

    Args:
        symbol: the coefficients of the derivatives in the equations.
    """
    shape = next(iter(symbol.values())).shape if symbol else (0, 0)
    found = np.full(shape, -np.inf)
    largest = max((np.abs(one).max() for one in symbol.values()), default=0.0)
    for (i, j), one in symbol.items():
        found = np.where(np.abs(one) > ROUNDING * largest, np.maximum(found, i + j), found)
    return found


def _principal(symbol: Symbol, rows: Array, fields: Array) -> Symbol:
    """The principal part of e equations: the terms with derivatives of order rows[i] + fields[j].

    Here i is the index of the equation, and j the index of the field.

    Args:
        symbol: the coefficients of the derivatives in the equations, for m fields.
        rows, fields: the orders of the equations, (e,), and of the fields, (m,).
    """
    total = rows[:, None] + fields
    return {
        orders: np.where(total == sum(orders), one, 0.0)
        for orders, one in symbol.items()
        if bool((total == sum(orders)).any())
    }


def _same(one: Symbol, other: Symbol) -> bool:
    """Return whether two symbols (tables of coefficients of derivatives) are equal to rounding."""
    size = max((np.abs(part).max(initial=0) for part in one.values()), default=0.0)
    near = 1e3 * ROUNDING * size
    return all(
        np.abs(one.get(orders, 0) - other.get(orders, 0)).max(initial=0) <= near
        for orders in one.keys() | other.keys()
    )


@dataclass(frozen=True, eq=False)
class CornerOperators:
    """The linearised equation and conditions at a corner with straight sides, and its exponents λ.

    The operators are written with derivatives by w = r e^(iθ) and w̄. The domain is like the sector
    0 < θ < ω. Solutions are sums of functions u_j = r^(λ + t_j) φ_j(θ), where t_j is the order of
    the field j relative to the other fields: zero except for fields such as the pressure, which is
    like derivatives of the velocity. For these functions the terms of highest order in the equation
    and in the conditions vanish. This determines the exponents λ, which are the eigenvalues of an
    operator in θ, the boundary pencil.

    Args:
        angle: the interior angle ω in radians.
        equation: the equation. It has as many rows as fields, or more rows, such as -ΔE = f
            together with div E = 0.
        sides: the conditions at θ = 0 and at θ = ω.
        counts: two numbers of polynomials in θ. Eigenvalues are computed with each of the two, and
            eigenvalues on which the two results do not agree are left out.

    Reference: Kondratiev, Boundary value problems for elliptic equations in domains with conical
    points (1967); Costabel and Dauge, Construction of corner singularities for Agmon–Douglis–
    Nirenberg elliptic systems (1993), which also gives the orders t_j.
    """

    least: ClassVar[float] = 1e-2  # exponents closer to c, such as that of constants, do not count
    angle: float
    equation: Symbol
    sides: tuple[Symbol, Symbol]
    counts: tuple[int, int] = (24, 31)

    @cached_property
    def fields(self) -> Array:
        """The orders t_j of the fields relative to each other, (m,); the largest order is zero.

        All orders are zero if all equations have one order and all fields have one highest order.
        Otherwise all combinations of orders from -2 to 0 are tried. The combination with the least
        sum of all t_j and of the orders of all equations (see `orders`) is chosen.
        """
        orders = _orders(self.equation)
        if np.ptp(orders.max(axis=1)) == 0 == np.ptp(orders.max(axis=0)):
            return np.zeros(orders.shape[1])
        tried = itertools.product((0, -1, -2), repeat=orders.shape[1])

        def total(fields: tuple[int, ...]) -> tuple[float, int]:
            """The sum of the orders of fields and equations, and the negative sum of the t_j."""
            rows = (orders - np.array(fields)).max(axis=1)
            return float(rows.sum() + sum(fields)), -sum(fields)

        return np.array(min((one for one in tried if max(one) == 0), key=total))

    def _rows(self, symbol: Symbol) -> tuple[Array, Symbol]:
        """The orders of a symbol's equations, (e,), and the equations' terms of highest order.

        Equations without any term are left out.

        Args:
            symbol: the coefficients of the derivatives in the equations.
        """
        rows, own = self.orders(symbol), self._with_terms(symbol)
        rows = rows[np.isfinite(rows)]
        return rows, _principal(own, rows, self.fields)

    def _with_terms(self, symbol: Symbol) -> Symbol:
        """A symbol without the equations that have no terms, such as n · (n × σn) = 0."""
        kept = np.isfinite(self.orders(symbol))
        return {orders: one[kept] for orders, one in symbol.items()}

    def orders(self, symbol: Symbol) -> Array:
        """The order of each equation or condition of a symbol, (e,).

        This is the largest value, over the fields j, of the order of the field's derivatives minus
        t_j.
        """
        if not symbol:
            return np.zeros(0)
        return (_orders(symbol) - self.fields).max(axis=1, initial=-np.inf)

    @cached_property
    def multiplicity(self) -> int:
        """The number k for which solutions are sums of w^(λ - n) w̄^n, n < k, and conjugates.

        The number is 1 for Laplace's equation, 2 for elasticity, Stokes flow and plates. It is 0 if
        the equation is not elliptic, or if solutions are other functions, such as those of w + μ w̄
        for a conductivity that depends on the direction, see `dilatation`.
        """
        every = itertools.chain(*(one.values() for one in (self.equation, *self.sides)))
        if not self.equation or not all(np.isfinite(one).all() for one in every):
            return 0
        rows, symbol = self._rows(self.equation)
        if len(rows) < len(self.fields):
            return 0
        # The sum of the orders is even unless there are more equations than fields.
        each = 2.0 if len(rows) > len(self.fields) else float(rows.sum() + self.fields.sum())

        def at(a: complex, b: complex) -> Array:
            """The matrix of the equation for ∂/∂w = a and ∂/∂w̄ = b, (m, m)."""
            return sum((one * a**i * b**j for (i, j), one in symbol.items()), np.zeros((1, 1)))

        turns = np.exp(1j * np.linspace(0.1, 2.9, 7))
        sizes = [
            np.linalg.svd(at(turn, turn.conjugate()), compute_uv=False).prod() for turn in turns
        ]
        if each <= 0 or each % 2 or not min(sizes) > (1 - 1e-6) * max(sizes):
            return 0
        # The order of the pole of the inverse matrix at b = 0.
        few = [float(np.linalg.norm(np.linalg.pinv(at(1.0, small)))) for small in (1e-2, 1e-3)]
        return max(1, round(math.log10(few[1] / few[0])))

    @property
    def dilatation(self) -> complex:
        """The number μ with |μ| < 1 for which functions of w + μ w̄ may satisfy the equation.

        It is the root of the polynomial Σ c_ij μ^j, where c_ij are the coefficients of the
        derivatives ∂^i/∂w^i ∂^j/∂w̄^j of highest order of the first field in the first equation.
        If several roots have sizes below 1, the result is their mean; it is 0 if there is none, or
        if the equation has no terms, as a p-Laplacian where the gradient is zero.
        """
        symbol = self._rows(self.equation)[1] if self.equation else {}
        found = {j: one[0, 0] for (_, j), one in symbol.items() if len(one)}
        ordered = [found.get(j, 0.0) for j in range(max(found, default=0), -1, -1)]
        every = np.roots(ordered if np.isfinite(ordered).all() else [0.0])
        inside = every[np.abs(every) < 1]
        return complex(inside.mean()) if len(inside) else 0j

    @property
    def is_homogeneous(self) -> bool:
        """True if the equation has terms, and all terms are of highest order.

        This holds for the terms of the conditions as well.
        """
        every = (self.equation, *self.sides)
        return bool(self.equation) and all(
            _same(self._rows(one)[1], self._with_terms(one)) for one in every
        )

    def equals(self, other: "CornerOperators") -> bool:
        """Return whether the equations and conditions of two corners are equal up to rounding."""
        pairs = zip((self.equation, *self.sides), (other.equation, *other.sides), strict=True)
        return all(_same(*pair) for pair in pairs)

    @cached_property
    def order(self) -> int:
        """The order o of the equation, the highest order of its rows."""
        return int(self._rows(self.equation)[0].max(initial=0))

    @cached_property
    def centre(self) -> int:
        """The real part c of exponents such that r^λ has a finite energy if and only if Re λ > c.

        The energy of an equation of the order o consists of derivatives of the order o/2, so that c
        is o/2 - 1. The exponents of self-adjoint problems are symmetric about c. A system with
        more equations than fields and fewer conditions than o/2 for each field, such as Maxwell's
        equations -ΔE = f and div E = 0 with n × E = 0, bounds the curl and the divergence, but not
        each first derivative. Then fields only have to be square integrable, and c is less by 1.
        """
        rows, leading = self._rows(self.equation)[0], int((self.fields == 0).sum())
        given = min(len(self._rows(side)[0]) for side in self.sides)
        fewer = len(rows) > len(self.fields) and 2 * given < self.order * leading
        return self.order // 2 - 1 - int(fewer)

    def exponents(self, top: float) -> list[complex] | None:
        """The different exponents λ with c < Re λ < top and Im λ ≥ 0, least real part first.

        Here c is `centre`. The result is None if `multiplicity` or the angle is 0, or if there are
        fewer equations and conditions than unknown functions.
        """
        found = self._spectrum(1e-6)
        if found is None:
            return None
        low = self.centre + self.least
        inside = [one for one in found if low < one.real < top and one.imag >= 0]
        return sorted(inside, key=lambda one: (one.real, one.imag))

    @property
    def margin(self) -> float:
        """The difference c - Re λ for the largest exponent with Re λ ≤ c = `centre`; at most 4.

        It is 0 if there is an exponent c, such as that of constants and ln r, or of ∇θ for electric
        fields.
        """
        near, most = 1e-4, 4.0  # near: double exponents are less accurate
        gaps = [self.centre - one.real for one in self._spectrum(near) or []]
        nearest = min((gap for gap in gaps if gap > -self.least), default=most)
        return min(nearest, most) if nearest > self.least else 0.0

    @property
    def undecided(self) -> float | None:
        """The least Re λ ≤ c of solutions r^λ that the equation neither admits nor excludes.

        Here c is `centre`, the limit above which the energy of r^λ is finite. The conditions that
        both sides of the corner have in common are added to the equation, as further equations. The
        number c of this larger system may be less by 1. Then solutions r^λ with Re λ between the
        two numbers c are admitted by the larger system, but not by the equation. An example are
        gradients with the exponent -1/3 for -ΔE = f with the condition div E = 0: their energy is
        infinite, but their curl and divergence are zero. The result is the least such Re λ; None if
        there is none, if the sides have no condition in common, or if `multiplicity` is 0.
        """
        if not self.multiplicity:
            return None
        after, before = map(_rows_of, self.sides)
        shared = [one for one in after if any(_same(one, other) for other in before)]
        rest = [
            joined([one for one in side if not any(_same(one, other) for other in shared)])
            for side in (after, before)
        ]
        if not shared:
            return None
        decided = replace(self, equation=joined([self.equation, *shared]), sides=(rest[0], rest[1]))
        found = decided.exponents(self.centre - self.least) or []
        return found[0].real if found else None

    def _spectrum(self, near: float) -> list[complex] | None:
        """The exponents λ at the corner, as computed with both numbers of polynomials in `counts`.

        An eigenvalue counts if the two results differ by less than `near`. The result is None if
        `multiplicity` or the angle is 0, or if there are fewer equations and conditions than
        unknown functions.
        """
        if not self.multiplicity or not self.angle:
            return None
        coarse, fine = self._eigenvalues
        if coarse is None or fine is None:
            return None
        chosen: list[complex] = []
        for one in fine:
            accurate = any(abs(one - other) < near for other in coarse)
            if accurate and all(abs(one - other) > near for other in chosen):
                chosen.append(one)
        return chosen

    @cached_property
    def _eigenvalues(self) -> tuple[list[complex] | None, list[complex] | None]:
        """The eigenvalues of the boundary pencil, with each of the two numbers in `counts`.

        Both results are None if there are fewer equations and conditions than unknown functions.
        """
        few, many = self.counts
        return self._collocated(few), self._collocated(many)

    def _collocated(self, count: int) -> list[complex] | None:
        """The eigenvalues of the boundary pencil by collocation with Chebyshev polynomials in θ.

        Some of the eigenvalues are inaccurate. If there are more collocation equations than
        unknowns, random combinations of the equations are solved: all eigenvalues of the equations
        are eigenvalues of the combinations, whose other eigenvalues differ for each `count`. The
        result is None if there are fewer equations than unknowns.

        Args:
            count: the number of polynomials for each field.
        """
        columns = [count + int(order) for order in self.fields]
        rows, symbol = self._rows(self.equation)
        parts = []
        for number, order in enumerate(rows.astype(int)):
            at = np.cos(math.pi * (np.arange(count - order) + 0.5) / (count - order))
            own = {orders: one[number] for orders, one in symbol.items()}
            parts.append(self._polynomial(own, at, columns))
        for place, side in zip((-1.0, 1.0), self.sides, strict=True):
            orders, own = self._rows(side)
            for number in range(len(orders)):
                row = {which: one[number] for which, one in own.items()}
                parts.append(self._polynomial(row, np.array([place]), columns))
        highest = max(len(one) for one in parts)
        padded = [one + [np.zeros_like(one[0])] * (highest - len(one)) for one in parts]
        matrices = [np.concatenate([one[k] for one in padded]) for k in range(highest)]
        size, given = sum(columns), len(matrices[0])
        if given < size:
            return None
        scales = 1 / sum(np.abs(one).max(axis=1, keepdims=True) for one in matrices)
        matrices = [scales * one for one in matrices]
        if given > size:
            random = np.random.default_rng(0).standard_normal((given, size))
            mixed = np.linalg.qr(random)[0].T
            matrices = [mixed @ one for one in matrices]
        # A linear eigenvalue problem for the vectors λ^k φ; the last rows are the given equations.
        left = np.eye(size * (highest - 1), dtype=complex)
        right = np.eye(size * (highest - 1), k=size, dtype=complex)
        left[-size:, -size:] = matrices[-1]
        right[-size:] = np.concatenate([-one for one in matrices[:-1]], axis=1)
        values = scipy.linalg.eigvals(right, left)
        real, most = 1e-7, 10.0  # most: the largest real part
        values = np.where(np.abs(values.imag) < real, values.real, values)
        return [complex(one) for one in values[np.isfinite(values) & (abs(values.real) < most)]]

    def _polynomial(
        self, row: Mapping[tuple[int, int], Array], at: Array, columns: Sequence[int]
    ) -> list[Array]:
        """Write one equation for r^λ φ(θ) at given angles as a polynomial in λ with matrices.

        There is a matrix (points, columns) for each power 0, 1, … of λ, with a column for each
        Chebyshev polynomial of each field.

        Args:
            row: for each (i, j) the coefficients of ∂^i/∂w^i ∂^j/∂w̄^j in the equation, (m,).
            at: the angles, scaled to [-1, 1].
            columns: the number of Chebyshev polynomials of each field.
        """
        most = max(map(sum, row), default=0)
        found = [np.zeros((len(at), sum(columns)), complex) for _ in range(most + 1)]
        starts = np.cumsum([0, *columns])
        turn = np.exp(1j * self.angle * (at + 1) / 2)[:, None]
        for (i, j), coefficients in row.items():
            for field, factor in enumerate(coefficients):
                if factor:
                    derivatives = _chebyshev(columns[field], most, at, 2 / self.angle)
                    own = slice(starts[field], starts[field + 1])
                    for (power, times), part in _of_power(i, j, int(self.fields[field])).items():
                        found[power][:, own] += factor * part * turn ** (j - i) * derivatives[times]
        return found


def _chebyshev(count: int, most: int, at: Array, scale: float) -> list[Array]:
    """The derivatives of the orders 0 to `most` of Chebyshev polynomials, (points, count) each.

    Args:
        count: the number of polynomials.
        most: the highest order.
        at: the points in [-1, 1].
        scale: the derivative of the polynomials' argument by the angle.
    """
    basis: Array = np.eye(count)
    found = []
    for _ in range(most + 1):
        found.append(chebyshev.chebval(at, basis).T)
        basis = scale * chebyshev.chebder(basis)
    return found


def _of_power(i: int, j: int, order: int) -> dict[tuple[int, int], complex]:
    """The derivative ∂^i/∂w^i ∂^j/∂w̄^j of r^μ φ(θ), μ = λ + order, as factors f_pq.

    With k = j - i and the imaginary unit ι, the derivative is r^(μ - i - j) e^(ιkθ) times the sum
    of f_pq λ^p φ^(q)(θ) over p and q.

    Returns:
        The factors f_pq by (p, q).
    """
    found: dict[tuple[int, int], complex] = {(0, 0): 1.0}
    turns = 0
    for number, way in enumerate([-1] * i + [1] * j):
        # ∂/∂w of r^ν e^(imθ) g is r^(ν-1) e^(i(m-1)θ) ((ν + m) g - i g')/2; for ∂/∂w̄ all signs of
        # i and m are reversed.
        shift, after = order - number - way * turns, dict[tuple[int, int], complex]()
        for (power, times), factor in found.items():
            steps = (((1, 0), 1.0), ((0, 0), float(shift)), ((0, 1), 1j * way))
            for (more, again), part in steps:
                key = power + more, times + again
                after[key] = after.get(key, 0) + factor * part / 2
        found, turns = after, turns + way
    return found
