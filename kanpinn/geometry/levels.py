"""Level functions of sets, which are > 0 inside and 0 on the boundary, joined by R-functions.

If f and g are the level functions of two sets, their intersection has the level function
f + g - sqrt(f² + g²), their union f + g + sqrt(f² + g²), and the complement of the first set -f. If
the slopes of f and g at the boundaries are 1, the slopes of these functions are 1 too.

Reference: Rvachev and Sheiko, R-functions in boundary value problems in mechanics (1995).
"""

from collections.abc import Callable
from functools import partial

import torch

from kanpinn._support.shapes import Column, Coords

Level = Callable[[Coords], Column]  # from points (n, d) to values (n, 1)


def intersection(*levels: Level) -> Level:
    """Return the level function of an intersection."""
    return levels[0] if len(levels) == 1 else partial(_joined, levels, -1)


def union(*levels: Level) -> Level:
    """Return the level function of a union."""
    return levels[0] if len(levels) == 1 else partial(_joined, levels, 1)


def complement(level: Level) -> Level:
    """Return the level function of a complement."""
    return partial(_negative, level)


def _joined(levels: tuple[Level, ...], sign: int, coords: Coords) -> Column:
    total = levels[0](coords)
    # Keep the derivative of the root finite at corners, where both values are 0.
    least = torch.finfo(coords.dtype).tiny
    for level in levels[1:]:
        value = level(coords)
        total = total + value + sign * (total.square() + value.square() + least).sqrt()
    return total


def _negative(level: Level, coords: Coords) -> Column:
    return -level(coords)
