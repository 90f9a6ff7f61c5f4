"""Quadrature on a planar domain: products of Gauss rules in horizontal slabs between its sides."""

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
    """The points with left(y) < x < right(y) and low < y < high."""

    left: Side
    right: Side
    low: float
    high: float

    @property
    def area(self) -> float:
        """The area, in closed form."""
        return self.right.integral(self.low, self.high) - self.left.integral(self.low, self.high)


def slab_rule(parts: Sequence[Slab], nodes: int) -> tuple[Coords, Weights]:
    """Points (n, 2) and positive weights (n,) of products of Gauss rules in slabs."""
    unit, weights = gauss_legendre(nodes)
    rules = [_cell_rule(part, unit, weights) for part in parts]
    coords, weights = torch.cat([c for c, _ in rules]), torch.cat([w for _, w in rules])
    wide = weights > 0  # where sides touch, a cell has no width
    return coords[wide], weights[wide]


def _cell_rule(cell: Slab, unit: Tensor, weights: Tensor) -> tuple[Coords, Weights]:
    """Gauss in x; in y after a substitution that takes away the square roots at the ends."""
    size = cell.high - cell.low
    share, along = _heights_rule(cell, unit, weights)
    y = cell.low + size * share
    left, right = cell.left.x(y)[:, None], cell.right.x(y)[:, None]
    x = left + (right - left) * unit
    coords = torch.stack([x, y[:, None].expand_as(x)], dim=2)
    scale = size * along[:, None] * (right - left)
    return coords.reshape(-1, 2), (scale * weights).flatten()


def _heights_rule(cell: Slab, unit: Tensor, weights: Tensor) -> tuple[Weights, Weights]:
    """Nodes in [0, 1] and weights for functions with the square roots that the cell has."""
    at_low, at_high = _singular_ends(cell, 1e-12 * (cell.high - cell.low))
    if at_low and at_high:
        if cell.left.conic == cell.right.conic:
            # The integral over x is a smooth function times the root: Gauss-Chebyshev, second kind.
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
    """The domain between sides as slabs, as high as possible, then cut near singularities."""
    open_cells: dict[tuple[Side, Side], float] = {}  # and where they began
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
    """The heights at which sides begin or end, ascending."""
    ends = sorted({end for side in sides for end in (side.low, side.high)})
    gap = 1e-12 * (ends[-1] - ends[0])  # heights that are closer are one
    return [y for i, y in enumerate(ends) if i == 0 or y - ends[i - 1] > gap]


def _pairs(sides: Sequence[Side], low: float, high: float) -> list[tuple[Side, Side]]:
    """The left and the right sides of the slabs between two neighbouring heights."""
    middle = (low + high) / 2
    # Sides never cross, but they may touch, at one height.
    y = low + (high - low) * torch.tensor([0.38, 0.5, 0.62], dtype=torch.float64)
    crossed = [side for side in sides if side.low < middle < side.high]
    crossed.sort(key=lambda side: float(side.x(y).sum()))
    return list(zip(crossed[0::2], crossed[1::2], strict=True))


def _cut(cell: Slab) -> list[Slab]:
    """Parts of a slab whose singularities are at their ends or well beyond them."""
    size = cell.high - cell.low
    below = [cell.low - side.branches[0] for side in (cell.left, cell.right)]
    above = [side.branches[1] - cell.high for side in (cell.left, cell.right)]
    # Next to a singularity further away than this share of its height, 24 nodes reach 1e-12.
    close = 0.1
    for gaps, sign, end in ((below, 1, cell.low), (above, -1, cell.high)):
        near = [gap for gap in gaps if 1e-12 * size < gap < close * size]
        if near:
            # The part next to the singularity, as high as its distance from it allows.
            middle = end + sign * min(near) / close
            if cell.low < middle < cell.high:
                lower = Slab(cell.left, cell.right, cell.low, middle)
                upper = Slab(cell.left, cell.right, middle, cell.high)
                return [*_cut(lower), *_cut(upper)]
    return [cell]
