"""A trial of an automatic solve: a choice, its solution and what is known of its errors."""

import math
from dataclasses import dataclass

from kanpinn._support.status import FAILED
from kanpinn.geometry.sampling import sample
from kanpinn.solvers.auto.choice import Choice
from kanpinn.solvers.own_errors import own_error
from kanpinn.solvers.solution import Solution


@dataclass(frozen=True, eq=False)
class Trial:
    """One trial: a choice, its solution and the time that it took.

    Args:
        choice: the network, points and optimizers.
        solution: of the solve.
        seconds: the wall time of the trial.
        distance: the relative L2 distance from the trial before, known for energies only.
        noise: the relative statistical error of the solution due to noise in the data.
        confirmed: whether a finer solution has confirmed, corrected or refuted its error, or left
            it as it was.
    """

    choice: Choice
    solution: Solution
    seconds: float
    distance: float | None = None
    noise: float = 0.0
    confirmed: bool = False

    @property
    def error(self) -> float:
        """The estimated relative L2 error; infinite if it is not known."""
        known = self.solution.estimate
        return math.inf if known is None or known.errors is None else known.errors.l2_relative

    @property
    def loss(self) -> float:
        """The loss at fresh points; infinite for an energy, whose loss is no residual."""
        found = self.solution.verification
        return math.inf if found is None else found.loss(self.choice.weights)

    def better_than(self, other: "Trial") -> bool:
        """Whether the error is lower or, where neither is known, the residual at fresh points."""
        if math.isfinite(min(self.error, other.error)):
            return self.error <= other.error
        if math.isinf(max(self.loss, other.loss)):
            return not self.failed
        return self.loss <= other.loss

    @property
    def own_error(self) -> float | None:
        """The relative L2 error that the solve itself has estimated, as it does in cells."""
        return own_error(self.solution)

    @property
    def repeats(self) -> bool:
        """Whether the solve took several steps, as it does for nonlinear residuals."""
        return self.solution.history.steps > 1

    @property
    def failed(self) -> bool:
        """Whether the solve has failed."""
        return self.solution.status.startswith(FAILED)

    @property
    def resolved(self) -> bool:
        """Whether the error of the network is known, or not visible beside that of the data."""
        numbers, fields = self.solution.estimated.values(), self.solution.spreads.values()
        return all(one.resolved for one in numbers) and all(one.resolved for one in fields)

    @property
    def observed(self) -> bool:
        """Whether some conditions of the problem are measurements."""
        return any(c.measurements for c in self.solution.problem.conditions())


def noise_of(solution: Solution, count: int = 200) -> float:
    """Return the relative statistical error of a solution due to noise in the data.

    It is the root mean square of the standard errors of all fields at `count` points, over that of
    the solution. Points where a field is not determined by the data, with an infinite standard
    error, are left out.
    """
    points = sample(solution.problem.domain, count, "sobol")
    like = next(solution.network.parameters())
    points = points.to(like.dtype, like.device)
    covariance = solution.covariance
    squares = 0.0
    for index, _ in enumerate(solution.fields):
        field = covariance.field(points, index)
        errors = (field.high - field.low) / (2 * covariance.noise.quantile)
        errors = errors[errors.isfinite()]
        squares += float(errors.square().mean()) if len(errors) else 0.0
    size = float(solution(points).square().mean(dim=0).sum())
    return (squares / size) ** 0.5 if size > 0 else 0.0
