"""The Korteweg–de Vries equation: a fast soliton overtakes a slow one."""

import math

import torch

import kanpinn as kp


class KdV(kp.Problem):
    """u_t + 6 u u_x + u_xxx = 0 for x in [-10, 10], t in [-1, 1]; two solitons.

    u = 2 ∂_xx log F with F = 1 + e₁ + e₂ + A e₁ e₂, e_i = exp(k_i x - k_i³ t) / A^½ and
    A = ((k₁ - k₂) / (k₁ + k₂))² (Hirota, 1971): they are one hump of height 3/2 at x = t = 0. At
    both ends values are given, at the right one ∂u/∂x too, as an equation of third order wants it.
    """

    domain = kp.Box(x=(-10, 10), t=(-1, 1))
    wave_numbers = (2.0, 1.0)

    def residual(self, p, u):
        third = kp.partial(u, "x", "x", "x")
        return kp.partial(u, "t") + 6 * u.value * kp.partial(u, "x") + third

    def conditions(self):
        sides = self.domain.boundary
        return [
            kp.Initial(self.domain, self.exact),
            kp.Dirichlet(sides["x_min", "x_max"], self.exact),
            kp.Neumann(sides["x_max"], self.slope),
        ]

    def invariants(self, p, u):
        energy = kp.partial(u, "x") ** 2 / 2 - u.value**3
        return {"mass": u.value, "momentum": u.value**2, "energy": energy}

    def outflow(self, p, u):
        """What flows through the ends, where the solitons are small but not zero."""
        slope, curvature = kp.partial(u, "x"), kp.partial(u, "x", "x")
        mass = 3 * u.value**2 + curvature
        momentum = 4 * u.value**3 + 2 * u.value * curvature - slope**2
        energy = -slope * kp.partial(u, "t") - mass**2 / 2
        flows = {"mass": mass, "momentum": momentum, "energy": energy}
        return {name: flow * p.normals[:, :1] for name, flow in flows.items()}

    def exact(self, p):
        total, first, second = self.sums(p)[:3]
        return 2 * (second / total - (first / total) ** 2)

    def slope(self, p):
        """∂u/∂x."""
        total, first, second, third = self.sums(p)
        ratio = first / total
        return 2 * (third / total - 3 * ratio * second / total + 2 * ratio**3)

    def sums(self, p):
        """F and its derivatives by x up to the third, all divided by one factor."""
        fast, slow = self.wave_numbers
        ratio = (fast - slow) / (fast + slow)
        rates = (0.0, fast, slow, fast + slow)
        shift = -math.log(ratio)  # of both: u(-x, -t) = u(x, t)
        phases = [k * p.x - k**3 * p.t + shift for k in (fast, slow)]
        exponents = [0 * p.x, *phases, phases[0] + phases[1] + 2 * math.log(ratio)]
        largest = torch.stack(exponents).amax(dim=0)
        terms = [torch.exp(e - largest) for e in exponents]
        return [sum(r**n * e for r, e in zip(rates, terms, strict=True)) for n in range(4)]
