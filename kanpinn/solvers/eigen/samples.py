"""Modes at quadrature points, for inner products, residuals and bounds."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn.geometry import Points
from kanpinn.jets import Channels, Jet, jet_of
from kanpinn.networks.surrogate import Surrogate
from kanpinn.pde.eigen_problem import EigenProblem
from kanpinn.pde.evaluate import ResidualFunction
from kanpinn.solvers.eigen.modes import of_modes
from kanpinn.solvers.eigen.pencil import channels_at


@dataclass(frozen=True)
class ModeSamples:
    """u, L u and M u of real functions at quadrature points, multiplied by √w.

    So products of two matrices, such as fields.T @ operator, are the integrals of the products of
    the functions. Each function has a column.

    Args:
        fields: u, (n · fields, columns).
        operator: L u, (n · equations, columns).
        mass: M u, (n · equations, columns).
    """

    fields: Tensor
    operator: Tensor
    mass: Tensor

    def __matmul__(self, combinations: Tensor) -> "ModeSamples":
        """Return the samples of linear combinations of the columns."""
        parts = (self.fields, self.operator, self.mass)
        return ModeSamples(*(part @ combinations for part in parts))


@torch.no_grad()
def samples(
    problem: EigenProblem, surrogate: Surrogate, points: Points, chunk: int = 512
) -> ModeSamples:
    """Evaluate u, L u and M u of all modes of a widened surrogate.

    Args:
        problem: gives the operator L and the mass M.
        surrogate: has an output for each field of each mode.
        points: a quadrature rule, with the weights in `data`.
        chunk: the number of points evaluated at a time, which bounds the memory.
    """
    assert points.data is not None
    m = len(problem.fields)
    equations = [each(e, m) for e in (_values, problem.operator_values, problem.mass_values)]
    channels = channels_at(surrogate, equations, points)
    parts: list[list[Tensor]] = [[], [], []]
    for start in range(0, len(points), chunk):
        p = points[start : start + chunk]
        assert p.data is not None
        jet = surrogate.jet(p, channels)
        for part, equation in zip(parts, equations, strict=True):
            part.append((p.data.sqrt()[:, :, None] * equation(p, jet)).flatten(0, 1))
    return ModeSamples(*(torch.cat(part) for part in parts))


def _values(p: Points, u: Jet) -> Tensor:
    return u.value


def each(equation: ResidualFunction, fields: int) -> ResidualFunction:
    """Return the function that evaluates an equation for all modes, (n, equations, modes)."""
    return lambda p, u: of_modes(equation, p, u, fields)


@torch.no_grad()
def operator_size(problem: EigenProblem, surrogate: Surrogate, points: Points) -> float:
    """Return ‖L φ‖ / ‖M φ‖ of one smooth function φ, as the magnitude of the first eigenvalues.

    φ is a product of cosines that vary on the scale of the domain. The result is 1 if one of the
    norms is zero.
    """
    both = _of_wave(problem, surrogate, points, 1.5)
    left, right = (float(part.square().mean().sqrt()) for part in both)
    return left / right if left > 0 and right > 0 else 1.0


@torch.no_grad()
def is_bounded_below(problem: EigenProblem, surrogate: Surrogate, points: Points) -> bool:
    """Whether ∫ L φ · M φ is not negative for a function φ that varies on a small scale.

    Then the spectrum is bounded from below, as that of -Δ; that of Δ is bounded from above.
    """
    left, right = _of_wave(problem, surrogate, points, 100.0)
    return float((left * right).sum()) >= 0


def _of_wave(
    problem: EigenProblem, surrogate: Surrogate, points: Points, waves: float
) -> list[Tensor]:
    """Return L φ and M φ at some points for a product of cosines, (n, equations) each.

    waves: the change of each cosine's phase over half the domain.
    """
    low, half = surrogate.low, (surrogate.high - surrogate.low) / 2
    m, some = len(problem.fields), points[:2048]

    def wave(x: Tensor) -> Tensor:
        phases = torch.linspace(0.2, 0.8, x.shape[1], dtype=x.dtype, device=x.device)
        value = torch.cos(waves * ((x - low) / half - 1) + phases).prod(dim=1, keepdim=True)
        return value.expand(-1, m)

    equations = problem.operator_values, problem.mass_values
    channels = channels_at(surrogate, equations, points)
    jet = jet_of(wave, some.coords, channels)
    return [equation(some, jet) for equation in equations]


@torch.no_grad()
def density_of(problem: EigenProblem, surrogate: Surrogate, points: Points) -> Tensor | None:
    """Return ρ (n, 1) if M u = ρ u with ρ > 0 for one field, or M is the identity; else None."""
    if type(problem).mass is EigenProblem.mass:
        return torch.ones_like(points.coords[:, :1])
    equation = problem.mass_values
    if len(problem.fields) > 1 or channels_at(surrogate, [equation], points).derivative_order:
        return None
    one = Jet(Channels(points.names), torch.ones_like(points.coords[:, :1]))
    density = equation(points, one)
    return density if bool((density > 0).all()) else None
