"""The order in which cells are merged when traces are eliminated, and the work before that."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kanpinn.cells.tree import Tree
from kanpinn.linalg.elimination_tree import EliminationTree, Merge
from kanpinn.linalg.local_order import order_of_least_fill

Array = NDArray[Any]


def elimination_order(
    tree: Tree, faces: Sequence[Array], sizes: Array, work: Array
) -> EliminationTree:
    """The order of the elimination: of two that are possible, the one with less work.

    Args:
        tree: the cells.
        faces: the numbers of the traces of each cell.
        sizes: the numbers of unknowns of all traces.
        work: the operations for each cell before, (N,).
    """
    halvings = EliminationTree(faces, sizes, merge_order(tree), work)
    if len(tree.level.unique(dim=0)) == 1:
        return halvings
    fill = EliminationTree(faces, sizes, order_of_least_fill(faces, sizes), work)
    return min(halvings, fill, key=lambda one: one.operations)


def merge_order(tree: Tree) -> list[Merge]:
    """The order of nested dissection, by which neighbouring nodes become one, up to the root.

    The leaves are the nodes 0 … N - 1; each merge makes the next node. The box of the tree is
    bisected again and again until each part is a leaf or the leaves of one box, and the parts are
    merged in the opposite order. Several boxes of level 0 are bisected across the longest side,
    single ones in the first coordinate of those that were halved least, in which no leaf lies
    across the middle.

    Reference: George, Nested dissection of a regular finite element mesh (1973).
    """
    found: list[Merge] = []

    def merged(members: list[int]) -> int:
        while len(members) > 1:  # the last coordinate first
            pairs = zip(members[::2], members[1::2], strict=False)
            odd, members = members[len(members) // 2 * 2 :], []
            for one, other in pairs:
                made = len(tree) + len(found)
                found.append((one, other, made))
                members.append(made)
            members += odd
        return members[0]

    def halved(leaves: Array, depth: Array) -> int:
        """The node of the leaves in a box of some levels (d,)."""
        below = level[leaves] - depth
        if len(leaves) == 1 or not below.any():
            return merged(leaves.tolist())
        # A box in which each leaf is halved in a coordinate has no leaf across its middle.
        axes = np.flatnonzero(below.all(axis=0))
        axis = int(axes[depth[axes].argmin()])
        after = depth + (np.arange(tree.dim) == axis)
        upper = (place[leaves, axis] >> (below[:, axis] - 1)) & 1
        parts = (leaves[upper == side] for side in (0, 1))
        return merged([halved(own, after) for own in parts if len(own)])

    def bisected(leaves: Array, low: Sequence[int], high: Sequence[int]) -> int:
        """The node of the leaves in boxes of level 0 at places from `low` to below `high`."""
        counts = [end - begin for begin, end in zip(low, high, strict=True)]
        axis = counts.index(max(counts))
        if counts[axis] == 1:
            return halved(leaves, np.zeros(tree.dim, dtype=np.int64))
        middle = low[axis] + counts[axis] // 2
        first, second = (
            [middle if i == axis else at for i, at in enumerate(one)] for one in (high, low)
        )
        upper = (place[leaves, axis] >> level[leaves, axis]) >= middle
        both = (leaves[~upper], low, first), (leaves[upper], second, high)
        return merged([bisected(*part) for part in both if len(part[0])])

    level, place = tree.level.numpy(), tree.place.numpy()
    bisected(np.arange(len(tree)), [0] * tree.dim, tree.roots)
    return found


def work_of_cells(
    groups: Sequence[Sequence[int]], shapes: Sequence[tuple[int, int]], count: int
) -> Array:
    """The number of operations for the elimination of each cell's coefficients, (N,).

    The work for a group of equal cells is done once, and is divided among them.

    Args:
        groups: the numbers of the cells that are equal.
        shapes: of each group, the numbers of rows and of coefficients of one of its cells.
        count: the number of cells N.
    """
    found = np.zeros(count)
    for cells, (rows, columns) in zip(groups, shapes, strict=True):
        found[list(cells)] = 2 * rows * columns**2 / len(cells)
    return found
