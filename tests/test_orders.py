"""Observed orders of convergence against those that theory promises."""

import math
from itertools import pairwise

import pytest
import torch
from cases import Line

import kanpinn as kp
from kanpinn import splines

GRIDS = (8, 16, 32)


def interval_knots(intervals: int, degree: int) -> torch.Tensor:
    one = torch.ones(1, dtype=torch.float64)
    return splines.uniform_knots(-one, one, intervals, degree)


def rms_error_of_fit(intervals: int, degree: int, order: int) -> float:
    """The error of the order-th derivative of the spline fit of sin 3x on [-1, 1]."""
    x = torch.linspace(-1, 1, 2001, dtype=torch.float64)[:, None]
    knots = interval_knots(intervals, degree)
    c = splines.fit(x, torch.sin(3 * x)[..., None], knots, degree)
    found = torch.einsum("nik,iko->no", splines.basis(x, knots, degree, order)[:, order], c)
    true = 3**order * torch.sin(3 * x + order * torch.pi / 2)
    return float((found - true).square().mean().sqrt())


@pytest.mark.parametrize("degree", [1, 2, 3, 4, 5])
def test_fits_converge_with_order_degree_plus_one_and_one_less_for_each_derivative(degree):
    for order in range(min(degree, 3)):
        errors = [rms_error_of_fit(g, degree, order) for g in GRIDS]
        assert -0.2 < kp.observed_order(GRIDS, errors) - (degree + 1 - order) < 0.5


@pytest.mark.parametrize("degree", [1, 2, 3, 5])
def test_projection_onto_coarse_grids_converges_with_order_degree_plus_one(degree):
    fine = interval_knots(193, degree)  # nested in none of the grids
    x = torch.linspace(-1, 1, 2001, dtype=torch.float64)[:, None]
    c = splines.fit(x, torch.sin(3 * x)[..., None], fine, degree)
    errors = [splines.project(c, fine, interval_knots(g, degree), degree)[1] for g in GRIDS]
    assert kp.observed_order(GRIDS, errors) == pytest.approx(degree + 1, abs=0.35)


@pytest.mark.parametrize("boundary", ["penalty", "exact"])
@pytest.mark.parametrize("degree", [3, 4, 5])
def test_least_squares_for_a_second_order_equation_converges_as_the_residual_does(degree, boundary):
    """The residual of the best spline falls with order k - 1, errors no slower."""
    errors = []
    for grid in GRIDS:
        network = kp.KAN([1, 1], degree=degree, grid=grid)
        points = kp.Collocation(8 * grid, 2, "gauss")
        errors.append(kp.solve(Line(), network, points=points, boundary=boundary).errors)
    h1 = kp.observed_order(GRIDS, [e.h1 for e in errors])
    l2 = kp.observed_order(GRIDS, [e.l2 for e in errors])
    assert h1 > degree - 1 - 0.2 and l2 > degree - 1 - 0.2
    assert l2 < degree + 1 + 0.5


def test_errors_fall_spectrally_with_the_degree_of_one_interval():
    """p-refinement: more digits with each degree, ten of them at degree 11."""
    errors = [
        kp.solve(Line(), kp.KAN([1, 1], degree=k, grid=1), boundary="exact").errors.l2_relative
        for k in (3, 5, 7, 9, 11)
    ]
    digits = [-math.log10(e) for e in errors]
    assert all(b > a + 0.7 for a, b in pairwise(digits))
