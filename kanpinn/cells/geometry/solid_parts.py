"""The parts of single cells in a solid, found by sampling."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kanpinn.geometry.points import Points
from kanpinn.geometry.rules import gauss_product
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

    def part(self, low: Tensor, high: Tensor) -> CellPart | None:
        """The part of a cell, None if there is none; low, high: the cell's corners, (3,) each."""
        near, step = [], 2 * self.sliver * (high - low)
        spread, is_cut = 0.0, False
        for number in range(len(self.solid.sheets)):
            points = self.bounding(number, low, high, self.nodes)[0]
            if not len(points):
                continue
            assert points.normals is not None
            near.append((number, points.coords))
            mean = points.normals.mean(dim=0)
            cosine = points.normals @ (mean / mean.norm().clamp_min(1e-300))
            spread = max(spread, float(cosine.amin().clamp(-1, 1).acos()))
            inner = (points.coords > low + step) & (points.coords < high - step)
            is_cut |= bool(inner.all(dim=1).any())
        numbers = tuple(number for number, _ in near)
        if not is_cut:
            inside = bool(self.solid.contains((low + high)[None] / 2))
            return CellPart(torch.stack([low, high]), False, numbers) if inside else None
        found = self._framed(low, high, torch.cat([coords for _, coords in near]))
        if found is None:
            return None
        return CellPart(found[0], True, numbers, spread, found[1])

    def bounding(self, number: int, low: Tensor, high: Tensor, nodes: int) -> tuple[Points, Tensor]:
        """A rule on the part of a sheet that bounds a cell's part of the solid.

        Args:
            number: that of the sheet.
            low, high: the corners of the cell, (3,) each.
            nodes: about the number of points along each coordinate.

        Returns:
            n points with normals, and their weights, (n,).
        """
        sheet = self.solid.sheets[number][0]
        room = 2 * self.sliver * (high - low)  # as far beyond a side as `bounds` asks for points
        points, weights = sheet.in_box(low - room, high + room, nodes)
        own = self.bounds(points, low, high)
        return points[own], weights[own]

    def is_bounded(self, low: Tensor, high: Tensor) -> bool:
        """Whether any sheet bounds the solid in a box; low, high: its corners, (3,) each."""
        numbers = range(len(self.solid.sheets))
        return any(len(self.bounding(number, low, high, self.nodes)[0]) for number in numbers)

    def bounds(self, points: Points, low: Tensor, high: Tensor) -> Tensor:
        """Which points of the boundary bound a cell's part of the solid, a mask (n,).

        Args:
            points: points with normals out of the solid.
            low, high: the corners of the cell, (3,) each.
        """
        assert points.normals is not None
        room = self.sliver * (high - low)
        inward = points.coords - 2 * room * points.normals
        own = ((inward > low - room) & (inward < high + room)).all(dim=1)
        # A sheet along a side bounds the cell on its inner side only.
        own &= (((inward >= low) & (inward <= high)) | (points.normals.abs() < 0.5)).all(dim=1)
        if not self.solid.is_whole:  # a wall may bound another part of the solid
            own &= self.solid.contains(inward)
        return own

    def _framed(self, low: Tensor, high: Tensor, bounding: Tensor) -> tuple[Tensor, bool] | None:
        """A box around a cut cell's part, (2, 3), and whether it is connected.

        bounding: points of the boundary in the cell, (n, 3).
        """
        unit, _ = gauss_product(self.nodes, 3)
        first, last, pad = low, high, 1 / self.nodes
        for _ in range(8):  # each narrows the box to about a tenth, until it is as thin as a sliver
            at = first + unit * (last - first)
            inside = self.solid.contains(at)
            around = torch.cat([at[inside], bounding])
            if not bool(inside.any()):
                tight = bounding.amin(dim=0), bounding.amax(dim=0)
            else:
                tight = around.amin(dim=0), around.amax(dim=0)
            room = pad * (last - first)
            before = last - first
            first = torch.maximum(low, tight[0] - room)
            last = torch.minimum(high, tight[1] + room)
            if bool((last - first > 0.7 * before).all()):
                break
        if not bool(inside.any()):
            return None
        room = 0.02 * (tight[1] - tight[0])
        # A part that nearly reaches a side of the cell goes on beyond it: it has a face there.
        reach = pad * (tight[1] - tight[0])
        first = torch.where(tight[0] - reach < low, low, tight[0] - room)
        last = torch.where(tight[1] + reach > high, high, tight[1] + room)
        frame = torch.stack([first, last])
        if bool((frame[1] - frame[0] < self.sliver * (high - low)).any()):
            return None
        return frame, _connected(inside.view((self.nodes,) * 3))


def _connected(inside: Tensor) -> bool:
    """Whether the points of a mask on a grid are connected, apart from small components."""
    from scipy.ndimage import label  # the import takes a tenth of a second

    least = 0.05  # of all points
    numbers, _ = label(inside.numpy())
    sizes = np.bincount(numbers.ravel())[1:]
    return int((sizes > least * sizes.sum()).sum()) <= 1


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
        first, last = low[active, None], high[active, None]
        at = first + _lifted(unit, last - first) * (last - first)
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


def _lifted(unit: Tensor, sizes: Tensor) -> Tensor:
    """Points of [0, 1]², (q, 2), with a zero coordinate across each rectangle, (F, q, 3).

    sizes: of the rectangles, (F, 1, 3), zero across each.
    """
    flat = sizes[:, 0] <= 0  # the axis across each rectangle
    places = (~flat).long().cumsum(dim=1) - 1
    found = unit.T[places.clamp_min(0)]  # (F, 3, q)
    return torch.where(flat[..., None], 0.0, found).transpose(1, 2)
