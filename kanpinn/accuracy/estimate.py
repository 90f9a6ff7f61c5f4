"""An estimate of a solution's errors."""

import math
from dataclasses import dataclass

from kanpinn._support.shown import Shown
from kanpinn.accuracy.bounds.bound import Bound
from kanpinn.accuracy.errors import Errors


@dataclass(frozen=True)
class Estimate(Shown):
    """An estimate of a solution's errors, made without the exact solution.

    errors: the error norms, relative to the finer solution, or the L2 error that a solve in cells
    has estimated itself; None where they are not known. contraction: the root mean square residual
    of the finer solution over that of the solution, at points that neither was trained on; None for
    energies, which have no residual, and where the solve's own estimate is taken. seconds: the time
    that the estimate took. reason: why the errors are not known, or "". bound: guaranteed bounds.

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(0, 1)), source="exp(x)", boundary="0")
        >>> estimate = kp.estimate_error(kp.solve(problem, kp.KAN([1, 1], degree=7)))
        >>> estimate.errors.l2_relative < 1e-3, estimate.reason
        (True, '')
    """

    shown_by = "kanpinn.plotting.notebook.estimated"

    errors: Errors | None
    contraction: float | None
    seconds: float
    reason: str = ""
    bound: Bound | None = None

    def __str__(self) -> str:
        first, e = f"the error is not known: {self.reason}", self.errors
        if e is not None:
            first = f"estimated relative errors: L2 {e.l2_relative:.1e}, H1 {e.h1_relative:.1e}"
            if math.isnan(e.h1_relative):
                first = f"estimated relative error: L2 {e.l2_relative:.1e}"
        part = self.contraction
        left = "" if part is None else f"a finer network leaves {part:.1%} of the residual, "
        left = left if self.bound is None else f"{self.bound}; {left}"
        return f"{first}\n{left}the estimate took {self.seconds:.2f} s"
