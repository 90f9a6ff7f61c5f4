"""Quadrature on planar domains: products of Gauss rules in horizontal slabs between sides."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn._support.shapes import Coords, Weights
from kanpinn.geometry.curves.sides import Side
from kanpinn.geometry.rules import gauss_legendre


@dataclass(frozen=True)
class Slab:
    """The set of points with left(y) < x < right(y) and low < y < high."""

    left: Side
    right: Side
    low: float
    high: float

    @property
    def area(self) -> float:
        """The area, in closed form."""
        return self.right.integral(self.low, self.high) - self.left.integral(self.low, self.high)


def slab_rule(parts: Sequence[Slab], nodes: int) -> tuple[Coords, Weights]:
    """Return points (n, 2) and positive weights (n,) of products of Gauss rules in slabs."""
    unit, weights = gauss_legendre(nodes)
    rules = [_cell_rule(part, unit, weights) for part in parts]
    coords, weights = torch.cat([c for c, _ in rules]), torch.cat([w for _, w in rules])
    wide = weights > 0  # a slab has no width where its sides touch
    return coords[wide], weights[wide]


def _cell_rule(cell: Slab, unit: Tensor, weights: Tensor) -> tuple[Coords, Weights]:
    """Return the rule of a slab: Gauss in x, and in y after removing square roots at the ends."""
    size = cell.high - cell.low
    share, along = _heights_rule(cell, unit, weights)
    y = cell.low + size * share
    left, right = cell.left.x(y)[:, None], cell.right.x(y)[:, None]
    x = left + (right - left) * unit
    coords = torch.stack([x, y[:, None].expand_as(x)], dim=2)
    scale = size * along[:, None] * (right - left)
    return coords.reshape(-1, 2), (scale * weights).flatten()


def _heights_rule(cell: Slab, unit: Tensor, weights: Tensor) -> tuple[Weights, Weights]:
    """Return nodes in [0, 1] and weights for functions with the slab's square roots at the ends."""
    at_low, at_high = _singular_ends(cell, 1e-12 * (cell.high - cell.low))
    if at_low and at_high:
        if cell.left.conic == cell.right.conic:
            # Both sides are halves of one ellipse: the integral over x is a smooth function times
            # the root, for which the Gauss-Chebyshev rule of the second kind is suited.
            n = len(unit)
            s = torch.arange(1, n + 1, dtype=unit.dtype) * (torch.pi / (n + 1))
            return (s / 2).sin() ** 2, s.sin() * (torch.pi / (2 * (n + 1)))
        s = unit * torch.pi
        return (s / 2).sin() ** 2, s.sin() * (torch.pi / 2) * weights
    if at_low:
        return unit**2, 2 * unit * weights
    if at_high:
        return unit * (2 - unit), 2 * (1 - unit) * weights
    return unit, weights


def _singular_ends(cell: Slab, tolerance: float) -> tuple[bool, bool]:
    sides = (cell.left, cell.right)
    at_low = any(cell.low - side.branches[0] <= tolerance for side in sides)
    return at_low, any(side.branches[1] - cell.high <= tolerance for side in sides)


def slabs(sides: Sequence[Side]) -> list[Slab]:
    """Divide the domain between sides into slabs, as high as possible, cut near singularities."""
    open_cells: dict[tuple[Side, Side], float] = {}  # the lower end of each unfinished slab
    done: list[Slab] = []
    heights = _heights(sides)
    for low, high in itertools.pairwise(heights):
        pairs = _pairs(sides, low, high)
        for pair in [pair for pair in open_cells if pair not in pairs]:
            done.append(Slab(*pair, open_cells.pop(pair), low))
        for pair in pairs:
            open_cells.setdefault(pair, low)
    done += [Slab(*pair, low, heights[-1]) for pair, low in open_cells.items()]
    return [part for cell in done for part in _cut(cell)]


def _heights(sides: Sequence[Side]) -> list[float]:
    """Return the heights at which sides begin or end, ascending."""
    ends = sorted({end for side in sides for end in (side.low, side.high)})
    gap = 1e-12 * (ends[-1] - ends[0])  # heights closer than this count as equal
    return [y for i, y in enumerate(ends) if i == 0 or y - ends[i - 1] > gap]


def _pairs(sides: Sequence[Side], low: float, high: float) -> list[tuple[Side, Side]]:
    """Return the left and right sides of the slabs between two neighbouring heights."""
    middle = (low + high) / 2
    # Sides do not cross but may touch at one height, so compare them at three heights.
    y = low + (high - low) * torch.tensor([0.38, 0.5, 0.62], dtype=torch.float64)
    crossed = [side for side in sides if side.low < middle < side.high]
    crossed.sort(key=lambda side: float(side.x(y).sum()))
    return list(zip(crossed[0::2], crossed[1::2], strict=True))


def _cut(cell: Slab) -> list[Slab]:
    """Cut a slab into parts whose singularities are at their ends or well outside of them."""
    size = cell.high - cell.low
    below = [cell.low - side.branches[0] for side in (cell.left, cell.right)]
    above = [side.branches[1] - cell.high for side in (cell.left, cell.right)]
    # 24 nodes give an error of 1e-12 if singularities are further away than this share of a part's
    # height.
    close = 0.1
    for gaps, sign, end in ((below, 1, cell.low), (above, -1, cell.high)):
        near = [gap for gap in gaps if 1e-12 * size < gap < close * size]
        if near:
            # The part next to the singularity is as high as its distance from it allows.
            middle = end + sign * min(near) / close
            if cell.low < middle < cell.high:
                lower = Slab(cell.left, cell.right, cell.low, middle)
                upper = Slab(cell.left, cell.right, middle, cell.high)
                return [*_cut(lower), *_cut(upper)]
    return [cell]
