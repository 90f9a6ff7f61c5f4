"""The preconditioner on two levels of a sparse least-squares problem."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kanpinn.linalg.alike_fronts import AlikeFronts
from kanpinn.linalg.elimination_tree import EliminationTree
from kanpinn.linalg.frontal_inverse import FrontalInverse
from kanpinn.linalg.unknowns_of_rank import UnknownsOfRank, of_all

Array = NDArray[Any]


class TwoLevelInverse:
    """The sum of the inverses of AᴴA in each block of unknowns, and in all coarse unknowns.

    With several ranks each has the parts in its own unknowns.

    Args:
        tree: the blocks of each front, and the fronts of each rank.
        unknowns: those of this rank.
        groups: the fronts of this rank, those with the same matrix together.
        coarse: whether each unknown of this rank is a coarse one, (m,).
        dtype: of the numbers, float or complex.
    """

    def __init__(
        self,
        tree: EliminationTree,
        unknowns: UnknownsOfRank,
        groups: Sequence[AlikeFronts],
        coarse: Array,
        dtype: type,
    ) -> None:
        self._unknowns, self._coarse = unknowns, np.flatnonzero(coarse)
        self._blocks = _block_inverses(tree, unknowns, groups, dtype)
        blocks = np.repeat(np.arange(len(tree.sizes)), unknowns.sizes)
        counts = np.bincount(blocks, coarse, len(tree.sizes)).astype(np.int64)
        self._together = FrontalInverse(tree, counts, _CoarseMatrices(groups, coarse), dtype)

    def __call__(self, slope: Array) -> tuple[Array, Array]:
        """The product with vectors (m, n), and the inner products of both, (n,)."""
        found = np.zeros_like(slope)
        for one in self._blocks:
            found[one.columns] = one(slope)
        own = self._unknowns.products(slope, found)
        together, products = self._together(slope[self._coarse], own)
        found[self._coarse] += together
        return found, products


@dataclass(frozen=True, eq=False)
class _BlockInverses:
    """The inverses of AᴴA in blocks that have the same matrix up to a factor, or in single blocks.

    Args:
        columns: the unknowns of each block, (b, s).
        inverses: for the same matrix its inverse, (1, s, s), otherwise those of all, (b, s, s).
        factors: by which the inverse in each block is to be multiplied, (b, 1, 1).
    """

    columns: Array
    inverses: Array
    factors: Array

    def __call__(self, slope: Array) -> Array:
        """The products with the parts of vectors (N, n) in the blocks, (b, s, n)."""
        own = slope[self.columns]
        if len(self.inverses) == len(own):
            return self.factors * (self.inverses @ own)
        count, size, each = own.shape
        flat = self.inverses[0] @ own.transpose(1, 0, 2).reshape(size, count * each)
        found: Array = self.factors * flat.reshape(size, count, each).transpose(1, 0, 2)
        return found


def _block_inverses(
    tree: EliminationTree, unknowns: UnknownsOfRank, groups: Sequence[AlikeFronts], dtype: type
) -> list[_BlockInverses]:
    """The inverses in the blocks of this rank."""
    sizes = unknowns.sizes
    matrices, places = {}, np.zeros(len(sizes), dtype=np.int64)
    for size in np.unique(tree.sizes):  # all ranks have the same
        alike = np.flatnonzero(sizes == size)
        places[alike] = np.arange(len(alike))
        matrices[int(size)] = alike, np.zeros((len(alike), size, size), dtype)
    for one in groups:
        for number, factor in zip(one.numbers, one.factors, strict=True):
            start = 0
            for block in tree.blocks[number]:
                part = slice(start, start := start + int(sizes[block]))
                matrices[int(sizes[block])][1][places[block]] += factor**2 * one.gram[part, part]
    found, starts = [], np.cumsum(sizes) - sizes
    for size, (numbers, matrix) in matrices.items():
        of_several = tree.shared_blocks[numbers]
        matrix[of_several] = of_all(matrix[of_several])
        columns = starts[numbers][:, None] + np.arange(size)
        lengths = np.einsum("bii->b", matrix).real
        lengths = np.where(lengths > 0, lengths, 1.0)[:, None, None]
        scaled = matrix / lengths
        together = _alike(scaled)
        several = [(alike, alike[:1]) for alike in together if len(alike) > 1]
        single = np.array([alike[0] for alike in together if len(alike) == 1], dtype=np.int64)
        for alike, models in [*several, (single, single)]:
            inverses = _inverses(scaled[models])
            found.append(_BlockInverses(columns[alike], inverses, 1 / lengths[alike]))
    return found


def _alike(matrices: Array) -> list[Array]:
    """The numbers of equal matrices, (b, s, s), together.

    Two are taken for equal if they have the same product with a random vector, up to rounding.
    """
    rounding, vector = 1e-10, np.random.default_rng(0).standard_normal(matrices.shape[2])
    products = np.round(matrices @ vector / rounding).astype(complex)
    found: dict[bytes, list[int]] = {}
    for number, one in enumerate(products + 0.0):  # no negative zeros
        found.setdefault(one.tobytes(), []).append(number)
    return [np.array(numbers) for numbers in found.values()]


def _inverses(matrices: Array) -> Array:
    """The inverses of Hermitian matrices, (b, s, s), zero where they are singular."""
    values, vectors = np.linalg.eigh(matrices)
    known = values > 1e-14 * values[:, -1:]  # the others are open: they stay zero
    roots = np.where(known, 1 / np.sqrt(np.where(known, values, 1.0)), 0.0)
    roots = vectors * roots[:, None]
    found: Array = roots @ roots.conj().transpose(0, 2, 1)
    return found


class _CoarseMatrices:
    """AᴴA of single fronts in the coarse unknowns.

    groups, coarse: see `TwoLevelInverse`.
    """

    def __init__(self, groups: Sequence[AlikeFronts], coarse: Array) -> None:
        self._parts: dict[int, tuple[Array, float]] = {}
        for group in groups:
            kept = np.flatnonzero(coarse[group.columns[0]])
            part = group.gram[np.ix_(kept, kept)]
            # With this addition, unknowns that nothing determines have a pivot.
            part[range(len(kept)), range(len(kept))] *= 1 + 1e-14
            for number, factor in zip(group.numbers, group.factors, strict=True):
                self._parts[number] = part, float(factor)

    def __call__(self, number: int) -> Array:
        """The matrix of a front."""
        part, factor = self._parts[number]
        return factor**2 * part
