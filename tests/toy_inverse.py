"""Small inverse problems on the unit interval, for tests."""

import math

import torch

import kanpinn as kp
from kanpinn.geometry import Points

LINE = kp.Box(x=(0, 1))


class Toy(kp.Problem):
    """-k u'' = π² sin(πx) / 2, u = 0 at the ends: u = sin(πx) / (2k), k = 2."""

    domain = LINE

    def __init__(self, noise=0.01, seed=0, count=40, given=True, positive=False, start=1.0):
        self.unknowns = {"k": kp.Unknown(start, positive, exact=2.0)}
        generator = torch.Generator().manual_seed(seed)
        self.at = torch.rand(count, 1, generator=generator, dtype=torch.float64)
        errors = noise * torch.randn(count, 1, generator=generator, dtype=torch.float64)
        self.values = self.exact(Points(self.at, ("x",))) + errors
        self.noise = noise if given else None

    def residual(self, p, u, k):
        return -k * kp.laplacian(u) - 0.5 * math.pi**2 * torch.sin(math.pi * p.x)

    def conditions(self):
        return [
            kp.Dirichlet(self.domain.boundary),
            kp.Observed(self.domain, self.at, self.values, self.noise),
        ]

    def exact(self, p):
        return torch.sin(math.pi * p.x) / 4


class Field(Toy):
    """-(a u')' = π² sin(πx) / 2 with a field a, which is 2."""

    fields = ("u", "a")

    def __init__(self):
        super().__init__(noise=1e-3, count=60)
        self.unknowns = {"a": kp.Unknown(1.0)}
        self.values = self.values[:, :1]  # those of u

    def residual(self, p, u, a):
        flux = kp.partial(a, "x") * kp.partial(u, "x")
        right = 0.5 * math.pi**2 * torch.sin(math.pi * p.x)
        return -a.value * kp.laplacian(u) - flux - right

    def conditions(self):
        return [
            kp.Dirichlet(self.domain.boundary, field="u"),
            kp.Observed(self.domain, self.at, self.values, self.noise, field="u"),
        ]

    def exact(self, p):
        return torch.cat([torch.sin(math.pi * p.x) / 4, torch.full_like(p.x, 2.0)], dim=1)


class Line(kp.Problem):
    """u' = slope: u is a straight line, the textbook's regression."""

    domain = LINE

    def __init__(self, values, noise=None):
        self.unknowns = {"slope": kp.Unknown(0.0)}
        self.at = torch.linspace(0.05, 0.95, len(values), dtype=torch.float64)[:, None]
        self.values, self.noise = values, noise

    def residual(self, p, u, slope):
        return kp.partial(u, "x") - slope.value

    def conditions(self):
        return [kp.Observed(self.domain, self.at, self.values, self.noise)]


def solved(problem, seed=0, steps=30, verified=False):
    network, points = kp.KAN([1, 8, 1], 5, 4, seed=seed), kp.Collocation(64, 2)
    settings = {"seed": seed, "errors": False, "verified": verified}
    return kp.solve(problem, network, kp.LeastSquares(steps), points, **settings)


def measured(count=30, noise=0.1, seed=3):
    generator = torch.Generator().manual_seed(seed)
    at = torch.linspace(0.05, 0.95, count, dtype=torch.float64)
    return at, 1 + 2 * at + noise * torch.randn(count, generator=generator, dtype=torch.float64)
