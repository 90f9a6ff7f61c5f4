"""Points where interfaces have corners, cross or end at walls: exponents of the solutions there."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn.cells.geometry.flux_exponents import FluxSizes, least_exponent
from kanpinn.geometry.planar.divide2d import Division, DivisionEdge
from kanpinn.loss.terms import ResidualTerm


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
