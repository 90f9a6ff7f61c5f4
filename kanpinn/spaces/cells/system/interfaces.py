"""Interfaces between the regions of a domain, and the linearised conditions on fluxes at them."""

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

from kanpinn.geometry.points import Batch
from kanpinn.jets import Channels, Linearised, jet_of_stacked, largest_of_orders
from kanpinn.loss.terms import ResidualTerm
from kanpinn.spaces.cells.geometry.cell_geometry import INSIDE, InterfaceParts
from kanpinn.spaces.cells.system.functions import CellFunctions


class Interface:
    """The c arcs (in space: patches) of an interface, each between two cells, with its conditions.

    Fields are continuous at the interface. The terms prescribe the fluxes, linearised at a given
    function; a field without a prescribed flux has a continuous normal derivative. For each field
    and each flux there is a trace, an unknown polynomial on the arc from which the functions on
    both sides differ little. The argument of these polynomials is the arc's parameter, or two
    coordinates along the patch.

    Args:
        at: the arcs or patches.
        terms: the conditions on the fluxes; each row involves a point inside and then the same
            point outside.
        about: the function in cells at which the conditions are linearised.

    Attributes:
        channels: the derivatives in the jets: those of the terms, and the gradient.
        points: the points of all arcs or patches on both sides, (2·c·q,).
        jet: the values and derivatives of `about` at the points.
        slopes: the derivatives of the fluxes by the values and derivatives (parts) of the fields
            inside and outside, (2, c, q, equations, parts, m).
        right: the right-hand side of the linearised conditions, (c, q, equations).
        sizes: for each order of derivatives the largest slope, (2, c, equations, orders, m).
    """

    def __init__(
        self, at: InterfaceParts, terms: Sequence[ResidualTerm], about: CellFunctions
    ) -> None:
        self.at, self.terms, self.about = at, terms, about
        inner, domain = at.sides[INSIDE], about.geometry.domain
        gradient = Channels(domain.names, gradient=True)
        self.channels = reduce(Channels.__or__, (term.channels for term in terms), gradient)
        self.points = Batch.made_of(inner.points.on_both_sides(domain.bounds))
        self.jet = jet_of_stacked(self.channels, self.jets(about).flatten(0, 2))
        (parts, each), stacked = inner.weights.shape, self.jet.stacked()
        slopes = [stacked.new_zeros(parts, each, 2, 0, *stacked.shape[1:])]
        right = [stacked.new_zeros(parts, each, 0)]
        for term in terms:
            found = Linearised.at(term.equation, self.points, self.jet)
            slopes.append(found.slopes.unflatten(0, (parts, each, 2)))
            right.append(found.right.unflatten(0, (parts, each)))
        self.slopes = torch.cat(slopes, dim=3).permute(2, 0, 1, 3, 4, 5)
        self.right = torch.cat(right, dim=2)
        self.sizes = largest_of_orders(self.slopes.abs().amax(dim=2), self.channels)

    @property
    def normals(self) -> tuple[Tensor, Tensor]:
        """The unit normals at the points, (c, q, d), and the mean normals of the arcs, (c, d).

        The mean normals of arcs or patches have unit length too.
        """
        normals, weights = self.at.sides[INSIDE].points.normals, self.at.sides[INSIDE].weights
        assert normals is not None
        normals = normals.unflatten(0, weights.shape)
        mean = torch.einsum("cqd,cq->cd", normals, weights)
        return normals, mean / mean.norm(dim=1, keepdim=True)

    def jets(self, function: CellFunctions) -> Tensor:
        """The values and derivatives (parts) of a function on both sides, (c, q, 2, parts, m)."""
        return torch.stack([function.jets(at, self.channels) for at in self.at.sides], dim=2)
