"""L and M as matrices: their rows at quadrature points, for the output layer's coefficients."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from kanpinn.geometry import Points
from kanpinn.geometry.sampling import weighted_sample
from kanpinn.jets import Channels, Jet
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.terms import PROBE_POINTS, ResidualTerm, Term
from kanpinn.networks.surrogate import Surrogate
from kanpinn.pde.eigen_problem import EigenProblem
from kanpinn.pde.evaluate import find_channels
from kanpinn.solvers.discretize import Discretization
from kanpinn.solvers.eigen.checks import Equation, mass_of, operator_of


@dataclass(frozen=True)
class Pencil:
    """(L - λM) c = 0 in the sense of least squares, the conditions' rows below with M = 0.

    operator, mass: (N, P), the rows scaled so that their squares sum up to weighted means.
    """

    operator: Tensor
    mass: Tensor


def problem_of(discretization: Discretization) -> EigenProblem:
    """The eigenvalue problem of a discretization."""
    assert isinstance(discretization.problem, EigenProblem)
    return discretization.problem


def rule(discretization: Discretization, factor: float = 1.0, fresh: bool = False) -> Points:
    """Points in the domain whose `data` (n, 1) are weights that sum up to its measure.

    Args:
        discretization: whose domain and sampler they are of.
        factor: so many times as many as the discretization has.
        fresh: others than those of the solve, where they are random.
    """
    count = round(factor * discretization.collocation.interior)
    generator = Generator().manual_seed(discretization.seed + 7919 * fresh)
    # Not the problem's cells: graded ones would leave too few points to the bulk of the domain.
    p, weights = weighted_sample(
        [discretization.problem.domain], count, discretization.collocation.sampler, generator
    )
    like = discretization.surrogate.low
    return Points(p.coords, p.names, data=weights[:, None]).to(like.dtype, like.device)


def pencil(discretization: Discretization, points: Points, size: float) -> Pencil:
    """The rows at the points of a `rule`, and those of the conditions that are left to the loss.

    size: that of the operator, in whose units its rows are, or a penalty would not weigh the same
    for a domain that is measured in other units.
    """
    problem, surrogate = problem_of(discretization), discretization.surrogate
    equations = (operator_of(problem), mass_of(problem))
    weight = discretization.weights["interior"] / size**2
    inside = [_rows(surrogate, [_weighed(surrogate, e, points, weight)]) for e in equations]
    outside = discretization.terms()[1:]
    if not outside:
        return Pencil(*inside)
    below = _rows(surrogate, outside)
    stacked = torch.cat([inside[0], below]), torch.cat([inside[1], torch.zeros_like(below)])
    return Pencil(*stacked)


def _weighed(
    surrogate: Surrogate, equation: Equation, points: Points, weight: float
) -> ResidualTerm:
    """The term whose squares sum up to weight · mean (equation)² by the rule."""
    assert points.data is not None
    share = len(points) / float(points.data.sum())

    def scaled(p: Points, u: Jet) -> Tensor:
        assert p.data is not None
        return (share * p.data).sqrt() * equation(p, u)

    channels = channels_at(surrogate, [equation], points)
    return ResidualTerm("interior", points, weight, channels, scaled)


def channels_at(surrogate: Surrogate, equations: Sequence[Equation], points: Points) -> Channels:
    """The derivatives that the equations use together."""
    probe = points[:PROBE_POINTS]

    def run(channels: Channels) -> list[Tensor]:
        jet = surrogate.jet(probe, channels)
        return [equation(probe, jet) for equation in equations]

    with torch.no_grad():
        return find_channels(run, points.names)


def _rows(surrogate: Surrogate, terms: Sequence[Term]) -> Tensor:
    chunks = Residuals(surrogate, terms).rows(surrogate.network.output_layers)
    return torch.cat([rows.T for rows, _ in chunks], dim=1).T
