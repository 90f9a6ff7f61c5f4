"""Spheres, the circles in which they meet each other and planes, and the intervals they span."""

import itertools
from dataclasses import dataclass, replace

import numpy as np

from kanpinn.geometry.boundary import Walls

Sphere = tuple[tuple[float, ...], float]  # centre and radius


@dataclass(frozen=True)
class Locus:
    """A sphere, or the circle in which it meets a plane, in slices of known first coordinates.

    Args:
        axis: the coordinates before this one are known in a slice.
        center: of the sphere.
        radius: of the sphere.
        normal: of the plane; empty where there is none.
        level: normal·(x - centre) on the plane.
    """

    axis: int
    center: tuple[float, ...]
    radius: float
    normal: tuple[float, ...] = ()
    level: float = 0.0

    def on(self, axis: int) -> "Locus":
        """The same in slices across other axes."""
        return replace(self, axis=axis)

    @property
    def upright(self) -> "Locus":
        """With the plane along the last axis that has the same line as this one at the centre."""
        return replace(self, normal=(*self.normal[:-1], 0.0))

    def span(self, before: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The middle of its interval on the axis and the square of half the length, (n,) each.

        Args:
            before: the known coordinates (n, axis). The square is < 0 where the slice is empty.
        """
        offsets = before - self.center[: self.axis]
        square = self.radius**2 - (offsets**2).sum(axis=1)
        middle = np.full(len(before), self.center[self.axis])
        if not self.normal:
            return middle, square
        known, free = self.normal[: self.axis], np.array(self.normal[self.axis :])
        length = float(free @ free) or np.nan
        rest = self.level - offsets @ np.array(known)
        middle += free[0] * rest / length
        return middle, (square - rest**2 / length) * (1 - free[0] ** 2 / length)


def circles(axis: int, walls: Walls) -> list[Locus]:
    """Where spheres may meet each other, and planes across axes after this one."""
    found = []
    for sphere, (across, at) in itertools.product(walls.spheres, walls.planes):
        center, radius = sphere
        offset = at - center[across]
        if across > axis and abs(offset) < radius:
            normal = [0.0] * len(center)
            normal[across] = 1.0
            found.append(Locus(axis, center, radius, tuple(normal), offset))
    for (center, radius), (other, reach) in itertools.combinations(walls.spheres, 2):
        between = np.subtract(other, center)
        distance = float(np.linalg.norm(between))
        if abs(radius - reach) < distance < radius + reach and between[axis:].any():
            # |x - center|² = radius² and |x - other|² = reach², subtracted from each other.
            level = (radius**2 - reach**2 + distance**2) / 2
            found.append(Locus(axis, center, radius, tuple(between.tolist()), level))
    return found


def arrangement_cuts(walls: Walls, size: float) -> list[float]:
    """Where slices across the first of three axes change their shape, other than at planes.

    There a sphere or a circle begins or ends, or the ends of two intervals of the second
    coordinate coincide.
    """
    loci = [Locus(0, *sphere) for sphere in walls.spheres] + circles(0, walls)
    for first, second in itertools.permutations(walls.spheres, 2):
        # Where the circle in which they meet touches the first one's outline seen along z.
        loci += [locus.upright for locus in circles(0, Walls(spheres=(first, second)))]
    exact: list[float] = []
    for locus in loci:
        (middle,), (square,) = locus.span(np.zeros((1, 0)))
        # NaN where spheres lie above each other, so that their circle touches no outline.
        if square >= 0:
            exact += [middle - square**0.5, middle + square**0.5]
    found: list[float] = []
    # Where one end touches another, its root is double and known to half of the digits only.
    for values, least in ((exact, 1e-12 * size), (_coincidences(walls), 1e-7 * size)):
        for value in sorted(values):
            if all(abs(value - other) > least for other in found):
                found.append(float(value))
    return sorted(found)


def _coincidences(walls: Walls) -> list[float]:
    """Values of the first coordinate at which two ends of the second coordinate coincide.

    Ends are m ± √q with m linear and q quadratic; two of them coincide where
    ((m - m')² - q - q')² = 4 q q'.
    """
    low = min(center[0] - radius for center, radius in walls.spheres)
    high = max(center[0] + radius for center, radius in walls.spheres)
    nodes = np.cos(np.pi * np.arange(5) / 4)
    places = (low + high) / 2 + (high - low) / 2 * nodes[:, None]
    loci = [Locus(1, *sphere) for sphere in walls.spheres] + circles(1, walls)
    curves = [locus.span(places) for locus in loci]
    curves += [(np.full(5, at), np.zeros(5)) for axis, at in walls.planes if axis == 1]
    inverse = np.linalg.inv(np.vander(nodes))
    found = []
    for (middle, square), (other, further) in itertools.combinations(curves, 2):
        gap = (middle - other) ** 2
        terms = inverse @ ((gap - square - further) ** 2 - 4 * square * further)
        largest = max(np.abs(gap).max(), np.abs(square).max(), np.abs(further).max()) ** 2
        terms[np.abs(terms) < 1e-14 * largest] = 0
        roots = np.roots(terms)
        real = roots.real[np.abs(roots.imag) < 1e-6]
        found += [(low + high) / 2 + (high - low) / 2 * root for root in real if abs(root) <= 1]
    return found
