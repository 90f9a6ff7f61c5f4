"""Domains, the pieces of their boundaries, and the re-entrant edges of solids."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, ClassVar, cast

import torch
from torch import Tensor

from kanpinn._support.errors import InputError, nearest
from kanpinn._support.shapes import Column, Coords, Mask, Vector, Weights
from kanpinn.geometry.points import Points
from kanpinn.geometry.rules import Draw, axis_counts, gauss_product, sobol
from kanpinn.geometry.rules_in_boxes import RulesInBoxes


class Region(ABC):
    """A set of points with a measure."""

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """The names of the coordinates, in the order of the columns of `Points.coords`."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """The dimension: d for a domain in d coordinates, d - 1 for a piece of its boundary."""

    @property
    @abstractmethod
    def measure(self) -> float:
        """The length, area, volume, ... of the region; 1 for a single point."""

    def place(self, n: int, draw: Draw) -> Points:
        """Return points of the region that are spread as evenly as given points of a unit cube.

        Args:
            n: the number of points needed.
            draw: a function that returns points of the unit cube: draw(n, dim) has the shape (n,
                dim).

        Returns:
            n points or a few more; one point if the region is a single point.
        """
        return self.spread(n, draw, 0)[0]

    @abstractmethod
    def spread(self, n: int, draw: Draw, more: int) -> tuple[Points, Tensor]:
        """Return points of the region, each with further random coordinates from one common draw.

        Args:
            n: the number of points needed.
            draw: a function that returns points of the unit cube: draw(n, dim) has the shape (n,
                dim).
            more: the number of further coordinates, from 0 to 1. They come from the same draw as
                the points of the region, so that the pairs of a point and its coordinates are
                evenly distributed.

        Returns:
            n points or a few more, and the further coordinates of each point, (n, more).
        """

    @abstractmethod
    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        """Return a quadrature rule on the region, in float64.

        Args:
            nodes: the number of nodes of each one-dimensional Gauss rule in a product rule.

        Returns:
            n points in the region, and positive weights (n,) whose sum is `measure`.

        Raises:
            InputError: unless nodes is a positive integer.
        """

    @property
    def has_gauss_rule(self) -> bool:
        """True if `quadrature` is a Gauss rule; otherwise `quadrature` consists of Sobol points."""
        return True

    @property
    def simplices(self) -> int:
        """The number of triangles or tetrahedra with a Gauss rule each; 0 for other rules."""
        return 0

    def gauss(self, n: int) -> Points:
        """Return the points of the smallest `quadrature` rule with at least n points.

        If the region has no Gauss rule or more than n `simplices`, return n Sobol points.
        """
        if not self.has_gauss_rule or self.simplices > n:
            return self.place(n, sobol(0))[:n]
        nodes = 1
        while len(points := self.quadrature(nodes)[0]) < n:
            # The number of points grows about like nodes^dim, from which nodes is estimated.
            nodes = max(nodes + 1, math.floor(nodes * (n / len(points)) ** (1 / self.dim)))
        return points


class Mapped(Region):
    """A region that is the image of the unit cube [0, 1]^dim."""

    @abstractmethod
    def image(self, unit: Coords) -> Points:
        """Map points of the cube [0, 1]^dim to the region; the shape of `unit` is not checked.

        The map scales all volumes by `measure`, so uniformly distributed points stay uniform.

        Args:
            unit: points of the cube, (n, dim).

        Returns:
            The n images, in the precision and on the device of `unit`.
        """

    def spread(self, n: int, draw: Draw, more: int) -> tuple[Points, Tensor]:
        if self.dim + more == 0:
            return self.image(torch.zeros(1, 0, dtype=torch.float64)), torch.zeros(1, 0)
        unit = draw(n, self.dim + more)
        # A view of the last columns would keep the other columns in memory; a copy does not.
        return self.image(unit[:, : self.dim]), unit[:, self.dim :].clone()

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        unit, weights = gauss_product(nodes, self.dim)
        return self.image(unit), self.measure * weights

    def gauss(self, n: int) -> Points:
        return self.image(gauss_product(axis_counts(n, self.dim), self.dim)[0])


class Sieved(Region):
    """A region of which points are found by rejection: drawn in a larger region and tested."""

    @property
    @abstractmethod
    def share(self) -> float:
        """The measure of the region divided by the measure of the larger region."""

    @abstractmethod
    def candidates(self, n: int, draw: Draw, more: int) -> tuple[Mask, Points, Tensor]:
        """Draw n points of the larger region, or a few more, and test which lie in this region.

        Args:
            n: the number of points needed.
            draw: a function that returns points of the unit cube: draw(n, dim) has the shape (n,
                dim).
            more: the number of further coordinates from 0 to 1 of each point.

        Returns:
            The mask (n,) of the points in this region, all n points of the larger region, and the
            further coordinates of all points, (n, more).
        """

    def spread(self, n: int, draw: Draw, more: int) -> tuple[Points, Tensor]:
        count = math.ceil(n / self.share)
        while True:
            kept, points, others = self.candidates(count, draw, more)
            if int(kept.sum()) >= n:
                return points[kept], others[kept]
            count += max(1, math.ceil(count * 0.02))


@dataclass(frozen=True)
class Carriers:
    """The axis-parallel planes and the spheres that contain a boundary.

    Args:
        planes: (axis, value) of each plane x[axis] = value.
        spheres: (centre, radius) of each sphere.
    """

    planes: tuple[tuple[int, float], ...] = ()
    spheres: tuple[tuple[tuple[float, ...], float], ...] = ()

    def __or__(self, other: "Carriers") -> "Carriers":
        """Return the planes and spheres of both operands, without duplicates."""
        planes = tuple(dict.fromkeys(self.planes + other.planes))
        return Carriers(planes, tuple(dict.fromkeys(self.spheres + other.spheres)))

    def within(self, axis: int, value: float) -> "Carriers":
        """Return the intersections of the planes and spheres with the plane x[axis] = value.

        The intersections are planes and spheres in one dimension less: lines and circles in 3-D.
        Their coordinates are the coordinates of x without x[axis].

        Args:
            axis: the axis orthogonal to the plane.
            value: the coordinate x[axis] on the plane.
        """
        planes = [(i - (i > axis), at) for i, at in self.planes if i != axis]
        spheres = [
            ((*center[:axis], *center[axis + 1 :]), (radius**2 - gap**2) ** 0.5)
            for center, radius in self.spheres
            if (gap := abs(value - center[axis])) < radius
        ]
        return Carriers(tuple(planes), tuple(dict.fromkeys(spheres)))


class Piece(Region):
    """A smooth, named piece of a boundary; its points have outward unit normals."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The name by which `boundary[name]` selects the piece."""

    @property
    def side(self) -> tuple[int, bool] | None:
        """The index of the coordinate that is constant on the piece, and True at its upper end.

        None unless the piece is a face of a box, a face of a box over a time interval, or the piece
        "initial" or "final" of space × time.
        """
        return None

    @property
    def is_initial(self) -> bool:
        """True if the piece is at the lower end of the last coordinate, in evolutions the time."""
        return self.side == (len(self.names) - 1, False)

    @property
    def at_time(self) -> float | None:
        """The time of the piece "initial" or "final" of space × time; None for other pieces."""
        return None

    @property
    def carriers(self) -> Carriers | None:
        """The plane or sphere that contains the piece; None if no plane or sphere does."""
        return None

    @property
    def level(self) -> Callable[[Coords], Column] | None:
        """A smooth level function of the piece, from points (n, d) to values (n, 1).

        The function is 0 on the whole line, ellipse, plane or sphere that contains the piece, and
        its gradient does not vanish there. The function may change sign inside the domain. None if
        no such function is known.
        """
        return None

    @property
    def sheets(self) -> tuple["Piece", ...]:
        """The smooth surfaces of which the piece consists and which meet at sharp edges.

        Each of them is a piece itself; a smooth piece has only itself.
        """
        return (self,)

    def in_boxes(self, boxes: Tensor, nodes: int) -> RulesInBoxes:
        """Return quadrature rules on the parts of the piece in boxes.

        The sum of a rule's weights is only approximately the area of the part.

        Args:
            boxes: the lower and upper corners of the boxes, (B, 2, d).
            nodes: about the number of points along each coordinate of a part.

        Raises:
            InputError: if the piece is not a face of a box, a sphere in three dimensions, or a set
                of triangles.
        """
        expected = "a face of a box, a sphere in three dimensions, or triangles"
        raise InputError(f"{self.name!r} cannot be divided by boxes: expected {expected}")

    @property
    def rim(self) -> Points:
        """Points on the rim of the piece, with the normals of the piece.

        They show whether conditions on adjacent pieces agree: two adjacent pieces have the same
        points on their common rim. The points are the end points of curves, corners and Gauss
        points of edges, and for pieces over a time interval points at the initial and final time.
        There are no points if the piece is closed, or the rim is not known.
        """
        none = torch.zeros(0, len(self.names), dtype=torch.float64)
        return Points(none, self.names, none)


class MappedPiece(Mapped, Piece):
    """A piece that is the image of the unit cube."""


@dataclass(frozen=True)
class Derived(Piece):
    """A boundary piece that is made from another piece and shares its carrier.

    Both pieces have the same name, coordinates, dimension, measure, and level function, and lie in
    the same plane or sphere.

    Args:
        piece: the original piece.
    """

    piece: Piece

    name, names, dim, measure, carriers, level = (
        cast(Any, property(attrgetter(f"piece.{attribute}")))
        for attribute in ("name", "names", "dim", "measure", "carriers", "level")
    )


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
    """A boundary or a part of a boundary: pieces whose overlaps have measure zero.

    `boundary["x_min"]` and `boundary["x_min", "x_max"]` select parts by the names of pieces.

    Args:
        pieces: one or more pieces.

    Example:
        >>> import kanpinn as kp
        >>> edges = kp.Box(x=(0, 2), y=(0, 1)).boundary
        >>> edges.names
        ('x_min', 'x_max', 'y_min', 'y_max')
        >>> edges["y_min", "y_max"].measure
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
        """Return the part of the boundary that consists of the pieces with the given names.

        Raises:
            InputError: if a name belongs to no piece.
        """
        wanted = (names,) if isinstance(names, str) else names
        for name in wanted:
            if name not in self.names:
                known = list(dict.fromkeys(self.names))  # several pieces may have one name
                pieces = f"its pieces are {', '.join(known)}"
                hint = nearest(name, known)
                raise InputError(f"the boundary has no piece {name!r}; {pieces}{hint}")
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


# The functions behind the operators of domains, by name. The functions build domains of classes
# whose modules import this module; therefore `kanpinn.geometry.combination` stores them here.
BUILDERS: dict[str, Callable[..., "Domain"]] = {}


class Domain(Sieved):
    """A closed set in d coordinates, of dimension d, with a boundary.

    Attributes:
        is_convex: True for boxes and balls; False says nothing.
    """

    is_convex: ClassVar[bool] = False

    @property
    def dim(self) -> int:
        """The number of coordinates d."""
        return len(self.names)

    @property
    def time_name(self) -> str | None:
        """The name of the time coordinate: "t" if there is such a coordinate, otherwise None."""
        return "t" if "t" in self.names else None

    @property
    def time_span(self) -> tuple[float, float]:
        """The initial and the final time of an evolution, whose time is the last coordinate.

        Raises:
            InputError: if the coordinate t is not the last one.
        """
        if self.time_name not in (None, self.names[-1]):
            raise InputError(
                f"domain has the coordinates {', '.join(self.names)}: an evolution expects the "
                "time t as the last one, as in Box(x=(0, 1), t=(0, 1))"
            )
        low, high = self.bounds
        return float(low[-1]), float(high[-1])

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
    def carriers(self) -> Carriers | None:
        """The planes and spheres that contain the boundary; None if a piece lies in neither."""
        carriers = Carriers()
        for piece in self.boundary.pieces:
            if piece.carriers is None:
                return None
            carriers |= piece.carriers
        return carriers

    @property
    def edges(self) -> "Edges":
        """The edges of a solid in space; empty if they are not known."""
        return Edges.none()

    @property
    def diameter(self) -> float:
        """The diameter of `bounds`."""
        low, high = self.bounds
        return float((high - low).norm())

    @property
    def is_box(self) -> bool:
        """True if the domain fills its `bounds`, as boxes and boxes over a time do."""
        return False

    def over(self, /, **time: Sequence[float | int]) -> "Domain":
        """Return space × time: `Box(x=(0, 1)).over(t=(0, 2))` has the coordinates x and t.

        The boundary consists of the pieces of the space's boundary over the whole time interval,
        and of the pieces "initial" and "final": the space at the initial and final time.

        Args:
            time: one interval (low, high); the keyword is the name of the time coordinate.

        Raises:
            InputError: unless there is exactly one interval, whose name is no coordinate yet.
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

    @property
    def share(self) -> float:
        low, high = self.bounds
        return self.measure / float((high - low).prod())

    def candidates(self, n: int, draw: Draw, more: int) -> tuple[Mask, Points, Tensor]:
        (low, high), unit = self.bounds, draw(n, self.dim + more)
        coords = torch.lerp(low, high, unit[:, : self.dim])
        return self.contains(coords), Points(coords, self.names), unit[:, self.dim :]


@dataclass(frozen=True, eq=False)
class Edges:
    """Edges of a solid in space, where smooth parts of the boundary meet, as straight segments.

    Args:
        segments: the two ends of each segment, (s, 2, 3); curved edges consist of chords.
        angles: the interior angles in radians, (s,).
        straight: a mask of the segments that are whole edges or parts of straight edges, (s,).
    """

    segments: Tensor
    angles: Tensor
    straight: Tensor

    @classmethod
    def none(cls) -> "Edges":
        """Return an empty set of edges."""
        nothing = torch.zeros(0, 2, 3, dtype=torch.float64)
        return cls(nothing, nothing[:, 0, 0], torch.zeros(0, dtype=torch.bool))

    def some(self, chosen: Tensor) -> "Edges":
        """Return the edges that a mask (s,) chooses."""
        return Edges(self.segments[chosen], self.angles[chosen], self.straight[chosen])

    @property
    def reentrant(self) -> "Edges":
        """The edges with interior angles above 180°."""
        return self.some(self.angles > math.pi)

    def vertices(self, solid: "Domain") -> Coords:
        """Return the vertices of the solid among the ends of straight segments, (v, 3).

        An end is a vertex if several of the edges, which are not two parts of one line, meet there,
        or if more than 55 % of all directions lead from it into the solid.

        Args:
            solid: the solid.
        """
        size, count, least = solid.diameter, 1000, 0.55
        place = torch.arange(count, dtype=torch.float64) + 0.5
        height, turn = 1 - 2 * place / count, math.pi * (1 + 5**0.5) * place
        flat = (1 - height**2).sqrt()
        # Unit vectors that are evenly spread on the sphere, along Fibonacci's spiral.
        around = torch.stack([flat * turn.cos(), flat * turn.sin(), height], dim=1)
        ends = self.segments[self.straight].flatten(0, 1)
        points, kept = ends.unique(dim=0) if len(ends) else ends, []
        for point in points:
            gaps = (self.segments - point).norm(dim=2)
            ending = (gaps.amin(dim=1) <= 1e-9 * size).nonzero()[:, 0]
            along = self.segments[ending, gaps[ending].argmax(dim=1)] - point
            # Where just two edges meet in about one line, there is no vertex.
            cosines = torch.nn.functional.cosine_similarity(along[:1], along, dim=1)
            in_line = len(along) == 2 and bool(cosines[1] < -0.9)
            inside = solid.contains(point + 1e-5 * size * around).double().mean()
            kept.append(not in_line and (len(along) > 1 or bool(inside > least)))
        return points[torch.tensor(kept, dtype=torch.bool)]


def across(along: Tensor) -> tuple[Tensor, Tensor]:
    """Return two unit vectors (3,) that are orthogonal to a direction (3,) and to each other."""
    helper = torch.eye(3, dtype=along.dtype)[int(along.abs().argmin())]
    first = torch.linalg.cross(along, helper)
    first = first / first.norm()
    return first, torch.linalg.cross(along / along.norm(), first)


def interior_angle(solid: "Domain", point: Tensor, along: Tensor) -> float:
    """Return the interior angle of a solid at a point (3,) of an edge, in radians.

    Args:
        solid: the solid.
        point: the point.
        along: the direction of the edge at the point, (3,).
    """
    count, radius = 720, 1e-5 * solid.diameter  # points on a ring, half a degree apart
    turns = (torch.arange(count, dtype=along.dtype) + 0.5)[:, None] * (2 * math.pi / count)
    first, second = across(along)
    ring = point + radius * (turns.cos() * first + turns.sin() * second)
    return 2 * math.pi * float(solid.contains(ring).double().mean())
