"""Domains of the plane for cells: planar ones, divided by the pieces of interfaces."""

from collections.abc import Sequence

from kanpinn._support.errors import InputError
from kanpinn.geometry.boundary import Piece
from kanpinn.geometry.domain import Domain
from kanpinn.geometry.planar.combine2d import planar
from kanpinn.geometry.planar.divide2d import Division
from kanpinn.geometry.planar.planar import Planar


def divided(domain: Domain, kinks: Sequence[Piece]) -> Division:
    """A domain of the plane, divided by the pieces of interfaces.

    Raises:
        InputError: if they do not divide it, or the domain is not in the plane.
    """
    plane = planar(domain)
    if plane is None:
        raise InputError(f"cells take interfaces in domains of the plane only, got {domain!r}")
    return Division.of(plane, pieces_of_curves(plane, domain), kinks)


def pieces_of_curves(plane: Planar, domain: Domain) -> Sequence[Piece]:
    """The pieces of a domain's boundary that are the curves of the same domain as a planar one."""
    if plane is domain:
        return plane.curves
    named = {piece.name: piece for piece in domain.boundary.pieces}
    return [named[curve.name] for curve in plane.curves]
