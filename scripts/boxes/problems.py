"""Benchmarks of Mitchell's collection, and the cases that are measured.

Mitchell, A collection of 2D elliptic problems for testing adaptive grid refinement algorithms
(2013).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from common.problem_files import solve_job
from torch import Tensor

import kanpinn as kp
from kanpinn.geometry import Points

Function = Callable[[Points], Tensor]


@dataclass(frozen=True)
class Weak:
    """The equation -ε Δu + b · ∇u + c u = f for finite elements.

    Args:
        source: f.
        diffusion, velocity: ε and b, which are constants.
        reaction: c; None for zero.
    """

    source: Function
    diffusion: float = 1.0
    velocity: tuple[float, float] = (0.0, 0.0)
    reaction: Function | None = None


@dataclass(frozen=True)
class Case:
    """A problem, the degree of its cells, and the relative L2 error and the seconds to reach.

    weak: its equation for finite elements; None if they do not solve this case.
    """

    name: str
    problem: kp.Problem
    degree: int
    tolerance: float
    seconds: float
    weak: Weak | None = None

    def exact(self, p: Points) -> Tensor:
        """The exact solution at points, (n, 1)."""
        assert self.problem.exact is not None
        found = self.problem.exact(p)
        assert isinstance(found, Tensor)
        return found


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
    """-Δu - u / (α + r)⁴ = f on [0, 1]²; u = sin(1 / (α + r)), α = 1 / (N π): N half waves in r."""

    domain = kp.Box(x=(0, 1), y=(0, 1))

    def __init__(self, halves: int = 10) -> None:
        self.alpha = 1 / (halves * math.pi)

    def radius(self, p):
        return torch.sqrt(p.x**2 + p.y**2)

    def reaction(self, p):
        return -1 / (self.alpha + self.radius(p)) ** 4

    def source(self, p):
        r = self.radius(p)
        w = self.alpha + r
        return torch.cos(1 / w) * (1 / (r * w**2) - 2 / w**3)

    def residual(self, p, u):
        return -kp.laplacian(u) + self.reaction(p) * u.value - self.source(p)

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, self.exact)]

    def exact(self, p):
        return torch.sin(1 / (self.alpha + self.radius(p)))


class CornerWithReaction(kp.Problem):
    """-Δu + 9 u = f in an L-shape; u = I_λ(3 r) sin λθ + sin(x + 2y), λ = 2/3.

    Unlike r^λ sin λθ, this solution is no singular function of Laplace's equation: the modified
    Bessel function is r^λ (1 + r² 9 / (4 (λ + 1)) + …).
    """

    domain = kp.LShape()
    corner = kp.Corner(domain, (0, 0), 1)

    def residual(self, p, u):
        return -kp.laplacian(u) + self.reaction(p) * u.value - self.source(p)

    def reaction(self, p):
        return torch.full_like(p.x, 9.0)

    def source(self, p):
        return 14 * torch.sin(p.x + 2 * p.y)

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, self.exact)]

    def exact(self, p):
        r, theta = self.corner.polar(p.coords)
        power, terms = math.pi / self.corner.angle, 25
        term = total = r**power
        for k in range(1, terms):
            term = term * (9 * r**2 / 4) / (k * (k + power))
            total = total + term
        return total * torch.sin(power * theta) + torch.sin(p.x + 2 * p.y)


def corner(angle: float) -> kp.Problem:
    """Laplace's equation around a corner that points inwards."""
    return solve_job("reentrant_corner", [f"problem.parameters={{angle={angle}}}"]).problem


def cases(smoke: bool) -> list[Case]:
    """Return the cases; those of a smoke run take seconds."""
    peaks, front = (solve_job(name).problem for name in ("two_peaks", "circular_front"))
    layer = BoundaryLayer(0.1 if smoke else 1e-3)
    wave, l_shape, reaction = Oscillatory(3 if smoke else 10), corner(270), CornerWithReaction()
    degree, tolerance = (6, 1e-2) if smoke else (12, 1e-8)

    def case(name: str, problem: kp.Problem, seconds: float, weak: Weak | None = None) -> Case:
        return Case(name, problem, degree, tolerance, seconds, weak)

    found = [
        case("two peaks", peaks, 20, Weak(peaks.source)),
        case("boundary layer", layer, 60, Weak(layer.source, layer.width, (2.0, 1.0))),
        case("oscillatory", wave, 60, Weak(wave.source, reaction=wave.reaction)),
        case("corner of 270°", l_shape, 60, Weak(lambda p: torch.zeros_like(p.x))),
        case(
            "corner with reaction", reaction, 60, Weak(reaction.source, reaction=reaction.reaction)
        ),
    ]
    if smoke:
        return found
    found.insert(1, case("circular front", front, 60, Weak(front.source)))
    found += [case(f"corner of {angle}°", corner(angle), 60) for angle in (225, 315)]
    for k, degree, rough, fine in ((40, 20, 2, 4), (100, 24, 20, 60), (200, 24, 90, 180)):
        waves = solve_job("helmholtz40", [f"problem.parameters={{wavenumber={k}}}"]).problem
        found.append(Case(f"Helmholtz {k}", waves, degree, 1e-8, rough))
        found.append(Case(f"Helmholtz {k}, fine", waves, degree, 1e-12, fine))
    return found
