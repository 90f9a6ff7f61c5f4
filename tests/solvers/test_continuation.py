"""Continuation: hard problems from easy ones, folds beyond which nothing is, bad input."""

import math

import pytest
import torch
from cases import ZeroOnWalls

import kanpinn as kp

FOLD = 3.513830719  # Bratu's: there is no solution for a larger rate (Frank-Kamenetskii 1955)


class Shock(kp.Problem):
    """ν u'' = u u' on [-1, 1], u(±1) = ∓a tanh(a/2ν): u = -a tanh(ax/2ν), a layer as wide as ν."""

    domain = kp.Box(x=(-1, 1))

    def __init__(self, viscosity: float = 0.02) -> None:
        self.viscosity = viscosity

    def residual(self, p, u):
        return self.viscosity * kp.laplacian(u) - u.value * kp.partial(u, "x")

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, lambda p: -torch.sign(p.x))]


class MovedShock(kp.Problem):
    """ν u'' + u u' = u on [0, 1], u = -7/6 and 3/2 at the ends: a layer that has to be found.

    Left of it u = x - 7/6, right of it u = x + 1/2, up to what is exponentially small; it is where
    these are opposite, at x = 1/3 (Kevorkian and Cole, section 2.5).
    """

    domain = kp.Box(x=(0, 1))

    def __init__(self, viscosity: float = 0.01) -> None:
        self.viscosity = viscosity

    def residual(self, p, u):
        steepening = u.value * (kp.partial(u, "x") - 1)
        return self.viscosity * kp.laplacian(u) + steepening

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, lambda p: 8 / 3 * p.x - 7 / 6)]


class Bratu(ZeroOnWalls):
    """u'' + rate·exp(u) = 0 on [0, 1], u = 0 at both ends."""

    domain = kp.Box(x=(0, 1))

    def __init__(self, rate: float = 3.0) -> None:
        self.rate = rate

    def residual(self, p, u):
        return kp.laplacian(u) + self.rate * torch.exp(u.value)


def solve(problem, optimizer, grid=100, **settings):
    network = kp.KAN([1, 1], degree=6, grid=grid, seed=0)
    points = kp.Collocation(3 * max(grid, 100), 2, "gauss")
    return kp.solve(problem, network, optimizer, points, **settings)


def shock_error(solution):
    x = torch.linspace(-1, 1, 401, dtype=torch.float64)[:, None]
    exact = -torch.tanh(x / (2 * solution.problem.viscosity))
    return float((solution(x) - exact).norm() / exact.norm())


def test_continuation_finds_it():
    solution = solve(Shock(), kp.Continuation("viscosity", 1.0))
    assert solution.status == "converged"
    assert shock_error(solution) < 1e-3
    rows = solution.history.rows[1:]
    assert rows[0]["parameter"] == 1.0 and rows[-1]["parameter"] == 0.02
    assert rows[-1]["loss"] < 1e-3 * rows[0]["loss"]
    assert not all(row["solved"] for row in rows)  # it had to shorten a step


def test_continuation_gets_where_newton_does_not():
    x = torch.tensor([[0.1], [0.2], [1 / 3], [0.5], [0.9]], dtype=torch.float64)
    exact = torch.cat([x[:2] - 7 / 6, 0 * x[2:3], x[3:] + 1 / 2])
    stuck = solve(MovedShock(), kp.LeastSquares(20), grid=100)
    assert stuck.history.rows[-1]["loss"] > 1e-4
    assert (stuck(x) - exact).abs().max() > 0.1
    found = solve(MovedShock(), kp.Continuation("viscosity", 1.0), grid=150)
    assert found.status == "converged"
    assert found.history.rows[-1]["loss"] < 1e-6
    assert (found(x) - exact).abs().max() < 1e-3


def test_a_fold_ends_it_and_the_run_where_it_is():
    """The stage after the continuation is not reached."""
    optimizers = [kp.Continuation("rate", 1.0), kp.LevenbergMarquardt(5)]
    solution = solve(Bratu(5.0), optimizers, grid=8)
    assert "diverging continuation, no solution found beyond rate = 3." in solution.status
    assert "on the way to 5, where Newton's method fails: it" in solution.status
    assert solution.status.startswith("failed: diverging continuation")
    assert solution.status.endswith("that state is kept")
    solved = [row for row in solution.history.rows[1:] if row["solved"]]
    assert FOLD - 0.05 < solved[-1]["parameter"] < FOLD + 0.002
    # At the fold the solution's largest value is 1.187.
    assert 1.0 < float(solution(torch.tensor([[0.5]], dtype=torch.float64))) < 1.2


def test_a_start_that_fails_is_said():
    solution = solve(Bratu(6.0), kp.Continuation("rate", 5.0), grid=8)
    assert "failed: diverging continuation, Newton's method fails at rate = 5:" in solution.status


def test_what_settles_too_high_is_called_that():
    solution = solve(Bratu(5.0), kp.Continuation("rate", 4.0), grid=8)
    assert "it settles at 0.05 of the zero function's loss, more than 0.01" in solution.status


def test_a_limit_on_the_way_ends_the_run_and_says_how_far_it_got():
    optimizers = [kp.Continuation("rate", 0.1, steps=2), kp.LevenbergMarquardt(5)]
    solution = solve(Bratu(3.0), optimizers, grid=8)
    assert (
        solution.status
        == "stopped: limit of 2 steps, reached rate = 0.234 of 3; more steps may help"
    )
    assert solution.history.steps == 2


def test_the_way_is_geometric_between_values_of_one_sign():
    solution = solve(Bratu(3.0), kp.Continuation("rate", 0.0), grid=8)
    parameters = [row["parameter"] for row in solution.history.rows[1:]]
    assert parameters[:2] == [0.0, 0.75]
    solution = solve(Bratu(3.0), kp.Continuation("rate", 0.3), grid=8)
    assert solution.history.rows[2]["parameter"] == pytest.approx(0.3 * 10**0.25)
    assert solution.status == "converged"


def in_cells(problem, parameter, *methods, **settings):
    """The solution by continuation from the value 1 in cells, and by further methods."""
    network = kp.Cells([1, 1], 8, 4)
    methods = [kp.Continuation(parameter, 1.0), *methods]
    return kp.solve(problem, network, methods, verified=False, **settings)


def test_adaptive_least_squares_go_on_from_the_cells_of_a_continuation():
    solution = in_cells(MovedShock(0.015), "viscosity", kp.AdaptiveLeastSquares(1e-5))
    assert solution.status == "converged"
    x = torch.tensor([[0.1], [1 / 3], [0.5], [0.9]], dtype=torch.float64)
    exact = torch.cat([x[:1] - 7 / 6, 0 * x[1:2], x[2:] + 1 / 2])
    assert (solution(x) - exact).abs().max() < 1e-4
    tree = solution.network.tree
    smallest = ((tree.low + tree.widths / 2 + 1) / 2)[tree.level[:, 0] == tree.level.max()]
    assert (smallest - 1 / 3).abs().max() < 0.15


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: kp.Continuation("not a name", 1.0), "parameter must be the name"),
        (lambda: kp.Continuation("rate", True), "initial must be a finite number, got True"),
        (lambda: kp.Continuation("rate", math.nan), "initial must be a finite number, got nan"),
        (lambda: kp.Continuation("rate", 1.0, solves=1), "solves must be an integer of at least 2"),
        (
            lambda: solve(Bratu(), kp.Continuation("speed", 1.0)),
            "Bratu has no parameter 'speed': its attributes that are numbers are rate",
        ),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(kp.InputError, match=message):
        make()
