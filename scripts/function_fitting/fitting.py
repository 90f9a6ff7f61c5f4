"""What the two studies of function fitting share: functions, networks, the paper's values, rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import torch
from common import script
from common.pieces import Row
from torch import Tensor

import kanpinn as kp
from kanpinn._support.files import write_text

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


LM, LBFGS, ADAM = "Levenberg–Marquardt", "L-BFGS", "Adam"
# So many steps take some 1.5 s of one core with each optimizer, with 1000 rows of two inputs. The
# time of a Levenberg–Marquardt step grows with the square of the parameters or faster.
MOST_STEPS, WORK = 100, 8000


def optimizers(width: int, share: float = 1.0) -> dict[str, tuple[kp.Method, ...]]:
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

    grids: tuple[int, ...]
    rmse: tuple[float, ...]
    mlp: float

    @property
    def best(self) -> float:
        """The least of these errors: the value to reach."""
        return min(self.rmse)


TOY = {
    "bessel": Curve(
        (3, 5, 10, 20, 50, 100, 200), (0.27, 0.27, 0.20, 8.8e-3, 9.6e-5, 5.2e-6, 4.0e-7), 1.7e-4
    ),
    "exponential": Curve(
        (3, 5, 10, 20, 50, 100), (1.8e-2, 6.5e-3, 4.5e-4, 5.0e-5, 3.0e-6, 1.3e-6), 1.5e-4
    ),
    "product": Curve(
        (3, 5, 10, 20, 50, 100), (1.5e-4, 2.2e-5, 2.4e-6, 2.5e-7, 3.2e-8, 2.4e-8), 3.4e-6
    ),
    "hundred": Curve(
        (3, 5, 10, 20, 50, 100), (2.0e-3, 5.4e-4, 2.4e-4, 1.5e-4, 1.1e-4, 1.2e-4), 5e-2
    ),
    "four": Curve((3, 5, 10, 20, 50), (4.8e-3, 1.6e-3, 1.6e-4, 9.8e-6, 7.0e-7), 6.5e-4),
}


@dataclass(frozen=True)
class Best:
    """The best KAN's shape and error, and the best MLP's error."""

    width: str
    kan: float
    mlp: float


SPECIAL = {
    "ellipj": Best("[2,3,2,1,1]", 1.33e-4, 6.48e-4),
    "ellipkinc": Best("[2,2,1,1,1]", 1.24e-4, 5.52e-4),
    "ellipeinc": Best("[2,2,1,1]", 8.26e-5, 3.04e-4),
    "jv": Best("[2,3,1,1,1]", 1.64e-3, 5.52e-3),
    "yv": Best("[2,2,2,1]", 1.49e-5, 3.45e-4),
    "kv": Best("[2,2,1]", 2.52e-5, 1.67e-4),
    "iv": Best("[2,4,3,2,1,1]", 9.28e-3, 1.07e-2),
    "lpmv 0": Best("[2,2,1]", 5.25e-5, 1.74e-2),
    "lpmv 1": Best("[2,4,1]", 6.90e-4, 1.50e-3),
    "lpmv 2": Best("[2,3,2,1]", 2.26e-4, 9.43e-4),
    "sph_harm 0,1": Best("[2,1,1]", 2.21e-7, 1.25e-6),
    "sph_harm 1,1": Best("[2,3,2,1]", 1.22e-4, 6.70e-4),
    "sph_harm 0,2": Best("[2,1,1]", 1.95e-7, 2.85e-6),
    "sph_harm 1,2": Best("[2,2,1,1]", 1.50e-5, 1.84e-3),
    "sph_harm 2,2": Best("[2,2,3,2,1]", 9.45e-5, 6.21e-4),
}


def values(rows: Sequence[Row], name: str, **wanted: Any) -> list[float]:
    """Return one quantity of the rows that have the wanted values."""
    return [row[name] for row in rows if all(row.get(k) == v for k, v in wanted.items())]


def spread(errors: Sequence[float]) -> str:
    """Return the median (least - greatest) as text, a single number by itself."""
    middle = f"{numpy.median(errors):.1e}"
    return middle if len(errors) == 1 else f"{middle} ({min(errors):.0e} - {max(errors):.0e})"


def write(folder: Path, name: str, rows: Sequence[Row], text: str) -> None:
    """Write the page, and the rows as CSV with a column for each key that any of them has."""
    write_text(folder / f"{name}.md", text)
    names = list(dict.fromkeys(name for row in rows for name in row))
    script.write_csv(
        folder / f"{name}.csv", names, [[row.get(n, "") for n in names] for row in rows]
    )
