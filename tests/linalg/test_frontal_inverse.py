"""The inverse of a sparse matrix in the order of a tree, against dense linear algebra."""

from dataclasses import replace

import numpy as np
import pytest
from ranks import Ranks

from kanpinn.linalg.elimination_tree import EliminationTree, UnknownsOfRank, order_of_least_fill
from kanpinn.linalg.frontal_inverse import FrontalInverse, inverse_root


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
    inverse = FrontalInverse(tree, tree.sizes, leaves.__getitem__, total.dtype.type)
    right = np.random.default_rng(1).standard_normal((len(total), 2)).astype(total.dtype)
    found, products = inverse(right, np.array([0.0, 5.0]))
    assert np.allclose(total @ found, right, rtol=0, atol=1e-8 * np.abs(right).max())
    wanted = [(right[:, i].conj() @ found[:, i]).real + 5 * i for i in range(2)]
    assert np.allclose(products, wanted, rtol=1e-10)


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
    ends = np.cumsum(tree.sizes)
    hidden, blind = np.flatnonzero(tree.sizes)[:2]  # a block of no leaf, and one without entries
    places = [np.repeat(~np.isin(own, [hidden]), tree.sizes[own]) for own in tree.blocks]
    leaves = [one[np.ix_(kept, kept)] for one, kept in zip(leaves, places, strict=True)]
    blocks = [own[own != hidden] for own in tree.blocks]
    for own, matrix in zip(blocks, leaves, strict=True):
        some = np.repeat(own == blind, tree.sizes[own])
        matrix[some] = matrix[:, some] = 0
    tree = replace(tree, blocks=blocks)
    unseen = np.concatenate([np.arange(ends[b] - tree.sizes[b], ends[b]) for b in (hidden, blind)])
    seen = np.delete(np.arange(len(total)), unseen)
    inverse = FrontalInverse(tree, tree.sizes, leaves.__getitem__, float)
    product, _ = inverse(np.ones((len(total), 1)), np.zeros(1))
    assert (product[unseen] == 0).all()
    assert np.allclose(total[np.ix_(seen, seen)] @ product[seen], 1, rtol=0, atol=1e-8)


def _on_ranks(is_complex):
    """The product with ones on all ranks, and its sum, for few and for many unknowns."""
    products = []
    for size in (2, 20):
        tree, leaves, total = _grid(4, size, is_complex)
        unknowns, local = UnknownsOfRank.of(tree), set(tree.local)

        def leaf(number, leaves=leaves, local=local):
            assert number in local
            return leaves[number]

        inverse = FrontalInverse(tree, unknowns.sizes, leaf, total.dtype.type)
        found, sums = inverse(np.ones((len(unknowns.places), 1), total.dtype), np.ones(1))
        products.append((unknowns.whole(found), sums))
    return products


@pytest.mark.parametrize("is_complex", [False, True])
def test_ranks_find_the_product_of_one_process(tmp_path, is_complex):
    ranks, count = Ranks(3, tmp_path), 3
    try:
        wanted, answers = _on_ranks(is_complex), ranks.run(count, _on_ranks, is_complex)
    finally:
        ranks.end()
    for answer in answers:
        for (found, sums), (known, one), first in zip(answer, wanted, answers[0], strict=True):
            assert np.array_equal(found, first[0]) and sums == first[1]
            assert np.allclose(found, known, rtol=1e-9, atol=1e-9 * np.abs(known).max())
            assert np.allclose(sums - count, one - 1, rtol=1e-9)
