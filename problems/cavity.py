"""Steady flow in a square whose lid slides."""

from pathlib import Path

import torch

import kanpinn as kp


class Cavity(kp.Problem):
    """(u, v)·∇(u, v) = -∇q + Δ(u, v) / Re and u_x + v_y = 0 on [0, 1]², ∫ q = 0.

    (u, v) = (1, 0) on the lid y = 1 and 0 on the other walls. There is no exact solution: errors
    of u and v are against spectral elements on a graded mesh, at Re = 100.

    Hard: the velocity jumps at both ends of the lid, where the pressure is like 1/r and the terms
    of the equation like 1/r². Cells become small there. The equations are weighted by powers of the
    distance from the corners, which keep their squares integrable.

    Args:
        reynolds: Re > 0.

    Reference: Ghia, Ghia and Shin (1982); Botella and Peyret (1998).
    """

    domain = kp.Polygon([(0, 0), (1, 0), (1, 1), (0, 1)])
    fields = ("u", "v", "q")
    error_fields = velocity_fields = ("u", "v")
    free_constant = ("q",)

    def __init__(self, reynolds: float | int = 100.0) -> None:
        self.reynolds = reynolds

    def residual(self, p, u, v, q):
        near = _near(p.x, p.y) * _near(1 - p.x, p.y)
        weight = near**1.5
        return (
            weight * (_advected(u, u, v) + kp.partial(q, "x") - kp.laplacian(u) / self.reynolds),
            weight * (_advected(v, u, v) + kp.partial(q, "y") - kp.laplacian(v) / self.reynolds),
            near**0.5 * kp.div(u, v),
        )

    def conditions(self):
        boundary = self.domain.boundary
        return [
            kp.Dirichlet(boundary, lambda p: (p.y == 1).to(p.y), field="u"),
            kp.Dirichlet(boundary, 0.0, field="v"),
            kp.Integral(self.domain, 0.0, field="q"),
        ]

    def quantities(self, solution):
        count = 4001
        along, half = torch.linspace(0, 1, count).double(), torch.full((count,), 0.5).double()
        u = solution(torch.stack([half, along], dim=1))[:, 0]
        v = solution(torch.stack([along, half], dim=1))[:, 1]
        return {
            "least u on x = 1/2": u.min(),
            "least v on y = 1/2": v.min(),
            "greatest v on y = 1/2": v.max(),
        }

    def reference(self):
        if self.reynolds != 100:
            return None
        file = Path(__file__).with_name("cavity.npz")
        return kp.DataFile(str(file), 1e-5, "spectral elements on a graded mesh")


def _near(x, y):
    """How far it is to (0, 1), up to 1, (n, 1)."""
    square = x**2 + (1 - y) ** 2
    return (square / (square + 0.2)) ** 0.5


def _advected(w, u, v):
    """u w_x + v w_y, (n, 1)."""
    return u.value * kp.partial(w, "x") + v.value * kp.partial(w, "y")
