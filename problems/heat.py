"""The heat equation on a rod: two modes that decay at different rates."""

import math

import torch

import kanpinn as kp


class Heat(kp.Problem):
    """u_t = κ u_xx for x in [0, 1], t in [0, 1], κ = 1/10; u = 0 at both ends.

    From u = sin(πx) + sin(3πx)/2 at t = 0 separation of variables gives
    u = exp(-κπ²t) sin(πx) + exp(-9κπ²t) sin(3πx)/2. The second mode falls to 1e-4 of its size while
    the first one keeps 0.37: this is no product of a function of x and one of t, and not in the
    trial space. Smooth and parabolic, it is the mildest of the evolution problems here.
    """

    domain = kp.Box(x=(0, 1), t=(0, 1))
    conductivity = 0.1

    def residual(self, p, u):
        return kp.partial(u, "t") - self.conductivity * kp.partial(u, "x", "x")

    def conditions(self):
        ends = self.domain.boundary["x_min", "x_max"]
        return [kp.Initial(self.domain, self.initial), kp.Dirichlet(ends, 0.0)]

    def initial(self, p):
        return torch.sin(math.pi * p.x) + torch.sin(3 * math.pi * p.x) / 2

    def exact(self, p):
        rate = self.conductivity * math.pi**2
        slow = torch.exp(-rate * p.t) * torch.sin(math.pi * p.x)
        return slow + torch.exp(-9 * rate * p.t) * torch.sin(3 * math.pi * p.x) / 2
