"""The pieces of a boundary, and boundaries made of them."""

import difflib
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch

from kanpinn._support.errors import InputError
from kanpinn._support.shapes import Column, Coords, Weights
from kanpinn.geometry.points import Points
from kanpinn.geometry.region import Mapped, Region


@dataclass(frozen=True)
class Walls:
    """Planes and spheres on which a boundary lies.

    Args:
        planes: (axis, value) of each plane, all across coordinate axes.
        spheres: (centre, radius) of each sphere.
    """

    planes: tuple[tuple[int, float], ...] = ()
    spheres: tuple[tuple[tuple[float, ...], float], ...] = ()

    def __or__(self, other: "Walls") -> "Walls":
        """The planes and spheres of both, each once."""
        return Walls(
            tuple(dict.fromkeys(self.planes + other.planes)),
            tuple(dict.fromkeys(self.spheres + other.spheres)),
        )

    def within(self, axis: int, value: float) -> "Walls":
        """The lines and circles in which they cut a plane, in the coordinates of that plane.

        Args:
            axis: the plane is across this axis, whose coordinate is left out.
            value: of that coordinate on the plane.
        """
        planes = [(i - (i > axis), at) for i, at in self.planes if i != axis]
        spheres = [
            ((*center[:axis], *center[axis + 1 :]), (radius**2 - gap**2) ** 0.5)
            for center, radius in self.spheres
            if (gap := abs(value - center[axis])) < radius
        ]
        return Walls(tuple(planes), tuple(dict.fromkeys(spheres)))


class Piece(Region):
    """A smooth piece of a boundary, with a name; its points carry the outward unit normals."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The name by which `boundary[name]` selects the piece."""

    @property
    def walls(self) -> Walls | None:
        """The plane or sphere that it lies on; None where it lies on neither."""
        return None

    @property
    def level(self) -> Callable[[Coords], Column] | None:
        """A smooth function (n, 1) of points (n, d) that is 0 on the piece, with a slope there.

        It is 0 on the whole line, ellipse, plane or sphere that the piece lies on, and may have
        either sign inside the domain. None where there is no such function.
        """
        return None

    @property
    def rim(self) -> Points:
        """Points where the piece ends, with its normals; none where it is closed or unknown.

        Two pieces that meet have the same points there: the ends of curves, corners and Gauss
        points of edges, and those of walls at the first and the last time.
        """
        none = torch.zeros(0, len(self.names), dtype=torch.float64)
        return Points(none, self.names, none)


@dataclass(frozen=True)
class Derived(Piece):
    """A piece that is made of another piece and has its name, coordinates and measure.

    Args:
        piece: the other piece.
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
    def measure_error(self) -> float:
        return self.piece.measure_error

    @property
    def walls(self) -> Walls | None:
        return self.piece.walls

    @property
    def level(self) -> Callable[[Coords], Column] | None:
        return self.piece.level


@dataclass(frozen=True)
class Turned(Mapped, Derived):
    """A piece with its normals reversed, as on the boundary of a domain that is taken away.

    Args:
        piece: one that is the image of a cube.
    """

    def from_unit(self, unit: Coords) -> Points:
        assert isinstance(self.piece, Mapped)
        return self.piece.from_unit(unit).turned()

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        points, weights = self.piece.quadrature(nodes)
        return points.turned(), weights

    def gauss(self, n: int) -> Points:
        return self.piece.gauss(n).turned()


@dataclass(frozen=True)
class Boundary:
    """Pieces that overlap in sets of measure zero: a whole boundary, or a part of one.

    `boundary["x_min"]` and `boundary["x_min", "x_max"]` are parts.

    Args:
        pieces: one or more.
    """

    pieces: tuple[Piece, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the pieces."""
        return tuple(piece.name for piece in self.pieces)

    @property
    def measure(self) -> float:
        """The sum of the pieces' measures."""
        return sum(piece.measure for piece in self.pieces)

    def __getitem__(self, names: str | tuple[str, ...]) -> "Boundary":
        """The part with these names.

        Raises:
            InputError: where no piece has one of the names.
        """
        wanted = (names,) if isinstance(names, str) else names
        for name in wanted:
            if name not in self.names:
                close = difflib.get_close_matches(name, self.names, n=1)
                raise InputError(
                    f"the boundary has no piece {name!r}; its pieces are {', '.join(self.names)}"
                    + (f"; did you mean {close[0]!r}?" if close else "")
                )
        return Boundary(tuple(piece for piece in self.pieces if piece.name in wanted))

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        """The quadrature rules of all pieces, one after the other.

        Returns:
            n points with their normals, and weights (n,).
        """
        rules = [piece.quadrature(nodes) for piece in self.pieces]
        return Points.cat(points for points, _ in rules), torch.cat([w for _, w in rules])
