"""What a shape promises: regions, the domains among them, and the pieces of a boundary."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch

from kanpinn._typing import Coords, Corner, Mask, Weights
from kanpinn.errors import InputError
from kanpinn.geometry.points import Points
from kanpinn.geometry.rules import axis_counts, gauss_product

SHORT = 0.02  # by so much a draw of which too few lie inside grows
Draw = Callable[[int, int], Coords]  # draw(n, dim): n points of the unit cube [0, 1]^dim


class Region(ABC):
    """A set of points with a measure."""

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """The coordinates' names, in the order of the columns of its points."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """Its own dimension: d for a domain in d coordinates, d - 1 for a piece of its boundary."""

    @property
    @abstractmethod
    def measure(self) -> float:
        """Length, area, volume, ...; 1 for a single point."""

    @abstractmethod
    def place(self, n: int, draw: Draw) -> Points:
        """n points or a few more, as evenly spread by measure as those of the draw in the cube."""

    @abstractmethod
    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        """Points inside and positive weights (n,), whose sum is `measure`, in float64.

        Args:
            nodes: of each one-dimensional Gauss rule that it is made of.

        Raises:
            InputError: unless nodes is a positive integer.
        """

    def gauss(self, n: int) -> Points:
        """The points of the smallest `quadrature` that has n or more."""
        nodes = 1
        while len(points := self.quadrature(nodes)[0]) < n:
            # At least one more, and as many as would do if the number grew like nodes^dim.
            nodes = max(nodes + 1, math.floor(nodes * (n / len(points)) ** (1 / self.dim)))
        return points


class Mapped(Region):
    """A region that is the image of the unit cube of its own dimension."""

    @abstractmethod
    def from_unit(self, unit: Coords) -> Points:
        """The images of points of [0, 1]^dim, (n, dim), in the same precision, on the same device.

        The map scales all volumes by `measure`: uniform points stay uniform.

        Raises:
            InputError: unless unit has the shape (n, dim).
        """

    def place(self, n: int, draw: Draw) -> Points:
        if self.dim == 0:
            return self.from_unit(torch.zeros(1, 0, dtype=torch.float64))
        return self.from_unit(draw(n, self.dim))

    def gauss(self, n: int) -> Points:
        counts = axis_counts(n, self.dim)
        return self.from_unit(gauss_product(counts, self.dim)[0])


class Piece(Region):
    """A smooth piece of a boundary, with a name; its points carry the outward unit normals."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What `boundary[name]` selects it by."""


@dataclass(frozen=True)
class Boundary:
    """Pieces that overlap in sets of measure zero: a whole boundary, or a part of one.

    `boundary["x_min"]` and `boundary["x_min", "x_max"]` are parts.

    Raises:
        InputError: where there is no piece.
    """

    pieces: tuple[Piece, ...]

    def __post_init__(self) -> None:
        if not self.pieces:
            raise InputError("a boundary must have at least one piece, got none")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the pieces."""
        return tuple(piece.name for piece in self.pieces)

    @property
    def measure(self) -> float:
        """The sum over the pieces."""
        return sum(piece.measure for piece in self.pieces)

    def __getitem__(self, names: str | tuple[str, ...]) -> "Boundary":
        """The part with these names.

        Raises:
            InputError: where no piece has one of the names.
        """
        wanted = (names,) if isinstance(names, str) else names
        for name in wanted:
            if name not in self.names:
                raise InputError(
                    f"the boundary has no piece {name!r}; its pieces are {', '.join(self.names)}"
                )
        return Boundary(tuple(piece for piece in self.pieces if piece.name in wanted))

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        """The pieces' Gauss points and weights (n,), one piece after the other."""
        rules = [piece.quadrature(nodes) for piece in self.pieces]
        return Points.cat(points for points, _ in rules), torch.cat([w for _, w in rules])


class Domain(Region):
    """A closed region of full dimension, with a boundary."""

    @property
    def dim(self) -> int:
        """The number of coordinates d."""
        return len(self.names)

    @property
    @abstractmethod
    def bounds(self) -> tuple[Corner, Corner]:
        """The lowest and highest corner, (d,) each in float64, of the smallest box around it."""

    @property
    @abstractmethod
    def boundary(self) -> Boundary:
        """Its whole boundary."""

    @abstractmethod
    def contains(self, coords: Coords, tolerance: float = 0.0) -> Mask:
        """Which of the points (n, d) lie in it; a tolerance > 0 widens it, < 0 narrows it."""

    def place(self, n: int, draw: Draw) -> Points:
        """Those of a draw in the box around it that lie inside."""
        low, high = self.bounds
        count = math.ceil(n * float((high - low).prod()) / self.measure)
        while True:
            coords = torch.lerp(low, high, draw(count, self.dim))
            inside = coords[self.contains(coords)]
            if len(inside) >= n:
                return Points(inside, self.names)
            count += max(1, math.ceil(count * SHORT))
