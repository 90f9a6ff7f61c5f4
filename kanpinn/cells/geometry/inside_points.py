"""Points in cut cells: the points of a Gauss rule on their frames that are in the domain."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from kanpinn.cells.geometry.cell_geometry import CellGeometry
from kanpinn.cells.geometry.cell_points import CellPoints
from kanpinn.geometry.points import Batch
from kanpinn.geometry.rules import gauss_product


def gauss_inside(
    geometry: CellGeometry, cells: Tensor, contains: Callable[[Tensor], Tensor], count: int
) -> Iterator[CellPoints]:
    """Yield the points of cells that are in a domain, for batches of cells with similar counts.

    Points of weight 0 make the number of points the same for all cells of a batch.

    Args:
        geometry: the cells.
        cells: the numbers of the cells, (c,).
        contains: which physical points are in the domain, (n, d) → (n,).
        count: the number of points along each coordinate of a frame.
    """
    together = 32
    if not len(cells):
        return
    dim = geometry.tree.dim
    unit, weights = gauss_product(count, dim)
    local, weights = 2 * unit - 1, 2**dim * weights
    coords = geometry.coords(cells, local)
    inside = contains(coords.flatten(0, 1)).view(coords.shape[:2])
    order = inside.sum(dim=1).argsort()
    for some in order.split(together):
        longest = int(inside[some].sum(dim=1).max())
        first = (~inside[some]).to(torch.uint8).argsort(dim=1, stable=True)[:, :longest]
        used = inside[some].gather(1, first)
        own = torch.where(used, first, first[:, :1])  # the first point fills up
        measures = (geometry.extents[cells[some]] / 2).prod(dim=1)
        at = coords[some].gather(1, own[..., None].expand(-1, -1, dim))
        points = Batch(at.flatten(0, 1), geometry.domain.names)
        weight = torch.where(used, weights[own] * measures[:, None], 0)
        yield CellPoints(cells[some], local[own], weight, points, geometry.scale[cells[some]])
