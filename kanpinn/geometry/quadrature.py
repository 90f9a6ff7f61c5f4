"""Quadrature for norms and weak forms."""

from collections.abc import Iterator

import torch

from kanpinn._support.errors import integer
from kanpinn._support.shapes import Weights
from kanpinn.geometry.domain import Domain
from kanpinn.geometry.points import Points
from kanpinn.geometry.rules import gauss_legendre as gauss_legendre
from kanpinn.geometry.scrambled import sobol


def domain_rule(
    domain: Domain,
    nodes: int = 32,
    *,
    draws: int = 2**16,
    chunk: int = 2**13,
    seed: int = 0,
) -> Iterator[tuple[Points, Weights]]:
    """Points and weights (n,) of a rule on the domain, in chunks with n ≤ chunk.

    Up to three dimensions it is the domain's own rule. Above, scrambled Sobol points with equal
    weights, whose error for smooth integrands falls nearly as draws^(-3/2) (Owen 1997) where the
    domain is the image of a cube, and more slowly where it is what a box has inside of it.

    Args:
        nodes: Gauss nodes per axis, up to three dimensions.
        draws: Sobol points in all, above; a power of 2 keeps their balance.
        chunk: the most points given at a time (those of a rule are made at once).
        seed: of the scrambling; the same seed gives the same points.

    Raises:
        InputError: unless nodes, draws and chunk are positive integers.
    """
    draws, chunk = integer("draws", draws), integer("chunk", chunk)
    points, weights = _sobol(domain, draws, seed) if domain.dim > 3 else domain.quadrature(nodes)
    starts = range(0, len(points), chunk)
    return ((points[i : i + chunk], weights[i : i + chunk]) for i in starts)


def _sobol(domain: Domain, draws: int, seed: int) -> tuple[Points, Weights]:
    points = domain.place(draws, sobol(seed))[:draws]
    return points, torch.full((draws,), domain.measure / draws, dtype=torch.float64)
