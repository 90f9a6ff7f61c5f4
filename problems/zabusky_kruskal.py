"""The Korteweg–de Vries equation of Zabusky and Kruskal: a cosine decays into solitons."""

import math
from pathlib import Path

import torch

import kanpinn as kp


class ZabuskyKruskal(kp.Problem):
    """u_t + u u_x + δ² u_xxx = 0 for x in [-1, 1], t in [0, 1]; periodic, u = cos πx at t = 0.

    With δ = 0.022 this is the experiment of Zabusky and Kruskal, Interaction of "solitons" in a
    collisionless plasma and the recurrence of initial states (1965), in which solitons got their
    name.

    Hard: at t = 1/π the cosine has steepened to a slope of about 60, and then breaks up into eight
    or nine solitons of width 0.06, which go round at their own speeds and pass through each other.
    Nothing damps an error. The reference is a Fourier spectral solution of ours, on 256 × 64 points
    and without slopes, good to 1e-12.
    """

    domain = kp.Box(x=(-1, 1), t=(0, 1))
    dispersion = 0.022

    def residual(self, p, u):
        third = kp.partial(u, "x", "x", "x")
        return kp.partial(u, "t") + u.value * kp.partial(u, "x") + self.dispersion**2 * third

    def conditions(self):
        return [kp.Initial(self.domain, self.initial), kp.Periodic(self.domain, "x", order=2)]

    def invariants(self, p, u):
        slope = self.dispersion**2 * kp.partial(u, "x") ** 2
        energy = u.value**3 / 6 - slope / 2
        return {"mass": u.value, "momentum": u.value**2, "energy": energy}

    def initial(self, p):
        return torch.cos(math.pi * p.x)

    def reference(self):
        source = "Fourier modes and ETDRK4 time steps at 16,000 points"
        return kp.DataFile(str(Path(__file__).with_suffix(".h5")), error=1e-12, source=source)
