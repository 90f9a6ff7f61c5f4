"""The order in which neighbouring cells become one, by which their traces are eliminated."""

from kanpinn.cells.tree import Tree
from kanpinn.linalg.dissection import Merge


def merge_order(tree: Tree) -> list[Merge]:
    """The order of nested dissection, by which neighbouring nodes become one, up to the root.

    The leaves are the nodes 0 … N - 1; each merge makes the next node. The leaves of one box are
    merged before the box is merged with others.

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

    level = int(tree.level.max())
    nodes: dict[tuple[int, ...], list[int]] = {}
    while True:
        for leaf in (tree.level == level).nonzero()[:, 0].tolist():
            nodes.setdefault(tuple(tree.place[leaf].tolist()), []).append(leaf)
        boxes = {place: merged(nodes[place]) for place in sorted(nodes)}
        if level <= 0 and len(boxes) == 1:
            return found
        nodes = {}
        for place, node in boxes.items():
            nodes.setdefault(tuple(i >> 1 for i in place), []).append(node)
        level -= 1
