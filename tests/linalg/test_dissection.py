"""Least squares in the order of a nested dissection, against dense linear algebra."""

import numpy as np
import pytest
import torch

from kanpinn.linalg.dissection import BlockRows, Dissected, solve_dissected


def _random_problem(seed, rows):
    """Rows in random blocks, which two fronts or one have, right-hand sides, and the dense matrix.

    rows: the number of rows of a front for its number of columns.
    """
    generator, count = np.random.default_rng(seed), 9
    pairs = [generator.choice(count, 2, replace=False) for _ in range(16)]
    owners = [*pairs, *([one] for one in generator.choice(count, 3, replace=False))]
    sizes = generator.integers(1, 4, len(owners))
    total, fronts, rights, dense = sizes.sum(), [], [], []
    for front in range(count):
        own = np.array([b for b, pair in enumerate(owners) if front in pair], dtype=np.int64)
        generator.shuffle(own)
        columns = _columns(own, sizes)
        matrix = generator.standard_normal((rows(len(columns)), len(columns)))
        fronts.append(BlockRows(own, matrix))
        rights.append(generator.standard_normal((len(matrix), 2)))
        dense.append(np.zeros((len(matrix), total)))
        dense[-1][:, columns] = matrix
    waiting, merges = list(range(count)), []
    for made in range(count, 2 * count - 1):
        one, other = (waiting.pop(generator.integers(len(waiting))) for _ in range(2))
        merges.append((one, other, made))
        waiting.append(made)
    return (fronts, sizes, merges), rights, np.concatenate(dense)


def _columns(blocks, sizes):
    """The unknowns of some blocks, one block after the other."""
    ends = np.cumsum(sizes)
    return np.concatenate([np.arange(ends[b] - sizes[b], ends[b]) for b in blocks])


def _blind(problem, unknown):
    """A problem with rows that vanish in one unknown."""
    fronts, sizes, merges = problem
    changed = [BlockRows(one.blocks, one.rows.copy()) for one in fronts]
    for one in changed:
        one.rows[:, _columns(one.blocks, sizes) == unknown] = 0
    return changed, sizes, merges


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("rows", [lambda n: n + 3, lambda n: n // 2 + 2])
def test_the_solutions_are_those_of_dense_least_squares(seed, rows):
    problem, rights, dense = _random_problem(seed, rows)
    wanted, _, rank, _ = np.linalg.lstsq(dense, np.concatenate(rights), rcond=None)
    assert rank == len(wanted)
    assert np.allclose(solve_dissected(*problem, rights), wanted, atol=1e-10)


def test_kept_factors_solve_for_right_hand_sides_one_after_the_other():
    problem, rights, _ = _random_problem(1, lambda n: n // 2 + 2)
    wanted, kept = solve_dissected(*problem, rights), Dissected(*problem)
    for column in (0, 1, 0):
        found = kept.solve([one[:, [column]] for one in rights])
        assert np.allclose(found[:, 0], wanted[:, column], rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("solve", [solve_dissected, lambda *a: Dissected(*a[:3]).solve(a[3])])
def test_a_direction_in_which_all_rows_vanish_gets_zero(solve):
    problem, rights, dense = _random_problem(3, lambda n: n + 3)
    for unseen in range(dense.shape[1]):
        found = solve(*_blind(problem, unseen), rights)
        kept = np.delete(dense, unseen, axis=1)
        wanted = np.linalg.lstsq(kept, np.concatenate(rights), rcond=None)[0]
        assert (found[unseen] == 0).all()
        assert np.allclose(np.delete(found, unseen, axis=0), wanted, atol=1e-10)


def test_a_number_that_is_not_finite_is_refused():
    (fronts, *order), rights, _ = _random_problem(0, lambda n: n + 1)
    fronts[1].rows[0, 0] = np.nan
    with pytest.raises(torch.linalg.LinAlgError, match="not finite"):
        solve_dissected(fronts, *order, rights)
