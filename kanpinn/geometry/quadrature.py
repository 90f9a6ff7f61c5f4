"""Quadrature rules for norms and weak forms, among them rules of scrambled Sobol points."""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from kanpinn._support.errors import integer
from kanpinn._support.shapes import Weights
from kanpinn.geometry.domain import Domain, Region
from kanpinn.geometry.points import Points
from kanpinn.geometry.rules import sobol


def domain_rule(
    domain: Domain,
    nodes: int = 32,
    *,
    draws: int = 2**16,
    chunk: int = 2**13,
    seed: int = 0,
) -> Iterator[tuple[Points, Weights]]:
    """Return a quadrature rule on a domain in chunks, which bound the memory of the evaluation.

    Up to three dimensions the rule is `domain.quadrature`. In higher dimensions it consists of
    scrambled Sobol points with equal weights. For smooth integrands its error then decreases nearly
    like draws^(-3/2) (Owen 1997) if the domain is the image of a cube. The error decreases more
    slowly if the points of a bounding box outside the domain are rejected.

    Args:
        domain: the domain of integration.
        nodes: the number of Gauss nodes per axis, up to three dimensions.
        draws: the number of Sobol points in higher dimensions; a power of 2 keeps them balanced.
        chunk: the largest number of points in a chunk (all points are generated at once).
        seed: the seed of the scrambling; the same seed gives the same points.

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


def rule_of_pieces(
    box: Domain, pieces: Float[Tensor, "c 2 k"], each: int, *, chunk: int = 2**13, seed: int = 0
) -> Iterator[tuple[Points, Weights]]:
    """Return a random quadrature rule with the same number of points in each piece of a box.

    The points of each piece are the first Sobol points, shifted at random and periodically in the
    piece (Cranley and Patterson 1976). The rule is unbiased, so the standard deviation of several
    rules with different seeds estimates the error.

    Args:
        box: the box, with d coordinates.
        pieces: the lower and upper corners of c smaller boxes, the pieces, that fill the box,
            (c, 2, k). The corners have the last k ≤ d coordinates only, as fractions of the box's
            sides. In the other coordinates each piece is as wide as the box.
        each: the number of points in each piece.
        chunk: the largest number of points in a chunk.
        seed: the seed of the shifts; the same seed gives the same points.

    Yields:
        n ≤ chunk points and their weights (n,).
    """
    generator = torch.Generator().manual_seed(seed)
    low, high = (corner.to(torch.float64) for corner in box.bounds)
    whole = torch.tensor([0.0, 1.0])[:, None].expand(len(pieces), 2, box.dim - pieces.shape[2])
    pieces = torch.cat([whole, pieces.cpu()], dim=2).to(torch.float64)
    start, sides = pieces[:, 0], pieces[:, 1] - pieces[:, 0]
    base = torch.quasirandom.SobolEngine(box.dim).draw(each, dtype=torch.float64)
    shift = torch.rand(len(pieces), 1, box.dim, generator=generator, dtype=torch.float64)
    inside = start[:, None] + (base + shift) % 1 * sides[:, None]
    points = Points(low + inside.flatten(0, 1) * (high - low), box.names)
    weights = (box.measure / each * sides.prod(dim=1)).repeat_interleave(each)
    starts = range(0, len(points), chunk)
    return ((points[i : i + chunk], weights[i : i + chunk]) for i in starts)


def equal_weights(region: Region, nodes: int) -> tuple[Points, Weights]:
    """Return a rule of scrambled Sobol points with equal weights.

    Args:
        region: the region of integration.
        nodes: the number of nodes per axis of the product rule that the Sobol points replace.

    Returns:
        n = min(nodes^dim, 2^20) points, and their equal weights (n,).
    """
    # The cap bounds the run time; more points would gain little accuracy.
    count = min(nodes**region.dim, 2**20)
    points = region.place(count, sobol(0))[:count]
    return points, torch.full((count,), region.measure / count, dtype=torch.float64)
