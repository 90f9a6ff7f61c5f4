"""The comparison of a solution with a finer one: their distance, and whether it is its error."""

import dataclasses
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn.accuracy.errors import Errors
from kanpinn.accuracy.norms import ErrorNorm
from kanpinn.accuracy.references import FunctionReference
from kanpinn.geometry import Points
from kanpinn.geometry.quadrature import rule_of_pieces
from kanpinn.geometry.sampling import weighted_sample
from kanpinn.pde.problem import Problem
from kanpinn.solvers.fresh_conditions import boundary_misfit
from kanpinn.solvers.fresh_points import verify
from kanpinn.solvers.solution import Solution
from kanpinn.solvers.verification import Verification

LARGEST_CONTRACTION = 0.7  # with more of the residual left, the distance is no measure of the error
LARGEST_ERROR = 0.3  # relative, of the finer solution: with a larger one it is no reference


@dataclass(frozen=True)
class Comparison:
    """The comparison of a solution with a finer one.

    Args:
        norms: the error norms of the solution against the finer one.
        contraction: the finer one's root mean square residual over the solution's, at points that
            neither was trained on; None for energies, which have no residual.
        is_rounding: whether the solution's residual is rounding error.
        doubt: why the distance is no measure of the error; empty if it is.
        overfitted: whether the doubt is that one of the solutions is overfitted.
        misfit: for energies, the root mean square misfit of penalised conditions relative to the
            root mean square of the finer solution. Both solutions have it in common, so that their
            distance does not show it.
    """

    norms: Errors
    contraction: float | None
    is_rounding: bool = False
    doubt: str = ""
    overfitted: bool = False
    misfit: float = 0.0

    def with_misfit(self, norms: Errors) -> Errors:
        """Return norms of the error with what the misfit causes inside.

        For elliptic problems this is at most about the misfit at the boundary, and about twice as
        much relative to the H1 norm.
        """
        if not self.misfit or not norms.l2_relative:
            return norms
        h1 = 1 + 2 * self.misfit / norms.h1_relative
        return dataclasses.replace(
            norms.scaled(1 + self.misfit / norms.l2_relative),
            h1=h1 * norms.h1,
            h1_relative=h1 * norms.h1_relative,
            h1_squared=h1**2 * norms.h1_squared,
        )


def compare(solution: Solution, finer: Solution) -> Comparison:
    """Compare a solution with a finer one."""
    rule = _rule_for(solution.problem, finer.network.pieces)
    source = FunctionReference("a finer solution", finer.surrogate.evaluate, rule)
    norms = ErrorNorm(solution.problem, source)(solution.surrogate.evaluate)
    mine, its = (
        one.verification or verify(one.discretization, one.residuals, one.loss_terms)
        for one in (solution, finer)
    )
    if mine is None or its is None:  # energies
        size = norms.l2 / norms.l2_relative if norms.l2_relative else math.inf
        misfit = boundary_misfit(solution.discretization) / size
        doubt = ""
        if not misfit <= LARGEST_ERROR:
            doubt = f"conditions have the relative misfit {misfit:.1e}: a larger weight helps"
        return Comparison(norms, None, doubt=doubt, misfit=misfit)
    weighing = finer.discretization.weights
    before, after = mine.loss(weighing), its.loss(weighing)
    ratio = math.sqrt(after / before) if before > 0 else 0.0
    doubt = _doubt(mine, its, ratio, norms.l2_relative, finer)
    return Comparison(
        norms, ratio, mine.is_rounding, doubt, overfitted=mine.overfitted or its.overfitted
    )


def _rule_for(problem: Problem, pieces: Tensor | None) -> tuple[Points, Tensor] | None:
    """Return a quadrature rule for norms of the difference; None for the usual one.

    pieces: of a box, in each of which the finer solution is smooth; None if there are none.
    """
    if pieces is not None and problem.domain.is_box:
        # A rule of the whole time may miss all that happens in some windows, or in a part of one.
        each = math.ceil((20_000 if problem.domain.dim == 1 else 4000) / len(pieces))
        ((points, weights),) = rule_of_pieces(problem.domain, pieces, each, chunk=2**20)
    elif problem.domain.dim == 3:
        # A product of Gauss rules is too expensive; Sobol points are accurate to a few percent.
        generator = torch.Generator().manual_seed(7919)
        points, weights = weighted_sample(problem.cells(), 4000, "sobol", generator)
    else:
        return None
    return points, weights / problem.domain.measure


def _doubt(
    mine: Verification, its: Verification, ratio: float, distance: float, finer: Solution
) -> str:
    """Return why the distance of a finer solution is no measure of the error; empty if it is.

    Args:
        mine: the residual of the solution at fresh points.
        its: that of the finer one.
        ratio: of their root mean squares.
        distance: the relative L2 norm of the difference.
        finer: the finer solution.
    """
    if mine.overfitted:
        return mine.words
    if its.overfitted:
        return f"the finer network is overfitted, {its.words}"
    newton = all(one.output_layer_only for one in finer.optimizers)
    if not mine.is_rounding:
        if not mine.error <= mine.fresh / 2:
            return f"the mean squared residual is known to {mine.error / mine.fresh:.0%} only"
        if not ratio <= LARGEST_CONTRACTION:
            return f"a finer network leaves {ratio:.0%} of the residual"
        if not ratio / (1 - ratio) * distance <= LARGEST_ERROR:
            return (
                f"a finer network, which leaves {ratio:.0%} of the residual, is inaccurate itself"
            )
    if newton and finer.status.startswith("stopped: limit of") and not its.is_rounding:
        return "the steps of the finer solve have not converged: more of them help"
    return ""
