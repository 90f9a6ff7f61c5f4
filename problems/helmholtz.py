"""Helmholtz's equation with a (1, 4) wave, a standard test of physics-informed networks."""

import math

import torch

import kanpinn as kp


class Helmholtz(kp.Problem):
    """Δu + k²u = f on [-1, 1]², k = 1, u = 0 on the boundary; u = sin(πx) sin(4πy).

    The solution is manufactured, f = (k² - 17π²) u: the "Helmholtz (1, 4)" problem of Wang, Teng
    and Perdikaris, Understanding and mitigating gradient flow pathologies in PINNs (2021). Hard are
    its two frequencies: networks learn the four waves along y late, and gradients of
    the residual drown those of the boundary data. k² = 1 lies far below the least eigenvalue, π²/2,
    so the equation itself is well-posed. The solution does not lie in the trial space.
    """

    domain = kp.Box(x=(-1, 1), y=(-1, 1))
    wavenumber = 1.0

    def residual(self, p, u):
        return kp.laplacian(u) + self.wavenumber**2 * u - self.source(p)

    def source(self, p):
        waves = torch.sin(math.pi * p.x) * torch.sin(4 * math.pi * p.y)
        return (self.wavenumber**2 - 17 * math.pi**2) * waves

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, 0.0)]

    def exact(self, p):
        return torch.sin(math.pi * p.x) * torch.sin(4 * math.pi * p.y)
