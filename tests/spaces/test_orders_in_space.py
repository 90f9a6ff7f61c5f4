"""What a march resolves in space: orders of splines, and intervals that follow the solution."""

import math

import pytest
import torch
from cases import Manufactured, Stated

import kanpinn as kp


def waves(order):
    """u_t = c ∂ⁿu/∂xⁿ on a period, n = 2, 3 or 4; u has two waves, damped or dispersed."""
    factor, period = {2: 0.05, 3: -0.01, 4: -0.001}[order], kp.Box(x=(0, 1), t=(0, 0.05))

    def exact(p):
        found = 0 * p.x
        for number, phase in ((1, 0.3), (2, 1.1)):
            k = 2 * math.pi * number
            rate = factor * (1j * k) ** order
            wave = torch.sin(k * p.x + rate.imag * p.t + phase)
            found = found + torch.exp(rate.real * p.t) * wave / number
        return found

    def residual(p, u):
        return kp.partial(u, "t") - factor * kp.partial(u, *"x" * order)

    given = [kp.Initial(period, exact), kp.Periodic(period, "x", order=order - 1)]
    return Stated(period, residual, given, exact=exact)


def between_walls(order, kind):
    """u_t = c ∂ⁿu/∂xⁿ + f with conditions at both ends."""
    factor = {2: 0.3, 4: -0.005}[order]
    return Manufactured(
        kp.Box(x=(0, 1), t=(0, 0.05)),
        lambda p, u: kp.partial(u, "t") - factor * kp.partial(u, *"x" * order),
        "sin(5 * x + 2 * t) + exp(2 * x - t) / 5",
        dict.fromkeys(("x_min", "x_max"), kind),
    )


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
    observed = order_in_space(waves(order), degree, (20, 30))
    assert degree + 0.9 < observed < degree + 1.8


@pytest.mark.parametrize(
    ("order", "kind", "degree"),
    [(2, "dirichlet", 4), (2, "neumann", 3), (2, "robin", 5), (4, "dirichlet neumann", 6)],
)
def test_conditions_at_walls_keep_the_order_k_plus_1(order, kind, degree):
    observed = order_in_space(between_walls(order, kind), degree, (12, 18))
    assert degree + 0.9 < observed < degree + 1.6


def test_short_windows_do_not_make_intervals_wide():
    """A kink makes windows so short that errors of splines in one of them say little.

    Away from the kink the solution is its Taylor series.
    """

    def residual(p, u):
        reaction = 5 * (u.value - u.value**3)
        return kp.partial(u, "t") - 1e-4 * kp.partial(u, "x", "x") - reaction

    ring = kp.Box(x=(-1, 1), t=(0, 1e-6))
    given = [kp.Initial(ring, "x**2 * cos(pi * x)"), kp.Periodic(ring, "x")]
    solution = kp.solve(
        Stated(ring, residual, given), kp.Windows([2, 1]), kp.March(3e-10), verified=False
    )
    x = torch.linspace(-0.8, 0.8, 201, dtype=torch.float64)
    s, c = torch.sin(math.pi * x), torch.cos(math.pi * x)
    start = x**2 * c
    second = 2 * c - 4 * math.pi * x * s - (math.pi * x) ** 2 * c
    expected = start + 1e-6 * (1e-4 * second + 5 * (start - start**3))
    found = solution(torch.stack([x, torch.full_like(x, 1e-6)], dim=1))[:, 0]
    assert (found - expected).abs().max() < 1e-10
