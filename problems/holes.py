"""Laplace's equation around small round holes."""

import torch

import kanpinn as kp


class Holes(kp.Problem):
    """Δu = 0 on the unit square without six disks; ∂u/∂n on three of them, u on all other walls.

    The solution is exp(x) sin y + Σ_i (a_i ln d_i + b_i r_i (x - x_i) / d_i²), with a source and a
    dipole at the centre (x_i, y_i) of each hole; d_i is the distance from it, r_i the radius.

    Hard: next to a hole the solution changes over its radius, 0.01 to 0.05 of the square's side.
    """

    # For each hole its centre, its radius, and the strengths a and b.
    holes = (
        ((0.18, 0.31), 0.010, 0.8, -0.4),
        ((0.71, 0.22), 0.050, -0.9, 0.7),
        ((0.44, 0.58), 0.025, 0.6, 0.9),
        ((0.52, 0.63), 0.015, -0.7, -0.8),
        ((0.86, 0.74), 0.034, 0.9, 0.2),
        ((0.23, 0.84), 0.042, -0.5, -0.6),
    )

    def __init__(self):
        domain: kp.geometry.Domain = kp.Box(x=(0, 1), y=(0, 1))
        for number, (centre, radius, *_) in enumerate(self.holes):
            domain = domain - kp.Disk(centre, radius, name=f"hole{number}")
        self.domain = domain

    def residual(self, p, u):
        return kp.laplacian(u)

    def conditions(self):
        walls = self.domain.boundary
        fluxes = ("hole1", "hole3", "hole5")
        values = tuple(name for name in walls.names if name not in fluxes)
        return [kp.Dirichlet(walls[values], self.exact), kp.Neumann(walls[fluxes], self.flux)]

    def exact(self, p):
        u = torch.exp(p.x) * torch.sin(p.y)
        for (x, y), radius, source, dipole in self.holes:
            square = (p.x - x) ** 2 + (p.y - y) ** 2
            u = u + source / 2 * torch.log(square) + dipole * radius * (p.x - x) / square
        return u

    def flux(self, p):
        """∂u/∂n."""
        along, across = torch.exp(p.x) * torch.sin(p.y), torch.exp(p.x) * torch.cos(p.y)
        for (x, y), radius, source, dipole in self.holes:
            dx, dy = p.x - x, p.y - y
            square = dx**2 + dy**2
            along = along + source * dx / square + dipole * radius * (dy**2 - dx**2) / square**2
            across = across + source * dy / square - 2 * dipole * radius * dx * dy / square**2
        n_x, n_y = p.normals.split(1, dim=1)
        return along * n_x + across * n_y
