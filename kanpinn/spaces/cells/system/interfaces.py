"""Interfaces between the regions of a domain, and the fluxes there, linearised."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce

import torch
from torch import Tensor

from kanpinn.geometry.points import Batch
from kanpinn.jets import Channels, Jet, Linearised, jet_of_stacked, largest_of_orders
from kanpinn.loss.terms import ResidualTerm
from kanpinn.spaces.cells.geometry.cell_geometry import INSIDE, InterfaceParts
from kanpinn.spaces.cells.system.functions import CellFunctions


@dataclass(frozen=True, eq=False)
class Interface:
    """Parts of an interface between two cells, inside and outside of it: arcs or patches.

    A field is continuous there, and the terms prescribe its flux, or if there is none its normal
    derivative is continuous. The fluxes are linearised at the present solution. As on faces both
    sides are compared with a trace for each field, and for each flux: polynomials of the arc's
    parameter, or of two coordinates along the patch.

    Args:
        at: the parts.
        terms: the conditions on the flux, each row of which belongs to a point inside and one
            outside, in this order.
        about: the present solution.
    """

    at: InterfaceParts
    terms: Sequence[ResidualTerm]
    about: CellFunctions

    @cached_property
    def channels(self) -> Channels:
        """The derivatives that the terms use, and the gradient."""
        gradient = Channels(self.about.geometry.domain.names, gradient=True)
        return reduce(Channels.__or__, (term.channels for term in self.terms), gradient)

    @cached_property
    def points(self) -> Batch:
        """The points of all parts on both sides, (2 c q,)."""
        bounds = self.about.geometry.domain.bounds
        return Batch.made_of(self.at.sides[INSIDE].points.on_both_sides(bounds))

    @cached_property
    def normals(self) -> tuple[Tensor, Tensor]:
        """The unit normals at the points of each part, (c, q, d), and their means, (c, d)."""
        normals, weights = self.at.sides[INSIDE].points.normals, self.at.sides[INSIDE].weights
        assert normals is not None
        normals = normals.unflatten(0, weights.shape)
        mean = torch.einsum("cqd,cq->cd", normals, weights)
        return normals, mean / mean.norm(dim=1, keepdim=True)

    def jets(self, function: CellFunctions) -> Tensor:
        """The parts of the jets of a function on both sides, (c, q, 2, parts, m)."""
        return torch.stack([function.jets(at, self.channels) for at in self.at.sides], dim=2)

    @property
    def jet(self) -> Jet:
        """The jet of the present solution at the points on both sides."""
        return jet_of_stacked(self.channels, self.jets(self.about).flatten(0, 2))

    @cached_property
    def _linearised(self) -> tuple[Tensor, Tensor]:
        jet, (parts, each) = self.jet, self.at.sides[INSIDE].weights.shape
        stacked = jet.stacked()
        slopes = [stacked.new_zeros(parts, each, 2, 0, *stacked.shape[1:])]
        right = [stacked.new_zeros(parts, each, 0)]
        for term in self.terms:
            found = Linearised.at(term.equation, self.points, jet)
            slopes.append(found.slopes.unflatten(0, (parts, each, 2)))
            right.append(found.right.unflatten(0, (parts, each)))
        return torch.cat(slopes, dim=3).permute(2, 0, 1, 3, 4, 5), torch.cat(right, dim=2)

    @property
    def slopes(self) -> Tensor:
        """The derivatives of the fluxes by the parts of the fields' jets inside and outside.

        (2, c, q, equations, parts, m).
        """
        return self._linearised[0]

    @property
    def right(self) -> Tensor:
        """The slopes times the parts of the solution's jets, as prescribed, (c, q, equations)."""
        return self._linearised[1]

    @cached_property
    def sizes(self) -> Tensor:
        """The largest slope by a derivative of each order, (2, c, equations, orders, m)."""
        return largest_of_orders(self.slopes.abs().amax(dim=2), self.channels)
