"""Norms of functions, by quadrature with an estimate of its error, and values of residuals."""

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from kanpinn.accuracy.bounds.grid import CHUNK, Grid
from kanpinn.accuracy.bounds.operator import Operator
from kanpinn.accuracy.references.reference import Approximation
from kanpinn.geometry import Points
from kanpinn.geometry.quadrature import domain_rule
from kanpinn.geometry.sampling import sample
from kanpinn.jets import Channels
from kanpinn.pde.evaluate import find_channels
from kanpinn.pde.problem import Problem


@dataclass(frozen=True)
class Norms:
    """Norms or their bounds, not divided by the measure of the domain."""

    l2: float
    h1: float
    energy: float

    def least(self, other: "Norms") -> "Norms":
        """The lesser of each norm."""
        both = asdict(self), asdict(other)
        return Norms(**{name: min(one[name] for one in both) for name in both[0]})

    def plus(self, other: "Norms") -> "Norms":
        """The sum of each norm."""
        return Norms(self.l2 + other.l2, self.h1 + other.h1, self.energy + other.energy)


def norms_of(
    operator: Operator, grid: Grid | None, jet: Approximation, upper: bool = False
) -> Norms:
    """Return norms of a function by quadrature, less its estimated error or, if `upper`, more.

    Args:
        operator: gives the domain and the energy norm.
        grid: the cells, whose points are the rule; without them it has 8192 Sobol points.
        jet: returns the jet of the function.
        upper: whether upper bounds are wanted in place of lower ones.
    """
    domain, channels = operator.problem.domain, Channels(operator.problem.domain.names, True)
    if grid is None:
        parts = [p for p, _ in domain_rule(domain, draws=2**13, chunk=CHUNK)]
        largest = torch.full_like(operator.diffusion, operator.largest_diffusion)
        diffusion = (largest if upper else operator.diffusion).expand(2**13, -1)
    else:
        parts = [grid.points[i : i + CHUNK] for i in range(0, len(grid.points), CHUNK)]
        diffusion = grid.at_points(grid.most if upper else grid.least)
    squares = []
    for p, a in zip(parts, diffusion.split(CHUNK), strict=True):
        u = jet(p, channels)
        assert u.gradient is not None
        slopes = u.gradient[..., 0].square()
        rows = u.value[:, 0].square(), slopes.sum(dim=1), (a * slopes).sum(dim=1)
        squares.append(torch.stack(rows, dim=1))
    found = torch.cat(squares)
    if grid is None:
        value = domain.measure * found.mean(dim=0)
        error = 3 * domain.measure * found.std(dim=0) / math.sqrt(len(found))
    else:
        value, error = grid.integral(found)
    l2, slope, energy = (value + error if upper else (value - error).clamp_min(0)).tolist()
    energy += max(operator.effective_reaction[0], 0.0) * l2
    return Norms(math.sqrt(l2), math.sqrt(l2 + slope), math.sqrt(energy))


def noise_norms(operator: Operator, noise: Approximation) -> Norms:
    """Return the norms of rounding errors from their root mean squares at 512 Sobol points.

    Args:
        operator: gives the domain and the energy norm.
        noise: returns the jet of the errors.
    """
    domain = operator.problem.domain
    jet = noise(sample(domain, 512, "sobol"), Channels(domain.names, gradient=True))
    assert jet.gradient is not None
    l2 = domain.measure * float(jet.value.square().mean())
    slope = domain.measure * float(jet.gradient.square().sum(dim=1).mean())
    energy = operator.largest_diffusion * slope + max(operator.effective_reaction[0], 0.0) * l2
    return Norms(math.sqrt(l2), math.sqrt(l2 + slope), math.sqrt(energy))


def residual_of(problem: Problem, jet: Approximation, points: Points) -> Tensor:
    """Return the residual of a function at n points, (n,)."""
    few = points[:5]
    channels, _ = find_channels(lambda c: problem.equation(few, jet(few, c)), points.names)
    parts = [points[i : i + CHUNK] for i in range(0, len(points), CHUNK)]
    return torch.cat([problem.equation(p, jet(p, channels))[:, 0] for p in parts])
