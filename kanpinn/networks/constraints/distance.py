"""Dirichlet data on any domain: u = g + D·N with a distance function D and a lifting g."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor

from kanpinn._support.shapes import Column, Coords
from kanpinn.geometry import Domain, Piece, Points
from kanpinn.jets import Jet
from kanpinn.networks.constraints.lifting import (
    NotExact,
    OfCoords,
    Values,
    check_smooth,
    polynomial_lift,
)
from kanpinn.networks.known_function import Known
from kanpinn.pde.conditions.condition import Prescribed


@dataclass(frozen=True)
class Distance:
    """Approximate distance D = Π f_i / size_i from some pieces of a boundary.

    Each piece lies on a line, ellipse, plane or sphere f_i = 0. D is smooth everywhere, vanishes to
    first order on the pieces, and is positive elsewhere in the domain, where its largest value is
    about one.

    Args:
        factors: the functions f_i of points (n, d) → (n, 1).
        sizes: the positive numbers by which they are divided.
    """

    factors: tuple[OfCoords, ...]
    sizes: tuple[float, ...]

    def __call__(self, coords: Coords) -> Column:
        parts = (f(coords) / size for f, size in zip(self.factors, self.sizes, strict=True))
        return math.prod(parts, start=torch.ones_like(coords[:, :1]))


def distance(domain: Domain, pieces: Sequence[Piece]) -> Distance:
    """Return an approximate distance function of some pieces of a domain's boundary.

    Args:
        domain: the domain.
        pieces: the pieces of its boundary on which the function vanishes.

    Raises:
        NotExact: where a piece lies on no line, ellipse, plane or sphere, or on one that meets the
            rest of the domain, as at a reentrant corner.
    """
    most = 200  # pieces, which are compared with each other
    if len(pieces) > most:
        raise NotExact(f"exact imposition is for up to {most} pieces of the boundary")
    inside = domain.quadrature(8)[0].coords
    others = [one for one in domain.boundary.pieces if not any(_same(one, p) for p in pieces)]
    apart = torch.cat([inside, *(piece.gauss(64).coords for piece in others)])
    # At the ends of pieces, where pieces touch, the function may be zero but not negative.
    ends = torch.cat([inside[:0], *(piece.rim.coords for piece in domain.boundary.pieces)])
    factors: list[OfCoords] = []
    sizes: list[float] = []
    for piece in pieces:
        on = piece.gauss(64).coords
        if any(_vanishes(f, size, on) for f, size in zip(factors, sizes, strict=True)):
            continue  # the piece lies on the same curve or surface as an earlier one
        carrier = piece.level
        if carrier is None:
            raise NotExact(f"there is no smooth distance from the piece {piece.name}")
        values = carrier(apart)
        if values[0] < 0:
            carrier, values = partial(_negative, carrier), -values
        size = float(values.max())
        if values.min() < 1e-9 * size or bool((carrier(ends) < -1e-9 * size).any()):
            raise NotExact(
                f"the line or surface that the piece {piece.name} is on meets the rest of the "
                "domain, so no smooth distance vanishes on that piece only"
            )
        factors.append(carrier)
        sizes.append(size)
    largest = float(Distance(tuple(factors), tuple(sizes))(inside).max())
    return Distance(tuple(factors), (sizes[0] * largest, *sizes[1:]))


def _same(a: Piece, b: Piece) -> bool:
    if a == b or a.name != b.name or type(a) is not type(b):
        return a == b
    p, q = a.gauss(64).coords, b.gauss(64).coords
    return p.shape == q.shape and torch.allclose(p, q)


def _vanishes(factor: OfCoords, size: float, coords: Coords) -> bool:
    return bool(factor(coords).abs().max() < 1e-9 * size)


def _negative(function: OfCoords, coords: Coords) -> Tensor:
    return -function(coords)


@dataclass(frozen=True, eq=False)
class LiftedDirichlet:
    """Output map u = g + D·N, which equals the data on given pieces for every network N.

    Args:
        distance: D, (n, d) → (n, 1), which vanishes to first order on these pieces, and only there.
        lift: g, (n, d) → (n, 1), which equals the data on these pieces; None for zero data.

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
        """Return the jet of g + D·N from the jet of N."""
        known = self._known.jet(points, jet.channels)
        inner = known[0] * jet
        return inner if self.lift is None else known[1] + inner


def _at_points(function: OfCoords, p: Points) -> Tensor:
    return function(p.coords)


@dataclass(frozen=True, eq=False)
class InTime:
    """g(x, t) = G(x, t) + Σ_e w_e(t) (u_e(x) - G(x, t_e)) for data u_e at one or both ends of time.

    G equals the data on the walls. Where these agree with u_e, the sum over the ends e vanishes on
    the walls. The weights w_e are linear in time, or one where there are data at one end only.

    Args:
        walls: G, (n, d) → (n, 1); None for zero.
        ends: the data u_e by the time t_e, one or two.
        names: the names of the coordinates, the time last.
    """

    walls: OfCoords | None
    ends: Mapping[float, Values]
    names: tuple[str, ...]

    def __call__(self, coords: Coords) -> Tensor:
        total = torch.zeros_like(coords[:, :1]) if self.walls is None else self.walls(coords)
        low, high = min(self.ends), max(self.ends)
        for end, values in self.ends.items():
            at = torch.cat([coords[:, :-1], torch.full_like(coords[:, -1:], end)], dim=1)
            gap = values(Points(at, self.names))
            if self.walls is not None:
                gap = gap - self.walls(at)
            if len(self.ends) == 2:
                share = (coords[:, -1:] - low) / (high - low)
                gap = (share if end == high else 1 - share) * gap
            total = total + gap
        return total


def on_any_domain(domain: Domain, data: Sequence[Prescribed], rough: bool) -> LiftedDirichlet:
    """Return the output map that builds in the data of one field on pieces of any domain.

    Args:
        domain: the domain.
        data: the values on each of the pieces.
        rough: whether second derivatives may be unbounded at corners, as in the energy form.

    Raises:
        NotExact: where no distance function or no polynomial lifting is found, or data at an end of
            time are not smooth.
    """
    found = distance_from(domain, [one.piece for one in data], rough)
    ends = {one.piece.at_time: one for one in data if one.piece.at_time is not None}
    walls = [one for one in data if one.piece.at_time is None]
    check_smooth(list(ends.values()), rough)
    lift: OfCoords | None = None
    if not all(wall.is_zero for wall in walls):
        lift = polynomial_lift(domain.bounds, [(one.piece, one.values) for one in walls])
        if lift is None:
            raise NotExact("no polynomial takes the prescribed values, which must be smooth")
    if not all(one.is_zero for one in ends.values()) or (ends and lift is not None):
        lift = InTime(lift, {end: one.values for end, one in ends.items()}, domain.names)
    return LiftedDirichlet(found, lift)


def distance_from(domain: Domain, pieces: Sequence[Piece], rough: bool) -> OfCoords:
    """Return `distance` or, with `rough`, if need be the domain's level function.

    The level function is not smooth at corners. It serves only where the pieces are the whole
    boundary.

    Raises:
        NotExact: where neither function is available.
    """
    try:
        return distance(domain, pieces)
    except NotExact:
        if rough and set(pieces) == set(domain.boundary.pieces):
            return domain.level
        raise
