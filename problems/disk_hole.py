"""Poisson's equation on a disk with an eccentric hole."""

import torch

import kanpinn as kp


class DiskHole(kp.Problem):
    """Δu = f on the unit disk without the disk of radius 0.3 at (0.3, 0.1).

    u is given on the circle and ∂u/∂n on the hole. The solution is manufactured,
    u = sin(πx) exp(y²), so f = (4y² + 2 - π²) u.

    Hard: two curved boundaries with different conditions, no centre in common and only 0.38 between
    them at the closest.
    """

    domain = kp.Disk((0, 0), 1) - kp.Disk((0.3, 0.1), 0.3, name="hole")

    def residual(self, p, u):
        return kp.laplacian(u) - self.source(p)

    def source(self, p):
        wave = torch.sin(torch.pi * p.x) * torch.exp(p.y**2)
        return (4 * p.y**2 + 2 - torch.pi**2) * wave

    def conditions(self):
        boundary = self.domain.boundary
        return [
            kp.Dirichlet(boundary["circle"], self.value),
            kp.Neumann(boundary["hole"], self.flux),
        ]

    def value(self, p):
        """u on the circle, where x² + y² = 1."""
        return torch.sin(torch.pi * p.x) * torch.exp(1 - p.x**2)

    def flux(self, p):
        """∂u/∂n on the hole."""
        n_x, n_y = p.normals.split(1, dim=1)
        along = n_x * torch.pi * torch.cos(torch.pi * p.x)
        return (along + n_y * 2 * p.y * torch.sin(torch.pi * p.x)) * torch.exp(p.y**2)

    def exact(self, p):
        return torch.sin(torch.pi * p.x) * torch.exp(p.y**2)
