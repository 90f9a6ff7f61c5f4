"""Equations with algebraic fields: those of which no equation has a derivative in time."""

import math

import pytest
import torch
from scipy.integrate import solve_ivp

import kanpinn as kp

F = torch.float64


class Driven(kp.Problem):
    """x' = z - x, z + z³/10 = y + y³/10 for y = x cos t; x = exp(sin t - t), z = x cos t."""

    domain = kp.Box(t=(0, 3))
    fields = ("x", "z")

    def residual(self, p, x, z):
        y = torch.cos(p.t) * x.value
        return (
            kp.partial(x, "t") + x.value - z.value,
            z.value + z.value**3 / 10 - y - y**3 / 10,
        )

    def conditions(self):
        return [kp.Initial(self.domain, 1.0, field="x")]

    def exact(self, p):
        x = torch.exp(torch.sin(p.t) - p.t)
        return torch.cat([x, torch.cos(p.t) * x], dim=1)


class Pendulum(kp.Problem):
    """A pendulum of length 1 by its velocity's constraint, which has index 2.

    x' = u, y' = v, u' = -l x, v' = -l y - 1, x u + y v = 0; at rest at (0.6, -0.8).
    """

    domain = kp.Box(t=(0, 4))
    fields = ("x", "y", "u", "v", "l")

    def residual(self, p, x, y, u, v, l):  # noqa: E741
        return (
            kp.partial(x, "t") - u.value,
            kp.partial(y, "t") - v.value,
            kp.partial(u, "t") + l.value * x.value,
            kp.partial(v, "t") + l.value * y.value + 1,
            x.value * u.value + y.value * v.value,
        )

    def conditions(self):
        start = {"x": 0.6, "y": -0.8, "u": 0.0, "v": 0.0}
        return [kp.Initial(self.domain, value, field=name) for name, value in start.items()]


class Flux(kp.Problem):
    """u_t = q_x with the flux q = u_x / 10 as a field of its own."""

    domain = kp.Box(x=(0, 1), t=(0, 1))
    fields = ("u", "q")

    def residual(self, p, u, q):
        return kp.partial(u, "t") - kp.partial(q, "x"), q.value - kp.partial(u, "x") / 10

    def conditions(self):
        ends = self.domain.boundary["x_min", "x_max"]
        start = kp.Initial(self.domain, lambda p: torch.sin(math.pi * p.x), field="u")
        return [start, kp.Dirichlet(ends, 0.0, field="u")]

    def exact(self, p):
        decay, phase = torch.exp(-(math.pi**2) * p.t / 10), math.pi * p.x
        return torch.cat([decay * phase.sin(), decay * math.pi / 10 * phase.cos()], dim=1)


class Potential(Flux):
    """u_t = u_xx / 10 + φ with φ_xx = u, both zero at the walls; φ = -u / π²."""

    fields = ("u", "phi")

    def residual(self, p, u, phi):
        return (
            kp.partial(u, "t") - kp.partial(u, "x", "x") / 10 - phi.value,
            kp.partial(phi, "x", "x") - u.value,
        )

    def conditions(self):
        ends = self.domain.boundary["x_min", "x_max"]
        return [*super().conditions(), kp.Dirichlet(ends, 0.0, field="phi")]

    def exact(self, p):
        rate = math.pi**2 / 10 + 1 / math.pi**2
        u = torch.exp(-rate * p.t) * torch.sin(math.pi * p.x)
        return torch.cat([u, -u / math.pi**2], dim=1)


def solved(problem: kp.Problem, tolerance: float, **options) -> kp.Solution:
    network = kp.Windows([problem.domain.dim, len(problem.fields)])
    return kp.solve(problem, network, kp.March(tolerance, **options), verified=False)


@pytest.mark.parametrize(
    ("problem", "tolerance"),
    [(Driven(), 1e-5), (Driven(), 1e-9), (Flux(), 1e-7), (Potential(), 1e-7)],
    ids=["driven", "driven-fine", "flux", "potential"],
)
def test_errors_are_those_asked_for(problem, tolerance):
    solution = solved(problem, tolerance)
    assert solution.status == "converged"
    errors = [one.l2 for one in solution.errors.fields.values()]
    assert max(errors) < tolerance * (solution.errors.l2 / solution.errors.l2_relative)


@pytest.mark.parametrize("tolerance", [1e-6, 1e-10])
def test_a_constraint_of_index_two(tolerance):
    """Against the angle θ of the pendulum, θ'' = -cos θ, with l = θ'² - sin θ."""
    solution = solved(Pendulum(), tolerance)
    assert solution.status == "converged"
    t = torch.linspace(0, 4, 41, dtype=F)
    start = (math.atan2(-0.8, 0.6), 0.0)
    angle, rate = torch.from_numpy(
        solve_ivp(
            lambda t, w: (w[1], -math.cos(w[0])), (0, 4), start, "DOP853", t, rtol=1e-13, atol=1e-13
        ).y
    )
    x, y = angle.cos(), angle.sin()
    exact = torch.stack([x, y, -y * rate, x * rate, rate**2 - y], dim=1)
    assert (solution(t[:, None]) - exact).abs().max() < 20 * tolerance


def test_values_at_the_start_are_consistent_with_the_equations():
    driven, pendulum = (solved(p, 1e-10) for p in (Driven(), Pendulum()))
    start = torch.zeros(1, 1, dtype=F)
    assert driven(start)[0].tolist() == pytest.approx([1, 1], abs=1e-9)
    assert float(pendulum(start)[0, 4]) == pytest.approx(0.8, abs=1e-8)


def test_a_value_at_the_start_chooses_one_of_several_solutions():
    class Root(kp.Problem):
        """x' = z, z² = 1 + x²: sinh t or -sinh t."""

        domain = kp.Box(t=(0, 1))
        fields = ("x", "z")

        def __init__(self, sign):
            self.sign = sign

        def residual(self, p, x, z):
            return kp.partial(x, "t") - z.value, z.value**2 - x.value**2 - 1

        def conditions(self):
            start = {"x": 0.0, "z": 0.5 * self.sign}
            return [kp.Initial(self.domain, value, field=name) for name, value in start.items()]

        def exact(self, p):
            return self.sign * torch.cat([torch.sinh(p.t), torch.cosh(p.t)], dim=1)

    for sign in (1, -1):
        assert solved(Root(sign), 1e-8).errors.l2_relative < 1e-8


def test_values_that_contradict_the_constraint_are_named():
    class Falling(Pendulum):
        def conditions(self):
            return [*super().conditions()[:3], kp.Initial(self.domain, 1.0, field="v")]

    assert "initial values may contradict the equation" in solved(Falling(), 1e-6).status


def test_gauss_stages_are_refused():
    with pytest.raises(kp.InputError, match='scheme must be "radau"'):
        solved(Driven(), 1e-6, scheme="gauss")
