"""The poster's Poisson problem with Robin conditions on all sides."""

import torch

import kanpinn as kp


class Poisson2DRobin(kp.Problem):
    """u_xx + u_yy = f on [-1, 1]², u + ∂u/∂n = g on all sides; u = sin(πx) sin(πy²).

    The solution is the poster's, manufactured: f is its Laplacian, and as it vanishes on the
    boundary g is its flux.

    Hard: no side's values can be built into the network, and a boundary residual holds u and its
    derivative, whose features differ in size.
    """

    domain = kp.Box(x=(-1, 1), y=(-1, 1))

    def residual(self, p, u):
        return kp.laplacian(u) - self.source(p)

    def source(self, p):
        pi, y2 = torch.pi, p.y**2
        curvature = -(pi**2) * (1 + 4 * y2) * torch.sin(pi * y2) + 2 * pi * torch.cos(pi * y2)
        return torch.sin(pi * p.x) * curvature

    def conditions(self):
        boundary = self.domain.boundary
        return [
            kp.Robin(boundary["x_min", "x_max"], 1.0, 1.0, self.flux_x),
            kp.Robin(boundary["y_min", "y_max"], 1.0, 1.0, self.flux_y),
        ]

    def flux_x(self, p):
        """n_x ∂u/∂x at x = ±1, where cos(πx) = -1."""
        return -torch.pi * p.normals[:, :1] * torch.sin(torch.pi * p.y**2)

    def flux_y(self, p):
        """n_y ∂u/∂y at y = ±1, where n_y y = 1 and cos(πy²) = -1."""
        return -2 * torch.pi * torch.sin(torch.pi * p.x)

    def exact(self, p):
        return torch.sin(torch.pi * p.x) * torch.sin(torch.pi * p.y**2)
