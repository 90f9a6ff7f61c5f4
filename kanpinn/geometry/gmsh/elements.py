"""The elements of Gmsh that fill a domain, divided into triangles or tetrahedra."""

import numpy as np

from kanpinn._support.errors import InputError
from kanpinn.geometry.gmsh.msh_file import Block, MshFile

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
