"""The heat equation in four dimensions of space, a test of natural-gradient methods for PINNs."""

import torch

import kanpinn as kp


class Heat4D(kp.Problem):
    """u_t = Δu/4 for x in [0, 1]⁴, t in [0, 1]; u = exp(-t) Σ_i sin 2x_i on the walls, at t = 0.

    Each sin 2x_i has Δ = -4, so that this u solves the equation in the whole domain: the (4+1)-
    dimensional problem of Dangel, Müller and Zeinhofer, Kronecker-factored approximate curvature
    for PINNs (2024). Hard are the five dimensions: no grid, data on nine faces, and a hundred
    random inner functions, which do for two, leave 2e-3.

    A sum over coordinates suits a KAN: as ab = ((a + b)² - (a - b)²)/4, two hidden units
    exp(-t) ± Σ_i sin 2x_i and two squares are the solution, up to what splines make of exp and sin
    (it does not lie in the trial space itself). Variable projection finds them from random starts.
    Any sum of products of two univariate functions has this form: 860 units of random polynomials
    of degree 8 and their squares span them all, without a search, and leave 3e-9.
    A product, exp(-π²t) Π_i sin πx_i, has no such form in one hidden layer: with 1056 coefficients
    on random inner functions its error is 0.3.
    """

    domain = kp.Box(x1=(0, 1), x2=(0, 1), x3=(0, 1), x4=(0, 1)).over(t=(0, 1))

    def residual(self, p, u):
        laplacian = sum(kp.partial(u, name, name) for name in ("x1", "x2", "x3", "x4"))
        return kp.partial(u, "t") - laplacian / 4

    def conditions(self):
        boundary = self.domain.boundary
        walls = boundary[tuple(n for n in boundary.names if n not in ("initial", "final"))]
        return [kp.Initial(self.domain, self.initial), kp.Dirichlet(walls, self.wall)]

    def initial(self, p):
        return torch.sin(2 * p.coords[:, :4]).sum(dim=1, keepdim=True)

    def wall(self, p):
        return torch.exp(-p.t) * torch.sin(2 * p.coords[:, :4]).sum(dim=1, keepdim=True)

    def exact(self, p):
        return torch.exp(-p.t) * torch.sin(2 * p.coords[:, :4]).sum(dim=1, keepdim=True)
