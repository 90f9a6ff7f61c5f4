"""Coordinates that the solution of a steady problem stretches."""

import math

import pytest
import torch

import kanpinn as kp
from kanpinn.tasks.equidistribute import equidistributed, no_stretch, unstretched

F = torch.float64


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
