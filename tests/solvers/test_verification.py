"""The residual at points that no step has seen: what is overfitted is said, what is good passes."""

import json
import math

import pytest
import torch
from cases import Cubic, Known, Line
from typer.testing import CliRunner

import kanpinn as kp
from kanpinn.cli import app
from kanpinn.solvers.fresh_points import _rows, verify
from kanpinn.solvers.steep_data import steep_places


class Spike(kp.Problem):
    """-u'' = π² sin πx + 2 g(x), g a Gaussian of area 1 about 0.537: u bends there by 2."""

    domain = kp.Box(x=(0, 1))

    def __init__(self, width: float = 1e-5, at: float = 0.537) -> None:
        self.width, self.at = width, at

    def source(self, p):
        peak = torch.exp(-(((p.x - self.at) / self.width) ** 2)) / self.width / math.sqrt(math.pi)
        return math.pi**2 * torch.sin(math.pi * p.x) + 2 * peak

    def residual(self, p, u):
        return -kp.laplacian(u) - self.source(p)

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, 0.0)]


class Jump(kp.Problem):
    """a u'' = 1 with a coefficient that jumps from 1 to 50 at 0.3."""

    domain = kp.Box(x=(0, 1))

    def residual(self, p, u):
        return torch.where(p.x < 0.3, 1.0, 50.0) * kp.laplacian(u) - 1

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, 0.0)]


def solve(problem, points=None, width=24, **settings):
    network = kp.KAN([problem.domain.dim, width, 1], degree=7, grid=[4, 8], seed=0)
    return kp.solve(problem, network, points=points, **settings)


@pytest.mark.parametrize("problem", [Line(), Cubic(), Known()])
@pytest.mark.parametrize("boundary", ["exact", "penalty"])
def test_a_good_solve_passes(problem, boundary):
    solution = solve(problem, boundary=boundary)
    found = solution.verification
    assert solution.status == "converged" and solution.success
    assert found.growth < 3 and not found.overfitted
    assert found.error <= 0.2 * found.fresh
    assert found.points >= 1024 * 0.9


@pytest.mark.parametrize(("width", "points"), [(1e-4, 100), (1e-5, 1000)])
def test_a_spike_between_the_points_is_seen(width, points):
    solution = solve(Spike(width), kp.Collocation(points, 2), width=4)
    assert solution.status.startswith("overfitted: the mean squared residual is ")
    assert f"{points} + 2 points" in solution.status and not solution.success
    assert solution.verification.where["x"] == pytest.approx(0.537, abs=4 * width)
    estimate = kp.estimate_error(solution)
    assert estimate.errors is None and "near x = 0.5" in estimate.reason


def test_more_unknowns_than_points_are_overfitted():
    solution = solve(Known(), kp.Collocation(150, 40))
    assert solution.verification.growth > 100
    assert solution.status.startswith("overfitted: ") and "for 888 parameters" in solution.status
    assert kp.estimate_error(solution).errors is None


def test_the_loss_at_fresh_points_is_the_mean_over_the_domain():
    solution = solve(Known(), kp.Collocation(900, 120), width=6, boundary="penalty")
    points, weights = solution.problem.domain.quadrature(64)
    exact = float(weights @ solution.residual(points).square().sum(dim=1)) / float(weights.sum())
    found = solution.verification
    assert found.interior == pytest.approx(exact, abs=4 * found.error)
    assert found.fresh == pytest.approx(found.interior + found.boundary)
    assert found.loss({"interior": 2.0, "boundary": 0.5}) == pytest.approx(
        2 * found.interior + 0.5 * found.boundary
    )


def test_rounding_errors_are_told_from_others():
    class Parabola(kp.Problem):
        domain = kp.Box(x=(0, 1))

        def residual(self, p, u):
            return kp.laplacian(u) - 2

        def conditions(self):
            return [kp.Dirichlet(self.domain.boundary, self.exact)]

        def exact(self, p):
            return p.x**2

    assert solve(Parabola()).verification.is_rounding
    assert not solve(Line(), width=2).verification.is_rounding


def test_a_residual_that_is_not_finite_somewhere_is_said():
    class Pole(Spike):
        def source(self, p):
            return torch.where((p.x - 0.4).abs() < 2e-3, math.inf, 1.0)

    solution = solve(Pole(), kp.Collocation(20, 2), width=2)
    assert "overfitted: the residual is not finite near x = 0.4" in solution.status


def test_verification_changes_nothing():
    solution = solve(Known(), kp.Collocation(400, 80))
    before = {name: value.clone() for name, value in solution.network.state_dict().items()}
    state = torch.get_rng_state()
    again = verify(solution.discretization, solution.residuals, solution.loss_terms)
    assert torch.equal(state, torch.get_rng_state())
    after = solution.network.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    first = solution.verification
    assert (again.own, again.fresh, again.rounding) == (first.own, first.fresh, first.rounding)


def test_steep_data_are_found():
    for problem, place in ((Spike(1e-4), 0.537), (Jump(), 0.3)):
        solution = solve(problem, kp.Collocation(300, 2), width=2)
        places = steep_places(solution.discretization, solution.residuals.terms[0])
        assert len(places) and float((places - place).abs().max()) < 5e-4
    smooth = solve(Known(), width=2)
    assert not len(steep_places(smooth.discretization, smooth.residuals.terms[0]))


def test_measurements_are_not_verified():
    class Measured(Line):
        def conditions(self):
            at = torch.linspace(-1, 2, 9, dtype=torch.float64)[:, None]
            noise = 0.5 * torch.randn(9, 1, generator=torch.Generator().manual_seed(1)).double()
            values = torch.sin(2 * at) + at + noise
            return [*super().conditions(), kp.Observed(self.domain, at, values)]

    found = solve(Measured()).verification
    assert found.boundary == 0 and not found.overfitted


def test_energies_have_no_residual():
    class Energy(kp.Problem):
        domain = kp.Box(x=(0, 1))

        def residual(self, p, u):
            return kp.laplacian(u) + 1

        def energy(self, p, u):
            return kp.partial(u, "x") ** 2 / 2 - u.value

        def conditions(self):
            return [kp.Dirichlet(self.domain.boundary, 0.0)]

    assert solve(Energy(), form="energy").verification is None


FILE = """
[problem]
class = "spike.py:Spike"

[network]
type = "kan"
width = [1, 8, 1]
degree = 5
grid = 4

[points]
interior = 100
boundary = 2

[run]
estimate = true
tolerance = 1e-3
"""
SPIKE = """
import torch
import kanpinn as kp


class Spike(kp.Problem):
    domain = kp.Box(x=(0, 1))

    def residual(self, p, u):
        return -kp.laplacian(u) - 1 - 1e4 * torch.exp(-(((p.x - 0.537) / 1e-4) ** 2))

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, 0.0)]
"""


def test_the_command_line_exits_with_1_and_run_json_says_why(tmp_path):
    (tmp_path / "spike.py").write_text(SPIKE)
    (tmp_path / "spike.toml").write_text(FILE)
    arguments = ["solve", str(tmp_path / "spike.toml"), "--output", str(tmp_path / "out")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1
    assert done.output.count("overfitted: ") == done.output.count("no step has seen") == 1
    (folder,) = (tmp_path / "out" / "spike").iterdir()
    record = json.loads((folder / "run.json").read_text())
    assert record["success"] is False and record["status"].startswith("overfitted: ")
    assert record["estimate"]["l2_relative"] is None and record["estimate"]["reason"]
    assert record["verification"]["fresh"] > 1e3 * record["verification"]["own"]
    loaded = kp.load(folder)
    assert loaded.verification.where["x"] == pytest.approx(0.537, abs=1e-3)
    assert loaded.estimate.errors is None and not loaded.success


class Inverse(kp.Problem):
    """u'' + 1/u = f with a narrow source: the equation is singular at u = 0."""

    domain = kp.Box(x=(0, 1))

    def residual(self, p, u):
        return kp.laplacian(u) + u**-1 - 1 - 2e4 * torch.exp(-(((p.x - 0.537) / 1e-4) ** 2))

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, 1.0)]


class Thin(kp.Problem):
    """Δu = 1 + sin 40x between two circles that nearly touch."""

    def __init__(self, thickness: float) -> None:
        self.domain = kp.Annulus((0, 0), 1 - thickness, 1.0)

    def residual(self, p, u):
        return kp.laplacian(u) - 1 - torch.sin(40 * p.x)

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, 0.0)]


def test_an_equation_that_is_singular_for_zero_is_verified_too():
    found = solve(Inverse(), kp.Collocation(100, 2), width=4).verification
    assert found.overfitted and math.isfinite(found.negligible)


@pytest.mark.parametrize("thickness", [1e-2, 5e-4])
def test_thin_domains_are_verified(thickness):
    found = solve(Thin(thickness), kp.Collocation(300, 60), width=8).verification
    assert found.points > 900 and math.isfinite(found.fresh)


@pytest.mark.parametrize("weights", [{"boundary": 0.0}, {"interior": 0.0}])
def test_terms_without_weight_do_not_count(weights):
    solution = solve(Known(), boundary="penalty", weights=weights)
    found, (name,) = solution.verification, weights
    part = {"boundary": found.interior, "interior": found.boundary}[name]
    assert found.fresh == pytest.approx(part)


def test_a_misfit_on_the_boundary_is_placed_there():
    class Peak(kp.Problem):
        domain = kp.Box(x=(0, 1), y=(0, 1))

        def residual(self, p, u):
            return kp.laplacian(u)

        def conditions(self):
            def peak(p):
                return torch.exp(-(((p.x - 0.5371) / 3e-3) ** 2)) * (p.y < 1e-9)

            return [kp.Dirichlet(self.domain.boundary, peak)]

    solution = solve(Peak(), kp.Collocation(400, 40), width=8, boundary="penalty")
    assert solution.verification.on_boundary
    assert "most of all on the boundary" in solution.verification.words


def test_a_solution_that_was_not_verified_is_verified_for_its_estimate():
    solution = solve(Spike(1e-5), kp.Collocation(1000, 2), width=4, verified=False)
    assert solution.verification is None and solution.status == "converged"
    assert kp.estimate_error(solution).errors is None


def test_many_coordinates_have_no_place():
    class Many(kp.Problem):
        domain = kp.Box(**{f"x{i}": (0, 1) for i in range(11)})

        def residual(self, p, u):
            return kp.laplacian(u) - 1

        def conditions(self):
            return [kp.Dirichlet(self.domain.boundary, 0.0)]

    network = kp.KAN([11, 4, 1], degree=3, grid=2, seed=0)
    solution = kp.solve(Many(), network, points=kp.Collocation(20, 4, "sobol"))
    assert solution.status.startswith("overfitted") and "near" not in solution.status
    assert solution.verification.points == 2048


def test_boxes_outside_the_domain_add_no_residuals():
    solution = kp.solve(Line(), kp.KAN([1, 2, 1], degree=4, grid=2))
    term = solution.residuals.terms[0]
    assert _rows(term, solution.surrogate, term.points[:0]).shape == (0, 1)
