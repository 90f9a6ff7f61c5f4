"""A family of screened Poisson problems, the screening a coordinate beside x and y."""

import math

import torch

import kanpinn as kp


class ParametricPoisson(kp.Problem):
    """u_xx + u_yy = κ²u on the unit square for all κ in [0, 5] at once; one side is heated.

    A plate that loses heat to its surroundings: u = sin(πx) at y = 0, u = 0 at the other sides.
    Separation of variables gives u = sin(πx) sinh(s(1 - y)) / sinh(s) with s² = π² + κ². No
    condition is needed at the ends of κ, by which nothing is differentiated: of the boundary only
    the sides count. Hard is that profiles in y of one family have to be met all together.
    """

    domain = kp.Box(x=(0, 1), y=(0, 1), kappa=(0, 5))

    def residual(self, p, u):
        return kp.partial(u, "x", "x") + kp.partial(u, "y", "y") - p.kappa**2 * u.value

    def conditions(self):
        sides = self.domain.boundary
        return [
            kp.Dirichlet(sides["y_min"], lambda p: torch.sin(math.pi * p.x)),
            kp.Dirichlet(sides["x_min", "x_max", "y_max"], 0.0),
        ]

    def exact(self, p):
        decay = torch.sqrt(math.pi**2 + p.kappa**2)
        profile = torch.sinh(decay * (1 - p.y)) / torch.sinh(decay)
        return torch.sin(math.pi * p.x) * profile
