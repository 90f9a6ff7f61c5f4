"""A piece of a boundary seen from its other side."""

from dataclasses import dataclass

from kanpinn._support.shapes import Coords, Weights
from kanpinn.geometry.boundary import Derived
from kanpinn.geometry.points import Points
from kanpinn.geometry.region import Mapped


@dataclass(frozen=True)
class Turned(Mapped, Derived):
    """The same piece with its normals the other way: what a domain leaves behind when taken away.

    Args:
        piece: one that is the image of a cube.
    """

    def from_unit(self, unit: Coords) -> Points:
        assert isinstance(self.piece, Mapped)
        return _turn(self.piece.from_unit(unit))

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        points, weights = self.piece.quadrature(nodes)
        return _turn(points), weights

    def gauss(self, n: int) -> Points:
        return _turn(self.piece.gauss(n))


def _turn(points: Points) -> Points:
    assert points.normals is not None
    return Points(points.coords, points.names, -points.normals)
