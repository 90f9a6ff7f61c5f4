"""Whether a steady linear problem is nearly singular, as Helmholtz' equation at a resonance."""

import math
from dataclasses import dataclass

import torch

from kanpinn._support.distributed import world
from kanpinn._support.status import CONVERGED, FAILED
from kanpinn.geometry.points import Batch
from kanpinn.jets import Channels
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.terms import ResidualTerm
from kanpinn.pde.symbols import Linearised
from kanpinn.solvers.discretization import Discretization
from kanpinn.solvers.verification import Verification


def judged_by_resonance(
    status: str, found: Verification, discretization: Discretization, residuals: Residuals
) -> str:
    """Return the status of a solve of one step, which has failed if the problem is singular.

    Problems in time, whose initial values determine the solution, are not examined.

    Args:
        status: the status so far.
        found: the verification of the solution.
        discretization: the discretization that was solved.
        residuals: the loss.
    """
    if not status.startswith(CONVERGED) or discretization.problem.domain.time_name is not None:
        return status
    nearest = resonance(discretization, residuals, found)
    return f"{FAILED}: {nearest.words}" if nearest is not None and nearest.matters else status


@dataclass(frozen=True)
class Resonance:
    """A function that nearly solves the homogeneous problem.

    Args:
        residual: the root mean square of its residual in the equation and the conditions, where
            its own root mean square is 1: the smallest singular value of the problem.
        coefficient: the root mean square of the coefficient of u in the equation, with which
            `residual` is compared.
        error: how large a multiple of the function the residual of the solution may hide, relative
            to the solution.
    """

    residual: float
    coefficient: float
    error: float

    @property
    def matters(self) -> bool:
        """Whether the solution is not determined.

        It may be wrong by more than 5 %, or its error is chance, as rounding errors of the data are
        amplified by a factor of 1e9.
        """
        ratio = self.residual / self.coefficient  # the smallest singular value, without units
        return ratio <= 1e-9 or (ratio <= 1e-3 and self.error > 0.05)

    @property
    def words(self) -> str:
        """A clause for the status."""
        return (
            "the problem is singular to rounding, as at a resonance: with all data zero, a "
            f"function of size 1 solves it up to a residual of {self.residual:.1e}"
        )


def resonance(
    discretization: Discretization, residuals: Residuals, found: Verification
) -> Resonance | None:
    """Return the function of the network's output space with the smallest residual.

    It minimises ‖J c‖ / ‖Φ c‖, where J are the rows of the loss, and Φ the values of the basis
    functions at the points of the equation. It costs about as much as the least-squares solve.

    Args:
        discretization: of a steady problem whose residual is affine in the output layer.
        residuals: the loss.
        found: the verification of the solution.

    Returns:
        The function's residual; None with several ranks, and where the equation has no term in the
        fields themselves, which a resonance needs.
    """
    if world() > 1:
        return None
    surrogate, term = residuals.surrogate, residuals.terms[0]
    assert isinstance(term, ResidualTerm)
    points = term.points[:: max(1, len(term.points) // 256)]
    batch = Batch.made_of(points)
    coefficients = Linearised.at(
        term.equation, batch, surrogate.evaluate(batch, term.channels)
    ).parts[0]
    coefficient = float(coefficients.square().sum(dim=(1, 2, 3)).mean().sqrt())
    if coefficient == 0:
        return None
    layers = surrogate.network.output_layers
    matrix = residuals.model(layers).matrix
    length = torch.linalg.vector_norm(matrix, dim=0)
    scale = torch.where(length > 0, length, 1.0)
    _, s, vh = torch.linalg.svd(matrix / scale, full_matrices=False)
    kept = s > 5 * torch.finfo(s.dtype).eps * s[0]
    modes = (vh[kept] / scale).T / s[kept]  # columns with ‖J c‖ = 1
    channels = Channels(points.names)
    values = ResidualTerm("values", points, 1.0, channels, lambda _, u: u.value)
    rows = Residuals(surrogate, [values]).rows(layers)
    largest = float(torch.linalg.matrix_norm(torch.cat([j @ modes for j, _ in rows]), 2))
    size = float(surrogate(points).square().sum(dim=1).mean().sqrt())
    residual = 1 / largest if largest else math.inf
    error = math.sqrt(found.fresh) / residual / size if size else math.inf
    return Resonance(residual, coefficient, error)
