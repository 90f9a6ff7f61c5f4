"""The equation and the conditions of a problem at the points of cells."""

from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.cells.geometry.cell_geometry import CellPoints
from kanpinn.cells.polynomials import LocalPolynomials
from kanpinn.jets import Coordinates, largest_of_orders, parts_along, slopes_by_parts
from kanpinn.loss.terms import ResidualTerm


class SampledTerm:
    """A term at points of cells, linearised at the present solution.

    Args:
        term: the term, each row of which belongs to one point.
        at: the points.
        polynomials: the functions of a cell.
        coefficients: the present solution in all cells, (N, L, m).

    Attributes:
        slopes: the derivatives of the residuals by the parts of the fields' jets,
            (c, q, equations, parts, m).
        right: what the slopes times the parts of the solution's jets are to be, (c, q, equations).

    Raises:
        InputError: if a row ties several points together.
        LinAlgError: if the residual or one of its derivatives is not finite at a point.
    """

    def __init__(
        self,
        term: ResidualTerm,
        at: CellPoints,
        polynomials: LocalPolynomials,
        coefficients: Tensor,
    ) -> None:
        if term.sites != 1:
            raise InputError(f"the term {term.name} ties several points together, cells do not")
        self.term, self.at, self.polynomials = term, at, polynomials
        _, kind = at.scale.unique(dim=0, return_inverse=True)
        self._kinds = kind.tolist()
        self._functions: dict[int, Tensor] = {}
        values = torch.stack(
            [
                torch.einsum("qpl,lm->qpm", self.functions(place), coefficients[cell])
                for place, cell in enumerate(at.cells.tolist())
            ]
        ).flatten(0, 1)
        like = Coordinates(term.channels, at.points.coords, torch.ones_like(at.points.coords[0]))
        jet = like.dense().unstacked(values)
        residual, slopes = slopes_by_parts(partial(term.equation, at.points), jet)
        found = torch.stack([one.stacked() for one in slopes], dim=1)
        right = torch.einsum("nepm,npm->ne", found, values) - residual
        self._check(right.isfinite().all(dim=1) & found.isfinite().flatten(1).all(dim=1))
        self.slopes, self.right = (t.unflatten(0, at.weights.shape) for t in (found, right))

    def _check(self, finite: Tensor) -> None:
        """Refuse a residual that is not finite at some of the points; finite: a mask (c q,)."""
        if not bool(finite.all()):
            points, first = self.at.points, int((~finite).to(torch.uint8).argmax())
            pairs = zip(points.names, points.coords[first].tolist(), strict=True)
            where = ", ".join(f"{name} = {value:.4g}" for name, value in pairs)
            what = f"the residual of the term {self.term.name} is not finite at {where}"
            raise torch.linalg.LinAlgError(what)  # type: ignore[attr-defined]

    def functions(self, place: int) -> Tensor:
        """The stacked jets of the polynomials of cell number `place` here, (q, parts, L)."""
        kind = self._kinds[place]
        if kind in self._functions:
            return self._functions[kind]
        coordinates = Coordinates(self.term.channels, self.at.at(place), self.at.scale[place])
        found = self.polynomials.jet(coordinates).stacked()
        if self.at.alike:  # otherwise no other cell has them
            self._functions[kind] = found
        return found

    @cached_property
    def sizes(self) -> Tensor:
        """The largest slope by a derivative of each order, (c, equations, orders, m)."""
        return largest_of_orders(self.slopes.abs().amax(dim=1), self.term.channels)

    def along(self, factors: Tensor) -> Tensor:
        """The sizes of the slopes by derivatives along each coordinate, (c, d, orders, m).

        They are root mean squares over the points, of all equations together.

        factors: of the equations, (e,).
        """
        channels = self.term.channels
        squares = self.slopes.square() * factors.square()[:, None, None]
        means = squares.sum(dim=2).mean(dim=1)  # (c, parts, m)
        orders = channels.derivative_order + 1
        found = means.new_zeros(len(means), channels.dim, orders, means.shape[2])
        for axis in range(channels.dim):
            for part, order, share in parts_along(channels, axis):
                own = means[:, part] * share**2
                found[:, axis, order] = torch.maximum(found[:, axis, order], own)
        return found.sqrt()

    def squared_residuals(self, at: CellPoints, coefficients: Tensor, factors: Tensor) -> Tensor:
        """The integrals of the squared residual over cells, by the rule of other points, (c,).

        Args:
            at: points in the same places of some cells.
            coefficients: of the solution in all cells, (N, L, m).
            factors: of the equations, (equations,).
        """
        found = []
        for some in torch.arange(len(at.cells)).split(max(1, 2**17 // len(at.local))):
            own = at.some(some)
            scales, kind = own.scale.unique(dim=0, return_inverse=True)
            jets = [
                self.polynomials.jet(Coordinates(self.term.channels, own.local, scale)).stacked()
                for scale in scales
            ]
            functions = torch.stack(jets)[kind]
            values = torch.einsum("cqpl,clm->cqpm", functions, coefficients[own.cells])
            coords = own.points.coords
            like = Coordinates(self.term.channels, coords, torch.ones_like(coords[0])).dense()
            residual = self.term.equation(own.points, like.unstacked(values.flatten(0, 1)))
            squares = (residual * factors).square().sum(dim=1).view(own.weights.shape)
            squares = torch.where(squares.isfinite(), squares, 0)  # as a source at a corner
            found.append((own.weights * squares).sum(dim=1))
        return torch.cat(found)

    @cached_property
    def is_alike(self) -> bool:
        """Whether points and slopes are the same in all cells."""
        if not self.at.alike:
            return False
        flat, rounding = self.slopes.flatten(0, 1), 1e-13
        return bool(((flat - flat[:1]).abs() <= rounding * flat.abs().amax(dim=0)).all())

    def matrix(self, place: int) -> Tensor:
        """The equations of the functions of cell number `place` here, (q, equations, L m).

        All fields of each polynomial stand side by side.
        """
        found = torch.einsum("qepm,qpl->qelm", self.slopes[place], self.functions(place))
        return found.flatten(2)

    def squares(self, coefficients: Tensor) -> Tensor:
        """The integrals of the squared fields over the cells here, by the rule of the points, (c,).

        coefficients: of some of the fields in all cells, (N, L, fields).
        """
        own = coefficients[self.at.cells]
        if self.at.alike:  # the rule is that of a whole cell, where polynomials are orthonormal
            volumes = (1 / self.at.scale).prod(dim=1)
            return volumes * own.square().sum(dim=(1, 2))
        found = torch.empty(len(own), dtype=own.dtype)
        for place, weights in enumerate(self.at.weights):
            values = self.polynomials.values(self.at.at(place)) @ own[place]
            found[place] = weights @ values.square().sum(dim=1)
        return found

    def integrals(self, coefficients: Tensor) -> Tensor:
        """The integrals of fields over the cells here, by the rule of the points, (c, m).

        coefficients: of the fields in all cells, (N, L, m).
        """
        own = coefficients[self.at.cells]
        if self.at.alike:  # only the first polynomial has an integral
            return (
                self.at.weights.sum(dim=1)[:, None] * own[:, 0] * 2 ** (-self.polynomials.dim / 2)
            )
        values = [self.polynomials.values(self.at.at(i)) @ one for i, one in enumerate(own)]
        return torch.einsum("cq,cqm->cm", self.at.weights, torch.stack(values))

    def is_linear(self, coefficients: Tensor) -> bool:
        """Whether the slopes are the same for another solution, tried in a few cells."""
        most, rounding = 8, 1e-9
        few = torch.linspace(0, len(self.at.cells) - 1, most).long().unique()
        other = SampledTerm(self.term, self.at.some(few), self.polynomials, coefficients)
        gap = (self.slopes[few] - other.slopes).abs().max()
        return bool(gap <= rounding * self.slopes.abs().max())


@dataclass(frozen=True, eq=False)
class PlacedTerm:
    """A term in one cell.

    Args:
        term: the term.
        place: the number of the cell in the term.
        factors: of its equations, (equations,).
    """

    term: SampledTerm
    place: int
    factors: Tensor

    @cached_property
    def used(self) -> Tensor:
        """The points that have a weight, a mask (q,)."""
        return self.term.at.weights[self.place] > 0

    @property
    def row_count(self) -> int:
        """The number of rows."""
        return int(self.used.sum()) * len(self.factors)

    def rows(self) -> Tensor:
        """The rows for the coefficients of the cell, (rows, L m)."""
        return self.weighed(self.term.matrix(self.place))

    def weighed(self, values: Tensor) -> Tensor:
        """Values of the equations times the roots of their weights, (rows, n).

        values: at all points, (q, equations, n); points without a weight are left out.
        """
        roots = self.term.at.weights[self.place][self.used].sqrt()[:, None] * self.factors
        return (values[self.used] * roots[..., None]).flatten(0, 1)
