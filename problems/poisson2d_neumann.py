"""The poster's Poisson problem with the flux given on the whole boundary."""

import torch

import kanpinn as kp


class Poisson2DNeumann(kp.Problem):
    """u_xx + u_yy = f on [-1, 1]², ∂u/∂n = g on all sides, ∫ u = 0; u = sin(πx) sin(πy²).

    The solution is the poster's, manufactured: f and g are its Laplacian and its flux. It is odd
    in x, so its mean is 0.

    Hard: the equation and the flux leave a constant free, which only the integral fixes; and no
    side's values can be built into the network.
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
            kp.Neumann(boundary["x_min", "x_max"], self.flux_x),
            kp.Neumann(boundary["y_min", "y_max"], self.flux_y),
            kp.Integral(self.domain, 0.0),
        ]

    def flux_x(self, p):
        """n_x ∂u/∂x at x = ±1, where cos(πx) = -1."""
        return -torch.pi * p.normals[:, :1] * torch.sin(torch.pi * p.y**2)

    def flux_y(self, p):
        """n_y ∂u/∂y at y = ±1, where n_y y = 1 and cos(πy²) = -1."""
        return -2 * torch.pi * torch.sin(torch.pi * p.x)

    def exact(self, p):
        return torch.sin(torch.pi * p.x) * torch.sin(torch.pi * p.y**2)
