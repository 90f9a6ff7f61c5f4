"""An estimate of a solution's error: its distance from the solution of a finer network."""

import dataclasses
import math
import time
from dataclasses import dataclass

import torch

from kanpinn._support.status import CONVERGED, FAILED, OVERFITTED, STOPPED_BY_USER
from kanpinn.accuracy.bounds import Bound
from kanpinn.accuracy.norms import ErrorNorm, Errors
from kanpinn.accuracy.references import FunctionReference
from kanpinn.geometry.sampling import weighted_sample
from kanpinn.networks import KAN, Network
from kanpinn.optimizers import LeastSquares
from kanpinn.solvers.error_bound import error_bound
from kanpinn.solvers.fresh_points import verify
from kanpinn.solvers.solution import Estimate, Solution
from kanpinn.solvers.solve import solve

LARGEST_CONTRACTION = 0.7  # with more of the residual left, the distance is no measure of the error
LARGEST_ERROR = 0.3  # relative, of the finer solution: with a larger one it is no reference
ENDED = (FAILED, STOPPED_BY_USER)  # the status of a solve whose solution gives no estimate


def estimate_error(solution: Solution, wider: float = 1.5, bound: bool = False) -> Estimate:
    """Estimate a solution's errors by a second solve, with a wider network and other points.

    The second network has the hidden functions of the first one and additional random ones, so its
    residual is smaller, and the distance of the two solutions approximates the error L⁻¹r for the
    residual r of the first. If the second residual is ρ times the first, the error may be larger by
    the factor 1 / (1 - ρ), which is included. There is no estimate, `Estimate.errors` is None,
    where one of the solutions is overfitted (`Verification`), where ρ > 0.7 though the residual is
    not rounding error, and where the second error, about ρ times the first, is above 0.3. Energies
    have no ρ, and their estimate may be somewhat low. Only the output layer is solved for, which
    takes a fraction of the training time.

    Args:
        solution: the solution whose errors are estimated.
        wider: the factor by which the second solve has more hidden units and points.
        bound: whether the estimate has guaranteed bounds too, see `error_bound`. It always has
            them where the error is not known.

    Returns:
        The estimate, or the reason why there is none.

    Reference: Bank and Smith, A posteriori error estimates based on hierarchical bases (1993).
    """
    begun = time.perf_counter()
    first = solution.discretization
    seed = first.seed + 7919  # other random inner functions, other points
    points = dataclasses.replace(
        first.collocation,
        interior=math.ceil(wider * first.collocation.interior),
        boundary=math.ceil(wider * first.collocation.boundary),
        resample=0,
        adapt=None,
    )
    finer = solve(
        solution.problem,
        _wider(solution.network, wider, seed),
        LeastSquares(),
        points,
        boundary="penalty" if solution.surrogate.output is None else "exact",
        weights=first.weights,
        balance=None if first.scales is None else "sizes",
        form=first.form,
        errors=False,
        seed=seed,
    )
    if finer.status.startswith(ENDED):
        reason = f"the solve of the finer network has ended: {finer.status}"
        limits: Bound | None = error_bound(solution)
        return Estimate(None, None, time.perf_counter() - begun, reason, limits)
    found, errors = compare(solution, finer), None
    if not found.doubt:
        part = 0.0 if found.is_rounding else found.contraction or 0.0
        errors = found.norms.scaled(1 / (1 - part))
    is_better = found.contraction is not None and found.contraction < 0.5
    limits = error_bound(solution, finer if is_better else None) if bound or found.doubt else None
    return Estimate(errors, found.contraction, time.perf_counter() - begun, found.doubt, limits)


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
    """

    norms: Errors
    contraction: float | None
    is_rounding: bool = False
    doubt: str = ""
    overfitted: bool = False


def compare(solution: Solution, finer: Solution) -> Comparison:
    """Compare a solution with a finer one."""
    problem, rule = solution.problem, None
    if problem.domain.dim == 3:
        # A product of Gauss rules is too expensive; Sobol points are accurate to a few percent.
        generator = torch.Generator().manual_seed(7919)
        points, weights = weighted_sample(problem.cells(), 4000, "sobol", generator)
        rule = points, weights / problem.domain.measure
    norm = ErrorNorm(problem, FunctionReference("a finer solution", finer.surrogate.evaluate, rule))
    norms = norm(solution.surrogate.evaluate)
    mine, its = (
        one.verification or verify(one.discretization, one.residuals, one.loss_terms)
        for one in (solution, finer)
    )
    if mine is None or its is None:  # energies
        return Comparison(norms, None)
    weighing = finer.discretization.weights
    before, after = mine.loss(weighing), its.loss(weighing)
    ratio, doubt = math.sqrt(after / before) if before > 0 else 0.0, ""
    if mine.overfitted:
        doubt = mine.words
    elif its.overfitted:
        doubt = f"the finer network is overfitted, {its.words}"
    elif not (mine.is_rounding or mine.error <= mine.fresh / 2):
        doubt = f"the mean squared residual is known to {mine.error / mine.fresh:.0%} only"
    elif not (mine.is_rounding or ratio <= LARGEST_CONTRACTION):
        doubt = f"a finer network leaves {ratio:.0%} of the residual"
    elif not (mine.is_rounding or ratio / (1 - ratio) * norms.l2_relative <= LARGEST_ERROR):
        doubt = f"a finer network, which leaves {ratio:.0%} of the residual, is inaccurate itself"
    overfitted = mine.overfitted or its.overfitted
    return Comparison(norms, ratio, mine.is_rounding, doubt, overfitted)


def judged_by_tolerance(solution: Solution, tolerance: float) -> Solution:
    """The solution, with a status that says whether its estimated error is within a tolerance.

    Args:
        solution: a solution with an estimate; without one, or if it is overfitted, it is returned
            unchanged.
        tolerance: the largest acceptable relative L2 error.
    """
    if solution.estimate is None or solution.status.startswith(OVERFITTED):
        return solution
    errors = solution.estimate.errors
    ended = solution.status.removeprefix("stopped: ")
    after = "" if ended.startswith(CONVERGED) else f" ({ended})"
    if errors is None:
        status = f"failed: the error is not known: {solution.estimate.reason}{after}"
    else:
        what = f"the estimated relative L2 error {errors.l2_relative:.1e} is"
        if errors.l2_relative <= tolerance:
            status = f"converged: {what} within the tolerance {tolerance:.1e}"
        else:
            status = f"stopped: {what} above the tolerance {tolerance:.1e}{after}"
    return dataclasses.replace(solution, status=status)


@torch.no_grad()
def _wider(network: Network, wider: float, seed: int) -> KAN:
    """A wider KAN: with the network's hidden functions, if they fit, and additional random ones.

    A KAN without hidden units gets finer grids instead.
    """
    inputs, *hidden, outputs = network.width
    like = next(network.parameters())
    least = 64  # the least number of hidden units: a trained network may have few
    if not isinstance(network, KAN):
        made = KAN([inputs, least, outputs], 9, [4, 10], seed=seed)
    elif not hidden:
        (layer,) = network.layers
        finer = math.ceil(wider * layer.basis.intervals)
        made = KAN(
            [inputs, outputs], layer.basis.degree, finer, basis=network.basis_name, seed=seed
        )
    else:
        width = max(math.ceil(wider * hidden[-1]), least)
        ends = network.layers[0], network.layers[-1]
        degrees, grids = [end.basis.degree for end in ends], [end.basis.intervals for end in ends]
        made = KAN([inputs, width, outputs], degrees, grids, basis=network.basis_name, seed=seed)
        own, random = network.layers[0].coefficients, made.layers[0].coefficients
        if len(hidden) == 1 and own.shape[:2] == random.shape[:2]:  # not with a base term
            random[:, :, : own.shape[2]] = own.to(random)
    return made.to(like.device, like.dtype)
