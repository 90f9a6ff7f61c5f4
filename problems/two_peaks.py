"""Poisson's equation with two narrow peaks."""

import torch

import kanpinn as kp


class TwoPeaks(kp.Problem):
    """-Δu = f on [0, 1]²; u = Σ exp(-1000 |x - x_i|²), x_1 = (0.25, 0.3), x_2 = (0.7, 0.62).

    The solution is manufactured, after the peak problem of Mitchell, A collection of 2D elliptic
    problems for testing adaptive grid refinement algorithms (2013). Hard is the width of the peaks,
    1/45 of a side: functions of the whole square would need that resolution everywhere.
    """

    domain = kp.Box(x=(0, 1), y=(0, 1))
    steepness = 1000.0
    centres = ((0.25, 0.3), (0.7, 0.62))

    def squares(self, p):
        """The squared distances from the centres, one tensor each."""
        return [(p.x - x) ** 2 + (p.y - y) ** 2 for x, y in self.centres]

    def source(self, p):
        a = self.steepness
        return sum((4 * a - 4 * a**2 * r) * torch.exp(-a * r) for r in self.squares(p))

    def residual(self, p, u):
        return -kp.laplacian(u) - self.source(p)

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, self.exact)]

    def exact(self, p):
        return sum(torch.exp(-self.steepness * r) for r in self.squares(p))
