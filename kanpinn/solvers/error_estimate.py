"""An estimate of a solution's error: its distance from the solution of a finer network."""

import dataclasses
import time
from collections.abc import Iterator

from kanpinn._support.distributed import together
from kanpinn._support.status import CONVERGED, FAILED, OVERFITTED, STOPPED_BY_USER
from kanpinn.accuracy.bounds import Bound
from kanpinn.accuracy.estimate import Estimate
from kanpinn.networks import KAN
from kanpinn.solvers.comparison import LARGEST_CONTRACTION, compare
from kanpinn.solvers.discretize import discretize
from kanpinn.solvers.error_bound import error_bound
from kanpinn.solvers.finer import finer_solves, why_not_finer, with_more_singular_functions
from kanpinn.solvers.own_errors import own_errors
from kanpinn.solvers.settings import SolveSettings
from kanpinn.solvers.solution import Solution
from kanpinn.solvers.solve import solve_discretized
from kanpinn.solvers.warm_start import start_from

ENDED = (FAILED, STOPPED_BY_USER)  # the status of a solve whose solution gives no estimate


def estimate_error(solution: Solution, wider: float = 1.5, bound: bool = False) -> Estimate:
    """Estimate a solution's errors by a second solve, with a wider network and other points.

    The second network has the hidden functions of the first one and additional random ones, or
    finer grids, and more of the problem's singular functions (`finer_solves`), so its residual is
    smaller, and the distance of the two solutions approximates the error L⁻¹r for the residual r of
    the first. If the second residual is ρ times the first, the error may be larger by the factor
    1 / (1 - ρ), which is included. There is no estimate, `Estimate.errors` is None, where one of
    the solutions is overfitted (`Verification`), where ρ > 0.7 though the residual is not rounding
    error, and where the second error, taken for ρ times the first, is above 0.3. In cells the
    estimate of the solve itself takes its place then, as at corners, where residuals grow without
    limit. Coefficient fields in cells have no estimate, since only the cells would be finer.
    Energies have no ρ, and their estimate may be somewhat low; it includes the misfit of penalised
    conditions, and is not given where that is above 0.3 of the solution. Only the output layer is
    solved for, which takes a fraction of the training time; time windows are marched again.

    Args:
        solution: the solution whose errors are estimated.
        wider: the factor by which the second solve has more hidden units and points.
        bound: whether the estimate has guaranteed bounds too, see `error_bound`. It always has
            them where the error is not known.

    Returns:
        The estimate, or the reason why there is none.

    Reference: Bank and Smith, A posteriori error estimates based on hierarchical bases (1993).

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(0, 1)), source="exp(x)", boundary="0")
        >>> solution = kp.solve(problem, kp.KAN([1, 1], degree=5))
        >>> kp.estimate_error(solution).errors.l2_relative < 1e-3
        True
    """
    begun, enough = time.perf_counter(), 0.1  # with less of the residual left, no further solve
    verification, made = solution.verification, list[tuple[Estimate, Solution | None]]()
    doubt = why_not_finer(solution)
    if verification is not None and verification.overfitted:
        doubt = verification.words
    if doubt:
        made.append((Estimate(None, None, 0.0, doubt), None))
    else:
        for found in finer_solutions(solution, wider):
            estimate = _by(solution, found)
            made.append((estimate, found))
            if estimate.errors is not None and (estimate.contraction or 0.0) <= enough:
                break
    known = [one for one in made if one[0].errors is not None]
    best, reference = min(known or made[-1:], key=lambda one: one[0].contraction or 0.0)
    limits: Bound | None = None
    if bound or best.errors is None:
        is_better = best.contraction is not None and best.contraction < 0.5
        limits = error_bound(solution, reference if is_better else None)
    return dataclasses.replace(best, seconds=time.perf_counter() - begun, bound=limits)


def finer_solutions(
    solution: Solution, wider: float, budget_seconds: float | None = None
) -> Iterator[Solution]:
    """Yield solutions of a solution's problem by finer networks, the cheapest one first.

    A solve that took several steps, as nonlinear ones do, starts from the solution: Newton's method
    then needs few steps, and finds the same one of several solutions.

    Args:
        solution: the solution.
        wider: as for `estimate_error`.
        budget_seconds: for the steps of each solve; None for no limit.
    """
    problem, first = solution.problem, solution.discretization
    seed = first.seed + 7919  # other random inner functions, other points
    if problem.enrichment():
        problem = with_more_singular_functions(problem, wider)
    repeats = solution.history.steps > 1 and not problem.unknowns
    for finer in finer_solves(solution, wider, seed):
        settings = SolveSettings(
            points=finer.points,
            boundary=finer.boundary,
            weights=first.weights,
            balance=None if first.scales is None else "sizes",
            form=first.form,
        )
        with together():
            discretization = discretize(problem, finer.network, settings, seed)
        if repeats and isinstance(finer.network, KAN) and not finer.network.stretched:
            start_from(solution, discretization)
        yield solve_discretized(
            discretization, finer.optimizers, errors=False, budget_seconds=budget_seconds
        )


def _by(solution: Solution, found: Solution) -> Estimate:
    """Return the estimate of a solution's errors by its comparison with a finer one."""
    if found.status.startswith(ENDED):
        reason = f"the solve of a finer network has ended: {found.status}"
        return Estimate(None, None, 0.0, reason)
    against, errors = compare(solution, found), None
    unresolved = (against.contraction or 0.0) > LARGEST_CONTRACTION and not against.overfitted
    if against.doubt and unresolved and not solution.problem.unknowns:
        if (own := own_errors(solution)) is not None:
            return Estimate(own, None, 0.0)
    if not against.doubt:
        part = 0.0 if against.is_rounding else against.contraction or 0.0
        errors = against.norms.scaled(1 / (1 - part))
        errors = against.with_misfit(errors) if against.misfit else errors
    return Estimate(errors, against.contraction, 0.0, against.doubt)


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
