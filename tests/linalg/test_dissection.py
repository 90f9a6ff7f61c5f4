"""Least squares in the order of a nested dissection, against dense linear algebra."""

import numpy as np
import pytest
import torch

from kanpinn.linalg.dissection import BlockRows, solve_dissected


def _random_fronts(seed, rows):
    """Rows in random blocks, which two fronts or one have, a random order, and the dense problem.

    rows: the number of rows of a front for its number of columns.
    """
    generator, count = np.random.default_rng(seed), 9
    pairs = [generator.choice(count, 2, replace=False) for _ in range(16)]
    owners = [*pairs, *([one] for one in generator.choice(count, 3, replace=False))]
    sizes = generator.integers(1, 4, len(owners))
    total, fronts, dense = sizes.sum(), [], []
    for front in range(count):
        own = np.array([b for b, pair in enumerate(owners) if front in pair], dtype=np.int64)
        generator.shuffle(own)
        columns = _columns(own, sizes)
        matrix = generator.standard_normal((rows(len(columns)), len(columns) + 1))
        fronts.append(BlockRows(own, matrix))
        whole = np.zeros((len(matrix), total + 1))
        whole[:, np.append(columns, total)] = matrix
        dense.append(whole)
    waiting, merges = list(range(count)), []
    for made in range(count, 2 * count - 1):
        one, other = (waiting.pop(generator.integers(len(waiting))) for _ in range(2))
        merges.append((one, other, made))
        waiting.append(made)
    return fronts, sizes, merges, np.concatenate(dense)


def _columns(blocks, sizes):
    """The unknowns of some blocks, one block after the other."""
    ends = np.cumsum(sizes)
    return np.concatenate([np.arange(ends[b] - sizes[b], ends[b]) for b in blocks])


def _blind(fronts, sizes, unknown):
    """The fronts with rows that vanish in one unknown."""
    changed = [BlockRows(one.blocks, one.rows.copy()) for one in fronts]
    for one in changed:
        one.rows[:, :-1][:, _columns(one.blocks, sizes) == unknown] = 0
    return changed


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("rows", [lambda n: n + 3, lambda n: n // 2 + 2])
def test_the_solution_is_that_of_dense_least_squares(seed, rows):
    fronts, sizes, merges, dense = _random_fronts(seed, rows)
    wanted, _, rank, _ = np.linalg.lstsq(dense[:, :-1], dense[:, -1], rcond=None)
    assert rank == len(wanted)
    assert np.allclose(solve_dissected(fronts, sizes, merges), wanted, atol=1e-10)


def test_a_direction_in_which_all_rows_vanish_gets_zero():
    fronts, sizes, merges, dense = _random_fronts(3, lambda n: n + 3)
    for unseen in range(sizes.sum()):
        found = solve_dissected(_blind(fronts, sizes, unseen), sizes, merges)
        kept = np.delete(dense, unseen, axis=1)
        wanted = np.linalg.lstsq(kept[:, :-1], kept[:, -1], rcond=None)[0]
        assert found[unseen] == 0
        assert np.allclose(np.delete(found, unseen), wanted, atol=1e-10)


def test_a_number_that_is_not_finite_is_refused():
    fronts, sizes, merges, _ = _random_fronts(0, lambda n: n + 1)
    fronts[1].rows[0, 0] = np.nan
    with pytest.raises(torch.linalg.LinAlgError, match="not finite"):
        solve_dissected(fronts, sizes, merges)
