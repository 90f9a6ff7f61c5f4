"""What a march resolves in space: orders of splines, and intervals that follow the solution."""

import math

import pytest
import torch

import kanpinn as kp


class Waves(kp.Problem):
    """u_t = c ∂ⁿu/∂xⁿ on a period, n = 2, 3 or 4; u has two waves, damped or dispersed."""

    domain = kp.Box(x=(0, 1), t=(0, 0.05))

    def __init__(self, order: int) -> None:
        self.order, self.factor = order, {2: 0.05, 3: -0.01, 4: -0.001}[order]

    def residual(self, p, u):
        return kp.partial(u, "t") - self.factor * kp.partial(u, *"x" * self.order)

    def conditions(self):
        around = kp.Periodic(self.domain, "x", order=self.order - 1)
        return [kp.Initial(self.domain, self.exact), around]

    def exact(self, p):
        found = 0 * p.x
        for number, phase in ((1, 0.3), (2, 1.1)):
            k = 2 * math.pi * number
            rate = self.factor * (1j * k) ** self.order
            wave = torch.sin(k * p.x + rate.imag * p.t + phase)
            found = found + torch.exp(rate.real * p.t) * wave / number
        return found


class BetweenWalls(kp.Problem):
    """u_t = c ∂ⁿu/∂xⁿ + f with u = sin(5x + 2t) + exp(2x - t) / 5 and conditions at both ends."""

    domain = kp.Box(x=(0, 1), t=(0, 0.05))

    def __init__(self, order: int, kind: str) -> None:
        self.order, self.kind = order, kind
        self.factor = {2: 0.3, 3: -0.05, 4: -0.005}[order]

    def exact(self, p):
        return self.slope(p, 0)

    def slope(self, p, order=1):
        wave = 5**order * torch.sin(5 * p.x + 2 * p.t + order * math.pi / 2)
        return wave + 2**order * torch.exp(2 * p.x - p.t) / 5

    def flux(self, p):
        return self.slope(p) * p.normals[:, :1]

    def residual(self, p, u):
        rate = 2 * torch.cos(5 * p.x + 2 * p.t) - torch.exp(2 * p.x - p.t) / 5
        source = rate - self.factor * self.slope(p, self.order)
        return kp.partial(u, "t") - self.factor * kp.partial(u, *"x" * self.order) - source

    def conditions(self):
        sides = self.domain.boundary
        ends, right = sides["x_min", "x_max"], sides["x_max"]
        found = [kp.Initial(self.domain, self.exact)]
        if self.kind == "robin":
            return [*found, kp.Robin(ends, 2.0, 1.0, lambda p: 2 * self.exact(p) + self.flux(p))]
        if self.kind == "neumann":
            return [*found, kp.Neumann(ends, self.flux)]
        slopes = {2: [], 3: [kp.Neumann(right, self.flux)], 4: [kp.Neumann(ends, self.flux)]}
        return [*found, kp.Dirichlet(ends, self.exact), *slopes[self.order]]


def order_in_space(problem: kp.Problem, degree: int, grids: tuple[int, int]) -> float:
    """The observed order of the relative L2 error on two grids, with windows that err far less."""
    march = kp.March(1e-13, windows=3, stages=7, regrade=False)
    errors = [
        kp.solve(problem, kp.Windows([2, 1], degree=degree, grid=grid), march, verified=False)
        for grid in grids
    ]
    coarse, fine = (one.errors.l2_relative for one in errors)
    return math.log(coarse / fine) / math.log(grids[1] / grids[0])


@pytest.mark.parametrize(("order", "degree"), [(2, 3), (3, 5), (4, 6)])
def test_splines_of_degree_k_on_a_period_are_of_order_k_plus_1(order, degree):
    observed = order_in_space(Waves(order), degree, (20, 30))
    assert degree + 0.9 < observed < degree + 1.8


@pytest.mark.parametrize(
    ("order", "kind", "degree"),
    [(2, "dirichlet", 4), (2, "neumann", 3), (2, "robin", 5), (4, "dirichlet", 6)],
)
def test_conditions_at_walls_keep_the_order_k_plus_1(order, kind, degree):
    observed = order_in_space(BetweenWalls(order, kind), degree, (12, 18))
    assert degree + 0.9 < observed < degree + 1.6


def test_short_windows_do_not_make_intervals_wide():
    """A kink makes windows so short that errors of splines in one of them say little.

    Away from the kink the solution is its Taylor series.
    """

    class Reaction(kp.Problem):
        domain = kp.Box(x=(-1, 1), t=(0, 1e-6))

        def residual(self, p, u):
            reaction = 5 * (u.value - u.value**3)
            return kp.partial(u, "t") - 1e-4 * kp.partial(u, "x", "x") - reaction

        def conditions(self):
            return [kp.Initial(self.domain, self.initial), kp.Periodic(self.domain, "x")]

        def initial(self, p):
            return p.x**2 * torch.cos(math.pi * p.x)

    solution = kp.solve(Reaction(), kp.Windows([2, 1]), kp.March(3e-10), verified=False)
    x = torch.linspace(-0.8, 0.8, 201, dtype=torch.float64)
    s, c = torch.sin(math.pi * x), torch.cos(math.pi * x)
    start = x**2 * c
    second = 2 * c - 4 * math.pi * x * s - (math.pi * x) ** 2 * c
    expected = start + 1e-6 * (1e-4 * second + 5 * (start - start**3))
    found = solution(torch.stack([x, torch.full_like(x, 1e-6)], dim=1))[:, 0]
    assert (found - expected).abs().max() < 1e-10
