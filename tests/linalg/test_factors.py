"""Least squares in the order of a nested dissection, against dense linear algebra."""

import itertools

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from kanpinn.linalg import qr as fronts
from kanpinn.linalg.arnoldi import krylov_spaces
from kanpinn.linalg.elimination_tree import EliminationTree, order_of_least_fill, shared_subtrees
from kanpinn.linalg.nested_dissection import BlockRows, Dissected, solve_dissected
from kanpinn.linalg.qr import column_scale, fold
from kanpinn.linalg.two_level import TwoLevel


def _random_problem(seed, rows, is_complex=False):
    """Rows in random blocks, which one to five fronts have, right-hand sides, and the dense matrix.

    rows: the number of rows of a front for its number of columns.
    """
    generator, count = np.random.default_rng(seed), 9
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


@pytest.mark.parametrize("seed", range(2))
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
    with pytest.raises(np.linalg.LinAlgError, match="not finite"):
        solve_dissected(tree, fronts, rights)


# Several ranks.


def _solved_here(seed, keep, spoiled=None):
    """The solutions by this rank's leaves, and which of them are its own."""
    tree, fronts, rights, _ = _random_problem(seed, lambda n: n + 3)
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


def test_a_number_of_one_rank_that_is_not_finite_is_refused_by_all(ranks):
    for leaf in range(9):
        for kind, text in ranks.run(2, _solved_here, 0, leaf % 2 == 0, leaf):
            assert kind == "LinAlgError" and "not finite" in text


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


# --- Front by front against dense linear algebra


SIZE, BAND, COUNT = 300, 40, 900


@pytest.fixture(params=["band", "ring", "two bands"])
def system(request, generator):
    """J (900, 300) with rows of few entries, in any order, and a residual."""
    j = torch.randn(COUNT, SIZE, generator=generator, dtype=torch.float64)
    first = torch.randint(SIZE, (COUNT, 1), generator=generator)
    from_first = torch.arange(SIZE) - first
    if request.param != "band":
        from_first = from_first % (SIZE if request.param == "ring" else SIZE // 2)
    width = BAND if request.param != "two bands" else BAND // 2
    j = j * ((from_first >= 0) & (from_first < width))
    return j, torch.randn(COUNT, generator=generator, dtype=torch.float64)


def chunks(j, r, rows: int):
    return list(zip(j.split(rows), r.split(rows), strict=True))


def gram(j, r):
    whole = torch.cat([j, r[:, None]], dim=1)
    return whole.T @ whole


def check(factor, j, r):
    expected = gram(j, r)
    assert (factor.tril(-1) == 0).all()
    assert (factor.T @ factor - expected).abs().max() < 1e-13 * expected.abs().max()


@pytest.mark.parametrize("rows", [7, 250, COUNT])
def test_the_triangle_has_the_products_of_the_rows(rows, system):
    check(fronts.triangular_factor(chunks(*system, rows)), *system)


def test_no_front_has_many_columns(system, monkeypatch):
    """Else the band would have been of no use."""
    shapes, qr = [], torch.linalg.qr

    def measured(matrix, **options):
        shapes.append(matrix.shape)
        return qr(matrix, **options)

    monkeypatch.setattr(fronts.torch.linalg, "qr", measured)
    fronts.triangular_factor(chunks(*system, 250))
    assert len(shapes) > 1 and max(columns for _, columns in shapes) < SIZE


@pytest.mark.parametrize("rows", [SIZE // 2, COUNT])
def test_folds_and_solutions_are_those_of_dense_rows(rows, system):
    """Regular or not, with zero coefficients for columns of zeros."""
    j, r = (t[:rows] for t in system)
    j[:, 7] = 0
    triangle = fold(chunks(j, r, 60))
    x, rank = triangle.solve()
    scale = torch.linalg.vector_norm(j, dim=0)
    scale[scale == 0] = 1
    found = torch.linalg.lstsq(j / scale, -r[:, None], rcond=1e-13, driver="gelsd")
    assert rank == int(found.rank) and abs(x[7]) < 1e-11 * x.abs().max()  # rounding of the SVD
    torch.testing.assert_close(x * scale, found.solution[:, 0], rtol=1e-7, atol=1e-9)
    assert triangle.loss(x) == pytest.approx(
        float((j @ x + r).square().sum()), rel=1e-10, abs=1e-20
    )


# --- Folded least squares against dense linear algebra


@pytest.fixture
def system_triangle(generator):
    """A Jacobian (60, 12) with columns of very different size, and a residual."""
    j = torch.randn(60, 12, generator=generator, dtype=torch.float64)
    return j * torch.logspace(-3, 3, 12, dtype=torch.float64), torch.randn(
        60, generator=generator, dtype=torch.float64
    )


@pytest.mark.parametrize("rows", [1, 7, 25, 60])
def test_folding_chunks_equals_one_factorisation(rows, system_triangle):
    j, r = system_triangle
    triangle = fold(chunks(j, r, rows))
    whole = torch.cat([j, r[:, None]], dim=1)
    size = torch.linalg.vector_norm(whole, dim=0)
    gram = (triangle.factor.T @ triangle.factor - whole.T @ whole) / size / size[:, None]
    assert gram.abs().max() < 1e-14
    assert (triangle.factor.tril(-1) == 0).all() and triangle.factor.shape == (13, 13)
    x = torch.ones(12, dtype=torch.float64)
    assert triangle.loss(x) == pytest.approx(float((j @ x + r).square().sum()), rel=1e-13)
    assert triangle.loss() == pytest.approx(float(r @ r), rel=1e-13)


def test_memory_is_bounded_by_the_chunk(system_triangle, monkeypatch):
    j, r = system_triangle
    sizes = []
    qr = torch.linalg.qr

    def measured(matrix, **options):
        sizes.append(len(matrix))
        return qr(matrix, **options)

    monkeypatch.setattr(fronts.torch.linalg, "qr", measured)
    fold((j, r) for _ in range(50))
    assert len(sizes) > 10 and max(sizes) <= 60 + 3 * 13


@pytest.mark.parametrize("rows", [6, 40])
def test_of_many_solutions_the_smallest_is_taken(rows, generator):
    """Rank-deficient by a repeated column, or by too few rows; columns of unit length."""
    j = torch.randn(rows, 12, generator=generator, dtype=torch.float64)
    j[:, 7] = j[:, 2]
    j = j / torch.linalg.vector_norm(j, dim=0)
    r = torch.randn(rows, generator=generator, dtype=torch.float64)
    triangle = fold(chunks(j, r, 9))
    x, rank = triangle.solve()
    assert rank == min(rows, 11)
    y = np.linalg.lstsq(j.numpy(), -r.numpy(), rcond=1e-12)[0]
    torch.testing.assert_close(x, torch.as_tensor(y), rtol=1e-9, atol=1e-11)
    assert x[7] == pytest.approx(float(x[2]), rel=1e-9)


def test_the_cut_off_decides_the_rank(generator):
    q = torch.linalg.qr(torch.randn(30, 4, generator=generator, dtype=torch.float64)).Q
    j = torch.stack([q[:, 0], q[:, 0] + 1e-6 * q[:, 1], q[:, 2], q[:, 3]], dim=1)
    triangle = fold([(j, q[:, 1])])
    assert triangle.solve()[1] == 4
    x, rank = triangle.solve(rcond=1e-4)
    assert rank == 3 and x.abs().max() < 1e-3


@pytest.mark.parametrize("rows", [8, 60])
@pytest.mark.parametrize("damping", [1e-8, 1e-3, 1.0, 1e4])
def test_damped_steps_equal_the_closed_form(rows, damping, system_triangle):
    """x = -(JᵀJ + λ s₁² D²)⁻¹ Jᵀr, solved with scaled columns: y = D x."""
    j, r = system_triangle[0][:rows], system_triangle[1][:rows]
    scale = torch.linalg.vector_norm(j, dim=0)
    scaled = j / scale
    s1 = torch.linalg.matrix_norm(scaled, 2)
    stacked = torch.cat([scaled, damping**0.5 * s1 * torch.eye(12, dtype=torch.float64)])
    right = torch.cat([-r, torch.zeros(12, dtype=torch.float64)])
    y = np.linalg.lstsq(stacked.numpy(), right.numpy(), rcond=None)[0]
    found = fold(chunks(j, r, 11)).damped().step(damping)
    torch.testing.assert_close(found * scale, torch.as_tensor(y), rtol=1e-8, atol=1e-12)


def test_columns_of_zeros_have_scale_one_and_coefficient_zero(system_triangle):
    j, r = system_triangle[0].clone(), system_triangle[1]
    j[:, 3] = 0
    assert column_scale(j)[3] == 1
    triangle = fold([(j, r)])
    assert abs(triangle.solve()[0][3]) < 1e-15
    assert triangle.damped().step(1e-6)[3] == 0
    assert (fold([(0 * j, r)]).damped().step(1e-6) == 0).all()


@pytest.mark.parametrize("damping", [1e-20, 1e-6, 1.0])
def test_columns_that_are_rounding_get_no_damped_step(damping, system_triangle):
    """As if they were not there; short ones that are more than that move."""
    j, r = system_triangle
    j[:, 4], j[:, 5] = 1e-17 * j[:, -1].roll(1), 1e-14 * j[:, -1].roll(2)
    step = fold(chunks(j, r, 20)).damped().step(damping)
    there = torch.arange(12) != 4
    assert step[4] == 0 and (step[there] != 0).all()
    alone = fold(chunks(j[:, there], r, 20)).damped().step(damping)
    torch.testing.assert_close(step[there], alone, rtol=1e-6, atol=1e-12)


def test_a_pivot_so_small_that_its_inverse_overflows_is_cut_off():
    matrix = torch.eye(20, dtype=torch.float64)
    matrix[0, -1], matrix[-1, -1] = 1.0, 1e-77  # the last column is the first, to rounding
    factor = torch.cat([matrix, -matrix.new_ones(20, 1)], dim=1)
    x, rank = fronts.TriangularFactor(factor).solve()
    assert rank == 19 and float((x[[0, -1]] - 0.5).abs().max()) < 1e-14


# --- Conjugate gradients on two levels, against dense linear algebra


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
    with pytest.raises(np.linalg.LinAlgError, match="not finite"):
        solver.solve(rights, 1e-12, 10)
    fronts[2].rows[0, 0] = np.inf
    with pytest.raises(np.linalg.LinAlgError, match="not finite"):
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


# --- Krylov spaces of several vectors: their defining equation and their eigenvalues


F = torch.float64


def _operator(size, seed=0):
    """A matrix with the eigenvalues 1, 1, 1/2, 1/2, 1/3, 1/3, …, not normal."""
    generator = torch.Generator().manual_seed(seed)
    values = 1 / torch.arange(1, size // 2 + 1, dtype=F).repeat_interleave(2)
    turned = torch.eye(size, dtype=F) + 0.02 * torch.randn(size, size, generator=generator, dtype=F)
    start = torch.randn(size, 3, generator=generator, dtype=F)
    return turned @ values.diag() @ torch.linalg.inv(turned), start


def test_spaces_have_orthonormal_bases_and_satisfy_their_equation():
    matrix, start = _operator(60)
    for space in itertools.islice(krylov_spaces(matrix.matmul, start), 5):
        size = space.basis.shape[1]
        assert torch.allclose(space.basis.T @ space.basis, torch.eye(size, dtype=F), atol=1e-13)
        rest = matrix @ space.basis - space.basis @ space.matrix
        assert torch.allclose(space.basis.T @ rest, torch.zeros(size, size, dtype=F), atol=1e-13)
        assert torch.allclose(rest.norm(), space.rest.norm(), atol=1e-13)
