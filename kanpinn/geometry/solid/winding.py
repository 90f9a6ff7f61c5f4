"""Which points a closed surface of triangles encloses, and which lie near it."""

from collections.abc import Iterator

import torch
from torch import Tensor

from kanpinn._support.shapes import Coords, Mask


def enclosed(coords: Coords, vertices: Tensor, faces: Tensor) -> Mask:
    """Which points (n, 3) have a positive winding number with respect to a closed surface.

    A ray along z counts the triangles above a point by the way they face. Whether it passes a
    triangle is decided edge by edge, by the same arithmetic for both triangles at an edge, so no
    ray slips through between them (compare Franklin's half-open rule in the plane).
    """
    winding = coords.new_zeros(len(coords), dtype=torch.long)
    corners = vertices[faces]
    low, high = corners.amin(dim=1), corners.amax(dim=1)
    low[:, 2] = -torch.inf  # the ray meets what is above
    for points, triangles in _pairs(coords, low, high):
        crossing = _crossings(coords[points], vertices, faces[triangles])
        winding.index_add_(0, points, crossing)
    return winding > 0


def near(coords: Coords, vertices: Tensor, faces: Tensor, distance: float) -> Mask:
    """Which points (n, 3) lie within a distance > 0 of the surface."""
    found = coords.new_zeros(len(coords), dtype=torch.bool)
    corners = vertices[faces]
    low, high = corners.amin(dim=1) - distance, corners.amax(dim=1) + distance
    for points, triangles in _pairs(coords, low, high):
        close = _distances(coords[points], corners[triangles]) <= distance
        found[points[close]] = True
    return found


def _crossings(coords: Coords, vertices: Tensor, faces: Tensor) -> Tensor:
    """-1, 0 or 1 for each pair: how the ray upwards from the point passes the triangle."""
    sides = ((0, 1), (1, 2), (2, 0))
    turns = [_edge(coords, vertices, faces[:, i], faces[:, j]) for i, j in sides]
    passes = torch.stack(turns).sum(dim=0)
    a, b, c = vertices[faces].unbind(dim=1)
    normal = torch.linalg.cross(b - a, c - a)
    above = ((a - coords) * normal).sum(dim=1) * normal[:, 2] > 0
    return torch.where(above, passes, 0)


def _edge(coords: Coords, vertices: Tensor, start: Tensor, stop: Tensor) -> Tensor:
    """An edge's part in a triangle's winding number around a point in the plane of x and y."""
    p, q = vertices[torch.minimum(start, stop)], vertices[torch.maximum(start, stop)]
    x, y = coords[:, 0], coords[:, 1]
    upward = (p[:, 1] <= y) & (y < q[:, 1])
    downward = (q[:, 1] <= y) & (y < p[:, 1])
    side = (q[:, 0] - p[:, 0]) * (y - p[:, 1]) - (x - p[:, 0]) * (q[:, 1] - p[:, 1])
    turn = (upward & (side > 0)).long() - (downward & (side < 0)).long()
    return torch.where(start < stop, turn, -turn)


def _pairs(coords: Coords, low: Tensor, high: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Numbers of the points (n, 3) and of the boxes (f, 3) around triangles that contain them.

    A grid over x and y lists the boxes at each of its cells.
    """
    start, stop = low[:, :2].amin(dim=0), high[:, :2].amax(dim=0)
    # The cells of the grid on each of its two axes: about one triangle in each, but at most 512²
    # lists, which is where they would take more memory than the triangles.
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
    """Where each cell's list starts, (size² + 1,), and the lists of triangles after each other."""
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
    """Slices of the points with at most `most` pairs each, which bounds the memory, or one point.

    Args:
        counts: pairs of each point, (n,).
        most: pairs of a point and a triangle that are held at a time.
    """
    ends = counts.cumsum(dim=0)
    start = 0
    while start < len(counts):
        done = int(ends[start - 1]) if start else 0
        stop = max(int(torch.searchsorted(ends, done + most, right=True)), start + 1)
        yield slice(start, stop)
        start = stop


def _distances(coords: Coords, corners: Tensor) -> Tensor:
    """The distance of each point (n, 3) from its triangle (n, 3, 3)."""
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
