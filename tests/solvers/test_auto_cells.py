"""Automatic solves by networks in cells, where one network cannot resolve what is local."""

import math

import pytest
import torch
from cases import OnWalls, ZeroOnWalls, error_of

import kanpinn as kp
from kanpinn.jets import Channels
from kanpinn.solvers.auto.choices import Steepness, Traits, families, first_choice
from kanpinn.solvers.auto.search import Trial, forecast, judge, judged_alone, start
from kanpinn.solvers.discretization import discretize
from kanpinn.spaces.cells.cells import Cells
from kanpinn.tasks.adaptive import SolvePace


class Equation(OnWalls):
    """-a Δu + b u_x + c u = f on a rectangle of the width 2, with u = exp(-s |x|²)."""

    domain = kp.Box(x=(-1, 1), y=(-0.5, 0.5))
    a, b, c, s = 1.0, 0.0, 0.0, 1.0

    def exact(self, p):
        return torch.exp(-self.s * (p.x**2 + p.y**2))

    def residual(self, p, u):
        left = -self.a * kp.laplacian(u) + self.b * kp.partial(u, "x") + self.c * u.value
        return left - self.source(p)


def equation(**values):
    made = Equation()
    vars(made).update(values)
    return made


def test_sizes_of_terms_tell_waves_and_layers():
    found = Steepness.of(equation(a=0.01, b=3.0, c=-400.0))
    assert found.waves == pytest.approx(math.sqrt(400 / 0.01) * 2)
    assert found.convection == pytest.approx(3 / 0.01 * 2)
    assert found.is_steep and not Steepness.of(equation()).is_steep


def test_cells_are_tried_first_for_many_waves():
    assert first_choice(equation()).kind is kp.KAN
    choice = first_choice(equation(c=-(30.0**2)))
    assert choice.kind is Cells
    per_cell = 60 / choice.arguments["cells"]
    assert choice.arguments["degree"] >= per_cell + 10


def test_evolutions_in_domains_of_the_plane_are_marched_in_cells_first():
    ring, square = kp.Annulus((0, 0), 0.5, 1), kp.Box(x=(0, 1), y=(0, 1), t=(0, 1))
    assert first_choice(kp.Wave(ring.over(t=(0, 1)), exact="sin(x + t)")).kind is kp.CellWindows
    assert first_choice(kp.Heat(square, exact="exp(-t) * sin(x)")).kind is kp.Windows


def test_times_are_forecast_from_networks_of_the_same_class():
    smooth, cells = (one.choices[0] for one in [*families(Traits(equation()))][:2])
    solution = kp.solve(equation(), kp.KAN([2, 4, 1]), kp.LeastSquares(), verified=False)
    assert forecast(smooth, Trial(smooth, solution, 1.0)) > 0.0
    assert forecast(cells, Trial(smooth, solution, 1.0)) == 0.0
    assert forecast(smooth, Trial(cells, solution, 1.0)) == math.inf


def test_other_problems_take_cells_after_one_network():
    names = [family.name for family in families(Traits(equation()))]
    assert names[:2] == ["random inner functions", "cells"]


def test_waves_are_solved_by_cells():
    solution = kp.solve(equation(c=-(12.0**2), s=10.0), tolerance=1e-6, budget=60)
    assert isinstance(solution.network, Cells) and solution.success
    assert error_of(solution) < 1e-6
    assert solution.log[0].startswith("Cells with")


def with_interface(interface, **values):
    """The equation with a coefficient of 10 on one side of an interface."""

    class Divided(Equation):
        def ratio(self, p):
            inside = p.x**2 + p.y**2 < 0.3**2
            return torch.where(inside, p.x.new_tensor(10.0), 1.0)

        def residual(self, p, u):
            return self.ratio(p) * kp.laplacian(u)

        def exact(self, p):
            square = p.x**2 + p.y**2
            outer = p.x * (1 - 9 / 11 * 0.3**2 / square)
            return torch.where(square < 0.3**2, 2 / 11 * p.x, outer)

        def conditions(self):
            return [*super().conditions(), kp.Interface(self.domain, interface, self.ratio)]

    made = Divided()
    vars(made).update(values)
    return made


DISK = kp.Disk((0, 0), 0.3).boundary


def test_cells_are_first_where_a_coefficient_jumps():
    assert first_choice(with_interface(DISK)).kind is Cells
    kinked = with_interface(DISK, inputs=lambda: lambda p: torch.cat([p.x, p.y, p.x], dim=1))
    assert first_choice(kinked).kind is Cells  # which needs no input with a kink
    open_end = kp.Box(x=(-0.2, 0.2), y=(-0.2, 0.2)).boundary["x_max"]
    assert not Traits(with_interface(open_end)).takes_cells
    solution = kp.solve(with_interface(DISK), tolerance=1e-4, budget=60)
    assert isinstance(solution.network, Cells) and error_of(solution) < 1e-4


def test_domains_in_the_plane_take_cells_too():
    problem = equation(domain=kp.Box(x=(-1, 1), y=(-1, 1)) - kp.Disk((0.2, 0.1), 0.1))
    assert "cells" in [family.name for family in families(Traits(problem))]


def test_solids_take_cells_after_a_few_networks_or_first_at_edges_that_point_inwards():
    cube = kp.Box(x=(0, 1), y=(0, 1), z=(0, 1))
    found = list(families(Traits(equation(domain=cube - kp.Ball((0, 0, 0), 0.5)))))
    assert [family.name for family in found][:2] == ["random inner functions", "cells"]
    assert len(found[0].choices) == 3 and found[2].name == "random inner functions, more units"
    bent = equation(domain=cube - kp.Box(x=(0.5, 1), y=(0, 1), z=(0.5, 1)))
    assert first_choice(bent).kind is Cells
    assert not Traits(equation(domain=kp.Disk((0, 0), 1).over(t=(0, 1)))).takes_cells


def test_cells_are_first_around_small_holes():
    square = kp.Box(x=(-1, 1), y=(-1, 1))
    kinds = [
        first_choice(equation(domain=square - kp.Disk((0.2, 0.1), radius))).kind
        for radius in (0.02, 0.3)
    ]
    assert kinds == [Cells, kp.KAN]


class CubicInL(ZeroOnWalls):
    """-Δu + u³ = 1 in an L, u = 0 on its sides: u is singular at the corner."""

    domain = kp.LShape()

    def residual(self, p, u):
        return u.value**3 - kp.laplacian(u) - 1


def test_a_trial_in_cells_starts_from_the_solution_before_and_its_functions_of_corners():
    # Newton's method did not converge from the polynomials alone.
    problem, cells = CubicInL(), kp.Cells([2, 1], 6, 4)
    choice = next(f for f in families(Traits(problem)) if f.name == "cells").choices[0]
    known = kp.solve(problem, kp.Cells([2, 1], 6, 4), kp.AdaptiveLeastSquares(1e-3))
    discretization = discretize(problem, cells, choice.settings("auto"), 0)
    start(discretization, Trial(choice, known, 1.0))
    points = problem.domain.gauss(400)
    found = discretization.surrogate.evaluate(points, Channels(("x", "y"))).value
    assert torch.allclose(found, known(points), atol=1e-13)
    assert known.network.corners is not None


class Three(OnWalls):
    """Three harmonic functions, of which the errors of two count."""

    domain, fields = kp.Box(x=(0, 1), y=(0, 1)), ("u", "v", "w")
    error_fields = ("u", "v")

    def residual(self, p, u, v, w):
        return kp.laplacian(u), kp.laplacian(v), kp.laplacian(w)

    def exact(self, p):
        u = torch.exp(p.x) * torch.sin(p.y)
        return u, 3 * u, 20 * u


def test_absolute_errors_of_a_first_trial_are_those_of_the_fields_that_count():
    problem, cells = Three(), kp.Cells([2, 3], degree=4, cells=2)
    solution = kp.solve(problem, cells, kp.AdaptiveLeastSquares(tolerance=1e-3))
    trial = judged_alone(Trial(first_choice(problem), solution, seconds=0.1))
    estimated, true = trial.solution.estimate.errors, solution.errors
    sizes = [errors.l2 / errors.l2_relative for errors in (estimated, true)]
    assert sizes[0] == pytest.approx(sizes[1], rel=1e-2)


class Notch(OnWalls):
    """Laplace's equation on the L-shape, u = r^(2/3) sin(2θ/3)."""

    domain = kp.LShape()
    corner = kp.Corner(domain, (0, 0), 1)

    def exact(self, p):
        return self.corner(p)

    def residual(self, p, u):
        return kp.laplacian(u)


def test_corners_that_point_inwards_take_cells_with_the_estimates_of_their_solves():
    # Residuals grow without limit towards the corner, so they do not tell the error.
    assert first_choice(Notch()).kind is Cells
    solution = kp.solve(Notch(), tolerance=1e-4, budget=60)
    assert solution.success
    estimated, true = solution.estimate.errors, solution.errors
    assert 1 / 3 < estimated.l2_relative / true.l2_relative < 3
    assert math.isnan(estimated.h1_relative) and "H1" not in str(solution.estimate)


def test_the_same_solution_found_again_has_the_error_that_its_solve_estimates():
    problem = kp.Poisson(kp.Box(x=(0, 1), y=(0, 1)), exact="sin(x)*exp(y)")
    solution = kp.solve(problem, kp.Cells([2, 1], 12, 2), kp.AdaptiveLeastSquares(1e-4))
    trial = Trial(first_choice(problem), solution, seconds=0.1)
    verdict = judge(trial, trial)
    assert verdict.first.error == verdict.second.error == trial.own_error > 0


def test_a_search_that_ends_early_does_not_say_that_its_budget_ended_it():
    corner = kp.Polygon([(0, 0), (1, 0), (1, 0.5), (0.5, 0.5), (0.5, 1), (0, 1)])
    problem = kp.Poisson(corner, exact="sin(3*x + 1) * exp(y)")
    solution = kp.solve(problem, tolerance=1e-16, budget=1000)
    assert solution.seconds < 500
    assert "above the tolerance" in solution.status and "budget" not in solution.status


def test_an_error_that_no_comparison_has_confirmed_does_not_converge(monkeypatch):
    too_late = SolvePace.too_late
    monkeypatch.setattr(SolvePace, "too_late", lambda pace, system, _: too_late(pace, system, 0.0))
    exact = "exp(-300*((x - 0.3)**2 + (y - 0.6)**2))"
    solution = kp.solve(kp.Poisson(kp.Box(x=(0, 1), y=(0, 1)), exact=exact), tolerance=1e-6)
    assert solution.estimate.errors.l2_relative < 1e-6
    assert solution.status.startswith("stopped: the estimated relative L2 error")
    assert solution.status.endswith("but no comparison with a better solution has confirmed it")
