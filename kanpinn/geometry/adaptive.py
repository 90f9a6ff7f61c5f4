"""Collocation points that follow the residual."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from kanpinn._support.errors import NumericalError
from kanpinn.geometry.domain import Domain
from kanpinn.geometry.points import Points, morton_order
from kanpinn.geometry.sampling import sample

Sizes = Callable[[Points], Tensor]  # the residual's size |r| at points, (n,)


def rad(domain: Domain, n: int, sizes: Sizes, generator: Generator) -> Points:
    """n points whose density is proportional to |r| / mean |r| + 1, drawn from 8 n Sobol points.

    Half of them are spread evenly, half go where the residual is large. They are drawn one from
    each of n parts of equal probability along a curve that keeps neighbours together, so that they
    leave fewer holes than independent ones; a candidate is drawn once at most, so that there are
    nowhere more than eight times as many as evenly.

    Reference: Wu, Zhu, Tan, Kartha and Lu, A comprehensive study of non-adaptive and residual-based
    adaptive sampling (2023), RAD with k = c = 1.

    Raises:
        NumericalError: where a residual is no number.
    """
    found = sample(domain, 8 * n, "sobol", generator)
    found = found[morton_order(found.coords)]
    size = _finite(sizes(found)).to(found.coords)
    density = size / size.mean().clamp_min(torch.finfo(size.dtype).tiny) + 1
    return found[_systematic(density, n, generator)]


def r3(current: Points, domain: Domain, sampler: str, sizes: Sizes, generator: Generator) -> Points:
    """Retain points with |r| above its mean, release the others, resample in their place.

    Args:
        current: the points so far; as many are returned.
        domain: where new points are drawn.
        sampler: of the new points.
        sizes: gives |r| at points, (n,).
        generator: the source of chance.

    Reference: Daw, Bu, Wang, Perdikaris and Karpatne, Mitigating propagation failures in
    physics-informed neural networks using retain-resample-release sampling (2023).

    Raises:
        NumericalError: where a residual is no number.
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
    """n indices, index i with probability min(1, c density_i); needs more entries than n."""
    share = density / density.sum()
    # What is certain is drawn once, and the rest shares out the remaining draws.
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
