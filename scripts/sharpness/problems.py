"""Problems with a feature that is small beside their domain, each with its exact solution."""

import math

import torch

import kanpinn as kp


class Peak(kp.Problem):
    """Δu = f on [-1, 1]², u = exp(-s ((x - 0.3)² + (y + 0.2)²)) as long as `steepness` is s."""

    domain = kp.Box(x=(-1, 1), y=(-1, 1))
    steepness = 1000.0

    def residual(self, p, u):
        return kp.laplacian(u) - self.source(p)

    def source(self, p):
        s, square = self.steepness, self.square(p)
        return (4 * s**2 * square - 4 * s) * torch.exp(-s * square)

    def square(self, p):
        return (p.x - 0.3) ** 2 + (p.y + 0.2) ** 2

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, self.exact)]

    def exact(self, p):
        return torch.exp(-self.steepness * self.square(p))


class Penalised(kp.Problem):
    """Δu = f on [-1, 1]² u = sin(4πx) sin(πy) + x, for data that are penalised."""

    domain = kp.Box(x=(-1, 1), y=(-1, 1))

    def residual(self, p, u):
        return kp.laplacian(u) - self.source(p)

    def source(self, p):
        return -17 * math.pi**2 * torch.sin(4 * math.pi * p.x) * torch.sin(math.pi * p.y)

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, self.exact)]

    def exact(self, p):
        return torch.sin(4 * math.pi * p.x) * torch.sin(math.pi * p.y) + p.x
