"""The Kuramoto–Sivashinsky equation: smooth waves turn into chaos."""

import math
from pathlib import Path

import torch

import kanpinn as kp


class KuramotoSivashinsky(kp.Problem):
    """u_t + α u u_x + β u_xx + γ u_xxxx = 0 for x in [0, 2π], t in [0, until], periodic in x.

    u = cos x (1 + sin x) at t = 0, α = 100/16, β = 100/16², γ = 100/16⁴: Kassam and Trefethen's
    example, Fourth-order time-stepping for stiff PDEs (2005), in other units, and the chaotic case
    of Wang, Sankaran and Perdikaris, Respecting causality is all you need (2022).

    Hard: short waves grow out of the smooth start, faster than everything else changes, meet, and
    from t = 0.4 on are chaos, in which errors grow some hundred times up to t = 1/2 and again up to
    t = 1; and derivatives of fourth order. The reference is a Fourier spectral solution of ours, up
    to t = 1: its relative L2 error is 3e-9 up to t = 1/2 and 3e-8 up to 1.

    Args:
        until: the last moment.
    """

    alpha, beta, gamma = 100 / 16, 100 / 16**2, 100 / 16**4

    def __init__(self, until: float | int = 0.5) -> None:
        self.domain = kp.Box(x=(0, 2 * math.pi), t=(0, until))

    def residual(self, p, u):
        advection = self.alpha * u.value * kp.partial(u, "x")
        damping = self.gamma * kp.partial(u, "x", "x", "x", "x")
        return kp.partial(u, "t") + advection + self.beta * kp.partial(u, "x", "x") + damping

    def conditions(self):
        return [
            kp.Initial(self.domain, self.initial),
            kp.Periodic(self.domain, "x", order=3),
        ]

    def initial(self, p):
        return torch.cos(p.x) * (1 + torch.sin(p.x))

    def reference(self):
        last = float(self.domain.bounds[1][1])
        if last > 1:
            return None
        source = "Fourier modes and ETDRK4 time steps"
        path, error = str(Path(__file__).with_suffix(".h5")), 3e-9 if last <= 0.5 else 3e-8
        return kp.DataFile(path, error, source, degree=9, periodic=("x",))
