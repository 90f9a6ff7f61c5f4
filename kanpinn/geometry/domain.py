"""The interface of all domains, and the re-entrant edges of solids."""

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn._support.shapes import Column, Coords, Mask, Vector
from kanpinn.geometry.boundary import Boundary, Walls
from kanpinn.geometry.points import Points
from kanpinn.geometry.region import Draw, Region, accepted

# The functions behind the operators of domains, by name. They build domains of other classes, whose
# modules import this one; therefore `kanpinn.geometry.combining` enters them here.
BUILDERS: dict[str, Callable[..., "Domain"]] = {}


class Domain(Region):
    """A closed region of full dimension, with a boundary."""

    @property
    def dim(self) -> int:
        """The number of coordinates d."""
        return len(self.names)

    @property
    def time_name(self) -> str | None:
        """The name of the time coordinate: "t" if there is such a coordinate, otherwise None."""
        return "t" if "t" in self.names else None

    @property
    @abstractmethod
    def bounds(self) -> tuple[Vector, Vector]:
        """The lower and upper corner, (d,) each in float64, of a box that contains the domain."""

    @property
    @abstractmethod
    def boundary(self) -> Boundary:
        """The whole boundary."""

    @abstractmethod
    def contains(self, coords: Coords, tolerance: float = 0.0) -> Mask:
        """Return which points lie in the domain.

        Args:
            coords: points (n, d).
            tolerance: the distance by which the domain is enlarged, or shrunk if it is < 0.

        Returns:
            A mask (n,).
        """

    @property
    def operands(self) -> tuple["Domain", ...]:
        """The domains that a combination consists of; for other domains the domain itself."""
        return (self,)

    @property
    def walls(self) -> Walls | None:
        """The planes and spheres that contain the boundary; None if it has other pieces."""
        walls = Walls()
        for piece in self.boundary.pieces:
            if piece.walls is None:
                return None
            walls |= piece.walls
        return walls

    @property
    def reentrant_edges(self) -> "ReentrantEdges":
        """The edges of a solid at which its boundary turns inwards; none where they are unknown."""
        return ReentrantEdges.none()

    @property
    def diameter(self) -> float:
        """The diameter of `bounds`."""
        low, high = self.bounds
        return float((high - low).norm())

    @property
    def measure_error(self) -> float:
        """The standard error of `measure` if that is an estimate, otherwise 0."""
        return 0.0

    @property
    def has_gauss_rule(self) -> bool:
        """Whether `quadrature` is a Gauss rule; otherwise it consists of Sobol points."""
        return True

    @property
    def is_convex(self) -> bool:
        """True for boxes and balls."""
        return False

    @property
    def is_box(self) -> bool:
        """True for a box, and for a box over a time interval: the domain is all of its `bounds`."""
        return False

    @property
    def signed_level(self) -> bool:
        """True if `level` is < 0 everywhere outside, not only next to the boundary."""
        return False

    def level(self, coords: Coords) -> Column:
        """Return the level function: 0 on the boundary, > 0 inside, < 0 outside near the boundary.

        It is twice differentiable inside, and its gradient has a length of about 1 on smooth parts
        of the boundary.

        Args:
            coords: points (n, d).

        Returns:
            The values (n, 1).

        Raises:
            InputError: if the domain has no level function.
        """
        raise InputError(f"there is no level function for {self!r}")

    def over(self, /, **time: Sequence[float | int]) -> "Domain":
        """Return space × time: `Box(x=(0, 1)).over(t=(0, 2))` has the coordinates x and t.

        The boundary consists of the pieces of the space over the whole time interval, "initial"
        and "final".

        Args:
            time: one interval (low, high) under the name of the time coordinate.

        Raises:
            InputError: unless there is exactly one interval and its name is new.
        """
        return BUILDERS["over"](self, time)

    def __or__(self, other: "Domain") -> "Domain":
        """Return the union: the points in at least one of the domains."""
        return BUILDERS["combine"]("union", self, other)

    def __sub__(self, other: "Domain") -> "Domain":
        """Return the difference: the points of the first domain that are not inside the second."""
        return BUILDERS["combine"]("difference", self, other)

    def __and__(self, other: "Domain") -> "Domain":
        """Return the intersection: the points in both domains."""
        return BUILDERS["combine"]("intersection", self, other)

    def spread(self, n: int, draw: Draw, more: int) -> tuple[Points, Tensor]:
        """Draw points in the bounding box and return at least n that lie inside the domain."""
        low, high = self.bounds

        def drawn(count: int) -> tuple[Mask, Points, Tensor]:
            unit = draw(count, self.dim + more)
            coords = torch.lerp(low, high, unit[:, : self.dim])
            return self.contains(coords), Points(coords, self.names), unit[:, self.dim :]

        return accepted(n, math.ceil(n * float((high - low).prod()) / self.measure), drawn)


@dataclass(frozen=True, eq=False)
class ReentrantEdges:
    """Edges of a solid in space with interior angles above 180°, as straight segments.

    Args:
        segments: their ends, (s, 2, 3); those of curved edges are chords.
        angles: the interior angles in radians, (s,).
        vertices: the ends of edges around which more than half of all directions lead into the
            solid, (v, 3). Points where just two edges meet in one line are no vertices.
    """

    segments: Tensor
    angles: Tensor
    vertices: Coords

    @classmethod
    def none(cls) -> "ReentrantEdges":
        """No edges."""
        nothing = torch.zeros(0, 2, 3, dtype=torch.float64)
        return cls(nothing, nothing[:, 0, 0], nothing[:, 0])

    @classmethod
    def of(
        cls, solid: "Domain", segments: Tensor, angles: Tensor, ends: Coords
    ) -> "ReentrantEdges":
        """The edges with those of some points, (n, 3), that are vertices."""
        size, around, least = solid.diameter, _directions(1000), 0.55

        def is_vertex(point: Tensor) -> bool:
            inside = solid.contains(point + 1e-5 * size * around).double().mean()
            return bool(inside > least) and not _on_straight_edge(segments, point, size)

        points = ends.unique(dim=0) if len(ends) else ends
        kept = torch.tensor([is_vertex(point) for point in points], dtype=torch.bool)
        return cls(segments, angles, points[kept])


def across(along: Tensor) -> tuple[Tensor, Tensor]:
    """Two unit vectors that are orthogonal to a direction (3,) and to each other."""
    helper = torch.eye(3, dtype=along.dtype)[int(along.abs().argmin())]
    first = torch.linalg.cross(along, helper)
    first = first / first.norm()
    return first, torch.linalg.cross(along / along.norm(), first)


def interior_angle(solid: "Domain", point: Tensor, along: Tensor) -> float:
    """The angle in radians of the part of a solid around a point (3,) of an edge.

    along: the edge's direction there, (3,).
    """
    count, radius = 720, 1e-5 * solid.diameter  # points on a ring, half a degree apart
    turns = (torch.arange(count, dtype=along.dtype) + 0.5)[:, None] * (2 * math.pi / count)
    first, second = across(along)
    ring = point + radius * (turns.cos() * first + turns.sin() * second)
    return 2 * math.pi * float(solid.contains(ring).double().mean())


def _directions(count: int) -> Coords:
    """Evenly spread unit vectors, (count, 3), on Fibonacci's spiral."""
    place = torch.arange(count, dtype=torch.float64) + 0.5
    height, turn = 1 - 2 * place / count, math.pi * (1 + 5**0.5) * place
    flat = (1 - height**2).sqrt()
    return torch.stack([flat * turn.cos(), flat * turn.sin(), height], dim=1)


def _on_straight_edge(segments: Tensor, point: Tensor, size: float) -> bool:
    """Whether exactly two edges meet at a point, in about one line."""
    gaps = (segments - point).norm(dim=2)
    ending = (gaps.amin(dim=1) <= 1e-9 * size).nonzero()[:, 0]
    if len(ending) != 2:
        return False
    far = gaps[ending].argmax(dim=1)
    one, other = segments[ending, far] - point
    return bool((one @ other) < -0.9 * one.norm() * other.norm())
