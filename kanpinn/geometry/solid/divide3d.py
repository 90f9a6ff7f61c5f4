"""The parts into which spheres and faces of boxes divide a solid."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from kanpinn._support.errors import InputError
from kanpinn._support.shapes import Coords, Mask
from kanpinn.geometry.boundary import Piece, Turned
from kanpinn.geometry.box import Box, Face
from kanpinn.geometry.domain import Domain
from kanpinn.geometry.solid.ball import Ball, Sphere


@dataclass(frozen=True)
class Seam:
    """A piece of an interface in a solid.

    Args:
        piece: the piece, whose normals point out of a ball or a box.
        inside, outside: the numbers of the parts of the solid on either side.
    """

    piece: Piece
    inside: int
    outside: int


@dataclass(frozen=True, eq=False)
class SolidPart:
    """A part of a solid.

    Args:
        domain: the whole solid.
        within: the ball or box that contains the part; None if no interface is around it.
        without: the balls and boxes in it that are parts of their own.
        sheets: the smooth surfaces that may bound the part, with normals out of it, and the pieces
            that they belong to: of the solid's boundary, and of interfaces.
    """

    domain: Domain
    within: Domain | None
    without: tuple[Domain, ...]
    sheets: tuple[tuple[Piece, Piece], ...]

    @property
    def is_whole(self) -> bool:
        """Whether it is all of the solid."""
        return self.within is None and not self.without

    def number_of(self, piece: Piece) -> int:
        """The number of the sheet that is all of a piece of an interface."""
        return next(number for number, (_, one) in enumerate(self.sheets) if one is piece)

    def contains(self, coords: Coords, tolerance: float = 0.0) -> Mask:
        """Which points are in the part, (n,); tolerance: as for domains."""
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
        inner: the balls and boxes. They are the parts 1, 2, …, each without those that it contains,
            which come later. The part 0 is the rest of the solid.
        parts: all parts.
        seams: the pieces of the interfaces.
    """

    inner: tuple[Ball | Box, ...]
    parts: tuple[SolidPart, ...]
    seams: tuple[Seam, ...]

    @classmethod
    def of(cls, domain: Domain, interfaces: Sequence[Piece] = ()) -> "SolidDivision":
        """Divide a solid by interfaces.

        Args:
            domain: the solid.
            interfaces: spheres, and faces of boxes, each once. Of a box all faces are given that
                are not on the boundary of the solid.

        Raises:
            InputError: if an interface consists of something else, leaves the solid, ends inside
                it, or meets its boundary or another interface along a surface or a curve.
        """
        groups: dict[Ball | Box, list[Piece]] = {}
        for piece in interfaces:
            groups.setdefault(_solid(piece), []).append(piece)
        for solid, pieces in groups.items():
            _check_inside(domain, pieces)
            _check_closed(domain, solid, pieces)
        inner = sorted(groups, key=lambda solid: -solid.measure)
        outside = [_around(groups, inner[:number], solid) for number, solid in enumerate(inner)]
        seams = [
            Seam(piece, number, outer)
            for number, (solid, outer) in enumerate(zip(inner, outside, strict=True), 1)
            for piece in groups[solid]
        ]
        walls = [(sheet, piece) for piece in domain.boundary.pieces for sheet in piece.sheets]
        parts = []
        for number, within in enumerate((None, *inner)):
            others = tuple(
                one for one, outer in zip(inner, outside, strict=True) if outer == number
            )
            own = [(one.piece, one.piece) for one in seams if one.inside == number]
            beyond = [(_turned(one.piece), one.piece) for one in seams if one.outside == number]
            parts.append(SolidPart(domain, within, others, (*walls, *own, *beyond)))
        return cls(tuple(inner), tuple(parts), tuple(seams))


def _solid(piece: Piece) -> Ball | Box:
    """The ball or box to whose boundary a piece belongs."""
    if isinstance(piece, Sphere) and piece.ball.dim == 3:
        return piece.ball
    if isinstance(piece, Face) and piece.box.dim == 3:
        return piece.box
    raise InputError(
        f"an interface in space must consist of whole spheres or faces of boxes, got {piece!r}"
    )


def _turned(piece: Piece) -> Piece:
    assert isinstance(piece, Sphere | Face)
    return Turned(piece)


def _size(domain: Domain) -> float:
    low, high = domain.bounds
    return float((high - low).max())


def _samples(piece: Piece) -> Coords:
    """Points on a piece, some of them close to its rim."""
    return piece.quadrature(16)[0].coords


def _check_inside(domain: Domain, pieces: Sequence[Piece]) -> None:
    """Check that pieces of an interface are inside a solid."""
    for piece in pieces:
        at = _samples(piece)
        outside = ~domain.contains(at, -1e-9 * _size(domain))
        if bool(outside.any()):
            x, y, z = at[outside][0].tolist()
            raise InputError(
                f"the interface {piece.name!r} must be inside the domain, apart from its edges, "
                f"got a part of it at ({x:.6g}, {y:.6g}, {z:.6g})"
            )


def _check_closed(domain: Domain, solid: Domain, pieces: Sequence[Piece]) -> None:
    """Check that no other piece around a ball or box is inside the domain."""
    for other in solid.boundary.pieces:
        if other in pieces:
            continue
        at = _samples(other)
        inside = domain.contains(at, -1e-9 * _size(domain))
        if bool(inside.any()):
            x, y, z = at[inside][0].tolist()
            raise InputError(
                f"the interface {pieces[0].name!r} must divide the domain: the piece "
                f"{other.name!r} of its boundary is in the domain too, "
                f"as at ({x:.6g}, {y:.6g}, {z:.6g})"
            )


def _around(
    groups: dict[Ball | Box, list[Piece]], larger: Sequence[Ball | Box], solid: Ball | Box
) -> int:
    """The number of the smallest of some larger solids around a solid; 0 if there is none."""
    found, near = 0, 1e-9 * _size(solid)
    for number, other in enumerate(larger, 1):
        at = torch.cat([_samples(piece) for piece in groups[solid]])
        inner, outer = other.contains(at, -near), ~other.contains(at, near)
        beyond = torch.cat([_samples(piece) for piece in groups[other]])
        around = solid.contains(beyond, near)
        if bool(inner.all()) and not bool(around.any()):
            found = number
        elif not bool(outer.all()) or bool(around.any()):
            raise InputError(
                f"the interfaces around {solid!r} and {other!r} must not meet: expected one inside "
                "the other, or both apart"
            )
    return found
