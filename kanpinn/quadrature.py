"""Quadrature for norms and weak forms."""

from collections.abc import Iterator

import torch

from kanpinn._typing import Weights
from kanpinn.errors import integer
from kanpinn.geometry.domain import Domain, Mapped
from kanpinn.geometry.points import Points
from kanpinn.geometry.rules import gauss_legendre as gauss_legendre


def domain_rule(
    domain: Domain,
    nodes: int = 32,
    *,
    draws: int = 2**16,
    chunk: int = 2**13,
    seed: int = 0,
) -> Iterator[tuple[Points, Weights]]:
    """Points and weights (n,) of a rule on the domain, in chunks with n ≤ chunk.

    Up to three dimensions it is the domain's Gauss rule. Above, a scrambled Sobol rule with equal
    weights, whose error for smooth integrands falls nearly as draws^(-3/2) (Owen 1997).

    Args:
        nodes: Gauss nodes per axis, up to three dimensions.
        draws: Sobol points in all, above; a power of 2 keeps their balance.
        chunk: the most points held at a time (the Gauss rule's nodes^d are made at once).
        seed: of the scrambling; the same seed gives the same points.

    Raises:
        InputError: unless nodes, draws and chunk are positive integers.
    """
    draws, chunk = integer("draws", draws), integer("chunk", chunk)
    if domain.dim > 3:
        return _sobol_rule(domain, draws, chunk, seed)
    points, weights = domain.quadrature(nodes)
    starts = range(0, len(points), chunk)
    return ((points[i : i + chunk], weights[i : i + chunk]) for i in starts)


def _sobol_rule(
    domain: Domain, draws: int, chunk: int, seed: int
) -> Iterator[tuple[Points, Weights]]:
    engine = torch.quasirandom.SobolEngine(domain.dim, scramble=True, seed=seed)
    low, high = domain.bounds
    mapped = isinstance(domain, Mapped)
    weight = (domain.measure if mapped else float((high - low).prod())) / draws
    for start in range(0, draws, chunk):
        unit = engine.draw(min(chunk, draws - start), dtype=torch.float64)
        if isinstance(domain, Mapped):
            points = domain.from_unit(unit)
        else:
            coords = torch.lerp(low, high, unit)
            points = Points(coords[domain.contains(coords)], domain.names)
        yield points, unit.new_full((len(points),), weight)
