"""The order in which blocks of unknowns are eliminated, as a tree of merges, and the unknowns
of each rank.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kanpinn._support.distributed import rank, summed, world

Array = NDArray[Any]
Merge = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class EliminationTree:
    """The order in which fronts of rows are merged, two at a time, until one is left.

    A block of unknowns is eliminated by the merge after which no other front has it. The leaves are
    the nodes 0 … N - 1, and each merge makes another node. The nodes are made depth first, so that
    few fronts wait for others.

    With several ranks each eliminates some subtrees by itself. They are chosen by the numbers of
    operations, so that the root is ready as early as possible. A node above the subtrees is made by
    the rank that has the first of its two fronts; the second one is sent to this rank.

    Args:
        blocks: the numbers of the blocks of each leaf. A block that belongs to one leaf only is
            eliminated last.
        sizes: the numbers of unknowns of the blocks, (B,).
        merges: pairs of nodes, and the number of the node that they become.
        work: the operations that each leaf takes before it is a front, (N,).

    Reference: George, Nested dissection of a regular finite element mesh (1973); Geist and Ng, Task
    scheduling for parallel sparse Cholesky factorization (1989), for the choice of subtrees.
    """

    blocks: Sequence[Array]
    sizes: Array
    merges: Sequence[Merge]
    work: Array

    @cached_property
    def pairs(self) -> dict[int, tuple[int, int]]:
        """The two nodes of which each node is made, for all nodes that are no leaves."""
        return {made: (one, other) for one, other, made in self.merges}

    @property
    def root(self) -> int:
        """The last node."""
        return self.merges[-1][2] if self.merges else 0

    def below(self, node: int) -> list[int]:
        """A node and all that it is made of, in order."""
        found, left = [], [node]
        while left:
            found.append(left.pop())
            left += self.pairs.get(found[-1], ())
        return found[::-1]

    @cached_property
    def places(self) -> dict[int, int]:
        """The place of each node in the order in which nodes are made."""
        return {node: place for place, node in enumerate(self.below(self.root))}

    @cached_property
    def eliminated_at(self) -> Array:
        """The place of the node that eliminates each block, (B,).

        For blocks that are left after the last merge it is the number of nodes.
        """
        return self._counted[0]

    def eliminated(self, node: int) -> Array:
        """The numbers of the blocks that a node eliminates, in ascending order."""
        last = self.eliminated_at == len(self.places) if node == self.root else False
        return np.flatnonzero((self.eliminated_at == self.places[node]) | last)

    @cached_property
    def _counted(self) -> tuple[Array, dict[int, tuple[float, float]]]:
        """The places at which blocks are eliminated, (B,), and counts of unknowns of each node.

        The counts are those of the unknowns that the node eliminates, and of those that it keeps.
        """
        found, counts = np.full(len(self.sizes), len(self.places)), {}
        waiting: dict[int, frozenset[int]] = {}
        fronts = Counter(block for own in self.blocks for block in own.tolist())  # that have it
        for node, place in self.places.items():
            if node in self.pairs:
                left, right = (waiting.pop(one) for one in self.pairs[node])
                shared = left & right
                fronts.subtract(shared)
                inner = [block for block in shared if fronts[block] == 1]
                waiting[node] = (left | right).difference(inner)
                found[inner] = place
                rest = float(self.sizes[list(waiting[node])].sum())
                counts[node] = float(self.sizes[inner].sum()), rest
            else:
                waiting[node] = frozenset(self.blocks[node].tolist())
                counts[node] = 0.0, float(self.sizes[self.blocks[node]].sum())
        return found, counts

    @cached_property
    def _operations(self) -> dict[int, float]:
        """The operations of each node; a merge eliminates `own` unknowns and keeps `rest`."""
        return {
            node: 2 * own * (own**2 / 3 + own * rest + rest**2)
            if node in self.pairs
            else 4 / 3 * rest**3 + float(self.work[node])
            for node, (own, rest) in self._counted[1].items()
        }

    @property
    def operations(self) -> float:
        """The number of operations of all nodes."""
        return sum(self._operations.values())

    @property
    def entries(self) -> float:
        """The number of entries of all triangular factors."""
        counts = self._counted[1]
        last = counts[self.root][1] ** 2 / 2
        return last + sum(own * (own / 2 + rest) for own, rest in counts.values())

    @cached_property
    def owners(self) -> dict[int, int]:
        """The rank that makes each node."""
        work = self._operations
        found: dict[int, int] = {}
        for root, owner in shared_subtrees(self.pairs, work, self.root, world()).items():
            found |= dict.fromkeys(self.below(root), owner)
        for node in self.places:
            if node not in found:
                found[node] = found[self.pairs[node][0]]
        return found

    @cached_property
    def above(self) -> list[int]:
        """The nodes that are in no subtree of a single rank, in order."""
        return [node for node in self.places if not self._alone[node]]

    @cached_property
    def subtrees(self) -> list[int]:
        """The roots of the largest subtrees of single ranks, in order."""
        parents = {one: node for node, pair in self.pairs.items() for one in pair}
        own = (node for node in self.places if self._alone[node])
        return [node for node in own if node == self.root or not self._alone[parents[node]]]

    @cached_property
    def local(self) -> list[int]:
        """The nodes of this rank's subtrees, in order."""
        own = (node for node in self.places if self._alone[node])
        return [node for node in own if self.owners[node] == rank()]

    @cached_property
    def shared_blocks(self) -> Array:
        """The blocks that leaves of several ranks have, a mask (B,)."""
        above = [self.places[node] for node in self.above]
        return np.isin(self.eliminated_at, [*above, len(self.places)] if above else [])

    @cached_property
    def _alone(self) -> dict[int, bool]:
        """Whether all nodes below each node belong to one rank."""
        found: dict[int, bool] = {}
        for node in self.places:
            pair = self.pairs.get(node, ())
            same = all(self.owners[one] == self.owners[node] for one in pair)
            found[node] = same and all(found[one] for one in pair)
        return found


def shared_subtrees(
    pairs: Mapping[int, tuple[int, int]], work: Mapping[int, float], root: int, count: int
) -> dict[int, int]:
    """The roots of disjoint subtrees, which together have all leaves, and their ranks.

    The largest subtree is replaced by its two halves again and again. Of these choices the one is
    taken with which the root is ready first. A choice with more subtrees must be faster by more
    than 2 %, as more fronts have to be sent.

    Args:
        pairs: the two children of each node that is no leaf.
        work: the operations of each node, children before their parents.
        root: the root of the tree.
        count: the number of ranks.
    """
    little, total = 0.02, dict[int, float]()
    for node, own in work.items():
        total[node] = own + sum(total[one] for one in pairs.get(node, ()))
    roots, above, best, least = [root], list[int](), {root: 0}, total[root]
    for _ in range(16 * count if count > 1 else 0):
        largest = max((one for one in roots if one in pairs), key=total.__getitem__, default=None)
        if largest is None:
            break
        roots.remove(largest)
        roots += pairs[largest]
        above.append(largest)
        owners: dict[int, int] = {}
        loads = [0.0] * count
        for one in sorted(roots, key=total.__getitem__, reverse=True):
            owners[one] = loads.index(min(loads))
            loads[owners[one]] += total[one]
        owner, ready = dict(owners), {one: loads[there] for one, there in owners.items()}
        for node in reversed(above):  # each rank first finishes its subtrees
            here = owner[node] = owner[pairs[node][0]]
            loads[here] = max(loads[here], *(ready[one] for one in pairs[node])) + work[node]
            ready[node] = loads[here]
        if ready[root] < (1 - little) * least:
            best, least = owners, ready[root]
    return best


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
    fronts = {leaf: frozenset(own.tolist()) for leaf, own in enumerate(blocks)}
    unknowns = {leaf: int(sizes[list(own)].sum()) for leaf, own in fronts.items()}
    counts = sizes.tolist()
    holders: dict[int, set[int]] = defaultdict(set)  # the fronts that have each block
    for leaf, own in fronts.items():
        for block in own:
            holders[block].add(leaf)
    pairs: list[tuple[int, int, int]] = []  # a heap of fill and fronts, some of them merged already
    merges: list[Merge] = []

    def remaining(one: int, other: int) -> frozenset[int]:
        """The blocks of two fronts that remain after they are merged."""
        left, right = fronts[one], fronts[other]
        return (left | right).difference(
            block for block in left & right if len(holders[block]) == 2
        )

    def add_pairs(front: int, others: Iterable[int]) -> None:
        for other in others:
            size = sum(counts[block] for block in remaining(front, other))
            fill = size**2 - unknowns[front] ** 2 - unknowns[other] ** 2
            heapq.heappush(pairs, (fill, front, other))

    def beside(front: int) -> set[int]:
        return set().union(*(holders[block] for block in fronts[front])) - {front}

    for leaf in fronts:
        add_pairs(leaf, (other for other in beside(leaf) if leaf < other))
    while len(fronts) > 1:
        # Parts of the domain that nothing connects have no common block.
        one, other = heapq.heappop(pairs)[1:] if pairs else (*fronts,)[:2]
        if one not in fronts or other not in fronts:
            continue
        made, own = len(unknowns), remaining(one, other)
        unknowns[made] = sum(counts[block] for block in own)
        for front in (one, other):
            for block in fronts.pop(front):
                holders[block].discard(front)
        fronts[made] = own
        for block in own:
            holders[block].add(made)
        merges.append((one, other, made))
        add_pairs(made, beside(made))
    return merges


@dataclass(frozen=True, eq=False)
class UnknownsOfRank:
    """The unknowns of a rank: those of its own fronts, and all that fronts of several ranks have.

    Args:
        sizes: the numbers of these unknowns in all blocks, (B,): zero in the blocks of other ranks.
        places: their places among all N unknowns, ascending, (m,).
        shared: the places among the m unknowns of those that all ranks have, (s,).
        counted: whether a sum over the ranks counts each unknown by this rank, (m,).
        total: N.
    """

    sizes: Array
    places: Array
    shared: Array
    counted: Array
    total: int

    @classmethod
    def of(cls, tree: EliminationTree) -> "UnknownsOfRank":
        """The unknowns of this rank's leaves of a tree."""
        owners = np.array([tree.owners[node] for node in [*tree.places, tree.root]])
        own = owners[tree.eliminated_at] == rank()
        here = np.repeat(own | tree.shared_blocks, tree.sizes)
        shared, counted = (np.repeat(one, tree.sizes)[here] for one in (tree.shared_blocks, own))
        sizes = np.where(own | tree.shared_blocks, tree.sizes, 0)
        places = np.flatnonzero(here)
        return cls(sizes, places, np.flatnonzero(shared), counted, len(here))

    def added(self, parts: Array, numbers: Array) -> tuple[Array, Array]:
        """The sums over the ranks of what they have for shared unknowns, and of further numbers.

        Args:
            parts: what this rank has for each unknown, (m, n). Those of the shared ones become the
                sums.
            numbers: of each column, (n,).
        """
        both = of_all(np.concatenate([parts[self.shared], numbers[None].astype(parts.dtype)]))
        parts[self.shared] = both[:-1]
        return parts, both[-1].real

    def products(self, one: Array, other: Array) -> Array:
        """This rank's parts of the inner products of the columns of vectors (m, n): (n,)."""
        own = one[self.counted], other[self.counted]
        found: Array = np.einsum("ij,ij->j", own[0].conj(), own[1]).real
        return found

    def whole(self, own: Array) -> Array:
        """The vectors of all unknowns, (N, n), from those of each rank, (m, n)."""
        found: Array = np.zeros((self.total, own.shape[1]), own.dtype)
        found[self.places[self.counted]] = own[self.counted]
        return of_all(found)


def of_all(values: Array) -> Array:
    """The sum of the values of all ranks."""
    return summed([torch.from_numpy(values)])[0].numpy()
