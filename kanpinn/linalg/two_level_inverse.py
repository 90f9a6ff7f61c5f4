"""The preconditioner on two levels of a sparse least-squares problem."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array, diags_array
from scipy.sparse.linalg import splu

from kanpinn._support.distributed import summed
from kanpinn.linalg.alike_fronts import AlikeFronts
from kanpinn.linalg.dissection import BlockRows
from kanpinn.linalg.elimination import columns_of_blocks

Array = NDArray[Any]


class TwoLevelInverse:
    """The sum of the inverses of AᴴA in each block of unknowns, and in all coarse unknowns.

    With several ranks each has some of the fronts, and all have the whole sum.

    Args:
        blocks: the numbers of the blocks of each front, those of other ranks included.
        sizes: the numbers of unknowns of the blocks, (B,).
        fronts: the rows of this rank's fronts by number.
        groups: these fronts, those with the same matrix together.
        coarse: whether each unknown is a coarse one, (N,).
        dtype: of the numbers, float or complex.
    """

    def __init__(
        self,
        blocks: Sequence[Array],
        sizes: Array,
        fronts: Mapping[int, BlockRows],
        groups: Sequence[AlikeFronts],
        coarse: Array,
        dtype: type,
    ) -> None:
        self._blocks = _block_inverses(sizes, fronts, groups, dtype)
        self._coarse = np.flatnonzero(coarse)
        self._factor = splu(
            _coarse_matrix(blocks, sizes, groups, coarse, dtype),
            permc_spec="MMD_AT_PLUS_A",
            diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )

    def __call__(self, slope: Array) -> Array:
        """The product with vectors, (N, n)."""
        found = np.zeros_like(slope)
        for one in self._blocks:
            found[one.columns] = one(slope)
        found[self._coarse] += self._factor.solve(np.ascontiguousarray(slope[self._coarse]))
        return found


def of_all(values: Array) -> Array:
    """The sum of the values of all ranks."""
    return summed([torch.from_numpy(values)])[0].numpy()


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
    sizes: Array,
    fronts: Mapping[int, BlockRows],
    groups: Sequence[AlikeFronts],
    dtype: type,
) -> list[_BlockInverses]:
    """The inverses in all blocks."""
    matrices, places = {}, np.zeros(len(sizes), dtype=np.int64)
    for size in np.unique(sizes):
        alike = np.flatnonzero(sizes == size)
        places[alike] = np.arange(len(alike))
        matrices[int(size)] = np.zeros((len(alike), size, size), dtype)
    for one in groups:
        for number, factor in zip(one.numbers, one.factors, strict=True):
            start = 0
            for block in fronts[number].blocks:
                part = slice(start, start := start + int(sizes[block]))
                matrices[int(sizes[block])][places[block]] += factor**2 * one.gram[part, part]
    found, starts = [], np.cumsum(sizes) - sizes
    for size, own in matrices.items():
        matrix = of_all(own)
        columns = starts[sizes == size][:, None] + np.arange(size)
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


def _coarse_matrix(
    blocks: Sequence[Array],
    sizes: Array,
    groups: Sequence[AlikeFronts],
    coarse: Array,
    dtype: type,
) -> Any:
    """AᴴA in the coarse unknowns."""
    numbers, starts = np.cumsum(coarse) - 1, np.cumsum(sizes) - sizes
    columns = [columns_of_blocks(one, starts, sizes) for one in blocks]
    own = [numbers[one[coarse[one]]] for one in columns]
    counts = np.array([len(one) ** 2 for one in own])
    first = np.cumsum(counts) - counts
    values: Array = np.zeros(int(counts.sum()), dtype)
    for group in groups:
        kept = np.flatnonzero(coarse[group.columns[0]])
        part = group.gram[np.ix_(kept, kept)].ravel()
        for number, factor in zip(group.numbers, group.factors, strict=True):
            values[first[number] : first[number] + len(part)] = factor**2 * part
    rows = np.concatenate([np.repeat(one, len(one)) for one in own])
    found = coo_array((of_all(values), (rows, np.concatenate([np.tile(o, len(o)) for o in own]))))
    found = found.tocsc()
    little, diagonal = 1e-14, found.diagonal().real
    size = np.where(diagonal > 0, diagonal, diagonal.max(initial=0.0) or 1.0)
    # With this addition, unknowns that nothing determines have a pivot.
    return (found + diags_array(little * size)).tocsc()
