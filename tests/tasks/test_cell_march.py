"""Marches with cells in space: errors beside their estimates, moving cells, resuming, refusals."""

import copy
import dataclasses
import math
from typing import ClassVar

import pytest
import torch

import kanpinn as kp
from kanpinn.geometry import Points
from kanpinn.geometry.sampling import sample
from kanpinn.tasks import cell_march
from kanpinn.tasks.window import solve_window

F = torch.float64


def walls_of(domain):
    """The boundary in space, at all times."""
    names = [piece.name for piece in domain.boundary.pieces]
    return domain.boundary[tuple(name for name in names if name not in ("initial", "final"))]


class Heat(kp.Problem):
    """u_t = Δu + f in a disk with a hole; the solution is a sum of two products."""

    domain = (kp.Disk((0, 0), 1.0) - kp.Disk((0.3, 0.2), 0.25, name="hole")).over(t=(0, 0.1))

    def residual(self, p, u):
        source = torch.sin(3 * p.x + p.y) * (4 * torch.cos(4 * p.t) + 10 * torch.sin(4 * p.t))
        return kp.partial(u, "t") - kp.partial(u, "x", "x") - kp.partial(u, "y", "y") - source

    def conditions(self):
        return [
            kp.Initial(self.domain, self.exact),
            kp.Dirichlet(walls_of(self.domain), self.exact),
        ]

    def exact(self, p):
        wave = torch.sin(4 * p.t) * torch.sin(3 * p.x + p.y)
        return wave + torch.exp(-2 * p.t) * torch.cos(p.x) * torch.cos(p.y)


class Notch(Heat):
    """u_t = Δu + f on the L-shape, with a singular solution (1 + sin t) r^(2/3) sin(2 φ / 3)."""

    domain = kp.LShape().over(t=(0, 1))

    def residual(self, p, u):
        source = torch.cos(p.t) * self.singular(p)
        return kp.partial(u, "t") - kp.partial(u, "x", "x") - kp.partial(u, "y", "y") - source

    def singular(self, p):
        turn = 0.2  # the discontinuity of the angle lies outside
        angle = torch.remainder(torch.atan2(p.y, p.x) - math.pi / 2 + turn, 2 * math.pi) - turn
        return (p.x**2 + p.y**2) ** (1 / 3) * torch.sin(2 * angle / 3)

    def exact(self, p):
        return (1 + torch.sin(p.t)) * self.singular(p)


class Wave(kp.Problem):
    """u_t + u u_x = ν u_xx + f, periodic, with u = 1 + sin π(x - t) / 2; and w = u²."""

    domain = kp.Box(x=(-1, 1), t=(0, 1))
    fields = ("u", "w")

    def residual(self, p, u, w):
        phase = math.pi * (p.x - p.t)
        slope, bend = math.pi / 2 * torch.cos(phase), -(math.pi**2) / 2 * torch.sin(phase)
        source = -slope + (1 + torch.sin(phase) / 2) * slope - 0.05 * bend
        flow = kp.partial(u, "t") + u.value * kp.partial(u, "x") - 0.05 * kp.partial(u, "x", "x")
        return flow - source, w.value - u.value**2

    def conditions(self):
        return [kp.Initial(self.domain, self.start, field="u"), kp.Periodic(self.domain, "x")]

    def start(self, p):
        return 1 + torch.sin(math.pi * p.x) / 2

    def exact(self, p):
        u = 1 + torch.sin(math.pi * (p.x - p.t)) / 2
        return torch.cat([u, u**2], dim=1)


def solved(problem, network, tolerance, **settings):
    """The solution."""
    march = kp.March(tolerance=tolerance)
    return kp.solve(problem, network, march, errors=False, verified=False, **settings)


def error_of(solution):
    """The relative errors of all fields, and the estimated one."""
    p = sample(solution.problem.domain, 2000, "sobol")
    wanted = solution.problem.exact(p)
    errors = (solution(p.coords) - wanted).norm(dim=0) / wanted.norm(dim=0)
    return errors, solution.history.rows[-1]["estimated_error"]


@pytest.mark.parametrize(
    ("problem", "tolerance", "degree"), [(Heat(), 1e-4, 5), (Notch(), 1e-2, 4)]
)
def test_errors_are_those_that_are_estimated(problem, tolerance, degree):
    solution = solved(problem, kp.CellWindows([3, 1], degree, 1), tolerance)
    (error,), estimated = error_of(solution)
    assert solution.status == "converged"
    assert error < tolerance
    assert estimated / 3 < error < 3 * estimated


def test_nonlinear_system_with_an_algebraic_field_and_a_period():
    network = kp.CellWindows([2, 2], degree=10, cells=4)
    solution = solved(Wave(), network, 1e-7)
    errors, estimated = error_of(solution)
    assert solution.status == "converged"
    assert errors.max() < 1e-7
    assert errors.max() < 3 * estimated
    ends = torch.tensor([[-1.0, 0.3], [1.0, 0.3]], dtype=F)
    first, last = solution(ends)
    assert torch.allclose(first, last, atol=1e-7, rtol=0)


class Swirl(kp.Problem):
    """Decaying Taylor-Green vortices around a hole, a solution of the Navier-Stokes equations."""

    domain = (kp.Box(x=(0, 1), y=(0, 1)) - kp.Disk((0.4, 0.5), 0.2, name="hole")).over(t=(0, 0.2))
    fields, error_fields, free_constant = ("u", "v", "q"), ("u", "v"), ("q",)
    viscosity = 0.01

    def residual(self, p, u, v, q):
        def carried(w):
            advection = u.value * kp.partial(w, "x") + v.value * kp.partial(w, "y")
            diffusion = kp.partial(w, "x", "x") + kp.partial(w, "y", "y")
            return kp.partial(w, "t") + advection - self.viscosity * diffusion

        divergence = kp.partial(u, "x") + kp.partial(v, "y")
        return carried(u) + kp.partial(q, "x"), carried(v) + kp.partial(q, "y"), divergence

    def conditions(self):
        walls = walls_of(self.domain)
        parts = {name: lambda p, i=i: self.exact(p)[:, [i]] for i, name in enumerate("uv")}
        first = [kp.Initial(self.domain, parts[name], field=name) for name in "uv"]
        return first + [kp.Dirichlet(walls, parts[name], field=name) for name in "uv"]

    def exact(self, p):
        x, y = math.pi * p.x, math.pi * p.y
        decay = torch.exp(-2 * math.pi**2 * self.viscosity * p.t)
        u, v = torch.cos(x) * torch.sin(y) * decay, -torch.sin(x) * torch.cos(y) * decay
        return torch.cat([u, v, -(decay**2) / 4 * (torch.cos(2 * x) + torch.cos(2 * y))], dim=1)


def test_flow_with_a_pressure_that_is_free_up_to_a_constant():
    solution = solved(Swirl(), kp.CellWindows([3, 3], degree=5, cells=1), 1e-2)
    errors, estimated = error_of(solution)
    assert solution.status == "converged"
    assert errors[:2].max() < 1e-2
    assert errors[:2].max() < 3 * estimated
    p = sample(Swirl.domain.space, 200, "sobol")
    p = Points(
        torch.cat([p.coords, torch.full((len(p), 1), 0.15, dtype=F)], dim=1), ("x", "y", "t")
    )
    change = (solution(p.coords) - Swirl().exact(p))[:, 2]
    assert change.std() < 1e-2


class Bump(kp.Problem):
    """u_t + u_x = u_xx / 1000 + f with a narrow bump that moves."""

    domain = kp.Box(x=(0, 1), t=(0, 1))

    def exact(self, p):
        return torch.exp(-1000 * (p.x - 0.2 - p.t / 2) ** 2)

    def residual(self, p, u):
        z, bump = p.x - 0.2 - p.t / 2, self.exact(p)
        source = (-1000 * z - 1e-3 * (4e6 * z**2 - 2000)) * bump
        return kp.partial(u, "t") + kp.partial(u, "x") - 1e-3 * kp.partial(u, "x", "x") - source

    def conditions(self):
        ends = self.domain.boundary["x_min", "x_max"]
        return [kp.Initial(self.domain, self.exact), kp.Dirichlet(ends, self.exact)]


class Moved(Bump):
    """The bump moves by six of its widths."""

    domain = kp.Box(x=(0, 1), t=(0, 0.4))


def test_cells_follow_a_bump_and_a_checkpoint_goes_on():
    network, kept = kp.CellWindows([2, 1], degree=8, cells=2), {}

    def keep(state):
        if state.progress.step == 4:
            kept.update(copy.deepcopy(state.state_dict()))

    solution = solved(Moved(), network, 1e-3, observers=[keep])
    assert solution.status == "converged"
    assert error_of(solution)[0].max() < 1e-3
    early, late = (one.layer.tree for one in (network.members[0], network.members[-1]))
    first = torch.tensor([[-0.6]], dtype=F)  # where the bump begins, x = 0.2
    widths = [float(tree.widths[tree.locate(first, torch.tensor([0]))]) for tree in (early, late)]
    assert widths[1] >= 4 * widths[0]  # cells behind the bump have become larger again
    assert len(late) <= 1.5 * len(early)
    again = solved(Moved(), kp.CellWindows([2, 1], 8, 2), 1e-3, checkpoint=kept)
    points = torch.rand(50, 2, generator=torch.Generator().manual_seed(1), dtype=F)
    assert torch.allclose(again(points), solution(points), atol=1e-9, rtol=0)


class Spreading(Bump):
    """u_t = u_xx: a narrow peak becomes wide."""

    domain = kp.Box(x=(0, 1), t=(0, 0.02))

    def exact(self, p):
        wide = 1 + 8000 * p.t
        return torch.exp(-2000 * (p.x - 0.4) ** 2 / wide) / wide**0.5

    def residual(self, p, u):
        return kp.partial(u, "t") - kp.partial(u, "x", "x")


def test_cells_become_larger_where_a_solution_becomes_smooth():
    network = kp.CellWindows([2, 1], degree=6, cells=4)
    solution = solved(Spreading(), network, 1e-3)
    counts = [len(one.layer.tree) for one in network.members]
    assert solution.status == "converged"
    assert error_of(solution)[0].max() < 5e-4
    assert counts[-1] < 0.7 * max(counts)


class Transport(Bump):
    """u_t + 5 u_x = u_xx / 100, periodic: a wave that moves and decays slowly."""

    domain = kp.Box(x=(0, 1), t=(0, 0.4))

    def exact(self, p):
        decay = torch.exp(-0.04 * math.pi**2 * p.t)
        return decay * torch.sin(2 * math.pi * (p.x - 5 * p.t))

    def residual(self, p, u):
        return kp.partial(u, "t") + 5 * kp.partial(u, "x") - 0.01 * kp.partial(u, "x", "x")

    def conditions(self):
        return [kp.Initial(self.domain, self.exact), kp.Periodic(self.domain, "x")]


def test_windows_that_are_short_beside_the_cells_are_stable():
    march = kp.March(windows=40, stages=3)
    network = kp.CellWindows([2, 1], degree=5, cells=4)
    solution = kp.solve(Transport(), network, march, errors=False, verified=False)
    assert error_of(solution)[0] < 2e-4


@pytest.mark.parametrize(("tolerance", "resolved"), [(5e-4, True), (1e-4, False)])
def test_cells_that_stay_are_judged_by_the_errors_that_are_left_of_all_windows(tolerance, resolved):
    march, network = kp.March(tolerance, regrade=False), kp.CellWindows([2, 1], 4, cells=4)
    solution = kp.solve(Transport(), network, march, errors=False, verified=False)
    (error,), estimated = error_of(solution)
    added = sum(row.get("space_error", 0.0) for row in solution.history.rows)
    assert added > 2 * tolerance  # the equation damps them
    assert (solution.status == "converged") == (error < tolerance) == resolved
    assert estimated / 3 < error < 3 * estimated


def test_a_linearisation_is_for_windows_of_one_length_and_dropped_before_it_fails(monkeypatch):
    tried = []

    def solve(equations, *rest):
        done = solve_window(equations, *rest)
        tried.append((equations.cells, equations.length, done[0].converged))
        return done

    monkeypatch.setattr(cell_march, "solve_window", solve)
    march = kp.March(1e-3, stages=3, regrade=False)
    kp.solve(Wave(), kp.CellWindows([2, 2], 4, 4), march, errors=False, verified=False)
    lengths = {}
    for cells, length, converged in tried:
        assert converged
        assert lengths.setdefault(id(cells), length) == length
    assert 1 < len(lengths) < len(tried)


class Pulse(Bump):
    """u_t = u_xx / 10 - k(t) u, where k is large for a moment only."""

    def exact(self, p):
        passed = 10 * torch.special.ndtr((p.t - 0.6) / 0.02)
        return torch.exp(-0.1 * math.pi**2 * p.t - passed) * torch.sin(math.pi * p.x)

    def residual(self, p, u):
        pulse = torch.exp(-(((p.t - 0.6) / 0.02) ** 2) / 2) / (0.02 * math.sqrt(2 * math.pi))
        return kp.partial(u, "t") - 0.1 * kp.partial(u, "x", "x") + 10 * pulse * u.value


def test_a_coefficient_that_varies_for_a_moment_only():
    solution = solved(Pulse(), kp.CellWindows([2, 1], degree=7, cells=2), 1e-3)
    assert solution.status == "converged"
    assert error_of(solution)[0] < 1e-3


def test_a_march_ends_where_cells_would_be_too_many():
    march = kp.March(tolerance=1e-5, cells=6)
    solution = kp.solve(Bump(), kp.CellWindows([2, 1], degree=4, cells=4), march, errors=False)
    assert solution.status.startswith("failed: from t = 0 on the solution is not resolved")
    assert "would be more than cells = 6" in solution.status


class Dispersed(Bump):
    """u_t - u_xxt / 10 = u_xx, and the values of u are given on the whole boundary."""

    def exact(self, p):
        rate = math.pi**2 / (1 + math.pi**2 / 10)
        return torch.exp(-rate * p.t) * torch.sin(math.pi * p.x)

    def residual(self, p, u):
        mixed = kp.partial(u, "x", "x", "t")
        return kp.partial(u, "t") - mixed / 10 - kp.partial(u, "x", "x")

    def conditions(self):
        return [
            kp.Initial(self.domain, self.exact),
            kp.Dirichlet(self.domain.boundary, self.exact),
        ]


def test_mixed_derivatives_and_a_condition_on_the_whole_boundary():
    solution = solved(Dispersed(), kp.CellWindows([2, 1], degree=6, cells=2), 1e-4)
    assert solution.status == "converged"
    assert error_of(solution)[0] < 1e-4


class Backward(Bump):
    """The heat equation with time reversed."""

    def residual(self, p, u):
        return kp.partial(u, "t") + kp.partial(u, "x", "x")


class Weighted(Bump):
    """A condition with a weight."""

    def conditions(self):
        first, ends = super().conditions()
        return [first, dataclasses.replace(ends, weight=2.0)]


class Unknown(Bump):
    """An unknown number in the equation."""

    unknowns: ClassVar = {"a": kp.Unknown(1.0)}

    def residual(self, p, u, a):
        return kp.partial(u, "t") - a * kp.partial(u, "x", "x")


@pytest.mark.parametrize(
    ("problem", "march", "said"),
    [
        (Backward(), kp.March(), "ill-posed forward in t"),
        (Weighted(), kp.March(), "weight of conditions.* must be left out"),
        (Unknown(), kp.March(), "without unknowns"),
        (Bump(), kp.March(scheme="gauss"), "odd number of stages"),
        (Bump(), kp.March(stages=4), "odd number of stages"),
    ],
)
def test_refusals(problem, march, said):
    with pytest.raises(kp.InputError, match=said):
        kp.solve(problem, kp.CellWindows([2, 1]), march)


def test_width_without_space_is_refused():
    with pytest.raises(kp.InputError, match="at least 2 inputs"):
        kp.CellWindows([1, 1])
    with pytest.raises(kp.InputError, match="no hidden layers"):
        kp.CellWindows([3, 4, 1])
