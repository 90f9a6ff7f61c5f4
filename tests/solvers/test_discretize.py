"""What a solve starts from fits together, or is refused in words."""

import pytest
import torch
from cases import Stated

import kanpinn as kp
from kanpinn.solvers.discretization import SolveSettings, default_points, discretize

SQUARE = kp.Box(x=(0, 1), y=(0, 1))


def laplace(*conditions, domain=SQUARE, **attributes):
    """Δu = 0 with the conditions that it is given."""
    return Stated(domain, lambda p, u: kp.laplacian(u), conditions, **attributes)


def put_together(problem, boundary="exact", network=None, points=None):
    network = kp.KAN([2, 4, 1], degree=4, grid=2) if network is None else network
    points = default_points(network) if points is None else points
    settings = SolveSettings(points=points, boundary=boundary)
    return discretize(problem, network, settings)


@pytest.mark.parametrize("boundary", ["exact", "penalty"])
def test_data_that_disagree_at_a_corner_are_refused_where_they_would_have_to_be_exact(boundary):
    walls = kp.Dirichlet(SQUARE.boundary["x_min", "x_max", "y_min"], 0.0)
    lid = kp.Dirichlet(SQUARE.boundary["y_max"], 1.0)
    problem = laplace(walls, lid)
    if boundary == "penalty":
        with pytest.warns(UserWarning, match="u disagree by 1 at x = 0, y = 1, where x_min meets"):
            assert len(put_together(problem, boundary).terms()) == 3
        return
    with pytest.raises(kp.InputError, match=r'"penalty": the values prescribed for u disagree'):
        put_together(problem, boundary)


def test_data_that_agree_are_met_exactly_face_by_face():
    linear = lambda p: p.x + 2 * p.y  # noqa: E731
    faces = [kp.Dirichlet(SQUARE.boundary[name], linear) for name in SQUARE.boundary.names]
    surrogate = put_together(laplace(*faces)).surrogate
    points = SQUARE.boundary.quadrature(5)[0]
    torch.testing.assert_close(surrogate(points), linear(points), rtol=0, atol=1e-14)


@pytest.mark.filterwarnings("ignore:.* unless its conditions agree")
def test_two_conditions_on_one_face_are_refused():
    for value, words in ((0.0, "two conditions prescribe u on x_min"), (1.0, "disagree .* x_min")):
        twice = kp.Dirichlet(SQUARE.boundary), kp.Dirichlet(SQUARE.boundary["x_min"], value)
        with pytest.raises(kp.InputError, match=words):
            put_together(laplace(*twice))


def test_the_boundary_term_is_one_mean_however_the_conditions_are_split():
    """A condition for each face weighs as much as one for the whole boundary."""
    points = kp.Collocation(16, 40)
    whole = put_together(laplace(kp.Dirichlet(SQUARE.boundary, 1.0)), "penalty", points=points)
    split = [kp.Dirichlet(SQUARE.boundary[name], 1.0) for name in SQUARE.boundary.names]
    parts = put_together(laplace(*split), "penalty", points=points)
    assert sum(b.weight for b in parts.terms()[1:]) == pytest.approx(whole.terms()[1].weight)


def test_the_default_points_are_enough_for_the_output_layer():
    network = kp.KAN([2, 100, 1], degree=9, grid=20)
    assert default_points(network).interior >= network.layers[-1].coefficients.numel()


def test_resampling_is_refused_where_a_method_needs_the_same_points():
    points = kp.Collocation(16, 8, "uniform", resample=1)
    with pytest.raises(kp.InputError, match="resample must be 0"):
        problem = laplace(kp.Dirichlet(SQUARE.boundary))
        kp.solve(problem, kp.KAN([2, 2, 1]), kp.VariableProjection(), points)


@pytest.mark.parametrize("years", [1e-3, 1.0, 1e3])
def test_the_shares_of_boundary_points_do_not_depend_on_units(years):
    domain = kp.Box(price=(0, 300), t=(0, years))
    ends = kp.Dirichlet(domain.boundary["price_min", "price_max"], 0.0)
    problem = laplace(ends, kp.Initial(domain, 0.0), domain=domain, needs_conditions=False)
    made = put_together(problem, "penalty", points=kp.Collocation(100, 90))
    sides, start = made.points()[1:]
    assert len(sides) == 60 and len(start) == 30
    assert int((sides.price == 0).sum()) == 30


PLANE = kp.Poisson(kp.Box(x=(0, 1), y=(0, 1)), exact="sin(3*x) * exp(y)")


@pytest.mark.parametrize(
    ("network", "width"),
    [
        (kp.KAN(hidden=[16], degree=7), (2, 16, 1)),
        (kp.MLP(hidden=[40]), (2, 40, 1)),
        (kp.Cells(degree=6), (2, 1)),
    ],
)
def test_a_width_that_is_left_out_follows_from_the_problem(network, width):
    solution = kp.solve(PLANE, network, tolerance=1e-3)
    assert solution.network is network and network.width == width
    assert solution.outcome is kp.Outcome.CONVERGED and solution.errors.l2_relative < 1e-3


def test_a_tolerance_that_is_not_reached_is_said():
    solution = kp.solve(PLANE, kp.KAN(hidden=[2]), tolerance=1e-12)
    assert solution.outcome == "stopped" and "above the tolerance 1.0e-12" in solution.status


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: kp.KAN(), "width, .*, or hidden"),
        (lambda: kp.KAN([2, 1], hidden=[4]), "got width .2, 1. and hidden .4."),
        (lambda: kp.KAN(hidden=[4]).to(torch.float32), "give it a dtype or a width"),
        (lambda: kp.solve(PLANE, verified=False), "verified=False needs a network"),
        (
            lambda: kp.solve(PLANE, loss=kp.Loss(form="energy")),
            "loss must be left out without a network",
        ),
        (lambda: kp.solve(PLANE, kp.KAN(hidden=[4]), tolerance=0), "tolerance must be"),
    ],
)
def test_widths_and_settings_that_do_not_go_together_are_refused(call, words):
    with pytest.raises(kp.InputError, match=words):
        call()
