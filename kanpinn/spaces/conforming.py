"""Continuous functions in the cells of a box: products of piecewise polynomials of one coordinate,
and the minimum of a quadratic energy among them.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.linalg
import torch
from numpy.polynomial import legendre
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Boundary, Box, Points
from kanpinn.geometry.rules import gauss_legendre, tensor_grid
from kanpinn.jets import Channels, Jet, MissingChannel, slopes_of, stack_equations, zero_jet
from kanpinn.loss.terms import density_hessian
from kanpinn.pde.problem import Problem
from kanpinn.pde.weak_form import WeakForm
from kanpinn.spaces.cells.geometry.cell_geometry import CellGeometry
from kanpinn.spaces.cells.polynomials import LocalPolynomials, legendre_at
from kanpinn.spaces.cells.system.functions import CellFunctions
from kanpinn.spaces.cells.tree import Tree

Density = Callable[[Points, Jet], Tensor]  # maps n points and a jet of m fields to values (n, 1)


@dataclass(frozen=True, eq=False)
class GradedAxis:
    """Continuous piecewise polynomials of a coordinate x, on intervals that are small at both ends.

    [low, high] is divided into equal intervals. The first and the last of them are divided further:
    each of `layers` divisions cuts the interval at the end at a quarter of its length. The
    functions are the Lagrange polynomials at the Gauss–Lobatto points of all intervals.

    Args:
        low, high: the ends.
        roots: the number of equal intervals.
        layers: the number of divisions at each end.
        degree: the degree p of the polynomials, at least 1.
    """

    low: float
    high: float
    roots: int
    layers: int
    degree: int

    @cached_property
    def breaks(self) -> Tensor:
        """The ends of the E intervals, in the coordinate that is scaled to [-1, 1], (E + 1,)."""
        equal = torch.linspace(-1, 1, self.roots + 1).double()
        steps = 2 / self.roots * 4.0 ** -torch.arange(self.layers, 0, -1).double()
        inner = equal[1:-1]
        return torch.cat([equal[:1], steps - 1, inner, 1 - steps.flip(0), equal[-1:]])

    @cached_property
    def _reference(self) -> Tensor:
        """The p + 1 Gauss–Lobatto points of [-1, 1]."""
        inner = legendre.Legendre.basis(self.degree).deriv().roots().real
        return torch.from_numpy(np.concatenate([[-1.0], np.sort(inner), [1.0]]))

    @property
    def size(self) -> int:
        """The number of functions n."""
        return (len(self.breaks) - 1) * self.degree + 1

    @cached_property
    def nodes(self) -> Tensor:
        """The points, scaled to [-1, 1], at which the functions are 1 in turn, (n,)."""
        starts, widths = self.breaks[:-1, None], self.breaks.diff()[:, None]
        inner = starts + (self._reference[:-1] + 1) / 2 * widths
        return torch.cat([inner.flatten(), self.breaks[-1:]])

    def physical(self, x: Tensor) -> Tensor:
        """Map scaled coordinates in [-1, 1] to physical ones."""
        return self.low + (x + 1) / 2 * (self.high - self.low)

    def at(self, x: Tensor) -> Tensor:
        """The functions and their physical derivatives at scaled points (q,), (2, q, n)."""
        number = (torch.searchsorted(self.breaks, x, right=True) - 1).clamp(0, len(self.breaks) - 2)
        widths, degree = self.breaks.diff()[number], self.degree
        local = 2 * (x - self.breaks[number]) / widths - 1
        basis = torch.linalg.inv(legendre_at(self._reference, degree, 0)[0].T)
        scale = (1.0, 4 / (widths[:, None] * (self.high - self.low)))
        columns = number[:, None] * degree + torch.arange(degree + 1)
        found = x.new_zeros(2, len(x), self.size)
        for table, own, factor in zip(found, legendre_at(local, degree, 1), scale, strict=True):
            table.scatter_(1, columns, own.T @ basis * factor)
        return found

    @cached_property
    def rule(self) -> tuple[Tensor, Tensor]:
        """A Gauss rule with p + 1 points in each interval: q points in [-1, 1], and q weights.

        The sum of the weights is the length of the axis.
        """
        unit, weights = (one.double() for one in gauss_legendre(self.degree + 1))
        widths = self.breaks.diff()[:, None]
        points = self.breaks[:-1, None] + unit * widths
        return points.flatten(), (weights * widths / 2 * (self.high - self.low)).flatten()

    @cached_property
    def tables(self) -> Tensor:
        """The functions and their derivatives at the points of `rule`, (2, q, n)."""
        return self.at(self.rule[0])

    @cached_property
    def forms(self) -> Tensor:
        """The integrals of products of two functions, and of two derivatives, (2, n, n)."""
        return self.tables.mT @ (self.rule[1][:, None] * self.tables)

    @property
    def leaves(self) -> tuple[Tensor, Tensor]:
        """The levels and places of the leaves of a tree on the axis, (c,) each, see `Tree`.

        Each leaf lies between two neighbouring `breaks`. Its width is a root's, halved several
        times.
        """
        last = 2 * self.layers
        levels = [last, *range(last, int(self.roots == 1), -1)] if self.layers else []
        below = [(level, int(number > 0)) for number, level in enumerate(levels)]
        above = [(level, self.roots * 2**level - 1 - place) for level, place in below]
        ends = min(1, self.layers) if self.roots > 1 else self.layers and 1
        inner = [(0, place) for place in range(ends, self.roots - ends)]
        level, place = torch.tensor([*below, *inner, *reversed(above)]).T
        return level, place

    def in_leaves(self) -> Tensor:
        """The Legendre coefficients of the functions in the leaves, (c, p + 1, n)."""
        level, place = self.leaves
        unit, weights = (one.double() for one in gauss_legendre(self.degree + 1))
        widths = 2.0 / (self.roots * 2**level)
        points = -1 + (place[:, None] + unit) * widths[:, None]
        values = self.at(points.flatten())[0].unflatten(0, points.shape)
        own = legendre_at(2 * unit - 1, self.degree, 0)[0] * (2 * weights)
        return torch.einsum("iq,cqn->cin", own, values)


@dataclass(frozen=True, eq=False)
class ConformingSpace:
    """Products of functions of single coordinates in a box, for m fields.

    The values at the products of the axes' nodes, (m, n_1, …, n_d), are the unknowns.

    Args:
        domain: the box.
        axes: the functions of each coordinate.
    """

    domain: Box
    axes: Sequence[GradedAxis]

    @classmethod
    def graded(cls, domain: Box, roots: Sequence[int], level: int) -> "ConformingSpace":
        """The space of degree level + 1 with `level` divisions at the sides of the box.

        A space of a lower level is a part of it.

        Args:
            domain: the box.
            roots: the number of equal intervals of each coordinate.
            level: at least 1.

        Reference: Babuška and Guo, The h-p version of the finite element method (1986).
        """
        ends = zip(*(bound.tolist() for bound in domain.bounds), roots, strict=True)
        return cls(domain, [GradedAxis(a, b, count, level, level + 1) for a, b, count in ends])

    @property
    def places(self) -> int:
        """The number of points of the quadrature rule."""
        return math.prod(len(axis.rule[0]) for axis in self.axes)

    def bytes(self, fields: int, polynomials: LocalPolynomials, constant: bool) -> int:
        """The bytes that a minimisation takes in the space, and its result in cells.

        Args:
            fields: the number of fields m.
            polynomials: the polynomials of the cells.
            constant: whether the energy's coefficients are constant.
        """
        dim, vectors, jets = len(self.axes), 12, 4  # of nodal values, and of jets at all places
        parts, nodes = fields * (1 + dim), math.prod(axis.size for axis in self.axes)
        leaves = math.prod(len(axis.leaves[0]) for axis in self.axes)
        products = (self.axes[0].degree + 1) ** dim
        numbers = self.places * parts * (jets + (0 if constant else 2 * parts))
        cells = leaves * fields * (2 * products + 2 * polynomials.size)
        return 8 * (numbers + vectors * fields * nodes + cells)

    def prolonged(self, values: Tensor, coarse: "ConformingSpace") -> Tensor:
        """Return the nodal values, in this space, of a function in a coarser space.

        Args:
            values: the nodal values of the function in the coarser space.
            coarse: the coarser space, whose functions are functions of this space, too.
        """
        both = zip(coarse.axes, self.axes, strict=True)
        return _along_all(values, [before.at(after.nodes)[0] for before, after in both])

    def norm(self, values: Tensor) -> float:
        """The L2 norm of all fields."""
        return float((values * _along_all(values, [a.forms[0] for a in self.axes])).sum().sqrt())

    def in_cells(
        self, values: Tensor, polynomials: LocalPolynomials
    ) -> tuple[CellFunctions, float]:
        """The nearest function in cells, and the L2 norm of the part that the cells leave out.

        The cells leave out the products of a total degree above that of their polynomials.
        """
        dim, fields = len(self.axes), len(values)
        matrices = [axis.in_leaves() for axis in self.axes]
        leaves = [axis.leaves for axis in self.axes]
        level, place = (
            torch.cartesian_prod(*parts).view(-1, dim) for parts in zip(*leaves, strict=True)
        )
        roots = tuple(axis.roots for axis in self.axes)
        tree = Tree(roots, level, place, torch.zeros(len(level), dtype=torch.long))
        every = _along_all(values, [one.flatten(0, 1) for one in matrices])
        shape = [size for one in matrices for size in one.shape[:2]]
        order = [*range(1, 2 * dim, 2), *range(2, 2 * dim + 1, 2), 0]
        every = every.view(fields, *shape).permute(order).reshape(len(tree), -1, fields)
        powers, sides = polynomials.powers, torch.tensor(shape[1::2])
        kept = (powers < sides).all(dim=1)
        strides = torch.tensor([math.prod(shape[2 * i + 3 :: 2]) for i in range(dim)])
        numbers = powers[kept] @ strides
        found = values.new_zeros(len(tree), len(powers), fields)
        found[:, kept] = every[:, numbers]
        every[:, numbers] = 0
        geometry = CellGeometry.whole(tree, self.domain)
        volumes = (tree.widths * geometry.half / 2).prod(dim=1)
        left_out = float((volumes * every.square().sum(dim=(1, 2))).sum().sqrt())
        return CellFunctions(geometry, polynomials, found), left_out


def _along(t: Tensor, matrix: Tensor, d: int) -> Tensor:
    """Multiply t, (m, n_0, …), by a matrix (new, n_d) along coordinate d.

    The result is contiguous, which makes iterations several times as fast as with axes that move.
    """
    if d == t.ndim - 2:
        return t @ matrix.T
    parts = t.reshape(math.prod(t.shape[: d + 1]), t.shape[d + 1], -1)
    return (matrix @ parts).view(*t.shape[: d + 1], len(matrix), *t.shape[d + 2 :])


def _along_all(t: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """Multiply t, (m, n_0, …), by a matrix (new, n_d) along each coordinate d."""
    for d, matrix in enumerate(matrices):
        t = _along(t, matrix, d)
    return t


@dataclass(frozen=True, eq=False)
class QuadraticDensity:
    """A density ½ zᵀ H z + gᵀ z on a grid, for the jet z of m fields: their values or, with their
    first derivatives, p = 1 + d parts.

    Args:
        tables: for each coordinate of the grid the functions and their derivatives, (2, q, n).
        hessian: H times the weights of the grid's points, (p m, p m, q_1, …); if H is constant,
            all sizes q are 1, and the weights are left out.
        slope: g times the weights, (p m, q_1, …).
        weights: the weights of the points, (q_1, …).
        jets: whether z has derivatives.
    """

    tables: Sequence[Tensor]
    hessian: Tensor
    slope: Tensor
    weights: Tensor
    jets: bool

    @classmethod
    def of(
        cls,
        density: Density,
        points: Points,
        weights: Tensor,
        tables: Sequence[Tensor],
        fields: int,
        what: str,
        jets: bool,
    ) -> "QuadraticDensity":
        """Expand a density about zero.

        Args:
            density: the density.
            points: the points of the grid, the last coordinate varying fastest.
            weights: their weights, (q_1, …).
            tables: see the class.
            fields: the number m of fields.
            what: the name of the density in messages.
            jets: whether the density may contain first derivatives.

        Raises:
            InputError: for a density that is not quadratic, or contains other derivatives.
        """
        channels, together, near = Channels(points.names, gradient=jets), 2**14, 1e-9
        size = fields * (1 + jets * len(points.names))
        generator = torch.Generator().manual_seed(0)
        draw = torch.randn(size, generator=generator, dtype=torch.float64)

        def at(some: Points, z: Tensor) -> Tensor:
            """The density at points for the jet z at each of them, (n, size), as a tensor (n,)."""
            jet = zero_jet(channels, some.coords, fields).unstacked(z.unflatten(1, (-1, fields)))
            return stack_equations(density(some, jet), len(some), what)[:, 0]

        def hessian_at(some: Points) -> Tensor:
            """H at points, (n, size, size)."""
            zero = zero_jet(channels, some.coords, fields)
            return density_hessian(
                lambda jet: stack_equations(density(some, jet), len(some), what), zero
            )

        def chunks(constant: Tensor | None) -> tuple[Tensor, Tensor] | None:
            """H and g at all points, (k, size, size) and (n, size); None if they do not fit.

            Args:
                constant: H if it is the same at all points, (1, size, size).
            """
            every, slopes = [], []
            for rows in torch.arange(len(points)).split(together):
                some = points[rows]
                with torch.enable_grad():
                    zero = torch.zeros(len(rows), size, dtype=torch.float64, requires_grad=True)
                    base = at(some, zero)
                    (slope,) = slopes_of(base, zero)
                own = hessian_at(some) if constant is None else constant
                expected, exact = (
                    slope @ draw + 0.5 * draw @ own @ draw,
                    at(some, draw + zero.detach()),
                )
                change = exact - base.detach()
                if bool((change - expected).abs().max() > near * change.abs().max()):
                    return None
                slopes.append(slope)
                every.append(own)
            return torch.cat(every[:1] if constant is not None else every), torch.cat(slopes)

        shape = weights.shape
        try:
            few = hessian_at(points[:: max(1, len(points) // 64)])
            alike = bool((few - few[:1]).abs().max() <= near * few.abs().max())
            found = chunks(few[:1]) if alike else None
            alike &= found is not None
            found = found or chunks(None)
        except MissingChannel:
            raise InputError(
                f"{what} has other derivatives than first ones by coordinates"
            ) from None
        if found is None:
            raise InputError(f"{what} is not quadratic in the fields")
        hessian = found[0].movedim(0, -1).unflatten(-1, (1,) * len(shape) if alike else shape)
        slope = found[1].T.unflatten(1, shape) * weights
        return cls(tables, hessian if alike else hessian * weights, slope, weights, jets)

    def _jet(self, values: Tensor) -> Tensor:
        """The jets at the points of the grid of nodal values (m, n_1, …), (p m, q_1, …)."""
        found: dict[tuple[int, ...], Tensor] = {(): values}
        for d, table in enumerate(self.tables):
            orders = (0, 1) if self.jets else (0,)
            found = {
                (*index, order): _along(t, table[order], d)
                for index, t in found.items()
                for order in orders
                if sum(index) + order <= 1
            }
        return torch.cat([found[index] for index in self._indices])

    @property
    def _indices(self) -> list[tuple[int, ...]]:
        """The multi-index of each of the p parts."""
        dim = len(self.tables)
        units = [tuple(int(i == axis) for i in range(dim)) for axis in range(dim)]
        return [(0,) * dim, *(units if self.jets else [])]

    def _tested(self, parts: Tensor) -> Tensor:
        """The transpose of `_jet`: maps (p m, q_1, …) to (m, n_1, …)."""
        indices = self._indices
        found = dict(zip(indices, parts.chunk(len(indices)), strict=True))
        for d in reversed(range(len(self.tables))):
            left: dict[tuple[int, ...], Tensor] = {}
            for index, t in found.items():
                own = _along(t, self.tables[d][index[d]].mT, d)
                key = index[:d]
                left[key] = left[key] + own if key in left else own
            found = left
        return found[()]

    def applied(self, values: Tensor) -> Tensor:
        """The derivative by the nodal values of the quadratic part of the energy, (m, n_1, …)."""
        z = self._jet(values)
        if self.hessian[0, 0].numel() == 1:
            y = (self.hessian.flatten(1) @ z.flatten(1)).view_as(z) * self.weights
        else:
            y = torch.einsum("ij...,j...->i...", self.hessian, z)
        return self._tested(y)

    @property
    def load(self) -> Tensor:
        """The negative derivative by the nodal values of the linear part, (m, n_1, …)."""
        return -self._tested(self.slope)

    def mean_diagonal(self) -> Tensor:
        """The mean of H_ii over the grid for each i, (p m,)."""
        own = self.hessian.diagonal(dim1=0, dim2=1).movedim(-1, 0).flatten(1)
        total = self.weights.sum()
        return own[:, 0] if own.shape[1] == 1 else own.sum(dim=1) / total


@dataclass(frozen=True, eq=False)
class RitzSystem:
    """The minimum of a quadratic energy in a conforming space, with prescribed values on sides.

    Args:
        space: the space.
        inside: the energy's density in the box.
        sides: the densities on sides: the axis, whether it is the upper side, and the density.
        prescribed: a mask of the nodal values that are prescribed, (m, n_1, …).
        given: the prescribed values, (m, n_1, …), and 0 for all other nodes.
        ends: for each field and axis whether the lower and the upper side are prescribed.
    """

    space: ConformingSpace
    inside: QuadraticDensity
    sides: Sequence[tuple[int, bool, QuadraticDensity]]
    prescribed: Tensor
    given: Tensor
    ends: Sequence[Sequence[tuple[bool, bool]]]

    @classmethod
    def of(cls, problem: Problem, form: WeakForm, space: ConformingSpace) -> "RitzSystem":
        """The system of a problem with a weak form.

        Raises:
            InputError: for a problem that has no minimum of a quadratic energy in the space.
        """
        fields, names, axes = problem.fields, problem.domain.names, space.axes
        grid = [axis.rule for axis in axes]
        tables = [axis.tables for axis in axes]

        def points_of(chosen: Sequence[Tensor]) -> Tensor:
            """The points of the grid with given scaled coordinates, (n, d)."""
            both = zip(axes, chosen, strict=True)
            return tensor_grid([axis.physical(x) for axis, x in both])

        def product(weights: Sequence[Tensor]) -> Tensor:
            """The products of weights, (q_1, …)."""
            shape = [len(one) for one in weights]
            return tensor_grid(list(weights)).prod(dim=1).view(shape)

        def density_of(function: Callable[..., Tensor]) -> Density:
            """The density as a function of points and the jet of all fields."""
            return lambda p, u: function(p, *u.components())

        size = len(fields)
        inside = QuadraticDensity.of(
            density_of(form.density),
            Points(points_of([x for x, _ in grid]), names),
            product([w for _, w in grid]),
            tables,
            size,
            f"{type(problem).__name__}.energy",
            True,
        )
        sides = []
        for number, (part, function) in enumerate(form.sides):
            for axis, upper in _sides_of(part):
                chosen = [x for x, _ in grid]
                chosen[axis] = x_end = torch.tensor([1.0 if upper else -1.0]).double()
                coords = points_of(chosen)
                normals = torch.zeros_like(coords)
                normals[:, axis] = float(x_end)
                others = [d for d in range(len(axes)) if d != axis]
                found = QuadraticDensity.of(
                    density_of(function),
                    Points(coords, names, normals),
                    product([grid[d][1] for d in others]),
                    [tables[d] for d in others],
                    size,
                    f"{type(problem).__name__}.boundary_energies()[{number}]",
                    False,
                )
                sides.append((axis, upper, found))
        shape = [axis.size for axis in axes]
        given = torch.zeros(size, *shape, dtype=torch.float64)
        prescribed = torch.zeros_like(given, dtype=torch.bool)
        ends = [[[False, False] for _ in axes] for _ in fields]
        for one in form.prescribed:
            assert one.piece.side is not None
            axis, upper = one.piece.side
            field, end = fields.index(one.field), -1 if upper else 0
            chosen = [each.nodes for each in axes]
            chosen[axis] = chosen[axis][[end]]
            coords = points_of(chosen)
            normals = torch.zeros_like(coords)
            normals[:, axis] = 1.0 if upper else -1.0
            values = one.values(Points(coords, names, normals))
            target = given[field].select(axis, end)
            target.copy_(values.view_as(target))
            prescribed[field].select(axis, end).fill_(True)
            ends[field][axis][int(upper)] = True
        both = [[(low, high) for low, high in own] for own in ends]
        return cls(space, inside, sides, prescribed, given, both)

    @property
    def is_constant(self) -> bool:
        """True if the energy's coefficients of squares are constant in the box."""
        return self.inside.hessian[0, 0].numel() == 1

    def applied(self, values: Tensor) -> Tensor:
        """The derivative by the nodal values of the quadratic part of the energy."""
        found = self.inside.applied(values)
        for axis, upper, density in self.sides:
            end = -1 if upper else 0
            own = density.applied(values.select(1 + axis, end))
            found.select(1 + axis, end).add_(own)
        return found

    @cached_property
    def load(self) -> Tensor:
        """The negative derivative by the nodal values of the linear part of the energy."""
        found = self.inside.load
        for axis, upper, density in self.sides:
            found.select(1 + axis, -1 if upper else 0).add_(density.load)
        return found

    @cached_property
    def _factors(self) -> list[tuple[tuple[slice, ...], list[Tensor], Tensor]]:
        """For each field its free nodes, the waves of each coordinate, and their stiffness.

        The waves are the eigenvectors of the second derivative in each coordinate. The stiffness is
        that of an energy of the field alone with constant coefficients.

        Raises:
            InputError: if nothing determines a field.
        """
        size, found = len(self.ends), []
        diagonal = self.inside.mean_diagonal().unflatten(0, (-1, size))
        for field, ends in enumerate(self.ends):
            free, vectors, stiffness = [], [], diagonal[0, field].clamp_min(0)
            for d, (axis, (low, high)) in enumerate(zip(self.space.axes, ends, strict=True)):
                own = slice(int(low), axis.size - int(high))
                mass, form = axis.forms[:, own, own].numpy()
                values, waves = scipy.linalg.eigh(form, mass)
                rates = diagonal[1 + d, field] * torch.from_numpy(values).clamp_min(0)
                stiffness = stiffness[..., None] + rates
                vectors.append(torch.from_numpy(waves))
                free.append(own)
            if not float(stiffness.min()) > 1e-12 * float(stiffness.max()):
                raise InputError(f"field {field} is not determined: no side prescribes its values")
            found.append((tuple(free), vectors, stiffness))
        return found

    def _preconditioned(self, residual: Tensor) -> Tensor:
        """The residual, multiplied by the inverse of the energy of each field alone."""
        found = torch.zeros_like(residual)
        for field, (free, vectors, stiffness) in enumerate(self._factors):
            own = _along_all(residual[field][free][None], [one.T for one in vectors]) / stiffness
            found[field][free] = _along_all(own, vectors)[0]
        return found

    def solve(self, start: Tensor, accuracy: float) -> Tensor:
        """The nodal values of the minimum, by conjugate gradients.

        Args:
            start: values near the minimum, from which the iterations start.
            accuracy: the relative error, in the norm of the energy, at which they end.

        Raises:
            InputError: if the energy has no minimum, or if nothing determines a field.
            LinAlgError: if the iterations do not converge.

        Reference: Lynch, Rice and Thomas, Direct solution of partial difference equations by tensor
        product methods (1964), for the preconditioner.
        """
        most, free = 1000, ~self.prescribed
        values = torch.where(free, start, self.given)
        scale = self._preconditioned((self.load - self.applied(self.given)) * free)
        size = float((scale * self.applied(scale) * free).sum())
        residual = (self.load - self.applied(values)) * free
        direction = step = self._preconditioned(residual)
        left = float((residual * step).sum())
        for _ in range(most):
            if left <= accuracy**2 * size:
                return values
            applied = self.applied(direction) * free
            curvature = float((direction * applied).sum())
            if not curvature > 0:
                raise InputError("the energy is not convex, so that it may have no minimum")
            share = left / curvature
            values, residual = values + share * direction, residual - share * applied
            step = self._preconditioned(residual)
            before, left = left, float((residual * step).sum())
            direction = step + left / before * direction
        raise np.linalg.LinAlgError(f"{most} iterations do not find the energy's minimum")


def _sides_of(part: Boundary) -> list[tuple[int, bool]]:
    """The sides of a box that a boundary consists of, each as its axis and whether it is the upper.

    Raises:
        InputError: if a piece is no whole side.
    """
    found = [piece.side for piece in part.pieces]
    if any(one is None for one in found):
        raise InputError("boundary_energies() must be on whole sides of a box")
    return [one for one in found if one is not None]
