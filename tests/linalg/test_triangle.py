"""Folded least squares against dense linear algebra."""

import numpy
import pytest
import torch

from kanpinn.linalg import qr as linalg
from kanpinn.linalg.qr import column_scale, fold


@pytest.fixture
def system(generator):
    """A Jacobian (60, 12) with columns of very different size, and a residual."""
    j = torch.randn(60, 12, generator=generator, dtype=torch.float64)
    return j * torch.logspace(-3, 3, 12, dtype=torch.float64), torch.randn(
        60, generator=generator, dtype=torch.float64
    )


def chunks(j, r, rows: int):
    return zip(j.split(rows), r.split(rows), strict=True)


@pytest.mark.parametrize("rows", [1, 7, 25, 60])
def test_folding_chunks_equals_one_factorisation(rows, system):
    j, r = system
    triangle = fold(chunks(j, r, rows))
    whole = torch.cat([j, r[:, None]], dim=1)
    size = torch.linalg.vector_norm(whole, dim=0)
    gram = (triangle.factor.T @ triangle.factor - whole.T @ whole) / size / size[:, None]
    assert gram.abs().max() < 1e-14
    assert (triangle.factor.tril(-1) == 0).all() and triangle.factor.shape == (13, 13)
    x = torch.ones(12, dtype=torch.float64)
    assert triangle.loss(x) == pytest.approx(float((j @ x + r).square().sum()), rel=1e-13)
    assert triangle.loss() == pytest.approx(float(r @ r), rel=1e-13)


def test_memory_is_bounded_by_the_chunk(system, monkeypatch):
    j, r = system
    sizes = []
    qr = torch.linalg.qr

    def measured(matrix, **options):
        sizes.append(len(matrix))
        return qr(matrix, **options)

    monkeypatch.setattr(linalg.torch.linalg, "qr", measured)
    fold((j, r) for _ in range(50))
    assert len(sizes) > 10 and max(sizes) <= 60 + 3 * 13


@pytest.mark.parametrize("rows", [12, 30, 60])
def test_the_solution_is_that_of_least_squares(rows, system):
    j, r = system[0][:rows], system[1][:rows]
    triangle = fold(chunks(j, r, 5))
    x, rank = triangle.solve()
    scale = torch.linalg.vector_norm(j, dim=0)
    y = numpy.linalg.lstsq((j / scale).numpy(), -r.numpy(), rcond=None)[0]
    assert rank == 12
    torch.testing.assert_close(x * scale, torch.as_tensor(y), rtol=1e-9, atol=1e-11)


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
    y = numpy.linalg.lstsq(j.numpy(), -r.numpy(), rcond=1e-12)[0]
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
def test_damped_steps_equal_the_closed_form(rows, damping, system):
    """x = -(JᵀJ + λ s₁² D²)⁻¹ Jᵀr, solved with scaled columns: y = D x."""
    j, r = system[0][:rows], system[1][:rows]
    scale = torch.linalg.vector_norm(j, dim=0)
    scaled = j / scale
    s1 = torch.linalg.matrix_norm(scaled, 2)
    stacked = torch.cat([scaled, damping**0.5 * s1 * torch.eye(12, dtype=torch.float64)])
    right = torch.cat([-r, torch.zeros(12, dtype=torch.float64)])
    y = numpy.linalg.lstsq(stacked.numpy(), right.numpy(), rcond=None)[0]
    found = fold(chunks(j, r, 11)).damped().step(damping)
    torch.testing.assert_close(found * scale, torch.as_tensor(y), rtol=1e-8, atol=1e-12)


def test_columns_of_zeros_have_scale_one_and_coefficient_zero(system):
    j, r = system[0].clone(), system[1]
    j[:, 3] = 0
    assert column_scale(j)[3] == 1
    triangle = fold([(j, r)])
    assert abs(triangle.solve()[0][3]) < 1e-15
    assert triangle.damped().step(1e-6)[3] == 0
    assert (fold([(0 * j, r)]).damped().step(1e-6) == 0).all()


@pytest.mark.parametrize("damping", [1e-20, 1e-6, 1.0])
def test_columns_that_are_rounding_get_no_damped_step(damping, system):
    """As if they were not there; short ones that are more than that move."""
    j, r = system
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
    x, rank = linalg.TriangularFactor(factor).solve()
    assert rank == 19 and float((x[[0, -1]] - 0.5).abs().max()) < 1e-14
