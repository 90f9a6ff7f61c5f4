"""Triangles that fill a domain in the plane, or tetrahedra that fill a solid, and its boundary."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from kanpinn._support.errors import InputError
from kanpinn.geometry.gmsh.elements import WAYS, dimension, edge_middles, simplices
from kanpinn.geometry.gmsh.msh_file import Block, MshFile

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
