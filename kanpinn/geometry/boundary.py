"""The pieces of a boundary, and boundaries made of them."""

import difflib
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn._support.shapes import Column, Coords, Weights
from kanpinn.geometry.points import Points
from kanpinn.geometry.region import Mapped, Region
from kanpinn.geometry.rules_in_boxes import RulesInBoxes


@dataclass(frozen=True)
class Walls:
    """The axis-parallel planes and the spheres that contain a boundary.

    Args:
        planes: (axis, value) of each plane x[axis] = value.
        spheres: (centre, radius) of each sphere.
    """

    planes: tuple[tuple[int, float], ...] = ()
    spheres: tuple[tuple[tuple[float, ...], float], ...] = ()

    def __or__(self, other: "Walls") -> "Walls":
        """Return the planes and spheres of both operands, without duplicates."""
        return Walls(
            tuple(dict.fromkeys(self.planes + other.planes)),
            tuple(dict.fromkeys(self.spheres + other.spheres)),
        )

    def within(self, axis: int, value: float) -> "Walls":
        """Return the intersections with the plane x[axis] = value, in coordinates of the plane.

        The intersections are planes and spheres in one dimension less: lines and circles in 3-D.

        Args:
            axis: the axis orthogonal to the plane; its coordinate is left out.
            value: the value of that coordinate on the plane.
        """
        planes = [(i - (i > axis), at) for i, at in self.planes if i != axis]
        spheres = [
            ((*center[:axis], *center[axis + 1 :]), (radius**2 - gap**2) ** 0.5)
            for center, radius in self.spheres
            if (gap := abs(value - center[axis])) < radius
        ]
        return Walls(tuple(planes), tuple(dict.fromkeys(spheres)))


class Piece(Region):
    """A smooth, named piece of a boundary; its points have outward unit normals."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The name by which `boundary[name]` selects the piece."""

    @property
    def side(self) -> tuple[int, bool] | None:
        """The index of the coordinate that is constant here, and True where it is at its upper end.

        None unless the piece is a face of a box, over a time interval or not, or an end of time.
        """
        return None

    @property
    def at_time(self) -> float | None:
        """The time of the piece "initial" or "final" of space × time; None for other pieces."""
        return None

    @property
    def walls(self) -> Walls | None:
        """The plane or sphere that contains the piece; None if there is none."""
        return None

    @property
    def level(self) -> Callable[[Coords], Column] | None:
        """A smooth level function of the piece, from points (n, d) to values (n, 1).

        It is 0 on the whole line, ellipse, plane or sphere that contains the piece, and its
        gradient does not vanish there. It may change sign inside the domain. None if the piece has
        no such function.
        """
        return None

    @property
    def sheets(self) -> tuple["Piece", ...]:
        """The smooth parts of the piece, which meet at sharp edges, as pieces."""
        return (self,)

    def in_boxes(self, boxes: Tensor, nodes: int) -> RulesInBoxes:
        """Return rules on the parts of the piece in boxes.

        The weights approximate the area of each part, but their sum need not be exact.

        Args:
            boxes: the lower and upper corners of the boxes, (B, 2, d).
            nodes: about the number of points along each coordinate of a part.

        Raises:
            InputError: if the piece is not a face of a box, a sphere in three dimensions, or a set
                of triangles.
        """
        raise InputError(
            f"the piece {self.name!r} cannot be divided by boxes: expected a face of a box, a "
            "sphere in three dimensions, or triangles"
        )

    @property
    def rim(self) -> Points:
        """Points on the rim of the piece with its normals; no points if it is closed or unknown.

        Two adjacent pieces have the same points on their common rim: end points of curves, corners
        and Gauss points of edges, and for pieces over a time interval the points at its two ends.
        """
        none = torch.zeros(0, len(self.names), dtype=torch.float64)
        return Points(none, self.names, none)


class MappedPiece(Mapped, Piece):
    """A piece that is the image of the unit cube."""


@dataclass(frozen=True)
class Derived(Piece):
    """A piece that is derived from another piece and takes over its name, coordinates and measure.

    Args:
        piece: the original piece.
    """

    piece: Piece

    @property
    def name(self) -> str:
        return self.piece.name

    @property
    def names(self) -> tuple[str, ...]:
        return self.piece.names

    @property
    def dim(self) -> int:
        return self.piece.dim

    @property
    def measure(self) -> float:
        return self.piece.measure

    @property
    def walls(self) -> Walls | None:
        return self.piece.walls

    @property
    def level(self) -> Callable[[Coords], Column] | None:
        return self.piece.level


@dataclass(frozen=True)
class Turned(MappedPiece, Derived):
    """A piece with reversed normals, for the boundary of a domain that is subtracted.

    Args:
        piece: the original piece, the image of a unit cube.
    """

    piece: MappedPiece

    def image(self, unit: Coords) -> Points:
        return self.piece.image(unit).turned()

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        points, weights = self.piece.quadrature(nodes)
        return points.turned(), weights

    def in_boxes(self, boxes: Tensor, nodes: int) -> RulesInBoxes:
        return self.piece.in_boxes(boxes, nodes).turned()

    def gauss(self, n: int) -> Points:
        return self.piece.gauss(n).turned()


@dataclass(frozen=True)
class Boundary:
    """A boundary or a part of one: pieces whose overlaps have measure zero.

    `boundary["x_min"]` and `boundary["x_min", "x_max"]` select parts by the names of pieces.

    Args:
        pieces: one or more pieces.

    Example:
        >>> import kanpinn as kp
        >>> walls = kp.Box(x=(0, 2), y=(0, 1)).boundary
        >>> walls.names
        ('x_min', 'x_max', 'y_min', 'y_max')
        >>> walls["y_min", "y_max"].measure
        4.0
    """

    pieces: tuple[Piece, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the pieces, in order."""
        return tuple(piece.name for piece in self.pieces)

    @property
    def measure(self) -> float:
        """The sum of the pieces' measures."""
        return sum(piece.measure for piece in self.pieces)

    def __getitem__(self, names: str | tuple[str, ...]) -> "Boundary":
        """Return the part of the boundary that consists of the pieces with these names.

        Raises:
            InputError: if a name belongs to no piece.
        """
        wanted = (names,) if isinstance(names, str) else names
        for name in wanted:
            if name not in self.names:
                known = list(dict.fromkeys(self.names))  # several pieces may have one name
                close = difflib.get_close_matches(name, known, n=1)
                raise InputError(
                    f"the boundary has no piece {name!r}; its pieces are {', '.join(known)}"
                    + (f"; did you mean {close[0]!r}?" if close else "")
                )
        return Boundary(tuple(piece for piece in self.pieces if piece.name in wanted))

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        """Return the concatenated quadrature rules of all pieces.

        Args:
            nodes: the number of nodes of each one-dimensional Gauss rule.

        Returns:
            n points with normals, and weights (n,).
        """
        rules = [piece.quadrature(nodes) for piece in self.pieces]
        return Points.cat(points for points, _ in rules), torch.cat([w for _, w in rules])
