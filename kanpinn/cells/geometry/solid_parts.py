"""The parts of single cells in a solid, found by sampling."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kanpinn.geometry.points import Points
from kanpinn.geometry.rules import gauss_product
from kanpinn.geometry.rules_in_boxes import RulesInBoxes
from kanpinn.geometry.solid.divide3d import SolidPart


@dataclass(frozen=True, eq=False)
class CellPart:
    """The part of a cell in a solid.

    Args:
        frame: the corners of a box around it, (2, 3), which is the cell itself if all of it is in
            the solid.
        is_cut: whether the boundary goes through the cell.
        sheets: the numbers of the boundary's sheets that bound it.
        spread: the largest angle between a normal of a sheet and their mean, in radians.
        connected: whether it is connected.
    """

    frame: Tensor
    is_cut: bool
    sheets: tuple[int, ...] = ()
    spread: float = 0.0
    connected: bool = True


@dataclass(frozen=True, eq=False)
class PartFinder:
    """Finds the parts of cells in a solid.

    Args:
        solid: the solid, or a part of it between interfaces.
        sliver: parts that are thinner than this fraction of a cell's width are ignored.
        nodes: the number of sample points along each coordinate. Parts that are thinner than about
            1/nodes² of a cell may be missed; the neighbours' polynomials are used there.
    """

    solid: SolidPart
    sliver: float = 1e-6
    nodes: int = 10

    def parts(self, boxes: Tensor) -> list[CellPart | None]:
        """The parts of cells, None for cells without one; boxes: their corners, (N, 2, 3)."""
        count, step = len(boxes), 2 * self.sliver * (boxes[:, 1] - boxes[:, 0])
        spread, is_cut = boxes.new_zeros(count), torch.zeros(count, dtype=torch.bool)
        near = torch.zeros(len(self.solid.sheets), count, dtype=torch.bool)
        extents = [RulesInBoxes.none(self.solid.domain.names).extents(count)]
        for number in range(len(self.solid.sheets)):
            found = self.bounding(number, boxes, self.nodes)
            coords, box = found.points.coords, found.box
            near[number] = found.counts(count) > 0
            extents.append(found.extents(count))
            spread = torch.maximum(spread, _spread(found, count))
            low, high = boxes[box, 0] + step[box], boxes[box, 1] - step[box]
            is_cut[box[((coords > low) & (coords < high)).all(dim=1)]] = True
        inside = self.solid.contains(boxes.mean(dim=1))
        ends = torch.stack(extents)
        around = torch.stack([ends[:, :, 0].amin(dim=0), ends[:, :, 1].amax(dim=0)], dim=1)
        frames, connected, kept = boxes.clone(), torch.ones_like(is_cut), inside | is_cut
        together = 2**20 // self.nodes**3  # cells, which bounds the memory
        for some in is_cut.nonzero()[:, 0].split(together):
            frames[some], connected[some], kept[some] = self._framed(boxes[some], around[some])
        spread[~is_cut] = 0
        numbers = [tuple(one.nonzero()[:, 0].tolist()) for one in near.T]
        return [
            CellPart(frames[i], bool(is_cut[i]), numbers[i], float(spread[i]), bool(connected[i]))
            if kept[i]
            else None
            for i in range(count)
        ]

    def bounding(self, number: int, boxes: Tensor, nodes: int) -> RulesInBoxes:
        """Rules on the parts of a sheet that bound the cells' parts of the solid.

        Args:
            number: that of the sheet.
            boxes: the corners of the cells, (N, 2, 3).
            nodes: about the number of points along each coordinate.
        """
        room = 2 * self.sliver * (boxes[:, 1] - boxes[:, 0])  # as far as `bounds` asks for points
        wider = torch.stack([boxes[:, 0] - room, boxes[:, 1] + room], dim=1)
        found = self.solid.sheets[number][0].in_boxes(wider, nodes)
        return found.some(self.bounds(found.points, boxes[found.box]))

    def are_bounded(self, boxes: Tensor) -> Tensor:
        """In which boxes any sheet bounds the solid, a mask (N,); boxes: (N, 2, 3)."""
        found = torch.zeros(len(boxes), dtype=torch.bool)
        for number in range(len(self.solid.sheets)):
            found[self.bounding(number, boxes, self.nodes).box] = True
        return found

    def bounds(self, points: Points, boxes: Tensor) -> Tensor:
        """Which points of the boundary bound the part of the solid in a cell, a mask (n,).

        Args:
            points: points with normals out of the solid.
            boxes: the corners of a cell for each point, (n, 2, 3).
        """
        assert points.normals is not None
        low, high = boxes.unbind(dim=1)
        room = self.sliver * (high - low)
        inward = points.coords - 2 * room * points.normals
        own = ((inward > low - room) & (inward < high + room)).all(dim=1)
        # A sheet along a side bounds the cell on its inner side only.
        own &= (((inward >= low) & (inward <= high)) | (points.normals.abs() < 0.5)).all(dim=1)
        if not self.solid.is_whole:  # a wall may bound another part of the solid
            own &= self.solid.contains(inward)
        return own

    def _framed(self, boxes: Tensor, bounding: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes around the parts of cut cells.

        Args:
            boxes: the corners of the cells, (c, 2, 3).
            bounding: the lowest and highest coordinates of the boundary in each cell, (c, 2, 3).

        Returns:
            The boxes, (c, 2, 3), whether each part is connected, (c,), and which cells have one
            that is not too thin, (c,).
        """
        unit, _ = gauss_product(self.nodes, 3)
        (low, high), pad = boxes.unbind(dim=1), 1 / self.nodes
        first, last = low.clone(), high.clone()
        tight = bounding.clone()
        inside = torch.zeros(len(boxes), len(unit), dtype=torch.bool)
        active = torch.arange(len(boxes))
        for _ in range(8):  # each narrows the box to about a tenth, until it is as thin as a sliver
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
        # A part that nearly reaches a side of the cell goes on beyond it: it has a face there.
        reach = pad * (tight[:, 1] - tight[:, 0])
        first = torch.where(tight[:, 0] - reach < low, low, tight[:, 0] - room)
        last = torch.where(tight[:, 1] + reach > high, high, tight[:, 1] + room)
        thin = (last - first < self.sliver * (high - low)).any(dim=1)
        connected = _connected(inside.view(-1, *(self.nodes,) * 3))
        return torch.stack([first, last], dim=1), connected, inside.any(dim=1) & ~thin


def _spread(found: RulesInBoxes, boxes: int) -> Tensor:
    """The largest angle between normals in each of all boxes and their mean, (boxes,)."""
    means = found.normals.new_zeros(boxes, 3).index_add(0, found.box, found.normals)
    means = means / means.norm(dim=1, keepdim=True).clamp_min(1e-300)
    cosines = (found.normals * means[found.box]).sum(dim=1)
    least = torch.ones(boxes, dtype=cosines.dtype).scatter_reduce(0, found.box, cosines, "amin")
    return least.clamp(-1, 1).acos()


def _connected(inside: Tensor) -> Tensor:
    """Whether the points of masks on grids are connected, apart from small components, (c,).

    inside: the masks, (c, n, n, n).
    """
    from scipy.ndimage import generate_binary_structure, label  # takes a tenth of a second

    least = 0.05  # of all points
    neighbours = generate_binary_structure(4, 1)
    neighbours[[0, 2]] = False  # not in other grids
    numbers, count = label(inside.numpy(), neighbours)
    sizes = np.bincount(numbers.ravel(), minlength=count + 1)[1:]
    grid = np.zeros(count, dtype=np.int64)
    places = np.nonzero(numbers)
    grid[numbers[places] - 1] = places[0]
    totals = np.bincount(grid, sizes, len(inside))
    large = np.bincount(grid[sizes > least * totals[grid]], minlength=len(inside))
    return torch.from_numpy(large <= 1)


def narrowed(
    solid: SolidPart, low: Tensor, high: Tensor, step: Tensor, nodes: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Shrink rectangles to the parts that have the solid on both sides.

    Args:
        solid: the solid.
        low, high: the corners of rectangles, (F, 3) each.
        step: from the rectangles to points on one side, (F, 3).
        nodes: the number of sample points along each coordinate.

    Returns:
        The lower and upper corners of rectangles around the parts, (F, 3) each, and the fraction of
        the sample points in each rectangle that are in its part, (F,).
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
    """Points of [0, 1]², (q, 2), moved to rectangles across axes, (F, q, 3).

    low, high: the corners of the rectangles, (F, 3) each, equal in the coordinate across each one.
    """
    sizes = high - low
    flat = sizes <= 0  # the axis across each rectangle
    places = (~flat).long().cumsum(dim=1) - 1
    found = unit.T[places.clamp_min(0)]  # (F, 3, q)
    lifted = torch.where(flat[..., None], 0.0, found).transpose(1, 2)
    return low[:, None] + lifted * sizes[:, None]
