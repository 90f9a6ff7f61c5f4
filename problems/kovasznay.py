"""Kovasznay's flow behind a grid, an exact solution of the steady Navier–Stokes equations."""

import math

import torch

import kanpinn as kp


class Kovasznay(kp.Problem):
    """(u, v)·∇(u, v) = -∇q + Δ(u, v) / Re and u_x + v_y = 0 on [-1/2, 1] × [-1/2, 3/2].

    The velocity is prescribed all around, and ∫ q = 0. With λ = Re/2 - (Re²/4 + 4π²)^½ < 0 the
    solution is u = 1 - exp(λx) cos(2πy), v = λ/(2π) exp(λx) sin(2πy), q = c - exp(2λx) / 2.

    Hard: nonlinear, and a saddle point in which nothing but the equation holds the pressure.

    Args:
        reynolds: Re > 0.

    Reference: Kovasznay, Laminar flow behind a two-dimensional grid (1948).
    """

    domain = kp.Box(x=(-0.5, 1), y=(-0.5, 1.5))
    fields = ("u", "v", "q")
    velocity_fields = ("u", "v")
    free_constant = ("q",)

    def __init__(self, reynolds: float | int = 40.0) -> None:
        self.reynolds = reynolds

    def residual(self, p, u, v, q):
        return (
            _advected(u, u, v) + kp.partial(q, "x") - kp.laplacian(u) / self.reynolds,
            _advected(v, u, v) + kp.partial(q, "y") - kp.laplacian(v) / self.reynolds,
            kp.div(u, v),
        )

    def conditions(self):
        boundary = self.domain.boundary
        return [
            kp.Dirichlet(boundary, lambda p: self.exact(p)[0], field="u"),
            kp.Dirichlet(boundary, lambda p: self.exact(p)[1], field="v"),
            kp.Integral(self.domain, 0.0, field="q"),
        ]

    def exact(self, p):
        rate = self.reynolds / 2 - math.sqrt(self.reynolds**2 / 4 + 4 * math.pi**2)
        decay, angle = torch.exp(rate * p.x), 2 * math.pi * p.y
        mean = (math.exp(2 * rate) - math.exp(-rate)) / (3 * rate)
        return (
            1 - decay * torch.cos(angle),
            rate / (2 * math.pi) * decay * torch.sin(angle),
            (mean - decay**2) / 2,
        )


def _advected(w, u, v):
    """u w_x + v w_y, (n, 1)."""
    return u.value * kp.partial(w, "x") + v.value * kp.partial(w, "y")
