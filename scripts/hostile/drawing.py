"""Parts of random problems: domains, smooth functions, conditions on walls."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy
import torch
from torch import Tensor

import kanpinn as kp
from kanpinn.geometry import Domain

Draw = numpy.random.Generator


class Drawn(kp.Problem):
    """A problem that is put together of a domain, a residual, conditions and known functions."""

    needs_conditions = True

    def __init__(self, domain: Domain, residual: Callable, *conditions: kp.Condition, **more: Any):
        self.domain, self.of, self.listed = domain, residual, conditions
        vars(self).update(more)

    def residual(self, p: kp.Points, *fields: kp.Jet) -> Tensor | tuple[Tensor, ...]:
        found = self.of(p, *fields)
        if self.exact is None:
            return found
        columns = found if isinstance(found, tuple) else (found,)
        source = self.source(p)
        return tuple(column - source[:, [i]] for i, column in enumerate(columns))

    def conditions(self) -> Sequence[kp.Condition]:
        return self.listed


class Known:
    """A smooth random function of the coordinates, with its derivatives along normals."""

    def __init__(self, draw: Draw, domain: Domain) -> None:
        self.low, self.high = domain.bounds
        self.waves = torch.from_numpy(draw.uniform(-2, 2, (3, domain.dim)))
        self.phases = torch.from_numpy(draw.uniform(0, 6, 3))

    def __call__(self, p: kp.Points) -> Tensor:
        xi = 2 * (p.coords - self.low) / (self.high - self.low) - 1
        return torch.sin(xi @ self.waves.T + self.phases).sum(dim=1, keepdim=True)

    def slope(self, p: kp.Points, order: int = 1) -> Tensor:
        """Return the derivative of this order along the normals."""
        assert p.normals is not None
        xi = 2 * (p.coords - self.low) / (self.high - self.low) - 1
        speeds = 2 * p.normals / (self.high - self.low) @ self.waves.T
        waves = torch.sin(xi @ self.waves.T + self.phases + order * torch.pi / 2)
        return (speeds**order * waves).sum(dim=1, keepdim=True)

    def rate(self, p: kp.Points) -> Tensor:
        return -self.slope(p)

    def mixed(self, alpha: float, p: kp.Points) -> Tensor:
        return alpha * self(p) + self.slope(p)


def plane(draw: Draw) -> Domain:
    a, b, r = draw.uniform(0.5, 3, 3)
    x, y = draw.uniform(-2, 2, 2)
    return [
        kp.Box(x=(x, x + a), y=(y, y + b)),
        kp.Disk((x, y), r),
        kp.Annulus((x, y), r / 3, r),
        kp.Polygon([(x, y), (x + a, y), (x + a / 3, y + b)]),
        kp.LShape(),
    ][draw.integers(5)]


def space(draw: Draw) -> Domain:
    a, b, c = draw.uniform(0.5, 3, 3)
    return [plane(draw), plane(draw), kp.Box(x=(0, a), y=(0, b), z=(0, c))][draw.integers(3)]


def evolving(draw: Draw) -> Domain:
    duration = float(draw.uniform(0.3, 3))
    inner = [kp.Box(x=(0, float(draw.uniform(0.5, 3)))), plane(draw), kp.Disk((0, 0), 1.0)]
    return inner[draw.integers(3)].over(t=(0, duration))


def walls_of(domain: Domain) -> list[str]:
    ends = ("initial", "final", "t_min", "t_max")
    return [name for name in dict.fromkeys(domain.boundary.names) if name not in ends]


def on_walls(draw: Draw, domain: Domain, known: Known, left: int, **field: Any) -> list:
    """Return a condition for each wall, the first one Dirichlet, without `left` of the walls."""
    found: list[kp.Condition] = []
    for index, name in enumerate(walls_of(domain)):
        wall, alpha = domain.boundary[name], float(draw.uniform(0.3, 3))
        kind = draw.integers(3) if index else 0
        found.append(
            [
                kp.Dirichlet(wall, known, **field),
                kp.Neumann(wall, known.slope, **field),
                kp.Robin(wall, alpha, 1.0, partial(known.mixed, alpha), **field),
            ][kind]
        )
    draw.shuffle(found)
    return found[left:]


def beside(*known: Known) -> Callable[[kp.Points], Tensor]:
    """Return the function of several fields."""
    return lambda p: torch.cat([one(p) for one in known], dim=1)
