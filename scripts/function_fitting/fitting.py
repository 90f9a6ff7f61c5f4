"""What the two studies of function fitting share: functions, networks, the paper's values, rows."""

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from common.pieces import Row
from torch import Tensor

import kanpinn as kp
from kanpinn.optimizers import Method
from kanpinn.solvers import Fitted

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


def rmse(fitted: Fitted, table: kp.Table) -> float:
    """Return the root mean square error of a fit on a table."""
    return float((fitted(table.inputs) - table.targets).square().mean().sqrt())


LM, LBFGS, ADAM = "Levenberg–Marquardt", "L-BFGS", "Adam"
# So many steps take some 1.5 s of one core with each optimizer, with 1000 rows of two inputs. The
# time of a Levenberg–Marquardt step grows with the square of the parameters or faster.
MOST_STEPS, WORK = 100, 8000


def optimizers(width: int, share: float = 1.0) -> dict[str, tuple[Method, ...]]:
    """Return each optimizer's stages for two hidden layers of a width.

    share: how many steps are made, relative to those of a full run.
    """
    damped = int(share * min(MOST_STEPS, WORK / width**2))
    return {
        LM: (kp.LeastSquares(), kp.LevenbergMarquardt(steps=max(2, damped))),
        LBFGS: (kp.LBFGS(steps=max(2, int(25 * share))),),
        ADAM: (kp.Adam(steps=max(2, int(800 * share)), lr=1e-2),),
    }


@dataclass(frozen=True)
class Curve:
    """The errors of a KAN on each of its grids, and the best MLP's."""

    grids: Sequence[int]
    rmse: Sequence[float]
    mlp: float

    @property
    def best(self) -> float:
        """The least of these errors: the value to reach."""
        return min(self.rmse)


@dataclass(frozen=True)
class Best:
    """The best KAN's shape and error, and the best MLP's error."""

    width: str
    kan: float
    mlp: float


PAPER = tomllib.loads(Path(__file__).with_name("paper.toml").read_text("utf-8"))
TOY = {name: Curve(**values) for name, values in PAPER["toy"].items()}
SPECIAL = {name: Best(**values) for name, values in PAPER["special"].items()}


def values(rows: Sequence[Row], name: str, **wanted: Any) -> list[float]:
    """Return one quantity of the rows that have the wanted values."""
    return [row[name] for row in rows if all(row.get(k) == v for k, v in wanted.items())]
