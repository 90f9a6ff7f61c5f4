"""Intervals graded by the errors of splines: new ones, on which the error is everywhere the same.

Reference: de Boor, Good approximation by splines with variable knots (1974); de Boor, A Practical
Guide to Splines (1978), chapter XII.
"""

import math

import torch
from torch import Tensor


def graded_breaks(
    breaks: Tensor, errors: Tensor, degree: int, error: float, most: int, least: int = 1
) -> Tensor:
    """Breaks on which splines have a given root mean square error on every interval.

    The error of splines of degree k is proportional to the width of an interval to the power k + 1.

    Args:
        breaks: the old breaks, (G + 1,).
        errors: those of splines on each of their intervals, (G,).
        degree: k.
        error: the error to aim at.
        most, least: the largest and the smallest number of intervals.

    Returns:
        The new breaks, from the first old one to the last. Neighbouring intervals differ in width
        by a factor of at most 1.5, the widest is an eighth of the whole, and the narrowest 1e-8.
    """
    widest, narrowest, ratio, narrower, wider = 1 / 8, 1e-8, 1.5, 10.0, 3.0
    widths, whole = breaks.diff(), float(breaks[-1] - breaks[0])
    factors = (error / errors.clamp_min(1e-300)) ** (1 / (degree + 1))
    wanted = (widths * factors.clamp(1 / narrower, wider)).clamp(narrowest * whole, widest * whole)
    # The width may change by the factor `ratio` over its own length: a Lipschitz condition.
    middle = (breaks[1:] + breaks[:-1]) / 2
    wanted = (wanted + (ratio - 1) * (middle[:, None] - middle).abs()).amin(dim=1)
    numbers = torch.cat([breaks.new_zeros(1), (widths / wanted).cumsum(0)])
    count = min(most, max(least, math.ceil(float(numbers[-1]))))
    levels = torch.linspace(0, float(numbers[-1]), count + 1, dtype=breaks.dtype)
    right = torch.searchsorted(numbers, levels).clamp(1, len(numbers) - 1)
    share = (levels - numbers[right - 1]) / (numbers[right] - numbers[right - 1])
    found = breaks[right - 1] + share * (breaks[right] - breaks[right - 1])
    found[0], found[-1] = breaks[0], breaks[-1]
    return found
