"""Random coercive linear problems with known solutions, coefficients and networks."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import torch
from torch import Tensor

import kanpinn as kp
from hostile.adversarial.functions import drawn_function
from kanpinn.geometry import Domain
from kanpinn.jets import Jet

Values = Callable[[kp.Points], Tensor]


@dataclass(frozen=True)
class Coefficients:
    """-div(a M ∇u) + b·∇u + c u with a number a for each point and a constant matrix M.

    Args:
        factor, slope: a at points and its gradient, (n, 1) and (n, d).
        matrix: M, (d, d).
        drift: b.
        zeroth: c.
        words: the name of the equation.
    """

    factor: Values
    slope: Values
    matrix: Tensor
    drift: tuple[float, ...]
    zeroth: float
    words: str

    def apply(self, p: kp.Points, u: Jet) -> Tensor:
        """Return the equation's left side at n points, (n, 1)."""
        names, total = p.names, self.zeroth * u.value
        for i, name in enumerate(names):
            part = (self.slope(p) @ self.matrix)[:, i, None]
            total = total + (self.drift[i] - part) * kp.partial(u, name)
            for j, other in enumerate(names):
                if self.matrix[i, j]:
                    second = kp.partial(u, name, other)
                    total = total - self.matrix[i, j] * self.factor(p) * second
        return total


class Bounded(kp.Problem):
    """A problem whose data are those of its exact solution."""

    def __init__(self, domain: Domain, equation: Coefficients, exact: Values, fluxes: bool):
        self.domain, self.equation_of, self.values, self.fluxes = domain, equation, exact, fluxes

    def residual(self, p: kp.Points, u: Jet) -> Tensor:
        return self.equation_of.apply(p, u) - self.source(p)

    def conditions(self) -> list[Any]:
        walls = self.domain.boundary
        if "t" in self.domain.names:
            sides = walls[tuple(name for name in walls.names if name not in ("t_min", "t_max"))]
            return [kp.Dirichlet(sides, self.exact), kp.Initial(self.domain, self.exact)]
        if not self.fluxes:
            return [kp.Dirichlet(walls, self.exact)]
        first, second, *rest = walls.names
        robin = kp.Robin(walls[second], 2.0, 1.0, lambda p: 2 * self.exact(p) + self.slope(p))
        neumann = [kp.Neumann(walls[name], self.slope) for name in rest]
        return [kp.Dirichlet(walls[first], self.exact), robin, *neumann]

    def exact(self, p: kp.Points) -> Tensor:
        return self.values(p)

    def slope(self, p: kp.Points) -> Tensor:
        """Return ∂u/∂n at points with normals, (n, 1)."""
        assert p.normals is not None
        return (gradient(self.values, p) * p.normals).sum(dim=1, keepdim=True)


@torch.enable_grad()
def gradient(function: Values, p: kp.Points) -> Tensor:
    """Return the gradient of a function at points, (n, d)."""
    coords = p.coords.detach().requires_grad_()
    (found,) = torch.autograd.grad(function(kp.Points(coords, p.names)).sum(), coords)
    return found.detach()


@dataclass(frozen=True)
class Case:
    """A problem with a network and points that may not suit it."""

    name: str
    problem: Bounded
    network: kp.KAN
    points: kp.Collocation | None


def drawn(seed: int) -> Case:
    """Return a random problem, with a network and points whose errors span many decades."""
    draw = Random(seed)
    domain, place = _domain(draw)
    names = domain.names
    equation = _equation(draw, names)
    fluxes = place in ("interval", "square") and equation.words in ("Poisson", "reaction")
    fluxes = fluxes and draw.random() < 0.4
    solution = drawn_function(draw, names)
    units, degree = draw.choice([12, 24, 40]), draw.choice([5, 7, 9])
    grid = [4, draw.choice([4, 8])]
    network = kp.KAN([len(names), units, 1], degree=degree, grid=grid)
    few = draw.random() < 0.25
    points = kp.Collocation(int(1.1 * units * (degree + grid[1])), 60, "gauss") if few else None
    words = f"{seed}: {equation.words}, {place}{', fluxes' * fluxes}, {solution.words}"
    problem = Bounded(domain, equation, solution.values, fluxes)
    return Case(f"{words}, {units} units{', few points' * few}", problem, network, points)


def _domain(draw: Random) -> tuple[Domain, str]:
    square, disk = kp.Box(x=(-1, 1), y=(-1, 1)), kp.Disk((0, 0), 1)
    place, radius = (draw.uniform(-0.4, 0.4), draw.uniform(-0.4, 0.4)), draw.uniform(0.1, 0.4)
    corners = [(-1, -1), (1, -1), (1, 0), (0, 0), (0, 1), (-1, 1)]
    return draw.choice(
        [
            (kp.Box(x=(-1, 1)), "interval"),
            (square, "square"),
            (kp.Box(x=(-1, 1), t=(-1, 1)), "interval in time"),
            (disk, "disk"),
            (kp.Polygon(corners), "L-shape"),
            (square - kp.Disk(place, radius), "square with a hole"),
            (disk - kp.Disk((0, 0), draw.uniform(0.1, 0.5)), "annulus"),
        ]
    )


def _equation(draw: Random, names: tuple[str, ...]) -> Coefficients:
    d = len(names)
    matrix, none = torch.eye(d, dtype=torch.float64), (0.0,) * d
    flat: Values = lambda p: torch.ones_like(p.x)  # noqa: E731
    level: Values = lambda p: torch.zeros_like(p.coords)  # noqa: E731
    if names[-1] == "t":
        heat = torch.diag(torch.tensor([10 ** draw.uniform(-1.5, 0), 0.0], dtype=torch.float64))
        return Coefficients(flat, level, heat, (0.0, 1.0), draw.choice([0.0, 3.0]), "heat")
    kind = draw.choice(["Poisson", "Poisson", "reaction", "variable", "drift", "skew"])
    if kind == "reaction":
        return Coefficients(flat, level, matrix, none, 10 ** draw.uniform(0, 2), kind)
    if kind == "drift":
        angle, size = draw.uniform(0, 2 * math.pi), 10 ** draw.uniform(-2, 0)
        drift = (math.cos(angle), math.sin(angle))[:d] if d > 1 else (1.0,)
        return Coefficients(flat, level, size * matrix, drift, 0.0, kind)
    if kind == "variable":
        number, part = draw.uniform(1, 5), draw.uniform(0, 0.9)

        def slope(p: kp.Points) -> Tensor:
            found = torch.zeros_like(p.coords)
            found[:, :1] = part * number * torch.cos(number * p.x)
            return found

        return Coefficients(
            lambda p: 1 + part * torch.sin(number * p.x), slope, matrix, none, 0.0, kind
        )
    if kind == "skew" and d > 1:
        matrix = torch.tensor([[2.0, 0.8], [0.8, draw.uniform(0.5, 2)]], dtype=torch.float64)
    return Coefficients(flat, level, matrix, none, 0.0, kind)
