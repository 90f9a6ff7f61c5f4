"""The functions whose formulas are to be found: ten fixed in advance, and random ones.

The random ones are solutions of Poisson problems, f(g(x) + h(y)) or g(x) h(y).
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

import kanpinn as kp
from kanpinn.jets import jet_of

Function = Callable[[Tensor], Tensor]
Part = tuple[str, Function]


@dataclass(frozen=True)
class Target:
    """A function of the columns of x (n, d), its formula, and the box of its inputs."""

    name: str
    formula: str
    box: tuple[tuple[float, float], ...]
    function: Callable[..., Tensor]

    def draw(self, rows: int, seed: int) -> tuple[Tensor, Tensor]:
        """Return inputs (rows, d), uniform in the box, and values (rows, 1), without noise."""
        generator = torch.Generator().manual_seed(seed)
        low, high = (
            torch.tensor(ends, dtype=torch.float64) for ends in zip(*self.box, strict=True)
        )
        share = torch.rand(rows, len(self.box), generator=generator, dtype=torch.float64)
        x = low + (high - low) * share
        return x, self.function(*x.T)[:, None]


PI = torch.pi
UNIT, TWO = (-1.0, 1.0), (-2.0, 2.0)

TARGETS = (
    Target("product", "x*y", (UNIT, UNIT), lambda x, y: x * y),
    Target(
        "exp of a sum",
        "exp(sin(pi*x) + y**2)",
        (UNIT, UNIT),
        lambda x, y: torch.exp(torch.sin(PI * x) + y**2),
    ),
    Target(
        "poster",
        "sin(pi*x)*sin(pi*y**2)",
        (UNIT, UNIT),
        lambda x, y: torch.sin(PI * x) * torch.sin(PI * y**2),
    ),
    Target("ratio", "x/y", ((1.0, 2.0), (1.0, 2.0)), lambda x, y: x / y),
    Target(
        "norm",
        "sqrt(x**2 + y**2)",
        ((0.5, 2.0), (0.5, 2.0)),
        lambda x, y: torch.sqrt(x**2 + y**2),
    ),
    Target("resonance", "1/(1 + x**2 + y**2)", (TWO, TWO), lambda x, y: 1 / (1 + x**2 + y**2)),
    Target("front", "tanh(2*x - y)", (UNIT, UNIT), lambda x, y: torch.tanh(2 * x - y)),
    Target(
        "wave packet",
        "exp(-x**2/2)*cos(3*y)",
        (TWO, TWO),
        lambda x, y: torch.exp(-(x**2) / 2) * torch.cos(3 * y),
    ),
    Target(
        "sum of two",
        "log(x) + sqrt(y**2 + z**2)",
        ((0.5, 2.5), (0.5, 2.0), (0.5, 2.0)),
        lambda x, y, z: torch.log(x) + torch.sqrt(y**2 + z**2),
    ),
    Target(
        "three layers",
        "exp((sin(pi*(x**2 + y**2)) + sin(pi*(z**2 + w**2)))/2)",
        (UNIT,) * 4,
        lambda x, y, z, w: torch.exp(
            (torch.sin(PI * (x**2 + y**2)) + torch.sin(PI * (z**2 + w**2))) / 2
        ),
    ),
)


@dataclass(frozen=True)
class Drawn:
    """A random function of x and y, and its formula."""

    formula: str
    function: Callable[[Tensor, Tensor], Tensor]


class DrawnPoisson(kp.Problem):
    """u_xx + u_yy = f on [-1, 1]² with u given on the boundary; it has no `exact`.

    Only the source and the boundary data are known of the solution.
    """

    domain = kp.Box(x=(-1, 1), y=(-1, 1))

    def __init__(self, drawn: Drawn) -> None:
        self._drawn = drawn

    def residual(self, p, u):
        return kp.laplacian(u) - self.source(p)

    def source(self, p):
        """Return Δu by automatic differentiation."""
        channels = kp.Channels(p.names, second="laplacian")
        return kp.laplacian(jet_of(self._values, p.coords, channels))

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, lambda p: self._values(p.coords))]

    def _values(self, coords: Tensor) -> Tensor:
        return self._drawn.function(*coords.split(1, dim=1))


def draw(seed: int) -> Drawn:
    """Draw one of some thousand functions; the same seed draws the same function."""
    chance = random.Random(seed)
    g, h = _inner(chance, "x"), _inner(chance, "y")
    if chance.random() < 0.5:
        return Drawn(f"{g[0]}*{h[0]}", lambda x, y: g[1](x) * h[1](y))
    name, f = _outer(chance)
    return Drawn(name.replace("u", f"{g[0]} + {h[0]}"), lambda x, y: f(g[1](x) + h[1](y)))


def _inner(chance: random.Random, x: str) -> Part:
    k = chance.choice((2, 3, 5))
    kinds: tuple[Part, ...] = (
        (f"sin(pi*{x})", lambda t: torch.sin(math.pi * t)),
        (f"cos({k}*{x})", lambda t: torch.cos(k * t)),
        (f"{x}**2", lambda t: t**2),
        (f"{k}*{x}", lambda t: k * t),
        (f"exp({x}/{k})", lambda t: torch.exp(t / k)),
    )
    return chance.choice(kinds)


def _outer(chance: random.Random) -> Part:
    kinds: tuple[Part, ...] = (
        ("sin(u)", torch.sin),
        ("exp((u)/2)", lambda t: torch.exp(t / 2)),
        ("tanh(u)", torch.tanh),
        ("1/(8 + u)", lambda t: 1 / (8 + t)),
    )
    return chance.choice(kinds)
