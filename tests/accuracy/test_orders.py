"""Observed orders of convergence against those that theory promises."""

import math
from itertools import pairwise

import numpy
import pytest
import torch
from cases import Line
from scipy.stats import linregress, t

import kanpinn as kp
from kanpinn._support.errors import InputError
from kanpinn.accuracy.orders import Fit, Theory, before_level, fit_order, theoretical_order
from kanpinn.networks.basis import BSplines
from kanpinn.networks.basis.splines import uniform_knots

GRIDS = (8, 16, 32)
SIZES = (4, 8, 16, 32, 64)


def noisy(sizes, p, scatter, generator, seeds=3, floor=0.0):
    """Sizes, a few seeds each, and errors size^-p above a floor times log-normal noise."""
    each = [size for size in sizes for _ in range(seeds)]
    noise = torch.randn(len(each), generator=generator, dtype=torch.float64).tolist()
    pairs = zip(each, noise, strict=True)
    return each, [max(s**-p, floor) * math.exp(scatter * z) for s, z in pairs]


@pytest.mark.parametrize("order", [-1.0, 0.5, 4.0])
def test_the_fit_of_a_power_law_is_the_law(order):
    fit = fit_order(SIZES, [3 * n**-order for n in SIZES])
    assert fit.order == pytest.approx(order) and fit.margin == pytest.approx(0, abs=1e-12)
    assert fit(10) == pytest.approx(3 * 10**-order) and fit.count == len(SIZES)


def test_the_confidence_interval_is_that_of_linear_regression(generator):
    sizes, errors = noisy(SIZES, 4, 0.5, generator, seeds=1)
    fit, peer = fit_order(sizes, errors), linregress(numpy.log(sizes), numpy.log(errors))
    assert fit.order == pytest.approx(-peer.slope)
    assert fit.margin == pytest.approx(t.ppf(0.975, len(sizes) - 2) * peer.stderr)


@pytest.mark.parametrize(("spread", "scatter"), [(0.3, 0.0), (0.3, 0.2), (0.0, 0.4)])
def test_the_interval_covers_the_order_where_every_seed_has_a_slope_of_its_own(
    generator, spread, scatter
):
    def draw():
        p = 4 + spread * torch.randn(3, generator=generator, dtype=torch.float64)
        noise = scatter * torch.randn(len(SIZES), 3, generator=generator, dtype=torch.float64)
        sizes = torch.tensor(SIZES, dtype=torch.float64)[:, None]
        errors = (sizes**-p * torch.exp(noise)).flatten().tolist()
        return fit_order([size for size in SIZES for _ in range(3)], errors)

    covered = sum(abs(fit.order - 4) <= fit.margin for fit in (draw() for _ in range(400))) / 400
    assert covered > 0.95 - 0.033


def test_copies_of_errors_say_nothing_more():
    errors = [1.0, 0.07, 0.003, 2e-4, 2e-5][: len(SIZES)]
    once = fit_order(SIZES[: len(errors)], errors)
    thrice = fit_order([*SIZES[: len(errors)]] * 3, errors * 3)
    assert thrice.order == pytest.approx(once.order)
    assert thrice.margin == pytest.approx(once.margin)


def test_two_errors_have_an_order_without_confidence():
    fit = fit_order([4, 8], [1.0, 0.25])
    assert fit.margin is None and str(fit) == "2.0"


def test_orders_are_written_to_the_decimal_that_they_are_known_to():
    centre = (1.0, 1.0)
    assert str(Fit(4.123, 0.31, centre, 9)) == "4.1 ± 0.3"
    assert str(Fit(-0.5, 0.042, centre, 9)) == "−0.50 ± 0.04"


@pytest.mark.parametrize(
    ("sizes", "errors", "message"),
    [
        ([4, 4], [1.0, 2.0], "two different sizes"),
        ([4, 8], [1.0, 0.0], "errors must be positive"),
        ([4, 8], [1.0, math.nan], "errors must be positive"),
        ([0, 8], [1.0, 1.0], "sizes must be positive"),
        ([4, 8], [1.0], "got 2 and 1"),
        ([], [], "got 0 and 0"),
    ],
)
def test_what_has_no_order_is_refused(sizes, errors, message):
    with pytest.raises(InputError, match=message):
        fit_order(sizes, errors)


@pytest.mark.parametrize(
    ("degree", "error", "best", "guaranteed"),
    [
        (3, "l2_relative", 4, 2),
        (3, "h1_relative", 3, 2),
        (3, "l2_squared", 8, 4),
        (3, "h1_squared", 6, 4),
        ([3, 9], "l2_relative", 4, 2),
    ],
)
def test_theory_names_k_plus_one_in_l2_k_in_h1_and_k_minus_one_by_the_residual(
    degree, error, best, guaranteed
):
    assert theoretical_order(degree, error) == Theory(best, guaranteed)


def test_errors_that_fall_are_all_kept_and_rarely_cut_by_chance(generator):
    assert before_level(SIZES, [n**-4.0 for n in SIZES]) == [*SIZES]
    assert before_level(SIZES, [1e-3] * len(SIZES)) == [*SIZES]  # of order 0, from the start
    assert before_level([8], [1e-3]) == [8]
    for sizes in (SIZES, range(2, 11)):
        draws = [noisy(sizes, 4, 0.5, generator) for _ in range(200)]
        assert sum(before_level(*draw) != [*sizes] for draw in draws) < 0.04 * len(draws)


def test_rounding_floors_are_left_out_and_the_order_survives(generator):
    exact = [max(n**-8.0, 16**-8.5) for n in SIZES]
    assert before_level(SIZES, exact) == [4, 8, 16]
    kept = [before_level(*noisy(SIZES, 8, 0.3, generator, floor=16**-8.5)) for _ in range(100)]
    assert sum(sizes == [4, 8, 16] for sizes in kept) > 95


def test_errors_that_grow_again_are_left_out():
    assert before_level([4, 8, 16, 32, 64], [1e-2, 1e-4, 1e-6, 1e-5, 1e-3]) == [4, 8, 16]


def interval_knots(intervals: int, degree: int) -> torch.Tensor:
    one = torch.ones(1, dtype=torch.float64)
    return uniform_knots(-one, one, intervals, degree)


def rms_error_of_fit(intervals: int, degree: int, order: int) -> float:
    """The error of the order-th derivative of the spline fit of sin 3x on [-1, 1]."""
    x = torch.linspace(-1, 1, 2001, dtype=torch.float64)[:, None]
    knots = interval_knots(intervals, degree)
    c = BSplines(knots, degree).fit(x, torch.sin(3 * x)[..., None])
    found = torch.einsum("nik,iko->no", BSplines(knots, degree).values(x, order)[:, order], c)
    true = 3**order * torch.sin(3 * x + order * torch.pi / 2)
    return float((found - true).square().mean().sqrt())


@pytest.mark.parametrize("degree", [1, 2, 5])
def test_fits_converge_with_order_degree_plus_one_and_one_less_for_each_derivative(degree):
    for order in range(min(degree, 3)):
        errors = [rms_error_of_fit(g, degree, order) for g in GRIDS]
        assert -0.2 < fit_order(GRIDS, errors).order - (degree + 1 - order) < 0.5


@pytest.mark.parametrize("degree", [1, 5])
def test_projection_onto_coarse_grids_converges_with_order_degree_plus_one(degree):
    fine = interval_knots(193, degree)  # nested in none of the grids
    x = torch.linspace(-1, 1, 2001, dtype=torch.float64)[:, None]
    c = BSplines(fine, degree).fit(x, torch.sin(3 * x)[..., None])
    old = BSplines(fine, degree)
    errors = [old.represented(c, BSplines(interval_knots(g, degree), degree))[1] for g in GRIDS]
    assert fit_order(GRIDS, errors).order == pytest.approx(degree + 1, abs=0.35)


@pytest.mark.parametrize(("degree", "boundary"), [(3, "penalty"), (5, "exact")])
def test_least_squares_for_a_second_order_equation_converges_as_the_residual_does(degree, boundary):
    """The residual of the best spline falls with order k - 1, errors no slower."""
    errors = []
    for grid in GRIDS:
        network = kp.KAN([1, 1], degree=degree, grid=grid)
        points = kp.Collocation(8 * grid, 2, "gauss")
        errors.append(kp.solve(Line(), network, points=points, boundary=boundary).errors)
    h1 = fit_order(GRIDS, [e.h1 for e in errors]).order
    l2 = fit_order(GRIDS, [e.l2 for e in errors]).order
    assert h1 > degree - 1 - 0.2 and l2 > degree - 1 - 0.2
    assert l2 < degree + 1 + 0.5


def test_errors_fall_spectrally_with_the_degree_of_one_interval():
    """p-refinement: more digits with each degree, ten of them at degree 11."""
    errors = [
        kp.solve(Line(), kp.KAN([1, 1], degree=k, grid=1), boundary="exact").errors.l2_relative
        for k in (3, 7, 11)
    ]
    digits = [-math.log10(e) for e in errors]
    assert all(b > a + 1.4 for a, b in pairwise(digits))
