"""The sine-Gordon equation: a breather, a kink and an antikink that cannot part."""

import math

import torch

import kanpinn as kp


class SineGordon(kp.Problem):
    """u_tt = u_xx - sin u for x in [-10, 10], t in [0, 20]; values at both ends from the formula.

    The breather of frequency ω = 3/4 is u = 4 atan(η cos(ωt) / (ω cosh(ηx))), η = (1 - ω²)^½: it
    swings from 2.9, where sin u has long turned round, to -2.9 and back, fast at the passage, 2.4
    times in all. Small at the ends and large in the middle, u is no product of a function of x and
    one of t.
    """

    domain = kp.Box(x=(-10, 10), t=(0, 20))
    frequency = 0.75

    def residual(self, p, u):
        return kp.partial(u, "t", "t") - kp.partial(u, "x", "x") + torch.sin(u.value)

    def conditions(self):
        ends = self.domain.boundary["x_min", "x_max"]
        return [kp.Initial(self.domain, self.exact, rate=0.0), kp.Dirichlet(ends, self.exact)]

    def invariants(self, p, u):
        rate, slope = kp.partial(u, "t"), kp.partial(u, "x")
        energy = (rate**2 + slope**2) / 2 + 1 - torch.cos(u.value)
        return {"energy": energy, "momentum": rate * slope}

    def outflow(self, p, u):
        """What the waves carry through the ends: little, since there they are small."""
        rate, slope = kp.partial(u, "t"), kp.partial(u, "x")
        pressure = (rate**2 + slope**2) / 2 - 1 + torch.cos(u.value)
        outward = p.normals[:, :1]
        return {"energy": -rate * slope * outward, "momentum": -pressure * outward}

    def exact(self, p):
        width = math.sqrt(1 - self.frequency**2)
        swing = width / self.frequency * torch.cos(self.frequency * p.t)
        return 4 * torch.atan(swing / torch.cosh(width * p.x))
