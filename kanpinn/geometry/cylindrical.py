"""The cylindrical decomposition of a combination of boxes and balls, and Gauss rules on its
cells.

The planes and spheres of the boundaries divide space into cells. A cell is an interval of x. For
each x it is an interval of y, whose ends depend on x, and for each (x, y) an interval of z, whose
ends depend on x and y. A slice is the set of all points with given first coordinates.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch

from kanpinn._support.shapes import Coords, Mask, Weights
from kanpinn.geometry.domain import Carriers
from kanpinn.geometry.points import Points
from kanpinn.geometry.rules import gauss_legendre

Sphere = tuple[tuple[float, ...], float]  # centre and radius


@dataclass(frozen=True)
class Locus:
    """A sphere, or the circle in which it meets a plane, seen in slices of space.

    A slice is the set of all points with given first coordinates.

    Args:
        axis: the number of coordinates that are given in a slice. This is also the index of the
            next coordinate, of which `span` returns the range in a slice.
        center: the centre of the sphere.
        radius: the radius of the sphere.
        normal: the normal of the plane; empty for a whole sphere.
        level: the value of normal·(x - center) on the plane.
    """

    axis: int
    center: tuple[float, ...]
    radius: float
    normal: tuple[float, ...] = ()
    level: float = 0.0

    def on(self, axis: int) -> "Locus":
        """Return this sphere or circle for slices in which another number of coordinates is given.

        Args:
            axis: the number of first coordinates that are given in a slice.
        """
        return replace(self, axis=axis)

    def span(self, before: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the range of the next coordinate x[axis] on the locus, in each of n slices.

        The range is given by its middle and its squared half length, (n,) each. The squared half
        length is < 0 if the slice does not meet the locus.

        Args:
            before: the given coordinates (n, axis) of n slices.
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


def circles(axis: int, carriers: Carriers) -> list[Locus]:
    """Return the circles in which spheres meet each other, or meet coordinate planes.

    A circle in a coordinate plane is returned only if the plane is orthogonal to an axis with an
    index above `axis`. The circle of two spheres is left out if the line through their centres is
    orthogonal to all axes from `axis` on.

    Args:
        axis: the number of first coordinates that are given in a slice.
        carriers: the planes and spheres.
    """
    found = []
    for sphere, (across, at) in itertools.product(carriers.spheres, carriers.planes):
        center, radius = sphere
        offset = at - center[across]
        if across > axis and abs(offset) < radius:
            normal = [0.0] * len(center)
            normal[across] = 1.0
            found.append(Locus(axis, center, radius, tuple(normal), offset))
    for (center, radius), (other, reach) in itertools.combinations(carriers.spheres, 2):
        between = np.subtract(other, center)
        distance = float(np.linalg.norm(between))
        if abs(radius - reach) < distance < radius + reach and between[axis:].any():
            # The plane is the difference of |x - center|² = radius² and |x - other|² = reach².
            level = (radius**2 - reach**2 + distance**2) / 2
            found.append(Locus(axis, center, radius, tuple(between.tolist()), level))
    return found


def arrangement_cuts(carriers: Carriers, size: float) -> list[float]:
    """Return the values of x at which slices of constant x in 3-D change their shape.

    At these values a sphere or a circle begins or ends, or the ends of two intervals of y coincide.
    The positions of planes of constant x are left out.

    Args:
        carriers: the planes and spheres.
        size: the length scale of the tolerances.
    """
    loci = [Locus(0, *sphere) for sphere in carriers.spheres] + circles(0, carriers)
    for first, second in itertools.permutations(carriers.spheres, 2):
        # Add the values of x where the circle meets the equator of the first sphere, on which z is
        # the centre's z. They are found from the circle's plane with the z-part of the normal 0.
        for locus in circles(0, Carriers(spheres=(first, second))):
            loci.append(replace(locus, normal=(*locus.normal[:-1], 0.0)))
    exact: list[float] = []
    for locus in loci:
        (middle,), (square,) = locus.span(np.zeros((1, 0)))
        # The square is NaN if one centre is above the other: the circle does not meet the equator.
        if square >= 0:
            exact += [middle - square**0.5, middle + square**0.5]
    found: list[float] = []
    # Ends that touch without crossing give a double root, which is accurate to half of the digits.
    for values, least in ((exact, 1e-12 * size), (_coincidences(carriers), 1e-7 * size)):
        for value in sorted(values):
            if all(abs(value - other) > least for other in found):
                found.append(float(value))
    return sorted(found)


def _coincidences(carriers: Carriers) -> list[float]:
    """Return the values of x at which the ends of two intervals of y coincide.

    In a slice of constant x, y ranges over an interval on each sphere and circle. Its ends are
    m ± √q with m linear and q quadratic in x. They can coincide with the ends m' ± √q' of a second
    interval only where ((m - m')² - q - q')² = 4 q q'.
    """
    low = min(center[0] - radius for center, radius in carriers.spheres)
    high = max(center[0] + radius for center, radius in carriers.spheres)
    nodes = np.cos(np.pi * np.arange(5) / 4)
    places = (low + high) / 2 + (high - low) / 2 * nodes[:, None]
    loci = [Locus(1, *sphere) for sphere in carriers.spheres] + circles(1, carriers)
    curves = [locus.span(places) for locus in loci]
    curves += [(np.full(5, at), np.zeros(5)) for axis, at in carriers.planes if axis == 1]
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


Inside = Callable[[Coords], Mask]


@dataclass(frozen=True)
class Limit:
    """An end of an interval on an axis, as a function of the coordinates before this axis.

    Args:
        value: the end, if the end is constant; then `locus` is None.
        locus: the sphere or circle whose lowest or highest coordinate in a slice is the end; None
            for a constant end.
        sign: -1 for the lowest coordinate of the locus, 1 for the highest.
    """

    value: float = 0.0
    locus: Locus | None = None
    sign: int = 0

    def at(self, before: np.ndarray) -> np.ndarray:
        """Return the end (n,) in each of n slices (sets of points with given first coordinates).

        The end is NaN if the slice does not meet the sphere or circle.

        Args:
            before: the given coordinates (n, axis) of the slices.
        """
        if self.locus is None:
            return np.full(len(before), self.value)
        middle, square = self.locus.span(before)
        with np.errstate(invalid="ignore"):
            return middle + self.sign * np.sqrt(square)


@dataclass(frozen=True)
class Cell:
    """An interval on an axis, whose ends may depend on the earlier coordinates.

    Args:
        axis: the index of the axis.
        low: the lower end.
        high: the upper end.
        within: the intervals on the next axis inside this interval; empty on the last axis.
    """

    axis: int
    low: Limit
    high: Limit
    within: tuple["Cell", ...]

    @property
    def ends(self) -> tuple[tuple[Limit, int], ...]:
        """The two ends, each as a pair with its outward direction along the axis, -1 or 1."""
        return (self.low, -1), (self.high, 1)

    @cached_property
    def is_round(self) -> bool:
        """True if an end of the cell, or of a cell within it, is not constant."""
        return any(end.locus for end, _ in self.ends) or any(one.is_round for one in self.within)

    @property
    def loci(self) -> list[Locus]:
        """The spheres and circles at the ends of the cells `within`, without duplicates."""
        ends = (end for cell in self.within for end, _ in cell.ends)
        return list(dict.fromkeys(end.locus for end in ends if end.locus is not None))


@dataclass(frozen=True)
class CellSet:
    """A set of points that consists of some of the cells between planes and spheres.

    Args:
        dim: the number of coordinates d, at most 3 if there are spheres.
        carriers: the planes and spheres.
        inside: a function that returns a mask (n,) of the points (n, d) in the set. All points of a
            cell are in the set, or none are.
        size: the length scale; intervals shorter than 1e-12 · size count as empty.
    """

    dim: int
    carriers: Carriers
    inside: Inside = field(compare=False)
    size: float

    @cached_property
    def tree(self) -> tuple[Cell, ...]:
        """The cells of the first axis; each has the cells of the next axis in `within`."""
        levels: list[tuple[int, list[int], list[tuple[Limit, Limit]]]] = []
        before = np.zeros((1, 0))
        for axis in range(self.dim):
            ends = self._ends(axis)
            places = np.array([end.at(before) for end in ends]).reshape(len(ends), -1).T
            # Ends that do not exist are NaN, which sorts last.
            order = places.argsort(axis=1, kind="stable")
            places = np.take_along_axis(places, order, axis=1)
            rows, columns = np.nonzero(np.diff(places) > 1e-12 * self.size)
            low, high = places[rows, columns], places[rows, columns + 1]
            pairs = zip(order[rows, columns], order[rows, columns + 1], strict=True)
            levels.append((len(before), rows.tolist(), [(ends[i], ends[j]) for i, j in pairs]))
            # The next slice is at an arbitrary fraction of the interval: in the middle, the ends of
            # intervals of symmetric shapes may coincide.
            inner = low + 0.43871932 * (high - low)
            before = np.column_stack([before[rows], inner])
        flags = self.inside(torch.from_numpy(before)).tolist() if len(before) else []
        found: list[tuple[Cell, ...] | None] = [() if flag else None for flag in flags]
        for axis in reversed(range(self.dim)):
            count, owners, intervals = levels[axis]
            slices: list[list[Cell | None]] = [[] for _ in range(count)]
            for row, (start, stop), within in zip(owners, intervals, found, strict=True):
                last = slices[row][-1] if slices[row] else None
                if within is not None and last is not None and last.within == within:
                    # Neighbouring intervals that contain equal cells are joined.
                    slices[row][-1] = Cell(axis, last.low, stop, within)
                else:
                    slices[row].append(None if within is None else Cell(axis, start, stop, within))
            found = [tuple(cell for cell in cells if cell is not None) or None for cells in slices]
        return tuple(part for cell in found[0] or () for part in self._graded(cell))

    @property
    def boxes(self) -> list[list[tuple[float, float]]] | None:
        """For each cell the intervals (low, high) on all axes; None unless all cells are boxes."""
        if self.dim == 0:
            return [[]] if self.inside(torch.zeros(1, 0, dtype=torch.float64)) else []
        if self.carriers.spheres and any(cell.is_round for cell in self.tree):
            return None
        return list(_intervals(self.tree))

    @cached_property
    def cuts(self) -> list[float]:
        """The values of x at which slices of constant x change shape, see `arrangement_cuts`.

        The list is empty unless the dimension is 3 and a boundary is a sphere.
        """
        curved = self.dim == 3 and self.carriers.spheres
        return arrangement_cuts(self.carriers, self.size) if curved else []

    def _graded(self, cell: Cell) -> list[Cell]:
        """Divide a cell of the first axis if it is long compared with its distance from `cuts`.

        At the cuts slices of constant x change shape, and integrands have square-root
        singularities. The nearest cut on each side does not count, because `_along` removes its
        singularity by a substitution. The length of each part is at most about 60 times its
        distance from the second nearest cut on either side.
        """
        if not self.cuts or not cell.is_round:
            return [cell]
        low, high = cell.low.value, cell.high.value
        near = 1e-7 * self.size
        below = [low - at for at in self.cuts if at <= low + near][-2::-1]
        above = [at - high for at in self.cuts if at >= high - near][1:]
        for gaps, end, sign in ((below, low, 1), (above, high, -1)):
            reach = 30 * max(min(gaps, default=np.inf), near)
            if reach < (high - low) / 2:
                middle = Limit(end + sign * reach)
                parts = (replace(cell, high=middle), replace(cell, low=middle))
                return [small for part in parts for small in self._graded(part)]
        return [cell]

    def _ends(self, axis: int) -> list[Limit]:
        """Return all ends that cells can have along an axis: on planes, spheres and circles."""
        planes = [Limit(at) for across, at in self.carriers.planes if across == axis]
        if self.dim - axis == 3:
            return planes + [Limit(at) for at in self.cuts]
        loci = [Locus(axis, *sphere) for sphere in self.carriers.spheres]
        if self.dim - axis == 2:
            loci += circles(axis, self.carriers)
        return planes + [Limit(locus=locus, sign=sign) for locus in loci for sign in (-1, 1)]


def _intervals(cells: Sequence[Cell]) -> Iterator[list[tuple[float, float]]]:
    """Yield, for each cell of the last axis, its intervals (low, high) on the axes of the cells."""
    for cell in cells:
        for others in _intervals(cell.within) if cell.within else [[]]:
            yield [(cell.low.value, cell.high.value), *others]


Rule = tuple[np.ndarray, np.ndarray]  # coordinates (n, k) of the first k axes, and weights (n,)
START: Rule = (np.zeros((1, 0)), np.ones(1))  # the rule over no axes: one point of weight 1


def cells_rule(cells: CellSet, nodes: int, last: int | None = None) -> tuple[Coords, Weights]:
    """Return a Gauss rule on cells; on boxes it is exact for polynomials of degree 2·nodes - 1.

    Args:
        cells: the cells in d dimensions.
        nodes: the number of nodes of each one-dimensional Gauss rule.
        last: the number of nodes along the last axis, by default `nodes`; 1 is enough for the
            measure.

    Returns:
        Points (n, d) in the cells and positive weights (n,).
    """
    counts = [nodes] * (cells.dim - 1) + [last or nodes]
    parts = [rule for _, rule in _rules(cells, cells.tree, START, counts)]
    coords = np.concatenate([np.zeros((0, cells.dim)), *(coords for coords, _ in parts)])
    weights = np.concatenate([np.zeros(0), *(weights for _, weights in parts)])
    return torch.from_numpy(coords), torch.from_numpy(weights)


def sphere_part_rule(
    cells: CellSet, names: tuple[str, ...], sphere: Sphere, nodes: int
) -> tuple[Points, Weights]:
    """Return a Gauss rule on the part of a sphere that bounds cells in three dimensions.

    Args:
        cells: the cells in three dimensions.
        names: the names of the coordinates.
        sphere: the centre and the radius of the sphere.
        nodes: the number of nodes of each one-dimensional Gauss rule.

    Returns:
        n points with unit normals out of the cells, and weights (n,), whose sum is the area.
    """
    (center, radius), circle = sphere, Locus(1, *sphere)
    share, gauss = (x.numpy() for x in gauss_legendre(nodes))
    parts = [(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0))]
    for cell, (before, weights) in _rules(cells, cells.tree, START, [nodes]):
        for inner in cell.within:
            sides = [(end, way) for last in inner.within for end, way in last.ends]
            sides = [(end, way) for end, way in sides if end.locus == circle.on(2)]
            if not sides:
                continue
            middle, square = circle.span(before)
            half = np.sqrt(np.maximum(square, 0))
            # At an end of the circle the angle is ±π/2; arcsin would lose half of the digits.
            first, last = (
                np.full((len(before), 1), end.sign * np.pi / 2)
                if end.locus == circle
                else _angle(end.at(before) - middle, half)[:, None]
                for end, _ in inner.ends
            )
            angles, along = first + (last - first) * share, (last - first) * gauss
            middle, half = middle[:, None], half[:, None]
            # Archimedes: the area element of a sphere is radius · dx · d(angle about the x axis).
            areas = (radius * weights[:, None] * along).ravel()
            kept = areas > 0
            for end, way in sides:
                y, z = middle + half * np.sin(angles), center[2] + end.sign * half * np.cos(angles)
                coords = np.column_stack([np.repeat(before, nodes), y.ravel(), z.ravel()])
                normals = way * end.sign * (coords - center) / radius
                parts.append((coords[kept], normals[kept], areas[kept]))
    points, outward, total = map(torch.from_numpy, map(np.concatenate, zip(*parts, strict=True)))
    return Points(points, names, outward), total


def _rules(
    cells: CellSet, some: Sequence[Cell], before: Rule, counts: Sequence[int]
) -> Iterator[tuple[Cell, Rule]]:
    """Extend a quadrature rule over the first axes to cells of the following axes.

    Args:
        cells: all cells.
        some: cells of one axis.
        before: a rule over the axes before this axis.
        counts: the numbers of Gauss nodes along this axis and the following axes; the rules that
            are yielded cover one axis for each number.

    Yields:
        A cell of the last of these axes inside `some`, and a rule over all axes up to this axis.
    """
    for cell in some:
        rule = _along(cells, cell, *before, counts[0])
        if len(counts) == 1:
            yield cell, rule
        else:
            yield from _rules(cells, cell.within, rule, counts[1:])


def _along(cells: CellSet, cell: Cell, before: np.ndarray, weights: np.ndarray, nodes: int) -> Rule:
    """Extend a rule over the axes before a cell's axis by Gauss rules along the cell's axis.

    A substitution removes the nearest square-root singularity at or beyond each end of the cell.

    Args:
        cells: all cells.
        cell: the cell.
        before, weights: the coordinates (n, axis) and weights (n,) of the rule that is extended.
        nodes: the number of Gauss nodes along the axis.
    """
    low, high = cell.low.at(before), cell.high.at(before)
    share, along = (x.numpy() for x in gauss_legendre(nodes))
    size = high - low
    # The branch points of square roots next to the lower and the upper end, (n,) each.
    firsts, lasts = list[np.ndarray](), list[np.ndarray]()
    if cells.dim - cell.axis == 3:
        near = 1e-7 * cells.size  # the accuracy of the cuts
        firsts = [np.full_like(low, at) for at in cells.cuts if at <= low[0] + near][-1:]
        lasts = [np.full_like(low, at) for at in cells.cuts if at >= high[0] - near][:1]
    else:
        for locus in cell.loci:
            middle, square = locus.on(cell.axis).span(before)
            half = np.sqrt(np.maximum(square, 0))
            firsts.append(middle - half)
            lasts.append(middle + half)
    if not (firsts or lasts):
        x, scale = low[:, None] + size[:, None] * share, size[:, None] * along
    else:
        # If there is no branch point beyond an end, one is assumed far away, with little influence.
        begin = np.minimum(np.max([low - 1e3 * size, *firsts], axis=0), low)
        end = np.maximum(np.min([high + 1e3 * size, *lasts], axis=0), high)
        middle, half = (begin + end) / 2, (end - begin) / 2
        first, last = (_angle(at - middle, half)[:, None] for at in (low, high))
        angles = first + (last - first) * share
        x = middle[:, None] + half[:, None] * np.sin(angles)
        scale = half[:, None] * np.cos(angles) * (last - first) * along
    products = (weights[:, None] * scale).ravel()
    coords = np.column_stack([np.repeat(before, nodes, axis=0), x.ravel()])
    kept = products > 0  # NaN or ≤ 0 if a cell has no width because of rounding errors
    return coords[kept], products[kept]


def _angle(offset: np.ndarray, half: np.ndarray) -> np.ndarray:
    """Return arcsin(offset / half), accurate also next to ±π/2."""
    return np.arctan2(offset, np.sqrt(np.maximum((half - offset) * (half + offset), 0)))
