"""Spheres, their intersection circles with each other and with planes, and their intervals."""

import itertools
from dataclasses import dataclass, replace

import numpy as np

from kanpinn.geometry.boundary import Walls

Sphere = tuple[tuple[float, ...], float]  # centre and radius


@dataclass(frozen=True)
class Locus:
    """A sphere, or its intersection circle with a plane, in slices with given first coordinates.

    Args:
        axis: the number of coordinates that are given in a slice, and the index of the next axis.
        center: the centre of the sphere.
        radius: the radius of the sphere.
        normal: the normal of the plane; empty for a whole sphere.
        level: the value of normal·(x - centre) on the plane.
    """

    axis: int
    center: tuple[float, ...]
    radius: float
    normal: tuple[float, ...] = ()
    level: float = 0.0

    def on(self, axis: int) -> "Locus":
        """Return the same sphere or circle in slices with `axis` given coordinates."""
        return replace(self, axis=axis)

    @property
    def upright(self) -> "Locus":
        """The locus with its plane made parallel to the last axis, fixed at the centre's height."""
        return replace(self, normal=(*self.normal[:-1], 0.0))

    def span(self, before: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the middle of its interval on the axis and the squared half length, (n,) each.

        The square is < 0 where the slice does not meet the locus.

        Args:
            before: the given coordinates (n, axis) of the slices.
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
    """Return the intersection circles of spheres with each other and with planes on later axes.

    Circles in planes that are orthogonal to earlier axes are left out.
    """
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
            # The plane is the difference of |x - center|² = radius² and |x - other|² = reach².
            level = (radius**2 - reach**2 + distance**2) / 2
            found.append(Locus(axis, center, radius, tuple(between.tolist()), level))
    return found


def arrangement_cuts(walls: Walls, size: float) -> list[float]:
    """Return the first coordinates at which slices in 3-D change their shape, other than at planes.

    At these values a sphere or a circle begins or ends, or the ends of two intervals of the second
    coordinate coincide.

    Args:
        walls: the planes and spheres.
        size: the length scale of the tolerances.
    """
    loci = [Locus(0, *sphere) for sphere in walls.spheres] + circles(0, walls)
    for first, second in itertools.permutations(walls.spheres, 2):
        # Add where the intersection circle meets the first sphere's equator, its outline along z.
        loci += [locus.upright for locus in circles(0, Walls(spheres=(first, second)))]
    exact: list[float] = []
    for locus in loci:
        (middle,), (square,) = locus.span(np.zeros((1, 0)))
        # NaN if one centre is above the other: the circle then does not touch the equator.
        if square >= 0:
            exact += [middle - square**0.5, middle + square**0.5]
    found: list[float] = []
    # Ends that touch without crossing give a double root, accurate to half of the digits only.
    for values, least in ((exact, 1e-12 * size), (_coincidences(walls), 1e-7 * size)):
        for value in sorted(values):
            if all(abs(value - other) > least for other in found):
                found.append(float(value))
    return sorted(found)


def _coincidences(walls: Walls) -> list[float]:
    """Return the first coordinates at which two ends of the second coordinate coincide.

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
