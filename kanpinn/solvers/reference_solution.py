"""`ReferenceSolution`: a more accurate solution by this package, to measure errors against."""

import math
from dataclasses import dataclass

from kanpinn._support.errors import InputError, integer, number
from kanpinn.accuracy.references import FunctionReference, Recipe
from kanpinn.pde.boundary_value_problem import altered
from kanpinn.pde.problem import Problem
from kanpinn.solvers.error_estimate import estimate_error
from kanpinn.solvers.solution import Solution
from kanpinn.solvers.solve import solve


@dataclass(frozen=True)
class ReferenceSolution(Recipe):
    """A reference from a solve with a small tolerance, whose network is chosen by trials.

    The solve is `solve` without a network. It leaves out `inputs()` and `enrichment()` of the
    problem, since they are made for the network whose errors are measured. The reference evaluates
    equations, conditions and domain by the same code as the solution whose errors are measured, so
    it does not show errors of this code; to compare with other codes use `verify` or `DataFile`.

    Args:
        tolerance: the relative L2 error of the reference, as far as it can be estimated.
        budget: the most seconds for the solve. If the budget ends the solve before the tolerance is
            reached, the reference's `error` is above the tolerance, or not known. There is no
            reference if the error is not known.
        seed: the seed of the solve.

    Raises:
        InputError: if the tolerance, budget or seed is out of range.

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.LShape(), source="1", boundary="0")
        >>> reference = kp.ReferenceSolution(tolerance=1e-5).build(problem)
        >>> reference.error < 1e-5
        True
    """

    tolerance: float | int = 1e-8
    budget: float | int = 60.0
    seed: int = 0

    def __post_init__(self) -> None:
        number("tolerance", self.tolerance, above=True)
        number("budget", self.budget, above=True)
        integer("seed", self.seed, least=0)

    def build(self, problem: Problem) -> FunctionReference:
        """Return the reference solution of a problem, with its estimated relative L2 `error`.

        Raises:
            InputError: if the problem cannot be solved, or the error cannot be estimated.
        """
        solution, error = solution_and_error(problem, self.tolerance, self.budget, self.seed)
        if not math.isfinite(error):
            raise InputError(f"the error of the reference is not known ({solution.status})")
        network = solution.surrogate.network
        source = f"a solution by {type(network).__name__} of {network.parameter_count} parameters"
        return FunctionReference(source, solution.surrogate.evaluate, error=error)


def solution_and_error(
    problem: Problem, tolerance: float | int, budget: float | int, seed: int
) -> tuple[Solution, float]:
    """Solve a problem with a network chosen by trials, and estimate the error.

    Args:
        problem: the problem; its `inputs()`, `enrichment()` and `reference()` are not used.
        tolerance, budget, seed: as for `ReferenceSolution`.

    Returns:
        The solution, and its estimated relative L2 error; NaN if there is no estimate.
    """
    plain = altered(problem, inputs=lambda: None, enrichment=lambda: (), reference=lambda: None)
    solution = solve(plain, tolerance=tolerance, budget=budget, seed=seed, errors=False)
    left = max(budget - solution.seconds, 0.2 * budget)
    known = (solution.estimate or estimate_error(solution, budget=left)).errors
    return solution, math.nan if known is None else known.l2_relative
