"""The Allen–Cahn equation in two dimensions: a circle between two phases shrinks."""

import math
from pathlib import Path

import torch

import kanpinn as kp


class AllenCahn2D(kp.Problem):
    """u_t = Δu + (u - u³) / ε² for x, y in [-1, 1], t in [0, 0.15], periodic; ε = 0.05.

    u = tanh(s / (√2 ε)) at t = 0, where s is nearly the distance from a circle with radius 0.6: a
    layer of the width ε parts the phases u = 1 inside and u = -1 outside. It moves with a speed
    that is its curvature, so that the radius is (0.36 - 2 t)^½, but for a part of the order ε²; at
    the end it is 0.25.

    Hard: a thin layer everywhere along a curve that moves, and a fast reaction. The reference is a
    Fourier spectral solution of ours, good to 1e-8.
    """

    domain = kp.Box(x=(-1, 1), y=(-1, 1), t=(0, 0.15))
    width, radius = 0.05, 0.6

    def residual(self, p, u):
        diffusion = kp.partial(u, "x", "x") + kp.partial(u, "y", "y")
        return kp.partial(u, "t") - diffusion - (u.value - u.value**3) / self.width**2

    def conditions(self):
        around = [kp.Periodic(self.domain, name) for name in ("x", "y")]
        return [kp.Initial(self.domain, self.initial), *around]

    def initial(self, p):
        squares = torch.sin(math.pi * p.x / 2) ** 2 + torch.sin(math.pi * p.y / 2) ** 2
        inside = self.radius**2 - 4 / math.pi**2 * squares
        return torch.tanh(inside / (2 * math.sqrt(2) * self.radius * self.width))

    def reference(self):
        source = "Fourier modes and ETDRK4 time steps"
        return kp.DataFile(str(Path(__file__).with_suffix(".h5")), error=1e-8, source=source)
