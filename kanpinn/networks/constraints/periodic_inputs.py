"""Periodic conditions that are built into the network's inputs."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn.geometry import Domain, Points
from kanpinn.geometry.sampling import Collocation
from kanpinn.jets import Channels, Coordinates, join
from kanpinn.networks.network import Network
from kanpinn.networks.surrogate import OutputMap
from kanpinn.pde.evaluate import find_channels
from kanpinn.pde.problem import Problem


@dataclass(frozen=True)
class Circles:
    """cos and sin of 2π (x - x_min) / L for each periodic coordinate, L its range, ξ for others.

    Every smooth function of them is periodic with all of its derivatives.

    Reference: Dong and Ni, A method for representing periodic functions (2021).
    """

    domain: Domain
    periodic: frozenset[str]

    def __call__(self, p: Points) -> Tensor:
        """(n, q), q the number of coordinates and of periodic ones."""
        low, high = (corner.to(p.coords) for corner in self.domain.bounds)
        columns = []
        for name, x in zip(p.names, ((p.coords - low) / (high - low)).split(1, dim=1), strict=True):
            if name in self.periodic:
                columns += [torch.cos(2 * math.pi * x), torch.sin(2 * math.pi * x)]
            else:
                columns.append(2 * x - 1)
        return torch.cat(columns, dim=1)


def circles(problem: Problem, network: Network) -> Circles | None:
    """The inputs of a network that has one more for each periodic coordinate; None for others."""
    further = network.width[0] - problem.domain.dim
    if further < 1 or problem.inputs() is not None:
        return None
    names = {c.periodic_in for c in problem.conditions() if c.periodic_in is not None}
    if further != len(names):
        return None
    return Circles(problem.domain, frozenset(names))


@torch.no_grad()
def periodic_numbers(problem: Problem, output: OutputMap | None) -> frozenset[int]:
    """Which of `conditions()` a surrogate on `circles` meets whatever its coefficients.

    They are the periodic ones. An output map, such as exact Dirichlet data, has to be periodic
    itself, which it is where the constant 1 becomes a function that is.
    """
    conditions = problem.conditions()
    found = [index for index, c in enumerate(conditions) if c.periodic_in is not None]
    if output is None:
        return frozenset(found)

    def holds(index: int) -> bool:
        few = Collocation(5, 16, "uniform")
        points = conditions[index].points(few, 1.0, torch.Generator().manual_seed(0))
        equation = problem.condition_equation(index)
        ones = torch.ones_like(points.coords[:1])[0]

        def residual(channels: Channels) -> torch.Tensor:
            coordinate = Coordinates(channels, points.coords, ones).dense()[0]
            one = join([0 * coordinate + 1] * len(problem.fields))
            return equation(points, output.apply(points, one))

        return bool(residual(find_channels(residual, points.names)).abs().max() <= 1e-8)

    return frozenset(filter(holds, found))
