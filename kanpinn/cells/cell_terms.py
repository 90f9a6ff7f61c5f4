"""The equation and the conditions of a problem at the points of cells."""

from functools import cached_property, partial

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.cells.cell_geometry import CellPoints
from kanpinn.cells.polynomials import LocalPolynomials
from kanpinn.geometry.points import Batch
from kanpinn.jets import Channels, Coordinates, slopes_by_parts
from kanpinn.loss.terms import ResidualTerm


def orders_of_parts(channels: Channels) -> Tensor:
    """The order of the derivative of each part of a stacked jet, (parts,)."""
    first, second = channels.dim * channels.gradient, channels.second_count
    lines = list(range(1, channels.order + 1)) * len(channels.directions)
    return torch.tensor([0] + [1] * first + [2] * second + lines)


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
        right: what the linearised residuals of the solution are to be, (c, q, equations).

    Raises:
        InputError: if a row ties several points together.
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
        self.places = {cell: place for place, cell in enumerate(at.cells.tolist())}
        _, kind = at.scale.unique(dim=0, return_inverse=True)
        self._kinds = kind.tolist()
        self._functions: dict[int, Tensor] = {}
        values = torch.stack(
            [
                torch.einsum("qpl,lm->qpm", self.functions(place), coefficients[cell])
                for cell, place in self.places.items()
            ]
        ).flatten(0, 1)
        like = Coordinates(term.channels, at.points.coords, torch.ones_like(at.points.coords[0]))
        jet = like.dense().unstacked(values)
        residual, slopes = slopes_by_parts(partial(term.equation, at.points), jet)
        found = torch.stack([one.stacked() for one in slopes], dim=1)
        right = torch.einsum("nepm,npm->ne", found, values) - residual
        self.slopes, self.right = (t.unflatten(0, at.weights.shape) for t in (found, right))

    def functions(self, place: int) -> Tensor:
        """The stacked jets of the polynomials of cell number `place` here, (q, parts, L)."""
        kind = self._kinds[place]
        if kind not in self._functions:
            scale = self.at.scale[place]
            coordinates = Coordinates(self.term.channels, self.at.local, scale)
            self._functions[kind] = self.polynomials.jet(coordinates).stacked()
        return self._functions[kind]

    @cached_property
    def sizes(self) -> Tensor:
        """The largest slope by a derivative of each order, (c, q, equations, orders, m)."""
        orders = orders_of_parts(self.term.channels)
        return torch.stack(
            [
                self.slopes[..., orders == r, :].abs().amax(dim=-2)
                for r in range(int(orders.max()) + 1)
            ],
            dim=-2,
        )

    @cached_property
    def is_constant(self) -> bool:
        """Whether the slopes are the same at all points."""
        flat, rounding = self.slopes.flatten(0, 1), 1e-13
        return bool(((flat - flat[:1]).abs() <= rounding * flat.abs().amax(dim=0)).all())

    def rows(self, place: int, scale: Tensor) -> Tensor:
        """The rows for the coefficients of cell number `place` here.

        The coefficients of all fields of each polynomial stand side by side.

        Args:
            place: the number of the cell among those of the term.
            scale: factors of the equations, (equations,).

        Returns:
            (q equations, L m), times the roots of the weights.
        """
        factors = self.at.weights[place].sqrt()[:, None] * scale
        slopes = self.slopes[place] * factors[..., None, None]
        found = torch.einsum("qepm,qpl->qelm", slopes, self.functions(place))
        return found.flatten(2).flatten(0, 1)

    def rights(self, place: int, scale: Tensor) -> Tensor:
        """The right-hand sides of `rows`, (q equations,)."""
        factors = self.at.weights[place].sqrt()[:, None] * scale
        return (self.right[place] * factors).flatten()

    def is_linear(self, coefficients: Tensor) -> bool:
        """Whether the slopes are the same for another solution, tried in a few cells."""
        most, rounding = 8, 1e-9
        few = torch.linspace(0, len(self.at.cells) - 1, most).long().unique()
        rows = (few[:, None] * len(self.at.local) + torch.arange(len(self.at.local))).flatten()
        points = Batch.made_of(self.at.points[rows])
        at = CellPoints(
            self.at.cells[few], self.at.local, self.at.weights[few], points, self.at.scale[few]
        )
        other = SampledTerm(self.term, at, self.polynomials, coefficients)
        gap = (self.slopes[few] - other.slopes).abs().max()
        return bool(gap <= rounding * self.slopes.abs().max())
