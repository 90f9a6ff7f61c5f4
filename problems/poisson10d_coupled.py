"""Poisson's equation in ten dimensions, all of them coupled."""

import torch

import kanpinn as kp


class Poisson10DCoupled(kp.Problem):
    """-Δu = f on [0, 1]¹⁰, u given on the boundary; u = exp(-|x - 1/2|²) cos(x_1 + … + x_10).

    The solution is made up, f follows from it: with s = Σ_i x_i and r = |x - 1/2|
    f = exp(-r²) ((30 - 4r²) cos s - 4 (s - 5) sin s). No published figure is known.

    Neither a sum of univariate functions nor a polynomial, it suits a KAN less plainly: r² and s
    are sums, but what is made of them is a product. A few univariate functions of their
    combinations come close to that, if the inner functions are these combinations. To find them is
    what is hard: with random inner functions, even many, the error stays near 0.5.
    """

    domain = kp.Box(**{f"x{i}": (0, 1) for i in range(1, 11)})

    def residual(self, p, u):
        return -kp.laplacian(u) - self.source(p)

    def source(self, p):
        s = p.coords.sum(dim=1, keepdim=True)
        r2 = (p.coords - 0.5).square().sum(dim=1, keepdim=True)
        return torch.exp(-r2) * ((30 - 4 * r2) * torch.cos(s) - 4 * (s - 5) * torch.sin(s))

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, self.data)]

    def data(self, p):
        r2 = (p.coords - 0.5).square().sum(dim=1, keepdim=True)
        return torch.exp(-r2) * torch.cos(p.coords.sum(dim=1, keepdim=True))

    def exact(self, p):
        r2 = (p.coords - 0.5).square().sum(dim=1, keepdim=True)
        return torch.exp(-r2) * torch.cos(p.coords.sum(dim=1, keepdim=True))
