"""The coordinates in which cells are halved: those in which the highest degrees carry the error."""

import pytest
import torch
from cases import error_of

import kanpinn as kp
from kanpinn.spaces.cells.polynomials import LocalPolynomials
from kanpinn.tasks.refinement import coordinates_to_refine


def fitted(function, dim, degree=8):
    """The coefficients of a function of points of [-1, 1]^d in one cell, (1, L, 1)."""
    polynomials = LocalPolynomials(degree, dim)
    nodes, weights = polynomials.rule(10)
    return polynomials, (polynomials.values(nodes).T @ (weights * function(nodes)))[None, :, None]


@pytest.mark.parametrize(
    ("function", "chosen"),
    [
        (lambda x: torch.exp(-9 * x[:, 1]) * torch.cos(x[:, 0]), [False, True]),
        (lambda x: torch.tanh(4 * x[:, 0] - 1) + 0.1 * x[:, 1] ** 2, [True, False]),
        (lambda x: torch.tanh(4 * x[:, 0] + 4 * x[:, 1] - 1), [True, True]),
        (lambda x: torch.exp(-8 * x.square().sum(dim=1)), [True, True]),
        (lambda x: torch.exp(-6 * x[:, 0]) + torch.exp(-6 * x[:, 1]), [True, True]),
        (lambda x: torch.zeros_like(x[:, 0]), [True, True]),
        (
            lambda x: (x[:, 0] ** 2 + x[:, 1] ** 2 + 1e-4) ** 0.3 * (2 + x[:, 2]),
            [True, True, False],
        ),
    ],
)
def test_a_cell_is_halved_where_a_function_is_steep(function, chosen):
    assert coordinates_to_refine(*fitted(function, len(chosen))).tolist() == [chosen]


FRONT = kp.Poisson(kp.Box(x=(0, 1), y=(0, 1)), exact="tanh((x - 0.4) / 0.005) * sin(3*y)")


def test_cells_along_a_front_stay_long():
    network, method = kp.Cells([2, 1], 10, 2), kp.AdaptiveLeastSquares(1e-7, cells=150)
    solution = kp.solve(FRONT, network, method, verified=False)
    tree = solution.network.tree
    assert solution.status == "converged" and error_of(solution) < 2e-7
    assert tree.level[:, 0].max() >= 6 and tree.level[:, 1].max() <= 2
