"""Coefficients that jump across interfaces inside a domain, with a smooth solution."""

import torch
from cases import Manufactured

import kanpinn as kp
from kanpinn.pde.equations import NormalDerivative


class Layered(Manufactured):
    """∇·(a ∇u) = f with a = 1 in a domain, other values in parts of it, and a smooth solution.

    parts: for each part of the domain its interface and the value of a.
    """

    def __init__(self, domain, exact, *parts, **settings):
        self.parts = parts
        operator = lambda p, u: self.a(p) * kp.laplacian(u)  # noqa: E731
        interfaces = [kp.Interface(domain, one, self.a, flux=self.flux) for _, one, _ in parts]
        super().__init__(domain, operator, exact, also=interfaces, **settings)

    def a(self, p):
        found = torch.ones_like(p.x)
        for part, _, value in self.parts:
            inside = part.contains(p.coords)[:, None]
            found = torch.where(inside, p.x.new_tensor(value), found)
        return found

    def flux(self, p):
        """The jump of a times ∂u/∂n at points on both sides in turn."""
        a = self.a(p)
        jump = (a[1::2] - a[0::2]).repeat_interleave(2, dim=0)
        return jump * NormalDerivative(self.known)(p)


def part(domain, value, *names):
    """A part of a domain with its interface, pieces of its boundary or all, and the value of a."""
    return domain, domain.boundary[names] if names else domain.boundary, value
