"""Quadrature for norms and weak forms, and estimates by scrambled Sobol points."""

import math
from collections.abc import Callable, Iterator

import torch

from kanpinn._support.errors import integer
from kanpinn._support.shapes import Coords, Mask, Weights
from kanpinn.geometry.box import Box
from kanpinn.geometry.domain import Domain
from kanpinn.geometry.points import Points
from kanpinn.geometry.region import Draw, Region
from kanpinn.geometry.rules import gauss_legendre as gauss_legendre


def domain_rule(
    domain: Domain,
    nodes: int = 32,
    *,
    draws: int = 2**16,
    chunk: int = 2**13,
    seed: int = 0,
) -> Iterator[tuple[Points, Weights]]:
    """A quadrature rule on a domain, in chunks that bound the memory needed.

    Up to three dimensions it is the domain's own rule. Above, scrambled Sobol points with equal
    weights, whose error for smooth integrands falls nearly as draws^(-3/2) (Owen 1997) where the
    domain is the image of a cube, and more slowly where it is what a box has inside of it.

    Args:
        nodes: Gauss nodes per axis, up to three dimensions.
        draws: Sobol points in all, above; a power of 2 keeps their balance.
        chunk: the most points given at a time (those of a rule are made at once).
        seed: of the scrambling; the same seed gives the same points.

    Yields:
        n ≤ chunk points and their weights (n,).

    Raises:
        InputError: unless nodes, draws and chunk are positive integers.
    """
    draws, chunk = integer("draws", draws), integer("chunk", chunk)
    if domain.dim > 3:
        points = domain.place(draws, sobol(seed))[:draws]
        weights = torch.full((draws,), domain.measure / draws, dtype=torch.float64)
    else:
        points, weights = domain.quadrature(nodes)
    starts = range(0, len(points), chunk)
    return ((points[i : i + chunk], weights[i : i + chunk]) for i in starts)


def sobol(seed: int) -> Draw:
    """A draw of scrambled Sobol points; the same seed gives the same points."""

    def draw(n: int, dim: int) -> Coords:
        engine = torch.quasirandom.SobolEngine(dim, scramble=True, seed=seed)
        return engine.draw(n, dtype=torch.float64)

    return draw


def accepted_share(
    region: Region,
    accept: Callable[[Points], Mask],
    draws: int = 2**14,
    scramblings: int = 8,
) -> tuple[float, float]:
    """The share of a region's measure that is accepted, and the standard error of that estimate.

    It is the mean over independently scrambled Sobol points; their spread gives the error, without
    bias (Owen 1997). The error is 0 where all points are accepted, or none.

    Args:
        region: where points are drawn.
        accept: which of n points count, (n,).
        draws: points of each scrambling; a power of 2 keeps their balance.
        scramblings: independent repetitions, two or more.
    """
    shares = torch.tensor(
        [
            accept(region.place(draws, sobol(seed))[:draws]).double().mean().item()
            for seed in range(scramblings)
        ]
    )
    return shares.mean().item(), shares.std().item() / math.sqrt(scramblings)


def equal_weights(region: Region, nodes: int) -> tuple[Points, Weights]:
    """Scrambled Sobol points with equal weights, as many as a product rule would have.

    Returns:
        nodes^dim points, but at most 2^20, and their weights.
    """
    count = _count(region, nodes)
    points = region.place(count, sobol(0))[:count]
    return points, torch.full((count,), region.measure / count, dtype=torch.float64)


def sampling_error(domain: Domain, nodes: int) -> float:
    """The standard error of ∫ 1 by `equal_weights` before the weights are scaled to the measure."""
    low, high = domain.bounds
    around = Box(**dict(zip(domain.names, torch.stack([low, high], dim=1).tolist(), strict=True)))
    draws = math.ceil(_count(domain, nodes) * around.measure / domain.measure)
    return around.measure * _single_error(around, lambda p: domain.contains(p.coords), draws)


def clipped_error(
    piece: Region, accept: Callable[[Points], Mask], part: float, nodes: int
) -> float:
    """The standard error of ∫ 1 by `equal_weights` on the accepted part of a piece of boundary.

    Args:
        piece: the whole piece.
        accept: which of n points are on the part, (n,).
        part: the share of the piece that the part is.
        nodes: the argument of `equal_weights`.
    """
    draws = math.ceil(_count(piece, nodes) / part)
    return piece.measure * _single_error(piece, accept, draws)


def _single_error(region: Region, accept: Callable[[Points], Mask], draws: int) -> float:
    """The standard error of `share` by one scrambling."""
    scramblings = 8
    return accepted_share(region, accept, draws, scramblings)[1] * math.sqrt(scramblings)


def _count(region: Region, nodes: int) -> int:
    # More points would take longer than their accuracy is worth.
    return min(nodes**region.dim, 2**20)
