"""The wave equation on a string: two standing waves, the faster one with four periods."""

import math

import torch

import kanpinn as kp


class Wave(kp.Problem):
    """u_tt = 4 u_xx for x in [0, 1], t in [0, 1]; u = 0 at both ends, u_t = 0 at t = 0.

    From u = sin(πx) + sin(4πx)/2 at t = 0 separation of variables gives
    u = sin(πx) cos(2πt) + sin(4πx) cos(8πt)/2: the problem of Wang, Yu and Perdikaris, When and why
    PINNs fail to train (2022). Hard are the four periods in time, over which nothing decays and
    errors go on; the penalty form costs four digits. The solution does not lie in the trial space.
    """

    domain = kp.Box(x=(0, 1), t=(0, 1))
    speed = 2.0

    def residual(self, p, u):
        return kp.partial(u, "t", "t") - self.speed**2 * kp.partial(u, "x", "x")

    def conditions(self):
        ends = self.domain.boundary["x_min", "x_max"]
        return [kp.Initial(self.domain, self.initial, rate=0.0), kp.Dirichlet(ends, 0.0)]

    def invariants(self, p, u):
        rate, slope = kp.partial(u, "t"), kp.partial(u, "x")
        return {"energy": (rate**2 + self.speed**2 * slope**2) / 2}

    def initial(self, p):
        return torch.sin(math.pi * p.x) + torch.sin(4 * math.pi * p.x) / 2

    def exact(self, p):
        time = self.speed * math.pi * p.t
        slow = torch.sin(math.pi * p.x) * torch.cos(time)
        return slow + torch.sin(4 * math.pi * p.x) * torch.cos(4 * time) / 2
