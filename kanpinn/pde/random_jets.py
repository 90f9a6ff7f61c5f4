"""Random jets, at which equations are tried before there is a solution."""

import torch
from torch import Generator

from kanpinn.geometry import Points
from kanpinn.jets import Channels, Jet
from kanpinn.pde.evaluate import ResidualFunction, find_channels


def random_jets(equation: ResidualFunction, points: Points, m: int) -> tuple[Jet, Jet]:
    """Return two random jets of m fields at the points, with the derivatives the equation uses."""
    channels, _ = find_channels(lambda c: equation(points, _random_jet(points, c, m)), points.names)
    return _random_jet(points, channels, m), _random_jet(points, channels, m, seed=1)


def _random_jet(points: Points, channels: Channels, m: int, seed: int = 0) -> Jet:
    """Return a jet of random numbers in [½, 1½), reproducible for a given seed."""
    generator, dtype = Generator().manual_seed(seed), points.coords.dtype
    n, d = points.coords.shape
    second, lines = channels.second_count, len(channels.directions)
    shapes: dict[str, tuple[int, ...]] = {"value": (n,)}
    shapes |= {"gradient": (n, d)} if channels.gradient else {}
    shapes |= {"second": (n, second)} if second else {}
    shapes |= {"lines": (n, lines, channels.order)} if lines else {}
    parts = {
        name: 0.5 + torch.rand(*shape, m, generator=generator, dtype=dtype)
        for name, shape in shapes.items()
    }
    return Jet(channels, **parts)
