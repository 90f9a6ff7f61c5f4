"""The poster's Poisson problem, periodic in x."""

import torch

import kanpinn as kp


class Poisson2DPeriodic(kp.Problem):
    """u_xx + u_yy = f on [-1, 1]², u periodic in x, u = 0 at y = ±1; u = sin(πx) sin(πy²).

    The solution is the poster's, manufactured: f is its Laplacian. That it vanishes at x = ±1 is
    not prescribed.

    Hard: u and u_x at one side are known from the other only, so that each row of the least squares
    problem ties two points together.
    """

    domain = kp.Box(x=(-1, 1), y=(-1, 1))

    def residual(self, p, u):
        return kp.laplacian(u) - self.source(p)

    def source(self, p):
        pi, y2 = torch.pi, p.y**2
        curvature = -(pi**2) * (1 + 4 * y2) * torch.sin(pi * y2) + 2 * pi * torch.cos(pi * y2)
        return torch.sin(pi * p.x) * curvature

    def conditions(self):
        return [
            kp.Periodic(self.domain, "x"),
            kp.Dirichlet(self.domain.boundary["y_min", "y_max"], 0.0),
        ]

    def exact(self, p):
        return torch.sin(torch.pi * p.x) * torch.sin(torch.pi * p.y**2)
