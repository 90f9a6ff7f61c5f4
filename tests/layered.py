"""Coefficients that jump across interfaces inside a domain, with a smooth solution."""

import torch

import kanpinn as kp


class Layered(kp.Problem):
    """∇·(a ∇u) = f with a = 1 in a domain, other values in parts of it, and -Δu = `factor` u.

    A subclass gives u as `exact`, its gradient as `gradient`, and the factor.

    parts: for each part of the domain its interface and the value of a.
    """

    factor: float

    def __init__(self, domain, *parts):
        self.domain, self.parts = domain, parts

    def a(self, p):
        found = torch.ones_like(p.x)
        for part, _, value in self.parts:
            inside = part.contains(p.coords)[:, None]
            found = torch.where(inside, p.x.new_tensor(value), found)
        return found

    def residual(self, p, u):
        return self.a(p) * (kp.laplacian(u) + self.factor * self.exact(p))

    def flux(self, p):
        """The jump of a times ∂u/∂n at points on both sides in turn."""
        a = self.a(p)
        jump = (a[1::2] - a[0::2]).repeat_interleave(2, dim=0)
        return jump * (p.normals * self.gradient(p)).sum(dim=1, keepdim=True)

    def conditions(self):
        interfaces = [
            kp.Interface(self.domain, boundary, self.a, flux=self.flux)
            for _, boundary, _ in self.parts
        ]
        return [kp.Dirichlet(self.domain.boundary, self.exact), *interfaces]


def part(domain, value, *names):
    """A part of a domain with its interface, pieces of its boundary or all, and the value of a."""
    return domain, domain.boundary[names] if names else domain.boundary, value
