"""Random jets, at which equations are tried before there is a solution."""

import torch
from torch import Generator

from kanpinn.geometry import Points
from kanpinn.jets import Channels, Jet, zero_jet
from kanpinn.pde.evaluate import ResidualFunction, find_channels


def random_jets(equation: ResidualFunction, points: Points, m: int) -> tuple[Jet, Jet]:
    """Return two random jets of m fields at the points, with the derivatives the equation uses."""
    channels, _ = find_channels(lambda c: equation(points, _random_jet(points, c, m)), points.names)
    return _random_jet(points, channels, m), _random_jet(points, channels, m, seed=1)


def _random_jet(points: Points, channels: Channels, m: int, seed: int = 0) -> Jet:
    """Return a jet of random numbers in [½, 1½), reproducible for a given seed."""
    generator = Generator().manual_seed(seed)
    zero = zero_jet(channels, points.coords, m)
    return zero.map(lambda t: 0.5 + torch.rand(t.shape, generator=generator, dtype=t.dtype))
