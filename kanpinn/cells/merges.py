"""The order in which neighbouring cells are merged, and the work for each before that."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kanpinn.cells.tree import Tree
from kanpinn.linalg.elimination_tree import Merge

Array = NDArray[Any]


def merge_order(tree: Tree) -> list[Merge]:
    """The order of nested dissection, by which neighbouring nodes become one, up to the root.

    The leaves are the nodes 0 … N - 1; each merge makes the next node. The leaves of one box are
    merged before the box is merged with others. The boxes of level 0 are halved again and again
    across their longest side, and merged in the opposite order.

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

    def bisected(low: Sequence[int], high: Sequence[int]) -> list[int]:
        """The node of the boxes of level 0 at places from `low` to below `high`, if any."""
        counts = [end - begin for begin, end in zip(low, high, strict=True)]
        axis = counts.index(max(counts))
        if counts[axis] == 1:
            own = boxes.get(tuple(low))
            return [] if own is None else [own]
        middle = low[axis] + counts[axis] // 2
        ends = ([middle if i == axis else at for i, at in enumerate(one)] for one in (high, low))
        parts = bisected(low, next(ends)) + bisected(next(ends), high)
        return [merged(parts)] if parts else []

    nodes: dict[tuple[int, ...], list[int]] = {}
    for level in range(int(tree.level.max()), -1, -1):
        for leaf in (tree.level == level).nonzero()[:, 0].tolist():
            nodes.setdefault(tuple(tree.place[leaf].tolist()), []).append(leaf)
        boxes = {place: merged(nodes[place]) for place in sorted(nodes)}
        nodes = {}
        for place, node in boxes.items():
            nodes.setdefault(tuple(i >> 1 for i in place), []).append(node)
    bisected([0] * tree.dim, tree.roots)
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
