"""Poisson's equation in five dimensions."""

import torch

import kanpinn as kp


class Poisson5D(kp.Problem):
    """-Δu = f on [0, 1]⁵, u given on the boundary; u = Σ_i cos(πx_i).

    The solution was made up by Müller and Zeinhofer, Achieving high accuracy with PINNs via energy
    natural gradient descent (2023), whose perceptron reaches a relative L2 error of 3.5e-8.

    It suits a KAN: a sum of univariate functions is a single layer of splines. What is hard is the
    volume: no product rule can be afforded, neither for the points nor for the error.
    """

    domain = kp.Box(x1=(0, 1), x2=(0, 1), x3=(0, 1), x4=(0, 1), x5=(0, 1))

    def residual(self, p, u):
        return -kp.laplacian(u) - self.source(p)

    def source(self, p):
        return torch.pi**2 * torch.cos(torch.pi * p.coords).sum(dim=1, keepdim=True)

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, self.data)]

    def data(self, p):
        return torch.cos(torch.pi * p.coords).sum(dim=1, keepdim=True)

    def exact(self, p):
        return torch.cos(torch.pi * p.coords).sum(dim=1, keepdim=True)
