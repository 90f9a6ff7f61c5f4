"""Data at the first moment, built into a surrogate whose network is zero there."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn._support.shapes import Coords
from kanpinn.geometry import Points
from kanpinn.jets.jet import Jet
from kanpinn.networks.constraints.distance import OfCoords
from kanpinn.networks.constraints.lifted import LiftedDirichlet

Values = Callable[[Points], Tensor]


@dataclass(frozen=True, eq=False)
class Started:
    """u = g + D·M for a network M that is zero, and with a rate flat, at the first moment.

    map: has the initial data as g and, where values on walls are built in, D = 0 there; else D = 1.
    """

    map: LiftedDirichlet

    def apply(self, points: Points, jet: Jet) -> Jet:
        """The jet of g + D·M from that of M."""
        return self.map.apply(points, jet)


@dataclass(frozen=True, eq=False)
class AtStart:
    """g(x, t) = u(x, t_0): the initial values for ever."""

    values: Values
    names: tuple[str, ...]
    start: float

    def __call__(self, coords: Coords) -> Tensor:
        first = torch.full_like(coords[:, -1:], self.start)
        return self.values(Points(torch.cat([coords[:, :-1], first], dim=1), self.names))


@dataclass(frozen=True, eq=False)
class WithRate:
    """g(x, t) + (t - t_0) (v(x) - ∂_t g(x, t_0)), whose rate at t_0 is v, given by `rate`."""

    lift: OfCoords
    rate: AtStart

    def __call__(self, coords: Coords) -> Tensor:
        since = coords[:, -1:] - self.rate.start
        return self.lift(coords) + since * (self.rate(coords) - self._slope(coords))

    def _slope(self, coords: Coords) -> Tensor:
        """∂_t g at the first moment, differentiable in its turn."""
        with torch.enable_grad():
            first = torch.full_like(coords[:, -1:], self.rate.start).requires_grad_()
            value = self.lift(torch.cat([coords[:, :-1], first], dim=1))
            if not value.requires_grad:
                return torch.zeros_like(first)
            (slope,) = torch.autograd.grad(
                value.sum(), first, create_graph=True, materialize_grads=True
            )
        return slope


def no_walls(coords: Coords) -> Tensor:
    """D where no values on walls are built in."""
    return torch.ones_like(coords[:, :1])
