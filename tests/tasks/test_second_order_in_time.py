"""Marches with cells in space of equations of second order in time."""

import math
from dataclasses import dataclass

import pytest
import torch
from scipy.special import jn_zeros

import kanpinn as kp
from kanpinn.geometry.sampling import sample
from kanpinn.pde.conditions import OnBoundary


def solved(problem, network, tolerance):
    """The solution, its relative error in each field, and the estimated one."""
    march = kp.March(tolerance=tolerance)
    solution = kp.solve(problem, network, march, errors=False, verified=False)
    p = sample(problem.domain, 2000, "sobol")
    wanted = problem.exact(p)
    errors = (solution(p.coords) - wanted).norm(dim=0) / wanted.norm(dim=0)
    return solution, errors, solution.history.rows[-1]["estimated_error"]


HOLE = (kp.Disk((0, 0), 1.0) - kp.Disk((0.3, 0.2), 0.25)).over(t=(0, 0.2))
MOVING = "sin(3*x + y + 4*t) + cos(2*y - 3*t) * exp(x / 2)"


def test_waves_around_a_hole_have_the_errors_that_are_estimated():
    problem = kp.Wave(HOLE, exact=MOVING)
    solution, (error,), estimated = solved(problem, kp.CellWindows([3, 1], 5, 1), 1e-3)
    assert solution.status == "converged"
    assert error < 1e-3
    assert estimated / 10 < error < 3 * estimated


class Drum(kp.Problem):
    """u_tt = Δu in a disk: the lowest mode J₀(k r) cos(k t), over one period."""

    number = float(jn_zeros(0, 1)[0])
    domain = kp.Disk((0, 0), 1.0).over(t=(0, 2 * math.pi / number))

    def residual(self, p, u):
        return kp.partial(u, "t", "t") - kp.partial(u, "x", "x") - kp.partial(u, "y", "y")

    def conditions(self):
        start = kp.Initial(self.domain, self.exact, rate=0.0)
        return [start, kp.Dirichlet(self.domain.boundary["circle"])]

    def exact(self, p):
        shape = torch.special.bessel_j0(self.number * (p.x**2 + p.y**2).sqrt())
        return shape * torch.cos(self.number * p.t)


def test_a_mode_of_a_drum_comes_back_after_a_period():
    solution, (error,), _ = solved(Drum(), kp.CellWindows([3, 1], 7, 1), 1e-3)
    assert solution.status == "converged"
    assert error < 1e-3
    ends = torch.tensor([[0.3, 0.4, 0.0], [0.3, 0.4, float(Drum.domain.bounds[1][-1])]]).double()
    first, last = solution(ends)
    assert last == pytest.approx(float(first), abs=1e-3)


class Coupled(kp.Problem):
    """Two damped fields that act on each other; waves leave through the end at x = 1."""

    domain = kp.Box(x=(0, 1), t=(0, 1))
    fields = ("u", "v")

    def residual(self, p, u, v):
        mixed = 0.1 * kp.partial(u, "x", "t")
        first = kp.partial(u, "t", "t") + kp.partial(u, "t") - kp.partial(u, "x", "x") + mixed
        second = kp.partial(v, "t", "t") - kp.partial(v, "x", "x") - u.value
        return first + u.value * v.value - self.first(p), second - self.second(p)

    def exact(self, p):
        return torch.cat([torch.sin(2 * p.x - p.t), torch.cos(p.x + 2 * p.t)], dim=1)

    def first(self, p):
        u, v = self.exact(p).split(1, dim=1)
        return 3.2 * u - torch.cos(2 * p.x - p.t) + u * v

    def second(self, p):
        u, v = self.exact(p).split(1, dim=1)
        return -3 * v - u

    def rates(self, p):
        return torch.cat([-torch.cos(2 * p.x - p.t), -2 * torch.sin(p.x + 2 * p.t)], dim=1)

    def conditions(self):
        x_min, x_max = (self.domain.boundary[name] for name in ("x_min", "x_max"))
        return [
            kp.Initial(self.domain, self.exact, self.rates),
            kp.Dirichlet(x_min, self.exact),
            Leaving(x_max),
        ]


@dataclass(frozen=True)
class Leaving(OnBoundary):
    """∂/∂t + ∂/∂x of both fields have the values of the solution of `Coupled`."""

    def residual(self, p, u, v):
        first = kp.partial(u, "t") + kp.partial(u, "x") - torch.cos(2 * p.x - p.t)
        return first, kp.partial(v, "t") + kp.partial(v, "x") + 3 * torch.sin(p.x + 2 * p.t)


def test_nonlinear_system_with_damping_and_a_condition_on_the_rate():
    solution, errors, estimated = solved(Coupled(), kp.CellWindows([2, 2], 8, 2), 1e-6)
    assert solution.status == "converged"
    assert errors.max() < min(1e-6, 10 * estimated)
