"""A soap film between two rings, the surface of least area."""

import torch

import kanpinn as kp


class SoapFilm(kp.Problem):
    """The least area ∫ √(1 + |∇u|²) over 1 < r < 3, u given on both circles.

    The film is a catenoid, u = c arcosh(r/c) with c = 0.9. The class states the energy alone: the
    equation, div(∇u / √(1 + |∇u|²)) = 0, is derived from it. Hard: the film is steep at the inner
    ring, where its slope is 2; for c = 1 the slope would be infinite.
    """

    domain = kp.Annulus((0, 0), 1, 3)
    radius = 0.9

    def energy(self, p, u):
        return (1 + kp.grad(u).square().sum(dim=1, keepdim=True)).sqrt()

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, self.exact)]

    def exact(self, p):
        r = (p.x**2 + p.y**2).sqrt()
        return self.radius * torch.acosh(r / self.radius)
