"""The order in which the unknowns of a sparse problem are eliminated, as a tree of merges.

A front is a dense matrix in the unknowns of a few blocks; two fronts are merged at a time. With
several ranks (processes) the module also says which rank has which unknowns.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from kanpinn._support.distributed import rank, summed, world
from kanpinn.linalg.reflections import Array

Merge = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class EliminationTree:
    """The order in which fronts are merged, two at a time, until one front is left.

    A front is a dense matrix of rows in the unknowns of some blocks. A block of unknowns is
    eliminated by the merge after which no other front has it. The leaves are the nodes 0 … N - 1,
    and each merge makes another node. The nodes are made depth first, so that few fronts wait for
    others.

    With several ranks (processes), each rank eliminates some subtrees by itself. The subtrees are
    chosen by the numbers of operations, so that the root is ready as early as possible. A node
    above the subtrees is made by the rank that has the first of its two fronts; the second front is
    sent to this rank.

    Args:
        blocks: the numbers of the blocks of each leaf. A block that belongs to one leaf only is
            eliminated last.
        sizes: the numbers of unknowns of the B blocks, (B,).
        merges: pairs of nodes, and the number of the node that they become.
        work: the number of operations by which each leaf is made a front, (N,).

    Reference: George, Nested dissection of a regular finite element mesh (1973); Geist and Ng, Task
    scheduling for parallel sparse Cholesky factorization (1989), for the choice of subtrees.
    """

    blocks: Sequence[Array]
    sizes: Array
    merges: Sequence[Merge]
    work: Array

    @cached_property
    def pairs(self) -> dict[int, tuple[int, int]]:
        """The two children of each node that is not a leaf."""
        return {node: (first, second) for first, second, node in self.merges}

    @property
    def root(self) -> int:
        """The number of the last node."""
        return self.merges[-1][2] if self.merges else 0

    def below(self, node: int) -> list[int]:
        """The numbers of a node and of all nodes below it, children before their parents."""
        nodes, left = [], [node]
        while left:
            nodes.append(left.pop())
            left += self.pairs.get(nodes[-1], ())
        return nodes[::-1]

    @cached_property
    def places(self) -> dict[int, int]:
        """For each node, its place in the order in which the nodes are made."""
        return {node: place for place, node in enumerate(self.below(self.root))}

    @cached_property
    def eliminated_at(self) -> Array:
        """For each block the place, in the order of `places`, of the node that eliminates it, (B,).

        For blocks that are left after the last merge, the place is the number of nodes.
        """
        return self._counted[0]

    def eliminated(self, node: int) -> Array:
        """The numbers of the blocks of unknowns that a node eliminates, in ascending order.

        The root also eliminates the blocks that are left after the last merge.

        Args:
            node: the number of the node.
        """
        last = self.eliminated_at == len(self.places) if node == self.root else False
        return np.flatnonzero((self.eliminated_at == self.places[node]) | last)

    @cached_property
    def _counted(self) -> tuple[Array, dict[int, tuple[float, float]]]:
        """Where each block is eliminated, as `eliminated_at`, and two counts for each node.

        The counts of a node are the number of unknowns that it eliminates, and the number of
        unknowns that remain in its front.
        """
        places, counts = np.full(len(self.sizes), len(self.places)), {}
        waiting: dict[int, frozenset[int]] = {}
        # The number of fronts that have each block.
        fronts = Counter(block for numbers in self.blocks for block in numbers.tolist())
        for node, place in self.places.items():
            if node in self.pairs:
                left, right = (waiting.pop(child) for child in self.pairs[node])
                shared = left & right
                fronts.subtract(shared)
                inner = [block for block in shared if fronts[block] == 1]
                waiting[node] = (left | right).difference(inner)
                places[inner] = place
                rest = float(self.sizes[list(waiting[node])].sum())
                counts[node] = float(self.sizes[inner].sum()), rest
            else:
                waiting[node] = frozenset(self.blocks[node].tolist())
                counts[node] = 0.0, float(self.sizes[self.blocks[node]].sum())
        return places, counts

    @cached_property
    def _operations(self) -> dict[int, float]:
        """The number of operations of each node.

        For a merge that eliminates m unknowns and keeps k, the number is 2 m (m²/3 + m k + k²). For
        a leaf with k unknowns it is 4/3 k³, to triangulate its rows, plus the leaf's `work`.
        """
        return {
            node: 2 * inner * (inner**2 / 3 + inner * rest + rest**2)
            if node in self.pairs
            else 4 / 3 * rest**3 + float(self.work[node])
            for node, (inner, rest) in self._counted[1].items()
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
        return last + sum(inner * (inner / 2 + rest) for inner, rest in counts.values())

    @cached_property
    def owners(self) -> dict[int, int]:
        """For each node the rank (process) that makes it."""
        work = self._operations
        owners: dict[int, int] = {}
        for root, owner in shared_subtrees(self.pairs, work, self.root, world()).items():
            owners |= dict.fromkeys(self.below(root), owner)
        for node in self.places:
            if node not in owners:
                owners[node] = owners[self.pairs[node][0]]
        return owners

    @cached_property
    def above(self) -> list[int]:
        """The nodes above the subtrees that single ranks (processes) make, children first."""
        return [node for node in self.places if not self._alone[node]]

    @cached_property
    def subtrees(self) -> list[int]:
        """The roots of the largest subtrees that a single rank makes, in the order of `places`."""
        parents = {child: node for node, pair in self.pairs.items() for child in pair}
        alone = (node for node in self.places if self._alone[node])
        return [node for node in alone if node == self.root or not self._alone[parents[node]]]

    @cached_property
    def local(self) -> list[int]:
        """The nodes of the subtrees that this rank (process) makes alone, children first."""
        alone = (node for node in self.places if self._alone[node])
        return [node for node in alone if self.owners[node] == rank()]

    @cached_property
    def shared_blocks(self) -> Array:
        """A mask (B,) of the blocks that belong to leaves of more than one rank (process)."""
        above = [self.places[node] for node in self.above]
        return np.isin(self.eliminated_at, [*above, len(self.places)] if above else [])

    @cached_property
    def _alone(self) -> dict[int, bool]:
        """For each node whether a single rank (process) makes the node and all nodes below it."""
        alone: dict[int, bool] = {}
        for node in self.places:
            pair = self.pairs.get(node, ())
            same = all(self.owners[child] == self.owners[node] for child in pair)
            alone[node] = same and all(alone[child] for child in pair)
        return alone


def shared_subtrees(
    pairs: Mapping[int, tuple[int, int]], work: Mapping[int, float], root: int, count: int
) -> dict[int, int]:
    """Distribute an elimination tree over ranks (processes): choose subtrees, and a rank for each.

    The subtrees are disjoint and together have all leaves. The first choice is the whole tree, for
    one rank. Each further choice divides the largest subtree of the choice before at its root. The
    choice with which the whole tree is eliminated first is returned. A choice with more subtrees
    must be faster by more than 2 %, since more fronts have to be sent.

    Args:
        pairs: the two children of each node that is not a leaf.
        work: the number of operations of each node, children before their parents.
        root: the root of the tree.
        count: the number of ranks.

    Returns:
        The rank of each subtree, by the number of the subtree's root.
    """
    little, total = 0.02, dict[int, float]()
    for node, cost in work.items():
        total[node] = cost + sum(total[part] for part in pairs.get(node, ()))
    roots, above, best, least = [root], list[int](), {root: 0}, total[root]
    for _ in range(16 * count if count > 1 else 0):
        largest = max(
            (part for part in roots if part in pairs), key=total.__getitem__, default=None
        )
        if largest is None:
            break
        roots.remove(largest)
        roots += pairs[largest]
        above.append(largest)
        owners: dict[int, int] = {}
        loads = [0.0] * count
        for part in sorted(roots, key=total.__getitem__, reverse=True):
            owners[part] = loads.index(min(loads))
            loads[owners[part]] += total[part]
        owner, ready = dict(owners), {part: loads[there] for part, there in owners.items()}
        for node in reversed(above):  # each rank first finishes its subtrees
            here = owner[node] = owner[pairs[node][0]]
            loads[here] = max(loads[here], *(ready[part] for part in pairs[node])) + work[node]
            ready[node] = loads[here]
        if ready[root] < (1 - little) * least:
            best, least = owners, ready[root]
    return best


def order_of_least_fill(blocks: Sequence[Array], sizes: Array) -> list[Merge]:
    """Return an elimination order by minimum fill: merges of two fronts, until one front is left.

    A front is a dense matrix in the unknowns of some blocks. The fill of a merge is the number of
    entries of the merged front minus those of its two fronts. Of all pairs of fronts with a common
    block, the pair with the least fill is merged. Around a point towards which cells become small,
    this eliminates shell by shell, from inside to outside. Nested halvings of the domain would
    divide each shell, and take ten times as many operations for ten shells. For cells of one size,
    nested halvings take fewer operations.

    Args:
        blocks: the numbers of the blocks of unknowns of each leaf.
        sizes: the numbers of unknowns of all blocks, (B,).

    Returns:
        The merges in order, each as the numbers of its two fronts and of the merged front. Leaves
        have the numbers 0 … N - 1, and merged fronts the numbers from N on.

    Reference: Rothberg and Eisenstat, Node selection strategies for bottom-up sparse matrix
    ordering (1998), for minimum fill.
    """
    fronts = {leaf: frozenset(numbers.tolist()) for leaf, numbers in enumerate(blocks)}
    unknowns = {leaf: int(sizes[list(numbers)].sum()) for leaf, numbers in fronts.items()}
    counts = sizes.tolist()
    holders: dict[int, set[int]] = defaultdict(set)  # the fronts that have each block
    for leaf, numbers in fronts.items():
        for block in numbers:
            holders[block].add(leaf)
    pairs: list[tuple[int, int, int]] = []  # a heap of fill and two fronts, maybe merged already
    merges: list[Merge] = []

    def remaining(first: int, second: int) -> frozenset[int]:
        """The blocks of two fronts that remain after they are merged."""
        left, right = fronts[first], fronts[second]
        return (left | right).difference(
            block for block in left & right if len(holders[block]) == 2
        )

    def add_pairs(front: int, others: Iterable[int]) -> None:
        """Add the pairs of a front with other fronts to the heap `pairs`, with their fill."""
        for other in others:
            size = sum(counts[block] for block in remaining(front, other))
            fill = size**2 - unknowns[front] ** 2 - unknowns[other] ** 2
            heapq.heappush(pairs, (fill, front, other))

    def beside(front: int) -> set[int]:
        """The fronts that have a block in common with a front."""
        return set().union(*(holders[block] for block in fronts[front])) - {front}

    for leaf in fronts:
        add_pairs(leaf, (other for other in beside(leaf) if leaf < other))
    while len(fronts) > 1:
        # If no fronts have a common block, such as those of separate parts of the domain, any two
        # are merged.
        first, second = heapq.heappop(pairs)[1:] if pairs else (*fronts,)[:2]
        if first not in fronts or second not in fronts:
            continue
        merged, numbers = len(unknowns), remaining(first, second)
        unknowns[merged] = sum(counts[block] for block in numbers)
        for front in (first, second):
            for block in fronts.pop(front):
                holders[block].discard(front)
        fronts[merged] = numbers
        for block in numbers:
            holders[block].add(merged)
        merges.append((first, second, merged))
        add_pairs(merged, beside(merged))
    return merges


@dataclass(frozen=True, eq=False)
class UnknownsOfRank:
    """The unknowns that one rank (process) stores, for vectors that are distributed over ranks.

    They are the unknowns that it eliminates, and all unknowns that several ranks share.

    Args:
        sizes: the number of the rank's unknowns in each block, (B,).
        places: the places of the rank's m unknowns among all N unknowns, ascending, (m,).
        shared: the indices, among the m unknowns, of the unknowns that all ranks have, (s,).
        counted: a mask of the unknowns that this rank counts in sums over all N unknowns, (m,).
            Only one rank counts a shared unknown.
        total: the number N of all unknowns.
    """

    sizes: Array
    places: Array
    shared: Array
    counted: Array
    total: int

    @classmethod
    def of(cls, tree: EliminationTree) -> "UnknownsOfRank":
        """The unknowns that this rank (process) stores for an elimination tree."""
        owners = np.array([tree.owners[node] for node in [*tree.places, tree.root]])
        owned = owners[tree.eliminated_at] == rank()
        here = np.repeat(owned | tree.shared_blocks, tree.sizes)
        shared, counted = (
            np.repeat(mask, tree.sizes)[here] for mask in (tree.shared_blocks, owned)
        )
        sizes = np.where(owned | tree.shared_blocks, tree.sizes, 0)
        return cls(sizes, np.flatnonzero(here), np.flatnonzero(shared), counted, len(here))

    def added(self, parts: Array, numbers: Array) -> tuple[Array, Array]:
        """Sum over all ranks the values of shared unknowns, and further numbers.

        Args:
            parts: this rank's values of its unknowns, (m, n). The values of shared unknowns are
                replaced by the sums.
            numbers: a number for each column, (n,).

        Returns:
            `parts`, (m, n), and the sums of the numbers, (n,).
        """
        both = of_all(np.concatenate([parts[self.shared], numbers[None].astype(parts.dtype)]))
        parts[self.shared] = both[:-1]
        return parts, both[-1].real

    def products(self, one: Array, other: Array) -> Array:
        """This rank's contribution to the inner products of the columns of two matrices, (n,).

        The inner products are the sums of the contributions of all ranks (processes).

        Args:
            one, other: the matrices, (m, n) each.
        """
        pair = one[self.counted], other[self.counted]
        products: Array = np.einsum("ij,ij->j", pair[0].conj(), pair[1]).real
        return products

    def whole(self, own: Array) -> Array:
        """Return vectors of all unknowns, on every rank, from the parts of the ranks, (N, n).

        Args:
            own: the vectors of this rank's unknowns, (m, n). A shared unknown is taken from one
                rank.
        """
        vectors: Array = np.zeros((self.total, own.shape[1]), own.dtype)
        vectors[self.places[self.counted]] = own[self.counted]
        return of_all(vectors)


def of_all(values: Array) -> Array:
    """Return the sum of the arrays of all ranks (processes), on every rank."""
    return summed([torch.from_numpy(values)])[0].numpy()
