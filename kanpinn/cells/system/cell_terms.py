"""The equation and the conditions of a problem at the points of cells."""

import copy
from functools import cached_property, partial

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.cells.geometry.cell_points import CellPoints
from kanpinn.cells.polynomials import LocalPolynomials
from kanpinn.cells.system.cell_functions import sums_at
from kanpinn.cells.system.placed_derivatives import PlacedDerivatives
from kanpinn.cells.system.shared_functions import SharedSum
from kanpinn.jets import (
    Jet,
    jet_of_stacked,
    largest_of_orders,
    parts_along,
    slopes_by_parts,
    total,
)
from kanpinn.loss.terms import ResidualTerm


class SampledTerm:
    """A term at points of cells, linearised at the present solution.

    Args:
        term: the term, each row of which belongs to one point.
        at: the points.
        polynomials: the functions of a cell.
        coefficients: the present solution in all cells, (N, L, m).
        shared: the functions in it that cells share; None without any.

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
        shared: SharedSum | None = None,
    ) -> None:
        if term.sites != 1:
            raise InputError(f"the term {term.name} ties several points together, cells do not")
        self.term, self.at, self.polynomials = term, at, polynomials
        self._functions: dict[tuple[float, ...], Tensor] = {}
        jet = self.jet(coefficients, shared)
        residual, slopes = slopes_by_parts(partial(term.equation, at.points), jet)
        found = torch.stack([one.stacked() for one in slopes], dim=1)
        right = torch.einsum("nepm,npm->ne", found, jet.stacked()) - residual
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

    def jet(self, coefficients: Tensor, shared: SharedSum | None = None) -> Jet:
        """The jet of a function at all points; the arguments are those of the class."""
        return self._jet_at(self.at, coefficients, shared)

    def _jet_at(self, at: CellPoints, coefficients: Tensor, shared: SharedSum | None) -> Jet:
        """The jet of a function at other points."""
        channels = self.term.channels
        found = sums_at(at, self.polynomials, channels, coefficients, shared)
        return jet_of_stacked(channels, found.flatten(0, 1))

    def functions(self, place: int) -> Tensor:
        """The jets of the polynomials of cell number `place` here, (q, parts, L).

        Only the parts on which the term depends are there.
        """
        scale = self.at.scale[place]
        if not self.at.alike:
            at = self.at.at(place)
            return self.polynomials.stacked(self.term.channels, at, scale, self.parts)
        kind = tuple(scale.tolist())
        if kind not in self._functions:  # those of all cells of this size
            channels = self.term.channels
            found = self.polynomials.stacked(channels, self.at.local, scale, self.parts)
            self._functions[kind] = found
        return self._functions[kind]

    def with_slopes(self, slopes: Tensor) -> "SampledTerm":
        """A term at the same points with other slopes, for other right-hand sides.

        slopes: of any number m of fields, (c, q, equations, parts, m); may be complex.
        """
        made = copy.copy(self)
        for name in ("sizes", "is_alike", "parts", "_derivatives"):
            vars(made).pop(name, None)
        made.slopes, made._functions = slopes, {}
        return made

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
        squares = self.slopes.abs().square() * factors.square()[:, None, None]
        means = squares.sum(dim=2).mean(dim=1)  # (c, parts, m)
        orders = channels.derivative_order + 1
        found = means.new_zeros(len(means), channels.dim, orders, means.shape[2])
        for axis in range(channels.dim):
            for part, order, share in parts_along(channels, axis):
                own = means[:, part] * share**2
                found[:, axis, order] = torch.maximum(found[:, axis, order], own)
        return found.sqrt()

    def squared_residuals(
        self,
        at: CellPoints,
        coefficients: Tensor,
        factors: Tensor,
        shared: SharedSum | None = None,
    ) -> Tensor:
        """The integrals of the squared residual over cells, by the rule of other points, (c,).

        Args:
            at: points in the same places of some cells.
            coefficients: of the solution in all cells, (N, L, m).
            factors: of the equations, (equations,).
            shared: the functions in it that cells share; None without any.
        """
        found = []
        for some in torch.arange(len(at.cells)).split(max(1, 2**17 // len(at.local))):
            own = at.some(some)
            jet = self._jet_at(own, coefficients, shared)
            residual = self.term.equation(own.points, jet)
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

    @cached_property
    def parts(self) -> list[int]:
        """The parts of jets on which the term depends."""
        there = self.slopes.abs().amax(dim=(0, 1, 2, 4)) > 0
        return there.nonzero()[:, 0].tolist() or [0]

    def matrix(self, place: int, weights: Tensor, used: slice | Tensor) -> Tensor:
        """Multiples of the equations of the functions of cell number `place` here.

        All fields of each polynomial stand side by side.

        Args:
            place: the number of the cell.
            weights: the factors at the points, (q, equations).
            used: which of the cell's points these are.

        Returns:
            (rows, L m), the numbers of each function side by side in memory.
        """
        slopes = self.slopes[place][used] * weights[..., None, None]  # (q, e, parts, m)
        factors = slopes.permute(2, 3, 0, 1)
        if not self.at.alike:
            derivatives = self._derivatives.of_cell(place, used)
            channels, scale = self.term.channels, self.at.scale[place].tolist()
            sums = derivatives.summed(channels, scale, self.parts, factors.numpy())
            return torch.from_numpy(sums).flatten(2).flatten(0, 1).T
        functions = self.functions(place).permute(2, 1, 0)[:, :, used]  # (L, parts, q)
        found = total(
            functions[:, number, None, :, None] * factors[part]
            for number, part in enumerate(self.parts)
        )
        return found.flatten(2).flatten(0, 1).T

    @cached_property
    def _derivatives(self) -> PlacedDerivatives:
        """The derivatives of the polynomials at the points of each cell."""
        return PlacedDerivatives(self.polynomials, self.at.local, self.term.channels)

    def is_linear(self, coefficients: Tensor, shared: SharedSum | None = None) -> bool:
        """Whether the slopes are the same for another solution, tried in a few cells.

        The arguments are those of the class.
        """
        most, rounding = 8, 1e-9
        few = torch.linspace(0, len(self.at.cells) - 1, most).long().unique()
        other = SampledTerm(self.term, self.at.some(few), self.polynomials, coefficients, shared)
        gap = (self.slopes[few] - other.slopes).abs().max()
        return bool(gap <= rounding * self.slopes.abs().max())
