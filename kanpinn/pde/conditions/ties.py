"""Conditions whose residual combines several points: periodicity and integrals."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from kanpinn._support.errors import InputError, integer, number
from kanpinn.geometry import Boundary, Domain, Piece, Points
from kanpinn.geometry.quadrature import domain_rule
from kanpinn.jets import Jet, directional
from kanpinn.pde.conditions.condition import Condition


@dataclass(frozen=True)
class Periodic(Condition):
    """Periodic condition: u and its derivatives agree at the ends "x_min" and "x_max" of x.

    A network with one more input than there are coordinates takes cos and sin of 2πx / L in place
    of x, where L is the period. It is then periodic with all of its derivatives, and the condition
    has no term in the loss. The condition then holds exactly, but the solution need not be more
    accurate: with more inputs, networks with random inner functions need more units.

    Args:
        domain: the domain; its boundary must have the two pieces, here "x_min" and "x_max".
        coordinate: the name of the periodic coordinate, such as "x".
        order: the order of the highest derivative along the coordinate that has to agree; 1 suits
            equations of second order.

    Raises:
        InputError: for a coordinate that the domain does not have, a domain without these pieces,
            or a negative order.

    Example:
        >>> import kanpinn as kp
        >>> ring = kp.Box(x=(0, 1), y=(0, 1))
        >>> kp.Periodic(ring, "x").coordinate
        'x'
    """

    domain: Domain
    coordinate: str
    order: int = 1

    _low: Boundary = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        integer("order", self.order, least=0)
        if self.coordinate not in self.domain.names:
            raise InputError(
                f"Periodic has no coordinate {self.coordinate!r}: expected one of "
                f"{', '.join(self.domain.names)}"
            )
        low = self.domain.boundary[f"{self.coordinate}_min"]
        vars(self).update(_low=low, sites=2, surface=low.measure)  # a point at each end

    @property
    def seats(self) -> tuple[Piece, ...]:
        return self._low.pieces

    @property
    def periodic_in(self) -> str | None:
        return self.coordinate if self.field is None else None

    @property
    def tied(self) -> tuple[Piece, ...]:
        ends = self.domain.boundary[f"{self.coordinate}_min", f"{self.coordinate}_max"]
        return ends.pieces

    def rows_at(self, drawn: Points) -> Points:
        axis = self.domain.names.index(self.coordinate)
        high = drawn.coords.clone()
        high[:, axis] = self.domain.bounds[1][axis]
        return Points(torch.stack([drawn.coords, high], dim=1).flatten(0, 1), drawn.names)

    def residual(self, p: Points, *fields: Jet) -> tuple[Tensor, ...]:
        """Return u, ∂_x u, … at the lower end minus those at the upper end, (rows, 1) each."""
        direction = [float(name == self.coordinate) for name in p.names]
        found = [f.value for f in fields]
        for order in range(1, self.order + 1):
            found += [directional(f, direction, order) for f in fields]
        return tuple(value[0::2] - value[1::2] for value in found)


@dataclass(frozen=True)
class Integral(Condition):
    """Integral condition ∫ u = value over a domain or a boundary.

    It can, for example, fix the constant up to which a field is determined.

    Args:
        over: a domain or a boundary.
        value: the integral's value, a number.
        density: the integrand, a function (p, u, …) → (n, 1) with the arguments of a residual; by
            default the field itself.

    Example:
        >>> import kanpinn as kp
        >>> box = kp.Box(x=(0, 1), y=(0, 1))
        >>> mean = kp.Integral(box, 0.0, field="q")
        >>> mean.field, mean.value
        ('q', 0.0)
    """

    over: Domain | Boundary
    value: float | int = 0.0
    density: Callable[..., Tensor] | None = None

    places: ClassVar = {"over": (Domain, Boundary)}

    _points: Points = field(init=False, repr=False, compare=False)
    _weights: Tensor = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        number("the value of an Integral", self.value, -math.inf)
        points, weights = self._rule()
        vars(self).update(_points=points, _weights=weights, sites=len(points))

    def _rule(self) -> tuple[Points, Tensor]:
        """Return the quadrature rule; on a domain it has at most 2¹² points."""
        if isinstance(self.over, Boundary):
            return self.over.quadrature(32)
        nodes, most = 32, 2**12  # one row of the residual uses all points at once
        while True:
            chunks = [*domain_rule(self.over, nodes, draws=most)]
            points = Points.cat(p for p, _ in chunks)
            if len(points) <= most or nodes == 1 or self.over.dim > 3:
                return points, torch.cat([w for _, w in chunks])
            nodes = nodes * 3 // 4

    @property
    def fixed(self) -> Points:
        return self._points

    def residual(self, p: Points, *fields: Jet) -> Tensor:
        """Return (∫ u - value) / |over|, with |over| the measure of the set, (rows, m)."""
        density = self.density
        found = density(p, *fields) if density else torch.cat([f.value for f in fields], dim=1)
        weights = self._weights.to(found)
        integrals = torch.einsum("rsm,s->rm", found.unflatten(0, (-1, self.sites)), weights)
        return (integrals - float(self.value)) / self.over.measure
