"""Cells of one shape and different sizes need one elimination, if their rows are similar."""

import numpy as np
import pytest
import torch
from cases import OnWalls
from numpy.testing import assert_allclose

import kanpinn as kp
from kanpinn.spaces.cells.system.cell_system import CellSystem


class Peak(OnWalls):
    """-Δu + c u = f in a square, with a narrow peak as the solution."""

    domain = kp.Box(x=(0, 1), y=(0, 1))

    def __init__(self, c):
        self.c = c

    def _square(self, p):
        return ((p.coords - 0.3) ** 2).sum(dim=1, keepdim=True)

    def exact(self, p):
        return torch.exp(-300 * self._square(p))

    def residual(self, p, u):
        laplacian = (360_000 * self._square(p) - 1200) * self.exact(p)
        return -kp.laplacian(u) + self.c * u.value + laplacian - self.c * self.exact(p)


def solved(c):
    solution = kp.solve(
        Peak(c), kp.Cells([2, 1], 4, 4), kp.AdaptiveLeastSquares(1e-3), verified=False
    )
    assert solution.errors.l2_relative < 1e-3
    return solution.network.layer.coefficients.detach().numpy()


@pytest.fixture
def similar(monkeypatch):
    """The rows of the cells of each solve, and the groups of similar cells in it."""
    found, groups = [], CellSystem._similar

    def kept(self, equal):
        found.append((self, groups(self, equal)))
        return found[-1][1]

    monkeypatch.setattr(CellSystem, "_similar", kept)
    return found


def test_rows_of_similar_cells_differ_by_a_factor(similar):
    solved(0.0)
    rows, groups = similar[-1]
    assert len(groups) < sum(map(len, groups))
    for (first, unit), *others in groups:
        model = rows._rows(first[0])
        for cells, size in others:
            own, factor = rows._rows(cells[0]), size / unit
            assert_allclose(own.equation.triangle, factor * model.equation.triangle, atol=1e-11)
            for name in ("conditions", "outer", "traces"):
                assert_allclose(getattr(own, name), factor * getattr(model, name), atol=1e-11)


def test_cells_of_two_sizes_are_not_similar_where_the_equation_has_terms_of_two_orders(similar):
    solved(1.0)
    rows, groups = similar[-1]
    for own in groups:
        assert len({int(rows.geometry.tree.level[cells[0], 0]) for cells, _ in own}) == 1


def test_solutions_are_the_same_if_similar_cells_do_not_share_an_elimination(monkeypatch):
    shared = solved(0.0)

    def apart(self, equal):
        return [[(cells, 1.0)] for cells in equal.values()]

    monkeypatch.setattr(CellSystem, "_similar", apart)
    assert_allclose(solved(0.0), shared, atol=1e-9 * np.abs(shared).max())
