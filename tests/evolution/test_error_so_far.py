"""The estimated error of a march, against the true one where nothing damps or amplifies."""

import math

import pytest
import torch

import kanpinn as kp
from kanpinn.evolution.error_so_far import ErrorSoFar
from kanpinn.evolution.time.stages import stages
from kanpinn.evolution.window.window_solve import Window


@pytest.mark.parametrize(("lifetime", "left"), [(math.inf, 1.0), (1e-3, 0.5**0.5)])
def test_errors_in_time_add_up_and_fade_if_they_are_damped(lifetime, left):
    scheme, none = stages(3), torch.zeros(4, 1, 1)
    lifetimes = torch.tensor([lifetime, math.inf])
    window = Window(scheme, 0.0, 1.0, none, 2e-3, 0.0, none, lifetimes, 1.0, 1, True)
    error = ErrorSoFar()
    error.add(window, 0.0, 0.0)
    error.add(window, 1.0, 9e-6)
    second = (2e-3 * (1 + left)) ** 2
    assert error.mean(2.0) == pytest.approx(math.sqrt((4e-6 + second + 9e-6) / 2))


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


def _true_error(solution: kp.Solution) -> float:
    unit = torch.rand(2000, solution.problem.domain.dim, generator=torch.Generator().manual_seed(0))
    p = solution.problem.domain.from_unit(unit.double())
    exact = solution.problem.exact(p)
    return float((solution(p) - exact).norm() / exact.norm())


@pytest.mark.parametrize(("problem", "tolerance"), [(Circle(), 1e-5), (Packet(), 1e-3)])
def test_the_estimate_is_near_the_truth(problem, tolerance):
    network = kp.Windows([problem.domain.dim, 2])
    march = kp.March(tolerance)
    solution = kp.solve(problem, network, march, verified=False, errors=False)
    estimated = solution.history.column("estimated_error")[-1]
    assert 0.1 * estimated < _true_error(solution) < 3 * estimated
    assert solution.success
    if estimated > 3 * tolerance:
        assert f"add up to {estimated:.1e}" in solution.status
    else:
        assert solution.status == "converged"
