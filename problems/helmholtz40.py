"""Helmholtz's equation with many waves, close to a resonance."""

import math

import torch

import kanpinn as kp


class WavePacket(kp.Problem):
    """Δu + k²u = f on [0, 1]², a plane wave of the wave number k times a Gaussian.

    u = exp(-5 |x - c|²) cos(k d·x) about the centre c of the square, d = (cos 0.6, sin 0.6). The
    solution is manufactured. Hard are the 40 / 2π waves along a side, and that k² = 1600 is 1.12
    above the eigenvalue 162 π² of -Δ, less than a thousandth of it, which amplifies errors.

    Args:
        wavenumber: k.
    """

    domain = kp.Box(x=(0, 1), y=(0, 1))
    direction = (math.cos(0.6), math.sin(0.6))
    decay = 5.0

    def __init__(self, wavenumber: float = 40.0) -> None:
        self.wavenumber = wavenumber

    def source(self, p):
        a, (dx, dy), k = self.decay, self.direction, self.wavenumber
        x, y, phase = p.x - 0.5, p.y - 0.5, self.phase(p)
        even = (4 * a**2 * (x**2 + y**2) - 4 * a) * torch.cos(phase)
        return self.envelope(p) * (even + 4 * a * k * (x * dx + y * dy) * torch.sin(phase))

    def residual(self, p, u):
        return kp.laplacian(u) + self.wavenumber**2 * u - self.source(p)

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, self.exact)]

    def phase(self, p):
        dx, dy = self.direction
        return self.wavenumber * (dx * p.x + dy * p.y)

    def envelope(self, p):
        return torch.exp(-self.decay * ((p.x - 0.5) ** 2 + (p.y - 0.5) ** 2))

    def exact(self, p):
        return self.envelope(p) * torch.cos(self.phase(p))
