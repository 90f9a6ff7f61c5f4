"""Builds periodic conditions into the network's inputs."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn.geometry import Domain, Points
from kanpinn.geometry.sampling import Collocation
from kanpinn.jets import Channels, Coordinates, join
from kanpinn.networks.network import Network
from kanpinn.networks.surrogate import OutputMap
from kanpinn.pde.boundary_value_problem import BoundaryValueProblem
from kanpinn.pde.evaluate import find_channels


@dataclass(frozen=True)
class Circles:
    """Network inputs that are periodic in some coordinates.

    The inputs are the cosine and sine of 2π (x - x_min) / L for each periodic coordinate x, L the
    length of its range, and the coordinate scaled to [-1, 1] for the others, or to [0, 2] for the
    last one if the network wants it so. Every smooth function of these inputs is periodic with all
    of its derivatives.

    Args:
        domain: the domain.
        periodic: the names of the periodic coordinates.
        starts_at_zero: whether the last coordinate is scaled to [0, 2], see `Network`.

    Reference: Dong and Ni, A method for representing periodic functions (2021).
    """

    domain: Domain
    periodic: frozenset[str]
    starts_at_zero: bool = False

    def __call__(self, p: Points) -> Tensor:
        """Return the inputs (n, q), q the number of coordinates plus that of periodic ones."""
        low, high = (corner.to(p.coords) for corner in self.domain.bounds)
        columns = []
        for name, x in zip(p.names, ((p.coords - low) / (high - low)).split(1, dim=1), strict=True):
            if name in self.periodic:
                columns += [torch.cos(2 * math.pi * x), torch.sin(2 * math.pi * x)]
            else:
                zero = self.starts_at_zero and name == p.names[-1]
                columns.append(2 * x if zero else 2 * x - 1)
        return torch.cat(columns, dim=1)


def circles_for(problem: BoundaryValueProblem, network: Network) -> Circles | None:
    """Return periodic inputs for a network that has one more input for each periodic coordinate.

    The result is None for networks with another number of inputs.
    """
    names = periodic_coordinates(problem)
    if network.width[0] != problem.domain.dim + len(names):
        return None
    return Circles(problem.domain, names, network.starts_at_zero)


def periodic_coordinates(problem: BoundaryValueProblem) -> frozenset[str]:
    """Return the names of the coordinates in which conditions make all fields periodic."""
    found = (c.periodic_in for c in problem.conditions())
    return frozenset(name for name in found if name is not None)


@torch.no_grad()
def periodic_numbers(problem: BoundaryValueProblem, output: OutputMap | None) -> frozenset[int]:
    """Return the indices of those `conditions()` that every surrogate with `Circles` satisfies.

    These are the periodic conditions. With an output map, such as that of exact Dirichlet data, the
    map has to be periodic, too. This is tested by applying it to the constant function one.

    Args:
        problem: the problem.
        output: the surrogate's output map, or None.
    """
    conditions = problem.conditions()
    found = [index for index, c in enumerate(conditions) if c.periodic_in is not None]
    if output is None:
        return frozenset(found)

    def holds(index: int) -> bool:
        few = Collocation(5, 16, "uniform")
        points = conditions[index].points(few, 1.0, torch.Generator().manual_seed(0))
        what = f"conditions()[{index}]"
        ones = torch.ones_like(points.coords[:1])[0]

        def residual(channels: Channels) -> torch.Tensor:
            coordinate = Coordinates(channels, points.coords, ones).dense()[0]
            one = join([0 * coordinate + 1] * len(problem.fields))
            u = output.apply(points, one)
            return conditions[index].stacked_residual(problem.fields, what, points, u)

        _, values = find_channels(residual, points.names)
        return bool(values.abs().max() <= 1e-8)

    return frozenset(filter(holds, found))
