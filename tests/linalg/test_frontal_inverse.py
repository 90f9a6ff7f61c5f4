"""The inverse of a sparse matrix in the order of a tree, against dense linear algebra."""

import numpy as np
import pytest
from ranks import Ranks

from kanpinn._support.distributed import rank
from kanpinn.linalg.elimination_tree import EliminationTree
from kanpinn.linalg.frontal_inverse import FrontalInverse, inverse_root, of_all
from kanpinn.linalg.local_order import order_of_least_fill


def _grid(seed, size, is_complex=False, side=6):
    """A tree of square cells whose blocks are their inner faces, matrices of cells, and their sum.

    size: the largest number of unknowns of a block.
    """
    generator = np.random.default_rng(seed)
    cells = np.arange(side**2).reshape(side, side)
    pairs = [*zip(cells[1:].ravel(), cells[:-1].ravel(), strict=True)]
    pairs += zip(cells[:, 1:].ravel(), cells[:, :-1].ravel(), strict=True)
    blocks = [np.array([b for b, pair in enumerate(pairs) if c in pair]) for c in cells.ravel()]
    sizes = generator.integers(0, size + 1, len(pairs))
    tree = EliminationTree(blocks, sizes, order_of_least_fill(blocks, sizes), np.ones(len(blocks)))
    ends = np.cumsum(sizes)
    columns = [
        np.concatenate([np.arange(ends[b] - sizes[b], ends[b]) for b in own]) for own in blocks
    ]
    shapes = [(len(own), len(own)) for own in columns]
    roots = [generator.standard_normal(shape) for shape in shapes]
    if is_complex:
        roots = [one + 1j * generator.standard_normal(one.shape) for one in roots]
    leaves = [root @ root.conj().T for root in roots]
    total = np.zeros((ends[-1], ends[-1]), leaves[0].dtype)
    for own, matrix in zip(columns, leaves, strict=True):
        total[np.ix_(own, own)] += matrix
    return tree, leaves, total


@pytest.mark.parametrize("is_complex", [False, True])
@pytest.mark.parametrize("size", [2, 20])
def test_the_inverse_is_that_of_dense_linear_algebra(size, is_complex):
    tree, leaves, total = _grid(0, size, is_complex)
    found = FrontalInverse(tree, tree.sizes, leaves.__getitem__, total.dtype.type)
    right = np.random.default_rng(1).standard_normal((len(total), 2)).astype(total.dtype)
    assert np.allclose(total @ found(right), right, rtol=0, atol=1e-8 * np.abs(right).max())


@pytest.mark.parametrize("is_complex", [False, True])
def test_a_singular_matrix_has_an_inverse_where_it_is_not_singular(is_complex):
    generator = np.random.default_rng(2)
    root = generator.standard_normal((7, 5)).astype(complex if is_complex else float)
    root += generator.permuted(root, axis=0) * (1j if is_complex else 1.0)
    for units in (np.ones(7), np.logspace(0, 8, 7)):  # some may have other units
        matrix = units[:, None] * (root @ root.conj().T) * units
        found = inverse_root(matrix)
        again = matrix @ (found @ found.conj().T) @ matrix - matrix
        assert (np.abs(again) <= 1e-10 * np.abs(matrix).max() * units * units[:, None]).all()
    assert not inverse_root(0 * matrix).any()


def test_unknowns_without_entries_stay_zero():
    tree, leaves, total = _grid(3, 2)
    columns = np.cumsum(tree.sizes) - tree.sizes
    blind = next(b for b in range(len(tree.sizes)) if tree.sizes[b])
    for own, matrix in zip(tree.blocks, leaves, strict=True):
        if blind in own:
            place = int(tree.sizes[own[: list(own).index(blind)]].sum())
            matrix[place] = matrix[:, place] = 0
    seen = np.delete(np.arange(len(total)), columns[blind])
    found = FrontalInverse(tree, tree.sizes, leaves.__getitem__, float)
    right = np.ones((len(total), 1))
    product = found(right)
    assert product[columns[blind]] == 0
    assert np.allclose((total @ product)[seen], 1, rtol=0, atol=1e-8)


def _on_ranks(is_complex):
    """What the parts of all ranks add up to, for few and for many unknowns."""
    products = []
    for size in (2, 20):
        tree, leaves, total = _grid(4, size, is_complex)
        local = set(tree.local)

        def leaf(number, leaves=leaves, local=local):
            assert number in local
            return leaves[number]

        found = FrontalInverse(tree, tree.sizes, leaf, total.dtype.type)
        part = found(np.ones((len(total), 1), total.dtype))
        products.append((rank(), of_all(part)))
    return products


@pytest.mark.parametrize("is_complex", [False, True])
def test_the_parts_of_ranks_add_up_to_the_product(tmp_path, is_complex):
    ranks = Ranks(3, tmp_path)
    try:
        ((_, few), (_, many)) = _on_ranks(is_complex)
        for number, answer in enumerate(ranks.run(3, _on_ranks, is_complex)):
            for (here, found), wanted in zip(answer, (few, many), strict=True):
                assert here == number
                assert np.allclose(found, wanted, rtol=1e-9, atol=1e-9 * np.abs(wanted).max())
    finally:
        ranks.end()
