"""Arcs of circles and ellipses."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from kanpinn._support.errors import InputError, number
from kanpinn._support.shapes import Column, Coords, Weights
from kanpinn.geometry.curves.conics import Conic, closest
from kanpinn.geometry.curves.curve import XY, Curve, Pair, pair, two_names
from kanpinn.geometry.curves.segments import left_of
from kanpinn.geometry.curves.sides import Side

TURN = 2 * math.pi  # a full turn in radians


@dataclass(frozen=True)
class Arc(Curve):
    """An arc of an ellipse, c + R(angle) (a cos θ, b sin θ) for θ from `first` to `last`.

    It runs clockwise if last < first.

    Args:
        center: the centre c.
        axes: the semi-axes (a, b), equal for a circle.
        angle: the counter-clockwise rotation angle of the ellipse, in radians.
        first, last: the eccentric angles θ of the two ends in radians, at most 2π apart.

    Raises:
        InputError: if a number is not finite, a semi-axis is ≤ 0, or the arc spans an angle of 0 or
            of more than 2π.

    Example:
        >>> import math
        >>> import kanpinn as kp
        >>> half = kp.Arc((0, 0), (1, 1), last=math.pi, name="dome")
        >>> domain = kp.Planar((half, kp.Segment((-1, 0), (1, 0), name="floor")))
        >>> f"{domain.measure:.4f}", domain.boundary.names
        ('1.5708', ('dome', 'floor'))
    """

    center: Pair
    axes: Pair
    angle: float | int = 0.0
    first: float | int = 0.0
    last: float | int = TURN
    name: str = "arc"
    names: tuple[str, ...] = XY

    def __post_init__(self) -> None:
        object.__setattr__(self, "center", pair("center", self.center))
        object.__setattr__(self, "axes", pair("axes", self.axes))
        object.__setattr__(self, "names", two_names(self.names))
        for key in ("angle", "first", "last"):
            number(key, getattr(self, key), -math.inf)
            object.__setattr__(self, key, float(getattr(self, key)))
        if min(self.axes) <= 0:
            raise InputError(f"axes must be positive, got {self.axes}")
        if not 0 < abs(self.sweep) <= TURN * (1 + 1e-14):
            raise InputError(
                f"an arc must span more than 0 and at most 2π, got {self.first} to {self.last}"
            )

    @property
    def conic(self) -> Conic:
        """The ellipse that contains the arc."""
        return Conic(self.center, self.axes, self.angle)

    @property
    def sweep(self) -> float:
        """The angle last - first in radians; it is < 0 for a clockwise arc."""
        return self.last - self.first

    @property
    def closed(self) -> bool:
        """True if the arc is a whole ellipse."""
        return abs(self.sweep) > TURN - 1e-12

    @property
    def start(self) -> Pair:
        return self.conic.point(self.first)

    @property
    def stop(self) -> Pair:
        return self.start if self.closed else self.conic.point(self.last)

    @property
    def measure(self) -> float:
        ends = self.conic.length(np.array([self.first, self.last]))
        return abs(float(ends[1] - ends[0]))

    @property
    def bounds(self) -> tuple[Pair, Pair]:
        ends = [self.start, self.stop]
        turning = [a for axis in (0, 1) for a in self._extremes(axis)]
        corners = np.array(ends + [self.conic.point(a) for a in turning])
        (lx, ly), (hx, hy) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
        return (lx, ly), (hx, hy)

    @property
    def level(self) -> Callable[[Coords], Column]:
        return self.conic.level

    def at(self, t: Weights) -> Coords:
        return self.conic.at(self.first + self.sweep * t)

    def velocity(self, t: Weights) -> Coords:
        return self.sweep * self.conic.tangent(self.first + self.sweep * t)

    def even(self, unit: Weights) -> Weights:
        if self.conic.round:
            return unit
        ends = self.conic.length(np.array([self.first, self.last]))
        wanted = ends[0] + (ends[1] - ends[0]) * unit.detach().cpu().double().numpy()
        angles = self.conic.angle_at(wanted, self.first, self.last)
        return unit.new_tensor((angles - self.first) / self.sweep)

    def cuts(self) -> list[float]:
        low, high = sorted((self.first, self.last))
        inner = [a for a in self.conic.cuts(low, high) if low + 1e-6 < a < high - 1e-6]
        return sorted([0.0, 1.0, *((a - self.first) / self.sweep for a in inner)])

    def nearest(self, coords: Coords) -> Coords:
        low, high = sorted((self.first, self.last))
        return closest(self.conic, coords, low, high)

    def near(self, coords: Coords, within: float) -> Tensor:
        # The norm of the local coordinates changes by at most distance / min(axes).
        radius = self.conic.local(coords).norm(dim=1)
        return (radius - 1).abs() * min(self.axes) <= within * (1 + 1e-6)

    def locate(self, point: Pair, tolerance: float) -> float | None:
        angle = self.conic.angle_of(point)
        reach = tolerance * max(self.axes) / min(self.axes)
        if math.dist(self.conic.point(angle), point) > reach:
            return None
        span, slack = abs(self.sweep), reach / min(self.axes)
        along = math.copysign(1, self.sweep) * (angle - self.first) % TURN
        if along > TURN - slack:
            return 0.0
        return min(along / span, 1.0) if along <= span + slack else None

    def part(self, first: float, last: float) -> "Arc":
        return replace(
            self, first=self.first + self.sweep * first, last=self.first + self.sweep * last
        )

    def named(self, name: str) -> "Arc":
        return replace(self, name=name)

    def lies_on(self, other: "Arc", tolerance: float) -> bool:
        return self.conic.equals(other.conic, tolerance)

    def joined(self, other: "Arc") -> "Arc | None":
        # The same ellipse may be given by other axes; angles then have another origin.
        same = self.axes == other.axes and self.angle == other.angle
        if not same or self.sweep * other.sweep < 0:
            return None
        sweep = self.sweep + other.sweep
        sweep = math.copysign(TURN, sweep) if abs(sweep) > TURN - 1e-9 else sweep
        return replace(self, last=self.first + sweep)

    def extent(self, coords: Coords) -> Column | None:
        if self.closed:
            return None
        # A counter-clockwise arc lies on the right of its chord from start to stop.
        start, stop = (self.stop, self.start) if self.sweep > 0 else (self.start, self.stop)
        return left_of(start, stop, coords)

    def moment(self, origin: Pair) -> float:
        (x0, y0), (x1, y1) = self.start, self.stop
        cx, cy = self.center[0] - origin[0], self.center[1] - origin[1]
        return (math.prod(self.axes) * self.sweep + cx * (y1 - y0) - cy * (x1 - x0)) / 2

    def sides(self, first: float, last: float) -> list[Side]:
        conic, turning = self.conic, self._extremes(1)
        angles = [self.first, *turning, self.last]
        heights = [first, *(conic.extreme(1, a) for a in turning), last]
        sides = []
        for i in range(len(angles) - 1):
            if heights[i] == heights[i + 1]:
                continue
            middle = conic.point((angles[i] + angles[i + 1]) / 2)
            sides.append(conic.side(heights[i], heights[i + 1], middle))
        if self.closed and len(sides) > 1 and sides[0].up == sides[-1].up:
            # The common start and end of a whole ellipse does not divide a side.
            low, high = min(sides[0].low, sides[-1].low), max(sides[0].high, sides[-1].high)
            return [replace(sides[0], low=low, high=high), *sides[1:-1]]
        return sides

    def _extremes(self, axis: int) -> list[float]:
        """Return the angles inside the arc where x (axis 0) or y (axis 1) is extreme, in order."""
        low, high = sorted((self.first, self.last))
        base = self.conic.highest(axis)
        steps = range(math.ceil((low - base) / math.pi), math.floor((high - base) / math.pi) + 1)
        angles = [base + k * math.pi for k in steps]
        zero = 1e-12  # angles closer than this count as equal
        inner = [a for a in angles if low + zero < a < high - zero]
        return inner if self.sweep > 0 else inner[::-1]
