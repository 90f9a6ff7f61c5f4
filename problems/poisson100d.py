"""Poisson's equation in a hundred dimensions."""

import torch

import kanpinn as kp


class Poisson100D(kp.Problem):
    """Δu = 200 on [0, 1]¹⁰⁰, u given on the boundary; u = Σ_i x_i².

    A polynomial; with SPRING (Goldshlager, Abrahamsen and Lin 2024) Guzmán-Cordero et al.,
    Improving energy natural gradient descent (2025), reach a relative L2 error of 1.1e-4.

    It suits a KAN: a sum of univariate functions is a single layer, here of a hundred quartics.
    What is hard is the number of derivatives: a Hessian would have ten thousand entries at each
    point, the Laplacian is carried as one.
    """

    domain = kp.Box(**{f"x{i}": (0, 1) for i in range(1, 101)})

    def residual(self, p, u):
        return kp.laplacian(u) - self.source(p)

    def source(self, p):
        return torch.full_like(p.x1, 200.0)

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, self.data)]

    def data(self, p):
        return p.coords.square().sum(dim=1, keepdim=True)

    def exact(self, p):
        return p.coords.square().sum(dim=1, keepdim=True)
