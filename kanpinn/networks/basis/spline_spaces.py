"""Knots, and the maps between spline spaces on different knots.

A knot array has shape (n_in, n + k + 1), one non-decreasing row for each input, for n splines of
degree k. The grid of a row is [t_k, t_n], and the breaks are the knots in it, `knots[:, k:-k]`.
"""

import torch
from torch import Tensor

from kanpinn._support.errors import InputError


def uniform_knots(low: Tensor, high: Tensor, intervals: int, degree: int) -> Tensor:
    """Equally spaced knots with `intervals` grid intervals on [low, high], (n_in,) each."""
    step = (high - low) / intervals
    index = torch.arange(-degree, intervals + degree + 1, dtype=low.dtype, device=low.device)
    return low[:, None] + step[:, None] * index


def knots_from_breaks(breaks: Tensor, degree: int) -> Tensor:
    """The knots with given breaks (n_in, G + 1), continued with the widths of the end intervals."""
    steps = torch.arange(1, degree + 1, dtype=breaks.dtype, device=breaks.device)
    first, last = breaks[:, 1] - breaks[:, 0], breaks[:, -1] - breaks[:, -2]
    left = breaks[:, :1] - first[:, None] * steps.flip(0)
    right = breaks[:, -1:] + last[:, None] * steps
    return torch.cat([left, breaks, right], dim=1)


def refined_breaks(breaks: Tensor, low: Tensor, high: Tensor, intervals: int) -> Tensor:
    """The breaks of one input on `intervals` intervals of the grid's part in [low, high].

    Old breaks inside are kept, unless less than a quarter of an interval is left to an end. Every
    interval is split into the same number of equal parts; a remainder gives the widest intervals
    one part more. If there are fewer new intervals than kept ones, all have equal width. A range of
    width zero, that of a constant, keeps the whole grid.

    Args:
        breaks: the old breaks, (G + 1,).
        low, high: the ends of the range, scalars.
        intervals: the new number of intervals.

    Returns:
        (intervals + 1,) increasing breaks.
    """
    quarter, narrow = 0.25, 1e-6
    low, high = torch.maximum(low, breaks[0]), torch.minimum(high, breaks[-1])
    if high - low < narrow * (breaks[-1] - breaks[0]):
        low, high = breaks[0], breaks[-1]
    inner, steps = breaks[1:-1], breaks.diff()
    stays = (inner - low >= quarter * steps[:-1]) & (high - inner >= quarter * steps[1:])
    kept = torch.cat([low[None], inner[stays], high[None]])
    parts, rest = divmod(intervals, len(kept) - 1)
    if parts == 0:
        return low + (high - low) * torch.linspace(0, 1, intervals + 1).to(breaks)
    counts = torch.full((len(kept) - 1,), parts, device=breaks.device)
    counts[kept.diff().argsort(descending=True, stable=True)[:rest]] += 1
    pieces = [
        a + (b - a) * torch.arange(n).to(breaks) / n
        for a, b, n in zip(kept, kept[1:], counts.tolist(), strict=False)
    ]
    return torch.cat([*pieces, high[None]])


def contains_breaks(old: Tensor, new: Tensor, degree: int) -> bool:
    """Whether every inner break of `old` inside the new grid is a knot of `new`.

    If so, the new spline space contains the old one there, and refinement is exact.
    """
    inner, (low, high) = old[:, degree + 1 : -degree - 1], _ends(new, degree)
    tolerance = 1e-12 * (old[:, -1:] - old[:, :1])
    gap = (inner[:, :, None] - new[:, None, :]).abs().amin(-1) if inner.numel() else inner
    return bool(((gap <= tolerance) | (inner <= low) | (inner >= high)).all())


def _ends(knots: Tensor, degree: int) -> tuple[Tensor, Tensor]:
    """The first and the last point of the grids, (n_in, 1) each."""
    return knots[:, degree, None], knots[:, -degree - 1, None]


def refinement_matrix(old: Tensor, new: Tensor, degree: int) -> Tensor:
    """The matrix A (n_in, n_new, n_old): Σ_j c_j B_j = Σ_i (A c)_i B'_i on both grids, exactly.

    The new knots must contain every inner break of the old ones that lies in the new grid. Knots
    may be inserted, and the range may be cut or widened, where the polynomials of the end intervals
    continue. A_ij is the blossom of the old piece in the support of B'_i at the new knots
    t'_{i+1} … t'_{i+k}.

    Args:
        old, new: the knots, (n_in, n + degree + 1) each, with their own n.
        degree: k.

    Raises:
        InputError: if an inner break of `old` is missing in `new`.

    Reference: Ramshaw, Blossoms are polar forms (1989); Cohen, Lyche and Riesenfeld (1980) for
    nested knots.
    """
    if not contains_breaks(old, new, degree):
        raise InputError("refinement is exact only if the new knots contain the old grid points")
    n_in, n_old = old.shape[0], old.shape[1] - degree - 1
    n_new = new.shape[1] - degree - 1
    arguments = new.unfold(1, degree, 1)[:, 1 : n_new + 1]  # t'_{i+1} … t'_{i+k}
    (low, high), (first, last) = _ends(old, degree), _ends(new, degree)
    low, high = torch.maximum(low, first), torch.minimum(high, last)
    middle = (new[:, :n_new].clamp(low, high) + new[:, degree + 1 :].clamp(low, high)) / 2
    piece = (middle[..., None] >= old[:, None, degree + 1 : -degree - 1]).sum(-1)
    rows = torch.arange(n_in, device=old.device)[:, None, None]
    near = old[rows, piece[..., None] + torch.arange(1, 2 * degree + 1, device=old.device)]
    local = _blossom(near, arguments, degree)
    position = piece[..., None] + torch.arange(degree + 1, device=old.device)
    return old.new_zeros(n_in, n_new, n_old).scatter_(-1, position, local)


def _blossom(near: Tensor, arguments: Tensor, degree: int) -> Tensor:
    """The weights (..., k + 1) of a piece's coefficients in its polar form at k arguments."""
    shape = (*arguments.shape[:-1], degree + 1, degree + 1)
    triangle = torch.eye(degree + 1, dtype=near.dtype, device=near.device).expand(shape)
    for r in range(degree):
        u = arguments[..., r, None]
        left, right = near[..., r:degree], near[..., degree : 2 * degree - r]
        share = ((u - left) / (right - left))[..., None]
        triangle = (1 - share) * triangle[..., :-1, :] + share * triangle[..., 1:, :]
    return triangle[..., 0, :]
