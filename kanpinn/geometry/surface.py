"""Solids enclosed by a surface of triangles."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kanpinn._support.errors import InputError, integer, number
from kanpinn._support.shapes import Coords, Mask, Vector, Weights
from kanpinn.geometry.ball import coordinate_names
from kanpinn.geometry.boundary import Boundary, MappedPiece
from kanpinn.geometry.domain import Creases, Domain
from kanpinn.geometry.points import Points, morton_order
from kanpinn.geometry.quadrature import equal_weights, sampling_error, sobol
from kanpinn.geometry.region import Region
from kanpinn.geometry.rules_in_boxes import Hits, RulesInBoxes, cast
from kanpinn.geometry.triangles import (
    area_vectors,
    edge_defects,
    edge_turns,
    enclosed_volume,
    smooth_parts,
    solid_rule,
    star_center,
    surface_rule,
    volumes,
)


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


def table(name: str, rows: Any, dtype: torch.dtype, width: int = 3) -> Tensor:
    """Convert rows of numbers to a tensor (n, width).

    Args:
        name: the name of the argument in error messages.
        rows: one or more rows.
        dtype: the type of the result.
        width: how many numbers a row must have.

    Raises:
        InputError: unless there are rows of so many finite numbers.
    """
    try:
        table = torch.from_numpy(np.array(rows)).to(dtype)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be rows of {width} numbers, got {rows!r}") from error
    if table.ndim != 2 or table.shape[1] != width or not len(table):
        raise InputError(f"{name} must have the shape (n, {width}), got {tuple(table.shape)}")
    if not table.isfinite().all():
        raise InputError(
            f"{name} must be finite numbers, got {int((~table.isfinite()).sum())} others"
        )
    return table


def check_indices(name: str, rows: Tensor, count: int) -> None:
    """Check that all entries are indices of vertices.

    Args:
        name: the name of the argument in error messages.
        rows: the indices, of any shape.
        count: the number of vertices.

    Raises:
        InputError: if an index is not that of a vertex.
    """
    if rows.min() < 0 or rows.max() >= count:
        raise InputError(
            f"{name} must be numbers of the {count} vertices, got {int(rows.min())} to "
            f"{int(rows.max())}"
        )


def proper_triangles(faces: Tensor, count: int) -> Tensor:
    """Return a mask (f,), False for faces with the same corner twice, which some programs leave.

    Args:
        faces: vertex indices (f, 3).
        count: the number of vertices.

    Raises:
        InputError: if an index is not that of a vertex.
    """
    check_indices("faces", faces, count)
    return (faces != faces.roll(1, dims=1)).all(dim=1)


def check_closed(faces: Tensor) -> None:
    """Check that a surface is the whole boundary of a solid.

    Raises:
        InputError: if it has holes, or neighbouring triangles with opposite orientations.
    """
    opened, turned = edge_defects(faces) if len(faces) else (0, 0)
    if opened:
        raise InputError(
            f"the surface is not watertight: at {opened} of its edges an odd number of triangles "
            "meet; close the holes, or merge vertices that lie in the same place"
        )
    if turned:
        raise InputError(
            f"the surface turns neighbouring triangles both ways at {turned} edges; list the "
            "corners of all of them counter-clockwise seen from outside"
        )


def outward(vertices: Tensor, faces: Tensor) -> Tensor:
    """Orient the faces (f, 3) counter-clockwise as seen from outside.

    Raises:
        InputError: if they do not enclose a volume.
    """
    corners = vertices[faces]
    volume = enclosed_volume(corners) if len(faces) else 0.0
    size = (vertices.amax(dim=0) - vertices.amin(dim=0)).norm().item()
    if abs(volume) <= 1e-12 * size**3:
        raise InputError(f"the surface of {len(faces)} triangles encloses no volume")
    return faces if volume > 0 else faces.flip(1)


def smooth_pieces(
    vertices: Tensor, faces: Tensor, name: str, sharp: float | int | None
) -> tuple[tuple[str, Tensor], ...]:
    """Divide a surface into pieces at edges with an angle above `sharp` between the normals.

    Args:
        vertices: the vertices (v, 3).
        faces: the vertex indices (f, 3) of the triangles.
        name: the name of the only piece if sharp is None.
        sharp: an angle in degrees; None for the whole surface as one piece.

    Returns:
        The name of each piece and the indices of its triangles.
    """
    if sharp is None:
        return ((name, torch.arange(len(faces))),)
    number("sharp", sharp, above=True)
    vectors = area_vectors(vertices[faces])
    normals = vectors / vectors.norm(dim=1, keepdim=True)
    parts = smooth_parts(faces, normals, sharp)
    # Drop single triangles of area 0: they have no normal and are connected to no other triangle.
    parts = [part for part in parts if vectors[part].any()]
    return tuple((f"facet_{i}", part) for i, part in enumerate(parts))


def named_pieces(pieces: Sequence[str], kept: Tensor) -> tuple[tuple[str, Tensor], ...]:
    """Divide a surface into pieces by the names of its triangles.

    Args:
        pieces: the name of each of the given triangles.
        kept: which of these are kept, a mask (f,).

    Returns:
        The name of each piece and the indices of its triangles among the kept ones.

    Raises:
        InputError: unless there is a name for each triangle.
    """
    if len(pieces) != len(kept):
        raise InputError(f"pieces must have {len(kept)} names, one a triangle, got {len(pieces)}")
    names = [pieces[i] for i in kept.nonzero()[:, 0].tolist()]
    found: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        found.setdefault(name, []).append(i)
    return tuple((name, torch.tensor(rows)) for name, rows in found.items())


def load_mesh(path: Path) -> Any:
    """Read a mesh from a file with trimesh, and merge vertices with equal coordinates.

    Raises:
        InputError: if the file or trimesh is missing, or the file cannot be read.
    """
    try:
        import trimesh
    except ImportError as error:
        raise InputError(
            f"reading {path} needs trimesh: pip install 'kanpinn[geometry3d]'"
        ) from error
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    try:
        mesh = trimesh.load_mesh(path)
    except Exception as error:  # the readers of trimesh raise exceptions of many types
        raise InputError(f"{path} cannot be read as a surface: {error}") from error
    if not isinstance(mesh, trimesh.Trimesh) or not len(mesh.faces):
        raise InputError(f"{path} cannot be read as a surface: it has no triangles")
    mesh.merge_vertices()
    if mesh.is_watertight and not mesh.is_winding_consistent:
        mesh.fix_normals()
    return mesh


@dataclass(frozen=True, eq=False)
class Patch(MappedPiece):
    """A boundary piece that consists of triangles of a surface.

    Args:
        label: the name of the piece.
        axes: the names of the coordinates.
        triangles: the corners (f, 3, 3) of the triangles, counter-clockwise seen from outside.
    """

    label: str
    axes: tuple[str, ...]
    triangles: Tensor

    @property
    def name(self) -> str:
        return self.label

    @property
    def names(self) -> tuple[str, ...]:
        return self.axes

    @property
    def dim(self) -> int:
        return 2

    @property
    def measure(self) -> float:
        return self._areas.sum().item()

    def image(self, unit: Coords) -> Points:
        """Map points of the unit square to the surface; the first coordinate selects the triangle.

        The triangles are in Morton order, so that neighbours mostly follow each other. The map is
        not continuous, but it scales all areas by `measure`, and evenly distributed points stay
        evenly distributed.
        """
        ends = self._areas.cumsum(dim=0).to(unit)
        target = unit[:, 0].contiguous() * ends[-1]
        chosen = torch.searchsorted(ends, target).clamp(max=len(ends) - 1)
        areas = self._areas.to(unit)[chosen]
        left = ((target - ends[chosen] + areas) / areas).clamp(0, 1).sqrt()
        shares = torch.stack([1 - left, left * (1 - unit[:, 1]), left * unit[:, 1]], dim=1)
        corners, normals = self._corners.to(unit), self._normals.to(unit)
        coords = (shares[:, :, None] * corners[chosen]).sum(dim=1)
        return Points(coords, self.names, normals[chosen])

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        """Return Gauss rules on all f triangles, with ceil(nodes / f^(1/2))² points on each."""
        each = math.ceil(integer("nodes", nodes) / len(self._corners) ** 0.5 - 1e-9)
        coords, weights = surface_rule(self._corners, each)
        return Points(coords, self.names, self._normals.repeat_interleave(each**2, 0)), weights

    @property
    def sheets(self) -> tuple["Patch", ...]:
        return self._sheets

    def in_boxes(self, boxes: Tensor, nodes: int) -> RulesInBoxes:
        most = 2**22  # pairs of boxes and triangles, which bounds the memory
        parts, axes = [RulesInBoxes.none(self.names)], self._normals.abs().argmax(dim=1)
        for some in torch.arange(len(boxes)).split(max(1, most // len(self._corners))):
            for axis in range(3):
                own = (axes == axis).nonzero()[:, 0]
                if len(own):
                    found = self._in_boxes(own, axis, boxes[some], nodes)
                    parts.append(found.numbered(some))
        return RulesInBoxes.joined(parts)

    def _in_boxes(self, own: Tensor, axis: int, boxes: Tensor, nodes: int) -> RulesInBoxes:
        """The rules on parts of some triangles, which are steepest along an axis.

        Args:
            own: the numbers of the triangles, (t,).
            axis: the axis.
            boxes, nodes: see `in_boxes`.
        """
        first, last = self._extents[0][own], self._extents[1][own]
        near = ((first <= boxes[:, None, 1]) & (last >= boxes[:, None, 0])).all(dim=2)
        box, place = near.nonzero().unbind(dim=1)
        rows = box[:, None].expand(-1, 3)
        start = torch.full_like(boxes[:, 0], torch.inf)
        start = start.scatter_reduce(0, rows, first[place], "amin")
        stop = torch.full_like(boxes[:, 1], -torch.inf)
        stop = stop.scatter_reduce(0, rows, last[place], "amax")
        some = torch.stack([boxes[:, 0].maximum(start), boxes[:, 1].minimum(stop)], dim=1)
        some[:, :, axis] = boxes[:, :, axis]
        hits = partial(self._hits, (box, own[place]), axis)
        return cast(hits, self.names, axis, some, nodes)

    def _hits(self, near: tuple[Tensor, Tensor], axis: int, lines: Tensor, boxes: Tensor) -> Hits:
        """Where lines along an axis meet triangles; an edge belongs to both of its triangles.

        Args:
            near: pairs of boxes and triangles that may meet: the numbers of both, (p,) each.
            axis: the axis.
            lines: the other two coordinates of q lines in each of k boxes, (k, q, 2).
            boxes: the numbers of these boxes, (k,).
        """
        each, most = lines.shape[1], 2**20  # lines with a triangle, which bounds the memory
        asked = torch.isin(near[0], boxes)
        place, triangle = torch.searchsorted(boxes, near[0][asked]), near[1][asked]
        found = [
            self._met(triangle[some], axis, lines[place[some]], each * place[some])
            for some in torch.arange(len(place)).split(max(1, most // each))
        ]
        line, coords, normals = (torch.cat(one) for one in zip(*found, strict=True))
        order = line.argsort(stable=True)
        return Hits(line[order], coords[order], normals[order])

    def _met(
        self, triangles: Tensor, axis: int, lines: Tensor, first: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Which of q lines meet each of some triangles, and the points and normals there.

        Args:
            triangles: their numbers, (p,).
            axis: that of the lines.
            lines: their other two coordinates, (p, q, 2).
            first: the number of the first of the lines, (p,).
        """
        corners = self._corners[triangles]
        flat = torch.cat([corners[..., :axis], corners[..., axis + 1 :]], dim=2)
        start, (u, v) = flat[:, :1], (flat[:, i, None] - flat[:, 0, None] for i in (1, 2))
        area = u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]
        gap = lines - start
        s = (gap[..., 0] * v[..., 1] - gap[..., 1] * v[..., 0]) / area
        t = (u[..., 0] * gap[..., 1] - u[..., 1] * gap[..., 0]) / area
        met, line = ((s >= 0) & (t >= 0) & (s + t <= 1)).nonzero().unbind(dim=1)
        shares = torch.stack([1 - s - t, s, t], dim=2)[met, line]
        coords = (shares[:, :, None] * corners[met]).sum(dim=1)
        return first[met] + line, coords, self._normals[triangles[met]]

    @cached_property
    def _sheets(self) -> tuple["Patch", ...]:
        sharp = 40  # degrees: more than between triangles of a curved surface
        _, faces = self._corners.flatten(0, 1).unique(dim=0, return_inverse=True)
        parts = smooth_parts(faces.view(-1, 3), self._normals, sharp)
        return tuple(replace(self, triangles=self._corners[part]) for part in parts)

    @cached_property
    def _extents(self) -> tuple[Tensor, Tensor]:
        """The lowest and the highest coordinates of each triangle, (f, 3) each."""
        return self._corners.amin(dim=1), self._corners.amax(dim=1)

    def gauss(self, n: int) -> Points:
        return Region.gauss(self, n)

    @cached_property
    def _corners(self) -> Tensor:
        corners = self.triangles[area_vectors(self.triangles).norm(dim=1) > 0]
        return corners[morton_order(corners.mean(dim=1))]

    @cached_property
    def _areas(self) -> Weights:
        return area_vectors(self._corners).norm(dim=1)

    @cached_property
    def _normals(self) -> Coords:
        return area_vectors(self._corners) / self._areas[:, None]


@dataclass(frozen=True, init=False, repr=False, eq=False)
class Surface(Domain):
    """The solid inside a closed triangulated surface; `Surface.read("part.stl")` reads a file.

    The measure is exact. `quadrature` is a Gauss rule on the tetrahedra of `cells`, or on those
    between a centre and the triangles if the solid is star-shaped, as convex solids are; otherwise,
    or with more than 20,000 triangles, it consists of Sobol points.

    Args:
        vertices: the vertices (v, 3), finite numbers.
        faces: the vertex indices (f, 3) of the triangles, all counter-clockwise seen from outside
            or all clockwise.
        names: the names of the coordinates; by default ("x", "y", "z").
        name: the name of the boundary piece if sharp is None.
        sharp: an angle in degrees; edges with a larger angle between the normals divide the
            boundary into "facet_0", "facet_1", ... None for one piece.
        pieces: the name of the boundary piece of each triangle, in place of `name` and `sharp`.
        cells: the vertex indices (k, 4) of tetrahedra that fill the solid; None if there are none.

    Raises:
        InputError: if the arrays have wrong shapes or values, the surface is not closed, has
            triangles of both orientations, or encloses no volume, or tetrahedra do not fill it.

    Example:
        >>> import kanpinn as kp
        >>> corners = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
        >>> faces = [(0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)]
        >>> solid = kp.Surface(corners, faces, sharp=30)
        >>> f"{solid.measure:.4f}", solid.boundary.names
        ('0.1667', ('facet_0', 'facet_1', 'facet_2', 'facet_3'))
    """

    vertices: Tensor
    faces: Tensor
    axes: tuple[str, ...]
    parts: tuple[tuple[str, Tensor], ...]
    cells: Tensor | None

    def __init__(
        self,
        vertices: Any,
        faces: Any,
        *,
        names: Sequence[str] | None = None,
        name: str = "surface",
        sharp: float | int | None = None,
        pieces: Sequence[str] | None = None,
        cells: Any = None,
    ) -> None:
        points = table("vertices", vertices, torch.float64)
        given = table("faces", faces, torch.long)
        kept = proper_triangles(given, len(points))
        check_closed(given[kept])
        triangles = outward(points, given[kept])
        if pieces is None:
            parts = smooth_pieces(points, triangles, name, sharp)
        else:
            parts = named_pieces(pieces, kept)
        object.__setattr__(self, "vertices", points)
        object.__setattr__(self, "faces", triangles)
        object.__setattr__(self, "axes", coordinate_names(names, 3))
        object.__setattr__(self, "parts", parts)
        object.__setattr__(self, "cells", None if cells is None else self._filled(cells))

    @classmethod
    def read(cls, path: str | Path, **options: Any) -> "Surface":
        """Read the solid from an STL file or another format of trimesh (extra `[geometry3d]`).

        Args:
            path: the path of the file.
            options: `names`, `name` and `sharp`, as for the class.

        Raises:
            InputError: if the file cannot be read, trimesh is missing, or the class raises it.
        """
        mesh = load_mesh(Path(path))
        return cls(mesh.vertices, mesh.faces, **options)

    def __repr__(self) -> str:
        return f"Surface({len(self.vertices)} vertices, {len(self.faces)} triangles)"

    @property
    def names(self) -> tuple[str, ...]:
        return self.axes

    @cached_property
    def measure(self) -> float:
        return enclosed_volume(self._corners)

    @property
    def bounds(self) -> tuple[Vector, Vector]:
        return self._corners.amin(dim=(0, 1)), self._corners.amax(dim=(0, 1))

    @cached_property
    def boundary(self) -> Boundary:
        parts = ((name, self._corners[faces]) for name, faces in self.parts)
        return Boundary(tuple(Patch(name, self.axes, corners) for name, corners in parts))

    def contains(self, coords: Coords, tolerance: float = 0.0) -> Mask:
        """Return which points (n, 3) lie inside, a mask (n,), by winding numbers.

        The result is arbitrary for points on the surface. A tolerance > 0 adds the points within
        this distance of the surface; a tolerance < 0 removes them.
        """
        vertices, faces = self.vertices.to(coords), self.faces.to(coords.device)
        inside = enclosed(coords, vertices, faces)
        if not tolerance:
            return inside
        close = near(coords, vertices, faces, abs(tolerance))
        return inside | close if tolerance > 0 else inside & ~close

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        """Return a Gauss rule if `rule_error` is 0, otherwise the Sobol points of one scrambling.

        The Gauss rule has ceil(nodes / k^(1/3))³ points in each of k tetrahedra. There are
        min(nodes³, 2^20) Sobol points, with equal weights.
        """
        nodes = integer("nodes", nodes)
        if self._tetrahedra is None:
            return equal_weights(self, nodes)
        each = math.ceil(nodes / len(self._tetrahedra) ** (1 / 3) - 1e-9)
        coords, weights = solid_rule(self._tetrahedra, each)
        return Points(coords, self.names), weights

    def rule_error(self, nodes: int) -> float:
        return 0.0 if self._tetrahedra is not None else sampling_error(self, nodes)

    def gauss(self, n: int) -> Points:
        """Return the points of the smallest rule with at least n points.

        If there are no tetrahedra, or more than n, they are n Sobol points.
        """
        if self._tetrahedra is None or len(self._tetrahedra) > n:
            return self.place(n, sobol(0))[:n]
        return super().gauss(n)

    def _filled(self, cells: Any) -> Tensor:
        """Return tetrahedra (k, 4), whose volumes must be > 0 and have the solid's as their sum."""
        found = table("cells", cells, torch.long, 4)
        check_indices("cells", found, len(self.vertices))
        each = volumes(self.vertices[found])
        if not (each > 0).all() or abs(each.sum().item() - self.measure) > 1e-9 * self.measure:
            raise InputError(
                "cells must be tetrahedra with volumes > 0 that fill the solid, whose volume is "
                f"{self.measure:g}, got volumes from {each.min():.3g} with the sum {each.sum():g}"
            )
        return found

    @cached_property
    def creases(self) -> Creases:
        """Edges at which neighbouring triangles turn inwards by more than 40 degrees."""
        sharp = math.radians(40)
        edges, turns = edge_turns(self.vertices, self.faces)
        inward = turns > sharp
        segments = self.vertices[edges[inward]]
        low, high = self.bounds
        size = float((high - low).norm())
        ends = segments.flatten(0, 1)
        return Creases.of(segments, math.pi + turns[inward], ends, self.contains, size)

    @cached_property
    def _corners(self) -> Tensor:
        return self.vertices[self.faces]

    @cached_property
    def _tetrahedra(self) -> Tensor | None:
        """The corners (k, 4, 3) of tetrahedra that fill the solid; None if none are known."""
        if self.cells is not None:
            return self.vertices[self.cells]
        triangles = self._corners[area_vectors(self._corners).norm(dim=1) > 0]
        # With more triangles the linear program would take longer than a second.
        if len(triangles) > 20_000:
            return None
        vectors = area_vectors(triangles)
        center = star_center(triangles, vectors / vectors.norm(dim=1, keepdim=True))
        if center is None:
            return None
        return torch.cat([center.expand(len(triangles), 1, 3), triangles], dim=1)
