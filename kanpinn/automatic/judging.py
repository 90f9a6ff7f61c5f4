"""How good trials are, by what two of them say of each other."""

from dataclasses import dataclass, replace

import torch

from kanpinn.automatic.choice import Choice
from kanpinn.estimate import MOST_CONTRACTION, compare, scaled
from kanpinn.solution import Estimate, Solution


@dataclass(frozen=True, eq=False)
class Trial:
    """A choice, the solution that it led to, and the seconds that this took."""

    choice: Choice
    solution: Solution
    seconds: float

    @property
    def error(self) -> float:
        """The estimated relative L2 error, infinite where nothing is known of it."""
        known = self.solution.estimate
        return float("inf") if known is None else known.errors.l2_relative

    @property
    def repeats(self) -> bool:
        """Whether one solve for the output layer was not enough: the residual is nonlinear."""
        return self.solution.history.steps > 1

    @property
    def failed(self) -> bool:
        """Whether it came to nothing."""
        return self.solution.status.startswith("failed")


def judge(one: Trial, other: Trial) -> tuple[Trial, Trial, float]:
    """Both with their estimated errors, and the part ρ of one's residual that the other leaves.

    The distance of the two solutions is the error of the one with the larger residual but for that
    of the other one, which is less by about the ratio of the residuals, but no less than rounding.
    """
    distance, ratio = compare(one.solution, other.solution)
    part = 1.0 if ratio is None else ratio
    small = min(part, 1 / part if part else 0.0)
    larger = 1 / (1 - min(small, MOST_CONTRACTION))
    factors = (larger, small * larger) if part <= 1 else (small * larger, larger)
    rounding = torch.finfo(next(one.solution.network.parameters()).dtype).eps
    least = rounding / max(distance.l2_relative, rounding)
    first, second = (
        replace(
            trial,
            solution=replace(
                trial.solution, estimate=Estimate(scaled(distance, max(factor, least)), ratio, 0.0)
            ),
        )
        for trial, factor in zip((one, other), factors, strict=True)
    )
    return first, second, part
