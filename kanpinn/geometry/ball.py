"""Balls, and rules and samples on parts of spheres."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Real

import torch
from scipy.special import betaincinv
from torch import Tensor

from kanpinn._support.errors import InputError, integer, number
from kanpinn._support.shapes import Column, Coords, Mask, Vector, Weights
from kanpinn.geometry.domain import Boundary, Carriers, Domain, Mapped, MappedPiece, Region
from kanpinn.geometry.points import Points, check_names
from kanpinn.geometry.rules import check_size, jacobi, tensor_grid
from kanpinn.geometry.rules_in_boxes import Hits, RulesInBoxes, cast


@dataclass(frozen=True, init=False, repr=False)
class Ball(Mapped, Domain):
    """The points at most `radius` away from a centre, in d ≥ 3 dimensions.

    The boundary of `Ball((0, 0, 0), 0.3, name="hole")` is one piece, "hole".

    Args:
        center: the centre, d numbers.
        radius: the radius, above 0.
        names: the names of the coordinates; by default ("x", "y", "z") in 3-D and
            ("x1", "x2", ...) in higher dimensions.
        name: the name of the boundary piece.

    Raises:
        InputError: if the centre has fewer than three coordinates or a coordinate is not finite,
            the radius is not above 0, or there are not d valid names.

    Example:
        >>> import kanpinn as kp
        >>> f"{kp.Ball((0, 0, 0), 1).measure:.4f}"
        '4.1888'
        >>> block = kp.Box(x=(-1, 1), y=(-1, 1), z=(-1, 1)) - kp.Ball((0, 0, 0), 0.5, name="hole")
        >>> block.boundary["hole"].names
        ('hole',)
    """

    center: tuple[float, ...]
    radius: float
    names: tuple[str, ...] = ()
    name: str = "sphere"

    is_convex = True

    def __init__(
        self,
        center: Sequence[float | int],
        radius: float | int,
        *,
        names: Sequence[str] | None = None,
        name: str = "sphere",
    ) -> None:
        number("radius", radius, above=True)
        if len(center) < 3:
            given = f"got {tuple(center)!r}: in two dimensions take a Disk, in one a Box"
            raise InputError(f"center must have three or more coordinates, {given}")
        if not all(isinstance(value, Real) and math.isfinite(value) for value in center):
            raise InputError(f"center must be finite numbers, got {tuple(center)!r}")
        axes = coordinate_names(names, len(center))
        vars(self).update(center=tuple(map(float, center)), radius=float(radius), names=axes)
        vars(self)["name"] = name

    def __repr__(self) -> str:
        return f"Ball({self.center}, {self.radius})"

    @property
    def measure(self) -> float:
        return _sphere_area(self.dim) / self.dim * self.radius**self.dim

    @property
    def bounds(self) -> tuple[Vector, Vector]:
        center = torch.tensor(self.center, dtype=torch.float64)
        return center - self.radius, center + self.radius

    @property
    def boundary(self) -> Boundary:
        return Boundary((Sphere(self),))

    def contains(self, coords: Coords, tolerance: float = 0.0) -> Mask:
        return (coords - coords.new_tensor(self.center)).norm(dim=1) <= self.radius + tolerance

    def level(self, coords: Coords) -> Column:
        """Return (R² - r²) / 2R at points (n, d), as (n, 1); the gradient has length 1 at r = R.

        R is the radius of the ball, and r is the distance of a point from the centre.
        """
        offsets = coords - coords.new_tensor(self.center)
        return (self.radius**2 - offsets.square().sum(dim=1, keepdim=True)) / (2 * self.radius)

    def image(self, unit: Coords) -> Points:
        share = unit[:, :1] ** (1 / self.dim)
        offsets = self.radius * share * _sphere_from_unit(unit[:, 1:])
        return Points(unit.new_tensor(self.center) + offsets, self.names)

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        """Return the product of a Gauss–Jacobi rule in the radius and a product rule on the sphere.

        The rule has n = 2·nodes^d points, and weights (n,). It is exact for polynomials in the
        coordinates up to degree 2·nodes - 1.
        """
        nodes = integer("nodes", nodes)
        check_size(nodes, 2 * nodes**self.dim)
        shares, along = jacobi(nodes, 0, self.dim - 1)
        directions, around = _sphere_rule(nodes, self.dim)
        offsets = self.radius * (1 + shares)[:, None, None] / 2 * directions
        coords = torch.tensor(self.center, dtype=torch.float64) + offsets.reshape(-1, self.dim)
        weights = (self.radius / 2) ** self.dim * torch.outer(along, around).reshape(-1)
        return Points(coords, self.names), weights

    gauss = Region.gauss


@dataclass(frozen=True)
class Sphere(MappedPiece):
    """The sphere that bounds a ball.

    Args:
        ball: the ball.
    """

    ball: Ball

    @property
    def name(self) -> str:
        return self.ball.name

    @property
    def names(self) -> tuple[str, ...]:
        return self.ball.names

    @property
    def dim(self) -> int:
        return self.ball.dim - 1

    @property
    def carriers(self) -> Carriers:
        return Carriers(spheres=((self.ball.center, self.ball.radius),))

    @property
    def level(self) -> Callable[[Coords], Column]:
        return self.ball.level

    @property
    def measure(self) -> float:
        return _sphere_area(self.ball.dim) * self.ball.radius**self.dim

    def image(self, unit: Coords) -> Points:
        return self._at(_sphere_from_unit(unit))

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        """Return a product rule with 2·nodes^(d-1) points.

        It is exact for polynomials in the coordinates up to degree 2·nodes - 1.
        """
        normals, weights = _sphere_rule(integer("nodes", nodes), self.ball.dim)
        return self._at(normals), self.ball.radius**self.dim * weights

    def in_boxes(self, boxes: Tensor, nodes: int) -> RulesInBoxes:
        if self.ball.dim != 3:
            return super().in_boxes(boxes, nodes)
        center, radius = boxes.new_tensor(self.ball.center), self.ball.radius
        offsets = boxes - center
        nearest = torch.maximum(offsets[:, 0], -offsets[:, 1]).clamp_min(0).norm(dim=1)
        farthest = offsets.abs().amax(dim=1).norm(dim=1)
        met = (nearest <= radius) & (farthest >= radius)
        # The sphere is divided into six parts. On each part the normal is largest along one axis,
        # in one direction, so that the part is a graph over the two other axes.
        reach, least = radius / 2**0.5, (1 - 1e-9) * radius / 3**0.5
        parts = [RulesInBoxes.none(self.names)]
        for axis, sign in itertools.product(range(3), (-1, 1)):
            along = (sign * offsets[:, :, axis]).amax(dim=1)
            chosen = (met & (along >= least)).nonzero()[:, 0]
            some = boxes[chosen].clamp(center - reach, center + reach)
            some[:, :, axis] = boxes[chosen, :, axis]
            hits = partial(self._hits, axis, sign)
            parts.append(cast(hits, self.names, axis, some, nodes).numbered(chosen))
        return RulesInBoxes.joined(parts)

    def _hits(self, axis: int, sign: int, lines: Tensor, boxes: Tensor) -> Hits:
        """Return the points where lines along an axis meet one of six equal parts of the sphere.

        In this part the normals are larger along the axis than along the other axes, and point in
        the direction of `sign`. The lines are numbered box by box.

        Args:
            axis: the index of the axis.
            sign: 1 or -1, the sign of the normals along the axis.
            lines: the other two coordinates of q lines in each of k boxes, (k, q, 2).
            boxes: not used, because the sphere does not depend on the box.
        """
        center, radius = self.ball.center, self.ball.radius
        offsets = lines.flatten(0, 1) - lines.new_tensor(center[:axis] + center[axis + 1 :])
        height = radius**2 - offsets.square().sum(dim=1)
        met = (height >= offsets.square().amax(dim=1)).nonzero()[:, 0]
        along = sign * height[met].sqrt()[:, None]
        normals = torch.cat([offsets[met, :axis], along, offsets[met, axis:]], dim=1) / radius
        return met, lines.new_tensor(center) + radius * normals, normals

    gauss = Region.gauss

    def _at(self, normals: Coords) -> Points:
        """The points of the sphere with given unit normals (n, d)."""
        center = normals.new_tensor(self.ball.center)
        return Points(center + self.ball.radius * normals, self.names, normals)


def coordinate_names(names: Sequence[str] | None, dim: int) -> tuple[str, ...]:
    """Return the names of dim coordinates as a tuple.

    Args:
        names: the names; None for (x, y), (x, y, z), or (x1, x2, ...) above 3-D.
        dim: the number of coordinates.

    Raises:
        InputError: unless there are dim valid names, see `check_names`.
    """
    if names is None:
        return ("x", "y", "z")[:dim] if dim <= 3 else tuple(f"x{i + 1}" for i in range(dim))
    if isinstance(names, str) or len(names) != dim:
        raise InputError(f"names must be {dim} names of coordinates, got {names!r}")
    check_names(tuple(names))
    return tuple(names)


def _sphere_area(dim: int) -> float:
    """Return the area of the unit sphere in `dim` coordinates: 2π for 2, 4π for 3."""
    return 2 * math.pi ** (dim / 2) / math.gamma(dim / 2)


def _sphere_from_unit(unit: Tensor) -> Coords:
    """Map points (n, d - 1) of [0, 1]^(d-1) to the unit sphere in d ≥ 2 coordinates, (n, d).

    The map scales all areas by the same factor. In three coordinates the height along the first
    axis and the angle about this axis are linear in the cube's coordinates (Archimedes).
    """
    last, shares = unit.shape[1], []
    for k in range(last, 1, -1):
        share = unit[:, last - k]
        if k > 2:  # torch has no inverse of the incomplete beta function
            quantiles = betaincinv(k / 2, k / 2, share.detach().cpu().double().numpy())
            share = torch.from_numpy(quantiles).to(share)
        shares.append(share)
    return _embed([(2 * share - 1, 2 * (share * (1 - share)).sqrt()) for share in shares], unit)


def _sphere_rule(nodes: int, dim: int) -> tuple[Coords, Weights]:
    """Return a product rule with n = 2·nodes^(d-1) points on the unit sphere.

    The factors are Gauss–Gegenbauer rules in the d - 2 heights along the first axes, and a
    trapezoidal rule in the angle in the plane of the last two axes. The product is exact for
    polynomials in the coordinates up to degree 2·nodes - 1.

    Args:
        nodes: the number of nodes per height; there are 2·nodes angles.
        dim: the number of coordinates d ≥ 2.

    Returns:
        Points (n, d) and weights (n,).

    Reference: Stroud, Approximate Calculation of Multiple Integrals (1971), section 2.7.
    """
    check_size(nodes, 2 * nodes ** (dim - 1))
    axes, factors = [], []
    for k in range(dim - 1, 1, -1):
        heights, weights = jacobi(nodes, k / 2 - 1, k / 2 - 1)
        axes.append(heights)
        factors.append(weights)
    axes.append((torch.arange(2 * nodes, dtype=torch.float64) + 0.5) / (2 * nodes))
    factors.append(torch.full((2 * nodes,), math.pi / nodes, dtype=torch.float64))
    grid = tensor_grid(axes)
    levels = [(height, (1 - height**2).sqrt()) for height in grid[:, :-1].T]
    return _embed(levels, grid), tensor_grid(factors).prod(dim=1)


def _embed(levels: list[tuple[Tensor, Tensor]], unit: Tensor) -> Coords:
    """Return points (n, d) of the unit sphere from heights along the first axes and an angle.

    Args:
        levels: for each of the first d - 2 axes a pair: the heights h of the points within a unit
            sphere, (n,), and the radii sqrt(1 - h²) of the sphere's sections at these heights,
            (n,).
        unit: a tensor (n, k), whose last column is the angle in the plane of the last two axes, as
            a fraction of 2π.
    """
    columns, radius = [], torch.ones_like(unit[:, 0])
    for height, left in levels:
        columns.append(radius * height)
        radius = radius * left
    angle = 2 * math.pi * unit[:, -1]
    return torch.stack([*columns, radius * angle.cos(), radius * angle.sin()], dim=1)
