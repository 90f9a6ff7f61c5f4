"""The regions into which interfaces divide a domain."""

from collections.abc import Sequence

from kanpinn._support.errors import InputError
from kanpinn.cells.regions import PlaneRegions, Regions, SpaceRegions
from kanpinn.geometry.boundary import Piece
from kanpinn.geometry.domain import Domain
from kanpinn.geometry.planar.combine2d import planar
from kanpinn.geometry.planar.divide2d import Division
from kanpinn.geometry.planar.planar import Planar
from kanpinn.geometry.solid.divide3d import SolidDivision


def divided(domain: Domain, kinks: Sequence[Piece]) -> Division:
    """A domain of the plane, divided by the pieces of interfaces; one region if there are none.

    Raises:
        InputError: if they do not divide it.
    """
    plane = planar(domain)
    assert plane is not None
    return Division.of(plane, pieces_of_curves(plane, domain), kinks)


def regions_of(domain: Domain, kinks: Sequence[Piece]) -> Regions:
    """The regions into which the pieces of interfaces divide a domain.

    Raises:
        InputError: if they do not divide it, or the domain is neither in the plane nor in space.
    """
    if not kinks:
        return PlaneRegions.whole()
    if domain.dim == 3 and domain.time_name is None:
        return SpaceRegions.of(SolidDivision.of(domain, kinks), domain.bounds)
    if planar(domain) is None:
        raise InputError(
            f"cells take interfaces in domains of the plane and of space only, got {domain!r}"
        )
    return PlaneRegions.of(divided(domain, kinks).domains, domain.bounds)


def pieces_of_curves(plane: Planar, domain: Domain) -> Sequence[Piece]:
    """For each curve around a planar domain its piece of the boundary of the domain as it is given.

    Args:
        plane: the planar domain.
        domain: the same domain as it is given, planar itself or a box.
    """
    if plane is domain:
        return plane.curves
    named = {piece.name: piece for piece in domain.boundary.pieces}
    return [named[curve.name] for curve in plane.curves]
