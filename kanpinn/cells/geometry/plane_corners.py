"""Corners of a domain in the plane at which solutions are singular: powers, and what is near."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from kanpinn.cells.corner_functions import CornerFunctions, Power
from kanpinn.cells.geometry.outline import Outline


@dataclass(frozen=True, eq=False)
class PlaneCorner:
    """A corner of a domain in the plane, where solutions of Laplace's equation are like r^λ.

    Args:
        outline: the boundary.
        before, after: the numbers of the curves that end and start at the corner.
        angle: the interior angle ω.
        mixed: whether the conditions on the two sides prescribe derivatives of different orders;
            both values if they do so for some fields, but not for others.
    """

    outline: Outline
    before: int
    after: int
    angle: float
    mixed: tuple[bool, ...]

    @property
    def at(self) -> tuple[float, float]:
        """The corner."""
        return self.outline.domain.curves[self.before].stop

    @property
    def exponent(self) -> float:
        """The least exponent λ: π/ω, or π/(2ω) if the conditions on both sides differ.

        It is infinite at a cusp, where two curves meet at the angle 0.
        """
        if self.angle == 0:
            return math.inf
        return math.pi / self.angle * (0.5 if any(self.mixed) else 1.0)

    @property
    def direction(self) -> float:
        """The direction of the line that halves the interior angle."""
        along = self.outline.domain.curves[self.after].velocity(torch.zeros(1).double())[0]
        return math.atan2(float(along[1]), float(along[0])) + self.angle / 2

    @cached_property
    def reach(self) -> float:
        """The radius of a disk around the corner in which the domain is like a sector.

        No other part of the boundary is in it, and the two curves at the corner stay away from the
        direction opposite to that of the line that halves the angle.
        """
        count = 129  # of points on a curve
        ts, found = torch.linspace(0, 1, count, dtype=torch.float64), math.inf
        for number, curve in enumerate(self.outline.domain.curves):
            line, half = curve.at(ts), count // 2
            if number == self.before == self.after:
                rest = [self._beyond(line[: half + 1]), self._beyond(line[half:].flip(0))]
            elif number in (self.before, self.after):
                rest = [self._beyond(line if number == self.after else line.flip(0))]
            else:
                rest = [line]
            found = min([found, *(self._distance(one) for one in rest)])
        return found

    def _beyond(self, points: Tensor) -> Tensor:
        """The points of a curve that begins here from where it comes back or turns too far."""
        gaps = points - points.new_tensor(self.at)
        back = gaps.norm(dim=1).diff(prepend=-gaps.new_ones(1)) <= 0
        turned = torch.atan2(gaps[:, 1], gaps[:, 0]) - self.direction
        turned = torch.remainder(turned + math.pi, 2 * math.pi) - math.pi
        far = turned.abs() > (math.pi + self.angle / 2) / 2  # half way to the opposite direction
        far[0] = False
        stop = (back | far).nonzero()[:, 0]
        return points[int(stop[0]) - 1 :] if len(stop) else points[:0]

    def _distance(self, points: Tensor) -> float:
        """The distance of a line through points from the corner."""
        if len(points) < 2:
            return math.inf
        gaps = points - points.new_tensor(self.at)
        first, along = gaps[:-1], gaps.diff(dim=0)
        part = -(first * along).sum(dim=1) / along.square().sum(dim=1).clamp_min(1e-300)
        return float((first + part.clamp(0, 1)[:, None] * along).norm(dim=1).min())

    def functions(self, top: float) -> CornerFunctions:
        """The singular functions, and their products with powers of x and y, up to a degree.

        Solutions of Laplace's equation are sums of r^λ_j sin(λ_j θ), or with the cosine. Terms of
        lower order in the equation, coefficients that vary, and curves at the corner add products
        of these with polynomials. Where λ_j is an integer n, up to a small ε, r^n ln r takes the
        place of the power: r^(n + ε) is r^n + ε r^n ln r up to ε², and nearly a polynomial.

        top: the degree that is not reached.
        """
        near = 1e-6
        found: dict[tuple[float, int], Power] = {}
        for number, mixed in itertools.product(range(1, math.ceil(2 * top) + 2), self.mixed):
            exponent = (number - 0.5 * mixed) * math.pi / self.angle
            if exponent >= top:
                continue
            logarithm = abs(exponent - round(exponent)) < near
            exponent = float(round(exponent)) if logarithm else exponent
            for more in range(math.ceil(top - exponent)):
                for conjugate in range(more + 1):
                    power = Power(exponent + more - conjugate, conjugate, int(logarithm))
                    found.setdefault((round(power.exponent, 9), conjugate), power)
        return CornerFunctions(self.direction, min(1.0, self.reach), tuple(found.values()))

    def boxes(self, roots: Sequence[int], bounds: tuple[Tensor, Tensor]) -> Tensor | None:
        """The largest boxes of a tree around the corner within its reach, (b, 2, 2).

        Args:
            roots: the numbers of boxes of level 0 along each coordinate.
            bounds: the lowest and the highest corner of the domain, (2,) each.

        Returns:
            Their lower and upper corners in the tree's coordinates; None if they would be tiny.
        """
        near, levels = 0.5, 12  # near: the distance of boxes from the corner, in their widths
        low, high = bounds
        half = (high - low) / 2
        at = (low.new_tensor(self.at) - low) / half - 1
        around = torch.cartesian_prod(*[torch.arange(-2.0, 3.0, dtype=at.dtype)] * 2)
        for level in range(levels):
            widths = 2 / (at.new_tensor(roots) * 2**level)
            place = torch.floor((at + 1) / widths) + around
            boxes = torch.stack([place, place + 1], dim=1) * widths - 1
            gaps = torch.maximum(boxes[:, 0] - at, at - boxes[:, 1]).clamp_min(0) / widths
            boxes = boxes[(gaps <= near).all(dim=1)]
            if float(((boxes - at).abs().amax(dim=1) * half).norm(dim=1).max()) <= self.reach:
                return boxes
        return None


def singular_corners(
    outline: Outline, mixed: Callable[[PlaneCorner], tuple[bool, ...]], top: float
) -> list[PlaneCorner]:
    """The corners at which solutions behave like r^λ with an exponent λ below `top`.

    At a right angle λ is 2, and solutions are like r² ln r unless the source is zero there.

    Args:
        outline: the boundary.
        mixed: gives `PlaneCorner.mixed` of a corner.
        top: the exponent that is not reached.
    """
    found = []
    for curve, (after, angle) in enumerate(outline.interior_angles):
        one = PlaneCorner(outline, curve, after, angle, (False,))
        one = replace(one, mixed=mixed(one))
        smooth = not any(one.mixed) and abs(angle - math.pi) <= outline.sharp
        if one.exponent < top and not smooth:
            found.append(one)
    return found
