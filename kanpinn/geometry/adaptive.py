"""Residual-adaptive collocation points: the methods RAD and R3."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from kanpinn._support.errors import NumericalError
from kanpinn.geometry.domain import Domain
from kanpinn.geometry.points import Points, morton_order
from kanpinn.geometry.sampling import sample

Sizes = Callable[[Points], Tensor]  # the residual's size |r| at points, (n,)


def rad(domain: Domain, n: int, sizes: Sizes, generator: Generator) -> Points:
    """Draw n points with a density proportional to |r| / mean |r| + 1 out of 8 n Sobol points.

    In expectation half of the points are uniformly distributed and half follow |r|. The candidates
    are ordered along a Morton curve, which keeps neighbours together, and divided into n parts of
    equal probability; one point is drawn from each part. This leaves smaller gaps than independent
    draws. Each candidate is drawn at most once, so the density nowhere exceeds eight times the
    uniform density.

    Args:
        domain: the domain in which the points lie.
        n: the number of points.
        sizes: returns the absolute residual |r| at points, (n,).
        generator: the CPU random generator.

    Returns:
        n points.

    Reference: Wu, Zhu, Tan, Kartha and Lu, A comprehensive study of non-adaptive and residual-based
    adaptive sampling (2023), RAD with k = c = 1.

    Raises:
        NumericalError: if a residual is not finite.
    """
    found = sample(domain, 8 * n, "sobol", generator)
    found = found[morton_order(found.coords)]
    size = _finite(sizes(found)).to(found.coords)
    density = size / size.mean().clamp_min(torch.finfo(size.dtype).tiny) + 1
    return found[_systematic(density, n, generator)]


def r3(current: Points, domain: Domain, sampler: str, sizes: Sizes, generator: Generator) -> Points:
    """Retain the points with |r| above its mean and replace the others by new samples.

    Args:
        current: the n current collocation points.
        domain: the domain in which new points are drawn.
        sampler: the sampler of the new points, one of SAMPLERS.
        sizes: returns the absolute residual |r| at points, (n,).
        generator: the CPU random generator.

    Returns:
        The retained points, then the new ones: n points in all, or a few more if the sampler is a
        product rule.

    Reference: Daw, Bu, Wang, Perdikaris and Karpatne, Mitigating propagation failures in
    physics-informed neural networks using retain-resample-release sampling (2023).

    Raises:
        NumericalError: if a residual is not finite.
    """
    size = _finite(sizes(current))
    retained = current[size > size.mean()]
    fresh = sample(domain, max(1, len(current) - len(retained)), sampler, generator)
    like = current.coords
    return Points.cat([retained, fresh.to(like.dtype, like.device)])


def _finite(size: Tensor) -> Tensor:
    bad = int((~size.isfinite()).sum())
    if bad:
        raise NumericalError(
            f"points cannot follow the residual, which is not a finite number at {bad} of "
            f"{len(size)} candidates"
        )
    return size


def _systematic(density: Tensor, n: int, generator: Generator) -> Tensor:
    """Draw n distinct indices, index i with probability min(1, c density_i); n < len(density)."""
    share = density / density.sum()
    # Indices with probability 1 are drawn exactly once; the others share the remaining draws.
    for _ in range(20):
        certain = n * share >= 1
        left = n - int(certain.sum())
        rest = torch.where(certain, 0, density)
        grown = torch.where(certain, 1 / n, rest / rest.sum() * (left / n))
        if bool((n * grown <= 1 + 1e-9).all()):
            break
        share = grown
    reached = (n * grown).cumsum(0)
    start = torch.rand((), dtype=density.dtype, generator=generator).to(density)
    marks = torch.arange(n).to(density) + start
    return torch.searchsorted(reached, marks).clamp_max(len(density) - 1)
