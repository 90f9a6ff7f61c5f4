"""The matrices of L and M: a row per quadrature point, a column per output coefficient."""

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
from kanpinn.pde.evaluate import ResidualFunction, find_channels
from kanpinn.solvers.discretization import Discretization


@dataclass(frozen=True)
class Pencil:
    """The matrices of the rectangular eigenvalue problem (L - λM) c = 0, in least squares.

    The rows of penalised conditions come last, with M = 0. Rows are scaled so that the sum of the
    squares of (L - λM) c is the weighted mean of the squared residual.

    Args:
        operator: L, (N, P).
        mass: M, (N, P).
    """

    operator: Tensor
    mass: Tensor


def rule(
    discretization: Discretization[EigenProblem], factor: float = 1.0, fresh: bool = False
) -> Points:
    """Return a quadrature rule: points in the domain whose `data` (n, 1) are the weights.

    The weights sum up to the measure of the domain.

    Args:
        discretization: gives the domain, the sampler and the number of interior points.
        factor: multiplies this number.
        fresh: draw random points with another seed than the solve's.
    """
    count = round(factor * discretization.collocation.interior)
    generator = Generator().manual_seed(discretization.seed + 7919 * fresh)
    # Graded cells of the problem would leave too few points for the bulk of the domain.
    p, weights = weighted_sample(
        [discretization.problem.domain], count, discretization.collocation.sampler, generator
    )
    like = discretization.surrogate.low
    return Points(p.coords, p.names, data=weights[:, None]).to(like.dtype, like.device)


def pencil(discretization: Discretization[EigenProblem], points: Points, size: float) -> Pencil:
    """Assemble the rows of L and M at the points of a rule, and those of penalised conditions.

    Args:
        discretization: gives the surrogate, the conditions and the weights.
        points: a quadrature rule, as `rule` returns it.
        size: the size of the operator, by which the rows of L and M are divided: so the ratio of
            penalty and operator does not depend on the unit of length.
    """
    problem, surrogate = discretization.problem, discretization.surrogate
    equations = (problem.operator_values, problem.mass_values)
    weight = discretization.weights["interior"] / size**2
    inside = [_rows(surrogate, [_weighed(surrogate, e, points, weight)]) for e in equations]
    outside = discretization.penalties()
    if not outside:
        return Pencil(*inside)
    below = _rows(surrogate, outside)
    stacked = torch.cat([inside[0], below]), torch.cat([inside[1], torch.zeros_like(below)])
    return Pencil(*stacked)


def _weighed(
    surrogate: Surrogate, equation: ResidualFunction, points: Points, weight: float
) -> ResidualTerm:
    """Return the loss term weight · mean of (equation)², the mean by the quadrature rule."""
    assert points.data is not None
    share = len(points) / float(points.data.sum())

    def scaled(p: Points, u: Jet) -> Tensor:
        assert p.data is not None
        return (share * p.data).sqrt() * equation(p, u)

    channels = channels_at(surrogate, [equation], points)
    return ResidualTerm("interior", points, weight, channels, scaled)


def channels_at(
    surrogate: Surrogate, equations: Sequence[ResidualFunction], points: Points
) -> Channels:
    """Return the channels of all derivatives that one of the equations uses."""
    probe = points[:PROBE_POINTS]

    def run(channels: Channels) -> list[Tensor]:
        jet = surrogate.jet(probe, channels)
        return [equation(probe, jet) for equation in equations]

    with torch.no_grad():
        return find_channels(run, points.names)[0]


def _rows(surrogate: Surrogate, terms: Sequence[Term]) -> Tensor:
    chunks = Residuals(surrogate, terms).rows(surrogate.network.output_layers)
    return torch.cat([rows.T for rows, _ in chunks], dim=1).T
