"""The equation and conditions of a problem at points of cells, linearised, as least-squares rows.

A row is one equation of the least-squares problem, for one residual at one point.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from kanpinn._support.breakdowns import LINALG_ERRORS
from kanpinn._support.errors import InputError
from kanpinn.jets import Jet, Linearised, jet_of_stacked, largest_of_orders, parts_along
from kanpinn.loss.terms import ResidualTerm
from kanpinn.spaces.cells.geometry.cell_geometry import CellPoints
from kanpinn.spaces.cells.polynomials import LocalPolynomials
from kanpinn.spaces.cells.system.functions import CellFunctions
from kanpinn.spaces.cells.system.interfaces import Interface


class SampledTerm:
    """A term (the equation or a condition) at points of cells, linearised at a given function.

    Args:
        term: the term. Each of its residuals belongs to one point.
        at: the points, q in each of c cells.
        about: the function in cells at which the term is linearised.

    Attributes:
        slopes: the derivatives of the residuals by the values and derivatives (parts) of the
            fields, (c, q, equations, parts, m).
        right: the right-hand side of the linearised equations, (c, q, equations). Their left-hand
            side is the slopes times the values and derivatives of the unknown solution.

    Raises:
        InputError: if a residual of the term involves several points.
        LinAlgError: if the residual or one of its derivatives is not finite at a point.
    """

    def __init__(self, term: ResidualTerm, at: CellPoints, about: CellFunctions) -> None:
        if term.sites != 1:
            raise InputError(f"the term {term.name} ties several points together, cells do not")
        self.term, self.at, self.about = term, at, about
        self._functions: dict[tuple[float, ...], Tensor] = {}
        self._jets: dict[tuple[float, ...], Tensor] = {}
        found = Linearised.at(term.equation, at.points, self.jet(about))
        slopes, right = found.slopes, found.right
        squares = slopes.square()  # which must not overflow either
        finite = right.isfinite().all(dim=1) & squares.isfinite().flatten(1).all(dim=1)
        if not bool(finite.all()):
            where = at.points.show(int((~finite).to(torch.uint8).argmax()))
            what = f"the residual of the term {term.name} is not finite at {where}"
            raise np.linalg.LinAlgError(what)
        self.slopes, self.right = (t.unflatten(0, at.weights.shape) for t in (slopes, right))
        self._added = torch.zeros_like(self.right)

    def correct(self, added: Tensor) -> None:
        """Add corrections of the source to the right-hand side, (c, q, equations)."""
        self.right, self._added = self.right + added, self._added + added

    @property
    def is_corrected(self) -> bool:
        """True if `correct` has added corrections to the source that are not zero."""
        return bool(self._added.any())

    @torch.no_grad()
    def residuals(self, function: CellFunctions) -> Tensor:
        """The residuals of the term at its points for a given function, (c, q, equations).

        They are not linearised. The corrections of the source, see `correct`, are subtracted.

        Args:
            function: the function in cells.
        """
        values = self.term.equation(self.at.points, self.jet(function))
        return values.unflatten(0, self.at.weights.shape) - self._added

    @property
    def polynomials(self) -> LocalPolynomials:
        """The polynomials of each cell."""
        return self.about.polynomials

    def jet(self, function: CellFunctions, at: CellPoints | None = None) -> Jet:
        """The values and derivatives of a function, by default at the term's own points.

        Args:
            function: the function in cells.
            at: other points in cells.
        """
        channels, kept = self.term.channels, self._jets if at is None else None
        found = function.jets(self.at if at is None else at, channels, kept)
        return jet_of_stacked(channels, found.flatten(0, 1))

    def jets(self, coefficients: Tensor) -> Tensor:
        """The values and derivatives (parts) of n functions at all points, (c, q, parts, m, n).

        Those of the polynomials are kept for later calls.

        Args:
            coefficients: the functions' coefficients in all cells, (N, L, m, n); real or complex.
        """
        if coefficients.is_complex():
            return torch.complex(self.jets(coefficients.real), self.jets(coefficients.imag))
        return self.about.of(coefficients).jets(self.at, self.term.channels, self._jets)

    def of_rates(self, rates: Tensor) -> Tensor:
        """The part of linearised residuals that is due to time derivatives, (c, q, equations, n).

        The last p m fields of the term are the time derivatives of its other fields.

        Args:
            rates: the coefficients of the time derivatives, (N, L, p m, n); real or complex.
        """
        slopes = self.slopes[..., -rates.shape[2] :].to(rates.dtype)
        if not bool(slopes.any()):  # most conditions have no time derivatives
            return slopes.new_zeros(*slopes.shape[:3], rates.shape[3])
        return torch.einsum("cqepf,cqpfn->cqen", slopes, self.jets(rates))

    def functions(self, place: int) -> Tensor:
        """The values and derivatives of the L polynomials at the points of one cell, (q, parts, L).

        Only those on which the term depends are computed, see `parts`.

        Args:
            place: the index of the cell among the cells of the term.
        """
        at, scale = self.at.at(place), self.at.scale[place]
        if not self.at.alike:
            return self.polynomials.stacked(self.term.channels, at, scale, self.parts)
        kind = tuple(scale.tolist())  # cells of one size share the jets
        if kind not in self._functions:
            self._functions[kind] = self._jets[kind][:, self.parts]
        return self._functions[kind]

    def with_slopes(self, slopes: Tensor) -> "SampledTerm":
        """A copy of the term with other slopes (derivatives of residuals) at the same points.

        The attribute `right` of the copy does not belong to the other slopes.

        Args:
            slopes: the slopes by any number m of fields, (c, q, equations, parts, m); may be
                complex.
        """
        made = copy.copy(self)
        for name in ("sizes", "is_alike", "parts"):
            vars(made).pop(name, None)
        made.slopes, made._functions = slopes, {}
        return made

    @cached_property
    def sizes(self) -> Tensor:
        """For each order of derivatives the largest absolute coefficient in each cell.

        The coefficients are those of the linearised equations at the points of the cell; the shape
        is (c, equations, orders, m).
        """
        return largest_of_orders(self.slopes.abs().amax(dim=1), self.term.channels)

    def along(self, factors: Tensor) -> Tensor:
        """The sizes of the coefficients of derivatives along each coordinate, (c, d, orders, m).

        A size is the root of the mean, over the points of a cell, of the squared coefficients of
        the linearised equations, summed over the equations.

        Args:
            factors: a factor for each equation, (equations,).
        """
        channels = self.term.channels
        squares = self.slopes.abs().square() * factors.square()[:, None, None]
        means = squares.sum(dim=2).mean(dim=1)  # (c, parts, m)
        orders = channels.derivative_order + 1
        found = means.new_zeros(len(means), channels.dim, orders, means.shape[2])
        for axis in range(channels.dim):
            for part, order, share in parts_along(channels, axis):
                own = means[:, part] * share**2
                found[:, axis, order] = torch.maximum(found[:, axis, order], own)
        return found.sqrt()

    @torch.no_grad()
    def defects(
        self, local: Tensor, weights: Tensor, function: CellFunctions, inwards: float
    ) -> Tensor:
        """The mean residuals over c cells by a given rule, minus those by the own rule, (c, e).

        They are the errors of the term's own quadrature rule if the given rule is exact. They are
        zero in cells whose source is corrected by its integrals, see `correct`, and in cells with a
        pole of the residual on a side, near which values at points show no integrals.

        Args:
            local, weights: a rule on [-1, 1]^d with points on the sides, (q, d) and (q,).
            function: the function in cells.
            inwards: the part of half a cell by which the points on sides are moved into the cell.
        """
        geometry, cells = function.geometry, self.at.cells
        sides = (local.abs() == 1).any(dim=1)

        def values(some: Tensor, local: Tensor) -> Tensor:
            """The residuals at points with the own coordinates `local` in some cells, (c, q, e)."""
            at = CellPoints.inside(geometry, some, local, weights[: len(local)])
            return self.term.equation(at.points, self.jet(function, at)).unflatten(
                0, at.weights.shape
            )

        means = []
        for some in cells.split(max(1, 2**17 // len(local))):
            mean = torch.einsum("q,cqe->ce", weights, values(some, local * (1 - inwards)))
            poles = ~values(some, local[sides]).isfinite().flatten(1).all(dim=1)
            means.append(torch.where(poles[:, None] | ~mean.isfinite(), torch.nan, mean))
        volumes = self.at.weights.sum(dim=1, keepdim=True)
        own = torch.einsum("cq,cqe->ce", self.at.weights, self.residuals(function)) / volumes
        missed = torch.cat(means) / weights.sum() - own
        known = self._added.flatten(1).any(dim=1, keepdim=True)
        return torch.where(known | missed.isnan(), 0, missed)

    @cached_property
    def is_alike(self) -> bool:
        """True if own coordinates of points and linearised coefficients are equal in all cells."""
        if not self.at.alike:
            return False
        flat, rounding = self.slopes.flatten(0, 1), 1e-13
        return bool(((flat - flat[:1]).abs() <= rounding * flat.abs().amax(dim=0)).all())

    @cached_property
    def parts(self) -> list[int]:
        """The indices of the values and derivatives (parts of jets) on which the term depends."""
        return (self.slopes.abs().amax(dim=(0, 1, 2, 4)) > 0).nonzero()[:, 0].tolist() or [0]

    def is_linear(self, other: CellFunctions) -> bool:
        """Return whether the linearised coefficients at another function equal those at `about`.

        Only a few cells are tested.

        Args:
            other: the other function in cells.
        """
        most, rounding = 8, 1e-9
        few = torch.linspace(0, len(self.at.cells) - 1, most).long().unique()
        try:
            again = SampledTerm(self.term, self.at.some(few), other)
        except LINALG_ERRORS:
            return False  # slopes are not finite about `other`, so they depend on the function
        gap = (self.slopes[few] - again.slopes).abs().max()
        return bool(gap <= rounding * self.slopes.abs().max())


@dataclass(frozen=True, eq=False)
class PlacedTerm:
    """A term (the equation or a condition) in one cell, with a factor for each of its equations.

    Args:
        term: the term.
        place: the index of the cell among the cells of `term`.
        factors: the factors, (equations,).
    """

    term: SampledTerm
    place: int
    factors: Tensor

    @cached_property
    def weights(self) -> Tensor:
        """The square roots of quadrature weights times the equations' factors, (q, equations)."""
        return self.term.at.weights[self.place].sqrt()[:, None] * self.factors

    @cached_property
    def used(self) -> slice | Tensor:
        """The points of nonzero weight, as an index of the q points.

        It is a slice if the points of weight zero come last, otherwise a mask (q,).
        """
        mask = (self.weights != 0).any(dim=1)
        count = int(mask.sum())
        return slice(0, count) if bool(mask[:count].all()) else mask

    @property
    def slopes(self) -> Tensor:
        """The derivatives of weighted residuals by values and derivatives of the fields.

        The shape is (q, equations, parts, m). The residuals are multiplied by `weights`; points of
        weight zero are left out.
        """
        return self.term.slopes[self.place][self.used] * self.weights[self.used][..., None, None]

    @cached_property
    def row_count(self) -> int:
        """The number of least-squares rows: equations times points of nonzero weight."""
        return self.weights[self.used].numel()

    def rows(self) -> Tensor:
        """The least-squares rows of the term for the coefficients of the cell, (rows, L m).

        The first m columns belong to the first polynomial in each of the m fields, the next m
        columns to the second polynomial, and so on. Columns are contiguous in memory.
        """
        slopes = self.slopes[:, :, self.term.parts]
        functions = self.term.functions(self.place)[self.used].to(slopes.dtype)
        found = torch.einsum("qpl,qepm->lmqe", functions, slopes)
        return found.flatten(2).flatten(0, 1).T

    def of(self, coefficients: Tensor) -> Tensor:
        """The matrix `rows` times the coefficients of n functions, (rows, n).

        The matrix itself is not formed.

        Args:
            coefficients: the functions' coefficients in the cell, (L m, n).
        """
        functions = self.term.functions(self.place)[self.used]  # (q, parts, L)
        each = coefficients.unflatten(0, (functions.shape[2], -1))  # (L, m, n)
        jets = torch.einsum("qpl,lmn->qpmn", functions, each).flatten(1, 2)
        return (self.slopes[:, :, self.term.parts].flatten(2) @ jets).flatten(0, 1)

    def weighed(self, values: Tensor) -> Tensor:
        """Values of the equations times the square roots of the weights, (c, rows, n).

        Points of weight zero are left out.

        Args:
            values: the values at all points of c cells like this one, (c, q, equations, n).
        """
        return (values[:, self.used] * self.weights[self.used][..., None]).flatten(1, 2)


def region_scales(
    boundary: Sequence[SampledTerm], interfaces: Sequence[Interface], region: Tensor
) -> Tensor:
    """The factor of the equation in each of R regions of a domain with interfaces, (R,).

    Let a be the size of a region's coefficient of ∂u/∂n. A residual r of ∇·(a ∇u) changes u in the
    region by about r/a. The integral of r leaves as a flux through other regions to a boundary with
    given values. This changes u by r/b, where b is the smallest coefficient on the flux's path, and
    the path is chosen such that b is largest. So the factor is 1 / min(a, b), up to a common
    multiple. With this factor, solutions for a coefficient of 1e-3 in a disk took a third as many
    cells as without. With 1 / a, solutions for a coefficient of 1e4 took four times as many cells.
    All factors are 1 if no boundary has a condition on values, or if a region has no interface with
    a condition on fluxes.

    Args:
        boundary: the conditions on the boundary.
        interfaces: the interfaces between regions, with their fluxes.
        region: the index of the region of each cell, (N,).
    """
    count = 1 + int(region.max())
    inner, outer = torch.zeros(2, count, dtype=torch.float64)
    pairs = []
    for one in interfaces:
        sides = [int(region[side.cells[0]]) for side in one.at.sides]
        pairs.append(sides)
        for side, number in enumerate(sides):
            inner[number] = max(float(inner[number]), float(one.sizes[side, ..., 1:, :].max()))
    for term in boundary:
        if bool((term.sizes[..., 0, :] > 0).any()):
            outer[region[term.at.cells]] = torch.inf
    if not bool((inner > 0).all() and (outer > 0).any()):
        return torch.ones(count, dtype=torch.float64)
    for _ in range(count):  # the longest path passes all regions
        for near, far in (*pairs, *((b, a) for a, b in pairs)):
            outer[far] = max(float(outer[far]), min(float(outer[near]), float(inner[near])))
    return inner.max() / torch.minimum(inner, outer)
