"""Periodic conditions that are built into the network's inputs."""

import torch

from kanpinn.geometry.sampling import Collocation
from kanpinn.jets.jet import Channels, Jet
from kanpinn.networks.constraints.circles import Circles
from kanpinn.networks.network import Network
from kanpinn.networks.surrogate import Surrogate
from kanpinn.pde.conditions import Periodic
from kanpinn.pde.evaluate import find_channels
from kanpinn.pde.problem import Problem

FEW, AGREE = Collocation(5, 16, "uniform"), 1e-8


def circles(problem: Problem, network: Network) -> Circles | None:
    """The inputs of a network that has one more for each periodic coordinate; None for others."""
    whole = [c for c in problem.conditions() if isinstance(c, Periodic) and c.field is None]
    names = {condition.coordinate for condition in whole}
    if (
        not names
        or problem.inputs() is not None
        or network.width[0] != problem.domain.dim + len(names)
    ):
        return None
    return Circles(problem.domain, frozenset(names))


@torch.no_grad()
def built_in(problem: Problem, index: int, surrogate: Surrogate) -> bool:
    """Whether a surrogate meets a periodic condition whatever its coefficients.

    An output map, such as exact Dirichlet data, has to be periodic itself.
    """
    condition, output = problem.conditions()[index], surrogate.output
    if not isinstance(condition, Periodic) or condition.field is not None:
        return False
    if circles(problem, surrogate.network) is None:
        return False
    if output is None:
        return True
    points = condition.points(FEW, 1.0, torch.Generator().manual_seed(0))
    equation = problem.condition_equation(index)

    def residual(channels: Channels) -> torch.Tensor:
        return equation(points, output.apply(points, _one(len(points), channels, problem)))

    return bool(residual(find_channels(residual, points.names)).abs().max() <= AGREE)


def _one(n: int, channels: Channels, problem: Problem) -> Jet:
    """The jet of the constant 1 for all fields."""
    d, m = channels.dim, len(problem.fields)
    second = channels.second_count

    def zeros(*shape: int) -> torch.Tensor:
        return torch.zeros(n, *shape, m, dtype=torch.float64)

    return Jet(
        channels,
        zeros() + 1,
        zeros(d) if channels.gradient else None,
        zeros(second) if second else None,
        zeros(len(channels.directions), channels.order) if channels.directions else None,
    )
