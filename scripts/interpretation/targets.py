"""Ten functions whose formulas are to be found from their values; fixed before any was tried."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Target:
    """A function of the columns of x (n, d), the formula it is, and the box of its inputs."""

    name: str
    formula: str
    box: tuple[tuple[float, float], ...]
    function: Callable[..., Tensor]

    def draw(self, rows: int, seed: int) -> tuple[Tensor, Tensor]:
        """Inputs (rows, d), uniform in the box, and values (rows, 1), without noise."""
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
