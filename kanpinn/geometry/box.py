"""Axis-parallel boxes in any dimension: intervals, rectangles, bricks, ..."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from numbers import Real

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn._support.shapes import Column, Coords, Mask, Vector
from kanpinn.geometry.domain import Boundary, Carriers, Domain, Edges, Mapped, MappedPiece
from kanpinn.geometry.points import Points, check_names
from kanpinn.geometry.rules import cube_rim, gauss_product
from kanpinn.geometry.rules_in_boxes import RulesInBoxes


@dataclass(frozen=True, init=False, repr=False)
class Box(Mapped, Domain):
    """A product of intervals, [low_1, high_1] × ... × [low_d, high_d], d ≥ 1.

    `Box(x=(-1, 1), y=(0, 2))` is a rectangle; the pieces of its boundary are "x_min", "x_max",
    "y_min" and "y_max". The boundary pieces of an interval are its two end points.

    Args:
        ranges: the interval (low, high) of each coordinate; the keyword is the coordinate's name.

    Raises:
        InputError: if there is no range, a range is not a pair of finite numbers low < high, or a
            name is not an identifier or is an attribute of Points.

    Example:
        >>> import kanpinn as kp
        >>> box = kp.Box(x=(-1, 1), y=(0, 2))
        >>> box.measure, box.boundary.names
        (4.0, ('x_min', 'x_max', 'y_min', 'y_max'))
        >>> (box - kp.Disk((0, 1), 0.5)).boundary.names
        ('y_min', 'x_max', 'y_max', 'x_min', 'circle')
    """

    ranges: tuple[tuple[str, float, float], ...]
    names: tuple[str, ...] = field(default=(), compare=False)
    measure: float = field(default=0.0, compare=False)

    is_box = is_convex = True

    def __init__(self, /, **ranges: Sequence[float | int]) -> None:
        check_names(tuple(ranges))
        checked = []
        for name, ends in ranges.items():
            pair = tuple(ends) if isinstance(ends, Sequence) else ()
            if len(pair) != 2 or not all(isinstance(end, Real) for end in pair):
                raise InputError(f"{name} must be a pair (low, high) of numbers, got {ends!r}")
            low, high = float(pair[0]), float(pair[1])
            # If an end is NaN or infinite, the width is NaN or infinite, and the test fails.
            if not 0 < high - low < math.inf:
                raise InputError(f"{name} must be finite numbers low < high, got {ends!r}")
            checked.append((name, low, high))
        measure = math.prod(high - low for _, low, high in checked)
        vars(self).update(ranges=tuple(checked), names=tuple(ranges), measure=measure)

    def __repr__(self) -> str:
        return f"Box({', '.join(f'{name}=({low}, {high})' for name, low, high in self.ranges)})"

    @property
    def edges(self) -> Edges:
        if self.dim != 3:
            return Edges.none()
        ends = torch.stack(self.bounds)
        corners = torch.cartesian_prod(*ends.T)
        pairs = [(a, b) for a, b in itertools.combinations(corners, 2) if int((a != b).sum()) == 1]
        segments = torch.stack([torch.stack(pair) for pair in pairs])
        right = torch.full((len(pairs),), math.pi / 2, dtype=torch.float64)
        return Edges(segments, right, torch.ones(len(pairs), dtype=torch.bool))

    @property
    def bounds(self) -> tuple[Vector, Vector]:
        corners = torch.tensor([ends for _, *ends in self.ranges], dtype=torch.float64)
        return corners[:, 0], corners[:, 1]

    @property
    def boundary(self) -> Boundary:
        faces = [
            Face(self, axis, upper) for axis in range(len(self.names)) for upper in (False, True)
        ]
        return Boundary(tuple(faces))

    def contains(self, coords: Coords, tolerance: float = 0.0) -> Mask:
        low, high = self.bounds
        return ((coords >= low - tolerance) & (coords <= high + tolerance)).all(dim=1)

    def image(self, unit: Coords) -> Points:
        low, high = (corner.to(unit) for corner in self.bounds)
        # lerp is exact at 0 and 1; low + (high - low) * unit is not.
        return Points(torch.lerp(low, high, unit), self.names)


@dataclass(frozen=True)
class Face(MappedPiece):
    """A face of a box.

    Args:
        box: the box.
        axis: the index of the coordinate that is constant on the face.
        upper: True if this coordinate is at the upper end of its interval.
    """

    box: Box
    axis: int
    upper: bool
    names: tuple[str, ...] = field(default=(), init=False, repr=False, compare=False)
    dim: int = field(default=0, init=False, repr=False, compare=False)
    measure: float = field(default=0.0, init=False, repr=False, compare=False)
    side: tuple[int, bool] | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        others = self.box.ranges[: self.axis] + self.box.ranges[self.axis + 1 :]
        measure = math.prod((high - low for _, low, high in others), start=1.0)
        vars(self).update(names=self.box.names, dim=len(others), measure=measure)
        vars(self)["side"] = self.axis, self.upper

    @property
    def name(self) -> str:
        return f"{self.names[self.axis]}_{'max' if self.upper else 'min'}"

    @property
    def carriers(self) -> Carriers:
        return Carriers(planes=((self.axis, self._end),))

    @property
    def level(self) -> Callable[[Coords], Column]:
        return partial(coordinate_beyond, self.axis, self._end)

    @property
    def rim(self) -> Points:
        return self.image(cube_rim(self.dim))

    def in_boxes(self, boxes: Tensor, nodes: int) -> RulesInBoxes:
        """Return Gauss rules on the rectangles in which the face intersects boxes (B, 2, d)."""
        others = [axis for axis in range(len(self.names)) if axis != self.axis]
        low, high = torch.maximum(self.box.bounds[0], boxes[:, 0]), boxes[:, 1]
        high = torch.minimum(self.box.bounds[1], high)
        met = (boxes[:, 0, self.axis] <= self._end) & (self._end <= boxes[:, 1, self.axis])
        met &= (high > low)[:, others].all(dim=1)
        chosen, size = met.nonzero()[:, 0], (high - low)[met]
        unit, weights = gauss_product(nodes, self.dim)
        coords = low[met][:, None].repeat(1, len(unit), 1)
        coords[:, :, others] += unit * size[:, None, others]
        coords[:, :, self.axis] = self._end
        normals = torch.zeros_like(coords)
        normals[:, :, self.axis] = 1 if self.upper else -1
        areas = torch.outer(size[:, others].prod(dim=1), weights).flatten()
        points = Points(coords.flatten(0, 1), self.names, normals.flatten(0, 1))
        return RulesInBoxes(chosen.repeat_interleave(len(unit)), points, areas)

    @property
    def _end(self) -> float:
        """The value of the coordinate that is constant on the face."""
        _, *ends = self.box.ranges[self.axis]
        return ends[self.upper]

    def image(self, unit: Coords) -> Points:
        end = unit.new_full((len(unit), 1), float(self.upper))
        cube = torch.cat([unit[:, : self.axis], end, unit[:, self.axis :]], dim=1)
        normals = torch.zeros_like(cube)
        normals[:, self.axis] = 1 if self.upper else -1
        return Points(self.box.image(cube).coords, self.names, normals)


def coordinate_beyond(axis: int, value: float, coords: Coords) -> Column:
    """Return the coordinate of points (n, d) with the index `axis`, minus `value`, as (n, 1)."""
    return coords[:, axis, None] - value
