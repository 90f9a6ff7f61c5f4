"""Cells of a tree that the boundary of a domain in the plane cuts.

The boundary is divided into arcs, each in one cell. The module computes the cut cells and their
faces, and finds the cells that are too large for the boundary.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import ClassVar

import numpy as np
import shapely
import torch
from torch import Tensor

from kanpinn.geometry.curves import Curve, Segment
from kanpinn.geometry.division import DivisionEdge
from kanpinn.geometry.domain import Domain, Piece
from kanpinn.geometry.planar import Planar
from kanpinn.geometry.points import Points
from kanpinn.geometry.rules import gauss_legendre
from kanpinn.spaces.cells.geometry.cell_geometry import (
    CellGeometry,
    CellPoints,
    InterfaceParts,
    in_trees,
    joined_regions,
    physical,
)
from kanpinn.spaces.cells.polynomials import LocalPolynomials
from kanpinn.spaces.cells.tree import Faces, TensorTable, Tree


@dataclass(frozen=True, eq=False)
class Arcs(TensorTable):
    """A table of arcs: parts of the boundary's curves, each in one cell and monotone in x and y.

    Args:
        curve: the index of each arc's curve, (a,).
        first, last: the curve parameters of each arc's ends, from 0 to 1, (a,) each.
        cell: the index of each arc's cell, (a,).
        ends: the points at each arc's ends, (a, 2, 2).
        turns: the angle in radians between the tangents at each arc's ends, (a,).
    """

    curve: Tensor
    first: Tensor
    last: Tensor
    cell: Tensor
    ends: Tensor
    turns: Tensor

    def of_curve(self, number: int) -> tuple[Tensor, Tensor, Tensor]:
        """The arcs of one curve, in order: their first and last parameters and cells, (n,) each.

        Args:
            number: the index of the curve.
        """
        own = (self.curve == number).nonzero()[:, 0]
        own = own[self.first[own].argsort()]
        return self.first[own], self.last[own], self.cell[own]


@dataclass(frozen=True, eq=False)
class Outline:
    """The boundary of a domain in the plane, as curves with their corners.

    Args:
        domain: the domain.
        sharp: the least angle in radians by which the boundary turns at a corner.
    """

    domain: Planar
    sharp: float = 0.1

    @cached_property
    def breaks(self) -> list[Tensor]:
        """For each curve the parameters, from 0 to 1, that divide it into parts monotone in x
        and y.
        """
        count = 64  # intervals, in each of which a coordinate turns at most once
        near = 1e-9  # breaks closer to an end of the curve than this are dropped
        ts, result = torch.linspace(0, 1, count + 1, dtype=torch.float64), []
        for curve in self.domain.curves:
            breaks = [ts[[0, -1]]]
            for axis in (0, 1):
                ahead = curve.velocity(ts)[:, axis] >= 0
                # A turn exactly at one of `ts` is found in one of the two intervals beside it.
                turning = (ahead[1:] != ahead[:-1]).nonzero()[:, 0]
                ends = ts[turning], ts[turning + 1], ahead[turning + 1]
                breaks.append(_zeros(lambda t: curve.velocity(t)[:, axis], *ends))  # noqa: B023
            every = torch.cat(breaks).unique()
            inner = every[(every > near) & (every < 1 - near)]
            result.append(torch.cat([every[:1], inner, every[-1:]]))
        return result

    @cached_property
    def interior_angles(self) -> list[tuple[int, float]]:
        """For each curve the index of the next curve, and the interior angle where the two meet.

        The angles are in radians.
        """
        ts = torch.tensor([0.0, 1.0], dtype=torch.float64)
        curves = self.domain.curves
        tangents = torch.stack([curve.velocity(ts) for curve in curves])
        ends = torch.tensor([[curve.start, curve.stop] for curve in curves], dtype=torch.float64)
        after = torch.cdist(ends[:, 1], ends[:, 0]).argmin(dim=1)
        angles = math.pi - angles_between(tangents[:, 1], tangents[after, 0])
        return list(zip(after.tolist(), angles.tolist(), strict=True))


def angles_between(vectors: Tensor, others: Tensor) -> Tensor:
    """The angles from `vectors` to `others`, (n, 2) each, from -π to π, (n,)."""
    (x, y), (p, q) = vectors.T, others.T
    return torch.atan2(x * q - y * p, x * p + y * q)


def _crossings(curve: Curve, breaks: Tensor, lines: Sequence[Tensor]) -> list[Tensor]:
    """The parameters at which a curve crosses grid lines.

    Args:
        curve: the curve.
        breaks: the parameters that divide the curve into monotone parts.
        lines: the values of x of lines of constant x, then the values of y of lines of constant y.

    Returns:
        The parameters of crossings with lines of constant x, then with lines of constant y.
    """
    at = curve.at(breaks)
    parts, values, axes = [], [], []
    for axis in (0, 1):
        near = 1e-12 * float(lines[axis].abs().max())
        first, last = at[:-1, axis, None], at[1:, axis, None]
        low, high = torch.minimum(first, last) + near, torch.maximum(first, last) - near
        part, line = ((lines[axis] > low) & (lines[axis] < high)).nonzero().unbind(1)
        parts.append(part)
        values.append(lines[axis][line])
        axes.append(torch.full_like(part, axis))
    part, value, which = torch.cat(parts), torch.cat(values), torch.cat(axes)[:, None]
    first, last = (at[part + more].gather(1, which)[:, 0] for more in (0, 1))

    def gap(t: Tensor) -> Tensor:
        """The signed distance of the curve's points at parameters t from their grid lines."""
        return curve.at(t).gather(1, which)[:, 0] - value

    def slope(t: Tensor) -> Tensor:
        """The derivative of `gap` by t."""
        return curve.velocity(t).gather(1, which)[:, 0]

    found = _zeros(gap, breaks[part], breaks[part + 1], last > first, slope)
    return list(found.split([len(one) for one in parts]))


def _zeros(
    function: Callable[[Tensor], Tensor],
    low: Tensor,
    high: Tensor,
    rising: Tensor,
    slope: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """The zeros (n,) of n functions, each of which changes sign in its interval.

    Newton's method, safeguarded by bisection: without `slope`, or where a Newton step would leave
    the interval that contains the zero, the interval is bisected.

    Args:
        function: maps n points, one for each function, to the functions' values, (n,) → (n,).
        low, high: the ends of the intervals, (n,) each.
        rising: whether each function increases in its interval, (n,).
        slope: the derivatives of all functions, (n,) → (n,).
    """
    most, rounding = 60, 1e-14
    t = (low + high) / 2
    for _ in range(most if len(t) else 0):
        value = function(t)
        above = (value > 0) == rising
        low, high = torch.where(above, low, t), torch.where(above, t, high)
        after = (low + high) / 2
        if slope is not None:
            step = t - value / slope(t)
            after = torch.where((step >= low) & (step <= high), step, after)
        change, t = float((after - t).abs().max()), after
        if change < rounding:
            break
    return t


@dataclass(frozen=True, eq=False)
class CutGeometry(CellGeometry):
    """The cells of a tree that contain a part of a domain in the plane, with the boundary in them.

    Args:
        arcs: the arcs (parts of curves) of the regions' boundaries in the cells.
        edges: the curves around all regions, to which the indices `arcs.curve` refer.
    """

    arcs: Arcs
    edges: Sequence[DivisionEdge]

    @classmethod
    def joined(cls, parts: Sequence["CutGeometry"]) -> "CutGeometry":
        """Join the cells of several regions; `parts` has the cells of each region."""
        arcs, edges, count = [], list[DivisionEdge](), 0
        for one in parts:
            curve, cell = one.arcs.curve + len(edges), one.arcs.cell + count
            arcs.append(replace(one.arcs, cell=cell, curve=curve))
            edges, count = [*edges, *one.edges], count + len(one.tree)
        return cls(**joined_regions(parts), arcs=Arcs.joined(arcs), edges=edges)

    def on_boundary(
        self, pieces: Sequence[Piece], polynomials: LocalPolynomials
    ) -> Iterator[CellPoints]:
        count, cells, points, weights = polynomials.degree + 4, [], [], []
        for number, edge in enumerate(self.edges):
            if edge.interface < 0 and edge.piece in pieces:
                first, last, at = self.arcs.of_curve(number)
                on_arcs, weight = edge.curve.gauss_on_parts(first, last, count)
                cells.append(at)
                points.append(on_arcs)
                weights.append(weight)
        if cells:
            yield CellPoints.of(self, torch.cat(cells), Points.cat(points), torch.cat(weights))

    def at_interfaces(self, degree: int) -> Iterator[InterfaceParts]:
        """Yield the arcs of all interfaces with quadrature points, for one piece after the other.

        Jumps are projected onto polynomials of the arc's parameter. Their degree is higher by 2
        than that of the cells, because on a bent arc a cell's polynomial is no polynomial of the
        parameter.

        Args:
            degree: the degree of the polynomials in cells.
        """
        count = degree + 6  # Gauss points on each arc
        unit, weights = gauss_legendre(count)
        more = 2
        traces = LocalPolynomials(degree + more, 1)
        onto = traces.values(2 * unit[:, None] - 1) * 2 * weights[:, None]
        back = {edge.interface: number for number, edge in enumerate(self.edges) if edge.reverse}
        for number, edge in enumerate(self.edges):
            if edge.interface < 0 or edge.reverse:
                continue
            first, last, *both = _common(self.arcs, number, back[edge.interface])
            if len(first):
                points, shares = edge.curve.gauss_on_parts(first, last, count)
                inside, outside = (CellPoints.of(self, cells, points, shares) for cells in both)
                roots = (shares.sum(dim=1) / 2).sqrt()[:, None, None]
                yield InterfaceParts(edge.piece, (inside, outside), traces, roots * onto)


def _common(arcs: Arcs, one: int, other: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The arcs of an interface between a cell of one region and a cell of another region.

    Arcs beside a sliver, a part of a box that is too thin to be a cell, are left out.

    Args:
        arcs: all arcs.
        one: the index of an interface curve around the first region.
        other: the index of the same curve around the second region, with the opposite direction.

    Returns:
        The parameters of the start and of the end of each arc on the first curve, the arc's cell in
        the first region, and the arc's cell in the second region, (n,) each.
    """
    tiny = 1e-10  # the least difference of parameters, which range from 0 to 1
    own, others = (arcs.of_curve(number) for number in (one, other))
    first, last, cell = own
    low, high, beyond = (1 - others[1]).flip(0), (1 - others[0]).flip(0), others[2].flip(0)
    ends = torch.cat([first, last, low, high]).unique()
    ends = ends[torch.cat([torch.ones(1, dtype=torch.bool), ends.diff() > tiny])]
    middle = (ends[1:] + ends[:-1]) / 2
    here, there = ((torch.searchsorted(starts, middle) - 1).clamp_min(0) for starts in (first, low))
    both = (middle > first[here]) & (middle < last[here])
    both &= (middle > low[there]) & (middle < high[there])
    return ends[:-1][both], ends[1:][both], cell[here[both]], beyond[there[both]]


@dataclass(frozen=True, eq=False)
class CellCutter:
    """Cuts the cells of trees by the boundary of a region in the plane.

    Args:
        outline: the boundary of the region.
        domain: the whole domain, whose bounding box the trees fill.
        region: the index of the region.
        edges: the curves around the region.

    Attributes:
        sliver: parts of cells that are thinner than this fraction of the cell's width are ignored.
    """

    outline: Outline
    domain: Domain
    region: int = 0
    edges: Sequence[DivisionEdge] = ()
    sliver: ClassVar[float] = 1e-6

    def contains(self, points: Tensor, tolerance: float) -> Tensor:
        """A mask (n,) of the points in the region, at least `tolerance` from its boundary."""
        domain = self.outline.domain
        return domain.contains(points, -tolerance) if tolerance else domain.encloses(points)

    def arcs(self, tree: Tree) -> tuple[Arcs, list[Tensor]]:
        """Divide the boundary into arcs, each in one cell, at the grid lines through cells' sides.

        An arc on the side of two cells belongs to the cell on the inner side of the boundary.

        Args:
            tree: the cells.

        Returns:
            The arcs. The points on lines of constant x, then the points on lines of constant y,
            (n, 2) each. Both tensors also contain the points at which x or y has an extremum along
            the boundary, and the ends of curves.
        """
        curves, breaks, lines = self.outline.domain.curves, self.outline.breaks, []
        low, high = self.domain.bounds
        half = (high - low) / 2
        same = 1e-12  # values closer than this are the same up to rounding
        for axis in (0, 1):
            values = tree.boxes[:, :, axis].flatten().unique()
            kept = torch.cat([torch.tensor([True]), values.diff() > same])
            lines.append(low[axis] + (values[kept] + 1) * half[axis])
        cuts: list[Tensor] = []
        meets: list[list[Tensor]] = [[], []]
        for number, curve in enumerate(curves):
            parts = _crossings(curve, breaks[number], lines)
            for axis in (0, 1):
                meets[axis].append(curve.at(torch.cat([parts[axis], breaks[number]])))
            ts = torch.cat([*parts, breaks[number]]).unique()
            tiny = 1e-12  # shorter parameter intervals are rounding errors
            cuts.append(ts[torch.cat([torch.tensor([True]), ts.diff() > tiny])])
        middle = Points.cat(
            [one.points_at((ts[1:] + ts[:-1]) / 2) for one, ts in zip(curves, cuts, strict=True)]
        )
        region = torch.full((len(middle),), self.region)
        local = in_trees(self.domain, middle.coords)
        widths = tree.widths[tree.locate(local, region)]
        inner = tree.locate(local - self.sliver * middle.outward * widths, region)
        found: list[tuple[Tensor, ...]] = []
        owners = inner.split([len(ts) - 1 for ts in cuts])
        for number, (curve, ts, cells) in enumerate(zip(curves, cuts, owners, strict=True)):
            # An arc is not divided where it crosses only lines of other cells.
            starts = torch.isin(ts[1:-1], breaks[number]) | (cells[1:] != cells[:-1])
            at = torch.cat([torch.tensor([True]), starts]).nonzero()[:, 0]
            first, last = ts[at], torch.cat([ts[at[1:]], ts[-1:]])
            both = torch.stack([first, last], dim=1)
            ends, along = (
                values(both.flatten()).unflatten(0, both.shape)
                for values in (curve.at, curve.velocity)
            )
            turns = angles_between(along[:, 0], along[:, 1]).abs()
            found.append((torch.full_like(at, number), first, last, cells[at], ends, turns))
        arcs = Arcs(*(torch.cat(same) for same in zip(*found, strict=True)))
        return arcs, [torch.cat(one) for one in meets]

    def cut(self, tree: Tree) -> CutGeometry:
        """The cells of the tree that contain a part of the region.

        Cells with a part thinner than `sliver` are left out.
        """
        tree = tree.only(tree.region == self.region)
        arcs, meets = self.arcs(tree)
        boxes = physical(self.domain, tree.boxes)  # (N, 2, 2)
        inside = self.outline.domain.encloses(boxes.mean(dim=1))
        low, high = boxes[arcs.cell].unbind(1)
        near = self.sliver * (high - low)
        ends = (
            ((arcs.ends - end[:, None]).abs() <= near[:, None]).all(dim=1) for end in (low, high)
        )
        at_low, at_high = ends
        along = (at_low | at_high).any(dim=1) & (arcs.turns < self.sliver)  # arcs along a side
        cut = torch.zeros(len(boxes), dtype=torch.bool)
        cut[arcs.cell[~along]] = True
        frames = boxes.clone()
        frames[cut] = self._frames(arcs, boxes, cut)
        widths = boxes[:, 1] - boxes[:, 0]
        thin = ((frames[:, 1] - frames[:, 0]) < self.sliver * widths).any(dim=1)
        kept = torch.where(cut, ~thin, inside)
        tree = tree.only(kept)
        arcs = replace(arcs, cell=torch.where(kept, kept.cumsum(0) - 1, -1)[arcs.cell])
        arcs = arcs.some(arcs.cell >= 0)
        met = torch.zeros(len(tree), dtype=torch.bool)
        met[arcs.cell] = True
        faces = self._faces(tree, met, meets)
        frames = in_trees(self.domain, frames[kept])
        frames = torch.where(cut[kept][:, None, None], frames, tree.boxes)
        return CutGeometry(tree, self.domain, frames, faces, cut[kept], arcs, self.edges)

    def _frames(self, arcs: Arcs, boxes: Tensor, cut: Tensor) -> Tensor:
        """The bounding boxes of the parts of cut cells inside the region, (c, 2, 2).

        Args:
            arcs: the boundary's arcs.
            boxes: the lower and the upper corner of all cells, (N, 2, 2).
            cut: a mask of the cut cells, (N,).
        """
        cells = cut.nonzero()[:, 0]
        picked = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]])
        corners = torch.stack([boxes[cells][:, picked[:, axis], axis] for axis in (0, 1)], dim=2)
        # Test points slightly inside the cell: at a corner maybe only other cells are inside.
        moved = corners + 2 * self.sliver * (boxes[cells].mean(dim=1, keepdim=True) - corners)
        inside = self.outline.domain.encloses(moved.flatten(0, 1)).view(len(cells), 4, 1)
        low = torch.where(inside, corners, torch.inf).amin(dim=1)
        high = torch.where(inside, corners, -torch.inf).amax(dim=1)
        place = torch.full((len(boxes),), -1)
        place[cells] = torch.arange(len(cells))
        here = place[arcs.cell] >= 0
        own = place[arcs.cell[here], None].expand(-1, 2)
        low = low.scatter_reduce(0, own, arcs.ends[here].amin(dim=1), "amin")
        high = high.scatter_reduce(0, own, arcs.ends[here].amax(dim=1), "amax")
        return torch.stack([low, high], dim=1).clamp(boxes[cells, :1], boxes[cells, 1:])

    def _faces(self, tree: Tree, near: Tensor, meets: list[Tensor]) -> Faces:
        """The parts of the cells' faces that are inside the region.

        Args:
            tree: the cells.
            near: a mask of the cells that the boundary meets, (N,).
            meets: the points where the boundary meets lines of constant x, and of constant y,
                (n, 2) each.
        """
        faces, (lowest, highest) = tree.faces, self.domain.bounds
        corners = physical(self.domain, faces.corners)
        plain = ~(near[faces.lower] | near[faces.upper])
        numbers, parts = [plain.nonzero()[:, 0]], [corners[plain]]
        for axis in (0, 1):
            own = (~plain & (faces.axis == axis)).nonzero()[:, 0]
            found, low, high = _divided(corners[own], meets[axis], axis)
            part = corners[own][found]
            part[:, 0, 1 - axis], part[:, 1, 1 - axis] = low, high
            numbers.append(own[found])
            parts.append(part)
        corners, faces = torch.cat(parts), faces.some(torch.cat(numbers))
        # A part is inside if the points beside it in both cells are inside the region.
        both = (tree.widths[cells] for cells in (faces.lower, faces.upper))
        widths = torch.minimum(*both) * ((highest - lowest) / 2)
        step = torch.zeros_like(widths).scatter(1, faces.axis[:, None], self.sliver) * widths
        middle = corners.mean(dim=1)
        inside = torch.arange(len(middle)) < int(plain.sum())
        rest = ~inside
        encloses = self.outline.domain.encloses
        inside[rest] = encloses(middle[rest] - step[rest]) & encloses(middle[rest] + step[rest])
        return replace(faces, corners=in_trees(self.domain, corners)).some(inside)

    def too_large(self, tree: Tree) -> Tensor:
        """A mask (N,) of the cells that must be halved to resolve the shape of the boundary.

        Args:
            tree: the cells, all of them in the region.

        Returns:
            The mask of `too_wide` or, if it is nowhere true, the mask of `too_bent`.
        """
        wide = self.too_wide(tree)
        return wide if bool(wide.any()) else self.too_bent(tree)

    def too_wide(self, tree: Tree) -> Tensor:
        """A mask (N,) of the cells that are too wide for a concave bend of the boundary nearby.

        A cell is too wide if its width exceeds its distance from the bend plus the bend's radius of
        curvature. The solution around a hole can be continued into the hole, up to a singularity
        near the centre of curvature. Polynomials of degree k in a cell of the largest admissible
        width have errors like 6^-k.

        Args:
            tree: the cells, all of them in the region.
        """
        points, radii = bends(self.outline.domain)
        found, together = torch.zeros(len(tree), dtype=torch.bool), 2**20
        if not len(points):
            return found
        boxes = physical(self.domain, tree.boxes)
        for some in torch.arange(len(tree)).split(max(1, together // len(points))):
            low, high = boxes[some, :, None].unbind(1)
            reach = torch.maximum(low - points, points - high).clamp_min(0).norm(dim=2) + radii
            found[some] = (high - low)[:, 0].amax(dim=1) > reach.amin(dim=1)
        return found

    def too_bent(self, tree: Tree) -> Tensor:
        """A mask (N,) of cells where the boundary turns by over 1 radian or has several corners.

        Args:
            tree: the cells, all of them in the region.
        """
        arcs, _ = self.arcs(tree)
        turns = torch.zeros(len(tree), dtype=torch.float64).index_add(0, arcs.cell, arcs.turns)
        after, angles = zip(*self.outline.interior_angles, strict=True)
        stops = (torch.tensor(angles, dtype=torch.float64) - math.pi).abs() > self.outline.sharp
        starts = torch.zeros_like(stops).scatter(0, torch.tensor(after), stops)
        sharp = torch.stack([starts, stops], dim=1)[arcs.curve]  # corners at the curve's ends
        at_corner = torch.stack([arcs.first == 0, arcs.last == 1], dim=1) & sharp
        ends = torch.zeros(len(tree), dtype=torch.long)
        ends = ends.index_add(0, arcs.cell, at_corner.sum(dim=1))
        return (turns > 1.0) | (ends > 2) | self._apart(arcs, tree)

    def _apart(self, arcs: Arcs, tree: Tree) -> Tensor:
        """A mask (N,) of cells in which a slit or a notch divides the region in several parts.

        One polynomial in both parts would tie the solutions on the two sides of the slit. Parts
        that are closer than 1/512 of the domain's width do not count, since too many cells would
        be needed, and neither do cells close to a corner that points inwards, which never become
        small enough.

        Args:
            arcs: the boundary's arcs in the cells.
            tree: the cells.
        """
        tiny, found = 1e-4, torch.zeros(len(tree), dtype=torch.bool)
        narrow = self._size / 512
        cells = (arcs.cell.bincount(minlength=len(tree)) > 1).nonzero()[:, 0]
        low, high = physical(self.domain, tree.boxes[cells]).unbind(1)
        boxes = shapely.box(*low.T.numpy(), *high.T.numpy())
        away = np.full(len(boxes), True)
        for corner, radius in self._concave:
            away &= shapely.distance(boxes, corner) > radius
        together = shapely.intersection(self._area, boxes[away])
        widths = (high - low).amax(dim=1).numpy()[away]
        for cell, width, whole in zip(cells[away].tolist(), widths, together, strict=True):
            parts = [one for one in shapely.get_parts(whole) if one.area > tiny * width**2]
            gaps = [float(one.distance(other)) for one, other in combinations(parts, 2)]
            found[cell] = min(gaps, default=0.0) > narrow
        return found

    @cached_property
    def _lines(self) -> list[shapely.LineString]:
        """The curves as polygonal lines; an arc is replaced by 32 chords."""
        few = 33  # points on a curve
        ts = torch.linspace(0, 1, few, dtype=torch.float64)
        curves = self.outline.domain.curves
        steps = [few - 1 if isinstance(one, Segment) else 1 for one in curves]
        each = zip(curves, steps, strict=True)
        return [shapely.LineString(one.at(ts[::step]).numpy()) for one, step in each]

    @cached_property
    def _area(self) -> shapely.Geometry:
        """The polygon that approximates the region: its sides are `_lines`."""
        together = shapely.MultiLineString(self._lines)
        return shapely.build_area(shapely.set_precision(together, 1e-9 * self._size))

    @property
    def _size(self) -> float:
        """The larger width of the domain."""
        low, high = self.domain.bounds
        return float((high - low).max())

    @cached_property
    def _concave(self) -> list[tuple[shapely.Point, float]]:
        """The corners that point inwards, with a quarter of the distance from other curves."""
        found = []
        for curve, (after, angle) in enumerate(self.outline.interior_angles):
            if angle > math.pi + self.outline.sharp:
                corner = shapely.Point(self.outline.domain.curves[curve].stop)
                rest = [one for i, one in enumerate(self._lines) if i not in (curve, after)]
                gaps = [float(one.distance(corner)) for one in rest]
                found.append((corner, min(gaps, default=0.0) / 4))
        return found


def _divided(corners: Tensor, points: Tensor, axis: int) -> tuple[Tensor, Tensor, Tensor]:
    """Divide faces of constant x or y at points.

    Args:
        corners: the lower and upper corner of each face, (F, 2, 2).
        points: the points, some of which are on faces, (n, 2).
        axis: 0 for faces of constant x, 1 for faces of constant y.

    Returns:
        For each of p parts the index of its face, its lower end and its upper end in the other
        coordinate, (p,) each.
    """
    near, rounding = 1e-9, 1e-15  # relative to the face's length, and to the coordinates
    at, low, high = corners[:, 0, axis], corners[:, 0, 1 - axis], corners[:, 1, 1 - axis]
    gap = torch.maximum(near * (high - low), rounding * corners.abs().amax(dim=(1, 2)))
    points = points[points[:, axis].argsort()]
    first = torch.searchsorted(points[:, axis].contiguous(), at - gap)
    counts = torch.searchsorted(points[:, axis].contiguous(), at + gap) - first
    face = torch.arange(len(at)).repeat_interleave(counts)
    along = points[torch.arange(len(face)) + (first - counts.cumsum(0) + counts)[face], 1 - axis]
    inner = (along > low[face] + gap[face]) & (along < high[face] - gap[face])
    faces = torch.cat([torch.arange(len(at)).repeat(2), face[inner]])
    ends = torch.cat([low, high, along[inner]])
    order = ends.argsort()
    order = order[faces[order].argsort(stable=True)]
    faces, ends = faces[order], ends[order]
    parts = (faces[1:] == faces[:-1]) & (ends.diff() > gap[faces[1:]])
    return faces[1:][parts], ends[:-1][parts], ends[1:][parts]


def bends(domain: Planar) -> tuple[Tensor, Tensor]:
    """Points (n, 2) at which the boundary is concave, and the radius of curvature at each, (n,).

    The boundary of a round hole is concave everywhere, the boundary of a disk nowhere.
    """
    ts = torch.linspace(0, 1, 25, dtype=torch.float64)
    points, radii = [torch.zeros(0, 2, dtype=torch.float64)], [ts[:0]]
    for curve in domain.curves:
        at, along = curve.at(ts), curve.velocity(ts)
        turns = -angles_between(along[:-1], along[1:])  # the domain is on the left
        bent = turns > 1e-3
        points.append(curve.at((ts[1:] + ts[:-1]) / 2)[bent])
        radii.append((at.diff(dim=0).norm(dim=1) / turns)[bent])
    return torch.cat(points), torch.cat(radii)
