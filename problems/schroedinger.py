"""The nonlinear Schrödinger equation: a wave packet that focuses and spreads again."""

import math
from pathlib import Path

import torch

import kanpinn as kp


class Schroedinger(kp.Problem):
    """i h_t + h_xx / 2 + |h|² h = 0 for h = u + iv, x in [-5, 5], t in [0, π/2].

    Periodic in x, h = 2 sech x at t = 0. On the whole line this is a breather of two solitons,
    which at t = π/4 is twice as high and narrower; with a period of 10 the initial values have a
    kink at ±5, and waves from it go through the domain, 1e-2 of the solution. This is the problem
    of Raissi, Perdikaris and Karniadakis, Physics-informed neural networks (2019), section 3.1.1.

    Hard are two fields that turn into each other at a rate of their own square, and the kink: no
    equation of this kind smooths it, and its waves grow ever shorter: of n intervals or modes the
    error is never below c n^(-3/2), 4e-7 for n = 2048. The reference is a Fourier
    spectral solution of ours, on 200 × 80 points; its slopes, which hardly exist, are left out.
    """

    domain = kp.Box(x=(-5, 5), t=(0, math.pi / 2))
    fields = ("u", "v")

    def residual(self, p, u, v):
        density = u.value**2 + v.value**2
        return (
            kp.partial(u, "t") + kp.partial(v, "x", "x") / 2 + density * v.value,
            kp.partial(v, "t") - kp.partial(u, "x", "x") / 2 - density * u.value,
        )

    def conditions(self):
        return [
            kp.Initial(self.domain, self.initial, field="u"),
            kp.Initial(self.domain, 0.0, field="v"),
            kp.Periodic(self.domain, "x"),
        ]

    def invariants(self, p, u, v):
        density, slopes = u.value**2 + v.value**2, [kp.partial(f, "x") for f in (u, v)]
        current = u.value * slopes[1] - v.value * slopes[0]
        energy = (slopes[0] ** 2 + slopes[1] ** 2 - density**2) / 2
        return {"mass": density, "momentum": current, "energy": energy}

    def initial(self, p):
        return 2 / torch.cosh(p.x)

    def reference(self):
        source = "Fourier modes and ETDRK4 time steps at 16,000 points"
        return kp.DataFile(str(Path(__file__).with_suffix(".h5")), error=6e-7, source=source)
