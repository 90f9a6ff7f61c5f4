"""Front by front against dense linear algebra."""

import pytest
import torch

from kanpinn.linalg import qr as fronts
from kanpinn.linalg.qr import fold

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


def test_rows_with_many_entries_are_taken_at_once(generator, monkeypatch):
    j = torch.randn(COUNT, SIZE, generator=generator, dtype=torch.float64)
    r = torch.randn(COUNT, generator=generator, dtype=torch.float64)
    shapes, qr = [], torch.linalg.qr
    monkeypatch.setattr(
        fronts.torch.linalg, "qr", lambda m, **kw: shapes.append(tuple(m.shape)) or qr(m, **kw)
    )
    check(fronts.triangular_factor(chunks(j, r, 100)), j, r)
    assert shapes == [(COUNT, SIZE + 1)]


def test_columns_of_zeros_have_rows_of_zeros(system):
    j, r = system
    empty = torch.tensor([0, 1, 2, 150, SIZE - 1])
    j[:, empty] = 0
    factor = fronts.triangular_factor(chunks(j, r, 250))
    check(factor, j, r)
    assert (factor[empty] == 0).all() and (factor[:, empty] == 0).all()


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


def test_no_rows_have_no_triangle():
    none = torch.zeros(0, SIZE, dtype=torch.float64), torch.zeros(0, dtype=torch.float64)
    assert fronts.triangular_factor([none]).shape == (0, SIZE + 1)
