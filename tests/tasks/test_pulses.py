"""Data that change fast in time: windows end before a pulse, and no pulse is jumped over."""

import math

import pytest
import torch

import kanpinn as kp
from kanpinn.geometry.sampling import sample
from kanpinn.spaces.evolution_terms import TimeScales

F = torch.float64
TIMES = (torch.arange(2048, dtype=F) + 0.5) / 2048


def pulse(t, at, width):
    return torch.exp(-(((t - at) / width) ** 2))


@pytest.mark.parametrize("seed", range(4))
def test_windows_end_before_a_pulse_and_are_as_short_as_it(seed, generator):
    generator.manual_seed(seed)
    at, size = torch.rand(2, generator=generator, dtype=F).tolist()
    at, width = 0.3 + 0.4 * at, 0.002 * 10**size
    slow = torch.sin(TIMES)
    scales = TimeScales.of_samples(
        torch.stack([slow, pulse(TIMES, at, width)], dim=1), 0.0, 1.0, 1e-6
    )
    time = 0.0
    while time < at - 5 * width:  # where the pulse is below rounding
        length = scales.reach(time, 1.0, 5)
        assert time + length < at - width
        time += length
    assert scales.reach(at - width, 1.0, 5) < 5 * width
    assert scales.reach(at + 0.2, 1.0, 5) > 20 * 0.002


def test_polynomials_of_low_degree_and_nothing_at_all_limit_no_window(generator):
    powers = TIMES[:, None] ** torch.arange(7)
    samples = powers @ torch.rand(7, 3, generator=generator, dtype=F)
    assert TimeScales.of_samples(samples, 0.0, 1.0, 1e-6).reach(0.2, 0.8, 5) == 0.8
    assert TimeScales.of_samples(samples[:, :0], 0.0, 1.0, 1e-6).reach(0.2, 0.8, 5) == 0.8
    assert TimeScales().reach(0.2, 0.8, 5) == 0.8


def test_a_jump_shortens_the_windows_there_and_not_all_of_them():
    scales = TimeScales.of_samples((TIMES > 0.7).double()[:, None], 0.0, 1.0, 1e-3)
    assert scales.reach(0.69, 1.0, 5) < 0.02
    assert scales.reach(0.0, 1.0, 5) > 0.3
    assert scales.reach(0.75, 1.0, 5) > 0.02


class Cubic(kp.Problem):
    """u_t = Δu - g(t) u³, so that u = (1 + 2 ∫ g)^-½ at all places."""

    domain = kp.Box(x=(0, 1), t=(0, 2))
    at, width = 1.237, 0.004

    def residual(self, p, u):
        given = 100 * pulse(p.t, self.at, self.width)
        return kp.partial(u, "t") - kp.partial(u, "x", "x") + given * u.value**3

    def conditions(self):
        sides = self.domain.boundary["x_min", "x_max"]
        return [kp.Initial(self.domain, 1.0), kp.Neumann(sides, 0.0)]

    def exact(self, p):
        passed = torch.erf((p.t - self.at) / self.width) + 1
        area = 100 * self.width * math.sqrt(math.pi) / 2 * passed
        return (1 + 2 * area) ** -0.5 + 0 * p.x


class Wall(Cubic):
    """u_t = a u_xx with a pulse of the flux at x = 0, and another wall too far away to matter.

    A flux δ(t - s) gives 2 exp(-x² / 4 a (t - s)) / (4 π a (t - s))^½; a quadrature sums these over
    the pulse.
    """

    domain = kp.Box(x=(0, 3), t=(0, 2))
    a = 0.02

    def residual(self, p, u):
        return kp.partial(u, "t") - self.a * kp.partial(u, "x", "x")

    def conditions(self):
        sides = self.domain.boundary
        flux = lambda p: 30 * pulse(p.t, self.at, self.width)  # noqa: E731
        return [
            kp.Initial(self.domain, 0.0),
            kp.Neumann(sides["x_min"], flux),
            kp.Dirichlet(sides["x_max"], 0.0),
        ]

    def exact(self, p):
        nodes = self.at + self.width * torch.linspace(-5, 5, 41, dtype=F)
        weights = self.a * 30 * pulse(nodes, self.at, self.width) * self.width / 4
        since = (p.t - nodes).clamp_min(1e-300)
        kernel = torch.exp(-(p.x**2) / (4 * self.a * since)) / (math.pi * self.a * since) ** 0.5
        return torch.where(p.t > nodes, kernel * weights, 0.0).sum(dim=1, keepdim=True)


def relative_error(problem, network, tolerance, begin=0.0):
    march = kp.March(tolerance=tolerance)
    solution = kp.solve(problem, network, march, errors=False, verified=False)
    assert "converged" in solution.status
    points = sample(problem.domain, 2000, "sobol")
    points = points[points.t[:, 0] >= begin]
    exact = problem.exact(points)
    return float((solution(points.coords) - exact).norm() / exact.norm())


@pytest.mark.parametrize("network", [kp.Windows([2, 1]), kp.CellWindows([2, 1], 3, 1)])
def test_a_pulse_in_a_coefficient_of_a_cubic_term_is_not_jumped_over(network):
    assert relative_error(Cubic(), network, 1e-3) < 2e-3


def test_a_pulse_of_a_flux_at_a_wall_is_not_jumped_over():
    after = Wall.at + 50 * Wall.width
    network = kp.Windows([2, 1], degree=5, grid=12)
    assert relative_error(Wall(), network, 1e-2, after) < 1e-2
