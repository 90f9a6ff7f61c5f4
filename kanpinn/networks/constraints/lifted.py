"""Exact Dirichlet data on any domain: u = g + D·N with smooth functions D and g."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor

from kanpinn._support.shapes import Coords
from kanpinn.geometry import Points
from kanpinn.geometry.product import End
from kanpinn.jets.jet import Jet
from kanpinn.networks.constraints.distance import OfCoords
from kanpinn.networks.constraints.lifting import Values
from kanpinn.networks.known_function import Known


@dataclass(frozen=True, eq=False)
class LiftedDirichlet:
    """u = g + D·N takes the data on some pieces of a boundary whatever the network N is.

    Args:
        distance: D, (n, d) → (n, 1), which vanishes on these pieces, to first order, only.
        lift: g, (n, d) → (n, 1), which takes the data there; None where they are zero.

    Reference: Lagaris, Likas and Fotiadis, Artificial neural networks for solving ordinary and
    partial differential equations (1998).
    """

    distance: OfCoords
    lift: OfCoords | None = None

    @cached_property
    def _known(self) -> Known:
        functions = [f for f in (self.distance, self.lift) if f is not None]
        return Known(tuple(partial(_at_points, f) for f in functions), "D and g")

    def apply(self, points: Points, jet: Jet) -> Jet:
        """The jet of g + D·N from that of N."""
        known = self._known.jet(points, jet.channels)
        inner = known[0] * jet
        return inner if self.lift is None else known[1] + inner


def _at_points(function: OfCoords, p: Points) -> Tensor:
    return function(p.coords)


@dataclass(frozen=True, eq=False)
class InTime:
    """g(x, t) = G(x, t) + Σ_e w_e(t) (u_e(x) - G(x, t_e)) for data u_e at one or both ends of time.

    G takes the data on the walls, None for zero; where these and u_e agree, the sum changes nothing
    there. The weights are linear in time, or 1 where there is one end.
    """

    walls: OfCoords | None
    ends: Sequence[tuple[End, Values]]

    def __call__(self, coords: Coords) -> Tensor:
        total = torch.zeros_like(coords[:, :1]) if self.walls is None else self.walls(coords)
        for end, values in self.ends:
            _, low, high = end.product.time.ranges[0]
            share = (coords[:, -1:] - low) / (high - low)
            weight = (share if end.late else 1 - share) if len(self.ends) == 2 else 1.0
            at = torch.cat([coords[:, :-1], torch.full_like(share, high if end.late else low)], 1)
            gap = values(Points(at, end.names))
            total = total + weight * (gap if self.walls is None else gap - self.walls(at))
        return total
