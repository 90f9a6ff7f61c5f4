"""Approximation of smooth KANs by spline KANs: the C^m error against the grid."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

import kanpinn as kp
from kanpinn.jets import Coordinates, Jet, jet_of

SAMPLES = 8  # of an edge per grid interval
MARGIN = 0.05  # of a hidden unit's range, beyond it: what kanpinn's grids have
NAMES = ("x", "y")
HIGHEST = 2  # of m: the derivatives that a Hessian has

Edge = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class SmoothKAN:
    """A function with a smooth representation; edges[layer][input][output]."""

    name: str
    edges: Sequence[Sequence[Sequence[Edge]]]
    exact: Callable[[Tensor], Tensor]

    @property
    def width(self) -> list[int]:
        """The number of units in each layer, inputs first."""
        return [len(layer) for layer in self.edges] + [len(self.edges[-1][0])]

    def ranges(self) -> list[tuple[Tensor, Tensor]]:
        """Return the least and greatest inputs of each layer on the square."""
        axis = torch.linspace(-1, 1, 129, dtype=torch.float64)
        units = [torch.cartesian_prod(axis, axis)]
        for layer in self.edges[:-1]:
            units.append(torch.stack([_sum(unit, units[-1]) for unit in zip(*layer)], dim=1))  # noqa: B905
        return [(u.amin(0), u.amax(0)) for u in units]


def _sum(edges: Sequence[Edge], x: Tensor) -> Tensor:
    return sum((edge(x[:, i]) for i, edge in enumerate(edges)), start=torch.zeros_like(x[:, 0]))


EXPONENTIAL = SmoothKAN(
    "exp(sin πx + y²), [2,1,1]",
    [[[lambda x: torch.sin(torch.pi * x)], [torch.square]], [[torch.exp]]],
    lambda p: torch.exp(torch.sin(torch.pi * p[:, :1]) + p[:, 1:] ** 2),
)
PRODUCT = SmoothKAN(
    "sin πx sin πy², [2,2,1]",
    [
        [[lambda x: x, lambda x: x], [torch.square, lambda y: -(y**2)]],
        [[lambda h: -torch.cos(torch.pi * h) / 2], [lambda h: torch.cos(torch.pi * h) / 2]],
    ],
    lambda p: torch.sin(torch.pi * p[:, :1]) * torch.sin(torch.pi * p[:, 1:] ** 2),
)
FUNCTIONS = (EXPONENTIAL, PRODUCT)


@dataclass(frozen=True)
class Measured:
    """The C^m norm of an error: the largest partial derivative of any order up to m."""

    function: str
    degree: int
    m: int
    grid: int
    error: float


def measure(degrees: Sequence[int], grids: Sequence[int], nodes: int) -> Iterator[Measured]:
    """Yield the errors of every function, degree, grid and m ≤ k, 2, on nodes × nodes points."""
    axis = torch.linspace(-1, 1, nodes, dtype=torch.float64)
    points = torch.cartesian_prod(axis, axis)
    channels = kp.Channels(NAMES, second="hessian")
    for function in FUNCTIONS:
        exact = jet_of(function.exact, points, channels)
        for degree in degrees:
            for grid in grids:
                jet = _jet(approximant(function, degree, grid), points, channels)
                for m, error in enumerate(_norms(jet - exact)[: degree + 1]):
                    yield Measured(function.name, degree, m, grid, error)


def approximant(function: SmoothKAN, degree: int, grid: int) -> kp.KAN:
    """Return the KAN whose edges approximate the smooth ones by least squares.

    The grid of a hidden unit covers its range, so that no edge extrapolates.
    """
    network = kp.KAN(function.width, degree=degree, grid=grid)
    ranges = function.ranges()
    for depth, (layer, edges) in enumerate(zip(network.layers, function.edges, strict=True)):
        low, high = ranges[depth]
        pad = MARGIN * (high - low) if depth else 0.0
        low, high = low - pad, high + pad
        layer.basis = layer.basis.uniform(low, high, grid, degree)
        x = low + (high - low) * _samples(grid)[:, None]
        values = [torch.stack([edge(x[:, i]) for edge in own], 1) for i, own in enumerate(edges)]
        with torch.no_grad():
            fitted = layer.basis.fit(x, torch.stack(values, dim=1))
            layer.coefficients.copy_(fitted)
    return network


def _samples(grid: int) -> Tensor:
    """Return SAMPLES Chebyshev points of each interval of [0, 1]."""
    angle = math.pi * (torch.arange(SAMPLES, dtype=torch.float64) + 0.5) / SAMPLES
    within = (1 - torch.cos(angle)) / 2
    return ((torch.arange(grid)[:, None] + within) / grid).flatten()


@torch.no_grad()
def _jet(network: kp.KAN, points: Tensor, channels: kp.Channels) -> Jet:
    one = torch.ones(len(NAMES), dtype=torch.float64)
    parts = [network.jet(Coordinates(channels, p, one)) for p in points.split(8192)]
    tensors = [torch.cat(same) for same in zip(*(j.parts() for j in parts), strict=True)]
    return Jet(channels, *tensors)


def _norms(jet: Jet) -> list[float]:
    """Return the C^0, C^1 and C^2 norms of a jet with its Hessian."""
    assert jet.gradient is not None and jet.second is not None
    largest = [float(t.abs().max()) for t in (jet.value, jet.gradient, jet.second)]
    return [max(largest[: m + 1]) for m in range(HIGHEST + 1)]
