"""Marching in time: accuracy, windows that are refused, resuming, what cannot be marched."""

import math

import pytest
import torch

import kanpinn as kp
from kanpinn.evolution.stretches import equidistributed, no_stretch, unstretched
from kanpinn.solvers.state import SolverState

F = torch.float64


class Travelling(kp.Problem):
    """u_t + u u_x = ν u_xx, whose exact solution is a front tanh that travels at speed 1."""

    domain = kp.Box(x=(-1, 1), t=(0, 0.5))
    viscosity = 0.1

    def residual(self, p, u):
        advection = u.value * kp.partial(u, "x")
        return kp.partial(u, "t") + advection - self.viscosity * kp.partial(u, "x", "x")

    def conditions(self):
        ends = self.domain.boundary["x_min", "x_max"]
        return [kp.Initial(self.domain, self.exact), kp.Dirichlet(ends, self.exact)]

    def exact(self, p):
        return 1 - torch.tanh((p.x - p.t) / (2 * self.viscosity))


class Warm(kp.Problem):
    """u_t = u_xx / 10, insulated or with given flux at its ends; u = exp(-π²t/10) cos πx."""

    domain = kp.Box(x=(0, 1), t=(0, 1))
    scale = 1.0

    def residual(self, p, u):
        return self.scale * (kp.partial(u, "t") - kp.partial(u, "x", "x") / 10)

    def conditions(self):
        ends = self.domain.boundary["x_min", "x_max"]
        return [kp.Initial(self.domain, self.exact), kp.Neumann(ends, 0.0)]

    def exact(self, p):
        return torch.exp(-(math.pi**2) * p.t / 10) * torch.cos(math.pi * p.x)


class String(kp.Problem):
    """u_tt = u_xx; u = sin πx (cos πt + sin πt / π)."""

    domain = kp.Box(x=(0, 1), t=(0, 1))

    def residual(self, p, u):
        return kp.partial(u, "t", "t") - kp.partial(u, "x", "x")

    def conditions(self):
        ends = self.domain.boundary["x_min", "x_max"]
        start = kp.Initial(self.domain, self.form, self.form)
        return [start, kp.Dirichlet(ends, 0.0)]

    def form(self, p):
        return torch.sin(math.pi * p.x)

    def exact(self, p):
        wave = torch.cos(math.pi * p.t) + torch.sin(math.pi * p.t) / math.pi
        return torch.sin(math.pi * p.x) * wave


POINTS = kp.Collocation(320, 32)


def network(**options):
    return kp.Windows(**({"width": [2, 1], "degree": 6, "grid": 16, "modes": 5} | options))


def march(**options):
    return kp.March(**({"times": 8, "restretch": 1} | options))


@pytest.mark.parametrize("problem", [Warm(), String()], ids=["by penalty", "of second order"])
def test_more_windows_are_more_accurate(problem):
    errors = []
    for windows in (1, 2, 4):
        marching = march(windows=windows, times=6, restretch=0)
        made = network(modes=3, grid=20, stretch=False)
        solution = kp.solve(problem, made, marching, POINTS, verified=False)
        errors.append(solution.errors.l2_relative)
    assert errors[1] < errors[0] / 3
    assert errors[2] < errors[1] / 3
    assert errors[2] < 2e-4


def test_errors_do_not_depend_on_units():
    rows = []
    for scale in (1.0, 1e6):
        problem = Warm()
        problem.scale = scale
        settings = {"errors": False, "verified": False}
        solution = kp.solve(problem, network(), march(windows=3), POINTS, **settings)
        rows.append([row.get("window_error", 0.0) for row in solution.history.rows])
    assert rows[0] == pytest.approx(rows[1], rel=1e-3)


def test_a_front_to_the_tolerance_in_windows_that_are_halved_and_lengthened():
    made = network(grid=24)
    solution = kp.solve(Travelling(), made, march(tolerance=1e-2), POINTS)
    lengths = solution.history.column("length")[1:].tolist()
    accepted = solution.history.column("window")[1:].tolist()
    assert solution.status == "converged" and solution.errors.l2_relative < 1e-3
    assert accepted[-1] == made.count
    assert float(made.ends[-1]) == 1
    assert max(lengths) > 1.4 * min(lengths)


def test_a_window_that_fails_is_said_and_the_others_kept():
    made = network(grid=2, modes=2, degree=4)
    solution = kp.solve(Travelling(), made, march(tolerance=1e-9, least=0.05), POINTS)
    assert solution.status.startswith("stopped: the window from t = 0 to 0.0")
    assert "does not reach the tolerance 1e-09" in solution.status
    x = torch.tensor([[0.3, 0.4]], dtype=F)
    late, early = (kp.Points(x * torch.tensor([1.0, t], dtype=F), ("x", "t")) for t in (1.0, 0.0))
    inner = solution.surrogate.network
    assert float(inner.layers[-1].coefficients.detach().abs().max()) == 0
    assert torch.isfinite(solution(late)).all()
    assert (solution(early) - Travelling().exact(early)).abs().max() < 1e-14


def test_what_is_no_number_leaves_the_good_windows():
    class Breaking(Travelling):
        def residual(self, p, u):
            r = super().residual(p, u)
            return r + torch.where(p.t < 0.3, 0.0, math.nan)

    made = network()
    solution = kp.solve(Breaking(), made, march(tolerance=1e-2, least=0.02), POINTS, errors=False)
    assert solution.status.startswith("stopped: the window from t = 0.")
    p = kp.Points(torch.tensor([[0.1, 0.2]], dtype=F), ("x", "t"))
    assert (solution(p) - Breaking().exact(p)).abs().max() < 1e-2


def test_it_goes_on_bit_for_bit():
    states, marching = [], march(tolerance=3e-2)

    def keep(run: SolverState) -> None:
        import copy

        states.append(copy.deepcopy(run.state_dict()))

    def solved(made, **more):
        settings = {"errors": False, "verified": False}
        return kp.solve(Travelling(), made, marching, POINTS, **settings, **more)

    whole = solved(network(), observers=[keep])
    for state in (states[0], states[len(states) // 2]):
        again = solved(network(seed=7), checkpoint=state)
        one, other = (s.surrogate.network.state_dict() for s in (whole, again))
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_other_networks_are_refused():
    with pytest.raises(kp.InputError, match="march is for networks in time windows"):
        kp.solve(Travelling(), kp.KAN([2, 4, 1], degree=4), march(), POINTS)


def test_conditions_that_do_not_hold_at_all_times_are_refused():
    class Seen(Travelling):
        def conditions(self):
            seen = kp.Observed(self.domain, [[0.0, 0.1], [0.0, 0.2]], [1.0, 1.0])
            return [*super().conditions(), seen]

    with pytest.raises(kp.InputError, match="cannot be solved in windows of time"):
        kp.solve(Seen(), network(), march(), POINTS)


def test_stretches_are_for_boxes():
    class Round(kp.Problem):
        domain = kp.Disk((0, 0), 1).over(t=(0, 1))

        def residual(self, p, u):
            return kp.partial(u, "t") - kp.partial(u, "x", "x") - kp.partial(u, "y", "y")

        def conditions(self):
            walls = self.domain.boundary["circle"]
            start = kp.Initial(self.domain, lambda p: 1 - p.x**2 - p.y**2)
            return [start, kp.Dirichlet(walls, 0.0)]

    made = kp.Windows([3, 6, 1], degree=5, grid=[2, 4])
    with pytest.raises(kp.InputError, match="stretch = false"):
        kp.solve(Round(), made, march(), POINTS)


def test_points_follow_a_stretch():
    xi = torch.linspace(-1, 1, 1001, dtype=F)
    s = equidistributed(xi, 1 / torch.cosh(20 * xi) ** 2)
    assert (s.diff() > 0).all()
    assert s[0] == -1
    assert abs(float(s[-1]) - 1) < 1e-14
    assert float(s.diff().max() / s.diff().min()) > 5
    found = unstretched([(xi, s), no_stretch(1)[0]], torch.tensor([[0.5, 0.5]], dtype=F))
    assert 0 < float(found[0, 0]) < 0.2
    assert float(found[0, 1]) == pytest.approx(0.5)


class Layer(kp.Problem):
    """-ε u'' + u = 1 with layers at both ends."""

    domain = kp.Box(x=(-1, 1))
    epsilon = 1e-4

    def residual(self, p, u):
        return u.value - 1 - self.epsilon * kp.partial(u, "x", "x")

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, 0.0)]

    def exact(self, p):
        root = math.sqrt(self.epsilon)
        both = torch.exp((p.x - 1) / root) + torch.exp(-(p.x + 1) / root)
        return 1 - both / (1 + math.exp(-2 / root))


def test_a_steady_layer_is_found():
    errors = []
    for steps in (1, 4):
        made = kp.KAN([1, 1], degree=6, grid=20, stretch=True)
        solution = kp.solve(Layer(), made, kp.Equidistribute(steps), kp.Collocation(120, 2))
        errors.append(solution.errors.l2_relative)
    assert errors[1] < errors[0] / 5


def test_a_network_without_a_stretching_layer_is_refused():
    with pytest.raises(kp.InputError, match="needs a layer that stretches"):
        kp.Equidistribute().check(kp.KAN([1, 1], degree=6))
    with pytest.raises(kp.InputError, match="a MLP has no grid"):
        kp.Equidistribute().check(kp.MLP([1, 3, 1]))
