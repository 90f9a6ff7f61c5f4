"""Modes at the points of a rule: what inner products, residuals and bounds are made of."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn.geometry import Points
from kanpinn.jets import Channels, Jet, jet_of
from kanpinn.networks.surrogate import Surrogate
from kanpinn.pde.eigen_problem import EigenProblem
from kanpinn.solvers.eigen.checks import Equation, mass_of, operator_of
from kanpinn.solvers.eigen.modes import of_modes
from kanpinn.solvers.eigen.pencil import channels_at


@dataclass(frozen=True)
class Samples:
    """u, L u and M u of real columns, (rows, columns), with √w: products are integrals.

    A row belongs to a point and a field, or to a point and an equation.
    """

    fields: Tensor
    operator: Tensor
    mass: Tensor

    def __matmul__(self, combinations: Tensor) -> "Samples":
        """Those of linear combinations of the columns."""
        parts = (self.fields, self.operator, self.mass)
        return Samples(*(part @ combinations for part in parts))


@torch.no_grad()
def samples(
    problem: EigenProblem, surrogate: Surrogate, points: Points, chunk: int = 512
) -> Samples:
    """The samples of all modes of a widened surrogate.

    Args:
        problem: whose operator and mass they are of.
        surrogate: with an output for each field of each mode.
        points: with weights in `data`.
        chunk: points at a time, which bounds the memory.
    """
    assert points.data is not None
    m = len(problem.fields)
    equations = [each(e, m) for e in (_values, operator_of(problem), mass_of(problem))]
    channels = channels_at(surrogate, equations, points)
    parts: list[list[Tensor]] = [[], [], []]
    for start in range(0, len(points), chunk):
        p = points[start : start + chunk]
        assert p.data is not None
        jet = surrogate.jet(p, channels)
        for part, equation in zip(parts, equations, strict=True):
            part.append((p.data.sqrt()[:, :, None] * equation(p, jet)).flatten(0, 1))
    return Samples(*(torch.cat(part) for part in parts))


def _values(p: Points, u: Jet) -> Tensor:
    return u.value


def each(equation: Equation, fields: int) -> Equation:
    """An equation of all modes of a jet, (n, equations, modes)."""
    return lambda p, u: of_modes(equation, p, u, fields)


@torch.no_grad()
def operator_size(problem: EigenProblem, surrogate: Surrogate, points: Points) -> float:
    """‖L φ‖ / ‖M φ‖ of a smooth function φ that varies once over the domain: the size of λ."""
    low, half = surrogate.low, (surrogate.high - surrogate.low) / 2
    m, some = len(problem.fields), points[:2048]

    def wave(x: Tensor) -> Tensor:
        phases = torch.linspace(0.2, 0.8, x.shape[1], dtype=x.dtype, device=x.device)
        value = torch.cos(1.5 * ((x - low) / half - 1) + phases).prod(dim=1, keepdim=True)
        return value.expand(-1, m)

    equations = operator_of(problem), mass_of(problem)
    channels = channels_at(surrogate, equations, points)
    jet = jet_of(wave, some.coords, channels)
    left, right = (float(e(some, jet).square().mean().sqrt()) for e in equations)
    return left / right if left > 0 and right > 0 else 1.0


@torch.no_grad()
def density_of(problem: EigenProblem, surrogate: Surrogate, points: Points) -> Tensor | None:
    """ρ > 0 (n, 1) where M u = ρ u of one field, or 1 where M u is the fields; None elsewhere."""
    if type(problem).mass is EigenProblem.mass:
        return torch.ones_like(points.coords[:, :1])
    equation = mass_of(problem)
    if len(problem.fields) > 1 or channels_at(surrogate, [equation], points).derivative_order:
        return None
    one = Jet(Channels(points.names), torch.ones_like(points.coords[:, :1]))
    density = equation(points, one)
    return density if bool((density > 0).all()) else None
