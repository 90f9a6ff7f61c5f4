"""The nonlinear Klein–Gordon equation: manufactured solutions of the PINN literature."""

import math

import torch

import kanpinn as kp


class KleinGordon(kp.Problem):
    """u_tt - u_xx + u³ = f for x and t in [0, 1]; u = x cos(5πt) + (xt)³.

    The benchmark of Wang, Teng and Perdikaris, Understanding and mitigating gradient pathologies in
    physics-informed neural networks (2021): u_tt + αu_xx + βu + γu^k = f with α = -1, β = 0, γ = 1,
    k = 3; values at both ends, value and rate at t = 0. The source f, which is theirs, follows from
    the solution. Two and a half periods have to go together with a cubic growth.
    """

    domain = kp.Box(x=(0, 1), t=(0, 1))

    def residual(self, p, u):
        return kp.partial(u, "t", "t") - kp.partial(u, "x", "x") + u.value**3 - self.source(p)

    def source(self, p):
        frequency, u = 5 * math.pi, self.exact(p)
        u_tt = -(frequency**2) * p.x * torch.cos(frequency * p.t) + 6 * p.x**3 * p.t
        return u_tt - 6 * p.x * p.t**3 + u**3

    def conditions(self):
        ends = self.domain.boundary["x_min", "x_max"]
        return [
            kp.Initial(self.domain, lambda p: p.x, rate=0.0),
            kp.Dirichlet(ends, self.exact),
        ]

    def exact(self, p):
        return p.x * torch.cos(5 * math.pi * p.t) + (p.x * p.t) ** 3


class KleinGordonPlane(kp.Problem):
    """u_tt - Δu + u² = f on [0, 1]², t in [0, 10]; u = (x + y) cos t + xy sin t.

    The benchmark of Jacob, Howard and Stinis, SPIKANs (2024), after Cho et al., Separable
    physics-informed neural networks (2023). Bilinear in x and y, u is the blend of its values on
    the sides: with boundary = "exact" nothing is left to find, so ask for "penalty".
    """

    domain = kp.Box(x=(0, 1), y=(0, 1), t=(0, 10))

    def residual(self, p, u):
        space = kp.partial(u, "x", "x") + kp.partial(u, "y", "y")
        return kp.partial(u, "t", "t") - space + u.value**2 - self.source(p)

    def source(self, p):
        u = self.exact(p)
        return u**2 - u

    def conditions(self):
        sides = self.domain.boundary["x_min", "x_max", "y_min", "y_max"]
        start = kp.Initial(self.domain, lambda p: p.x + p.y, rate=lambda p: p.x * p.y)
        return [start, kp.Dirichlet(sides, self.exact)]

    def exact(self, p):
        return (p.x + p.y) * torch.cos(p.t) + p.x * p.y * torch.sin(p.t)
