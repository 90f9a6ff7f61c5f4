"""Records of the errors of a solution: error norms, estimates without the exact solution, and
guaranteed bounds.
"""

import math
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from kanpinn._support.shown import Shown


@dataclass(frozen=True)
class Errors(Shown):
    """Norms of the error e of a solution, as means over the domain.

    Relative errors are divided by the same norm of the exact solution or the reference. Errors that
    cannot be computed are NaN, such as H1 errors against a reference without derivatives.

    Args:
        l2, l2_relative: the root of the mean of e², and its relative value.
        l2_squared: the mean of e².
        h1, h1_relative: the root of the mean of e² + |∇e|², and its relative value.
        h1_squared: the mean of e² + |∇e|².
        rule_error: the relative quadrature error of l2 or of h1, the larger one. It is the change
            by the last refinement of a Gauss rule, or the standard error of a low-discrepancy rule.
            It is NaN for a single Gauss rule that was not refined, and 0 for means over given
            points.
        fields: the errors of each field of a system, by name; empty for a single field.

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
        """Return the errors with all norms multiplied by a factor, squared norms by its square."""
        norms = {n: factor * getattr(self, n) for n in ("l2", "l2_relative", "h1", "h1_relative")}
        norms |= {n: factor**2 * getattr(self, n) for n in ("l2_squared", "h1_squared")}
        fields = {name: errors.scaled(factor) for name, errors in self.fields.items()}
        return replace(self, **norms, fields=fields)


def errors_of(means: Tensor, rule_error: float | None) -> Errors:
    """Return the error norms from means over quadrature rules.

    The relative norms are NaN if the exact solution is 0.

    Args:
        means: the means of e², |∇e|², u² and |∇u|² by each rule, (rules, 4), for the error e and
            the exact solution u.
        rule_error: the relative quadrature error if there is a single rule; None for NaN. For
            several rules it is ignored: the quadrature error is the standard error of the mean.
    """
    e, de, u, du = means.mean(dim=0).tolist()
    l2, h1 = math.sqrt(e), math.sqrt(e + de)
    relative = l2 / math.sqrt(u) if u > 0 else math.nan
    h1_relative = h1 / math.sqrt(u + du) if u > 0 else math.nan
    if len(means) > 1:
        both = torch.stack([means[:, 0], means[:, 0] + means[:, 1]], dim=1)
        errors = both.std(dim=0) / math.sqrt(len(means))
        # A square root has half the relative error of the mean. For a norm 0 the error is 0.
        parts = errors / (2 * both.mean(dim=0))
        rule_error = float(torch.nan_to_num(parts, nan=0.0, posinf=0.0).max())
    rule_error = math.nan if rule_error is None else rule_error
    return Errors(l2, relative, e, h1, h1_relative, e + de, rule_error)


def compared(coarse: Errors, fine: Errors) -> Errors:
    """Return the errors by the finer of two rules, with their relative change as `rule_error`.

    The relative change of a norm is |coarse - fine| / fine. The result's `rule_error` is the larger
    change of the L2 and the H1 norm. Norms that are 0 or not finite are left out; if both norms are
    left out, `rule_error` is 0.

    Args:
        coarse: the errors by the coarser rule.
        fine: the errors by the finer rule.
    """
    pairs = [(coarse.l2, fine.l2), (coarse.h1, fine.h1)]
    changes = [abs(a - b) / b for a, b in pairs if b and math.isfinite(a - b)]
    fields = {name: compared(coarse.fields[name], errors) for name, errors in fine.fields.items()}
    return replace(fine, rule_error=max(changes, default=0.0), fields=fields)


@dataclass(frozen=True)
class Bound:
    """Guaranteed bounds of the errors e = u - v of a solution v of a linear coercive problem.

    The equation is -div(A∇u) + b·∇u + c u = f, and γ = c - div(b)/2. Norms are root means over the
    domain, as in `Errors`; the square of the energy norm is the mean of A∇e·∇e + max(min γ, 0) e².
    Relative bounds are divided by the norm of v minus the bound, which is a lower bound of the norm
    of u; they are infinite if this lower bound is not positive. Bounds that are not known are NaN.

    The inequalities are proved, but the numbers in them are computed. The norms of the residual and
    of boundary misfits are computed by quadrature and increased by the estimated quadrature error.
    Extremes of A, b, c, of the residual and of boundary misfits are taken over hundreds to
    thousands of points.

    Args:
        l2, l2_relative: bounds of the L2 norm.
        h1, h1_relative: bounds of the H1 norm; NaN for parabolic equations.
        energy, energy_relative: bounds of the energy norm.
        maximum: a bound of max |e|, by the maximum principle or, in one dimension, the energy.
        theorem: the names of the theorems from which the bounds follow.
        constants: the constants in these theorems, by name, for functions w that vanish where
            values are prescribed, with the energy norm |||w|||. "friedrichs" is C in
            ‖w‖ ≤ C |||w|||, "diffusion" is min A, "effective_reaction" is min γ, "coercivity" is
            min B(w, w) / |||w|||² for the weak form B, "trace" is T in ‖w‖ ≤ T |||w||| on sides
            with prescribed fluxes, and "barrier" is max |e| for a residual of 1.
        reason: the reason why there are no bounds, as text; empty if there are bounds.
        interval: a lower and an upper bound of a number of the exact solution; NaN without one.
        ended: what a smaller bound needs more of, such as time, as text; empty if a smaller bound
            needs a more accurate solution.

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
    interval: tuple[float, float] = (math.nan, math.nan)
    ended: str = ""

    def __str__(self) -> str:
        if self.reason:
            return f"no guaranteed bounds: {self.reason}"
        norms = {"L2": self.l2_relative, "H1": self.h1_relative, "energy": self.energy_relative}
        known = [f"{name} {size:.1e}" for name, size in norms.items() if not math.isnan(size)]
        ended = f" (smaller ones need {self.ended})" if self.ended else ""
        return f"guaranteed relative bounds: {', '.join(known)}{ended}"


@dataclass(frozen=True)
class Estimate(Shown):
    """An estimate of a solution's errors, made without the exact solution.

    Args:
        errors: the error norms by comparison with a finer solution, or the L2 error that a solve in
            cells has estimated; None if the errors are not known.
        contraction: the root mean square residual of the finer solution divided by that of the
            solution, at points on which neither solution was trained. None for energies, which have
            no residual, and for the estimate of a solve in cells.
        seconds: the time that the estimate took.
        reason: the reason why the errors are not known, or why they are larger than the comparison
            shows, as text; otherwise empty.
        bound: guaranteed bounds; None if they were not computed.

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
            left = (
                f"the solution by a finer network is poorer, with {part:.3g} times the residual, "
            )
        left = left if self.bound is None else f"{self.bound}; {left}"
        return f"{first}\n{left}the estimate took {self.seconds:.2f} s"
