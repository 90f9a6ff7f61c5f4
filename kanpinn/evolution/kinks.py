"""Kinks and jumps of initial values: where they lie, and intervals that end there."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from kanpinn.evolution.terms.evolution_terms import initial_values
from kanpinn.geometry import Points
from kanpinn.loss.terms import ResidualTerm
from kanpinn.networks.surrogate import Surrogate

Values = Callable[[Tensor], Tensor]  # places (n,) → values (n, c)


def kinks_of(values: Values, low: float, high: float) -> Tensor:
    """The places between two ends where a function jumps, or its first derivative does.

    In each of many parts the half with the largest fourth difference is followed down to rounding.
    With the distance w of the places fourth differences of a smooth function fall like w⁴, at a
    kink like w, and at a jump not at all. Kinks are found to some 1e-12 of the length.

    Args:
        values: the function, defined for places (n,) from low to high.
        low, high: the ends.

    Returns:
        The places, in increasing order, (k,); none where there are so many that the function is
        hardly smooth anywhere.
    """
    parts, coarse, fine, last, most = 320, 10, 20, 40, 20
    ends = torch.linspace(low, high, parts + 1, dtype=torch.float64)
    ends[1:-1] += 0.0137 * (high - low) / parts  # not at round numbers, where kinks often lie
    start, width = ends[:-1].clone(), ends.diff()
    size = values(ends).abs().amax()
    before = torch.zeros_like(start)
    for halvings in range(last):
        rest = width.isfinite()
        fourth, rounding, where = _fourth_differences(values, start, width, size)
        fourth = torch.where(fourth > rounding, fourth, 0.0)
        if halvings == coarse:
            before = fourth
        if halvings == fine:
            rest = fourth > before * 2.0 ** (-1.5 * (fine - coarse))
        elif halvings < fine:
            rest = fourth > 0
        going = fourth > 0
        start = torch.where(going, start + where * width / 8, start)
        width = torch.where(going, width / 2, width)
        start, width, before = start[rest], width[rest], before[rest]
        if not len(start):
            return start
    found = (start + width / 2).sort().values
    return found if len(found) <= most else found[:0]


def _fourth_differences(
    values: Values, start: Tensor, width: Tensor, size: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The largest fourth difference of nine values in each part, its rounding, and its place.

    Args:
        values: the function.
        start, width: the parts, (P,).
        size: of the function.

    Returns:
        Three tensors (P,); the place is the number, 0 to 4, of the first of the five values.
    """
    eps = torch.finfo(start.dtype).eps
    x = start[:, None] + width[:, None] * torch.arange(9, dtype=start.dtype) / 8
    found = values(x.flatten()).unflatten(0, x.shape)  # (P, 9, c)
    fourth = found.diff(n=4, dim=1).abs()
    slopes = found.diff(dim=1).abs().amax(dim=(1, 2)) / width * 8
    largest, place = fourth.amax(dim=2).max(dim=1)
    return largest, 64 * eps * (size + x.abs().amax() * slopes), place


def initial_kinks(initial: Sequence[ResidualTerm], surrogate: Surrogate, periodic: bool) -> Tensor:
    """The kinks of initial values in one coordinate of space, scaled to [-1, 1].

    Args:
        initial: the conditions at the first moment.
        surrogate: gives the coordinates and the number of fields.
        periodic: whether both ends are one place; if it is a kink, both are among the kinks.
    """
    (low, first), (high, _) = (corner.tolist() for corner in surrogate.domain.bounds)
    fields, seam = surrogate.network.width[-1], 1e-9

    def values(xi: Tensor) -> Tensor:
        x = low + (torch.where(xi > 1, xi - 2, xi) + 1) / 2 * (high - low)
        points = Points(torch.stack([x, torch.full_like(x, first)], dim=1), surrogate.domain.names)
        return initial_values(initial, points, fields).movedim(0, 1).flatten(1)

    shift = 0.01 if periodic else 0.0  # around a circle the ends are places like all others
    found = kinks_of(values, -1 + shift, 1 + shift)
    at_seam = (found - 1).abs() < seam
    inner = torch.where(found > 1, found - 2, found)[~at_seam]
    ends = torch.tensor([-1.0, 1.0] if at_seam.any() else []).double()
    return torch.cat([inner, ends]).sort().values


def breaks_with(breaks: Tensor, kinks: Tensor) -> Tensor:
    """The breaks with further ones at kinks, which replace those that are close to them.

    breaks: in increasing order, (G + 1,). kinks: from the first to the last, (k,).
    """
    kinks = kinks[(kinks > breaks[0]) & (kinks < breaks[-1])]
    inner, close = breaks[1:-1], 0.3 * float(breaks.diff().min())
    if len(kinks):
        inner = inner[(inner[:, None] - kinks).abs().amin(dim=1) > close]
    return torch.cat([breaks[:1], torch.cat([inner, kinks]).sort().values, breaks[-1:]])
