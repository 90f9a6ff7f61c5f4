"""The parts into which curves divide a domain of the plane."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry.boundary import Piece
from kanpinn.geometry.box import Face
from kanpinn.geometry.curves.crossings import crossings, divided_at, meeting
from kanpinn.geometry.curves.curve import Curve, Pair
from kanpinn.geometry.planar.planar import Planar
from kanpinn.geometry.planar.polygons import rectangle


@dataclass(frozen=True)
class DivisionEdge:
    """A curve of the boundary of one of the parts.

    Args:
        curve: the curve, with the part on its left.
        piece: the piece of the domain's boundary, or of an interface, that it is a part of.
        seam: the number of the piece of an interface that it is, after these have been divided
            where they meet; -1 on the domain's boundary.
        reverse: whether it runs against the interface, so that its part is outside of that.
    """

    curve: Curve
    piece: Piece
    seam: int = -1
    reverse: bool = False


@dataclass(frozen=True)
class Division:
    """A domain of the plane, divided into parts.

    Args:
        domains: the parts.
        edges: for each part those of its curves, in the order of `Planar.curves`.
    """

    domains: tuple[Planar, ...]
    edges: tuple[tuple[DivisionEdge, ...], ...]

    @classmethod
    def of(
        cls, domain: Planar, walls: Sequence[Piece], interfaces: Sequence[Piece] = ()
    ) -> "Division":
        """Divide a domain by interfaces.

        Args:
            domain: the domain.
            walls: for each of its curves the piece that is given for it.
            interfaces: curves in the domain, closed or with ends on its boundary or on each other.

        Raises:
            InputError: if an interface is no curve, leaves the domain, ends inside it, or shares a
                part with the boundary or another interface.
        """
        own = [DivisionEdge(curve, wall) for curve, wall in zip(domain.curves, walls, strict=True)]
        if not interfaces:
            return cls((domain,), (tuple(own),))
        divided, cuts = _cut(own, [DivisionEdge(_curve(one), one) for one in interfaces], domain)
        cuts = [DivisionEdge(one.curve, one.piece, seam) for seam, one in enumerate(cuts)]
        back = [DivisionEdge(one.curve.part(1.0, 0.0), one.piece, one.seam, True) for one in cuts]
        parts = _parts(_loops([*divided, *cuts, *back], domain.scale), domain.scale)
        return cls(
            tuple(Planar(tuple(edge.curve for edge in part)) for part in parts),
            tuple(tuple(part) for part in parts),
        )


def _curve(piece: Piece) -> Curve:
    """A piece of an interface as a curve."""
    if isinstance(piece, Face) and piece.box.dim == 2:
        (piece,) = (one for one in rectangle(piece.box).curves if one.name == piece.name)
    if not isinstance(piece, Curve):
        raise InputError(f"an interface in the plane must consist of curves, got {piece!r}")
    return piece


def _cut(
    walls: Sequence[DivisionEdge], cuts: Sequence[DivisionEdge], domain: Planar
) -> tuple[list[DivisionEdge], list[DivisionEdge]]:
    """The edges of a boundary and of interfaces, divided where they meet."""
    tolerance, edges = 1e-12 * domain.scale, [*walls, *cuts]
    least = 16 * tolerance  # the length of a part
    curves = [edge.curve for edge in edges]
    met: list[list[Pair]] = [[] for _ in edges]
    for i, j in meeting(curves, curves, tolerance):
        if i < j >= len(walls):
            points = crossings(curves[i], curves[j], tolerance)
            met[i] += points
            met[j] += points
    found = [
        [
            DivisionEdge(part, edge.piece)
            for part in divided_at(edge.curve, points, tolerance, least)
        ]
        for edge, points in zip(edges, met, strict=True)
    ]
    made = [part for parts in found[: len(walls)] for part in parts]
    inner = [part for parts in found[len(walls) :] for part in parts]
    _check_inside(domain, made, inner, tolerance)
    return made, inner


def _check_inside(
    domain: Planar, walls: Sequence[DivisionEdge], cuts: Sequence[DivisionEdge], tolerance: float
) -> None:
    """Check that the parts of interfaces are inside a domain, and on no wall or other interface.

    Raises:
        InputError: if one is not.
    """
    for number, part in enumerate(cuts):
        (middle,) = part.curve.at(torch.tensor([0.5], dtype=torch.float64))
        x, y = middle.tolist()
        others = [edge.curve for edge in (*walls, *cuts[:number])]
        if any(other.locate((x, y), 4 * tolerance) is not None for other in others):
            raise InputError(
                f"the interface {part.piece.name!r} must have no part in common with the boundary "
                f"or with another interface, got one at ({x:.6g}, {y:.6g})"
            )
        if not bool(domain.encloses(middle[None])):
            raise InputError(
                f"the interface {part.piece.name!r} must be inside the domain, got a part of it at "
                f"({x:.6g}, {y:.6g})"
            )


def _loops(edges: Sequence[DivisionEdge], scale: float) -> list[list[DivisionEdge]]:
    """The loops of edges with nothing on their left but one part of the domain.

    Raises:
        InputError: if an interface ends inside the domain.
    """
    near = 1e-9 * scale
    starts = torch.tensor([edge.curve.start for edge in edges], dtype=torch.float64)
    left, found = set(range(len(edges))), []
    while left:
        loop = [min(left)]
        left.remove(loop[0])
        while True:
            stop = torch.tensor(edges[loop[-1]].curve.stop, dtype=torch.float64)
            after = ((starts - stop).norm(dim=1) < near).nonzero()[:, 0].tolist()
            best = min(after, key=lambda i: _turn(edges[loop[-1]], edges[i], scale))
            if best == loop[0]:
                break
            loop.append(best)
            left.remove(best)
        found.append([edges[i] for i in loop])
        sides = [(edge.seam, edge.reverse) for edge in found[-1] if edge.seam >= 0]
        if loose := [seam for seam, way in sides if (seam, not way) in sides]:
            (edge,) = (e for e in found[-1] if (e.seam, e.reverse) == (loose[0], False))
            raise InputError(
                f"the interface {edge.piece.name!r} must be closed or end on the domain's boundary "
                "or on other interfaces: it must divide the domain"
            )
    return found


def _turn(edge: DivisionEdge, after: DivisionEdge, scale: float) -> float:
    """The angle from an edge's end, looking back, clockwise to the next edge, in (0, 2π]."""
    if edge.seam >= 0 and edge.seam == after.seam and edge.reverse != after.reverse:
        return 2 * math.pi
    back, on = _away(edge.curve, scale, at_end=True), _away(after.curve, scale, at_end=False)
    return (back - on) % (2 * math.pi) or 2 * math.pi


def _away(curve: Curve, scale: float, at_end: bool) -> float:
    """The direction of a curve from one of its ends, a small way along it, as an angle.

    Curves that touch each other have different directions there.
    """
    step = min(0.1, 1e-4 * scale / curve.measure)
    end, inner = curve.at(torch.tensor([1.0, 1 - step] if at_end else [0.0, step]).double())
    x, y = (inner - end).tolist()
    return math.atan2(y, x)


def _parts(loops: Sequence[list[DivisionEdge]], scale: float) -> list[list[DivisionEdge]]:
    """The boundary of each part: a loop around it, with those around its holes."""
    outer = [loop for loop in loops if _area(loop) > 0]
    around = [Planar(tuple(edge.curve for edge in loop)) for loop in outer]
    parts = [list(loop) for loop in outer]
    for loop in loops:
        if _area(loop) <= 0:
            beside = _left_of(loop[0].curve, 1e-7 * scale)
            holders = [i for i, one in enumerate(around) if bool(one.encloses(beside))]
            parts[min(holders, key=lambda i: around[i].measure)] += loop
    return parts


def _area(loop: Sequence[DivisionEdge]) -> float:
    return math.fsum(edge.curve.moment(loop[0].curve.start) for edge in loop)


def _left_of(curve: Curve, step: float) -> Tensor:
    """A point on the left of the middle of a curve, (1, 2)."""
    at = curve.points_at(torch.tensor([0.5], dtype=torch.float64))
    assert at.normals is not None
    return at.coords - step * at.normals
