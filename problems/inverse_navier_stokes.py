"""A viscosity that is looked for, from noisy measurements of the velocity."""

import math

import torch

import kanpinn as kp


class InverseNavierStokes(kp.Problem):
    """(u, v)·∇(u, v) = -∇q + ν Δ(u, v) and u_x + v_y = 0, ν unknown, u and v measured inside.

    The flow is Kovasznay's behind a grid at Re = 1/ν = 10, on [0, 1] × [-1/2, 1/2], with the
    velocity prescribed all around and no data of the pressure, of which ∫ q = 0. With
    λ = Re/2 - (Re²/4 + 4π²)^½ it is u = 1 - exp(λx) cos(2πy), v = λ/(2π) exp(λx) sin(2πy). The
    measurements are its exact values at random points, with Gaussian noise.

    Hard: nonlinear, and a pressure that nothing but the equation holds.

    Args:
        measurements: how many points.
        noise: standard deviation of each component's measurements.
        start: of the search for ν.
        seed: of points and noise.

    Reference: Kovasznay, Laminar flow behind a two-dimensional grid (1948).
    """

    domain = kp.Box(x=(0, 1), y=(-0.5, 0.5))
    fields = ("u", "v", "q")
    free_constant = ("q",)
    viscosity = 0.1

    def __init__(
        self,
        measurements: int = 200,
        noise: float | int = 0.01,
        start: float | int = 1.0,
        seed: int = 0,
    ) -> None:
        self.noise = noise
        self.unknowns = {"viscosity": kp.Unknown(start, positive=True, exact=self.viscosity)}
        generator = torch.Generator().manual_seed(seed)
        at = torch.rand(measurements, 2, generator=generator, dtype=torch.float64)
        low, high = self.domain.bounds
        self.at = low + (high - low) * at
        velocity = self.exact(kp.Points(self.at, ("x", "y")))[:2]
        self.values = [
            exact + noise * torch.randn(exact.shape, generator=generator, dtype=torch.float64)
            for exact in velocity
        ]

    def residual(self, p, u, v, q, viscosity):
        return (
            _advected(u, u, v) + kp.partial(q, "x") - viscosity.value * kp.laplacian(u),
            _advected(v, u, v) + kp.partial(q, "y") - viscosity.value * kp.laplacian(v),
            kp.div(u, v),
        )

    def conditions(self):
        boundary = self.domain.boundary
        data = zip(("u", "v"), self.values, strict=True)
        return [
            kp.Dirichlet(boundary, lambda p: self.exact(p)[0], field="u"),
            kp.Dirichlet(boundary, lambda p: self.exact(p)[1], field="v"),
            kp.Integral(self.domain, 0.0, field="q"),
            *(kp.Observed(self.domain, self.at, d, self.noise, field=f) for f, d in data),
        ]

    def exact(self, p):
        half = 1 / (2 * self.viscosity)
        rate = half - math.sqrt(half**2 + 4 * math.pi**2)
        decay, angle = torch.exp(rate * p.x), 2 * math.pi * p.y
        mean = (math.exp(2 * rate) - 1) / (2 * rate)
        return (
            1 - decay * torch.cos(angle),
            rate / (2 * math.pi) * decay * torch.sin(angle),
            (mean - decay**2) / 2,
        )


def _advected(w, u, v):
    """u w_x + v w_y, (n, 1)."""
    return u.value * kp.partial(w, "x") + v.value * kp.partial(w, "y")
