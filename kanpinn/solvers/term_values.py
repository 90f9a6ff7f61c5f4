"""The residuals of a term of the loss at any points, and the sizes of the parts they consist of."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from kanpinn.geometry import Points
from kanpinn.geometry.points import Batch
from kanpinn.loss.terms import ResidualTerm
from kanpinn.networks.surrogate import Surrogate
from kanpinn.solvers.steep_data import CHUNK


def rows_of(term: ResidualTerm, surrogate: Surrogate, points: Points, zero: bool = False) -> Tensor:
    """Return the residuals of a term, (rows, equations), in float64 on the CPU.

    With `zero` they are those of the function 0, the data.
    """
    if not len(points):  # all pending points are outside the domain
        return torch.zeros(0, 1, dtype=torch.float64)
    own = points.to(surrogate.low.dtype, surrogate.low.device)
    size = max(CHUNK // term.sites, 1) * term.sites
    starts = range(0, len(own), size)
    blocks = [own[i : i + size] for i in starts]
    if zero:
        like = surrogate.jet(own[:1], term.channels) * 0.0
        parts = [
            term.equation(p, like.map(lambda t: t.expand(len(p), *t.shape[1:])))  # noqa: B023
            for p in blocks
        ]
    else:
        parts = [term.residual(surrogate, p) for p in blocks]
    return torch.cat(parts).double().cpu()


def term_sizes(term: ResidualTerm, surrogate: Surrogate, inside: Points) -> list[float]:
    """Return the mean squares of an equation's source and of the part of each entry of the jet.

    The source is the residual of the function 0. The part of an entry, such as u_xx, is the change
    of the residual where it is replaced by 0. It is 0 where the equation is not finite then. The
    values of the fields are the first entries.

    Args:
        term: the equation, with points.
        surrogate: the solution.
        inside: points in the domain whose jets are taken: on the boundary they may vanish.
    """
    count = min(256, len(term.points), len(inside))
    like = surrogate.low.dtype, surrogate.low.device
    points = Batch.made_of(term.points[:count].to(*like))
    channels = term.channels
    # The sum of the u_ii says nothing of their sizes where they cancel, as in Laplace's equation.
    if channels.second == "laplacian":
        channels = replace(channels, second="diagonal")
    u = surrogate.jet(inside[:count].to(*like), channels)
    whole, source = term.equation(points, u), term.equation(points, u * 0)
    sizes = [float(source.square().sum(dim=1).mean())]
    for k, part in enumerate(u.parts()):
        for i in range(part.shape[1]):
            parts = u.parts()
            parts[k] = part.clone()
            parts[k][:, i] = 0
            change = whole - term.equation(points, u.with_parts(parts))
            sizes.append(float(change.square().sum(dim=1).mean()))
    return [size if math.isfinite(size) else 0.0 for size in sizes]
