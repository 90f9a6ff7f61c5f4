"""Intervals graded by the errors of splines: new ones, on which the error is everywhere the same.

Reference: de Boor, Good approximation by splines with variable knots (1974); de Boor, A Practical
Guide to Splines (1978), chapter XII.
"""

import itertools
import math

import torch
from torch import Tensor


def graded_breaks(
    breaks: Tensor,
    errors: Tensor,
    degree: int,
    error: float,
    most: int,
    least: int = 1,
    kinks: Tensor | None = None,
) -> Tensor:
    """Breaks on which splines have a given root mean square error on every interval.

    The error of splines of degree k is proportional to the width of an interval to the power k + 1,
    and beside a kink to the width at most.

    Args:
        breaks: the old breaks, (G + 1,).
        errors: those of splines on each of their intervals, (G,).
        degree: k.
        error: the error to aim at.
        most, least: the largest and the smallest number of intervals.
        kinks: those of the old breaks that have a kink, and stay; None if there are none.

    Returns:
        The new breaks, from the first old one to the last. Neighbouring intervals differ in width
        by a factor of at most 1.5, the widest is an eighth of the whole, and the narrowest 1e-13.
    """
    widest, narrowest, ratio, narrower, wider = 1 / 8, 1e-13, 1.5, 10.0, 3.0
    widths, whole = breaks.diff(), float(breaks[-1] - breaks[0])
    orders, ends = torch.full_like(widths, degree + 1), breaks[[0, -1]]
    if kinks is not None:
        orders[torch.isin(breaks[:-1], kinks) | torch.isin(breaks[1:], kinks)] = 1
        ends = torch.cat([ends, kinks]).unique()
    factors = (error / errors.clamp_min(1e-300)) ** (1 / orders)
    wanted = (widths * factors.clamp(1 / narrower, wider)).clamp(narrowest * whole, widest * whole)
    # The width may change by the factor `ratio` over its own length: a Lipschitz condition.
    middle = (breaks[1:] + breaks[:-1]) / 2
    wanted = (wanted + (ratio - 1) * (middle[:, None] - middle).abs()).amin(dim=1)
    numbers = torch.cat([breaks.new_zeros(1), (widths / wanted).cumsum(0)])
    numbers *= min(most, max(least, float(numbers[-1]))) / float(numbers[-1])
    places = numbers[torch.searchsorted(breaks, ends)].tolist()
    found = [breaks[:1]]
    for (low, high), end in zip(itertools.pairwise(places), ends[1:], strict=True):
        count = max(1, math.ceil((high - low) * (1 - 1e-12)))
        levels = torch.linspace(low, high, count + 1, dtype=breaks.dtype)[1:-1]
        right = torch.searchsorted(numbers, levels).clamp(1, len(numbers) - 1)
        share = (levels - numbers[right - 1]) / (numbers[right] - numbers[right - 1])
        found += [breaks[right - 1] + share * (breaks[right] - breaks[right - 1]), end[None]]
    return torch.cat(found)


def clamped_knots(breaks: Tensor, degree: int) -> Tensor:
    """Knots of splines that end at the first and the last break."""
    return torch.cat([breaks[:1].repeat(degree), breaks, breaks[-1:].repeat(degree)])


def knots_around(breaks: Tensor, degree: int) -> Tensor:
    """Knots that go on around a circle, of which there are degree + 1 breaks or more."""
    length = breaks[-1] - breaks[0]
    return torch.cat([breaks[-degree - 1 : -1] - length, breaks, breaks[1 : degree + 1] + length])
