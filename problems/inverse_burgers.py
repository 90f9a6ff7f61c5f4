"""The viscosity of Burgers' equation, from noisy values at random points."""

import math

import torch

import kanpinn as kp


class InverseBurgers(kp.Problem):
    """u_t + u u_x = ν u_xx for x in [-1, 1], t in [0, 1], u = -sin(πx) at t = 0; ν unknown.

    u is zero at both ends. The solution is that of Cole and Hopf, a mean of the initial values over
    y = x - z (4νt)^½ with the weights exp(-z² - cos(πy) / (2πν)), by the trapezoidal rule in z with
    an error near rounding.

    Hard: the shock at x = 0 is 4ν wide, so that few of the measurements tell of ν.

    Args:
        measurements: how many points.
        noise: standard deviation of the measurements; 0 for none, of which the solver is not told.
        viscosity: the true number ν.
        start: of the search for ν.
        seed: of points and noise.

    Reference: Raissi, Perdikaris and Karniadakis, Physics-informed neural networks (2019).
    """

    domain = kp.Box(x=(-1, 1), t=(0, 1))

    def __init__(
        self,
        measurements: int = 200,
        noise: float | int = 0.01,
        viscosity: float | int = 0.01 / math.pi,
        start: float | int = 0.1,
        seed: int = 0,
    ) -> None:
        self.noise, self.viscosity = noise or None, float(viscosity)
        self.unknowns = {"viscosity": kp.Unknown(start, positive=True, exact=self.viscosity)}
        generator = torch.Generator().manual_seed(seed)
        at = torch.rand(measurements, 2, generator=generator, dtype=torch.float64)
        self.at = at * torch.tensor([2.0, 1.0]) - torch.tensor([1.0, 0.0])
        errors = torch.randn(measurements, 1, generator=generator, dtype=torch.float64)
        self.values = self.exact(kp.Points(self.at, ("x", "t"))) + noise * errors

    def residual(self, p, u, viscosity):
        advection = u.value * kp.partial(u, "x")
        return kp.partial(u, "t") + advection - viscosity.value * kp.partial(u, "x", "x")

    def conditions(self):
        ends = self.domain.boundary["x_min", "x_max"]
        return [
            kp.Initial(self.domain, lambda p: -torch.sin(math.pi * p.x)),
            kp.Dirichlet(ends, 0.0),
            kp.Observed(self.domain, self.at, self.values, self.noise),
        ]

    def exact(self, p):
        step, negligible = 0.2, 40.0  # of the rule, and minus the logarithm of a weight
        height = 1 / (2 * math.pi * self.viscosity)
        last = math.sqrt(2 * height + negligible) // step + 1
        z = step * torch.arange(-last, last + 1).to(p.coords)
        # The shift changes u by less than 1e-13, and keeps the root's derivative at t = 0 finite.
        y = p.x - torch.sqrt(4 * self.viscosity * (p.t + 1e-14)) * z
        weights = torch.softmax(-(z**2) - height * torch.cos(math.pi * y), dim=1)
        return -(weights * torch.sin(math.pi * y)).sum(dim=1, keepdim=True)
