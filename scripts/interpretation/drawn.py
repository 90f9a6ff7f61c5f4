"""Poisson problems whose solutions are drawn at random: f(g(x) + h(y)) or g(x) h(y)."""

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
class Drawn:
    """A function of x and y, and the formula it is."""

    formula: str
    function: Callable[[Tensor, Tensor], Tensor]


class DrawnPoisson(kp.Problem):
    """u_xx + u_yy = f on [-1, 1]² with u given on the boundary; it has no `exact`.

    The source and the boundary data are all that is known of the solution.
    """

    domain = kp.Box(x=(-1, 1), y=(-1, 1))

    def __init__(self, drawn: Drawn) -> None:
        self._drawn = drawn

    def residual(self, p, u):
        return kp.laplacian(u) - self.source(p)

    def source(self, p):
        """Δu by automatic differentiation."""
        channels = kp.Channels(p.names, second="laplacian")
        return kp.laplacian(jet_of(self._values, p.coords, channels))

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, lambda p: self._values(p.coords))]

    def _values(self, coords: Tensor) -> Tensor:
        return self._drawn.function(*coords.split(1, dim=1))


def draw(seed: int) -> Drawn:
    """One of some thousand functions; the same for the same seed."""
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
