"""Exponents of solutions where parts with different coefficients of the flux meet: junctions in
the plane, edges in space.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kanpinn.geometry.boundary import Piece
from kanpinn.geometry.box import Face
from kanpinn.geometry.division import Division, DivisionEdge, SolidDivision
from kanpinn.geometry.points import Points
from kanpinn.jets import Linearised, orders_of_parts
from kanpinn.loss.terms import ResidualTerm


@dataclass(frozen=True)
class FluxSizes:
    """The sizes of the coefficients in conditions on fluxes.

    Args:
        interfaces: the conditions.
        bounds: the lowest and the highest corner of the domain, (d,) each.
        fields: the number of fields.
    """

    interfaces: Sequence[ResidualTerm]
    bounds: tuple[Tensor, Tensor]
    fields: int

    def on_both_sides(self, piece: Piece, at: Points) -> tuple[float, float]:
        """The coefficients inside and outside of a piece of an interface, at one of its points."""
        p, found = at.on_both_sides(self.bounds), (0.0, 0.0)
        for term in self.interfaces:
            if piece in term.kinks:
                linear = Linearised.at_zero(term.equation, p, term.channels, self.fields)
                first = orders_of_parts(term.channels) > 0
                sizes = linear.slopes[:2, :, first].abs().flatten(1).amax(dim=1)
                inside, outside = sizes.tolist()
                found = max(found[0], inside), max(found[1], outside)
        return found


def least_exponent(
    sectors: Sequence[tuple[float, float]], fluxes: Sequence[bool] = ()
) -> float | None:
    """The least λ below 2 of a solution r^λ φ(θ) in sectors; None if there is none.

    In polar coordinates its flux is continuous if (a φ')' + λ² a φ = 0.

    Args:
        sectors: the angle and the coefficient a of each, from wall to wall, or all around.
        fluxes: whether the flux is given on both walls, otherwise the value; empty without walls.
    """
    exponents = np.linspace(0.02, 1.9, 400)
    values = [_mismatch(sectors, fluxes, exponent) for exponent in exponents]
    for (low, high), (one, other) in zip(
        itertools.pairwise(exponents), itertools.pairwise(values), strict=True
    ):
        if one * other < 0:
            return float(low + (high - low) * one / (one - other))
    return None


def _mismatch(
    sectors: Sequence[tuple[float, float]], fluxes: Sequence[bool], exponent: float
) -> float:
    """What vanishes if r^λ φ(θ) meets the conditions on walls, or goes on around the point.

    Args:
        sectors, fluxes: see `least_exponent`.
        exponent: λ.
    """
    total = np.eye(2)  # of φ and a φ', from the first edge to the last one
    for angle, coefficient in sectors:
        c, s = math.cos(exponent * angle), math.sin(exponent * angle)
        size = coefficient * exponent
        total = np.array([[c, s / size], [-size * s, c]]) @ total
    if not fluxes:
        return float(2 - np.trace(total))
    return float(total[int(fluxes[1]), int(not fluxes[0])])


@dataclass(frozen=True)
class RegionSector:
    """The part of one region at a point.

    Args:
        first, last: the edges that bound it; counter-clockwise `first` comes first.
        angle: between them.
        coefficient: a of the flux a ∂u/∂n.
    """

    first: DivisionEdge
    last: DivisionEdge
    angle: float
    coefficient: float


def junctions(
    division: Division,
    interfaces: Sequence[ResidualTerm],
    conditions: Sequence[ResidualTerm],
    bounds: tuple[Tensor, Tensor],
    fields: int,
) -> list[tuple[tuple[float, float], float]]:
    """The points of interfaces at which solutions are like r^λ, and the least λ of each.

    In polar coordinates r^λ φ(θ) has a flux that is continuous if (a φ')' + λ² a φ = 0. Points at
    which several parts of one region meet, as at curves that touch, are left out.

    Args:
        division: the regions.
        interfaces: the conditions on the fluxes.
        conditions: those on the boundary.
        bounds: the lowest and the highest corner of the domain, (2,) each.
        fields: the number of fields.

    Reference: Kellogg, On the Poisson equation with intersecting interfaces (1975).
    """
    fluxes = FluxSizes(interfaces, bounds, fields)
    near = 1e-9 * float(torch.stack(bounds).abs().max())
    found: list[tuple[tuple[float, float], float]] = []
    for edge in (edge for edges in division.edges for edge in edges if edge.seam >= 0):
        x, y = edge.curve.start
        if all(math.dist((x, y), other) > near for other, _ in found):
            around = _around((x, y), division, fluxes, near)
            exponent = _exponent(around, conditions) if around else None
            if exponent is not None and abs(exponent - 1) > 1e-3:
                found.append(((x, y), exponent))
    return found


def _around(
    point: tuple[float, float],
    division: Division,
    fluxes: FluxSizes,
    near: float,
) -> list[RegionSector]:
    """The sectors around a point, counter-clockwise, from a wall if there is one."""
    sectors = []
    for edges in division.edges:
        first = [edge for edge in edges if math.dist(edge.curve.start, point) < near]
        last = [edge for edge in edges if math.dist(edge.curve.stop, point) < near]
        if len(first) == len(last) == 1:
            angle = (_direction(last[0], 1.0) - _direction(first[0], 0.0)) % (2 * math.pi)
            seam = first[0] if first[0].seam >= 0 else last[0]
            start = 0.0 if seam is first[0] else 1.0
            sectors.append(
                RegionSector(first[0], last[0], angle, _coefficient(seam, start, fluxes))
            )
        elif first or last:
            return []
    after = {sector.first.seam: sector for sector in sectors}
    chain = [after.get(-1, sectors[0])] if sectors else []
    while chain and len(chain) < len(sectors) and chain[-1].last.seam in after:
        chain.append(after[chain[-1].last.seam])
    return chain


def _direction(edge: DivisionEdge, t: float) -> float:
    """The direction in which an edge leaves one of its ends, t = 0 or 1, as an angle."""
    (x, y) = edge.curve.velocity(torch.tensor([t], dtype=torch.float64))[0].tolist()
    return math.atan2(-y, -x) if t else math.atan2(y, x)


def _coefficient(edge: DivisionEdge, t: float, fluxes: FluxSizes) -> float:
    """The coefficient of the flux on the left of an edge, close to one of its ends."""
    beside = 1e-3  # of the edge
    curve = edge.curve.part(1.0, 0.0) if edge.reverse else edge.curve
    t = 1 - t if edge.reverse else t
    at = curve.points_at(torch.tensor([abs(t - beside)], dtype=torch.float64))
    return fluxes.on_both_sides(edge.piece, at)[int(edge.reverse)]


def _exponent(sectors: Sequence[RegionSector], conditions: Sequence[ResidualTerm]) -> float | None:
    """The least λ below 2 of r^λ φ(θ) in sectors; None if there is none."""
    walls = [edge for edge in (sectors[0].first, sectors[-1].last) if edge.seam < 0]
    fluxes = [
        any(term.channels.derivative_order for term in conditions if edge.piece in term.pieces)
        for edge in walls
    ]
    return least_exponent([(one.angle, one.coefficient) for one in sectors], fluxes)


def edges_of_boxes(division: SolidDivision, fluxes: FluxSizes) -> tuple[Tensor, Tensor, Tensor]:
    """The edges of boxes inside a solid at which solutions are like r^λ with λ < 1.

    An edge counts where both of its faces belong to the interface. The coefficients are those at
    its middle.

    Args:
        division: the regions of the solid.
        fluxes: the coefficients on both sides of interfaces.

    Returns:
        The ends of the edges, (s, 2, 3), λ of each, (s,), and the vertices of boxes at which three
        of them meet, (v, 3).

    Reference: Kellogg, On the Poisson equation with intersecting interfaces (1975).
    """
    segments, exponents = [], []
    for number in range(1, len(division.parts)):
        pieces = [one.piece for one in division.seams if one.inside == number]
        faces = [piece for piece in pieces if isinstance(piece, Face)]
        for one, other in itertools.combinations(faces, 2):
            if one.axis != other.axis:
                segment = _edge(one, other)
                inside, outside = fluxes.on_both_sides(one, _beside(one, segment))
                around = [(math.pi / 2, inside), (3 * math.pi / 2, outside)]
                found = least_exponent(around) if min(inside, outside) > 0 else None
                if found is not None and found < 1 - 1e-3:
                    segments.append(segment)
                    exponents.append(found)
    if not segments:
        none = torch.zeros(0, 2, 3, dtype=torch.float64)
        return none, none[:, 0, 0], none[:, 0]
    ends = torch.stack(segments)
    points, counts = ends.flatten(0, 1).unique(dim=0, return_counts=True)
    return ends, ends.new_tensor(exponents), points[counts > 2]


def _edge(one: Face, other: Face) -> Tensor:
    """The ends of the edge at which two faces of a box meet, (2, 3)."""
    ends = torch.stack(one.box.bounds)
    for face in (one, other):
        ends[:, face.axis] = ends[int(face.upper), face.axis]
    return ends


def _beside(face: Face, edge: Tensor) -> Points:
    """A point of a face close to the middle of one of its edges."""
    near, middle = 1e-3, face.quadrature(1)[0]
    at = torch.lerp(edge.mean(dim=0), middle.coords, near)
    return Points(at, middle.names, middle.normals)
