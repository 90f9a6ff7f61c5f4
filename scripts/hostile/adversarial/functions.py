"""Random functions: sums of waves, peaks, logarithmic poles outside a domain, and fronts."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor

from kanpinn import Points


@dataclass(frozen=True)
class Function:
    """A function of points, (n, 1), and words that describe it."""

    values: Callable[[Points], Tensor]
    words: str


def drawn_function(draw: Random, axes: tuple[str, ...]) -> Function:
    """Return the sum of one to three random parts of size about 1, whose scales span two decades.

    Args:
        draw: the source of random numbers.
        axes: the names of the coordinates, of which each has the range -1 to 1.
    """
    kinds = [_wave, _wave, _peak, _pole, _front]
    parts = [draw.choice(kinds)(draw, axes) for _ in range(draw.choice([1, 2, 3]))]
    sizes = [draw.uniform(0.3, 1) for _ in parts]

    def values(p: Points) -> Tensor:
        terms = [size * part.values(p) for size, part in zip(sizes, parts, strict=True)]
        return torch.stack(terms).sum(dim=0)

    return Function(values, " + ".join(part.words for part in parts))


def _columns(p: Points, axes: tuple[str, ...]) -> list[Tensor]:
    return [getattr(p, name) for name in axes]


def _direction(draw: Random, dimension: int) -> list[float]:
    """Return a random unit vector."""
    vector = [draw.gauss(0, 1) for _ in range(dimension)]
    length = math.hypot(*vector)
    return [component / length for component in vector]


def _along(p: Points, axes: tuple[str, ...], direction: list[float]) -> Tensor:
    return torch.stack([n * x for n, x in zip(direction, _columns(p, axes), strict=True)]).sum(0)


def _wave(draw: Random, axes: tuple[str, ...]) -> Function:
    number, phase = 10 ** draw.uniform(0, 1.6), draw.uniform(0, 6)
    direction = _direction(draw, len(axes))
    return Function(
        lambda p: torch.sin(number * _along(p, axes, direction) + phase), f"wave {number:.3g}"
    )


def _peak(draw: Random, axes: tuple[str, ...]) -> Function:
    width, centre = 10 ** draw.uniform(-2, -0.2), [draw.uniform(-0.8, 0.8) for _ in axes]

    def values(p: Points) -> Tensor:
        both = zip(centre, _columns(p, axes), strict=True)
        return torch.exp(-torch.stack([(x - c) ** 2 for c, x in both]).sum(0) / width**2)

    return Function(values, f"peak {width:.2g}")


def _pole(draw: Random, axes: tuple[str, ...]) -> Function:
    gap, direction = 10 ** draw.uniform(-2.5, 0), _direction(draw, len(axes))
    far = max(abs(component) for component in direction)
    centre = [(1 + gap) * component / far for component in direction]

    def values(p: Points) -> Tensor:
        both = zip(centre, _columns(p, axes), strict=True)
        return 0.5 * torch.log(torch.stack([(x - c) ** 2 for c, x in both]).sum(0))

    return Function(values, f"pole {gap:.2g} outside")


def _front(draw: Random, axes: tuple[str, ...]) -> Function:
    steep, where = 10 ** draw.uniform(0, 2.2), draw.uniform(-0.5, 0.5)
    direction = _direction(draw, len(axes))
    return Function(
        lambda p: torch.tanh(steep * (_along(p, axes, direction) - where)), f"front {steep:.3g}"
    )
