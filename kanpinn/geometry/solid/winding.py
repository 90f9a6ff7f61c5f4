"""Tests which points a closed triangulated surface encloses, and which points are near it."""

from collections.abc import Iterator

import torch
from torch import Tensor

from kanpinn._support.shapes import Coords, Mask


def enclosed(coords: Coords, vertices: Tensor, faces: Tensor) -> Mask:
    """Return a mask (n,) of the points (n, 3) with a positive winding number of a closed surface.

    The winding number is the count of triangles that an upward ray crosses, signed by their
    orientation. A crossing is decided edge by edge with the same arithmetic for both triangles at
    an edge, so that no ray passes between them (compare Franklin's half-open rule in the plane).

    Args:
        coords: the points (n, 3).
        vertices: the vertices (v, 3) of the surface.
        faces: the vertex indices (f, 3) of the triangles.
    """
    winding = coords.new_zeros(len(coords), dtype=torch.long)
    corners = vertices[faces]
    low, high = corners.amin(dim=1), corners.amax(dim=1)
    low[:, 2] = -torch.inf  # the upward ray may cross all triangles above the point
    for points, triangles in _pairs(coords, low, high):
        crossing = _crossings(coords[points], vertices, faces[triangles])
        winding.index_add_(0, points, crossing)
    return winding > 0


def near(coords: Coords, vertices: Tensor, faces: Tensor, distance: float) -> Mask:
    """Return a mask (n,) of the points (n, 3) within a distance > 0 of the surface."""
    found = coords.new_zeros(len(coords), dtype=torch.bool)
    corners = vertices[faces]
    low, high = corners.amin(dim=1) - distance, corners.amax(dim=1) + distance
    for points, triangles in _pairs(coords, low, high):
        close = _distances(coords[points], corners[triangles]) <= distance
        found[points[close]] = True
    return found


def _crossings(coords: Coords, vertices: Tensor, faces: Tensor) -> Tensor:
    """Return the signed crossing (-1, 0 or 1) of the upward ray and the triangle of each pair."""
    sides = ((0, 1), (1, 2), (2, 0))
    turns = [_edge(coords, vertices, faces[:, i], faces[:, j]) for i, j in sides]
    passes = torch.stack(turns).sum(dim=0)
    a, b, c = vertices[faces].unbind(dim=1)
    normal = torch.linalg.cross(b - a, c - a)
    above = ((a - coords) * normal).sum(dim=1) * normal[:, 2] > 0
    return torch.where(above, passes, 0)


def _edge(coords: Coords, vertices: Tensor, start: Tensor, stop: Tensor) -> Tensor:
    """Return the contribution of an edge to the winding number around a point in the xy plane."""
    p, q = vertices[torch.minimum(start, stop)], vertices[torch.maximum(start, stop)]
    x, y = coords[:, 0], coords[:, 1]
    upward = (p[:, 1] <= y) & (y < q[:, 1])
    downward = (q[:, 1] <= y) & (y < p[:, 1])
    side = (q[:, 0] - p[:, 0]) * (y - p[:, 1]) - (x - p[:, 0]) * (q[:, 1] - p[:, 1])
    turn = (upward & (side > 0)).long() - (downward & (side < 0)).long()
    return torch.where(start < stop, turn, -turn)


def _pairs(coords: Coords, low: Tensor, high: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield index pairs of points and of triangles whose bounding boxes contain them, in batches.

    A grid in x and y with a list of boxes per cell restricts the candidates.

    Args:
        coords: the points (n, 3).
        low: the lower corners (f, 3) of the bounding boxes.
        high: the upper corners (f, 3).
    """
    start, stop = low[:, :2].amin(dim=0), high[:, :2].amax(dim=0)
    # The number of grid cells per axis gives about one triangle per cell. The limit of 512² cells
    # bounds the memory of their lists.
    size = min(max(round(len(low) ** 0.5), 1), 512)

    def cells(rows: Tensor) -> Tensor:
        return ((rows[:, :2] - start) / (stop - start) * size).long().clamp(0, size - 1)

    first, boxes = _listing(cells(low), cells(high), size)
    asked = ((coords[:, :2] >= start) & (coords[:, :2] <= stop)).all(dim=1).nonzero()[:, 0]
    cell = (cells(coords[asked]) * asked.new_tensor([size, 1])).sum(dim=1)
    counts = first[cell + 1] - first[cell]
    for part in _parts(counts):
        rows = torch.arange(len(counts), device=counts.device)[part]
        rows = rows.repeat_interleave(counts[part])
        ends = counts[part].cumsum(dim=0)
        within = torch.arange(len(rows), device=rows.device)
        within -= (ends - counts[part]).repeat_interleave(counts[part])
        points, found = asked[rows], boxes[first[cell[rows]] + within]
        place = coords[points]
        inside = ((place >= low[found]) & (place <= high[found])).all(dim=1)
        yield points[inside], found[inside]


def _listing(low: Tensor, high: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return the start of each cell's list, (size² + 1,), and the concatenated triangle lists."""
    spans = high - low + 1
    counts = spans.prod(dim=1)
    owners = torch.arange(len(low), device=low.device).repeat_interleave(counts)
    offset = torch.arange(len(owners), device=low.device)
    offset -= (counts.cumsum(dim=0) - counts)[owners]
    columns = spans[owners, 1]
    cell = (low[owners, 0] + offset // columns) * size + low[owners, 1] + offset % columns
    order = cell.argsort(stable=True)
    sizes = torch.bincount(cell, minlength=size**2)
    return torch.cat([sizes.new_zeros(1), sizes.cumsum(dim=0)]), owners[order]


def _parts(counts: Tensor, most: int = 2**20) -> Iterator[slice]:
    """Yield slices of the points with at most `most` pairs, or with one point.

    Args:
        counts: the number of pairs of each point, (n,).
        most: the largest number of point-triangle pairs in a slice, which bounds the memory.
    """
    ends = counts.cumsum(dim=0)
    start = 0
    while start < len(counts):
        done = int(ends[start - 1]) if start else 0
        stop = max(int(torch.searchsorted(ends, done + most, right=True)), start + 1)
        yield slice(start, stop)
        start = stop


def _distances(coords: Coords, corners: Tensor) -> Tensor:
    """Return the distance (n,) of each point (n, 3) from its triangle (n, 3, 3)."""
    a, b, c = corners.unbind(dim=1)
    to_edges = [_to_segment(coords, p, q) for p, q in ((a, b), (b, c), (c, a))]
    normal = torch.linalg.cross(b - a, c - a)
    over = torch.stack(
        [
            (torch.linalg.cross(q - p, coords - p) * normal).sum(dim=1) >= 0
            for p, q in ((a, b), (b, c), (c, a))
        ]
    ).all(dim=0)
    length = normal.norm(dim=1)
    to_plane = ((coords - a) * normal).sum(dim=1).abs() / length
    edge = torch.stack(to_edges).amin(dim=0)
    return torch.where(over & (length > 0), torch.minimum(to_plane, edge), edge)


def _to_segment(coords: Coords, p: Tensor, q: Tensor) -> Tensor:
    along = q - p
    share = ((coords - p) * along).sum(dim=1) / (along**2).sum(dim=1)
    return (coords - p - share.clamp(0, 1)[:, None] * along).norm(dim=1)
