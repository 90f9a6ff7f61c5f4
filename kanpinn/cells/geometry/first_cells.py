"""The cells that are too large for the boundary in the plane, before the first solve."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from kanpinn.cells.geometry.cut_geometry import CellCutter
from kanpinn.cells.geometry.outline import turned
from kanpinn.cells.tree import Tree
from kanpinn.geometry.planar.planar import Planar


def too_large(tree: Tree, cutters: Sequence[CellCutter]) -> Tensor:
    """The cells that are too large for the boundary in them, a mask (N,).

    A cell is too large if it is wider than its distance from a bend of the boundary plus the bend's
    radius, if the boundary turns in it by more than 1.0 radians, or if it contains more than
    one corner of the boundary.

    Args:
        tree: the cells.
        cutters: those of all regions, in order.
    """
    found = _of_regions(tree, cutters, _too_wide)
    if not bool(found.any()):  # otherwise most cells and their arcs will change
        found = _of_regions(tree, cutters, _too_bent)
    return found


def _of_regions(
    tree: Tree, cutters: Sequence[CellCutter], rule: Callable[[Tree, CellCutter], Tensor]
) -> Tensor:
    """The cells that a rule chooses in each region, a mask (N,)."""
    found = torch.zeros(len(tree), dtype=torch.bool)
    for cutter in cutters:
        own = tree.region == cutter.region
        found[own] = rule(tree.only(own), cutter)
    return found


def _too_bent(tree: Tree, cutter: CellCutter) -> Tensor:
    """The cells in which the boundary turns too far or has several corners, a mask (N,).

    The arguments are those of `_too_wide`.
    """
    most = 1.0  # radians
    arcs, _ = cutter.outline.arcs(cutter.grid(tree), cutter.sliver)
    turns = torch.zeros(len(tree), dtype=torch.float64).index_add(0, arcs.cell, arcs.turns)
    sharp = torch.tensor(cutter.outline.corners)[arcs.curve]
    at_corner = torch.stack([arcs.first == 0, arcs.last == 1], dim=1) & sharp
    ends = torch.zeros(len(tree), dtype=torch.long)
    ends = ends.index_add(0, arcs.cell, at_corner.sum(dim=1))
    return (turns > most) | (ends > 2)


def _too_wide(tree: Tree, cutter: CellCutter) -> Tensor:
    """The cells that are wider than their distance from a bend plus its radius, a mask (N,).

    The solution around a hole can be continued into the hole, up to a singularity near the centre
    of curvature. Polynomials of degree k in a cell of the largest width have errors like 6^-k.

    Args:
        tree: the cells, all of the cutter's region.
        cutter: the region's.
    """
    points, radii = bends(cutter.outline.domain)
    grid, together = cutter.grid(tree), 2**20
    found = torch.zeros(len(tree), dtype=torch.bool)
    if not len(points):
        return found
    boxes = grid.low + (tree.boxes + 1) * grid.half
    for some in torch.arange(len(tree)).split(max(1, together // len(points))):
        low, high = boxes[some, :, None].unbind(1)
        reach = torch.maximum(low - points, points - high).clamp_min(0).norm(dim=2) + radii
        found[some] = (high - low)[:, 0].amax(dim=1) > reach.amin(dim=1)
    return found


def bends(domain: Planar) -> tuple[Tensor, Tensor]:
    """Points (n, 2) where the boundary is concave, and its radii of curvature there, (n,).

    The boundary of a round hole is concave everywhere, that of a disk nowhere.
    """
    ts = torch.linspace(0, 1, 25, dtype=torch.float64)
    points, radii = [torch.zeros(0, 2, dtype=torch.float64)], [ts[:0]]
    for curve in domain.curves:
        at, along = curve.at(ts), curve.velocity(ts)
        turns = -turned(along[:-1], along[1:])  # the domain is on the left
        bent = turns > 1e-3
        points.append(curve.at((ts[1:] + ts[:-1]) / 2)[bent])
        radii.append((at.diff(dim=0).norm(dim=1) / turns)[bent])
    return torch.cat(points), torch.cat(radii)
