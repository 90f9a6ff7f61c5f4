"""The errors of a solution as results: norms, an estimate without the exact solution,
guaranteed bounds.
"""

import math
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from kanpinn._support.shown import Shown


@dataclass(frozen=True)
class Errors(Shown):
    """Error norms as means over the domain: l2_squared = mean e², h1_squared = mean (e² + |∇e|²).

    Relative errors are divided by the same norm of the exact solution or the reference. Errors that
    cannot be computed are NaN, such as H1 errors against a reference without derivatives. `fields`
    has the errors of each field of a system; it is empty for a single field.

    rule_error: the relative quadrature error of l2 or h1, whichever is larger. It is the change by
    the last refinement of a Gauss rule, or the standard error of a low-discrepancy rule; NaN for a
    single Gauss rule that was not refined, and 0 for means over given points.

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(0, 1)), exact="sin(pi*x)")
        >>> errors = kp.solve(problem, kp.KAN([1, 1], degree=7, grid=8)).errors
        >>> errors.l2_relative < 1e-7, errors.h1_relative < 1e-6
        (True, True)
    """

    shown_by = "kanpinn.plotting.solutions"

    l2: float
    l2_relative: float
    l2_squared: float
    h1: float
    h1_relative: float
    h1_squared: float
    rule_error: float = math.nan
    fields: dict[str, "Errors"] = field(default_factory=dict)

    def scaled(self, factor: float) -> "Errors":
        """Return the errors with all norms multiplied by a factor, and squares by its square."""
        norms = {n: factor * getattr(self, n) for n in ("l2", "l2_relative", "h1", "h1_relative")}
        norms |= {n: factor**2 * getattr(self, n) for n in ("l2_squared", "h1_squared")}
        fields = {name: errors.scaled(factor) for name, errors in self.fields.items()}
        return replace(self, **norms, fields=fields)


def errors_of(means: Tensor, rule_error: float | None) -> Errors:
    """Return the errors from the means of e², |∇e|², u² and |∇u|² over each rule, (rules, 4).

    rule_error: the error of a single rule; None gives NaN. For several rules it is replaced by the
    standard error of their mean.
    """
    e, de, u, du = means.mean(dim=0).tolist()
    l2, h1 = math.sqrt(e), math.sqrt(e + de)
    relative = l2 / math.sqrt(u) if u > 0 else math.nan
    h1_relative = h1 / math.sqrt(u + du) if u > 0 else math.nan
    if len(means) > 1:
        both = torch.stack([means[:, 0], means[:, 0] + means[:, 1]], dim=1)
        errors = both.std(dim=0) / math.sqrt(len(means))
        # The square root of a mean has half its relative error. For a norm of 0 the error is 0.
        parts = errors / (2 * both.mean(dim=0))
        rule_error = float(torch.nan_to_num(parts, nan=0.0, posinf=0.0).max())
    rule_error = math.nan if rule_error is None else rule_error
    return Errors(l2, relative, e, h1, h1_relative, e + de, rule_error)


def compared(coarse: Errors, fine: Errors) -> Errors:
    """Return the errors of the finer rule; `rule_error` is their relative change."""
    pairs = [(coarse.l2, fine.l2), (coarse.h1, fine.h1)]
    changes = [abs(a - b) / b for a, b in pairs if b and math.isfinite(a - b)]
    fields = {name: compared(coarse.fields[name], errors) for name, errors in fine.fields.items()}
    return replace(fine, rule_error=max(changes, default=0.0), fields=fields)


@dataclass(frozen=True)
class Bound:
    """Guaranteed bounds of the errors e = u - v of a solution v of a linear coercive problem.

    The equation is -div(A∇u) + b·∇u + c u = f, and γ = c - div(b)/2. Norms are root means over the
    domain, as in `Errors`; the square of the energy norm is the mean of A∇e·∇e + max(min γ, 0) e².
    Relative bounds are divided by a lower bound of the norm of u, the norm of v minus the bound,
    and are infinite where this is not positive. Bounds that are not known are NaN.

    The inequalities are proved; the numbers in them are computed. The norms of the residual and of
    misfits on the boundary are taken by quadrature, with the upper end of its estimated error, and
    extremes of A, b, c, of the residual and of misfits are those at hundreds to thousands of
    points.

    Args:
        l2, l2_relative: bounds of the L2 norm.
        h1, h1_relative: bounds of the H1 norm; NaN for parabolic equations.
        energy, energy_relative: bounds of the energy norm.
        maximum: a bound of max |e|, by the maximum principle or, in one dimension, the energy.
        theorem: the theorems of the bounds.
        constants: the constants in them, by name: "friedrichs" C with ‖w‖ ≤ C |||w|||,
            "diffusion" min A, "effective_reaction" min γ, "coercivity" min B(w, w) / |||w|||² for
            the weak form B, "trace" T with ‖w‖ ≤ T |||w||| on sides with prescribed fluxes,
            "barrier" max |e| for a residual of 1.
        reason: why there are no bounds; empty where there are.

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(0, 1)), exact="sin(pi*x)")
        >>> solution = kp.solve(problem, kp.KAN([1, 1], degree=5, grid=4))
        >>> bound = kp.error_bound(solution)
        >>> solution.errors.l2 <= bound.l2
        True
    """

    l2: float = math.nan
    l2_relative: float = math.nan
    h1: float = math.nan
    h1_relative: float = math.nan
    energy: float = math.nan
    energy_relative: float = math.nan
    maximum: float = math.nan
    theorem: str = ""
    constants: dict[str, float] = field(default_factory=dict)
    reason: str = ""

    def __str__(self) -> str:
        if self.reason:
            return f"no guaranteed bounds: {self.reason}"
        norms = {"L2": self.l2_relative, "H1": self.h1_relative, "energy": self.energy_relative}
        known = [f"{name} {size:.1e}" for name, size in norms.items() if not math.isnan(size)]
        return f"guaranteed relative bounds: {', '.join(known)}"


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

    shown_by = "kanpinn.plotting.solutions"

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
        if part is not None and part > 1:
            left = f"the solution for comparison is poorer, with {part:.3g} times the residual, "
        left = left if self.bound is None else f"{self.bound}; {left}"
        return f"{first}\n{left}the estimate took {self.seconds:.2f} s"
