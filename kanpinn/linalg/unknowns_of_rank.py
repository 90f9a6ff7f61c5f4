"""The unknowns of a sparse problem that a rank has."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kanpinn._support.distributed import rank, summed
from kanpinn.linalg.elimination_tree import EliminationTree

Array = NDArray[Any]


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
        own = tree.block_owners == rank()
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
