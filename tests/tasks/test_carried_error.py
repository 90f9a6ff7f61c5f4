"""The estimated error of a march against the true one, carried on, damped or amplified."""

import math

import pytest
import torch
from cases import error_of

import kanpinn as kp


class Circle(kp.Problem):
    """x' = -y, y' = x: many turns, in each of which the same is lost."""

    domain = kp.Box(t=(0, 60))
    fields = ("x", "y")

    def residual(self, p, x, y):
        return kp.partial(x, "t") + y.value, kp.partial(y, "t") - x.value

    def conditions(self):
        return [kp.Initial(self.domain, 1.0, field="x"), kp.Initial(self.domain, 0.0, field="y")]

    def exact(self, p):
        return torch.cat([torch.cos(p.t), torch.sin(p.t)], dim=1)


class Packet(Circle):
    """i h_t + h_xx / 2 = 0 around a circle from a kink, which nothing smooths: x² at first."""

    domain = kp.Box(x=(-1, 1), t=(0, 0.03))

    def residual(self, p, x, y):
        return (
            kp.partial(x, "t") + kp.partial(y, "x", "x") / 2,
            kp.partial(y, "t") - kp.partial(x, "x", "x") / 2,
        )

    def conditions(self):
        start = {"x": lambda p: p.x**2, "y": 0.0}
        values = [kp.Initial(self.domain, value, field=name) for name, value in start.items()]
        return [*values, kp.Periodic(self.domain, "x")]

    def exact(self, p):
        k = math.pi * torch.arange(1, 3000, dtype=p.coords.dtype)
        waves = 4 * (-1.0) ** torch.arange(1, 3000) / k**2 * torch.cos(k * p.x)
        phase = -(k**2) * p.t / 2
        sums = [(waves * f(phase)).sum(dim=1, keepdim=True) for f in (torch.cos, torch.sin)]
        return torch.cat([sums[0] + 1 / 3, sums[1]], dim=1)


class Unstable(kp.Problem):
    """u_t = u_xx + 10 u + f around a circle: errors grow by e^10, the solution does not."""

    domain = kp.Box(x=(0, 2 * math.pi), t=(0, 1))
    growth = 10.0

    def residual(self, p, u):
        wave = p.x - p.t
        source = (1 - self.growth) * torch.sin(wave) - torch.cos(wave)
        return kp.partial(u, "t") - kp.partial(u, "x", "x") - self.growth * u.value - source

    def conditions(self):
        start = kp.Initial(self.domain, lambda p: torch.sin(p.x))
        return [start, kp.Periodic(self.domain, "x")]

    def exact(self, p):
        return torch.sin(p.x - p.t)


@pytest.mark.parametrize(
    ("problem", "tolerance"), [(Circle(), 1e-5), (Packet(), 1e-3), (Unstable(), 1e-5)]
)
def test_the_estimate_is_near_the_truth(problem, tolerance):
    network = kp.Windows([problem.domain.dim, len(problem.fields)])
    march = kp.March(tolerance)
    solution = kp.solve(problem, network, march, verified=False, errors=False)
    estimated = solution.history.column("estimated_error")[-1]
    assert 0.1 * estimated < error_of(solution) < 3 * estimated
    assert solution.success
    if estimated > 3 * tolerance:
        assert f"add up to {estimated:.1e}" in solution.status
    else:
        assert solution.status == "converged"
