"""The errors of what is kept, against an exact solution or a reference."""

import time
from dataclasses import replace

from kanpinn.accuracy.norms import ErrorNorm
from kanpinn.accuracy.references import Recipe, reference_of
from kanpinn.solvers.solution import Solution


def measured(solution: Solution, recipe: Recipe | None) -> Solution:
    """The solution with its errors, where there is something to measure them by.

    Nothing that trials choose depends on them: they are measured once, at the end. Making a
    reference is not counted in the seconds.
    """
    begun = time.perf_counter()
    problem, evaluate = solution.problem, solution.surrogate.evaluate
    known = reference_of(problem, recipe)
    if known is None and not problem.has_exact:
        return solution
    norm = ErrorNorm(problem, known)
    waited = 0.0 if known is None else time.perf_counter() - begun
    errors = norm.converged(evaluate)
    seconds = solution.seconds + time.perf_counter() - begun - waited
    return replace(
        solution, errors=errors, reference=known, reference_seconds=waited, seconds=seconds
    )
