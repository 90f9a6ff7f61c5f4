"""Domains in the plane and in space that interfaces divide into parts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from kanpinn._support.errors import InputError
from kanpinn._support.shapes import Coords, Mask
from kanpinn.geometry.ball import Ball, Sphere
from kanpinn.geometry.box import Box, Face
from kanpinn.geometry.combination import planar
from kanpinn.geometry.curves import Curve, Pair, common_points, divided_at
from kanpinn.geometry.domain import Domain, Piece, Turned
from kanpinn.geometry.planar import Planar, rectangle


@dataclass(frozen=True)
class DivisionEdge:
    """A boundary curve of a part of a planar domain that interfaces divide.

    Args:
        curve: the curve, with the part of the domain on its left.
        piece: the piece of the domain's boundary, or of an interface, in which the curve lies.
        interface: the number of the curve among the curves of all interfaces, after the division of
            interfaces where they meet; -1 for a curve on the domain's boundary.
        reverse: True if `piece` is a piece of an interface and the curve runs in the opposite
            direction. The part of the domain then lies on the side to which the normals of the
            piece point.
    """

    curve: Curve
    piece: Piece
    interface: int = -1
    reverse: bool = False


@dataclass(frozen=True)
class Division:
    """A planar domain that interfaces divide into parts.

    Args:
        domains: the parts.
        edges: for each part the edges of its boundary, in the order of the part's `curves`.
    """

    domains: tuple[Planar, ...]
    edges: tuple[tuple[DivisionEdge, ...], ...]

    @classmethod
    def of(
        cls, domain: Planar, pieces: Sequence[Piece], interfaces: Sequence[Piece] = ()
    ) -> "Division":
        """Divide a domain by interfaces.

        Args:
            domain: the domain.
            pieces: for each of the domain's curves, the boundary piece in which it lies.
            interfaces: curves in the domain, either closed or with both ends on the domain's
                boundary or on other interfaces; faces of rectangles count as curves.

        Raises:
            InputError: if an interface is no curve, leaves the domain, has a loose end inside the
                domain, or has a part in common with the boundary or another interface.
        """
        own = list(map(DivisionEdge, domain.curves, pieces))
        if not interfaces:
            return cls((domain,), (tuple(own),))
        given = []
        for piece in interfaces:
            if (curve := curve_of(piece)) is None:
                raise InputError(f"an interface in the plane must consist of curves, got {piece!r}")
            given.append(DivisionEdge(curve, piece))
        divided, cuts = _cut(own, given, domain)
        cuts = [replace(edge, interface=number) for number, edge in enumerate(cuts)]
        back = [replace(edge, curve=edge.curve.part(1.0, 0.0), reverse=True) for edge in cuts]
        parts = _parts(_loops([*divided, *cuts, *back], domain.scale), domain.scale)
        domains = tuple(Planar(tuple(edge.curve for edge in part)) for part in parts)
        return cls(domains, tuple(map(tuple, parts)))


def parts_inside(domain: Domain, pieces: Sequence[Piece]) -> tuple[Piece, ...]:
    """Return the pieces of an interface without their parts on the boundary of a domain.

    In the plane, curves and sides of rectangles are divided where they leave the boundary.

    Args:
        domain: the domain.
        pieces: the pieces of the interface.

    Raises:
        InputError: if no part of the interface is inside the domain, if a part is outside, or if a
            surface in space is inside the domain in some parts and on its boundary in others.
    """
    plane, near, found = planar(domain), 1e-9 * domain.diameter, list[Piece]()
    for piece in pieces:
        parts: Sequence[Piece] = (piece,)
        if plane is not None and (curve := curve_of(piece)) is not None:
            tolerance = 1e-12 * plane.scale
            _, (met,) = common_points(plane.curves, [curve], tolerance)
            parts = divided_at(curve, met, tolerance, 16 * tolerance)
        kept = []
        for part in parts:
            at = part.gauss(16)
            inside, outside = (domain.contains(at.coords, -near), ~domain.contains(at.coords, near))
            wrong = outside if bool(outside.any()) else ~inside
            if bool(inside.all()):
                kept.append(part)
            elif bool(outside.any() | inside.any()):
                where = at.show(int(wrong.byte().argmax()))
                what = "must be inside the domain, or a whole piece of it on the boundary"
                raise InputError(f"the interface {piece.name!r} {what}, got a part at {where}")
        found += [piece] if len(kept) == len(parts) else kept
    if not found:
        raise InputError("an interface must be inside the domain, got one on its boundary only")
    return tuple(found)


def curve_of(piece: Piece) -> Curve | None:
    """Return a piece of an interface in the plane as a curve; None if it is no curve."""
    if isinstance(piece, Face) and piece.box.dim == 2:
        (piece,) = (one for one in rectangle(piece.box).curves if one.name == piece.name)
    return piece if isinstance(piece, Curve) else None


def _cut(
    outer: Sequence[DivisionEdge], cuts: Sequence[DivisionEdge], domain: Planar
) -> tuple[list[DivisionEdge], list[DivisionEdge]]:
    """Divide the edges of a boundary and of interfaces at the points where edges meet.

    Args:
        outer: the edges of the domain's boundary.
        cuts: the edges of the interfaces.
        domain: the domain.

    Returns:
        The divided edges of the boundary, and the divided edges of the interfaces.

    Raises:
        InputError: if a part of an interface is outside the domain, on the boundary, or on another
            interface.
    """
    tolerance, curves = 1e-12 * domain.scale, [edge.curve for edge in cuts]
    every = [edge.curve for edge in outer] + curves
    on_outer, on_cuts = common_points(every, curves, tolerance)

    def divided(edges: Sequence[DivisionEdge], met: Sequence[list[Pair]]) -> list[DivisionEdge]:
        """The edges, divided at the points in which they meet other edges."""
        least = 16 * tolerance  # the least length of a part
        return [
            replace(edge, curve=part)
            for edge, points in zip(edges, met, strict=True)
            for part in divided_at(edge.curve, points, tolerance, least)
        ]

    boundary, inner = divided(outer, on_outer[: len(outer)]), divided(cuts, on_cuts)
    for number, part in enumerate(inner):
        (middle,) = part.curve.at(torch.tensor([0.5], dtype=torch.float64))
        x, y = middle.tolist()
        others = [edge.curve for edge in (*boundary, *inner[:number])]
        wrong = "" if bool(domain.encloses(middle[None])) else "be inside the domain"
        if any(other.locate((x, y), 4 * tolerance) is not None for other in others):
            wrong = "have no part in common with the boundary or with another interface"
        if wrong:
            at = f"got one at ({x:.6g}, {y:.6g})"
            raise InputError(f"the interface {part.piece.name!r} must {wrong}, {at}")
    return boundary, inner


def _loops(edges: Sequence[DivisionEdge], scale: float) -> list[list[DivisionEdge]]:
    """Chain edges to closed loops; the left side of each loop belongs to one part of the domain.

    Args:
        edges: the edges of the boundary, and each edge of the interfaces in both directions.
        scale: the largest absolute value of the coordinates.

    Raises:
        InputError: if an interface has a loose end inside the domain.
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
        sides = [(edge.interface, edge.reverse) for edge in found[-1] if edge.interface >= 0]
        if loose := [number for number, way in sides if (number, not way) in sides]:
            (edge,) = (e for e in found[-1] if (e.interface, e.reverse) == (loose[0], False))
            what = "must be closed or end on the domain's boundary or on other interfaces"
            raise InputError(f"the interface {edge.piece.name!r} {what}")
    return found


def _turn(edge: DivisionEdge, after: DivisionEdge, scale: float) -> float:
    """Return the clockwise angle, in radians in (0, 2π], between two edges at a common point.

    Args:
        edge: the edge that ends at the common point; the angle is measured from this edge.
        after: the edge that starts at the common point.
        scale: the largest absolute value of the coordinates.
    """
    if edge.interface >= 0 and edge.interface == after.interface and edge.reverse != after.reverse:
        return 2 * math.pi
    back, on = _away(edge.curve, scale, at_end=True), _away(after.curve, scale, at_end=False)
    return (back - on) % (2 * math.pi) or 2 * math.pi


def _away(curve: Curve, scale: float, at_end: bool) -> float:
    """Return the polar angle, in radians, of the vector from an end of a curve to a near point.

    The angles of two curves that touch each other at a common end differ, unlike their tangents.

    Args:
        curve: the curve.
        scale: the largest absolute value of the coordinates; the near point is about 1e-4 · scale
            away.
        at_end: True for the curve's last point, False for its first point.
    """
    step = min(0.1, 1e-4 * scale / curve.measure)
    end, inner = curve.at(torch.tensor([1.0, 1 - step] if at_end else [0.0, step]).double())
    x, y = (inner - end).tolist()
    return math.atan2(y, x)


def _parts(loops: Sequence[list[DivisionEdge]], scale: float) -> list[list[DivisionEdge]]:
    """Return the boundary of each part: its outer loop, followed by the loops around its holes.

    Args:
        loops: the closed loops of edges; loops around holes run clockwise.
        scale: the largest absolute value of the coordinates.
    """
    outer = [loop for loop in loops if _area(loop) > 0]
    around = [Planar(tuple(edge.curve for edge in loop)) for loop in outer]
    parts = [list(loop) for loop in outer]
    for loop in loops:
        if _area(loop) <= 0:
            at = loop[0].curve.points_at(torch.tensor([0.5], dtype=torch.float64))
            beside = at.coords - 1e-7 * scale * at.outward
            holders = [i for i, one in enumerate(around) if bool(one.encloses(beside))]
            parts[min(holders, key=lambda i: around[i].measure)] += loop
    return parts


def _area(loop: Sequence[DivisionEdge]) -> float:
    """The signed area inside a closed loop of edges, which is negative for a clockwise loop."""
    return math.fsum(edge.curve.moment(loop[0].curve.start) for edge in loop)


@dataclass(frozen=True)
class InterfacePiece:
    """A piece of an interface in a solid: the sphere of a ball or a face of a box.

    Args:
        piece: the sphere or face, with normals out of the ball or box.
        inside: the number of the part of the solid on the inner side of the piece.
        outside: the number of the part on the outer side.
    """

    piece: Sphere | Face
    inside: int
    outside: int


@dataclass(frozen=True, eq=False)
class SolidPart:
    """A part of a solid that interfaces, such as spheres, divide.

    Args:
        domain: the whole solid.
        within: the ball or box that contains the part; None for the part outside all interfaces.
        without: the balls and boxes that are cut out of `within`, or out of the solid, as holes.
        sheets: the smooth surfaces that may bound the part, as pairs. The first entry is the
            surface, with normals out of the part. The second entry is the piece of the solid's
            boundary, or of an interface, to which the surface belongs.
    """

    domain: Domain
    within: Domain | None
    without: tuple[Domain, ...]
    sheets: tuple[tuple[Piece, Piece], ...]

    def number_of(self, piece: Piece) -> int:
        """Return the index in `sheets` of the surface that belongs to a piece of an interface."""
        return next(number for number, (_, one) in enumerate(self.sheets) if one is piece)

    def contains(self, coords: Coords, tolerance: float = 0.0) -> Mask:
        """Return a mask (n,) of the points (n, d) in the part, as `Domain.contains` does."""
        inside = self.domain.contains(coords, tolerance)
        if self.within is not None:
            inside = inside & self.within.contains(coords, tolerance)
        for other in self.without:
            inside = inside & ~other.contains(coords, -tolerance)
        return inside


@dataclass(frozen=True, eq=False)
class SolidDivision:
    """A solid, divided into parts by balls and boxes, which may contain each other.

    Args:
        inner: the balls and boxes, by decreasing volume. Part k ≥ 1 is the k-th ball or box,
            without the balls and boxes inside it. Part 0 is the rest of the solid.
        parts: all parts, from part 0 on.
        interfaces: the pieces of all interfaces.
    """

    inner: tuple[Ball | Box, ...]
    parts: tuple[SolidPart, ...]
    interfaces: tuple[InterfacePiece, ...]

    @classmethod
    def of(cls, domain: Domain, interfaces: Sequence[Piece] = ()) -> "SolidDivision":
        """Divide a solid by interfaces.

        Args:
            domain: the solid.
            interfaces: spheres and faces of boxes, without duplicates. If a face of a box is an
                interface, all faces of this box have to be interfaces, except for faces on the
                solid's boundary.

        Raises:
            InputError: if an interface is neither a sphere nor a face of a box, leaves the solid or
                has a free edge inside the solid, or if the interfaces of two balls or boxes meet.
        """
        groups: dict[Ball | Box, list[Sphere | Face]] = {}
        for piece in interfaces:
            match piece:
                case Sphere(ball=solid) | Face(box=solid) if solid.dim == 3:
                    groups.setdefault(solid, []).append(piece)
                case _:
                    what = "must consist of whole spheres or faces of boxes"
                    raise InputError(f"an interface in space {what}, got {piece!r}")
        for solid, pieces in groups.items():
            _check_faces(domain, solid, pieces)
        inner = sorted(groups, key=lambda solid: -solid.measure)
        outside = [_around(groups, inner[:number], solid) for number, solid in enumerate(inner)]
        between = [
            InterfacePiece(piece, number, outer)
            for number, (solid, outer) in enumerate(zip(inner, outside, strict=True), 1)
            for piece in groups[solid]
        ]
        boundary = [(sheet, piece) for piece in domain.boundary.pieces for sheet in piece.sheets]
        parts = []
        for number, within in enumerate((None, *inner)):
            without = (solid for i, solid in enumerate(inner) if outside[i] == number)
            sheets = list(boundary)
            sheets += [(part.piece, part.piece) for part in between if part.inside == number]
            sheets += [(Turned(p.piece), p.piece) for p in between if p.outside == number]
            parts.append(SolidPart(domain, within, tuple(without), tuple(sheets)))
        return cls(tuple(inner), tuple(parts), tuple(between))


def _samples(piece: Piece) -> Coords:
    """Return points (n, d) on a piece, some of them close to the rim of the piece."""
    return piece.quadrature(16)[0].coords


def _check_faces(domain: Domain, solid: Domain, pieces: Sequence[Piece]) -> None:
    """Check which pieces of the boundary of a ball or box lie inside a domain.

    Pieces that are interfaces have to lie inside the domain. No other piece may lie inside it.

    Args:
        domain: the domain.
        solid: the ball or box.
        pieces: the interfaces among the pieces of the ball's or box's boundary.

    Raises:
        InputError: if a part of an interface is outside the domain or on its boundary, or a part of
            another piece is inside the domain.
    """
    for piece in solid.boundary.pieces:
        at, given = _samples(piece), piece in pieces
        wrong = domain.contains(at, -1e-9 * domain.diameter) != given
        if bool(wrong.any()):
            place = ", ".join(f"{x:.6g}" for x in at[wrong][0].tolist())
            why = f"{piece.name!r} must be inside the domain, apart from its edges, got a part"
            if not given:
                beside = f"the piece {piece.name!r} of its boundary is in the domain too"
                why = f"{pieces[0].name!r} must divide the domain: {beside}"
            raise InputError(f"the interface {why} at ({place})")


def _around(
    groups: dict[Ball | Box, list[Sphere | Face]], larger: Sequence[Ball | Box], solid: Ball | Box
) -> int:
    """Return the number, from 1, of the smallest ball or box around `solid`; 0 if there is none.

    Args:
        groups: for each ball and box the pieces of its boundary that are interfaces.
        larger: the balls and boxes that are larger than `solid`, by decreasing volume.
        solid: a ball or box.

    Raises:
        InputError: if the interfaces of `solid` meet those of a larger ball or box.
    """
    found, near = 0, 1e-9 * solid.diameter
    for number, other in enumerate(larger, 1):
        at = torch.cat([_samples(piece) for piece in groups[solid]])
        inner, outer = other.contains(at, -near), ~other.contains(at, near)
        beyond = torch.cat([_samples(piece) for piece in groups[other]])
        around = solid.contains(beyond, near)
        if bool(inner.all()) and not bool(around.any()):
            found = number
        elif not bool(outer.all()) or bool(around.any()):
            both = f"the interfaces around {solid!r} and {other!r}"
            raise InputError(f"{both} must not meet: expected one inside the other, or both apart")
    return found
