"""Five equations with a known solution that is drawn at random, on any domain in the plane."""

import math

import numpy as np
import torch
from torch import Tensor

import kanpinn as kp
from kanpinn.geometry import Domain, Points

NAMES = ("Poisson", "reaction", "advection", "varying", "cubic")


class Drawn(kp.Problem):
    """One of five equations, with values on most of the boundary and a flux on one piece.

    Poisson: Δu = f; reaction: Δu - c u = f with c = 100; advection: Δu / 20 - b · ∇u = f with |b| =
    1; varying: ∇ · (a ∇u) = f with a = 1 + x² + y²; cubic: Δu - u³ = f. The solution is the sum of
    a wave and a peak, whose width is between 1/30 of the domain's height and that height. If the
    boundary has several pieces, the flux is given on the last one.

    Args:
        kind: one of NAMES.
        domain: in the plane.
        draw: the generator of the solution's numbers.
    """

    def __init__(self, kind: str, domain: Domain, draw: np.random.Generator) -> None:
        self.kind, self.domain = kind, domain
        self.wave = torch.from_numpy(draw.uniform(-8, 8, 2))
        self.phase, angle = (float(one) for one in draw.uniform(0, 2 * math.pi, 2))
        self.flow = math.cos(angle), math.sin(angle)
        low, high = domain.bounds
        self.top = low + (high - low) * torch.from_numpy(draw.uniform(0, 1, 2))
        self.width = float(high[1] - low[1]) / 30 ** float(draw.uniform(0, 1))

    def residual(self, p, u):
        return self.operator(p, u) - self.source(p)

    def operator(self, p, u):
        """The left-hand side of the equation, (n, 1)."""
        x, y = kp.partial(u, "x"), kp.partial(u, "y")
        if self.kind == "reaction":
            return kp.laplacian(u) - 100 * u.value
        if self.kind == "advection":
            return kp.laplacian(u) / 20 - self.flow[0] * x - self.flow[1] * y
        if self.kind == "varying":
            return (1 + p.x**2 + p.y**2) * kp.laplacian(u) + 2 * (p.x * x + p.y * y)
        return kp.laplacian(u) - (u.value**3 if self.kind == "cubic" else 0)

    def conditions(self):
        boundary = self.domain.boundary
        names = list(dict.fromkeys(boundary.names))
        if len(names) == 1:
            return [kp.Dirichlet(boundary, self.exact)]
        return [
            kp.Dirichlet(boundary[tuple(names[:-1])], self.exact),
            kp.Neumann(boundary[names[-1]], self.flux),
        ]

    def exact(self, p: Points) -> Tensor:
        wave = torch.sin(p.coords @ self.wave + self.phase)
        return wave[:, None] + self.peak(p)

    def peak(self, p: Points) -> Tensor:
        """exp(-|x - top|² / width²), (n, 1)."""
        square = ((p.coords - self.top) ** 2).sum(dim=1, keepdim=True)
        return torch.exp(-square / self.width**2)

    def flux(self, p: Points) -> Tensor:
        """∂u/∂n."""
        wave = torch.cos(p.coords @ self.wave + self.phase)[:, None] * self.wave
        slope = wave - 2 / self.width**2 * (p.coords - self.top) * self.peak(p)
        assert p.normals is not None
        return (slope * p.normals).sum(dim=1, keepdim=True)
