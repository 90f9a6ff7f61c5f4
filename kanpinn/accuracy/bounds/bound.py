"""The record of the guaranteed bounds of a solution's errors."""

import math
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Bound:
    """Guaranteed bounds of the errors e = u - v of a solution v of a linear coercive problem.

    The equation is -div(A∇u) + b·∇u + c u = f, and γ = c - div(b)/2. Norms are root means over the
    domain, as in `Errors`; the square of the energy norm is the mean of A∇e·∇e + max(min γ, 0) e².
    Relative bounds are divided by a lower bound of the norm of u, that of v minus the bound, and
    are infinite where this is not positive. Bounds that are not known are NaN.

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
            "diffusion" min A, "effective_reaction" min γ, "coercivity" B(w, w) / |||w|||² at the
            least, "trace" T with ‖w‖ ≤ T |||w||| on sides with prescribed fluxes, "barrier" max |e|
            for a residual of 1.
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
