"""The errors that a solve in cells has estimated itself."""

import math

from kanpinn.accuracy.errors import Errors
from kanpinn.cells import Cells
from kanpinn.geometry.sampling import sample
from kanpinn.solvers.solution import Solution


def own_error(solution: Solution) -> float | None:
    """The relative L2 error that the solve has estimated; None for networks other than cells."""
    if not isinstance(solution.network, Cells):
        return None
    return solution.history.rows[-1].get("estimated_error")


def own_errors(solution: Solution) -> Errors | None:
    """The estimated error as norms; those in H1 are NaN.

    Most of an H1 error is in the smallest cells, and the solve does not estimate it.
    """
    relative, nan = own_error(solution), math.nan
    if relative is None:
        return None
    values = solution(sample(solution.problem.domain, 1000, "sobol"))
    counted = values[:, solution.discretization.counted]
    error = relative * float(counted.square().sum(dim=1).mean().sqrt())
    return Errors(error, relative, error**2, nan, nan, nan)
