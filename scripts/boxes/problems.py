"""Benchmarks of Mitchell's collection, and the cases that are measured.

Mitchell, A collection of 2D elliptic problems for testing adaptive grid refinement algorithms
(2013).
"""

import math
from dataclasses import dataclass

import torch
from common.problem_files import solve_job

import kanpinn as kp


@dataclass(frozen=True)
class Case:
    """A problem, the degree of its cells, and the relative L2 error and the seconds to reach.

    elements: whether quartic finite elements solve it, too, which only Poisson's equation allows.
    """

    name: str
    problem: kp.Problem
    degree: int
    tolerance: float
    seconds: float
    elements: bool = False


class BoundaryLayer(kp.Problem):
    """-ε Δu + 2 u_x + u_y = f on [-1, 1]²; layers of the width ε at two sides."""

    domain = kp.Box(x=(-1, 1), y=(-1, 1))

    def __init__(self, width: float = 1e-3) -> None:
        self.width = width

    def residual(self, p, u):
        flow = 2 * kp.partial(u, "x") + kp.partial(u, "y")
        return -self.width * kp.laplacian(u) + flow - self.source(p)

    def source(self, p):
        """f by the product rule; A, B: the factors of the layers, C the cosine."""
        eps, pi = self.width, math.pi
        a, b = torch.exp((p.x - 1) / eps), torch.exp((p.y - 1) / eps)
        cos, sin = torch.cos(pi * (p.x + p.y)), torch.sin(pi * (p.x + p.y))
        own = 2 * eps * pi**2 * (1 - a) * (1 - b) * cos - 3 * pi * (1 - a) * (1 - b) * sin
        along = -a / eps * (1 - b) * cos - 2 * pi * a * (1 - b) * sin
        across = -2 * pi * b * (1 - a) * sin
        return own + along + across

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, self.exact)]

    def exact(self, p):
        layers = (1 - torch.exp((p.x - 1) / self.width)) * (1 - torch.exp((p.y - 1) / self.width))
        return layers * torch.cos(math.pi * (p.x + p.y))


class Oscillatory(kp.Problem):
    """-Δu - u / (α + r)⁴ = f on [0, 1]²; u = sin(1 / (α + r)), α = 1 / (10 π): ten waves in r."""

    domain = kp.Box(x=(0, 1), y=(0, 1))
    alpha = 1 / (10 * math.pi)

    def radius(self, p):
        return torch.sqrt(p.x**2 + p.y**2)

    def residual(self, p, u):
        r = self.radius(p)
        w = self.alpha + r
        source = torch.cos(1 / w) * (1 / (r * w**2) - 2 / w**3)
        return -kp.laplacian(u) - u / w**4 - source

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, self.exact)]

    def exact(self, p):
        return torch.sin(1 / (self.alpha + self.radius(p)))


def corner(angle: float) -> kp.Problem:
    """Laplace's equation around a corner that points inwards."""
    return solve_job("reentrant_corner", [f"problem.parameters={{angle={angle}}}"]).problem


def cases(smoke: bool) -> list[Case]:
    """Return the cases; those of a smoke run take seconds."""
    peaks, front = (solve_job(name).problem for name in ("two_peaks", "circular_front"))
    if smoke:
        return [
            Case("two peaks", peaks, 4, 1e-1, 20, elements=True),
            Case("boundary layer", BoundaryLayer(0.1), 4, 1e-1, 60),
            Case("oscillatory", Oscillatory(), 4, 5e-1, 60),
            Case("corner of 270°", corner(270), 4, 1e-1, 60),
        ]
    found = [
        Case("two peaks", peaks, 12, 1e-8, 20, elements=True),
        Case("circular front", front, 12, 1e-8, 60, elements=True),
        Case("boundary layer", BoundaryLayer(), 12, 1e-8, 60),
        Case("oscillatory", Oscillatory(), 12, 1e-8, 60),
        *(Case(f"corner of {angle}°", corner(angle), 12, 1e-8, 60) for angle in (225, 270, 315)),
    ]
    for k, degree, rough, fine in ((40, 20, 2, 4), (100, 24, 20, 60), (200, 24, 90, 180)):
        wave = solve_job("helmholtz40", [f"problem.parameters={{wavenumber={k}}}"]).problem
        found.append(Case(f"Helmholtz {k}", wave, degree, 1e-8, rough))
        found.append(Case(f"Helmholtz {k}, fine", wave, degree, 1e-12, fine))
    return found
