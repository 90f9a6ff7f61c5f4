"""Planar domains and solids read from Gmsh's meshes."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from scipy.spatial import cKDTree

from kanpinn._support.errors import InputError
from kanpinn.geometry.ball import coordinate_names
from kanpinn.geometry.curves import Arc, Curve, Segment
from kanpinn.geometry.msh_file import Block, MshFile, read_msh
from kanpinn.geometry.planar import Planar
from kanpinn.geometry.surface import Surface
from kanpinn.geometry.triangles import Triangles

# All ways to divide an element into simplices with straight edges, by the local numbers of nodes.
Ways = list[list[tuple[int, ...]]]
WHOLE: Ways = [[(0, 1, 2)]]
HALVES: Ways = [[(0, 1, 2), (0, 2, 3)], [(0, 1, 3), (1, 2, 3)]]
# By dimension, Gmsh's types of elements of the first and the second order with these ways.
WAYS: dict[int, dict[int, Ways]] = {
    1: {1: [[(0, 1)]], 8: [[(0, 1)]]},
    2: {2: WHOLE, 9: WHOLE, 3: HALVES, 10: HALVES, 16: HALVES},
    3: {4: [[(0, 1, 2, 3)]], 11: [[(0, 1, 2, 3)]]},
}
# The edges of elements of second order in the plane: both ends, and the node between them.
TRIANGLE = [(0, 1, 3), (1, 2, 4), (2, 0, 5)]
QUADRANGLE = [(0, 1, 4), (1, 2, 5), (2, 3, 6), (3, 0, 7)]
EDGES = {9: TRIANGLE, 10: QUADRANGLE, 16: QUADRANGLE}
# The dimension of the other elements, where it is not 3.
OTHERS = {15: 0, 26: 1, 27: 1, 28: 1, 20: 2, 21: 2, 22: 2, 23: 2, 24: 2, 25: 2, 36: 2, 37: 2}


def dimension(mesh: MshFile) -> int:
    """Return the dimension of the domain: 3 if there are elements with a volume, otherwise 2.

    Raises:
        InputError: if there are no elements with an area either.
    """
    dims = {dimension_of(block) for block in mesh.blocks if len(block.nodes)}
    if not dims & {2, 3}:
        raise InputError(
            "it has no triangles and no tetrahedra; as soon as there are physical groups, Gmsh "
            "saves the elements of these alone: the surface or volume must be in one too"
        )
    return 3 if 3 in dims else 2


def dimension_of(block: Block) -> int:
    """Return the dimension of a block's elements."""
    return next(
        (dim for dim, kinds in WAYS.items() if block.kind in kinds), OTHERS.get(block.kind, 3)
    )


def simplices(mesh: MshFile, dim: int) -> np.ndarray:
    """Return the node indices (k, dim + 1) of the triangles or tetrahedra, none of them twice.

    MSH 2.2 repeats elements that are in several physical groups.

    Raises:
        InputError: if there are other elements of this dimension, or one occurs twice in a group.
    """
    found = []
    for block in (block for block in mesh.blocks if dimension_of(block) == dim):
        if block.kind not in WAYS[dim]:
            raise InputError(
                f"it has elements of Gmsh's type {block.kind}; a domain is made of triangles, "
                "quadrangles or tetrahedra of the first or second order"
            )
        found.append(_into_simplices(block, mesh.coords[:, :dim]))
        twice = len(found[-1]) - len(_distinct(found[-1]))
        if twice:
            raise InputError(f"{twice} of its elements occur twice")
    together = np.concatenate(found)
    return together[_distinct(together)]


def _into_simplices(block: Block, coords: np.ndarray) -> np.ndarray:
    """Divide each element in the way that makes its smallest simplex largest, (m · parts, d + 1).

    Raises:
        InputError: if the sides of an element cross each other.
    """
    ways = np.array(WAYS[dimension_of(block)][block.kind])
    nodes = block.nodes[:, ways]  # (m, ways, parts, d + 1)
    if len(ways) == 1:
        return nodes.reshape(-1, nodes.shape[-1])
    corners = coords[nodes]
    volumes = np.linalg.det(corners[..., 1:, :] - corners[..., :1, :])
    least = (volumes * np.sign(volumes.sum(axis=2, keepdims=True))).min(axis=2)
    crossed = int((least.max(axis=1) <= 0).sum())
    if crossed:
        raise InputError(f"{crossed} of its quadrangles have sides that cross, or no area")
    return nodes[np.arange(len(nodes)), least.argmax(axis=1)].reshape(-1, nodes.shape[-1])


def edge_middles(mesh: MshFile) -> dict[tuple[int, int], int]:
    """Return the nodes between the ends of edges of second order, by the two ends, ascending."""
    found: dict[tuple[int, int], int] = {}
    for block in mesh.blocks:
        for start, stop, middle in EDGES.get(block.kind, []):
            ends = np.sort(block.nodes[:, [start, stop]], axis=1)
            found.update(
                zip(
                    zip(*ends.T.tolist(), strict=True), block.nodes[:, middle].tolist(), strict=True
                )
            )
    return found


def _distinct(simplices: np.ndarray) -> np.ndarray:
    """Return the rows of different simplices, in their order."""
    _, first = np.unique(np.sort(simplices, axis=1), axis=0, return_index=True)
    return np.sort(first)


SAME = 1e-10  # nodes closer than this part of the mesh's size are one node
# The local nodes of the faces of a triangle and of a tetrahedron, counter-clockwise from outside.
FACES = {
    2: np.array([(0, 1), (1, 2), (2, 0)]),
    3: np.array([(0, 2, 1), (0, 1, 3), (1, 2, 3), (0, 3, 2)]),
}


@dataclass(frozen=True, eq=False)
class Filling:
    """Triangles (d = 2) or tetrahedra (d = 3) that fill a domain, and the faces of its boundary.

    Args:
        coords: the coordinates of the nodes, (n, d).
        cells: the indices of the cells' corners, oriented positively, (k, d + 1).
        faces: those of the edges or triangles of the boundary, seen from outside as those of
            `Planar` and `Surface`, (b, d).
        sides: the number of each face among those of all cells, (b,).
        names: the names of the pieces to which the faces belong, (b,).
        entities: the number of the curve or surface of the drawing, 0 if unknown, (b,).
        middles: for each edge of a second-order mesh in the plane its node between the two ends;
            -1 for others, (b,).
    """

    coords: np.ndarray
    cells: np.ndarray
    faces: np.ndarray
    sides: np.ndarray
    names: tuple[str, ...]
    entities: np.ndarray
    middles: np.ndarray

    def nodes(self, faces: Sequence[int]) -> np.ndarray:
        """Return the coordinates of all different nodes of some faces, (n, d)."""
        middles = self.middles[faces]
        found = np.unique(np.concatenate([self.faces[faces].ravel(), middles[middles >= 0]]))
        return self.coords[found]


def filling(mesh: MshFile, rest: str) -> Filling:
    """Return the domain of a mesh.

    Args:
        mesh: the contents of a file.
        rest: the name of the faces in no physical group.

    Raises:
        InputError: if the elements do not fill a domain once, or a face is in several groups.
    """
    dim = dimension(mesh)
    mesh = _merged(mesh)
    coords = _coordinates(mesh, dim)
    cells = _oriented(simplices(mesh, dim), coords)
    faces, sides = _boundary(cells)
    marks = _marks(mesh, dim)
    own = [marks.get(key, Mark(None, 0)) for key in _keys(faces)]
    middles = edge_middles(mesh) if dim == 2 else {}
    return Filling(
        coords,
        cells,
        faces,
        sides,
        tuple(rest if mark.name is None else mark.name for mark in own),
        np.array([mark.entity for mark in own]),
        np.array([middles.get((key[0], key[1]), -1) for key in _keys(faces)]),
    )


@dataclass(frozen=True)
class Mark:
    """What a file says of a face: its physical group, if it is in one, and its entity."""

    name: str | None
    entity: int


def _merged(mesh: MshFile) -> MshFile:
    """Give nodes of elements that lie in the same place the same index."""
    used = mesh.used
    at = mesh.coords[used]
    size = np.ptp(at, axis=0).max()
    pairs = cKDTree(at).query_pairs(SAME * size, output_type="ndarray")
    index = np.arange(len(mesh.coords))
    for i, j in np.sort(used[pairs], axis=1)[np.lexsort(pairs.T[::-1])].tolist():
        index[j] = index[i]
    blocks = [Block(b.kind, b.entity, b.groups, index[b.nodes]) for b in mesh.blocks]
    return MshFile(mesh.coords, blocks, mesh.names)


def _coordinates(mesh: MshFile, dim: int) -> np.ndarray:
    """Return the coordinates (n, dim).

    Raises:
        InputError: if a mesh without tetrahedra is not in a plane of constant z.
    """
    spread = np.ptp(mesh.coords[mesh.used], axis=0)
    if dim == 2 and spread[2] > SAME * spread.max():
        raise InputError(
            "its triangles are a surface in space without tetrahedra inside; mesh the volume "
            "(gmsh -3), or read a closed surface from an STL file by Surface.read"
        )
    return mesh.coords[:, :dim]


def _oriented(cells: np.ndarray, coords: np.ndarray) -> np.ndarray:
    """Return the simplices with positive volumes; the orientation in a file does not matter.

    Raises:
        InputError: if one has no volume.
    """
    corners = coords[cells]
    sides = corners[:, 1:] - corners[:, :1]
    volumes = np.linalg.det(sides)
    flat = np.abs(volumes) <= 1e-12 * np.square(sides).sum(axis=2).max(axis=1) ** (
        coords.shape[1] / 2
    )
    if flat.any():
        at = corners[flat][0].mean(axis=0).tolist()
        what = "area" if coords.shape[1] == 2 else "volume"
        raise InputError(
            f"{int(flat.sum())} of its elements have no {what}, the first of them at "
            f"({', '.join(f'{x:.4g}' for x in at)})"
        )
    turned = cells.copy()
    turned[volumes < 0, -2:] = cells[volumes < 0][:, [-1, -2]]
    return turned


def _boundary(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the faces that belong to one cell, (b, d), and their numbers among all, (b,).

    Raises:
        InputError: if cells overlap: three have a common face, or two lie on its same side.
    """
    faces = cells[:, FACES[cells.shape[1] - 1]].reshape(-1, cells.shape[1] - 1)
    order = faces.argsort(axis=1)
    _, number, uses = np.unique(
        np.take_along_axis(faces, order, axis=1), axis=0, return_inverse=True, return_counts=True
    )
    number = number.ravel()
    even = np.linalg.det(np.eye(faces.shape[1])[order]) > 0
    sums = np.zeros(len(uses))
    np.add.at(sums, number, np.where(even, 1, -1))
    wrong = int(((uses > 2) | ((uses == 2) & (sums != 0))).sum())
    if wrong:
        raise InputError(
            f"its elements overlap: at {wrong} faces between them two are on the same side; an "
            "element is inverted, or lies on others"
        )
    outer = np.flatnonzero(uses[number] == 1)
    return faces[outer], outer


def _marks(mesh: MshFile, dim: int) -> dict[tuple[int, ...], Mark]:
    """Return what the file says of the faces that it has as elements, by their nodes, ascending.

    Raises:
        InputError: if a face is in two groups.
    """
    found: dict[tuple[int, ...], Mark] = {}
    for block in (block for block in mesh.blocks if block.kind in WAYS[dim - 1]):
        # The faces of tetrahedra may divide a quadrangle in any of the ways.
        parts = block.nodes[:, np.array(WAYS[dim - 1][block.kind])].reshape(-1, dim)
        names = [mesh.names.get((dim - 1, g), f"group_{g}") for g in block.groups]
        if len(names) > 1:
            raise _several(names[0], names[1])
        mark = Mark(names[0] if names else None, block.entity)
        for key in _keys(parts):
            known = found.get(key)
            if known is None or known.name is None:
                found[key] = mark
            elif mark.name not in (None, known.name):
                raise _several(known.name, str(mark.name))
    return found


def _several(one: str, other: str) -> InputError:
    return InputError(
        f"a part of the boundary is in the physical groups {one!r} and {other!r}; pieces of a "
        "boundary must not overlap"
    )


def _keys(faces: np.ndarray) -> Iterator[tuple[int, ...]]:
    """Yield the nodes of each face, ascending."""
    return map(tuple, np.sort(faces, axis=1).tolist())


@dataclass(frozen=True, eq=False)
class Run:
    """Consecutive nodes of a boundary on one line or one circle.

    Args:
        points: the nodes in their order, (n, 2), n ≥ 2; the last one is the first one of a circle.
        edges: the indices of the boundary's edges between them, n - 1.
        name: the name of the piece.
        center: the circle's centre, (2,); None for a line.
    """

    points: np.ndarray
    edges: tuple[int, ...]
    name: str
    center: np.ndarray | None = None

    @property
    def angles(self) -> np.ndarray:
        """The angles of the nodes about the centre, without jumps, (n,)."""
        assert self.center is not None
        x, y = (self.points - self.center).T
        return np.unwrap(np.arctan2(y, x))

    def joined(self, other: "Run", near: float) -> "Run | None":
        """Return both runs as one if the other one continues this one, otherwise None.

        near: the distance within which nodes are on a line or circle.
        """
        if self.name != other.name or (self.center is None) != (other.center is None):
            return None
        points = np.concatenate([self.points, other.points[1:]])
        whole = Run(points, self.edges + other.edges, self.name, self.center)
        if self.center is None:
            return whole if straight(points, near) else None
        turns = np.diff(whole.angles)
        same = on_circle(points, self.center, near) and (turns.min() > 0 or turns.max() < 0)
        return whole if same else None

    def curve(self, names: tuple[str, ...]) -> Curve:
        """Return the segment or arc in these coordinates."""
        first, last = self.points[0].tolist(), self.points[-1].tolist()
        if self.center is None:
            return Segment((first[0], first[1]), (last[0], last[1]), self.name, names)
        radius = float(np.hypot(*(self.points - self.center).T).mean())
        start, stop = self.angles[[0, -1]].tolist()
        if first == last:
            stop = start + math.copysign(2 * math.pi, stop - start)
        (x, y), axes = self.center.tolist(), (radius, radius)
        return Arc((x, y), axes, 0.0, start, stop, self.name, names)


def straight(points: np.ndarray, near: float) -> bool:
    """Return True if points (n, 2) go on along one line."""
    along = points[-1] - points[0]
    length = np.hypot(*along)
    if length <= near:
        return False
    (u, v), (x, y) = along / length, (points - points[0]).T
    return bool(np.abs(u * y - v * x).max() <= near and np.diff(u * x + v * y).min() > 0)


def on_circle(points: np.ndarray, center: np.ndarray, near: float) -> bool:
    """Return True if all points (n, 2) have the same distance from a centre."""
    return bool(np.ptp(np.hypot(*(points - center).T)) <= near)


def circle_center(points: np.ndarray) -> np.ndarray | None:
    """Return the centre of the circle nearest to points (n, 2), n ≥ 3; None for those on a line.

    It minimises Σ (|x - c|² - r²)².

    Reference: Kåsa, A circle fitting procedure and its error analysis (1976).
    """
    middle = points.mean(axis=0)
    local = points - middle
    size = np.abs(local).max()
    rows = np.concatenate([local / size, np.ones((len(local), 1))], axis=1)
    found, _, rank, _ = np.linalg.lstsq(rows, np.square(local / size).sum(axis=1), rcond=1e-9)
    return middle + size * found[:2] / 2 if rank == 3 else None


def boundary_runs(domain: Filling, arcs: bool) -> Iterator[list[Run]]:
    """Yield the parts of the boundary, closed or up to a node that several parts share.

    The edges of a curve of the drawing become one arc if all their nodes, five or more, lie on a
    circle; so do those of several curves of one name that follow each other, such as four quarters,
    if none of them is straight. Otherwise, an edge of second order becomes the arc through its
    three nodes, and another one a segment. Neighbours of one name on one circle or line are joined.

    Args:
        domain: the mesh.
        arcs: False for segments only.
    """
    near = SAME * float(np.ptp(domain.coords[domain.cells.ravel()], axis=0).max())
    for path in _paths(domain):
        groups = groupby(path, key=lambda i: (domain.names[i], domain.entities[i]))
        curves = _round_together(domain, [list(edges) for _, edges in groups], near)
        runs = [run for edges in curves for run in _runs(domain, edges, arcs, near)]
        yield _joined(runs, near)


def _paths(domain: Filling) -> Iterator[list[int]]:
    """Yield the indices of edges that follow each other, so that no curve is divided in its middle.

    Where several edges start at a node, paths end.
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
    domain: Filling, curves: Sequence[list[int]], near: float
) -> Sequence[list[int]]:
    """Return the edges of each curve of a path, those of neighbours on one circle together."""

    def on_one_circle(one: list[int], other: list[int]) -> bool:
        i, j = one[-1], other[0]
        drawn = domain.entities[i] > 0 and domain.entities[j] > 0
        if not drawn or domain.names[i] != domain.names[j]:
            return False
        bent = all(circle_center(domain.nodes(edges)) is not None for edges in (one, other))
        both = domain.nodes([*one, *other])
        center = circle_center(both) if bent else None
        return center is not None and on_circle(both, center, near)

    left = list(curves)
    if domain.faces[left[-1][-1], 1] == domain.faces[left[0][0], 0]:
        # A closed path begins where a circle does, not in its middle.
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


def _runs(domain: Filling, edges: Sequence[int], arcs: bool, near: float) -> list[Run]:
    """Return the runs of edges with one name on one curve of the drawing."""
    name, ends = domain.names[edges[0]], domain.coords[domain.faces[edges]]
    middles = domain.middles[edges]
    points = np.concatenate([ends[:, 0], ends[-1:, 1]])
    if not arcs:
        return [Run(pair, (i,), name) for i, pair in zip(edges, ends, strict=True)]
    known = domain.nodes(edges)
    many = 5  # four nodes at equal distances lie on a circle for any symmetric curve
    if domain.entities[edges[0]] and len(known) >= many:
        center = circle_center(known)
        if center is not None and on_circle(known, center, near):
            return [Run(points, tuple(edges), name, center)]
    centers = [
        _center(pair, domain.coords[middle]) if middle >= 0 else None
        for pair, middle in zip(ends, middles, strict=True)
    ]
    rows = zip(ends, edges, centers, strict=True)
    return [Run(pair, (edge,), name, center) for pair, edge, center in rows]


def _center(ends: np.ndarray, middle: np.ndarray) -> np.ndarray | None:
    """Return the centre of the circle through both ends of an edge and its middle node.

    None if the node lies on the line between the ends.
    """
    along, across = ends[1] - ends[0], middle - ends[0]
    bent = 1e-7  # of the length; the centre of a flatter arc is far away and inaccurate
    if abs(along[0] * across[1] - along[1] * across[0]) <= bent * (along @ along):
        return None
    return circle_center(np.array([ends[0], middle, ends[1]]))


def _joined(runs: list[Run], near: float) -> list[Run]:
    """Join neighbours on one line or circle, the last one and the first one of a loop included."""
    found = runs[:1]
    for run in runs[1:]:
        whole = found[-1].joined(run, near)
        found[-1:] = [found[-1], run] if whole is None else [whole]
    if len(found) > 1 and (found[-1].points[-1] == found[0].points[0]).all():
        whole = found[-1].joined(found[0], near)
        if whole is not None:
            found = [*found[1:-1], whole]
    return found


def Mesh(
    path: str | Path,
    *,
    name: str = "boundary",
    arcs: bool = True,
    names: Sequence[str] | None = None,
) -> Planar | Surface:
    """Return the domain that the elements of a Gmsh file fill.

    The file has the version 2.2 or 4.1 of the MSH format, as text or bytes. Its elements are
    triangles and quadrangles in a plane of constant z, or tetrahedra, of the first or the second
    order; parts that do not touch are allowed, nodes of no element are ignored, and nodes in the
    same place are one node.

    The physical groups of curves in the plane, and of surfaces in space, are the pieces of the
    boundary; "group_7" is the group 7 without a name. Groups inside the domain are ignored. Rules
    inside are Gauss rules on the triangles or tetrahedra.

    Meshes have straight edges where the drawing has curves. In the plane, the edges of a curve of
    the drawing with five or more nodes, all of which lie on one circle, are taken as its arc, and
    so are those of several such curves of one name that are not straight, so that the drawing's
    domain is found again; other edges of second order are taken as arcs through their three nodes.
    Neighbours of one name on one line or circle are one piece. A file has the curves of the drawing
    if they are in physical groups, or if all elements are saved (Mesh.SaveAll); otherwise only
    edges of second order are bent. In space all faces are flat.

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
        InputError: if the file is no such MSH file, or its elements do not fill a domain: there are
            none, or others; some occur twice, overlap or have no area or volume; the triangles are
            a surface in space; or a part of the boundary is in two groups.
    """
    contents = read_msh(Path(path))
    try:
        domain = filling(contents, name)
        if domain.coords.shape[1] == 3:
            return _solid(domain, names)
        return _planar(domain, coordinate_names(names, 2), arcs, f"Mesh({str(path)!r})")
    except InputError as error:
        raise InputError(f"{path} is no mesh of a domain: {error}") from None


def _planar(domain: Filling, names: tuple[str, ...], arcs: bool, label: str) -> Planar:
    runs = [run for path in boundary_runs(domain, arcs) for run in path]
    curves = tuple(run.curve(names) for run in runs)
    centers = np.full((3 * len(domain.cells), 2), np.nan)
    for run in runs:
        if run.center is not None:
            centers[domain.sides[list(run.edges)]] = run.center
    corners = torch.from_numpy(domain.coords[domain.cells])
    triangles = Triangles(corners, torch.from_numpy(centers).view(-1, 3, 2))
    return Planar(curves, label=label, triangles=triangles if triangles.proper else None)


def _solid(domain: Filling, names: Sequence[str] | None) -> Surface:
    used, cells = np.unique(domain.cells, return_inverse=True)
    return Surface(
        domain.coords[used],
        np.searchsorted(used, domain.faces),
        names=names,
        pieces=domain.names,
        cells=cells.reshape(domain.cells.shape),
    )
