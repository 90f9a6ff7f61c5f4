"""Stokes flow in a closed square."""

import torch

import kanpinn as kp


class Stokes(kp.Problem):
    """-ν Δ(u, v) + ∇q = f and u_x + v_y = 0 on [0, 1]², (u, v) = 0 on the walls, ∫ q = 0.

    The solution is manufactured: the stream function ψ = sin²(πx) sin²(πy) / π gives
    u = ψ_y = sin²(πx) sin(2πy) and v = -ψ_x = -sin(2πx) sin²(πy), which vanish on the walls; the
    pressure is q = cos(πx) exp(y), whose mean is 0.

    Hard: a saddle point, in which nothing but the equation holds the pressure; it appears by its
    gradient alone, and its constant is free but for the integral.

    Args:
        viscosity: ν > 0.
    """

    domain = kp.Box(x=(0, 1), y=(0, 1))
    fields = ("u", "v", "q")
    velocity_fields = ("u", "v")
    free_constant = ("q",)

    def __init__(self, viscosity: float | int = 1.0) -> None:
        self.viscosity = viscosity

    def residual(self, p, u, v, q):
        f, g = self.source(p).split(1, dim=1)
        return (
            -self.viscosity * kp.laplacian(u) + kp.partial(q, "x") - f,
            -self.viscosity * kp.laplacian(v) + kp.partial(q, "y") - g,
            kp.div(u, v),
        )

    def source(self, p):
        """The force f, (n, 2)."""
        pi, x, y = torch.pi, p.x, p.y
        lu = 2 * pi**2 * (2 * torch.cos(2 * pi * x) - 1) * torch.sin(2 * pi * y)
        lv = -2 * pi**2 * (2 * torch.cos(2 * pi * y) - 1) * torch.sin(2 * pi * x)
        f = -self.viscosity * lu - pi * torch.sin(pi * x) * torch.exp(y)
        g = -self.viscosity * lv + torch.cos(pi * x) * torch.exp(y)
        return torch.cat([f, g], dim=1)

    def conditions(self):
        return [
            kp.Dirichlet(self.domain.boundary, 0.0, field="u"),
            kp.Dirichlet(self.domain.boundary, 0.0, field="v"),
            kp.Integral(self.domain, 0.0, field="q"),
        ]

    def exact(self, p):
        pi, x, y = torch.pi, p.x, p.y
        u = torch.sin(pi * x) ** 2 * torch.sin(2 * pi * y)
        v = -torch.sin(2 * pi * x) * torch.sin(pi * y) ** 2
        return u, v, torch.cos(pi * x) * torch.exp(y)
