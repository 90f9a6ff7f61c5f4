"""Domains, conditions and equations combine: random ones of each, with known solutions."""

import functools
from collections import Counter

import numpy as np
import pytest
import torch
from random_domains import DOMAINS

import kanpinn as kp
from kanpinn.exactness import exact_defects
from kanpinn.jet import Channels, jet_of
from kanpinn.quadrature import domain_rule
from kanpinn.sampling import sample

STEADY = ("poisson", "helmholtz", "advection", "system")
EVOLVING = ("heat", "wave")
ENDS = ("initial", "final", "t_min", "t_max")


class Known:
    """sin(k·ξ + φ) + exp(c·ξ), ξ the coordinates scaled to [-1, 1], or sin πξ where periodic."""

    def __init__(self, draw, domain, periodic):
        self.low, self.high = domain.bounds
        self.periodic = torch.tensor([name in periodic for name in domain.names])
        self.k, self.c = (torch.from_numpy(draw.uniform(-s, s, domain.dim)) for s in (2, 0.7))
        self.phase = float(draw.uniform(0, 6))

    def __call__(self, p):
        xi = 2 * (p.coords - self.low) / (self.high - self.low) - 1
        xi = torch.where(self.periodic, torch.sin(torch.pi * xi) / 2, xi)
        return (torch.sin(xi @ self.k + self.phase) + torch.exp(xi @ self.c))[:, None]

    def slope(self, p):
        """∂u/∂n."""
        channels = Channels(p.names, gradient=True)
        return kp.normal_derivative(jet_of(lambda x: self(kp.Points(x, p.names)), p.coords, channels), p)


class Drawn(kp.Problem):
    """An equation with coefficients that vary, conditions of its pieces' own, a known solution."""

    def __init__(self, seed):
        draw = np.random.default_rng(seed)
        self.kind = [*DOMAINS][seed % len(DOMAINS)]
        self.domain = DOMAINS[self.kind](draw)
        timed = "t" in self.domain.names
        self.equation_name = str(draw.choice(EVOLVING if timed else STEADY))
        self.space = tuple(n for n in self.domain.names if n != "t")
        self.fields = ("u", "v") if self.equation_name == "system" else ("u",)
        names = self.domain.boundary.names
        sides = [n for n in self.space if f"{n}_min" in names and isinstance(self.domain, kp.Box)]
        self.periodic = [n for n in sides if draw.random() < 0.3]
        self.known = {f: Known(draw, self.domain, self.periodic) for f in self.fields}
        low, high = self.domain.bounds
        self.center, self.half = (low + high) / 2, (high - low) / 2
        c = draw.uniform(-0.5, 0.5, self.domain.dim)
        self.c = torch.tensor([0.0 if n in self.periodic + ["t"] else v for n, v in zip(self.domain.names, c)]) / self.half
        self.v = draw.uniform(-2, 2, len(self.space))
        self._conditions = [*conditions(draw, self)]

    def residual(self, p, u, *others):
        return tuple(...)
