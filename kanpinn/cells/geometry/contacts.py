"""Where cells of two regions meet at an interface: arcs or patches, and the fluxes there."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor

from kanpinn.cells.geometry.cell_geometry import CellGeometry
from kanpinn.cells.geometry.cell_points import CellPoints
from kanpinn.cells.polynomials import LocalPolynomials
from kanpinn.geometry.points import Batch
from kanpinn.jets import Channels, Jet, jet_of_stacked, largest_of_orders, slopes_by_parts
from kanpinn.loss.terms import ResidualTerm

INSIDE, OUTSIDE = 0, 1


@dataclass(frozen=True, eq=False)
class Contacts:
    """Parts of an interface between a cell inside and a cell outside of it: arcs or patches.

    A field is continuous there, and the terms prescribe its flux, or if there is none its normal
    derivative is continuous. As on faces both sides are compared with a trace for each field, and
    for each flux: polynomials of the arc's parameter, or of two coordinates along the patch.

    Args:
        terms: the conditions on the flux, each row of which belongs to a point inside and one
            outside, in this order.
        sides: the same points as those of the cells inside and of those outside; their normals
            point out.
        traces: the polynomials, which span those of lower degrees first.
        onto: functions of these degrees that are orthonormal on each part, at its points, times
            weights, (c, q, polynomials).
    """

    terms: Sequence[ResidualTerm]
    sides: tuple[CellPoints, CellPoints]
    traces: LocalPolynomials
    onto: Tensor

    def __len__(self) -> int:
        return len(self.onto)

    @property
    def points(self) -> Batch:
        """The points of all parts, (c q,)."""
        return self.sides[INSIDE].points

    @cached_property
    def channels(self) -> Channels:
        """The derivatives that the terms use, and the gradient."""
        found = Channels(self.points.names, gradient=True)
        for term in self.terms:
            found = found | term.channels
        return found

    @cached_property
    def normals(self) -> Tensor:
        """The mean unit normal of each part, (c, d)."""
        normals, weights = self.points.normals, self.sides[INSIDE].weights
        assert normals is not None
        mean = torch.einsum("cqd,cq->cd", normals.unflatten(0, weights.shape), weights)
        return mean / mean.norm(dim=1, keepdim=True)


class CoupledContacts:
    """The fluxes at parts of an interface, linearised at the present solution.

    Args:
        contacts: the parts.
        geometry: the cells.
        polynomials: the functions of a cell.
        coefficients: the present solution, (N, L, m).

    Attributes:
        points: those on both sides, (2 c q,).
        values: the parts of the jets of the present solution there, (c, q, 2, parts, m).
        slopes: the derivatives of the fluxes by the parts of the fields' jets inside and outside,
            (2, c, q, equations, parts, m).
        right: what the slopes times the parts of the solution's jets are to be, (c, q, equations).
    """

    def __init__(
        self,
        contacts: Contacts,
        geometry: CellGeometry,
        polynomials: LocalPolynomials,
        coefficients: Tensor,
    ) -> None:
        self.contacts, self.geometry, self.polynomials = contacts, geometry, polynomials
        self.values = self.jets(coefficients)
        self.points = Batch.made_of(contacts.points.on_both_sides(geometry.domain.bounds))
        self.slopes, self.right = self._linearised()

    @property
    def cells(self) -> tuple[list[int], list[int]]:
        """The cells inside and outside of each part."""
        inside, outside = self.contacts.sides
        return inside.cells.tolist(), outside.cells.tolist()

    def jets(self, coefficients: Tensor) -> Tensor:
        """The parts of the jets of a function on both sides, (c, q, 2, parts, m).

        coefficients: of the function, (N, L, m).
        """
        jets = [
            torch.stack(
                [
                    torch.einsum("qpl,lm->qpm", self.functions(side, place), coefficients[cell])
                    for place, cell in enumerate(self.cells[side])
                ]
            )
            for side in (INSIDE, OUTSIDE)
        ]
        return torch.stack(jets, dim=2)

    @property
    def jet(self) -> Jet:
        """The jet of the present solution at the points on both sides."""
        return jet_of_stacked(self.contacts.channels, self.values.flatten(0, 2))

    def _linearised(self) -> tuple[Tensor, Tensor]:
        """The slopes and the right-hand sides."""
        values, jet = self.values, self.jet
        shape = values.shape[:3]
        slopes = [values.new_zeros(*shape, 0, *values.shape[3:])]
        rights = [values.new_zeros(*shape[:2], 0)]
        for term in self.contacts.terms:
            residual, found = slopes_by_parts(partial(term.equation, self.points), jet)
            one = torch.stack([slope.stacked() for slope in found], dim=1).unflatten(0, shape)
            slopes.append(one)
            known = torch.einsum("cqsepm,cqspm->cqe", one, values)
            rights.append(known - residual.unflatten(0, shape[:2]))
        return torch.cat(slopes, dim=3).permute(2, 0, 1, 3, 4, 5), torch.cat(rights, dim=2)

    def functions(self, side: int, place: int) -> Tensor:
        """The stacked jets of a cell's polynomials at the points of a part, (q, parts, L)."""
        at = self.contacts.sides[side]
        return self.polynomials.stacked(self.contacts.channels, at.at(place), at.scale[place])

    @cached_property
    def sizes(self) -> Tensor:
        """The largest slope by a derivative of each order, (2, c, equations, orders, m)."""
        return largest_of_orders(self.slopes.abs().amax(dim=2), self.contacts.channels)
