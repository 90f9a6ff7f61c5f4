"""Least squares in the order of a nested dissection, against dense linear algebra."""

import numpy as np
import pytest
import torch

from kanpinn.cells.tree import Tree
from kanpinn.linalg.dissection import BlockRows, solve_dissected


def _random_fronts(seed, rows):
    """Rows in the blocks of the faces of each cell of a small tree, and the dense problem."""
    tree, generator = Tree.uniform([3, 2]), np.random.default_rng(seed)
    tree, _ = tree.split(tree.level.new_tensor([1, 0, 0, 1, 0, 0]).bool())
    faces, sizes = tree.faces, generator.integers(1, 4, len(tree.faces))
    starts = np.concatenate([[0], np.cumsum(sizes)])
    fronts, dense = [], []
    for cell in range(len(tree)):
        own = ((faces.lower == cell) | (faces.upper == cell)).nonzero()[:, 0].numpy()
        generator.shuffle(own)
        columns = np.concatenate([np.arange(starts[b], starts[b + 1]) for b in own])
        matrix = generator.standard_normal((rows(len(columns)), len(columns) + 1))
        fronts.append(BlockRows(own, matrix))
        whole = np.zeros((len(matrix), starts[-1] + 1))
        whole[:, np.append(columns, starts[-1])] = matrix
        dense.append(whole)
    return fronts, sizes, list(tree.merges()), np.concatenate(dense)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("rows", [lambda n: n + 3, lambda n: n // 2 + 2])
def test_the_solution_is_that_of_dense_least_squares(seed, rows):
    fronts, sizes, merges, dense = _random_fronts(seed, rows)
    wanted, _, rank, _ = np.linalg.lstsq(dense[:, :-1], dense[:, -1], rcond=None)
    assert rank == len(wanted)
    assert np.allclose(solve_dissected(fronts, sizes, merges), wanted, atol=1e-10)


def test_a_direction_in_which_all_rows_vanish_gets_zero():
    fronts, sizes, merges, dense = _random_fronts(3, lambda n: n + 3)
    unseen, start = 2, int(sizes[:2].sum())
    changed = []
    for one in fronts:
        counts = np.concatenate([[0], np.cumsum(sizes[one.blocks])])
        rows = one.rows.copy()
        for place in (one.blocks == unseen).nonzero()[0]:
            rows[:, counts[place]] = 0
        changed.append(BlockRows(one.blocks, rows))
    found = solve_dissected(changed, sizes, merges)
    assert found[start] == 0
    kept = np.delete(dense, start, axis=1)
    wanted = np.linalg.lstsq(kept[:, :-1], kept[:, -1], rcond=None)[0]
    assert np.allclose(np.delete(found, start), wanted, atol=1e-10)


def test_a_number_that_is_not_finite_is_refused():
    fronts, sizes, merges, _ = _random_fronts(0, lambda n: n + 1)
    fronts[1].rows[0, 0] = np.nan
    with pytest.raises(torch.linalg.LinAlgError, match="not finite"):
        solve_dissected(fronts, sizes, merges)
