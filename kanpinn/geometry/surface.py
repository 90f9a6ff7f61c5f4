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
from kanpinn.geometry.domain import Boundary, Domain, Edges, MappedPiece, Region
from kanpinn.geometry.points import Points, morton_order
from kanpinn.geometry.quadrature import equal_weights
from kanpinn.geometry.rules import check_size, simplex_rule
from kanpinn.geometry.rules_in_boxes import Hits, RulesInBoxes, cast


@dataclass(frozen=True, init=False, repr=False, eq=False)
class Surface(Domain):
    """The solid inside a closed triangulated surface; `Surface.read("part.stl")` reads a file.

    The measure is exact. `quadrature` is a Gauss rule on the tetrahedra `cells`. Without `cells`,
    in a star-shaped solid of at most 20,000 triangles, it is a Gauss rule on the tetrahedra between
    a centre and the triangles; in other solids it consists of Sobol points.

    Args:
        vertices: the vertices (v, 3), finite numbers.
        faces: the vertex indices (f, 3) of the triangles, all counter-clockwise seen from outside
            or all clockwise.
        names: the names of the coordinates; by default ("x", "y", "z").
        name: the name of the boundary piece if sharp is None.
        sharp: an angle in degrees; edges with a larger angle between the normals of their two
            triangles divide the boundary into "facet_0", "facet_1", ... None for one piece.
        pieces: for each triangle the name of its boundary piece, in place of `name` and `sharp`.
        cells: the vertex indices (k, 4) of tetrahedra that fill the solid; None if no such
            tetrahedra are known.

    Raises:
        InputError: if the arrays have wrong shapes or values, the surface is not closed, has
            triangles of both orientations, or encloses no volume, or `cells` do not fill the solid.

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
    parts: tuple[tuple[str, Tensor], ...]
    cells: Tensor | None
    names: tuple[str, ...] = ()

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
        points = _table("vertices", vertices, torch.float64)
        given = _table("faces", faces, torch.long, 3, len(points))
        # Some programs leave triangles with the same corner twice.
        kept = (given != given.roll(1, dims=1)).all(dim=1)
        triangles = _outward(points, given[kept])
        if pieces is not None:
            if len(pieces) != len(kept):
                wanted = f"{len(kept)} names, one a triangle"
                raise InputError(f"pieces must have {wanted}, got {len(pieces)}")
            named = np.array(pieces, dtype=object)[kept.numpy()]
            rows = {piece: np.flatnonzero(named == piece) for piece in dict.fromkeys(named)}
            parts = tuple((piece, torch.from_numpy(found)) for piece, found in rows.items())
        elif sharp is None:
            parts = ((name, torch.arange(len(triangles))),)
        else:
            number("sharp", sharp, above=True)
            vectors = area_vectors(points[triangles])
            normals = vectors / vectors.norm(dim=1, keepdim=True)
            smooth = smooth_parts(triangles, normals, sharp)
            # Drop single triangles of area 0: they have no normal and are connected to no other.
            smooth = [part for part in smooth if vectors[part].any()]
            parts = tuple((f"facet_{i}", part) for i, part in enumerate(smooth))
        vars(self).update(vertices=points, faces=triangles, names=coordinate_names(names, 3))
        vars(self).update(parts=parts, cells=None)
        if cells is not None:
            filled = _table("cells", cells, torch.long, 4, len(points))
            each, vars(self)["cells"] = volumes(points[filled]), filled
            gap = abs(each.sum().item() - self.measure)
            if not (each > 0).all() or gap > 1e-9 * self.measure:
                got = f"got volumes from {each.min():.3g} with the sum {each.sum():g}"
                whole = f"volumes > 0 that fill the solid's {self.measure:g}"
                raise InputError(f"cells must be tetrahedra with {whole}, {got}")

    @classmethod
    def read(cls, path: str | Path, **options: Any) -> "Surface":
        """Read the solid from an STL file or another format of trimesh (extra `[geometry3d]`).

        Args:
            path: the path of the file.
            options: `names`, `name` and `sharp`, the arguments of the class.

        Raises:
            InputError: if the file cannot be read, trimesh is not installed, or the surface is not
                closed or encloses no volume.
        """
        try:
            import trimesh
        except ImportError as error:
            remedy = "pip install 'kanpinn[geometry3d]'"
            raise InputError(f"reading {path} needs trimesh: {remedy}") from error
        if not Path(path).is_file():
            raise InputError(f"there is no file {path}")
        try:
            mesh = trimesh.load_mesh(Path(path))
        except Exception as error:  # the readers of trimesh raise exceptions of many types
            raise InputError(f"{path} cannot be read as a surface: {error}") from error
        if not isinstance(mesh, trimesh.Trimesh) or not len(mesh.faces):
            raise InputError(f"{path} cannot be read as a surface: it has no triangles")
        mesh.merge_vertices()  # vertices with equal coordinates become one vertex
        if mesh.is_watertight and not mesh.is_winding_consistent:
            mesh.fix_normals()
        return cls(mesh.vertices, mesh.faces, **options)

    def __repr__(self) -> str:
        return f"Surface({len(self.vertices)} vertices, {len(self.faces)} triangles)"

    @cached_property
    def measure(self) -> float:
        return enclosed_volume(self._corners)

    @property
    def bounds(self) -> tuple[Vector, Vector]:
        return self._corners.amin(dim=(0, 1)), self._corners.amax(dim=(0, 1))

    @cached_property
    def boundary(self) -> Boundary:
        parts = ((name, self._corners[faces]) for name, faces in self.parts)
        return Boundary(tuple(Patch(corners, name, self.names) for name, corners in parts))

    def contains(self, coords: Coords, tolerance: float = 0.0) -> Mask:
        """Return a mask (n,) of the points (n, 3) inside the surface, by winding numbers.

        The result is arbitrary for points on the surface. A tolerance > 0 adds the points within
        this distance of the surface; a tolerance < 0 removes the points within -tolerance of it.
        """
        vertices, faces = self.vertices.to(coords), self.faces.to(coords.device)
        inside = enclosed(coords, vertices, faces)
        if not tolerance:
            return inside
        close = near(coords, vertices, faces, abs(tolerance))
        return inside | close if tolerance > 0 else inside & ~close

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        """Return a Gauss rule if `has_gauss_rule`, otherwise scrambled Sobol points.

        The Gauss rule has ceil(nodes / k^(1/3))³ points in each of k tetrahedra. Otherwise there
        are min(nodes³, 2^20) Sobol points with equal weights.
        """
        nodes = integer("nodes", nodes)
        if self._tetrahedra is None:
            return equal_weights(self, nodes)
        each = math.ceil(nodes / len(self._tetrahedra) ** (1 / 3) - 1e-9)
        coords, weights = simplices_rule(self._tetrahedra, each)
        return Points(coords, self.names), weights

    @property
    def has_gauss_rule(self) -> bool:
        return self._tetrahedra is not None

    @property
    def simplices(self) -> int:
        return 0 if self._tetrahedra is None else len(self._tetrahedra)

    @cached_property
    def edges(self) -> Edges:
        """The edges at which the normals of two triangles differ by more than 40 degrees."""
        edges, turns = edge_turns(self.vertices, self.faces)
        sharp = turns.abs() > math.radians(40)
        segments = self.vertices[edges[sharp]]
        return Edges(segments, math.pi + turns[sharp], torch.ones(len(segments)).bool())

    @cached_property
    def _corners(self) -> Tensor:
        """The corners of all triangles, (f, 3, 3)."""
        return self.vertices[self.faces]

    @cached_property
    def _tetrahedra(self) -> Tensor | None:
        """The corners (k, 4, 3) of tetrahedra that fill the solid; None if they are not known.

        They are known if they are given as `cells`, or if the solid is star-shaped and has at most
        20,000 triangles.
        """
        if self.cells is not None:
            return self.vertices[self.cells]
        vectors = area_vectors(self._corners)
        areas = vectors.norm(dim=1, keepdim=True)
        proper = areas[:, 0] > 0
        # With more triangles the linear program would take longer than a second.
        if proper.sum() > 20_000:
            return None
        from scipy.optimize import linprog  # the import takes a tenth of a second

        # Find the point inside the planes of all triangles whose distance from the closest plane is
        # largest. If there is such a point, the solid is star-shaped with respect to it.
        triangles, normals = self._corners[proper], (vectors / areas)[proper]
        rows = torch.cat([normals, torch.ones(len(normals), 1, dtype=torch.float64)], dim=1)
        limits, size = (normals * triangles[:, 0]).sum(dim=1), self.diameter
        ranges = [(None, None)] * 3 + [(None, size)]
        found = linprog([0, 0, 0, -1], rows.numpy(), limits.numpy(), bounds=ranges)
        if found.status or found.x[3] <= 1e-6 * size:
            return None
        center = torch.tensor(found.x[:3]).expand(len(triangles), 1, 3)
        return torch.cat([center, triangles], dim=1)


def _table(
    name: str, rows: Any, dtype: torch.dtype, width: int = 3, vertices: int | None = None
) -> Tensor:
    """Convert rows of numbers to a tensor (n, width).

    Args:
        name: the name of the table in error messages.
        rows: one or more rows, an array or a sequence of sequences.
        dtype: the type of the tensor.
        width: the number of entries in each row.
        vertices: the number of vertices if the entries are indices of vertices, otherwise None.

    Raises:
        InputError: unless there are rows of `width` finite numbers, or of indices of vertices.
    """
    try:
        table = torch.from_numpy(np.array(rows)).to(dtype)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be rows of {width} numbers, got {rows!r}") from error
    if table.ndim != 2 or table.shape[1] != width or not len(table):
        raise InputError(f"{name} must have the shape (n, {width}), got {tuple(table.shape)}")
    if not table.isfinite().all():
        others = int((~table.isfinite()).sum())
        raise InputError(f"{name} must be finite numbers, got {others} others")
    if vertices is not None and (table.min() < 0 or table.max() >= vertices):
        ends = f"{int(table.min())} to {int(table.max())}"
        raise InputError(f"{name} must be numbers of the {vertices} vertices, got {ends}")
    return table


def _outward(vertices: Tensor, faces: Tensor) -> Tensor:
    """Orient the faces (f, 3) of a solid counter-clockwise as seen from outside.

    Raises:
        InputError: if the surface has holes, neighbouring triangles have opposite orientations, or
            the surface encloses no volume.
    """
    opened, turned = edge_defects(faces) if len(faces) else (0, 0)
    if opened:
        remedy = "close the holes, or merge vertices in the same place"
        where = f"at {opened} of its edges it is open"
        raise InputError(f"the surface is not watertight: {where}; {remedy}")
    if turned:
        remedy = "list the corners of all of them counter-clockwise seen from outside"
        raise InputError(f"neighbouring triangles are turned both ways at {turned} edges: {remedy}")
    volume = enclosed_volume(vertices[faces]) if len(faces) else 0.0
    size = (vertices.amax(dim=0) - vertices.amin(dim=0)).norm().item()
    if abs(volume) <= 1e-12 * size**3:
        raise InputError(f"the surface of {len(faces)} triangles encloses no volume")
    return faces if volume > 0 else faces.flip(1)


@dataclass(frozen=True, eq=False)
class Patch(MappedPiece):
    """A boundary piece that consists of triangles of a surface.

    Args:
        triangles: the corners (f, 3, 3) of the triangles, counter-clockwise seen from outside.
        name: the name of the piece.
        names: the names of the coordinates.
    """

    triangles: Tensor
    name: str = "surface"
    names: tuple[str, ...] = ("x", "y", "z")
    dim = 2

    @property
    def measure(self) -> float:
        return self._areas.sum().item()

    def image(self, unit: Coords) -> Points:
        """Map points of the unit square to the surface; the first coordinate selects the triangle.

        The triangles are in Morton order, in which neighbouring triangles mostly follow each other.
        The map is not continuous, but it scales all areas by `measure`, and evenly distributed
        points stay evenly distributed.
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
        coords, weights = simplices_rule(self._corners, each)
        return Points(coords, self.names, self._normals.repeat_interleave(each**2, 0)), weights

    @cached_property
    def sheets(self) -> tuple["Patch", ...]:
        sharp = 40  # degrees: more than between triangles of a curved surface
        _, faces = self._corners.flatten(0, 1).unique(dim=0, return_inverse=True)
        parts = smooth_parts(faces.view(-1, 3), self._normals, sharp)
        return tuple(replace(self, triangles=self._corners[part]) for part in parts)

    def in_boxes(self, boxes: Tensor, nodes: int) -> RulesInBoxes:
        most = 2**22  # the number of pairs of a box and a triangle that fit into memory
        parts, axes = [RulesInBoxes.none(self.names)], self._normals.abs().argmax(dim=1)
        for some in torch.arange(len(boxes)).split(max(1, most // len(self._corners))):
            for axis in range(3):
                own = (axes == axis).nonzero()[:, 0]
                if len(own):
                    found = self._in_boxes(own, axis, boxes[some], nodes)
                    parts.append(found.numbered(some))
        return RulesInBoxes.joined(parts)

    def _in_boxes(self, own: Tensor, axis: int, boxes: Tensor, nodes: int) -> RulesInBoxes:
        """Return quadrature rules on the parts of t triangles that lie in boxes.

        Args:
            own: the numbers of the triangles, (t,).
            axis: the index of the axis along which the normals of these triangles are largest.
            boxes, nodes: see `in_boxes`.
        """
        first, last = self._corners[own].amin(dim=1), self._corners[own].amax(dim=1)
        near = ((first <= boxes[:, None, 1]) & (last >= boxes[:, None, 0])).all(dim=2)
        box, place = near.nonzero().unbind(dim=1)
        rows = box[:, None].expand(-1, 3)
        start = torch.full_like(boxes[:, 0], torch.inf)
        start.scatter_reduce_(0, rows, first[place], "amin")
        stop = torch.full_like(boxes[:, 1], -torch.inf)
        stop.scatter_reduce_(0, rows, last[place], "amax")
        some = torch.stack([boxes[:, 0].maximum(start), boxes[:, 1].minimum(stop)], dim=1)
        some[:, :, axis] = boxes[:, :, axis]
        hits = partial(self._hits, (box, own[place]), axis)
        return cast(hits, self.names, axis, some, nodes)

    def _hits(self, near: tuple[Tensor, Tensor], axis: int, lines: Tensor, boxes: Tensor) -> Hits:
        """Return the points where lines along an axis meet triangles.

        A point on a common edge of two triangles is returned once for each of them.

        Args:
            near: p pairs of a box and a triangle that may meet: the numbers of the boxes, (p,), and
                the numbers of the triangles, (p,).
            axis: the index of the axis.
            lines: the other two coordinates of q lines in each of k boxes, (k, q, 2).
            boxes: the numbers of these k boxes, (k,).
        """
        each, most = lines.shape[1], 2**20  # `most` pairs of a line and a triangle fit into memory
        asked = torch.isin(near[0], boxes)
        place, triangle, hits = torch.searchsorted(boxes, near[0][asked]), near[1][asked], []
        for some in torch.arange(len(place)).split(max(1, most // each)):
            corners = self._corners[triangle[some]]
            flat = torch.cat([corners[..., :axis], corners[..., axis + 1 :]], dim=2)
            u, v = (flat[:, i, None] - flat[:, 0, None] for i in (1, 2))
            area = u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]
            gap = lines[place[some]] - flat[:, :1]
            s = (gap[..., 0] * v[..., 1] - gap[..., 1] * v[..., 0]) / area
            t = (u[..., 0] * gap[..., 1] - u[..., 1] * gap[..., 0]) / area
            met, line = ((s >= 0) & (t >= 0) & (s + t <= 1)).nonzero().unbind(dim=1)
            shares = torch.stack([1 - s - t, s, t], dim=2)[met, line]
            coords = (shares[:, :, None] * corners[met]).sum(dim=1)
            normals = self._normals[triangle[some][met]]
            hits.append((each * place[some][met] + line, coords, normals))
        numbers, points, outward = (torch.cat(one) for one in zip(*hits, strict=True))
        order = numbers.argsort(stable=True)
        return numbers[order], points[order], outward[order]

    gauss = Region.gauss

    @cached_property
    def _corners(self) -> Tensor:
        """The corners of the triangles with an area above 0, in Morton order, (f, 3, 3)."""
        corners = self.triangles[area_vectors(self.triangles).norm(dim=1) > 0]
        return corners[morton_order(corners.mean(dim=1))]

    @cached_property
    def _areas(self) -> Weights:
        """The areas of the triangles, (f,)."""
        return area_vectors(self._corners).norm(dim=1)

    @cached_property
    def _normals(self) -> Coords:
        """The outward unit normals of the triangles, (f, 3)."""
        return area_vectors(self._corners) / self._areas[:, None]


def enclosed(coords: Coords, vertices: Tensor, faces: Tensor) -> Mask:
    """Return a mask (n,) of the points (n, 3) with a positive winding number of a closed surface.

    The winding number is the number of triangles that an upward ray from the point crosses, each
    counted with the sign of its orientation. A crossing is decided edge by edge, with the same
    arithmetic for both triangles at an edge, so that no ray passes between two triangles (compare
    Franklin's half-open rule in the plane).

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
        (x, y), some = coords[points, :2].T, faces[triangles]
        passes = torch.zeros_like(some[:, 0])  # the signed crossing, -1, 0 or 1, of each pair
        for start, stop in zip(some.T, some.T.roll(-1, dims=0), strict=True):
            p, q = vertices[torch.minimum(start, stop)], vertices[torch.maximum(start, stop)]
            upward = (p[:, 1] <= y) & (y < q[:, 1])
            downward = (q[:, 1] <= y) & (y < p[:, 1])
            side = (q[:, 0] - p[:, 0]) * (y - p[:, 1]) - (x - p[:, 0]) * (q[:, 1] - p[:, 1])
            turn = (upward & (side > 0)).long() - (downward & (side < 0)).long()
            passes += torch.where(start < stop, turn, -turn)
        a, b, c = vertices[some].unbind(dim=1)
        normal = torch.linalg.cross(b - a, c - a)
        above = ((a - coords[points]) * normal).sum(dim=1) * normal[:, 2] > 0
        winding.index_add_(0, points, torch.where(above, passes, 0))
    return winding > 0


def near(coords: Coords, vertices: Tensor, faces: Tensor, distance: float) -> Mask:
    """Return a mask (n,) of the points (n, 3) within a distance > 0 of a surface.

    Args:
        coords: the points (n, 3).
        vertices: the vertices (v, 3) of the surface.
        faces: the vertex indices (f, 3) of the triangles.
        distance: the largest distance from the surface.
    """
    found = coords.new_zeros(len(coords), dtype=torch.bool)
    corners = vertices[faces]
    low, high = corners.amin(dim=1) - distance, corners.amax(dim=1) + distance
    for points, triangles in _pairs(coords, low, high):
        some = corners[triangles]
        along, offset = some.roll(-1, dims=1) - some, coords[points, None] - some
        share = ((offset * along).sum(dim=2) / along.square().sum(dim=2)).clamp(0, 1)
        to_edge = (offset - share[..., None] * along).norm(dim=2).amin(dim=1)
        normal = torch.linalg.cross(along[:, 0], along[:, 1])
        over = (torch.linalg.cross(along, offset) * normal[:, None]).sum(dim=2).amin(dim=1) >= 0
        length = normal.norm(dim=1)
        to_plane = (offset[:, 0] * normal).sum(dim=1).abs() / length
        gaps = torch.where(over & (length > 0), torch.minimum(to_plane, to_edge), to_edge)
        found[points[gaps <= distance]] = True
    return found


def _pairs(coords: Coords, low: Tensor, high: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the pairs of a point and a bounding box that contains the point, in batches.

    A grid in x and y, with a list of boxes for each cell, avoids a test of all pairs.

    Args:
        coords: the points (n, 3).
        low: the lower corners (f, 3) of the bounding boxes.
        high: the upper corners (f, 3) of the bounding boxes.

    Yields:
        The indices of the points, (p,), and the indices of the boxes, (p,), of p pairs.
    """
    start, stop = low[:, :2].amin(dim=0), high[:, :2].amax(dim=0)
    # The number of grid cells per axis gives about one triangle per cell. The limit of 512² cells
    # bounds the memory of their lists.
    size = min(max(round(len(low) ** 0.5), 1), 512)

    def cells(rows: Tensor) -> Tensor:
        """The grid cells that contain points with coordinates (n, 3), as two indices, (n, 2)."""
        return ((rows[:, :2] - start) / (stop - start) * size).long().clamp(0, size - 1)

    corner, spans = cells(low), cells(high) - cells(low) + 1
    boxes, place = _ranges(spans.prod(dim=1))
    columns = spans[boxes, 1]
    listed = (corner[boxes, 0] + place // columns) * size + corner[boxes, 1] + place % columns
    boxes, counts = boxes[listed.argsort(stable=True)], torch.bincount(listed, minlength=size**2)
    first = counts.cumsum(dim=0) - counts
    asked = ((coords[:, :2] >= start) & (coords[:, :2] <= stop)).all(dim=1).nonzero()[:, 0]
    cell = (cells(coords[asked]) * asked.new_tensor([size, 1])).sum(dim=1)
    most = 2**20  # about the number of pairs in a batch, which bounds the memory
    batches = torch.bincount(counts[cell].cumsum(dim=0) // most).tolist()
    for points, held in zip(asked.split(batches), cell.split(batches), strict=True):
        row, place = _ranges(counts[held])
        point, box = points[row], boxes[first[held[row]] + place]
        at = coords[point]
        inside = ((at >= low[box]) & (at <= high[box])).all(dim=1)
        yield point[inside], box[inside]


def _ranges(counts: Tensor) -> tuple[Tensor, Tensor]:
    """Number n items that are listed group by group.

    Args:
        counts: the number of items in each group.

    Returns:
        The number of each item's group, from 0, (n,), and the item's number within the group, from
        0, (n,).
    """
    owner = torch.arange(len(counts), device=counts.device).repeat_interleave(counts)
    place = torch.arange(len(owner), device=counts.device)
    return owner, place - (counts.cumsum(dim=0) - counts)[owner]


def _edges(faces: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the edges of a surface with faces (F, 3), which are vertex indices of triangles.

    Returns:
        The vertex indices of the two ends of the three edges of each triangle, in the triangle's
        direction, (3F, 2); the e distinct edges with ascending ends, (e, 2); and the number of each
        of the 3F edges among the distinct edges, (3F,).
    """
    edges = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    return edges, *edges.sort(dim=1).values.unique(dim=0, return_inverse=True)


def edge_defects(faces: Tensor) -> tuple[int, int]:
    """Count the edges at which a surface of triangles is open or inconsistently oriented.

    An edge is open if an odd number of triangles meet at the edge. It is inconsistently oriented if
    an even number of triangles meet, but not half of them run along the edge in each direction.

    Args:
        faces: the vertex indices of the triangles, (F, 3).

    Returns:
        The numbers of open and of inconsistently oriented edges; (0, 0) for a closed surface.
    """
    edges, _, number = _edges(faces)
    uses = torch.bincount(number)
    turns = torch.bincount(number, torch.where(edges[:, 0] < edges[:, 1], 1.0, -1.0))
    odd = uses % 2 == 1
    return int(odd.sum()), int(((turns != 0) & ~odd).sum())


def edge_turns(vertices: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
    """Return the edges of a closed surface and the angles between triangles at these edges.

    Args:
        vertices: the vertices (v, 3).
        faces: the vertex indices (F, 3), counter-clockwise seen from outside.

    Returns:
        The indices of the two vertices of each edge at which exactly two triangles meet, (e, 2).
        The angles between the normals of the two triangles in radians, (e,); they are positive
        where the interior angle of the solid is above 180°.
    """
    normals = area_vectors(vertices[faces])
    normals = normals / normals.norm(dim=1, keepdim=True)
    edges, distinct, number = _edges(faces)
    order = number.argsort(stable=True)
    order = order[torch.bincount(number)[number[order]] == 2].view(-1, 2)
    one, other = normals[order // 3].unbind(1)
    cosine = (one * other).sum(dim=1).clamp(-1, 1)
    beyond = vertices[faces[:, [2, 0, 1]].reshape(-1)[order[:, 1]]]  # the third corner
    rise = ((beyond - vertices[edges[order[:, 0], 0]]) * one).sum(dim=1)
    return distinct[number[order[:, 0]]], torch.where(rise > 0, 1.0, -1.0) * cosine.acos()


def smooth_parts(faces: Tensor, normals: Coords, sharp: float | int) -> list[Tensor]:
    """Divide a surface into parts at its sharp edges.

    Args:
        faces: the vertex indices (F, 3).
        normals: the unit normals (F, 3).
        sharp: an angle in degrees; an edge is sharp if the angle between the normals of its two
            triangles is larger.

    Returns:
        The indices of the triangles of each part, (f,).
    """
    from scipy.sparse import coo_array  # both imports take a tenth of a second
    from scipy.sparse.csgraph import connected_components

    number = _edges(faces)[2]
    order = number.argsort(stable=True)
    same = number[order][1:] == number[order][:-1]
    one, two = order[:-1][same] // 3, order[1:][same] // 3
    flat = (normals[one] * normals[two]).sum(dim=1) >= math.cos(math.radians(sharp))
    graph = coo_array((np.ones(int(flat.sum())), (one[flat], two[flat])), shape=(len(faces),) * 2)
    count, labels = connected_components(graph, directed=False)
    return [torch.from_numpy(np.flatnonzero(labels == label)) for label in range(count)]


def enclosed_volume(corners: Tensor) -> float:
    """Return the signed volume inside a closed surface of triangles with corners (F, 3, 3).

    The volume is the flux of the vector field x / 3 through the surface (divergence theorem); it is
    > 0 if the triangles are counter-clockwise seen from outside.
    """
    local = corners - corners.mean(dim=(0, 1))
    return torch.linalg.det(local).sum().item() / 6


def area_vectors(corners: Tensor) -> Coords:
    """Return the normals (F, 3) of triangles (F, 3, 3); their lengths are the areas."""
    a, b, c = corners.unbind(dim=1)
    return torch.linalg.cross(b - a, c - a) / 2


def volumes(corners: Tensor) -> Weights:
    """Return the signed volumes (k,) of tetrahedra (k, 4, 3)."""
    return torch.linalg.det(corners[:, 1:] - corners[:, :1]) / 6


def simplices_rule(corners: Tensor, nodes: int) -> tuple[Coords, Weights]:
    """Return a quadrature rule on triangles in space or on tetrahedra.

    The rule is exact for polynomials up to degree 2·nodes - 1.

    Args:
        corners: the corners of k triangles, (k, 3, 3), or k tetrahedra, (k, 4, 3).
        nodes: the number of nodes of each one-dimensional rule.

    Returns:
        Points (n, 3), in the order of the simplices, and weights (n,), where n = k·nodes² for
        triangles and n = k·nodes³ for tetrahedra.
    """
    dim = corners.shape[1] - 1
    check_size(nodes, len(corners) * nodes**dim)
    measures = area_vectors(corners).norm(dim=1) if dim == 2 else volumes(corners)
    shares, weights = simplex_rule(nodes, dim)
    return (shares @ corners).flatten(0, 1), torch.outer(measures, weights).flatten()
