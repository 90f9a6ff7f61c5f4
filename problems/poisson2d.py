"""Poisson's equation on the square, the KAN poster's example."""

import torch

import kanpinn as kp


class Poisson2D(kp.Problem):
    """u_xx + u_yy = f on [-1, 1]², u = 0 on the boundary; u = sin(πx) sin(πy²)."""

    domain = kp.Box(x=(-1, 1), y=(-1, 1))

    def residual(self, p, u):
        return kp.laplacian(u) - self.source(p)

    def source(self, p):
        pi, y2 = torch.pi, p.y**2
        curvature = -(pi**2) * (1 + 4 * y2) * torch.sin(pi * y2) + 2 * pi * torch.cos(pi * y2)
        return torch.sin(pi * p.x) * curvature

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, 0.0)]

    def exact(self, p):
        return torch.sin(torch.pi * p.x) * torch.sin(torch.pi * p.y**2)
