"""Planar domains and solids from the mesh files of Gmsh.

Reference: Geuzaine and Remacle, Gmsh reference manual, "MSH file format" and "MSH file format
version 2 (Legacy)".
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from kanpinn._support.errors import InputError
from kanpinn.geometry.ball import coordinate_names
from kanpinn.geometry.curves import Arc, Curve, Pair, Segment, merged
from kanpinn.geometry.planar import Planar
from kanpinn.geometry.surface import Surface

Ways = list[list[tuple[int, ...]]]
HALVES: Ways = [[(0, 1, 2), (0, 2, 3)], [(0, 1, 3), (1, 2, 3)]]
# For each of Gmsh's types of elements: its dimension, its number of nodes, and all ways to divide
# it into simplices with straight edges, given by the local numbers of the simplices' corners.
ELEMENTS = {
    kind: (len(ways[0][0]) - 1, nodes, ways)
    for ways, kinds in (
        ([[(0,)]], {15: 1}),
        ([[(0, 1)]], {1: 2, 8: 3}),
        ([[(0, 1, 2)]], {2: 3, 9: 6}),
        (HALVES, {3: 4, 10: 9, 16: 8}),
        ([[(0, 1, 2, 3)]], {4: 4, 11: 10}),
    )
    for kind, nodes in kinds.items()
}
# The edges of elements of second order in the plane: both ends, and the node between them.
QUADRANGLE = [(0, 1, 4), (1, 2, 5), (2, 3, 6), (3, 0, 7)]
EDGES = {9: [(0, 1, 3), (1, 2, 4), (2, 0, 5)], 10: QUADRANGLE, 16: QUADRANGLE}
# The local nodes of the faces of a triangle and of a tetrahedron, counter-clockwise from outside.
FACES = {
    2: np.array([(0, 1), (1, 2), (2, 0)]),
    3: np.array([(0, 2, 1), (0, 1, 3), (1, 2, 3), (0, 3, 2)]),
}
SAME = 1e-10  # nodes closer than this fraction of the mesh's size count as one node


@dataclass(frozen=True)
class Block:
    """Elements of one type on one geometrical entity: a curve, surface or volume of the CAD model.

    Args:
        kind: Gmsh's number of the type of the elements.
        entity: Gmsh's number of the entity.
        groups: the numbers of the physical groups that contain the elements.
        nodes: the indices of the k nodes of each of m elements, (m, k).
    """

    kind: int
    entity: int
    groups: tuple[int, ...]
    nodes: np.ndarray

    @property
    def dim(self) -> int:
        """The dimension of the elements."""
        return ELEMENTS[self.kind][0]


@dataclass(frozen=True, eq=False)
class _Filling:
    """Triangles (d = 2) or tetrahedra (d = 3) that fill a domain, and the faces of its boundary.

    Args:
        coords: the coordinates of the nodes, (n, d).
        cells: the node indices of the corners of the triangles or tetrahedra, oriented positively,
            (k, d + 1).
        faces: the node indices of the corners of the boundary's faces, (b, d): edges with the
            domain on their left, or triangles that are counter-clockwise seen from outside.
        names: the name of the boundary piece to which each face belongs, (b,).
        entities: Gmsh's number of the CAD curve or surface that contains each face, (b,); 0 if this
            curve or surface is unknown.
        middles: the index of the node between the two ends of each edge, (b,), for edges of second
            order in the plane; -1 for other faces.
    """

    coords: np.ndarray
    cells: np.ndarray
    faces: np.ndarray
    names: tuple[str, ...]
    entities: np.ndarray
    middles: np.ndarray

    def nodes(self, faces: Sequence[int]) -> np.ndarray:
        """Return the coordinates (n, d) of all nodes of the faces with these indices."""
        middles = self.middles[faces]
        found = np.unique(np.concatenate([self.faces[faces].ravel(), middles[middles >= 0]]))
        return self.coords[found]


def Mesh(
    path: str | Path,
    *,
    name: str = "boundary",
    arcs: bool = True,
    names: Sequence[str] | None = None,
) -> Planar | Surface:
    """Return the domain that the elements of a Gmsh file fill.

    The file has the version 2.2 or 4.1 of the MSH format, text or binary. Its elements are
    triangles and quadrangles in a plane of constant z, or tetrahedra, of the first or the second
    order. Parts of the domain need not touch each other. Nodes that belong to no element are
    ignored, and nodes in the same place count as one node.

    The physical groups of curves in the plane, and of surfaces in space, are the pieces of the
    boundary; a group 7 without a name becomes "group_7". Groups inside the domain are ignored.
    In space, `quadrature` consists of Gauss rules on the tetrahedra.

    Meshes have straight edges where the drawing has curves. In the plane the curves are restored:
    if a curve of the drawing has five or more nodes, all on one circle, its edges become one arc of
    this circle. Neighbouring curves with the same name count as one curve here if no curve among
    them is straight. Any other edge of second order becomes the arc through its three nodes.
    Neighbouring arcs or segments with the same name on one circle or line are joined to one piece.
    A file contains the curves of the drawing if the curves are in physical groups, or if all
    elements are saved (Mesh.SaveAll); otherwise only edges of second order become arcs. In space
    all faces are flat.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> text = '''$MeshFormat
    ... 2.2 0 8
    ... $EndMeshFormat
    ... $PhysicalNames
    ... 1
    ... 1 5 "bottom"
    ... $EndPhysicalNames
    ... $Nodes
    ... 4
    ... 1 0 0 0
    ... 2 3 0 0
    ... 3 3 2 0
    ... 4 0 2 0
    ... $EndNodes
    ... $Elements
    ... 3
    ... 1 1 2 5 1 1 2
    ... 2 2 2 0 1 1 2 3
    ... 3 2 2 0 1 1 3 4
    ... $EndElements
    ... '''
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "plate.msh")
    ...     _ = file.write_text(text)
    ...     plate = Mesh(file, name="rest")
    >>> plate.measure, plate.boundary.names, plate.boundary["rest"].measure
    (6.0, ('bottom', 'rest', 'rest', 'rest'), 7.0)

    Args:
        path: the file.
        name: the name of the parts of the boundary in no physical group.
        arcs: False for straight edges only.
        names: the names of the coordinates; by default ("x", "y") or ("x", "y", "z").

    Raises:
        InputError: if the file is not an MSH file of these versions, or its elements do not fill a
            domain: there are no elements, or elements of another type; elements occur twice,
            overlap or have no area or volume; triangles form a surface in space; or a part of the
            boundary is in two physical groups.
    """
    contents = MshFile.read(Path(path))
    try:
        domain = _filling(contents, name)
        if domain.coords.shape[1] == 3:
            used, cells = np.unique(domain.cells, return_inverse=True)
            faces, shape = np.searchsorted(used, domain.faces), domain.cells.shape
            given: dict[str, Any] = {"pieces": domain.names, "cells": cells.reshape(shape)}
            return Surface(domain.coords[used], faces, names=names, **given)
        return _planar(domain, coordinate_names(names, 2), arcs, f"Mesh({str(path)!r})")
    except InputError as error:
        raise InputError(f"{path} is no mesh of a domain: {error}") from None


def _planar(domain: _Filling, names: tuple[str, ...], arcs: bool, label: str) -> Planar:
    """Return the planar domain of a mesh.

    `Mesh` says which edges become arcs; all other edges become segments.

    Args:
        domain: the triangles and the boundary edges of the mesh.
        names: the names of the two coordinates.
        arcs: False if all edges become segments.
        label: the repr of the domain.
    """
    near = SAME * float(np.ptp(domain.coords[domain.cells.ravel()], axis=0).max())
    curves: list[Curve] = []
    for path in _paths(domain):
        groups = groupby(path, key=lambda i: (domain.names[i], domain.entities[i]))
        parts: list[Curve] = []
        for edges in _round_together(domain, [list(edges) for _, edges in groups], near):
            for edge, center in zip(edges, _centers(domain, edges, arcs, near), strict=True):
                ends, name = domain.coords[domain.faces[edge]], domain.names[edge]
                ((x, y), (u, v)), (cx, cy) = ends.tolist(), center.tolist()
                if math.isnan(cx):
                    parts.append(Segment((x, y), (u, v), name, names))
                    continue
                radius = float(np.hypot(*(ends - center).T).mean())
                first = math.atan2(y - cy, x - cx)
                last = first + _sweep((cx, cy), (x, y), (u, v))
                parts.append(Arc((cx, cy), (radius, radius), 0.0, first, last, name, names))
        curves += merged(parts, near)
    return Planar(tuple(curves), label=label)


def _filling(mesh: "MshFile", rest: str) -> _Filling:
    """Return the triangles or tetrahedra of a mesh file, with the faces of the domain's boundary.

    Args:
        mesh: the contents of an MSH file.
        rest: the name of the boundary faces that are in no physical group.

    Raises:
        InputError: if the elements overlap or fill no domain, or a face is in several groups.
    """
    dims = {block.dim for block in mesh.blocks if len(block.nodes)}
    if not dims & {2, 3}:
        why = (
            "as soon as there are physical groups, Gmsh saves these alone: put the surface or the "
            "volume into one, too"
        )
        raise InputError(f"it has no triangles and no tetrahedra; {why}")
    dim = 3 if 3 in dims else 2
    used = np.unique(np.concatenate([block.nodes.ravel() for block in mesh.blocks]))
    spread = np.ptp(mesh.coords[used], axis=0)
    if dim == 2 and spread[2] > SAME * spread.max():
        remedy = "mesh the volume (gmsh -3), or read a surface from an STL file by Surface.read"
        raise InputError(f"its triangles are a surface in space without tetrahedra: {remedy}")
    # Nodes in the same place get the same index.
    pairs = cKDTree(mesh.coords[used]).query_pairs(SAME * spread.max(), output_type="ndarray")
    index, coords = np.arange(len(mesh.coords)), mesh.coords[:, :dim]
    for i, j in np.sort(used[pairs], axis=1)[np.lexsort(pairs.T[::-1])].tolist():
        index[j] = index[i]
    blocks = [replace(block, nodes=index[block.nodes]) for block in mesh.blocks]
    cells = _simplices([block for block in blocks if block.dim == dim], coords)
    faces = _boundary(cells)
    marks = _marks([one for one in blocks if one.dim == dim - 1], mesh.names)
    own = [marks.get(key, (None, 0)) for key in _keys(faces)]
    names = tuple(rest if name is None else name for name, _ in own)
    entities = np.array([entity for _, entity in own])
    middles: dict[tuple[int, ...], int] = {}
    for block in blocks if dim == 2 else []:
        for start, stop, middle in EDGES.get(block.kind, []):
            ends = _keys(block.nodes[:, [start, stop]])
            middles |= zip(ends, block.nodes[:, middle].tolist(), strict=True)
    between = np.array([middles.get(key, -1) for key in _keys(faces)])
    return _Filling(coords, cells, faces, names, entities, between)


def _simplices(blocks: Sequence[Block], coords: np.ndarray) -> np.ndarray:
    """Return the node indices (k, d + 1) of all triangles or tetrahedra, in positive orientation.

    MSH 2.2 repeats an element that is in several physical groups; the element is returned once.
    A quadrangle is divided along one of its diagonals, so that the smaller one of the two triangles
    is as large as possible.

    Args:
        blocks: the elements of dimension d.
        coords: the coordinates of the nodes, (n, d).

    Raises:
        InputError: if an element occurs twice in a block, has no area or volume, or has sides that
            cross each other.
    """
    found, dim = [], coords.shape[1]
    for block in blocks:
        ways = block.nodes[:, np.array(ELEMENTS[block.kind][2])]  # (m, ways, parts, d + 1)
        volumes = np.linalg.det(np.diff(coords[ways], axis=-2))
        least = (volumes * np.sign(volumes.sum(axis=2, keepdims=True))).min(axis=2)
        crossed = int((least.max(axis=1) <= 0).sum()) if ways.shape[1] > 1 else 0
        if crossed:
            raise InputError(f"{crossed} of its quadrangles have sides that cross, or no area")
        cells = ways[np.arange(len(ways)), least.argmax(axis=1)].reshape(-1, dim + 1)
        twice = len(cells) - len(np.unique(np.sort(cells, axis=1), axis=0))
        if twice:
            raise InputError(f"{twice} of its elements occur twice")
        found.append(cells)
    cells = np.concatenate(found)
    _, first = np.unique(np.sort(cells, axis=1), axis=0, return_index=True)
    cells = cells[np.sort(first)]
    sides = coords[cells][:, 1:] - coords[cells][:, :1]
    volumes = np.linalg.det(sides)
    flat = np.abs(volumes) <= 1e-12 * np.square(sides).sum(axis=2).max(axis=1) ** (dim / 2)
    if flat.any():
        at = ", ".join(f"{x:.4g}" for x in coords[cells][flat][0].mean(axis=0))
        what = "area" if dim == 2 else "volume"
        raise InputError(f"{int(flat.sum())} of its elements have no {what}, the first at ({at})")
    cells[volumes < 0, -2:] = cells[volumes < 0][:, [-1, -2]]
    return cells


def _boundary(cells: np.ndarray) -> np.ndarray:
    """Return the faces of triangles or tetrahedra that belong to a single cell.

    Args:
        cells: the node indices of the cells' corners, oriented positively, (k, d + 1).

    Returns:
        The node indices of the corners of the b boundary faces, (b, d).

    Raises:
        InputError: if cells overlap: more than two cells have a common face, or two cells are on
            the same side of their common face.
    """
    faces = cells[:, FACES[cells.shape[1] - 1]].reshape(-1, cells.shape[1] - 1)
    order = faces.argsort(axis=1)
    ordered = np.take_along_axis(faces, order, axis=1)
    _, number, uses = np.unique(ordered, axis=0, return_inverse=True, return_counts=True)
    number = number.ravel()
    sums = np.bincount(number, np.linalg.det(np.eye(faces.shape[1])[order]))
    wrong = int(((uses > 2) | ((uses == 2) & (np.abs(sums) > 0.5))).sum())
    if wrong:
        where = f"at {wrong} faces two elements are on the same side; one may be inverted"
        raise InputError(f"its elements overlap: {where}")
    outer: np.ndarray = faces[uses[number] == 1]
    return outer


def _marks(
    blocks: Sequence[Block], names: dict[tuple[int, int], str]
) -> dict[tuple[int, ...], tuple[str | None, int]]:
    """Return the physical groups of the faces that the file lists as elements.

    Args:
        blocks: the elements with the dimension of the faces.
        names: the names of physical groups, by dimension and number.

    Returns:
        A dictionary whose keys are the ascending node indices of each face. The values are pairs:
        the name of the face's physical group, None if the face is in no group, and the number of
        the face's geometrical entity.

    Raises:
        InputError: if a face is in two physical groups.
    """
    found: dict[tuple[int, ...], tuple[str | None, int]] = {}
    for block in blocks:
        groups = [names.get((block.dim, group), f"group_{group}") for group in block.groups]
        # The faces of the cells may divide a quadrangle along either diagonal.
        parts = block.nodes[:, np.array(ELEMENTS[block.kind][2])].reshape(-1, block.dim + 1)
        for key in _keys(parts):
            known, _ = found.get(key, (None, 0))
            several = list(dict.fromkeys([known, *groups] if known else groups))
            if len(several) > 1:
                both = " and ".join(map(repr, several[:2]))
                reason = "pieces of a boundary must not overlap"
                raise InputError(
                    f"a part of the boundary is in the physical groups {both}; {reason}"
                )
            if known is None:
                found[key] = (groups[0] if groups else None, block.entity)
    return found


def _keys(faces: np.ndarray) -> Iterator[tuple[int, ...]]:
    """Yield the indices of the nodes of each face as an ascending tuple."""
    return map(tuple, np.sort(faces, axis=1).tolist())


def _circle_center(points: np.ndarray, near: float = math.inf) -> np.ndarray | None:
    """Return the centre c, (2,), of the circle that fits points x_i, (n, 2) with n ≥ 3, best.

    The centre and the radius r minimise Σ_i (|x_i - c|² - r²)². The result is None for points on a
    line, and if the distances of the points from the centre differ by more than `near`.

    Reference: Kåsa, A circle fitting procedure and its error analysis (1976).
    """
    middle = points.mean(axis=0)
    local = points - middle
    size = np.abs(local).max()
    rows = np.concatenate([local / size, np.ones((len(local), 1))], axis=1)
    found, _, rank, _ = np.linalg.lstsq(rows, np.square(local / size).sum(axis=1), rcond=1e-9)
    center = middle + size * found[:2] / 2
    on_circle = rank == 3 and np.ptp(np.hypot(*(points - center).T)) <= near
    return center if on_circle else None


def _paths(domain: _Filling) -> Iterator[list[int]]:
    """Yield paths of boundary edges that follow each other, as lists of the edges' indices.

    A path begins between two curves of the drawing where possible. It ends before an edge that is
    in a path already, or at a node at which several edges start.
    """
    starts, stops = domain.faces.T.tolist()
    starting = Counter(starts)
    first_at = {start: edge for edge, start in enumerate(starts)}
    followers = [first_at[stop] if starting[stop] == 1 else None for stop in stops]
    before = {after: edge for edge, after in enumerate(followers) if after is not None}
    marks = list(zip(domain.names, domain.entities.tolist(), strict=True))
    edges = range(len(starts))
    begins = [i for i in edges if i not in before or marks[before[i]] != marks[i]]
    used: set[int] = set()
    for begin in [*begins, *edges]:
        path: list[int] = []
        edge: int | None = begin
        while edge is not None and edge not in used:
            used.add(edge)
            path.append(edge)
            edge = followers[edge]
        if path:
            yield path


def _round_together(
    domain: _Filling, curves: Sequence[list[int]], near: float
) -> Sequence[list[int]]:
    """Join the curves of a path that follow each other on one circle.

    Args:
        domain: the triangles and the boundary edges.
        curves: the indices of the edges of each curve, in the order of the path.
        near: nodes count as on one circle if their distances from its centre differ by at most this
            number.

    Returns:
        The indices of the edges of each curve after joining.
    """

    def on_one_circle(one: list[int], other: list[int]) -> bool:
        """Return whether the nodes of two curves lie on one circle."""
        i, j = one[-1], other[0]
        drawn = domain.entities[i] > 0 and domain.entities[j] > 0
        if not drawn or domain.names[i] != domain.names[j]:
            return False
        bent = all(_circle_center(domain.nodes(edges)) is not None for edges in (one, other))
        return bent and _circle_center(domain.nodes([*one, *other]), near) is not None

    left = list(curves)
    if domain.faces[left[-1][-1], 1] == domain.faces[left[0][0], 0]:
        # Rotate a closed path so that it does not begin in the middle of a circle's arc.
        for _ in curves[1:]:
            if not on_one_circle(left[-1], left[0]):
                break
            left = [left[-1], *left[:-1]]
    joined = left[:1]
    for edges in left[1:]:
        if on_one_circle(joined[-1], edges):
            joined[-1] = [*joined[-1], *edges]
        else:
            joined.append(edges)
    return joined


def _centers(domain: _Filling, edges: Sequence[int], arcs: bool, near: float) -> list[np.ndarray]:
    """Return the centre (2,) of the circle of each edge of a curve; NaN for straight edges.

    Args:
        domain: the triangles and the boundary edges.
        edges: the indices of the edges of the curve.
        arcs: False if all edges are to be straight.
        near: nodes count as on one circle if their distances from its centre differ by at most this
            number.
    """
    straight, known = np.full(2, np.nan), domain.nodes(edges)
    many = 5  # the four evenly spaced nodes of a symmetric curve lie on a circle in any case
    if arcs and domain.entities[edges[0]] and len(known) >= many:
        center = _circle_center(known, near)
        if center is not None:
            return [center] * len(edges)
    found = []
    for edge in edges:
        (start, stop), middle = domain.coords[domain.faces[edge]], domain.middles[edge]
        center = None
        if arcs and middle >= 0:
            along, across = stop - start, domain.coords[middle] - start
            bent = 1e-7  # height / length; the centre of a flatter arc is far away and inaccurate
            if abs(along[0] * across[1] - along[1] * across[0]) > bent * (along @ along):
                center = _circle_center(np.array([start, domain.coords[middle], stop]))
        found.append(straight if center is None else center)
    return found


def _sweep(center: Pair, start: Pair, stop: Pair) -> float:
    """Return the angle in radians, from -π to π, from `start` to `stop` as seen from a centre."""
    (x, y), (u, v) = ((px - center[0], py - center[1]) for px, py in (start, stop))
    return math.atan2(x * v - y * u, x * u + y * v)


class MshFile:
    """The contents of an MSH file, whose sections are read in their order.

    Args:
        data: the contents as bytes.

    Attributes:
        coords: the coordinates of the nodes, (n, 3).
        blocks: the elements, grouped by type and geometrical entity.
        names: the names of physical groups, by dimension and number.
    """

    def __init__(self, data: bytes) -> None:
        self.coords, self.blocks = np.zeros((0, 3)), list[Block]()
        self.names = dict[tuple[int, int], str]()
        self._data, self._position = data, 0
        self._legacy, self._binary, self._size, self._order = False, False, 8, "<"
        self._words: list[bytes] = []  # the words of a text section not yet read, in reverse
        self._tags = np.zeros(0, dtype=np.int64)  # the numbers of the nodes, ascending
        self._groups: dict[tuple[int, int], tuple[int, ...]] = {}  # by dimension and entity

    @classmethod
    def read(cls, path: Path) -> "MshFile":
        """Read an MSH file of the version 2.2 or 4.1, text or binary.

        Raises:
            InputError: unless the file exists and is an MSH file of one of these versions.
        """
        if not path.is_file():
            raise InputError(f"there is no file {path}")
        contents = cls(path.read_bytes())
        try:
            contents._read_sections()
        except (InputError, LookupError, ValueError, OverflowError, MemoryError) as error:
            raise InputError(f"{path} cannot be read as an MSH file of Gmsh: {error}") from error
        return contents

    def _read_sections(self) -> None:
        """Read all sections of the file, and store nodes, elements and names."""
        sections = {
            "MeshFormat": self._format,
            "PhysicalNames": self._physical_names,
            "Entities": self._entities,
            "Nodes": self._nodes,
            "Elements": self._elements,
        }
        if not self._data.lstrip().startswith(b"$MeshFormat"):
            raise InputError("it does not begin with $MeshFormat")
        while header := re.compile(rb"\s*\$(\w+)[^\S\n]*\r?\n").match(self._data, self._position):
            name, self._position = header[1].decode(), header.end()
            if name == "PartitionedEntities":
                raise InputError("it is divided into partitions; save it without them")
            if name in sections:
                sections[name]()
            mark = f"$End{name}".encode()
            end = self._data.find(mark, self._position)
            if end < 0:
                raise InputError(f"its section {name} does not end")
            self._position = end + len(mark)
        if self._data[self._position :].strip():
            line = self._data[self._position :].strip().split(b"\n")[0][:40]
            raise InputError(f"no section of a mesh begins with {line.decode(errors='replace')!r}")

    def _line(self) -> bytes:
        """The next line of the file."""
        end = self._data.index(b"\n", self._position)
        line, self._position = self._data[self._position : end], end + 1
        return line

    def _begin(self) -> None:
        """Begin to read a section of numbers; in a text file, split the section into words."""
        if not self._binary:
            end = self._data.find(b"$End", self._position)
            if end < 0:
                raise InputError("its last section does not end")
            self._words = self._data[self._position : end].split()[::-1]

    def _next(self, count: int, kind: str) -> np.ndarray:
        """Return the next numbers, (count,), as int64 or float64.

        Args:
            kind: NumPy's code for the type of the numbers in a binary file, such as "i4".
        """
        wide = np.float64 if kind == "f8" else np.int64
        if self._binary:
            return self._bytes(count, np.dtype(self._order + kind)).astype(wide)
        if not 0 <= count <= len(self._words):
            raise InputError("a section ends too early")
        left = len(self._words) - count
        words, self._words[left:] = self._words[left:][::-1], []
        return np.array(words, dtype=bytes).astype(wide)

    def _bytes(self, count: int, kind: np.dtype) -> np.ndarray:
        """The next numbers of a binary file, (count,), of a NumPy type."""
        if not 0 <= count * kind.itemsize <= len(self._data) - self._position:
            raise InputError("the file ends too early")
        found = np.frombuffer(self._data, kind, count, self._position)
        self._position += count * kind.itemsize
        return found

    def _ints(self, count: int) -> list[int]:
        """The next integers of 32 bits in binary files."""
        return self._next(count, "i4").tolist()

    def _sizes(self, count: int) -> np.ndarray:
        """Return the next numbers, (count,), of the type that MSH 4.1 calls size_t."""
        return self._next(count, f"u{self._size}")

    def _count(self) -> int:
        """The next number, as the length of a list."""
        return int(self._sizes(1)[0])

    def _format(self) -> None:
        """Read the version, and whether the file is binary, with which byte order."""
        version, binary, size = self._line().split()
        if version not in (b"2", b"2.2", b"4.1"):
            remedy = "save it as MSH 4.1 or 2.2 (Gmsh's option Mesh.MshFileVersion)"
            raise InputError(f"its version is {version.decode()}; {remedy}")
        self._legacy, self._binary, self._size = version[:1] == b"2", binary == b"1", int(size)
        if self._binary and self._data[self._position : self._position + 4] != b"\x01\0\0\0":
            self._order = ">"

    def _physical_names(self) -> None:
        """Read the names of the physical groups."""
        for _ in range(int(self._line())):
            dim, tag, name = self._line().split(maxsplit=2)
            self.names[int(dim), int(tag)] = name.strip().strip(b'"').decode()

    def _entities(self) -> None:
        """Read which physical groups contain each geometrical entity (MSH 4.1)."""
        self._begin()
        for dim, count in enumerate(self._sizes(4).tolist()):
            for _ in range(count):
                (tag,) = self._ints(1)
                self._next(6 if dim else 3, "f8")  # the bounding box
                self._groups[dim, tag] = tuple(map(abs, self._ints(self._count())))
                if dim:
                    self._ints(self._count())  # the entities that bound this entity

    def _nodes(self) -> None:
        """Read the nodes: their numbers and coordinates."""
        tags, coords = [np.zeros(0, dtype=np.int64)], [np.zeros((0, 3))]
        count = int(self._line()) if self._legacy else 0
        self._begin()
        if self._legacy and self._binary:
            kind = np.dtype([("tag", self._order + "i4"), ("at", self._order + "f8", 3)])
            rows = self._bytes(count, kind)
            tags.append(rows["tag"].astype(np.int64))
            coords.append(rows["at"].astype(np.float64))
        elif self._legacy:
            table = self._next(4 * count, "f8").reshape(count, 4)
            tags.append(table[:, 0].astype(np.int64))
            coords.append(table[:, 1:])
        else:
            for _ in range(int(self._sizes(4)[0])):
                dim, _, parametric = self._ints(3)
                count, width = self._count(), 3 + (dim if parametric else 0)
                tags.append(self._sizes(count))
                coords.append(self._next(count * width, "f8").reshape(count, width)[:, :3])
        every, points = np.concatenate(tags), np.concatenate(coords)
        self._tags, first = np.unique(every, return_index=True)
        if len(first) < len(every):
            raise InputError("two of its nodes have the same number")
        if not np.isfinite(points).all():
            raise InputError("the coordinates of a node are no finite numbers")
        self.coords = points[first]

    def _elements(self) -> None:
        """Read the elements, and store them in `blocks`."""
        for block in self._legacy_elements() if self._legacy else self._element_blocks():
            nodes = np.searchsorted(self._tags, block.nodes)
            known = np.append(self._tags, -1)[nodes] == block.nodes
            if not known.all():
                missing = block.nodes[~known].flat[0]
                raise InputError(f"an element has the node {missing}, which is not in the file")
            self.blocks.append(replace(block, nodes=nodes))

    def _element_blocks(self) -> Iterator[Block]:
        """Yield the elements of MSH 4.1, which the file lists in blocks."""
        self._begin()
        for _ in range(int(self._sizes(4)[0])):
            dim, entity, kind = self._ints(3)
            count, width = self._count(), 1 + _nodes_of(kind)
            nodes = self._sizes(count * width).reshape(count, width)[:, 1:]
            yield Block(kind, entity, self._groups.get((dim, entity), ()), nodes)

    def _legacy_elements(self) -> list[Block]:
        """The elements of MSH 2.2, grouped by type, geometrical entity and physical groups."""
        left = int(self._line())
        self._begin()
        rows: dict[tuple[int, int, int], list[list[int]]] = defaultdict(list)
        while left > 0:
            # In a binary file one header may precede several elements of one type. In a text file
            # the number of each element stands before its type.
            first, second, tags = self._ints(3)
            kind, count = (first, second) if self._binary else (second, 1)
            width = tags + _nodes_of(kind) + self._binary
            left -= count
            for row in self._next(count * width, "i4").reshape(count, width).tolist():
                group, entity, *_ = [*row[self._binary : self._binary + tags], 0, 0]
                rows[kind, abs(group), entity].append(row[self._binary + tags :])
        elements = ((key, np.array(nodes)) for key, nodes in rows.items())
        return [Block(kind, e, (g,) if g else (), nodes) for (kind, g, e), nodes in elements]


def _nodes_of(kind: int) -> int:
    """Return the number of nodes of an element of one of Gmsh's types.

    Raises:
        InputError: if elements of this type are not supported.
    """
    if kind not in ELEMENTS:
        known = "triangles, quadrangles or tetrahedra of the first or second order"
        raise InputError(f"it has elements of Gmsh's type {kind}, a domain has {known}")
    return ELEMENTS[kind][1]
