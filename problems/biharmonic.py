"""The clamped plate."""

import torch

import kanpinn as kp


class Biharmonic(kp.Problem):
    """Δ²u = f on [-1, 1]², u = 0 and ∂u/∂n = 0 on the boundary.

    u is a clamped plate's deflection, f the load over the plate's stiffness. The solution is
    manufactured, u = (1 + cos πx)(1 + cos πy) / 4, whose load is
    f = π⁴ (cos πx + cos πy + 4 cos πx cos πy) / 4.

    Hard: fourth derivatives amplify rounding (the features' grow like the fourth power of the
    number of intervals), and two conditions hold at every point of the boundary.
    """

    domain = kp.Box(x=(-1, 1), y=(-1, 1))

    def residual(self, p, u):
        return kp.biharmonic(u) - self.source(p)

    def source(self, p):
        cx, cy = torch.cos(torch.pi * p.x), torch.cos(torch.pi * p.y)
        return torch.pi**4 / 4 * (cx + cy + 4 * cx * cy)

    def conditions(self):
        return [
            kp.Dirichlet(self.domain.boundary, 0.0),
            kp.Neumann(self.domain.boundary, 0.0),
        ]

    def exact(self, p):
        return (1 + torch.cos(torch.pi * p.x)) * (1 + torch.cos(torch.pi * p.y)) / 4
