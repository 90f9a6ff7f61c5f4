"""Burgers' equation with a small viscosity: a sine wave steepens into a shock."""

import math

import torch

import kanpinn as kp

STEP = 0.2  # of the trapezoidal rule: its error is below rounding for t ≤ 1, whatever ν is
NEGLIGIBLE = 40.0  # exp of less than minus this is below rounding


class Burgers(kp.Problem):
    """u_t + u u_x = ν u_xx for x in [-1, 1], t in [0, 1]; u = -sin(πx) at t = 0, 0 at both ends.

    Cole's and Hopf's substitution u = -2ν φ_x / φ makes it the heat equation. u is then a mean of
    the initial values over y = x - z (4νt)^½, with weights exp(-z² - cos(πy) / (2πν)). This is the
    problem of Raissi, Perdikaris and Karniadakis, Physics-informed neural networks (2019).

    Hard is the shock at x = 0, which stands from t = 1/π on and is 4ν wide, and that what is wrong
    once is carried into it. The solution does not lie in the trial space.

    Args:
        viscosity: ν > 0.

    Reference: Basdevant et al., Spectral and finite difference solutions of the Burgers equation
    (1986).
    """

    domain = kp.Box(x=(-1, 1), t=(0, 1))

    def __init__(self, viscosity: float | int = 0.01 / math.pi) -> None:
        self.viscosity = viscosity

    def residual(self, p, u):
        advection = u.value * kp.partial(u, "x")
        return kp.partial(u, "t") + advection - self.viscosity * kp.partial(u, "x", "x")

    def conditions(self):
        ends = self.domain.boundary["x_min", "x_max"]
        return [kp.Initial(self.domain, self.initial), kp.Dirichlet(ends, 0.0)]

    def initial(self, p):
        return -torch.sin(math.pi * p.x)

    def cells(self):
        """Two halves: Gauss points gather at the shock between them, which errors are due to."""
        return [kp.Box(x=(-1, 0), t=(0, 1)), kp.Box(x=(0, 1), t=(0, 1))]

    def exact(self, p):
        height = 1 / (2 * math.pi * self.viscosity)
        far = math.sqrt(2 * height + NEGLIGIBLE)
        z = STEP * torch.arange(-(far // STEP) - 1, far // STEP + 2).to(p.coords)
        # The shift changes u by less than 1e-13, and keeps the root's derivative at t = 0 finite.
        y = p.x - torch.sqrt(4 * self.viscosity * (p.t + 1e-14)) * z
        weights = torch.softmax(-(z**2) - height * torch.cos(math.pi * y), dim=1)
        return -(weights * torch.sin(math.pi * y)).sum(dim=1, keepdim=True)
