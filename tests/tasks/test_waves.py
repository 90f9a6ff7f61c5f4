"""Waves whose length varies over the domain: cells are halved where the waves are short."""

import math

import pytest
import torch
from cases import OnWalls, error_of

import kanpinn as kp
from kanpinn.geometry import Points
from kanpinn.jets import Linearised, find_channels, zero_jet
from kanpinn.tasks.refinement import waves_along


class Oscillatory(OnWalls):
    """-Δu - u / (α + r)⁴ = f on the unit square; u = sin(1 / (α + r)) with α = 1 / (4 π).

    Reference: Mitchell, A collection of 2D elliptic problems for testing adaptive grid refinement
    algorithms (2013).
    """

    domain = kp.Box(x=(0, 1), y=(0, 1))
    alpha = 1 / (4 * math.pi)

    def phase(self, p):
        return 1 / (self.alpha + torch.sqrt(p.x**2 + p.y**2))

    def residual(self, p, u):
        phase, r = self.phase(p), torch.sqrt(p.x**2 + p.y**2)
        source = torch.cos(phase) * (phase**2 / r - 2 * phase**3)
        return -kp.laplacian(u) - u.value * phase**4 - source

    def exact(self, p):
        return torch.sin(self.phase(p))


def test_short_waves_are_resolved_though_their_equation_has_a_large_term_without_derivatives():
    network = kp.Cells([2, 1], 10, 4)
    solution = kp.solve(
        Oscillatory(), network, kp.AdaptiveLeastSquares(1e-6, cells=400), verified=False
    )
    assert solution.status == "converged" and error_of(solution) < 3e-6


class Waves(OnWalls):
    """-Δu - c k² u = f, or with c u² in place of c u, for u = sin(k x) and k = 40."""

    domain = kp.Box(x=(0, 1), y=(0, 1))
    number = 40.0

    def __init__(self, power):
        self.power = power

    def exact(self, p):
        return torch.sin(self.number * p.x)

    def residual(self, p, u):
        u0, known = self.number**2, self.exact(p)
        term = u.value + self.power * u.value**2
        return -kp.laplacian(u) - u0 * term + u0 * self.power * known**2


@pytest.mark.parametrize(("power", "count"), [(0, 64), (1, 4)])
def test_cells_with_many_waves_are_halved_before_the_first_solve(power, count):
    network = kp.Cells([2, 1], 16, 2)
    solution = kp.solve(Waves(power), network, kp.AdaptiveLeastSquares(steps=1), verified=False)
    assert solution.network.count == count  # so that the phase over a cell is at most 16 - 10


@pytest.mark.parametrize(
    "laplacian",
    [
        kp.laplacian,
        lambda u: kp.partial(u, "x", "x") + kp.partial(u, "y", "y"),
        lambda u: kp.hessian(u).diagonal(dim1=1, dim2=2).sum(dim=1, keepdim=True),
    ],
)
def test_wave_numbers_do_not_depend_on_how_the_equation_is_written(laplacian):
    def equation(p, u):
        return 3 * laplacian(u) + 48 * u.value

    places = torch.zeros(5, 2).double()
    channels, _ = find_channels(lambda c: equation(places, zero_jet(c, places, 1)), ("x", "y"))
    points = Points(places, ("x", "y"))
    parts = Linearised.at_zero(equation, points, channels, 1).slopes
    for axis in range(2):
        assert torch.equal(waves_along(parts, channels, axis), torch.full((5,), 4.0).double())
