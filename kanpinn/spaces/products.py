"""Products of splines in boxes: a trial space for evolutions in several space dimensions.

The module has the splines and the quadrature rule of each coordinate (`Axis`), the products of
splines (`ProductSpace`), the conditions on sides of the box, and linear systems that are solved by
GMRES with a separable preconditioner.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import scipy.linalg
import torch
from scipy.sparse.linalg import LinearOperator, gmres
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.geometry.points import Batch
from kanpinn.geometry.rules import gauss_legendre, tensor_grid
from kanpinn.jets import (
    Coordinates,
    Jet,
    Linearised,
    MultiIndex,
    coefficients_of_derivatives,
    parts_from,
)
from kanpinn.loss.terms import ResidualTerm
from kanpinn.networks.basis import BSplines
from kanpinn.networks.surrogate import Surrogate
from kanpinn.spaces.evolution_terms import EvolutionTerms
from kanpinn.spaces.galerkin import (
    LinearSystem,
    MomentsInTime,
    Solve,
    System,
    TermInSpace,
    TrialSpace,
)
from kanpinn.spaces.time_schemes import Array


@dataclass(frozen=True, eq=False)
class Axis:
    """Basis functions of one coordinate x in [low, high], and a quadrature rule with q points.

    The n functions are combinations of splines, made for the conditions at the two ends. Each of
    the first `fixed` functions has the value 1 in one condition at the ends and 0 in the other
    conditions; all other functions satisfy the conditions for zero data.

    Args:
        basis: the splines, whose knots are in scaled coordinates from -1 to 1.
        low, high: the ends.
        places, weights: the points and weights of the quadrature rule, (q,) each.
        means: the matrix that gives the mean over the points in each of G intervals, (G, q).
        spread: the combinations, (splines, n).
        fixed: the number of conditions.
        periodic: whether the functions are periodic.
    """

    basis: BSplines
    low: float
    high: float
    places: Tensor
    weights: Tensor
    means: Tensor
    spread: Tensor
    fixed: int = 0
    periodic: bool = False

    @classmethod
    def free(cls, basis: BSplines, low: float, high: float, periodic: bool) -> Self:
        """The splines without conditions at the ends, with a quadrature rule.

        The numbers of quadrature points were found by measurements. With two Gauss points in each
        interval, and more near the ends, where more splines meet, the error of an L2 projection is
        that of an exact rule. A cubic term needs twice as many points as functions. The errors of
        splines show only at more points than functions.

        Args:
            basis: the splines, whose knots are in scaled coordinates from -1 to 1.
            low, high: the ends of the coordinate.
            periodic: whether the splines are periodic.
        """
        degree, count, breaks = basis.degree, basis.intervals, basis.breaks[0]
        most = math.ceil((degree + 1) / 2)
        inside = max(2, math.ceil(1.5 * (1 + degree / count) - 0.5))
        near, half = 0 if periodic else degree // 2, (high - low) / 2
        distances = [min(i, count - 1 - i) for i in range(count)]  # from the nearer end
        counts = [max(most, inside) if distance < near else inside for distance in distances]
        places, weights = [], []
        for start, width, q in zip(breaks, breaks.diff(), counts, strict=False):
            nodes, parts = (t.to(breaks) for t in gauss_legendre(q))
            places.append(low + (start + width * nodes + 1) * half)
            weights.append(width * parts * half)
        means = torch.block_diag(*[torch.full((1, q), 1 / q).double() for q in counts])
        size = count if periodic else basis.size
        spread = torch.eye(size).double()[torch.arange(basis.size) % size]
        rule = torch.cat(places), torch.cat(weights), means
        return cls(basis, low, high, *rule, spread, periodic=periodic)

    @property
    def size(self) -> int:
        """The number of functions n."""
        return self.spread.shape[1]

    @property
    def shares(self) -> Tensor:
        """The length of each interval as a fraction of the whole, (G,)."""
        return self.basis.breaks[0].diff() / 2

    def at(self, places: Tensor, order: int = 0) -> Tensor:
        """The functions and their derivatives at given points, (order + 1, points, n).

        Args:
            places: the points, (points,).
            order: the highest order of the derivatives.
        """
        stretch = 2 / (self.high - self.low)
        xi = (places - self.low) * stretch - 1
        values = self.basis.values(xi[:, None], order)[:, :, 0].movedim(1, 0)
        powers = stretch ** torch.arange(order + 1, dtype=values.dtype)
        return (values * powers[:, None, None]) @ self.spread

    @cached_property
    def functions(self) -> Tensor:
        """The functions and their first four derivatives at the quadrature points, (5, q, n)."""
        return self.at(self.places, 4)

    @cached_property
    def tests(self) -> Tensor:
        """The values of the functions times the quadrature weights, transposed, (n, q)."""
        return (self.functions[0] * self.weights[:, None]).T

    @cached_property
    def projection(self) -> Tensor:
        """The L2 projection as a matrix, from values at quadrature points to coefficients.

        The shape is (n, q).
        """
        return self._projection(0)

    @cached_property
    def inner_projection(self) -> Tensor:
        """The L2 projection onto the functions that satisfy the conditions for zero data, (n, q).

        The coefficients of the other functions, which come first, are zero.
        """
        return self._projection(self.fixed)

    def _projection(self, first: int) -> Tensor:
        """The L2 projection onto all functions but the first ones, which get coefficients 0."""
        tests = self.tests[first:]
        factor = torch.linalg.cholesky(tests @ self.functions[0][:, first:])
        return torch.nn.functional.pad(torch.cholesky_solve(tests, factor), (0, 0, first, 0))

    @cached_property
    def remainder(self) -> Tensor:
        """The matrix that subtracts the L2 projection onto the functions from values, (q, q).

        It acts on values at the quadrature points.
        """
        return torch.eye(len(self.weights)).double() - self.functions[0] @ self.projection

    @cached_property
    def inner_remainder(self) -> Tensor:
        """The matrix that subtracts the projection `inner_projection` from values, (q, q)."""
        return torch.eye(len(self.weights)).double() - self.functions[0] @ self.inner_projection

    @cached_property
    def waves(self) -> "Waves":
        """Combinations of the functions that nearly diagonalise derivatives by this coordinate.

        They satisfy the conditions at the ends for zero data. They are the eigenvectors of the
        symmetric part of the matrix of second derivatives, with respect to the mass matrix. For a
        periodic coordinate a small multiple of the first derivative is added, so that waves in
        opposite directions have different eigenvalues.
        """
        matrices = (self.tests[self.fixed :] @ self.functions[:, :, self.fixed :]).numpy()
        mass, first, second, *_ = matrices
        form = (second + second.T) / 2
        if self.periodic:
            # Waves in opposite directions have equal second derivatives, but other first ones.
            apart = 0.1 * math.sqrt(np.abs(form).max() / np.abs(mass).max())
            form = form + 0.5j * apart * (first - first.T)
        _, vectors = scipy.linalg.eigh(form, mass)
        rates = [np.einsum("im,ij,jm->m", vectors.conj(), matrix, vectors) for matrix in matrices]
        padded = np.zeros((self.size, self.size), vectors.dtype)
        padded[self.fixed :, self.fixed :] = vectors
        whole = torch.from_numpy(padded)
        return Waves(
            vectors=whole,
            functions=self.functions.to(whole.dtype) @ whole,
            tests=whole.mH @ self.tests.to(whole.dtype),
            rates=torch.from_numpy(np.pad(np.stack(rates), ((0, 0), (self.fixed, 0)))),
        )


@dataclass(frozen=True, eq=False)
class Waves:
    """Combinations of an axis's functions that are nearly eigenfunctions of its derivatives.

    They are orthonormal in L2, and complex for a periodic coordinate. They make the preconditioner
    for products of splines block diagonal. The first combinations, for functions that conditions at
    the ends prescribe, are zero.

    Args:
        vectors: the combinations as columns, (n, n).
        functions: the combinations and their first four derivatives at the q quadrature points,
            (5, q, n).
        tests: the conjugates of the combinations times the quadrature weights, (n, q).
        rates: the approximate eigenvalues of the derivatives of the orders 0 … 4, (5, n).
    """

    vectors: Tensor
    functions: Tensor
    tests: Tensor
    rates: Tensor


@dataclass(frozen=True, eq=False)
class ProductSpace(TrialSpace):
    """The trial space of products Π_d ψ_(i_d)(x_d) of functions ψ of each coordinate d in a box.

    In the order of the products the index of the last coordinate varies fastest.

    Args:
        axes: for each field, or once for all fields, the functions of each coordinate.
    """

    axes: Sequence[Sequence[Axis]]

    @property
    def line(self) -> Sequence[Axis]:
        """The functions of each coordinate for the first field.

        Those of all fields have the same quadrature points and splines.
        """
        return self.axes[0]

    @property
    def grid(self) -> tuple[int, ...]:
        """The number of quadrature places of each coordinate."""
        return tuple(len(axis.weights) for axis in self.line)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of functions of each coordinate."""
        return tuple(axis.size for axis in self.line)

    def jet(self, y: Tensor) -> Jet:
        derivative = partial_derivatives(by_axes(y, self.sizes), self.functions)
        return self.like.unstacked(parts_from(self.like.channels, derivative))

    def values(self, y: Tensor) -> Tensor:
        derivative = partial_derivatives(by_axes(y, self.sizes), self.functions)
        return derivative((0,) * self.like.channels.dim)

    @cached_property
    def functions(self) -> list[Tensor]:
        """For each coordinate the functions and four derivatives at q points, (5, m or 1, q, n)."""
        return self.tables(lambda axis: axis.functions)

    @cached_property
    def waves(self) -> list[Waves]:
        """The `Waves` of each coordinate, with tensors for the fields as in `tables`."""
        kinds = ("vectors", "functions", "tests", "rates")

        def stacked(d: int, kind: str) -> Tensor:
            """One tensor of the waves of coordinate d, for all fields."""
            return torch.stack([getattr(axes[d].waves, kind) for axes in self.axes], dim=-3)

        return [Waves(*(stacked(d, kind) for kind in kinds)) for d in range(len(self.line))]

    def tables(self, of_axis: Callable[[Axis], Tensor]) -> list[Tensor]:
        """For each coordinate, stack one tensor of the axes of all m fields, or of the common axes.

        Args:
            of_axis: gives the tensor of an axis, (…, a, b).

        Returns:
            For each coordinate a tensor (…, m or 1, a, b).
        """
        return [
            torch.stack([of_axis(axes[d]) for axes in self.axes], dim=-3)
            for d in range(len(self.line))
        ]

    def coefficients(self, y: Tensor) -> Tensor:
        return self._multiplied(y, self.sizes, self.tables(lambda axis: axis.spread))

    def tested(self, values: Tensor) -> Tensor:
        """The integrals over space of k functions times all n products, (k, n, m).

        Args:
            values: the values of the functions at the quadrature points, (k, places, m).
        """
        return self._multiplied(values, self.grid, self.tables(lambda axis: axis.tests))

    def projection(self, values: Tensor) -> Tensor:
        """The coefficients of the L2 projections of k functions, (k, n, m).

        Args:
            values: the values of the functions at the quadrature points, (k, places, m).
        """
        return self._multiplied(values, self.grid, self.tables(lambda axis: axis.projection))

    def inner_projection(self, values: Tensor) -> Tensor:
        """The L2 projections onto functions that satisfy the conditions on all sides for zero data.

        Args:
            values: the values of k functions at the quadrature points, (k, places, m).

        Returns:
            The coefficients of the L2 projections, (k, n, m).
        """
        return self._multiplied(values, self.grid, self.tables(lambda axis: axis.inner_projection))

    def values_at(self, y: Tensor, places: Sequence[Tensor]) -> Tensor:
        """The values of b functions Σ_i y_i ψ_i on a tensor grid of points.

        Args:
            y: the coefficients, (b, n, m).
            places: the grid's p_d points of each coordinate d, (p_d,).

        Returns:
            The values, (b, Π p_d, m).
        """
        by_axis = [
            torch.stack([axes[d].at(some)[0] for axes in self.axes])
            for d, some in enumerate(places)
        ]
        return self._multiplied(y, self.sizes, by_axis)

    def _multiplied(self, t: Tensor, sizes: Sequence[int], matrices: Sequence[Tensor]) -> Tensor:
        """Multiply a tensor by a matrix along each coordinate, (b, Π new, m).

        Args:
            t: the tensor, (b, Π sizes, m).
            sizes: the sizes of the coordinates.
            matrices: for each coordinate a matrix (m or 1, new, size).
        """
        return along_all(by_axes(t, sizes), matrices).flatten(2).movedim(1, -1)


def by_axes(t: Tensor, sizes: Sequence[int]) -> Tensor:
    """Reshape (b, Π sizes, m) to (b, m, sizes…)."""
    return t.movedim(-1, 1).unflatten(2, tuple(sizes))


def along(t: Tensor, matrix: Tensor, d: int) -> Tensor:
    """Multiply t, (b, m, n_0, …), by a matrix along coordinate d; n_d becomes `new` in the result.

    Args:
        t: the coefficients or values; their axes after the first two are the coordinates.
        matrix: a matrix for each field or for all fields, (m or 1, new, n_d).
        d: the index of the coordinate.
    """
    if t.is_complex() and not matrix.is_complex():
        return torch.complex(along(t.real, matrix, d), along(t.imag, matrix, d))
    moved = t.movedim(2 + d, -1).to(matrix.dtype)
    if len(matrix) == 1:
        product = moved @ matrix[0].T
    else:
        product = moved @ matrix.mT.reshape(len(matrix), *[1] * (t.ndim - 4), *matrix.mT.shape[1:])
    return product.movedim(-1, 2 + d)


def along_all(t: Tensor, matrices: Iterable[Tensor]) -> Tensor:
    """Multiply t, (b, m, n_0, …), by one matrix along each coordinate; result (b, m, new_0, …).

    Args:
        t: the coefficients or values; their axes after the first two are the coordinates.
        matrices: for each coordinate d a matrix for each field or for all, (m or 1, new_d, n_d).
    """
    for d, matrix in enumerate(matrices):
        t = along(t, matrix, d)
    return t


def partial_derivatives(t: Tensor, tables: Sequence[Tensor]) -> Callable[[MultiIndex], Tensor]:
    """The partial derivatives at the quadrature points of b combinations of products of functions.

    Args:
        t: the coefficients of the b combinations, (b, m, n_0, …).
        tables: for each coordinate the functions' derivatives at its points by order,
            (orders, m or 1, q, n).

    Returns:
        A function that maps the multi-index of a derivative to its values, (places, b·m): the m
        fields of the first combination, then those of the second, and so on. The last entry of the
        multi-index is for time, by which all derivatives vanish.
    """
    known: dict[MultiIndex, Tensor] = {(): t}

    def partial(index: MultiIndex) -> Tensor:
        """The sums over the functions of the first coordinates, (b, m, q_0, …, n_d, …).

        Args:
            index: the orders of the derivatives by these coordinates.
        """
        if index not in known:
            *before, last = index
            d = len(before)
            known[index] = along(partial(tuple(before)), tables[d][last], d)
        return known[index]

    def derivative(index: MultiIndex) -> Tensor:
        """The derivative of a multi-index in space and time at the points, (places, b·m)."""
        *space, time = index
        values = partial(tuple(space) if not time else (0,) * len(space))
        flat = values.flatten(2).permute(2, 0, 1).flatten(1)
        return flat if not time else torch.zeros_like(flat)

    return derivative


@dataclass(frozen=True, eq=False)
class SideCondition:
    """A condition Σ_r γ_r ∂^r u_f / ∂x^r = g on a side of a box, where x is constant.

    Args:
        axis: the index of the coordinate x.
        end: the value of x on the side.
        field: the index f of the field.
        factors: the γ_r.
        data: a function of k times (k,) that gives g on the side at these times, (k, points). The
            points are all combinations of the quadrature points of the other coordinates.
    """

    axis: int
    end: float
    field: int
    factors: tuple[float, ...]
    data: Callable[[Tensor], Tensor]


def side_conditions(
    term: ResidualTerm, line: Sequence[Axis], fields: int, duration: float
) -> list[SideCondition]:
    """Split a boundary condition on a box into one condition for each side and equation.

    Args:
        term: the boundary condition.
        line: the functions and quadrature rule of each coordinate, without conditions at the ends.
        fields: the number of fields m.
        duration: the duration of the evolution.

    Raises:
        InputError: for a condition that is not linear, that couples fields, or that holds only on a
            part of a side, and for a condition with derivatives along a side or in time, or with
            factors that vary along the side or in time.
    """
    normals = term.points.normals
    if term.sites > 1 or normals is None:
        raise _refusal(term, "it does not hold at single points of the boundary")
    conditions, left = list[SideCondition](), torch.ones(len(normals), dtype=torch.bool)
    for d, axis in enumerate(line):
        for sign, end in ((-1.0, axis.low), (1.0, axis.high)):
            here = (normals[:, d] - sign).abs() < 1e-12
            if bool(here.any()):
                left &= ~here
                conditions += _on_side(term, line, (d, sign, end), here, fields, duration)
    if bool(left.any()):
        raise _refusal(term, "it does not hold on sides of the box")
    return conditions


def _on_side(
    term: ResidualTerm,
    line: Sequence[Axis],
    side: tuple[int, float, float],
    here: Tensor,
    fields: int,
    duration: float,
) -> Iterator[SideCondition]:
    """Yield a `SideCondition` for each equation of a boundary condition on one side of a box.

    Args:
        term: the boundary condition.
        line: the functions and quadrature rule of each coordinate, without conditions at the ends.
        side: the index of the coordinate that is constant on the side, the sign of the normal, and
            the value of the coordinate.
        here: a mask of the points of the condition on this side.
        fields: the number of fields m.
        duration: the duration of the evolution.
    """
    (d, sign, end), coords, channels = side, term.points.coords[here], term.channels
    for number, other in enumerate(line):
        if number != d and len(coords) >= 8:  # few points do not show where the condition holds
            ends = coords.new_tensor([other.low, other.high])
            seen = torch.cat([coords[:, number], ends]).sort().values.diff().max()
            if float(seen) > min(0.75, 24 / len(coords) ** 0.5) * (other.high - other.low):
                raise _refusal(term, "it holds on a part of a side of the box")

    def linearised(times: Tensor) -> Linearised:
        """The linearised condition at all quadrature points of the side, at each of k times."""
        places = [torch.tensor([end]).double() if i == d else o.places for i, o in enumerate(line)]
        grid = tensor_grid(places)
        moments = times.repeat_interleave(len(grid))[:, None]
        coords = torch.cat([grid.repeat(len(times), 1), moments], dim=1)
        normals = torch.zeros_like(coords)
        normals[:, d] = sign
        points = Points(coords, term.points.names, normals)
        return Linearised.at_zero(term.equation, points, channels, fields)

    first = float(term.points.coords[:, -1].min())
    linear = linearised(torch.tensor([first, first + 0.37 * duration]).double())
    if not linear.is_affine():
        raise _refusal(term, "it is not linear")
    for equation, slopes in enumerate(linear.slopes.unbind(1)):
        by_index = coefficients_of_derivatives(slopes, channels)
        small = 1e-10 * max(float(slope.abs().max()) for slope in by_index.values())
        present = {i: slope for i, slope in by_index.items() if float(slope.abs().max()) > small}
        if any(sum(index) > index[d] for index in present):
            raise _refusal(term, "it has derivatives along the boundary or in time")
        if any(float((slope - slope[:1]).abs().max()) > small for slope in present.values()):
            raise _refusal(term, "its factors vary along the boundary or in time")
        about = {int(f) for slope in present.values() for f in (slope[0].abs() > small).nonzero()}
        if len(about) != 1:
            raise _refusal(term, "it is not about one field")
        (field,) = about
        factors = [0.0] * (channels.derivative_order + 1)
        for index, slope in present.items():
            factors[index[d]] = float(slope[0, field])

        def data(times: Tensor, equation: int = equation) -> Tensor:
            """The prescribed values of one equation of the condition at k times, (k, points)."""
            return -linearised(times).values[:, equation].unflatten(0, (len(times), -1))

        yield SideCondition(d, end, field, tuple(factors), data)


def _refusal(term: ResidualTerm, why: str) -> InputError:
    """The error for a condition that products of splines cannot satisfy.

    Args:
        term: the condition.
        why: the reason, in words.
    """
    return InputError(
        f"march cannot impose the term {term.name} with products of splines: {why}; a network with "
        "a hidden layer may take it"
    )


@dataclass(frozen=True, eq=False)
class ProductFactor:
    """A linear operator Σ_α a_α ∂^α in space, and its approximate solution by GMRES.

    The means of the a_α over space give an operator with constant factors. In products of the
    coordinates' `Waves` its matrix is block diagonal, with a block (m, m) for each product. The
    inverse of this matrix is the preconditioner of GMRES, which solves for the unknowns that are
    not prescribed.

    Args:
        space: the trial space of products.
        prescribed: a mask of the unknowns that conditions on sides prescribe, (n, m).
        factors: the a_α at the quadrature points, (places or 1, equations, m), real or complex.

    Reference: Lynch, Rice and Thomas, Direct solution of partial difference equations by tensor
    product methods (1964); Saad and Schultz, GMRES (1986).
    """

    space: ProductSpace
    prescribed: Tensor
    factors: Mapping[MultiIndex, Tensor]

    def solve(self, right: Array) -> Array:
        """Solve for a right-hand side to a relative residual of 1e-3; the result is (n·m,).

        It is a step of Newton's method, whose further steps correct the rest.

        Args:
            right: the right-hand side, (n·m,). For unknowns that conditions prescribe, it holds
                their values, which the solution takes over.

        Raises:
            LinAlgError: if the iterations do not converge; in a shorter time step they may
                converge.
        """
        reach, most = 1e-3, 80
        space, waves = self.space, self.space.waves
        given = torch.from_numpy(right).view(self.prescribed.shape)
        known = torch.where(self.prescribed, given, 0)
        if bool(self.prescribed.any()):
            there = self._at_places(by_axes(known[None], space.sizes), space.functions)
            given = given - space.tested(there[None])[0]
        adjoint = (wave.vectors.mH for wave in waves)
        start = self._inverted(along_all(by_axes(given[None], space.sizes), adjoint))
        shape = start.shape

        def applied(c: Array) -> Array:
            """The preconditioned operator, applied to the coefficients c of products of waves."""
            there = self._at_places(torch.from_numpy(c).view(shape), [o.functions for o in waves])
            tested = along_all(by_axes(there[None], space.grid), (o.tests for o in waves))
            return self._inverted(tested).flatten().numpy()

        count = start.numel()
        operator = LinearOperator((count, count), applied, dtype=start.numpy().dtype)
        solved, unsolved = gmres(
            operator, start.flatten().numpy(), rtol=reach, atol=0.0, restart=most, maxiter=1
        )
        if unsolved:
            raise np.linalg.LinAlgError(f"{most} iterations do not solve a stage's linear system")
        y = along_all(torch.from_numpy(solved).view(shape), (wave.vectors for wave in waves))
        y = y[0].flatten(1).T
        if y.is_complex() and not known.is_complex():
            y = y.real
        return torch.where(self.prescribed, known, y).flatten().numpy()

    def _at_places(self, t: Tensor, tables: Sequence[Tensor]) -> Tensor:
        """The values of Σ_α a_α ∂^α u at the quadrature points, (places, equations).

        Args:
            t: the coefficients of the function u, (1, m, n_0, …).
            tables: for each coordinate the functions' derivatives at its points by order,
                (orders, m or 1, q, n).
        """
        derivative = partial_derivatives(t, tables)
        terms = [(a * derivative(index)[:, None]).sum(dim=2) for index, a in self.factors.items()]
        return torch.stack(terms).sum(dim=0)

    def _inverted(self, t: Tensor) -> Tensor:
        """Apply the preconditioner, the inverse of the operator with constant factors a_α.

        Args:
            t: the coefficients of products of `Waves`, (1, m, n_0, …), like the result.
        """
        apart = t[0].movedim(0, -1)[..., None]
        return (self._inverse @ apart.to(self._inverse.dtype))[..., 0].movedim(-1, 0)[None]

    @cached_property
    def _inverse(self) -> Tensor:
        """The preconditioner as a matrix (m, m) for each product of `Waves`."""
        space, waves = self.space, self.space.waves
        weights = space.weights.flatten()[:, None, None]
        fields, sets = self.prescribed.shape[1], len(space.axes)
        symbol: Tensor | float = 0.0
        for (*index, _), a in self.factors.items():
            mean = a[0] if len(a) == 1 else (weights * a).sum(dim=0) / weights.sum()
            columns = []
            for f in range(fields):
                rate = torch.ones(()).double()
                for r, wave in zip(index, waves, strict=True):
                    rate = rate[..., None] * wave.rates[f % sets, r]
                columns.append(rate[..., None] * mean[:, f])
            symbol = symbol + torch.stack(columns, dim=-1)
        assert isinstance(symbol, Tensor)
        if sets > 1:  # the fields have different waves
            symbol = torch.diag_embed(symbol.diagonal(dim1=-2, dim2=-1))
        fixed = self.prescribed.view(*space.sizes, fields)
        alone = torch.eye(fields).to(symbol)
        symbol = torch.where((fixed[..., None] | fixed[..., None, :]), alone, symbol)
        inverse = torch.linalg.inv_ex(symbol).inverse
        if not bool(inverse.isfinite().all()):
            raise np.linalg.LinAlgError("a stage's operator is singular")
        return inverse


@dataclass(frozen=True, eq=False)
class ProductSystem(System[ProductSpace]):
    """A tested evolution equation in a space of products of splines, with conditions on sides.

    Conditions on sides of the box prescribe some of the unknowns.

    Args:
        sides: for each field and coordinate the conditions on the two sides, in the order of the
            first functions of the `Axis`.
    """

    sides: Sequence[Sequence[Sequence[SideCondition]]] = ()

    @torch.no_grad()
    def residual(self, points: Sequence[Batch], moments: MomentsInTime, states: Tensor) -> Array:
        (inside,) = points
        values = torch.tensordot(moments.rates[0], states, dims=1)
        if bool(self.prescribed.any()):
            values = values - self._on_sides(moments.times)
        return self.imposed(self.interior.residual(inside, moments, states), (), values)

    def imposed(self, residual: Tensor, conditions: Sequence[Tensor], values: Tensor) -> Array:
        return torch.where(self.prescribed, values, self.space.tested(residual)).flatten(1).numpy()

    @cached_property
    def prescribed(self) -> Tensor:
        """A mask of the unknowns that conditions on sides prescribe, (n, m)."""
        mask = torch.zeros(*self.space.sizes, self.space.fields, dtype=torch.bool)
        for f, by_axis in enumerate(self.sides):
            for d, some in enumerate(by_axis):
                mask[..., f].narrow(d, 0, len(some))[...] = True
        return mask.flatten(0, -2)

    def _on_sides(self, times: Tensor) -> Tensor:
        """The unknowns that conditions on sides prescribe at k times, (k, n, m); others are zero.

        An unknown at an edge between two sides is prescribed by the side of the first coordinate.

        Args:
            times: the k times, (k,).
        """
        space = self.space
        unknowns = torch.zeros(len(times), *space.sizes, self.space.fields).double()
        for f, by_axis in enumerate(self.sides):
            axes = space.axes[f % len(space.axes)]
            for d, some in reversed(list(enumerate(by_axis))):  # the first coordinate has priority
                others = [axis for number, axis in enumerate(axes) if number != d]
                for number, side in enumerate(some):
                    data = side.data(times).unflatten(1, tuple(len(o.weights) for o in others))
                    for place, other in enumerate(others):
                        data = (data.movedim(1 + place, -1) @ other.projection.T).movedim(
                            -1, 1 + place
                        )
                    unknowns[..., f].select(1 + d, number)[...] = data
        return unknowns.flatten(1, -2)

    @torch.no_grad()
    def linear(self, linearised: Tensor, moments: MomentsInTime, states: Tensor) -> LinearSystem:
        # The linearised equation Σ_α a_α ∂^α, with multi-indices α in space and time.
        space, factors = self.space, dict[MultiIndex, Tensor]()
        slopes = coefficients_of_derivatives(linearised[:, 0], space.like.channels)
        for index, slope in slopes.items():
            if index[-1] <= self.order and bool(slope.any()):
                a = slope.movedim(1, 0)
                factors[index] = a[:1] if bool((a == a[:1]).all()) else a.contiguous()

        def factored(rates: Sequence[complex]) -> Solve:
            """The approximate solver of Σ_r c_r K_r for the factors c_r = `rates`."""
            combined: dict[MultiIndex, Tensor] = {}
            for (*at, time), a in factors.items():
                index, scaled = (*at, 0), rates[time] * a
                combined[index] = combined[index] + scaled if index in combined else scaled
            return ProductFactor(space, self.prescribed, combined).solve

        return factored

    @torch.no_grad()
    def consistent(self, states: Tensor, time: float) -> Tensor:
        # The equation is tested inside: unknowns inside balance the change of those on the sides.
        known = self._on_sides(torch.tensor([time]).double())
        change = torch.where(self.prescribed, known - states[:1], 0)
        change = change - self.space.inner_projection(self.space.values(change)[None])
        return torch.cat([states[:1] + change, states[1:]])

    def projection(self, values: Tensor) -> Tensor:
        return self.space.projection(values[None])[0]

    def waves(self, linearised: Tensor) -> list[tuple[int, Tensor, Tensor]]:
        slopes, waves = linearised[:, 0].unflatten(1, self.space.grid), []
        for d, axis in enumerate(self.space.line):
            others = [1 + number for number in range(len(self.space.line)) if number != d]
            means = torch.tensordot(slopes.mean(dim=others), axis.means, ([1], [1]))
            lengths = axis.shares * (axis.high - axis.low)  # the lengths of the intervals
            waves.append((d, means.movedim(-1, 1), 2j * torch.pi / lengths))
        return waves

    def sizes(self, residual: Tensor, axis: int) -> Tensor:
        return self._by_intervals(self._left(residual, axis), axis).sqrt()

    def by_elements(self, values: Tensor) -> Tensor:
        # What contradicts conditions on the sides of a coordinate is an error in its intervals.
        there = by_axes(values[None], self.space.grid)
        parts = [
            self._by_intervals(along(there, matrix, d).movedim(1, -1), d).sum(dim=2).sqrt()[0]
            for d, matrix in enumerate(self.space.tables(lambda axis: axis.inner_remainder))
        ]
        return torch.cat(parts)

    def _left(self, values: Tensor, d: int) -> Tensor:
        """Values minus their L2 projection onto the splines of one coordinate, (k, grid…, m).

        Args:
            values: the values at the quadrature points, (k, places, m).
            d: the index of the coordinate.
        """
        there = values.unflatten(1, self.space.grid).movedim(1 + d, -1)
        return (there @ self.space.line[d].remainder.T).movedim(-1, 1 + d)

    def _by_intervals(self, values: Tensor, d: int) -> Tensor:
        """The mean squares of values in the G intervals of a coordinate, (k, G, m).

        Args:
            values: the values at the quadrature points, (k, grid…, m).
            d: the index of the coordinate.
        """
        line = self.space.line
        others = [1 + number for number in range(len(line)) if number != d]
        return line[d].means @ values.square().mean(dim=others)

    @property
    def shares(self) -> Tensor:
        return torch.cat([axis.shares for axis in self.space.line])


def product_system(
    surrogate: Surrogate,
    terms: EvolutionTerms,
    splines: Sequence[BSplines],
    around: Set[int],
    order: int,
) -> ProductSystem:
    """The equation of an evolution in a box, tested with products of splines, and its conditions.

    Args:
        surrogate: the solution.
        terms: the equation, the initial and the boundary conditions.
        splines: the splines of each coordinate in space.
        around: the indices of the periodic coordinates.
        order: the order of the equation in time.

    Raises:
        InputError: for a condition that products of splines cannot satisfy.
    """
    low, high = (corner.tolist() for corner in surrogate.domain.bounds)
    fields, channels = surrogate.network.width[-1], terms.equation.channels
    line = [Axis.free(basis, low[d], high[d], d in around) for d, basis in enumerate(splines)]
    sides = [
        side
        for term in terms.boundary
        for side in side_conditions(term, line, fields, high[-1] - low[-1])
    ]
    by_field = [
        [[side for side in sides if side.field == f and side.axis == d] for d in range(len(line))]
        for f in range(fields)
    ]
    axes = [
        [_tied(axis, some) for axis, some in zip(line, by_axis, strict=True)]
        for by_axis in by_field
    ]
    kinds = {
        tuple((s.axis, s.end, s.factors) for some in by_axis for s in some) for by_axis in by_field
    }
    places = tensor_grid([axis.places for axis in line])
    coords = torch.cat([places, torch.full_like(places[:, :1], low[-1])], dim=1)
    like = Coordinates(channels, coords, torch.ones_like(coords[0])).dense()
    space = ProductSpace(
        places=Points(coords, surrogate.domain.names),
        weights=tensor_grid([axis.weights for axis in line]).prod(dim=1)[None],
        like=like.map(lambda t: t[..., :1].contiguous()),
        size=math.prod(axis.size for axis in line),
        fields=fields,
        axes=axes[:1] if len(kinds) == 1 else axes,
    )
    return ProductSystem(TermInSpace(surrogate, terms.equation, space), (), order, by_field)


def _tied(axis: Axis, sides: Sequence[SideCondition]) -> Axis:
    """The functions of a coordinate, recombined for the conditions of one field on two sides.

    With c conditions, the first c new functions have the value 1 in one condition and 0 in the
    others, in the order of the conditions. The other functions satisfy the conditions for zero
    data. Without conditions the functions stay as they are.

    Args:
        axis: the functions without conditions.
        sides: the conditions on the two sides of the box where the coordinate is constant.

    Raises:
        InputError: for conditions that are dependent or too many.
    """
    if not sides:
        return axis
    rows = torch.stack(
        [  # the values of the functions in each condition, (c, n)
            torch.tensor(side.factors).double()
            @ axis.at(torch.tensor([side.end]).double(), len(side.factors) - 1)[:, 0]
            for side in sides
        ]
    )
    if int(torch.linalg.matrix_rank(rows)) < len(rows):
        where = sorted({side.end for side in sides})
        raise InputError(
            f"the conditions at {', '.join(f'{end:g}' for end in where)} prescribe the same "
            "quantity twice, or more than the splines of one coordinate can satisfy"
        )
    combined = np.hstack([np.linalg.pinv(rows.numpy()), scipy.linalg.null_space(rows.numpy())])
    spread = axis.spread @ torch.from_numpy(combined)
    return replace(axis, spread=spread, fixed=len(rows), periodic=False)
