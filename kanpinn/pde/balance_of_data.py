"""Whether the data of a pure Neumann problem balance, without which it has no solution.

For an equation R(v) = L v - f with L in divergence form and a normal flux A ∂v/∂n, the integral
∫ R(v) - ∮ A (∂v/∂n - g) is the same for all functions v. It has to be zero, since all residuals of
the solution are. (Fredholm's alternative: constants solve the adjoint homogeneous problem.)
"""

import math
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from kanpinn.geometry import Points
from kanpinn.geometry.quadrature import domain_rule
from kanpinn.jets import Channels, Jet, jet_of
from kanpinn.pde.boundary_value_problem import BoundaryValueProblem
from kanpinn.pde.evaluate import find_channels


@dataclass(frozen=True)
class Imbalance:
    """The integral of the data of a pure Neumann problem, which should be zero.

    Args:
        value: the integral ∮ A g - ∫ f.
        size: the integral of the absolute values.
        error: an estimate of the error of `value` by quadrature.
    """

    value: float
    size: float
    error: float

    @property
    def relative(self) -> float:
        """The integral relative to that of the absolute values; 0 within its error."""
        known = abs(self.value) > 100 * self.error
        return abs(self.value) / self.size if known and self.size else 0.0


def imbalance(problem: BoundaryValueProblem) -> Imbalance | None:
    """Return the imbalance of a problem whose conditions are fluxes, periods and integrals alone.

    Returns:
        None where the equation is not linear and in divergence form, which shows in an integral
        that is not the same for two functions, or where a residual is not finite.
    """
    fine, coarse = (24, 16) if problem.domain.dim < 3 else (12, 8)
    value, size = _integral(problem, fine, 0.0)
    other, _ = _integral(problem, coarse, 0.0)
    error = abs(value - other)
    waves = [_integral(problem, fine, height)[0] for height in (1.0, -2.0)]
    same = all(abs(wave - value) <= 1e-6 * size + 10 * error for wave in waves)
    return Imbalance(value, size, error) if same and size < math.inf else None


def pure_fluxes(problem: BoundaryValueProblem) -> bool:
    """Return whether the conditions of one field are fluxes, periods and integrals alone."""
    conditions = problem.conditions()
    return (
        len(problem.columns) == 1
        and problem.domain.time_name is None
        and problem.domain.dim <= 3
        and any(c.is_natural for c in conditions)
        and all(
            (c.is_natural and not c.fixes_constant) or c.tied or c.sites > 2 for c in conditions
        )
    )


def _integral(problem: BoundaryValueProblem, nodes: int, height: float) -> tuple[float, float]:
    """Return ∫ R(v) - ∮ A (∂v/∂n - g) for a wave v of this height, and the integral for |R|, |g|.

    The wave has a whole period in each coordinate in which the conditions are periodic.
    """
    low, high = problem.domain.bounds
    shift = torch.arange(1, len(low) + 1)
    periodic = {c.periodic_in for c in problem.conditions()}
    turns = [2 * torch.pi if name in periodic else 2.0 for name in problem.domain.names]

    def wave(x: Tensor) -> Tensor:
        angles = torch.tensor(turns).to(x) * (x - low) / (high - low) + shift
        return height * torch.sin(angles).prod(dim=1, keepdim=True)

    total, size = 0.0, 0.0
    for p, weights in domain_rule(problem.domain, nodes):
        _, values = find_channels(lambda c: problem.equation(p, jet_of(wave, p.coords, c)), p.names)  # noqa: B023
        total += float(weights @ values[:, 0])
        size += float(weights @ values[:, 0].abs())
    for index, condition in enumerate(problem.conditions()):
        for piece in condition.pieces:
            p, weights = piece.quadrature(nodes)
            residual = partial(condition.stacked_residual, problem.fields, f"conditions()[{index}]")
            _, values = find_channels(lambda c: residual(p, jet_of(wave, p.coords, c)), p.names)  # noqa: B023
            flux = _normal_coefficient(problem, p) * values[:, 0]
            total -= float(weights @ flux)
            size += float(weights @ flux.abs())
    return total, size


def _normal_coefficient(problem: BoundaryValueProblem, p: Points) -> Tensor:
    """Return the coefficient A of ∂²u/∂n² in the equation at boundary points, (n,)."""
    normals = p.normals
    assert normals is not None

    def parabola(channels: Channels) -> Jet:
        """The jet of s²/2 at the points, s the distance from the boundary along the normal."""
        zero, gradient = p.coords.new_zeros(len(p), 1), normals[..., None]
        second = lines = None
        if channels.second_count:
            second = p.coords.new_zeros(len(p), channels.second_count, 1)
        if channels.directions:
            along = normals @ p.coords.new_tensor(channels.directions).T
            lines = p.coords.new_zeros(*along.shape, channels.order, 1)
            lines[:, :, 0, 0] = along
        s = Jet(channels, zero, gradient if channels.gradient else None, second, lines)
        return s * s * 0.5

    channels, values = find_channels(lambda c: problem.equation(p, parabola(c)), p.names)
    return (values - problem.equation(p, parabola(channels) * 0))[:, 0]
