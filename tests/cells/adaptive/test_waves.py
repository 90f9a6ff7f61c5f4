"""Waves whose length varies over the domain: cells are halved where the waves are short."""

import math

import torch
from cases import OnWalls, error_of

import kanpinn as kp


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
    solution = kp.solve(Oscillatory(), network, kp.Dissection(1e-6, cells=400), verified=False)
    assert solution.status == "converged" and error_of(solution) < 3e-6
