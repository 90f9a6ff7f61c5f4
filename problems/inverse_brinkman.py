"""Viscosity and permeability of a porous channel, two numbers that the data hardly tell apart."""

import math

import torch

import kanpinn as kp


class InverseBrinkman(kp.Problem):
    """-(ν_e / ε) u'' + (ν / K) u = g on [0, 1], u = 0 at the walls; ν_e and K unknown.

    The velocity u of a flow through a porous medium between two walls, by Brinkman's equation with
    the porosity ε = 0.4, the viscosity ν = 1e-3 and the force g = 1. It is measured at equidistant
    places from 0.2 to 0.8, without noise by default. With r² = ν ε / (ν_e K) it is
    u = g K / ν (1 - (exp(r (x - 1)) + exp(-r x)) / (1 + exp(-r))).

    Hard: away from layers of width 1/r at the walls, u is g K / ν whatever ν_e is, so that the
    measurements next to the walls alone tell of the effective viscosity ν_e.

    Args:
        measurements: how many.
        noise: standard deviation of the measurements; 0 for none, of which the solver is not told.
        viscosity, permeability: the true numbers ν_e and K.
        start: of the search for both.
        seed: of the noise.

    Reference: Brinkman, A calculation of the viscous force exerted by a flowing fluid on a dense
    swarm of particles (1949); Lu, Meng, Mao and Karniadakis, DeepXDE (2021), for the inverse
    problem.
    """

    domain = kp.Box(x=(0, 1))

    def __init__(
        self,
        measurements: int = 5,
        noise: float | int = 0,
        viscosity: float | int = 1e-3,
        permeability: float | int = 1e-3,
        start: float | int = 0.1,
        seed: int = 0,
    ) -> None:
        self.noise = noise or None
        self.truth = {"viscosity": float(viscosity), "permeability": float(permeability)}
        self.unknowns = {
            name: kp.Unknown(start, positive=True, exact=value)
            for name, value in self.truth.items()
        }
        self.at = torch.linspace(0.2, 0.8, measurements, dtype=torch.float64)[:, None]
        generator = torch.Generator().manual_seed(seed)
        errors = torch.randn(measurements, 1, generator=generator, dtype=torch.float64)
        self.values = self.exact(kp.Points(self.at, ("x",))) + noise * errors

    def residual(self, p, u, viscosity, permeability):
        friction = 1e-3 * u.value / permeability.value
        return -viscosity.value / 0.4 * kp.laplacian(u) + friction - 1.0

    def conditions(self):
        return [
            kp.Dirichlet(self.domain.boundary, 0.0),
            kp.Observed(self.domain, self.at, self.values, self.noise),
        ]

    def exact(self, p):
        viscosity, permeability = self.truth.values()
        rate = math.sqrt(1e-3 * 0.4 / (viscosity * permeability))
        sides = torch.exp(rate * (p.x - 1)) + torch.exp(-rate * p.x)
        return 1e3 * permeability * (1 - sides / (1 + math.exp(-rate)))
