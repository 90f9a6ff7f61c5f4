"""What a shape promises: regions, the domains among them, and the pieces of a boundary."""

import difflib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from kanpinn._typing import Column, Coords, Corner, Mask, Weights
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

    @property
    def measure_error(self) -> float:
        """The standard error of `measure` where that is an estimate, otherwise 0."""
        return 0.0

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

    def rule_error(self, nodes: int) -> float:
        """The standard error of ∫ 1 by a `quadrature` of Sobol points; 0 for Gauss rules.

        It is that before the weights are scaled to the sum `measure`, so about the error that is
        to be expected of the integral of a function of size 1.
        """
        return 0.0

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
                close = difflib.get_close_matches(name, self.names, n=1)
                raise InputError(
                    f"the boundary has no piece {name!r}; its pieces are {', '.join(self.names)}"
                    + (f"; did you mean {close[0]!r}?" if close else "")
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

    @property
    def smooth_level(self) -> bool:
        """Whether `level` is smooth in the whole plane or space, a product of smooth factors."""
        return False

    def level(self, coords: Coords) -> Column:
        """A function (n, 1) that is 0 on the boundary, > 0 inside, < 0 next to it outside.

        It is twice differentiable inside, and its gradient on smooth parts of the boundary is
        near 1, or not far from it.

        Raises:
            InputError: for a domain that has none.
        """
        raise InputError(f"there is no level function for {self!r}")

    def over(self, /, **time: Sequence[float | int]) -> "Domain":
        """Space × time: `Box(x=(0, 1)).over(t=(0, 2))` has the coordinates x and t.

        Its boundary is that of the space over the whole time, "initial" and "final".

        Raises:
            InputError: unless there is one interval, with a name that the space has not.
        """
        # Imported here, for these modules are made of domains.
        from kanpinn.geometry.box import Box
        from kanpinn.geometry.product import Product

        return Product(self, Box(**time))

    def __or__(self, other: "Domain") -> "Domain":
        """The union: the points in one or both."""
        return self._combined("union", other)

    def __sub__(self, other: "Domain") -> "Domain":
        """The difference: the points of the first that are not inside the second."""
        return self._combined("difference", other)

    def __and__(self, other: "Domain") -> "Domain":
        """The intersection: the points in both."""
        return self._combined("intersection", other)

    def _combined(self, kind: str, other: "Domain") -> "Domain":
        if not isinstance(other, Domain):
            raise InputError(f"a domain combines with another domain, got {other!r}")
        # Imported here, for these modules are made of domains.
        from kanpinn.geometry.combination import combine
        from kanpinn.geometry.combine2d import combine2d, planar

        exact = planar(self) is not None and planar(other) is not None
        return (combine2d if exact else combine)(kind, self, other)

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
