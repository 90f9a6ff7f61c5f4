"""Domains: regions of full dimension, with a boundary."""

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn._support.shapes import Column, Coords, Mask, Vector, Weights
from kanpinn.geometry.boundary import Boundary, Walls
from kanpinn.geometry.points import Points
from kanpinn.geometry.region import Draw, Region, longer


class Domain(Region):
    """A closed region of full dimension, with a boundary."""

    # What makes a new domain is above this module: the package sets both, in its __init__.py.
    _combined: ClassVar[Callable[["Domain", str, "Domain"], "Domain"]]
    _over: ClassVar[Callable[["Domain", Mapping[str, Sequence[float | int]]], "Domain"]]

    @property
    def dim(self) -> int:
        """The number of coordinates d."""
        return len(self.names)

    @property
    def time_name(self) -> str | None:
        """The name of the time among the coordinates: "t" if there is one; None without a time."""
        return "t" if "t" in self.names else None

    @property
    @abstractmethod
    def bounds(self) -> tuple[Vector, Vector]:
        """The lowest and the highest corner, (d,) each in float64, of a box around the domain."""

    @property
    @abstractmethod
    def boundary(self) -> Boundary:
        """The whole boundary."""

    @abstractmethod
    def contains(self, coords: Coords, tolerance: float = 0.0) -> Mask:
        """Which points lie in the domain.

        Args:
            coords: (n, d).
            tolerance: a distance by which the domain is widened, or narrowed where it is < 0.

        Returns:
            A mask (n,).
        """

    @property
    def operands(self) -> tuple["Domain", ...]:
        """The domains that this one is combined from; only itself where it is no combination."""
        return (self,)

    @property
    def walls(self) -> Walls | None:
        """The planes and spheres on which the boundary lies; None where it has other pieces."""
        walls = Walls()
        for piece in self.boundary.pieces:
            if piece.walls is None:
                return None
            walls |= piece.walls
        return walls

    def contains_box(self, low: Vector, high: Vector) -> bool:
        """Whether the domain is known to contain the box between two corners, (d,) each."""
        return False

    @property
    def signed_level(self) -> bool:
        """Whether `level` is < 0 everywhere outside, not only next to the boundary."""
        return False

    @property
    def smooth_level(self) -> bool:
        """Whether `level` is smooth in the whole plane or space, a product of smooth factors."""
        return False

    def level(self, coords: Coords) -> Column:
        """A level function: 0 on the boundary, > 0 inside, < 0 next to the boundary outside.

        It is twice differentiable inside, and the length of its gradient on smooth parts of the
        boundary is about 1.

        Args:
            coords: (n, d).

        Returns:
            The values (n, 1).

        Raises:
            InputError: for a domain that has no level function.
        """
        raise InputError(f"there is no level function for {self!r}")

    def over(self, /, **time: Sequence[float | int]) -> "Domain":
        """Space × time: `Box(x=(0, 1)).over(t=(0, 2))` has the coordinates x and t.

        Its boundary is that of the space over the whole time, "initial" and "final".

        Raises:
            InputError: unless there is one interval, with a name that the space has not.
        """
        return self._over(time)

    def __or__(self, other: "Domain") -> "Domain":
        """The union: the points in one or both."""
        return self._combined("union", other)

    def __sub__(self, other: "Domain") -> "Domain":
        """The difference: the points of the first that are not inside the second."""
        return self._combined("difference", other)

    def __and__(self, other: "Domain") -> "Domain":
        """The intersection: the points in both."""
        return self._combined("intersection", other)

    def place(self, n: int, draw: Draw) -> Points:
        """The points of a draw in the box around the domain that lie inside."""
        return self._inside(n, draw, 0)[0]

    def spread(self, n: int, draw: Draw) -> tuple[Points, Weights]:
        points, more = self._inside(n, draw, 1)
        return points, more[:, 0]

    def _inside(self, n: int, draw: Draw, more: int) -> tuple[Points, Tensor]:
        """Points of a draw that lie inside, and their further coordinates (n, more)."""
        low, high = self.bounds
        count = math.ceil(n * float((high - low).prod()) / self.measure)
        while True:
            unit = draw(count, self.dim + more)
            coords = torch.lerp(low, high, unit[:, : self.dim])
            kept = self.contains(coords)
            if int(kept.sum()) >= n:
                return Points(coords[kept], self.names), unit[kept, self.dim :]
            count = longer(count)
