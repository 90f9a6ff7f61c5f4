"""The functions that are fitted, on boxes, and samples of them."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

import kanpinn as kp

TEST_ROWS, TEST_SEED = 4000, 1_000_000
UNIFORM, CHEBYSHEV = "uniform", "chebyshev"  # densities of points
DENSITIES = (UNIFORM, CHEBYSHEV)


@dataclass(frozen=True)
class Function:
    """A function of d variables on the box [low, high], given by d numbers each."""

    name: str
    formula: str
    low: tuple[float, ...]
    high: tuple[float, ...]
    values: Callable[[Tensor], Tensor]

    @property
    def dim(self) -> int:
        """The number of variables."""
        return len(self.low)

    @property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """The function's box, not the range of its points, by the names of a table's inputs."""
        names = self.sample(1, 0).names
        return dict(zip(names, zip(self.low, self.high, strict=True), strict=True))

    def sample(self, rows: int, seed: int, density: str = UNIFORM) -> kp.Table:
        """Return the function at random points.

        density "chebyshev": each coordinate is the cosine of a uniformly distributed angle, so that
        its density is 1/(π √(1 - ξ²)) on [-1, 1], that of Chebyshev's nodes.
        """
        if density not in DENSITIES:
            raise ValueError(f"density must be one of {', '.join(DENSITIES)}, got {density!r}")
        generator = torch.Generator().manual_seed(seed)
        share = torch.rand(rows, self.dim, generator=generator, dtype=torch.float64)
        if density == CHEBYSHEV:
            share = (1 - torch.cos(torch.pi * share)) / 2
        low, high = (torch.tensor(v, dtype=torch.float64) for v in (self.low, self.high))
        x = low + (high - low) * share
        return kp.Table(x, self.values(x))

    def test(self) -> kp.Table:
        """Return the uniformly distributed rows that every fit is tested with."""
        return self.sample(TEST_ROWS, TEST_SEED)


def rmse(fitted: kp.Fitted, table: kp.Table) -> float:
    """Return the root mean square error of a fit on a table."""
    return float((fitted(table.inputs) - table.targets).square().mean().sqrt())
