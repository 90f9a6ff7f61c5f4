"""The status of the final solution, and its errors against an exact solution or a reference."""

import time
from dataclasses import replace

from kanpinn._support.status import CONVERGED, FAILED, OVERFITTED, UNCOMPARED
from kanpinn.accuracy.norms import ErrorNorm
from kanpinn.accuracy.references import Recipe, reference_of
from kanpinn.solvers.error_estimate import judged_by_tolerance
from kanpinn.solvers.solution import Solution


def judged(solution: Solution, tolerance: float, ended: str) -> Solution:
    """Return the solution of the best trial with a status by its estimated error.

    Args:
        solution: the solution; one that has failed keeps its status. One in cells that has not been
            compared with a better one does not converge, as its estimate is extrapolated.
        tolerance: the largest acceptable relative L2 error.
        ended: why the search has ended before all trials were made; empty if it has not. The status
            has it in place of what has ended the trial.
    """
    if solution.status.startswith(FAILED):
        return solution
    uncompared = UNCOMPARED in solution.status
    if ended and not solution.status.startswith(OVERFITTED):
        solution = replace(solution, status=f"stopped: {ended}")
    if solution.estimate is None:
        why = "its error is not known, since no other trial followed"
        return replace(solution, status=f"stopped: {why} ({ended or solution.status})")
    found = judged_by_tolerance(solution, tolerance)
    if uncompared and found.status.startswith(CONVERGED):
        _, estimated = found.status.split(": ")
        why = "no comparison with a better solution has confirmed it"
        found = replace(found, status=f"stopped: {estimated}, but {why}")
    return found


def measured(solution: Solution, recipe: Recipe | None) -> Solution:
    """Return the solution with its errors, if there is an exact solution or a reference.

    Errors are measured once, at the end, since no choice depends on them. The solution's seconds
    do not include the time to compute a reference.
    """
    begun = time.perf_counter()
    problem, evaluate = solution.problem, solution.surrogate.evaluate
    known = reference_of(problem, recipe)
    if known is None and problem.exact is None:
        return solution
    norm = ErrorNorm(problem, known)
    waited = 0.0 if known is None else time.perf_counter() - begun
    errors = norm.converged(evaluate, solution.network.pieces)
    seconds = solution.seconds + time.perf_counter() - begun - waited
    return replace(
        solution, errors=errors, reference=known, reference_seconds=waited, seconds=seconds
    )
