"""Scrambled Sobol points: shares of a region that a test accepts, with an error from repetition."""

import math
from collections.abc import Callable

import torch

from kanpinn._support.shapes import Coords, Mask, Weights
from kanpinn.geometry.box import Box
from kanpinn.geometry.domain import Domain
from kanpinn.geometry.points import Points
from kanpinn.geometry.region import Draw, Region

SCRAMBLINGS = 8  # independent repetitions of each estimate
DRAWS = 2**14  # points in each; a power of 2 keeps their balance
MOST = 2**20  # points of a rule with equal weights


def sobol(seed: int) -> Draw:
    """A draw of scrambled Sobol points; the same seed gives the same points."""

    def draw(n: int, dim: int) -> Coords:
        engine = torch.quasirandom.SobolEngine(dim, scramble=True, seed=seed)
        return engine.draw(n, dtype=torch.float64)

    return draw


def share(
    region: Region, accept: Callable[[Points], Mask], draws: int = DRAWS
) -> tuple[float, float]:
    """The share of a region's measure that is accepted, and the standard error of that estimate.

    The mean over SCRAMBLINGS randomised Sobol rules; their spread gives the error, without bias
    (Owen 1997). It is 0 where all points are accepted, or none.
    """
    shares = torch.tensor(
        [
            accept(region.place(draws, sobol(seed))[:draws]).double().mean().item()
            for seed in range(SCRAMBLINGS)
        ]
    )
    return shares.mean().item(), shares.std().item() / math.sqrt(SCRAMBLINGS)


def equal_weights(region: Region, nodes: int) -> tuple[Points, Weights]:
    """Sobol points of one scrambling, nodes^dim of them but at most MOST, with equal weights."""
    count = min(nodes**region.dim, MOST)
    points = region.place(count, sobol(0))[:count]
    return points, torch.full((count,), region.measure / count, dtype=torch.float64)


def sampling_error(domain: Domain, nodes: int) -> float:
    """The standard error of ∫ 1 by `equal_weights` before the weights are scaled to the measure."""
    low, high = domain.bounds
    around = Box(**dict(zip(domain.names, torch.stack([low, high], dim=1).tolist(), strict=True)))
    draws = math.ceil(min(nodes**domain.dim, MOST) * around.measure / domain.measure)
    return around.measure * single_error(around, lambda p: domain.contains(p.coords), draws)


def single_error(region: Region, accept: Callable[[Points], Mask], draws: int) -> float:
    """The standard error of `share` by one scrambling."""
    return share(region, accept, draws)[1] * math.sqrt(SCRAMBLINGS)
