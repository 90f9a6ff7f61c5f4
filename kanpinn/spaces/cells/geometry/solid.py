"""Cells of a tree that the boundary of a solid cuts.

The part of the solid in each cell is found by sampling. Faces that are only partly in the solid are
sets of sample points. A sheet is a smooth surface of the boundary or of an interface.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from kanpinn.geometry.division import InterfacePiece, SolidPart
from kanpinn.geometry.domain import Piece
from kanpinn.geometry.points import Batch, Points
from kanpinn.geometry.rules import gauss_product
from kanpinn.geometry.rules_in_boxes import RulesInBoxes
from kanpinn.geometry.sampling import halves
from kanpinn.spaces.cells.geometry.cell_geometry import (
    INSIDE,
    OUTSIDE,
    CellGeometry,
    CellPoints,
    CellSide,
    InterfaceParts,
    SidePart,
    derivatives_across,
    in_trees,
    joined_regions,
    physical,
)
from kanpinn.spaces.cells.polynomials import LocalPolynomials
from kanpinn.spaces.cells.tree import Faces, Tree, gaps


def orthonormal(values: Tensor, weights: Tensor) -> Tensor:
    """Orthonormalised functions at the points of p rules, times weights, (p, q, functions).

    The new functions are orthonormal in the weighted sum over the points of each rule. For every k
    the first k new functions span the first k given functions. If there are fewer points than
    functions, the last new functions are zero.

    Args:
        values: the given functions at the points of each rule, (p, q, functions).
        weights: the weights of each rule, (p, q); 0 for padding points, which come last.
    """
    roots, found = weights.sqrt()[..., None], torch.zeros_like(values)
    some = torch.linalg.qr(values * roots).Q
    counts = (weights > 0).sum(dim=1)[:, None]
    # With fewer points than functions the last columns of Q are not zero at padding points.
    some = torch.where((torch.arange(some.shape[2]) < counts)[:, None], some, 0)
    found[:, :, : some.shape[2]] = some * roots
    return found


@dataclass(frozen=True, eq=False)
class CellPart:
    """The part of a cell that is in a solid.

    Args:
        frame: the corners of a box around the part, (2, 3), which is the cell itself if the whole
            cell is in the solid.
        is_cut: whether the boundary goes through the cell.
        sheets: the indices of the sheets, smooth surfaces of the boundary, that bound the part.
        spread: the largest angle in radians between a normal of a sheet and the sheet's mean
            normal.
        connected: whether the part is connected.
    """

    frame: Tensor
    is_cut: bool
    sheets: tuple[int, ...] = ()
    spread: float = 0.0
    connected: bool = True


def narrowed(
    solid: SolidPart, low: Tensor, high: Tensor, step: Tensor, nodes: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Shrink F rectangles in space to their parts that have the solid on both sides.

    Args:
        solid: the solid.
        low, high: the corners of the rectangles, (F, 3) each.
        step: the vector from each rectangle to test points on one side of it, (F, 3).
        nodes: the number of sample points along each coordinate.

    Returns:
        The lower and upper corners of the smaller rectangles, (F, 3) each, and the fraction of each
        smaller rectangle's sample points that have the solid on both sides, (F,).
    """
    share = torch.zeros(len(low), dtype=torch.float64)
    active = torch.arange(len(low))
    pad, least = 1 / nodes, 0.7
    low, high = low.clone(), high.clone()
    unit, _ = gauss_product(nodes, 2)
    for _ in range(3):
        if not len(active):
            break
        at = on_rectangles(unit, low[active], high[active])
        sides = (at + sign * step[active, None] for sign in (-1, 1))
        both = [solid.contains(side.flatten(0, 1)).view(at.shape[:2]) for side in sides]
        inside = both[0] & both[1]
        share[active] = inside.double().mean(dim=1)
        some = inside.any(dim=1)
        active, at, inside = active[some], at[some], inside[some, :, None]
        size = high[active] - low[active]
        start = torch.where(inside, at, torch.inf).amin(dim=1) - pad * size
        stop = torch.where(inside, at, -torch.inf).amax(dim=1) + pad * size
        start, stop = start.maximum(low[active]), stop.minimum(high[active])
        small = ((stop - start) < least * size).any(dim=1)
        low[active[small]], high[active[small]] = start[small], stop[small]
        active = active[small]
    return low, high, share


def on_rectangles(unit: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Map points of [0, 1]² to F rectangles in space, (F, q, 3).

    Args:
        unit: the points, (q, 2).
        low, high: the corners of the rectangles, (F, 3) each; they are equal in the coordinate
            normal to the rectangle.
    """
    sizes = high - low
    flat = sizes <= 0  # the coordinate across each rectangle
    places = (~flat).long().cumsum(dim=1) - 1
    found = unit.T[places.clamp_min(0)]  # (F, 3, q)
    lifted = torch.where(flat[..., None], 0.0, found).transpose(1, 2)
    return low[:, None] + lifted * sizes[:, None]


@dataclass(frozen=True, eq=False)
class SampledSide(CellSide):
    """A side of a cell at a face of which only a part is in the solid; it has sample points.

    Args:
        axis: the coordinate that is constant on the side.
        upper: whether the side is at the upper end of this coordinate.
        row: the index of the face in `SolidGeometry.sampled_numbers`.
        geometry: the cells.
    """

    axis: int
    upper: bool
    row: int
    geometry: "SolidGeometry"

    def traces(self, polynomials: LocalPolynomials, orders: int) -> list[Tensor]:
        """The normal derivatives of the cell's polynomials on the face, as in `CellSide.traces`.

        The functions on the face are polynomials that are orthonormal in the weighted sum over the
        face's sample points, and so do not depend on the cell. The results for up to 32 faces are
        computed together, which is several times as fast, and are kept for later calls.
        """
        together, kept, geometry = 32, self.geometry.kept_traces, self.geometry
        if (self.row, self.upper, polynomials, orders) not in kept:
            first = self.row - self.row % together
            rows = torch.arange(first, min(first + together, len(geometry.sampled_numbers)))
            axes = geometry.faces.axis[geometry.sampled_numbers[rows]]
            for axis in axes.unique().tolist():
                some = rows[axes == axis]
                every = geometry.traces_across(some, axis, self.upper, polynomials, orders)
                for place, row in enumerate(some.tolist()):
                    kept[row, self.upper, polynomials, orders] = [trace[place] for trace in every]
        return kept.pop((self.row, self.upper, polynomials, orders))


@dataclass(frozen=True, eq=False)
class SolidGeometry(CellGeometry):
    """The cells of a tree that contain a part of a solid, with the boundary in them.

    Args:
        parts: the part of the solid in each cell.
        sampled: a mask of the faces of which only a part is in the solid, (F,).
        cutters: for each region into which interfaces divide the solid, the object that cuts cells
            by the region's boundary.
        lost: for each region the corners, in physical space, of boxes that contain some of the
            region's boundary but are no cells, (n, 2, 3). The region's part in such a box is too
            small for a cell.
        interfaces: the pieces of the interfaces between regions.
    """

    parts: Sequence[CellPart]
    sampled: Tensor
    cutters: Sequence["SolidCutter"]
    lost: Sequence[Tensor]
    interfaces: Sequence[InterfacePiece]
    # The traces at sampled faces that were computed, but have not been asked for yet.
    kept_traces: dict[tuple[int, bool, LocalPolynomials, int], list[Tensor]] = field(
        default_factory=dict, init=False, repr=False
    )

    @classmethod
    def joined(cls, parts: Sequence["SolidGeometry"]) -> "SolidGeometry":
        """Join the cells of several regions; `parts` has the cells of each region."""
        return cls(
            **joined_regions(parts),
            parts=[part for one in parts for part in one.parts],
            sampled=torch.cat([one.sampled for one in parts]),
            cutters=[cutter for one in parts for cutter in one.cutters],
            lost=[lost for one in parts for lost in one.lost],
            interfaces=parts[0].interfaces,
        )

    @cached_property
    def sampled_numbers(self) -> Tensor:
        """The indices of the faces of which only a part is in the solid, (s,)."""
        return self.sampled.nonzero()[:, 0]

    @cached_property
    def _rows(self) -> list[int]:
        """The index of each face in `sampled_numbers`; -1 for faces wholly in the solid."""
        return torch.where(self.sampled, self.sampled.long().cumsum(dim=0) - 1, -1).tolist()

    def _side(self, cell: int, face: int, whole: SidePart) -> CellSide:
        row = self._rows[face]
        return whole if row < 0 else SampledSide(whole.axis, whole.upper, row, self)

    def traces_across(
        self, rows: Tensor, axis: int, upper: bool, polynomials: LocalPolynomials, orders: int
    ) -> list[Tensor]:
        """The normal derivatives of cells' polynomials at s faces that are partly in the solid.

        Args:
            rows: the indices of the faces in `sampled_numbers`, (s,).
            axis: the coordinate that is constant on the faces.
            upper: whether the faces are at the upper sides of the cells.
            polynomials: the L polynomials of a cell.
            orders: the number of orders of derivatives across the faces, which begin with 0.

        Returns:
            For each order the coefficients in orthonormal functions on each face,
            (s, L, face functions).
        """
        more = 4  # the number of points along each coordinate minus the degree
        faces, numbers = self.faces, self.sampled_numbers[rows]
        unit, weights = gauss_product(polynomials.degree + more, 2)
        points = on_rectangles(unit, *physical(self.domain, faces.corners[numbers]).unbind(dim=1))
        regions, steps = (
            self.tree.region[faces.lower[numbers]],
            self.cutters[0].sliver * self.lengths[numbers],
        )
        inside = torch.ones(points.shape[:2], dtype=torch.bool)
        for region, cutter in enumerate(self.cutters):
            own = regions == region
            for sign in (-1, 1):  # the solid must be on both sides
                beside = points[own]
                beside[:, :, axis] += sign * steps[own, None]
                inside[own] &= cutter.solid.contains(beside.flatten(0, 1)).view(beside.shape[:2])
        first = (~inside).to(torch.uint8).argsort(dim=1, stable=True)  # inner points first
        weights = torch.where(inside, 4 * weights, 0).gather(1, first)  # weights for [-1, 1]²
        values = polynomials.on_face.values(2 * unit - 1)[first]
        points = points.gather(1, first[..., None].expand(-1, -1, 3))
        local = self.local((faces.lower if upper else faces.upper)[numbers], points)
        return derivatives_across(polynomials, axis, local, orders, orthonormal(values, weights))

    def on_boundary(
        self, pieces: Sequence[Piece], polynomials: LocalPolynomials
    ) -> Iterator[CellPoints]:
        """Yield quadrature points with normals on pieces of the boundary, for groups of cells.

        The arguments are those of `CellGeometry.on_boundary`. All cells with a whole side on the
        boundary have the same points in their own coordinates.
        """
        more = 4  # the number of points along each coordinate minus the degree
        together, rounding = 32, 1e-5
        sheets = [
            (cutter, number)
            for cutter in self.cutters
            for number, (_, piece) in enumerate(cutter.solid.sheets)
            if piece in pieces
        ]
        for cutter, number in sheets:
            near = torch.tensor([number in part.sheets for part in self.parts], dtype=torch.bool)
            near &= self.tree.region == cutter.region
            cells, boxes = near.nonzero()[:, 0], cutter.boxes(self.tree)[near]
            rules = cutter.bounding(number, boxes, polynomials.degree + more)
            # Find the cells with a side that the boundary covers, and this side's axis and end.
            counts, widths = rules.counts(len(boxes)), boxes[:, 1] - boxes[:, 0]
            first = (counts.cumsum(dim=0) - counts).clamp_max(max(0, len(rules.box) - 1))
            normals = rules.normals[first] if len(rules.box) else torch.zeros_like(widths)
            axes = normals.abs().argmax(dim=1)
            sizes = widths.prod(dim=1) / widths.gather(1, axes[:, None])[:, 0]
            areas = torch.zeros_like(sizes).index_add(0, rules.box, rules.weights)
            covered = (areas / sizes - 1).abs() <= rounding
            straight = normals.abs().sum(dim=1) <= 1 + rounding
            upper = normals.gather(1, axes[:, None])[:, 0] > 0
            is_side = (counts > 0) & covered & straight & ~self.is_cut[cells]
            for axis, end in itertools.product(range(3), (False, True)):
                own = is_side & (axes == axis) & (upper == end)
                if bool(own.any()):
                    rule = polynomials.on_face.rule(more - 1)
                    yield CellPoints.on_side(self, cells[own], SidePart.whole(axis, end, 3), *rule)
            sampled = rules.some(~is_side[rules.box]).numbered(cells)
            every = RulesInBoxes.joined([sampled, *self._lost_parts(cutter, number)])
            for some, points, weights in every.padded(together):
                yield CellPoints.of(self, some, Batch.made_of(points), weights)

    def _lost_parts(self, cutter: "SolidCutter", number: int) -> Iterator[RulesInBoxes]:
        """Yield quadrature points where a sheet is outside all cells, with their nearest cells.

        A sheet is a smooth surface of the boundary. The points are in the boxes `lost`. These boxes
        are halved until they are about as small as the cells that are nearest to the points.

        Args:
            cutter: the object that cuts cells by the boundary of the region.
            number: the index of the sheet.
        """
        few, region = 4, cutter.region
        widths, boxes = self.tree.widths * self.half, self.lost[region]
        while len(boxes):
            rules = cutter.bounding(number, boxes, few)
            at = in_trees(self.domain, rules.points.coords)
            cells = self.tree.locate(at, torch.full((len(at),), region))
            size = boxes[:, 1] - boxes[:, 0]
            wider = torch.zeros(len(boxes), 3, dtype=torch.long)
            wider.index_add_(0, rules.box, (size[rules.box] > 1.5 * widths[cells]).long())
            large = (wider > 0).any(dim=1)
            yield RulesInBoxes.joined([replace(rules, box=cells).some(~large[rules.box])])
            axes = (wider[large] > 0).long().argmax(dim=1)
            low, high = boxes[large].unbind(dim=1)
            boxes = torch.stack(halves(low, high, axes), dim=1)

    @cached_property
    def _boxes(self) -> Tensor:
        """The corners of the cells in physical space, (N, 2, 3)."""
        return physical(self.domain, self.tree.boxes)

    def at_interfaces(self, degree: int) -> Iterator[InterfaceParts]:
        """Yield the patches of all interfaces with quadrature points, in batches.

        The patches of a batch have similar numbers of points.

        Args:
            degree: the degree of the polynomials in cells.
        """
        more = 6  # the number of points along each coordinate minus the degree
        together, traces = 32, LocalPolynomials(degree, 2)
        for piece in self.interfaces:
            inner, outer = (self.cutters[one] for one in (piece.inside, piece.outside))
            pairs = torch.tensor(sorted(self._pairs(piece)), dtype=torch.long).view(-1, 2)
            both = self._boxes[pairs]  # (p, 2, 2, 3): the cell inside, then the cell outside
            low, high = both[:, :, 0].amax(dim=1), both[:, :, 1].amin(dim=1)
            room = 2 * inner.sliver * (both[:, :, 1] - both[:, :, 0]).amin(dim=1)
            boxes = torch.stack([low - room, high + room], dim=1)
            rules = piece.piece.in_boxes(boxes, degree + more)
            own = inner.bounds(rules.points, both[rules.box, 0])
            own &= outer.bounds(rules.points.turned(), both[rules.box, 1])
            for numbers, points, weights in rules.some(own).padded(together):
                batch = Batch.made_of(points)
                inside, outside = (
                    CellPoints.of(self, cells, batch, weights)
                    for cells in pairs[numbers].unbind(dim=1)
                )
                onto = _functions(traces, points, weights)
                yield InterfaceParts(piece.piece, (inside, outside), traces, onto)

    def _pairs(self, piece: InterfacePiece) -> set[tuple[int, int]]:
        """Pairs of a cell inside and a cell outside that may meet at a piece of an interface.

        The two cells of a pair are in one box of the tree, or they are neighbours whose common side
        is on the piece. The smaller of the two neighbours may be inside or outside. Therefore
        neighbours are searched from sample points in the cells inside, then from sample points in
        the cells outside.

        Args:
            piece: the piece of the interface.
        """
        tree, near = self.tree, []
        for region in (piece.inside, piece.outside):
            sheet = self.cutters[region].solid.number_of(piece.piece)
            own = (tree.region == region).nonzero()[:, 0].tolist()
            near.append([cell for cell in own if sheet in self.parts[cell].sheets])
        keys = _keys(tree)
        boxes = {keys[cell]: cell for cell in near[INSIDE]}
        found = {(boxes[keys[cell]], cell) for cell in near[OUTSIDE] if keys[cell] in boxes}
        found |= self._neighbours(piece, near[INSIDE], piece.outside)
        beyond = self._neighbours(piece, near[OUTSIDE], piece.inside)
        return found | {(inside, outside) for outside, inside in beyond}

    def _neighbours(
        self, piece: InterfacePiece, cells: Sequence[int], region: int
    ) -> set[tuple[int, int]]:
        """Pairs of a cell of one region and a cell of another region, across an interface.

        Sample points of the interface in the first cell are moved across the interface by a small
        step. The second cell contains at least one of the moved points.

        Args:
            piece: the piece of the interface.
            cells: the indices of the cells, all of the same region.
            region: the index of the other region.
        """
        if not cells:
            return set()
        few, tree = 4, self.tree
        cutter, boxes = self.cutters[int(tree.region[cells[0]])], self._boxes[cells]
        rules = cutter.bounding(cutter.solid.number_of(piece.piece), boxes, few)
        widths = (boxes[:, 1] - boxes[:, 0])[rules.box]
        beyond = rules.points.coords + 2 * cutter.sliver * widths * rules.normals
        at = in_trees(self.domain, beyond)
        others = tree.locate(at, torch.full((len(at),), region))
        return set(zip(torch.tensor(cells)[rules.box].tolist(), others.tolist(), strict=True))


def _functions(traces: LocalPolynomials, points: Points, weights: Tensor) -> Tensor:
    """Orthonormal functions at the points of p patches, times weights, (p, q, functions).

    The functions are polynomials of two coordinates in the plane that is normal to the patch's mean
    normal, lower degrees first. With fewer points than functions the last functions are zero.

    Args:
        traces: the polynomials.
        points: the quadrature points with normals, the points of the first patch first.
        weights: the quadrature weights, (p, q); 0 for padding points, which come last.
    """
    assert points.normals is not None
    coords, normals = (x.unflatten(0, weights.shape) for x in (points.coords, points.normals))
    means = (weights[..., None] * normals).sum(dim=1, keepdim=True)
    across = torch.linalg.svd(means).Vh[:, 1:]
    flat = coords @ across.mT
    low, high = flat.amin(dim=1, keepdim=True), flat.amax(dim=1, keepdim=True)
    local = (2 * flat - low - high) / (high - low).clamp_min(1e-300)
    values = traces.values(local.flatten(0, 1)).unflatten(0, weights.shape)
    return orthonormal(values, weights)


@dataclass(frozen=True, eq=False)
class SolidCutter:
    """Cuts the cells of trees by the boundary of a solid, or of a region between interfaces.

    Args:
        solid: the solid or the region.
        region: the index of the region.
        interfaces: the pieces of the interfaces between all regions.
        known: a cache of the parts of the solid in boxes, by their `_keys`; None for a box
            without a part.
        bounded: a cache for boxes that are no cells, by their `_keys`: whether some of the
            region's boundary is in the box.

    Attributes:
        sliver: parts that are thinner than this fraction of a cell's width are ignored.
        nodes: the number of sample points along each coordinate. A part of the solid thinner than
            about 1/nodes² of a cell may be missed; the polynomials of a neighbouring cell are then
            used in this part.
    """

    sliver: ClassVar[float] = 1e-6
    nodes: ClassVar[int] = 10
    solid: SolidPart
    region: int
    interfaces: Sequence[InterfacePiece]
    known: dict[tuple[int, ...], CellPart | None] = field(default_factory=dict)
    bounded: dict[tuple[int, ...], bool] = field(default_factory=dict)

    def bounding(self, number: int, boxes: Tensor, nodes: int) -> RulesInBoxes:
        """Quadrature rules on one smooth surface of the boundary, in the cells that it bounds.

        Args:
            number: the index of the sheet, a smooth surface of the boundary or an interface.
            boxes: the corners of the cells, (N, 2, 3).
            nodes: roughly the number of points along each coordinate.
        """
        room = 2 * self.sliver * (boxes[:, 1] - boxes[:, 0])  # the reach of `bounds`
        wider = torch.stack([boxes[:, 0] - room, boxes[:, 1] + room], dim=1)
        found = self.solid.sheets[number][0].in_boxes(wider, nodes)
        return found.some(self.bounds(found.points, boxes[found.box]))

    def bounds(self, points: Points, boxes: Tensor) -> Tensor:
        """A mask (n,) of the boundary points that bound the part of the solid in a given cell.

        Args:
            points: n boundary points with normals out of the solid.
            boxes: the corners of the cell for each point, (n, 2, 3).
        """
        assert points.normals is not None
        low, high = boxes.unbind(dim=1)
        room = self.sliver * (high - low)
        inward = points.coords - 2 * room * points.normals
        own = ((inward > low - room) & (inward < high + room)).all(dim=1)
        # A sheet in the common side of two cells bounds only the cell on the solid's side.
        own &= (((inward >= low) & (inward <= high)) | (points.normals.abs() < 0.5)).all(dim=1)
        if self.solid.within or self.solid.without:  # a sheet may bound another part of the solid
            own &= self.solid.contains(inward)
        return own

    def _framed(self, boxes: Tensor, bounding: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The bounding boxes of the solid's parts in cut cells.

        Args:
            boxes: the corners of the cells, (c, 2, 3).
            bounding: the lowest and highest coordinates of the boundary in each cell, (c, 2, 3).

        Returns:
            The corners of the boxes, (c, 2, 3); whether each part is connected, (c,); and whether
            each cell has a part that is not too thin, (c,).
        """
        from scipy.ndimage import generate_binary_structure, label  # the import takes 0.1 s

        unit, _ = gauss_product(self.nodes, 3)
        (low, high), pad = boxes.unbind(dim=1), 1 / self.nodes
        first, last = low.clone(), high.clone()
        tight = bounding.clone()
        inside = torch.zeros(len(boxes), len(unit), dtype=torch.bool)
        active = torch.arange(len(boxes))
        for _ in range(8):  # narrows a box up to tenfold each time, down to a sliver
            before = (last - first)[active]
            at = first[active, None] + unit * before[:, None]
            own = self.solid.contains(at.flatten(0, 1)).view(at.shape[:2])
            inside[active] = own
            start = torch.where(own[..., None], at, torch.inf).amin(dim=1)
            stop = torch.where(own[..., None], at, -torch.inf).amax(dim=1)
            tight[active, 0] = start.minimum(bounding[active, 0])
            tight[active, 1] = stop.maximum(bounding[active, 1])
            first[active] = low[active].maximum(tight[active, 0] - pad * before)
            last[active] = high[active].minimum(tight[active, 1] + pad * before)
            active = active[~((last - first)[active] > 0.7 * before).all(dim=1)]
        room = 0.02 * (tight[:, 1] - tight[:, 0])
        # A part that nearly reaches a side of the cell is enlarged to that side, and has a face.
        reach = pad * (tight[:, 1] - tight[:, 0])
        first = torch.where(tight[:, 0] - reach < low, low, tight[:, 0] - room)
        last = torch.where(tight[:, 1] + reach > high, high, tight[:, 1] + room)
        thin = (last - first < self.sliver * (high - low)).any(dim=1)
        # Find whether the parts are connected, apart from small components.
        least, neighbours = 0.05, generate_binary_structure(4, 1)  # least: fraction of points
        neighbours[[0, 2]] = False  # points of different cells are no neighbours
        numbers, count = label(inside.view(-1, *(self.nodes,) * 3).numpy(), neighbours)
        sizes = np.bincount(numbers.ravel(), minlength=count + 1)[1:]
        grid, places = np.zeros(count, dtype=np.int64), np.nonzero(numbers)
        grid[numbers[places] - 1] = places[0]
        totals = np.bincount(grid, sizes, len(inside))
        large = np.bincount(grid[sizes > least * totals[grid]], minlength=len(inside))
        connected = torch.from_numpy(large <= 1)
        return torch.stack([first, last], dim=1), connected, inside.any(dim=1) & ~thin

    def boxes(self, tree: Tree) -> Tensor:
        """The corners of the cells in physical space, (N, 2, 3)."""
        return physical(self.solid.domain, tree.boxes)

    def parts(self, tree: Tree) -> list[CellPart | None]:
        """The part of the solid in each cell; None if there is none."""
        keys = _keys(tree)
        rows = [row for row, key in enumerate(keys) if key not in self.known]
        boxes, count = self.boxes(tree)[rows], len(rows)
        step = 2 * self.sliver * (boxes[:, 1] - boxes[:, 0])
        spread, is_cut = boxes.new_zeros(count), torch.zeros(count, dtype=torch.bool)
        near = torch.zeros(len(self.solid.sheets), count, dtype=torch.bool)
        extents = [RulesInBoxes.none(self.solid.domain.names).extents(count)]
        for number in range(len(self.solid.sheets)):
            rules = self.bounding(number, boxes, self.nodes)
            coords, box = rules.points.coords, rules.box
            near[number] = rules.counts(count) > 0
            extents.append(rules.extents(count))
            means = rules.normals.new_zeros(count, 3).index_add(0, box, rules.normals)
            means = means / means.norm(dim=1, keepdim=True).clamp_min(1e-300)
            cosines = (rules.normals * means[box]).sum(dim=1)
            least = torch.ones_like(spread).scatter_reduce(0, box, cosines, "amin")
            spread = torch.maximum(spread, least.clamp(-1, 1).acos())
            low, high = boxes[box, 0] + step[box], boxes[box, 1] - step[box]
            is_cut[box[((coords > low) & (coords < high)).all(dim=1)]] = True
        ends = torch.stack(extents)
        around = torch.stack([ends[:, :, 0].amin(dim=0), ends[:, :, 1].amax(dim=0)], dim=1)
        frames, connected = boxes.clone(), torch.ones_like(is_cut)
        kept = self.solid.contains(boxes.mean(dim=1)) | is_cut
        together = 2**20 // self.nodes**3  # the number of cells at once, to bound the memory
        for some in is_cut.nonzero()[:, 0].split(together):
            frames[some], connected[some], kept[some] = self._framed(boxes[some], around[some])
        spread[~is_cut] = 0
        for i, row in enumerate(rows):
            sheets = tuple(near[:, i].nonzero()[:, 0].tolist())
            angle, whole = float(spread[i]), bool(connected[i])
            part = CellPart(frames[i], bool(is_cut[i]), sheets, angle, whole)
            self.known[keys[row]] = part if kept[i] else None
        return [self.known[key] for key in keys]

    def contains(self, points: Tensor, tolerance: float) -> Tensor:
        """A mask (n,) of the points in the region, at least `tolerance` from its boundary."""
        return self.solid.contains(points, tolerance=-tolerance)

    def too_large(self, tree: Tree) -> Tensor:
        """A mask (N,) of the cells that must be halved to resolve the shape of the boundary.

        A cell is too large if its part of the solid is not connected, or if the normal of a smooth
        part of the boundary turns by more than about 1.2 radians in the cell. The normal does so if
        the cell is wider than a hole or than the radius of curvature.
        """
        most, parts = 0.6, self.parts(tree)  # the largest angle of a normal from the mean normal
        large = [one is not None and (one.spread > most or not one.connected) for one in parts]
        return torch.tensor(large, dtype=torch.bool)

    def cut(self, tree: Tree) -> SolidGeometry:
        """The cells of the region that contain a part of the solid."""
        tree = tree.only(tree.region == self.region)
        found = self.parts(tree)
        kept = torch.tensor([part is not None for part in found], dtype=torch.bool)
        tree, parts = tree.only(kept), [part for part in found if part is not None]
        frames = in_trees(self.solid.domain, torch.stack([part.frame for part in parts]))
        is_cut = torch.tensor([part.is_cut for part in parts], dtype=torch.bool)
        frames = torch.where(is_cut[:, None, None], frames, tree.boxes)
        faces, sampled = self._divided(tree, frames, is_cut)
        cells = tree, self.solid.domain, frames, faces, is_cut
        return SolidGeometry(*cells, parts, sampled, [self], [self._lost(tree)], self.interfaces)

    def _lost(self, tree: Tree) -> Tensor:
        """The corners, in physical space, of the boxes in `SolidGeometry.lost`, (n, 2, 3).

        These boxes contain some of the region's boundary but are no cells.

        Args:
            tree: the cells of the region.
        """
        level, place = gaps(tree)
        without = Tree(tree.roots, level, place, torch.zeros(len(level), dtype=torch.long))
        boxes, keys = self.boxes(without), _keys(without)
        rows = [row for row, key in enumerate(keys) if key not in self.bounded]
        found = torch.zeros(len(rows), dtype=torch.bool)
        for number in range(len(self.solid.sheets)):
            found[self.bounding(number, boxes[rows], self.nodes).box] = True
        self.bounded.update(zip((keys[row] for row in rows), found.tolist(), strict=True))
        return boxes[torch.tensor([self.bounded[key] for key in keys], dtype=torch.bool)]

    def _divided(self, tree: Tree, frames: Tensor, is_cut: Tensor) -> tuple[Faces, Tensor]:
        """The faces between cells, cut to the solid, and a mask (F,) of the faces partly in it.

        Args:
            tree: the cells.
            frames: the corners of the boxes around the cells' parts in the solid, in coordinates in
                which the domain's bounding box is [-1, 1]³, (N, 2, 3).
            is_cut: a mask of the cells that the boundary cuts, (N,).
        """
        faces, (bottom, top) = tree.faces, self.solid.domain.bounds
        half = (top - bottom) / 2
        near = is_cut[faces.lower] | is_cut[faces.upper]
        numbers = near.nonzero()[:, 0]
        axis, lower, upper = faces.axis[numbers], faces.lower[numbers], faces.upper[numbers]
        rows = torch.arange(len(numbers))
        at = faces.corners[numbers, 0, axis]
        low = torch.stack([frames[lower, 0], frames[upper, 0], faces.corners[numbers, 0]]).amax(0)
        high = torch.stack([frames[lower, 1], frames[upper, 1], faces.corners[numbers, 1]]).amin(0)
        near_side = 1e-9
        reached = (frames[lower, 1, axis] >= at - near_side) & (
            frames[upper, 0, axis] <= at + near_side
        )
        low[rows, axis] = high[rows, axis] = at
        reached &= ((high - low) > 0).sum(dim=1) == 2
        numbers, axis, low, high = numbers[reached], axis[reached], low[reached], high[reached]
        width = torch.minimum(tree.widths[lower], tree.widths[upper])[reached]
        across = torch.zeros_like(width).scatter(1, axis[:, None], 1.0)
        step = self.sliver * (across * width * half)
        low, high = physical(self.solid.domain, low), physical(self.solid.domain, high)
        low, high, share = narrowed(self.solid, low, high, step, self.nodes)
        kept = share > 0
        corners = in_trees(self.solid.domain, torch.stack([low, high], dim=1))
        plain = (~near).nonzero()[:, 0]
        chosen = torch.cat([plain, numbers[kept]])
        every = torch.cat([faces.corners[plain], corners[kept]])
        sampled = torch.cat([torch.zeros(len(plain), dtype=torch.bool), share[kept] < 1])
        return replace(faces.some(chosen), corners=every), sampled


def _keys(tree: Tree) -> list[tuple[int, ...]]:
    """The numbers of boxes of level 0, the level and the place of each cell, as a tuple."""
    own = torch.cat([tree.level, tree.place], dim=1).tolist()
    return [(*tree.roots, *key) for key in own]
