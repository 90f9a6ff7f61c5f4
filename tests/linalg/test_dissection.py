"""Least squares in the order of a nested dissection, against dense linear algebra."""

import numpy as np
import pytest
import torch
from ranks import Ranks

from kanpinn.linalg.elimination_tree import EliminationTree, order_of_least_fill, shared_subtrees
from kanpinn.linalg.nested_dissection import BlockRows, Dissected, solve_dissected


def _random_problem(seed, rows, is_complex=False, count=9):
    """Rows in random blocks, which one to five fronts have, right-hand sides, and the dense matrix.

    rows: the number of rows of a front for its number of columns. count: the number of fronts.
    """
    generator = np.random.default_rng(seed)
    several = [min(count, 2 + max(0, number - 12)) for number in range(16)]
    groups = [generator.choice(count, some, replace=False) for some in several]
    owners = [*groups, *([one] for one in generator.choice(count, min(3, count), replace=False))]
    sizes = generator.integers(1, 4, len(owners))
    total, fronts, rights, dense = sizes.sum(), [], [], []
    for front in range(count):
        own = np.array([b for b, group in enumerate(owners) if front in group], dtype=np.int64)
        generator.shuffle(own)
        columns = _columns(own, sizes)
        shape = rows(len(columns)), len(columns)
        matrix, right = (generator.standard_normal(one) for one in (shape, (shape[0], 2)))
        if is_complex:
            matrix, right = (one + 1j * generator.permuted(one, axis=0) for one in (matrix, right))
        fronts.append(BlockRows(own, matrix))
        rights.append(right)
        dense.append(np.zeros((len(matrix), total), matrix.dtype))
        dense[-1][:, columns] = matrix
    waiting, merges = list(range(count)), []
    for made in range(count, 2 * count - 1):
        one, other = (waiting.pop(generator.integers(len(waiting))) for _ in range(2))
        merges.append((one, other, made))
        waiting.append(made)
    blocks = [one.blocks for one in fronts]
    tree = EliminationTree(blocks, sizes, merges, np.zeros(count))
    return tree, dict(enumerate(fronts)), dict(enumerate(rights)), np.concatenate(dense)


def _columns(blocks, sizes):
    """The unknowns of some blocks, one block after the other."""
    ends = np.cumsum(sizes)
    return np.concatenate([np.arange(ends[b] - sizes[b], ends[b]) for b in blocks])


def _blind(tree, fronts, unknown):
    """The rows of a problem that vanish in one unknown."""
    changed = {leaf: BlockRows(one.blocks, one.rows.copy()) for leaf, one in fronts.items()}
    for one in changed.values():
        one.rows[:, _columns(one.blocks, tree.sizes) == unknown] = 0
    return changed


def _dense_solution(dense, rights):
    return np.linalg.lstsq(dense, np.concatenate(list(rights.values())), rcond=None)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("rows", [lambda n: n + 3, lambda n: n // 2 + 2])
@pytest.mark.parametrize("is_complex", [False, True])
def test_the_solutions_are_those_of_dense_least_squares(seed, rows, is_complex):
    tree, fronts, rights, dense = _random_problem(seed, rows, is_complex)
    wanted, _, rank, _ = _dense_solution(dense, rights)
    assert rank == len(wanted)
    assert np.allclose(solve_dissected(tree, fronts, rights), wanted, atol=1e-10)


def test_kept_factors_solve_for_right_hand_sides_one_after_the_other():
    tree, fronts, rights, _ = _random_problem(1, lambda n: n // 2 + 2)
    wanted, kept = solve_dissected(tree, fronts, rights), Dissected(tree, fronts)
    for column in (0, 1, 0):
        found = kept.solve({leaf: one[:, [column]] for leaf, one in rights.items()})
        assert np.allclose(found[:, 0], wanted[:, column], rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("solve", [solve_dissected, lambda *a: Dissected(*a[:2]).solve(a[2])])
def test_a_direction_in_which_all_rows_vanish_gets_zero(solve):
    tree, fronts, rights, dense = _random_problem(3, lambda n: n + 3)
    for unseen in range(dense.shape[1]):
        found = solve(tree, _blind(tree, fronts, unseen), rights)
        wanted = _dense_solution(np.delete(dense, unseen, axis=1), rights)[0]
        assert (found[unseen] == 0).all()
        assert np.allclose(np.delete(found, unseen, axis=0), wanted, atol=1e-10)


def test_a_number_that_is_not_finite_is_refused():
    tree, fronts, rights, _ = _random_problem(0, lambda n: n + 1)
    fronts[1].rows[0, 0] = np.nan
    with pytest.raises(torch.linalg.LinAlgError, match="not finite"):
        solve_dissected(tree, fronts, rights)


# Several ranks.


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    members = Ranks(3, tmp_path_factory.mktemp("ranks"))
    yield members
    members.end()


def _solved_here(seed, keep, spoiled=None, is_complex=False, count=9):
    """The solutions by this rank's leaves, and which of them are its own."""
    tree, fronts, rights, _ = _random_problem(seed, lambda n: n + 3, is_complex, count)
    own = [leaf for leaf in fronts if leaf in tree.local]
    fronts, rights = ({leaf: each[leaf] for leaf in own} for each in (fronts, rights))
    if spoiled in fronts:
        fronts[spoiled].rows[0, 0] = np.nan
    if keep:
        return Dissected(tree, fronts).solve(rights), own
    return solve_dissected(tree, fronts, rights), own


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("size", [2, 3])
def test_ranks_share_the_leaves_and_find_what_one_process_finds(ranks, size, keep):
    for seed in range(3):
        tree, fronts, rights, _ = _random_problem(seed, lambda n: n + 3)
        wanted, answers = (
            solve_dissected(tree, fronts, rights),
            ranks.run(size, _solved_here, seed, keep),
        )
        assert sorted(leaf for _, own in answers for leaf in own) == sorted(fronts)
        assert all(own for _, own in answers)
        for found, _ in answers:
            assert np.array_equal(found, answers[0][0])
            assert np.allclose(found, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("is_complex", [False, True])
def test_a_rank_without_a_leaf_finds_what_the_others_find(ranks, is_complex):
    _, _, rights, dense = _random_problem(0, lambda n: n + 3, is_complex, count=2)
    wanted = _dense_solution(dense, rights)[0]
    answers = ranks.run(3, _solved_here, 0, False, None, is_complex, 2)
    assert not all(own for _, own in answers)
    for found, _ in answers:
        assert found.dtype == wanted.dtype
        assert np.allclose(found, wanted, atol=1e-10)


def test_a_number_of_one_rank_that_is_not_finite_is_refused_by_all(ranks):
    for leaf in range(9):
        for kind, text in ranks.run(2, _solved_here, 0, leaf % 2 == 0, leaf):
            assert kind == "_LinAlgError" and "not finite" in text


def _ready(pairs, work, node, owners, loads):
    """When a node is made, if each rank takes its subtrees first."""
    if node in owners:
        return loads[owners[node]]
    return work[node] + max(_ready(pairs, work, one, owners, loads) for one in pairs[node])


@pytest.mark.parametrize("seed", range(5))
def test_subtrees_are_balanced(seed):
    """Two ranks with equal leaves: only the merges prevent equal shares of the work."""
    generator, leaves = np.random.default_rng(seed), 64
    waiting, pairs = list(range(leaves)), {}
    for made in range(leaves, 2 * leaves - 1):
        one, other = (waiting.pop(generator.integers(len(waiting))) for _ in range(2))
        pairs[made] = (one, other)
        waiting.append(made)
    work = {leaf: 1.0 for leaf in range(leaves)} | {node: 0.1 for node in pairs}
    owners = shared_subtrees(pairs, work, waiting[0], 2)
    loads, left = [0.0, 0.0], [(root, owner) for root, owner in owners.items()]
    while left:
        node, owner = left.pop()
        loads[owner] += work[node]
        left += [(child, owner) for child in pairs.get(node, ())]
    assert sum(loads) + 0.1 * len(set(pairs) - set(owners)) >= leaves
    whole = sum(work.values())
    assert _ready(pairs, work, waiting[0], owners, loads) <= 0.5 * whole + 2.0


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_least_fill_merges_all_fronts_and_has_the_same_solutions(seed):
    tree, fronts, rights, dense = _random_problem(seed, lambda n: n + 3)
    merges = order_of_least_fill(tree.blocks, tree.sizes)
    other = EliminationTree(tree.blocks, tree.sizes, merges, tree.work)
    wanted = _dense_solution(dense, rights)[0]
    assert np.allclose(solve_dissected(other, fronts, rights), wanted, atol=1e-10)


def test_the_order_of_least_fill_follows_a_chain_and_joins_what_nothing_connects():
    blocks = [np.array(own) for own in ([0], [0, 1], [1, 2], [2], [3], [3])]
    merges = order_of_least_fill(blocks, np.array([1, 5, 1, 1]))
    tree = EliminationTree(blocks, np.array([1, 5, 1, 1]), merges, np.zeros(6))
    assert len(merges) == 5
    assert len(tree.below(tree.root)) == 11
    sizes = [sum(int(tree.sizes[b]) for b in tree.eliminated(node)) for node in tree.pairs]
    assert sorted(sizes) == [0, 1, 1, 1, 5]
