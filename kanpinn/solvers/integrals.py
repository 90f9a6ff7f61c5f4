"""Integrals of functions of the fields over a region, also at one moment of an evolution."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Boundary, Domain, Points
from kanpinn.geometry.quadrature import domain_rule
from kanpinn.geometry.times import at_one_time
from kanpinn.jets import Channels
from kanpinn.networks.surrogate import Surrogate
from kanpinn.pde.evaluate import find_channels, jets_of_fields, stack_equations


def rules_of(region: Domain | Boundary, nodes: int) -> Iterable[tuple[Points, Tensor]]:
    """Quadrature rules on the parts of a region.

    Args:
        region: a domain, a boundary or a part of one.
        nodes: of Gauss' rules, per axis.

    Raises:
        InputError: for anything else, such as the name of a piece.
    """
    if isinstance(region, Boundary):
        return [region.quadrature(nodes)]
    if not isinstance(region, Domain):
        raise InputError(
            f"an integral is over a domain or a boundary, got {region!r}; a piece is a boundary by "
            'its name, such as problem.domain.boundary["x_min"]'
        )
    return domain_rule(region, nodes)


def points_of_region(domain: Domain, points: Points, time: float | None) -> Points:
    """The points of a region, at a time if they are points in space.

    Args:
        domain: the domain of the problem.
        points: points of a part of the domain, or of the domain in space.
        time: the moment for points in space.

    Raises:
        InputError: unless the points, with the time, have the coordinates of the domain.
    """
    if time is not None:
        if domain.time_name is None:
            raise InputError(f"the problem has no coordinate of time, got time={time}")
        points = at_one_time(points, time, domain.time_name)
    if points.names != domain.names:
        at = "" if time is None else " at a time"
        raise InputError(
            f"expected a region with the coordinates {domain.names}, got one with "
            f"{points.names}{at}"
        )
    return points


def integral(
    surrogate: Surrogate,
    rules: Iterable[tuple[Points, Tensor]],
    density: Callable[..., Tensor] | None,
) -> Tensor:
    """The sum of a density (n, m) at the points of some rules times their weights, (m,).

    Args:
        surrogate: the fields.
        rules: points and weights.
        density: see `Solution.integral`.
    """
    parts = []
    for points, weights in rules:
        found = _values(surrogate, points, density)
        parts.append(weights.to(found) @ found)
    return torch.stack(parts).sum(dim=0)


def _values(surrogate: Surrogate, p: Points, density: Callable[..., Tensor] | None) -> Tensor:
    if density is None:
        return surrogate(p)

    def evaluate(channels: Channels) -> Tensor:
        found = density(p, *jets_of_fields(surrogate.evaluate(p, channels)))
        return stack_equations(found, len(p), "density")

    return find_channels(evaluate, p.names)[1]
