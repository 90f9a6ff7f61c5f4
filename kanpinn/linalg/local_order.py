"""An order in which fronts are merged: at each step the two whose merge makes the least fill."""

import heapq
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from kanpinn.linalg.elimination_tree import Merge

Array = NDArray[Any]


def order_of_least_fill(blocks: Sequence[Array], sizes: Array) -> list[Merge]:
    """An order of merges, two fronts at a time, up to one.

    The fill of a merge is the number of entries that the merged front has more than both fronts
    had. Of all pairs of fronts with a common block the one with the least fill is merged. Around a
    point towards which cells become small this eliminates shell by shell, from inside to outside.
    Halvings of the domain at the point divide each shell; for ten shells they take ten times as
    many operations. For cells of one size halvings take fewer.

    Args:
        blocks: the numbers of the blocks of unknowns of each leaf.
        sizes: the numbers of unknowns of all blocks.

    Reference: Rothberg and Eisenstat, Node selection strategies for bottom-up sparse matrix
    ordering (1998), for minimum fill.
    """
    growing = _Growing(blocks, sizes.tolist())
    while growing.pairs:
        _, one, other = heapq.heappop(growing.pairs)
        if one in growing.blocks and other in growing.blocks:
            growing.merge(one, other)
    while len(growing.blocks) > 1:  # parts of the domain that nothing connects
        one, other = list(growing.blocks)[:2]
        growing.merge(one, other)
    return growing.merges


class _Growing:
    """Fronts that are merged.

    Attributes:
        blocks: those of each front.
        merges: what has been merged.
        pairs: a heap of fill and pairs of fronts, some of which may have been merged already.
    """

    def __init__(self, blocks: Sequence[Array], sizes: list[int]) -> None:
        self.sizes, self.merges = sizes, list[Merge]()
        self.blocks = {leaf: set(own.tolist()) for leaf, own in enumerate(blocks)}
        self.fronts: dict[int, set[int]] = {}  # that have each block
        for leaf, own in self.blocks.items():
            for block in own:
                self.fronts.setdefault(block, set()).add(leaf)
        self.size = {leaf: self._total(own) for leaf, own in self.blocks.items()}
        self.pairs = [
            (self._fill(leaf, other), leaf, other)
            for leaf in self.blocks
            for other in self._beside(leaf)
            if leaf < other
        ]
        heapq.heapify(self.pairs)

    def _total(self, blocks: set[int]) -> int:
        return sum(self.sizes[block] for block in blocks)

    def _beside(self, front: int) -> set[int]:
        """The other fronts that have one of its blocks."""
        return set().union(*(self.fronts[block] for block in self.blocks[front])) - {front}

    def _merged(self, one: int, other: int) -> set[int]:
        """The blocks of two fronts that remain after they are merged."""
        left, right = self.blocks[one], self.blocks[other]
        return (left | right).difference(
            block for block in left & right if len(self.fronts[block]) == 2
        )

    def _fill(self, one: int, other: int) -> int:
        size = self._total(self._merged(one, other))
        return size**2 - self.size[one] ** 2 - self.size[other] ** 2

    def merge(self, one: int, other: int) -> None:
        """Merge two fronts."""
        made, own = len(self.size), self._merged(one, other)
        self.blocks[made], self.size[made] = own, self._total(own)
        for front in (one, other):
            for block in self.blocks.pop(front):
                self.fronts[block].discard(front)
        for block in own:
            self.fronts[block].add(made)
        self.merges.append((one, other, made))
        for beside in self._beside(made):
            heapq.heappush(self.pairs, (self._fill(made, beside), made, beside))
