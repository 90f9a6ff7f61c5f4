"""Conjugate gradients on two levels, against dense linear algebra."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from kanpinn.linalg.elimination_tree import EliminationTree, order_of_least_fill
from kanpinn.linalg.nested_dissection import BlockRows
from kanpinn.linalg.two_level import TwoLevel


def _two_level(sizes, fronts, coarse):
    blocks = [one.blocks for one in fronts.values()]
    tree = EliminationTree(blocks, sizes, order_of_least_fill(blocks, sizes), np.zeros(len(blocks)))
    return TwoLevel(tree, fronts, coarse)


def _chain(count, size, seed, is_complex=False):
    """Random rows in pairs of neighbouring blocks, right-hand sides, and the dense matrix.

    Two fronts share one matrix.
    """
    generator = np.random.default_rng(seed)

    def normal(*shape):
        found = generator.standard_normal(shape)
        return found + 1j * generator.standard_normal(shape) if is_complex else found

    own = [normal(2 * size, 2 * size) + 2 * np.eye(2 * size) for _ in range(count - 1)]
    own[1] = own[0]
    fronts = {i: BlockRows(np.array([i, i + 1]), rows) for i, rows in enumerate(own)}
    rights = {i: normal(2 * size, 3) for i in fronts}
    dense = np.zeros(((count - 1) * 2 * size, count * size), own[0].dtype)
    for i, rows in enumerate(own):
        dense[2 * size * i : 2 * size * (i + 1), size * i : size * (i + 2)] = rows
    return np.full(count, size), fronts, rights, dense


@pytest.mark.parametrize("is_complex", [False, True])
def test_solutions_are_those_of_dense_least_squares(is_complex):
    sizes, fronts, rights, dense = _chain(8, 3, 1, is_complex)
    coarse = np.arange(24) % 3 == 0
    found = _two_level(sizes, fronts, coarse).solve(rights, 1e-13, 200)
    known = np.linalg.lstsq(dense, np.concatenate(list(rights.values())), rcond=None)[0]
    assert_allclose(found, known, rtol=0, atol=1e-10)


def test_residuals_are_least_where_the_normal_equations_are_known_to_few_digits():
    sizes, fronts, rights, dense = _chain(8, 6, 4)
    turn = np.linalg.qr(np.random.default_rng(5).standard_normal((6, 6)))[0]
    mixed = np.kron(np.eye(2), turn @ np.diag(np.logspace(0, -6, 6)) @ turn.T)
    fronts = {i: BlockRows(one.blocks, one.rows @ mixed) for i, one in fronts.items()}
    dense = dense @ np.kron(np.eye(8), mixed[:6, :6])
    found = _two_level(sizes, fronts, np.arange(48) % 6 < 2).solve(rights, 1e-12, 400)
    known = np.linalg.lstsq(dense, np.concatenate(list(rights.values())), rcond=None)[0]
    assert_allclose(dense @ found, dense @ known, rtol=0, atol=1e-9)


def test_unknowns_that_no_row_contains_are_zero():
    sizes, fronts, rights, dense = _chain(6, 3, 2)
    blind = {i: BlockRows(one.blocks, one.rows.copy()) for i, one in fronts.items()}
    blind[4].rows[:, 5] = 0
    dense[24:, 17] = 0
    found = _two_level(sizes, blind, np.arange(18) % 3 == 2).solve(rights, 1e-13, 200)
    known = np.linalg.lstsq(dense, np.concatenate(list(rights.values())), rcond=None)[0]
    assert (found[17] == 0).all()
    assert_allclose(found, known, rtol=0, atol=1e-10)


def _ladder(count, seed=3):
    """Rows of the differences of one unknown of neighbouring blocks, and of single unknowns.

    The normal equations of the differences have a condition number that grows like count².
    """
    generator = np.random.default_rng(seed)
    fronts, rights = {}, {}
    for i in range(count - 1):
        rows = np.zeros((7, 6))
        rows[0, [0, 3]] = -1, 1  # of the first unknowns of both blocks
        rows[1:3, 1:3] = rows[3:5, 4:6] = np.eye(2)
        rows[5, 0] = float(i == 0)
        rows[6, 3] = float(i == count - 2)
        fronts[i] = BlockRows(np.array([i, i + 1]), rows)
        rights[i] = generator.standard_normal((7, 1))
    return np.full(count, 3), fronts, rights


def test_what_blocks_agree_on_over_long_distances_takes_few_iterations_if_it_is_coarse():
    sizes, fronts, rights = _ladder(300)
    first = np.arange(900) % 3 == 0
    assert _two_level(sizes, fronts, first).solve(rights, 1e-12, 30) is not None
    assert _two_level(sizes, fronts, ~first).solve(rights, 1e-12, 30) is None


def test_entries_that_are_not_finite_are_refused():
    sizes, fronts, rights, _ = _chain(4, 2, 0)
    coarse = np.ones(8, dtype=bool)
    solver = _two_level(sizes, fronts, coarse)
    rights[1][0, 0] = np.nan
    with pytest.raises(torch.linalg.LinAlgError, match="not finite"):
        solver.solve(rights, 1e-12, 10)
    fronts[2].rows[0, 0] = np.inf
    with pytest.raises(torch.linalg.LinAlgError, match="not finite"):
        _two_level(sizes, fronts, coarse)


def test_an_iteration_from_the_solution_has_nothing_to_do():
    sizes, fronts, rights, dense = _chain(8, 3, 4)
    known = np.concatenate([rights[i] for i in range(7)])
    exact = np.linalg.lstsq(dense, known, rcond=None)[0]
    solver = _two_level(sizes, fronts, np.arange(24) % 3 == 0)
    assert solver.solve(rights, 1e-10, 1) is None
    assert_allclose(solver.solve(rights, 1e-10, 1, exact), exact, rtol=0, atol=1e-12)
    far = solver.solve(rights, 1e-12, 200, 1e6 * exact)  # zero is nearer
    assert_allclose(far, exact, rtol=0, atol=1e-9)
