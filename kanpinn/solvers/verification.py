"""The residual of a solution at points that no step has seen, beside that at its own."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from kanpinn._support.status import CONVERGED, OVERFITTED
from kanpinn.solvers.discretization import Discretization


@dataclass(frozen=True)
class Verification:
    """The loss at fresh points, which no step has seen, beside the loss at a solve's own points.

    The loss is Σ weight · mean ‖r‖² over the equation and all conditions except measurements. In
    up to three dimensions there are more fresh points where the source, a coefficient or the
    residual varies fast. A feature between all points is not seen: one that is narrower than some
    1/100000 of an interval or of the walls of a plane domain, or 1/100 of a square's side in both
    directions.

    Args:
        own: the loss at the points of the solve.
        fresh: the loss at fresh points.
        error: the standard error of `fresh`.
        interior, boundary: the parts of `fresh`, those of the equation and of the conditions, with
            the weights of the loss set to 1.
        measured: the part of the measurements in the loss, with the weight set to 1.
        relative: the root mean square of the residual, that of the equation or of a condition,
            relative to the largest term in it.
        reacts: whether the equation contains the fields themselves, not only their derivatives.
        negligible: the loss whose residuals are 1e-8 of the terms of the equation.
        rounding: the change of the residuals, as a loss, by rounding errors of the coefficients and
            of the terms of the equation and the conditions.
        where: the coordinates of the place with the largest share of `interior`, by name.
        on_boundary: whether the conditions have most of `fresh`.
        points: the number of fresh points in the domain.
        seconds: the time that the verification took.

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(0, 1)), exact="sin(pi*x)")
        >>> check = kp.solve(problem, kp.KAN([1, 1], degree=7, grid=8)).verification
        >>> check.fresh < 1e-6, check.points > 0
        (True, True)
    """

    own: float
    fresh: float
    error: float
    interior: float
    boundary: float
    measured: float
    relative: float
    reacts: bool
    negligible: float
    rounding: float
    where: dict[str, float]
    on_boundary: bool
    points: int
    seconds: float

    @property
    def growth(self) -> float:
        """The loss at fresh points relative to that at the solve's own points."""
        return self.fresh / self.own if self.own else math.inf if self.fresh else 1.0

    @property
    def overfitted(self) -> bool:
        """Whether the residual at fresh points is much larger than at the solve's own points.

        It is not where it is rounding error, or 1e-8 of the terms of the equation.
        """
        most = 10.0  # the growth that a rule of few points may have
        return not (self.is_rounding or self.fresh <= max(most * self.own, self.negligible))

    @property
    def is_rounding(self) -> bool:
        """Whether the residual is rounding error, which no better network could lower."""
        usual = 1e3  # the squared ratio of rounding errors in sums to those of the coefficients
        return math.isfinite(self.fresh) and self.fresh <= usual * self.rounding < math.inf

    @property
    def small(self) -> bool:
        """Whether the residual is small relative to the terms of the equation and the conditions.

        A condition whose terms all vanish, such as a flux zero along a field that does not change
        there, has no scale of its own: the whole residual then counts relative to the equation.
        """
        largest = 0.1  # of a solution
        return self.is_rounding or self.relative <= largest or self.fresh <= self.negligible

    @property
    def words(self) -> str:
        """A sentence that compares the two losses."""
        place = ", ".join(f"{name} = {value:.4g}" for name, value in self.where.items())
        place = "on the boundary" if self.on_boundary else f"near {place}"
        if not math.isfinite(self.fresh):
            return f"the residual is not finite {place}"
        larger = f"the mean squared residual is {self.growth:.2g} times as large"
        most = f", most of all {place}" if self.on_boundary or len(self.where) <= 3 else ""
        return f"{larger} at points that no step has seen{most}"

    def loss(self, weights: Mapping[str, float]) -> float:
        """The loss for other weights of "interior" and "boundary", measurements included."""
        return weights["interior"] * self.interior + weights.get("boundary", 1.0) * (
            self.boundary + self.measured
        )


def judged_status(status: str, found: Verification | None, discretization: Discretization) -> str:
    """Return the status of a solve whose solution has been verified.

    A solution that is overfitted, or whose residual is not small although the optimizers have
    converged, gets a status that says so, with what helps. A solve that anything but its limit of
    steps has stopped keeps its status: it may be incomplete, such as a march amid its windows.

    Args:
        status: the status at the end of the optimizers.
        found: the verification; None where there is none.
        discretization: gives the numbers of points and of unknowns.
    """
    converged = status.startswith(CONVERGED)
    whole = converged or re.fullmatch(r"stopped: limit of \d+ steps(; .*)?", status)
    if found is None or not whole:
        return status
    network, points = discretization.surrogate.network, discretization.collocation
    sizes = f"{points.interior} + {points.boundary} points for {network.parameter_count} parameters"
    ended = "" if converged else f" ({status})"
    if found.overfitted:
        return f"{OVERFITTED}: {found.words}; more points help, these are {sizes}{ended}"
    if converged and not found.small:
        return (
            f"stopped: the residual is still {found.relative:.0%} of the terms of the equation; "
            f"a larger network helps, this has {sizes}"
        )
    return status
