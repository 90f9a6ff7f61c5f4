"""What is said of a solution's error, beside the true one."""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import kanpinn as kp
from hostile.adversarial.case import Case


@dataclass(frozen=True)
class Judged:
    """A solve of a case.

    Args:
        name: of the case.
        true: the relative L2 error; infinite where it is not a number.
        estimated: the estimated one; None where it is not known.
        status: of the solution.
        reason: why the error is not known.
        solving: the seconds of the solve.
        verifying: those of the comparison at fresh points.
        estimating: those of the estimate.
    """

    name: str
    true: float
    estimated: float | None
    status: str
    reason: str
    solving: float
    verifying: float = 0.0
    estimating: float = 0.0

    @property
    def ratio(self) -> float | None:
        """The true error over the estimated one; an error below 3e-14 counts as rounding."""
        if self.estimated is None:
            return None
        floor = 3e-14
        return max(self.true, floor) / max(self.estimated, floor)

    @property
    def within(self) -> bool:
        """Whether the solution is said to be within the tolerance."""
        return "within the tolerance" in self.status

    @property
    def row(self) -> str:
        """A line of a table."""
        said = "unknown" if self.estimated is None else f"{self.estimated:.1e}"
        ratio = "" if self.ratio is None else f"{self.ratio:.2g}"
        words = self.reason or self.status
        return f"| {self.name} | {self.true:.1e} | {said} | {ratio} | {words} |"


def solved(case: Case, seed: int) -> Judged:
    """Solve a case with its network, and estimate the error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a warning says is not what is measured
        solution = kp.solve(
            case.problem, case.network, points=case.points, seed=seed, budget_seconds=60
        )
    estimate = kp.estimate_error(solution)
    seen = solution.verification
    return Judged(
        case.name,
        _error(solution),
        None if estimate.errors is None else estimate.errors.l2_relative,
        solution.status,
        estimate.reason,
        solution.seconds,
        0.0 if seen is None else seen.seconds,
        estimate.seconds,
    )


def chosen(case: Case, seed: int, seconds: float, tolerance: float) -> Judged:
    """Solve the problem of a case with a network that is found by trials."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        solution = kp.auto(case.problem, budget_seconds=seconds, tolerance=tolerance, seed=seed)
    estimate = solution.estimate
    errors = None if estimate is None else estimate.errors
    return Judged(
        case.name,
        _error(solution),
        None if errors is None else errors.l2_relative,
        solution.status,
        "" if estimate is None else estimate.reason,
        solution.seconds,
    )


def _error(solution: kp.Solution) -> float:
    assert solution.errors is not None
    found = solution.errors.l2_relative
    return found if math.isfinite(found) else math.inf


def outcome(judge: Callable[[], Judged], name: str) -> Judged | str:
    """Return what a solve gives, or the refusal of its problem, in words."""
    try:
        return judge()
    except kp.InputError as error:
        return f"{name}: refused: {error}"
