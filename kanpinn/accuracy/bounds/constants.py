"""Constants of the inequalities of Friedrichs, of traces and of the maximum principle."""

import math
from dataclasses import dataclass

import torch

from kanpinn.accuracy.bounds.coefficients import Unbounded
from kanpinn.accuracy.bounds.operator import Operator
from kanpinn.accuracy.bounds.sides import Sides
from kanpinn.geometry import Domain, Piece
from kanpinn.pde.problem import Problem


@dataclass(frozen=True)
class InequalityConstants:
    """The constants of the bounds, for all w that vanish where values are prescribed.

    Args:
        least: λ with S(w) = ∫ A∇w·∇w + γ w² + ∫ α w² ≥ λ ∫ w², where γ = max(c - div(b)/2, 0).
        factor: B(w, w) ≥ factor · S(w), 1 unless c - div(b)/2 is negative somewhere.
        traces: for each natural piece T with ∫ w² ≤ T² S(w), the integral over the piece.
    """

    least: float
    factor: float
    traces: tuple[float, ...]

    @property
    def friedrichs(self) -> float:
        """C with ‖w‖ ≤ C |||w|||."""
        return 1 / math.sqrt(self.least)


def constants_of(problem: Problem, operator: Operator, sides: Sides) -> InequalityConstants:
    """Return the constants of the bounds from a box around the domain, or that is the domain.

    In a box they follow from the least eigenvalue k² of -w'' on each axis, with the conditions of
    its two sides. Functions that vanish on the whole boundary of another domain are continued by 0
    into its bounding box.

    Raises:
        Unbounded: where no constant is known, or the problem is not coercive.

    Reference: Repin, A Posteriori Estimates for Partial Differential Equations (2008), section 1.4;
    Mikhlin, Constants in Some Inequalities of Analysis (1986).
    """
    domain, a = problem.domain, operator.diffusion
    lengths = domain.bounds[1] - domain.bounds[0]
    ends = torch.full((domain.dim, 2), math.inf, dtype=torch.float64)
    if not domain.is_box and sides.natural:
        raise Unbounded(
            "no Friedrichs constant is known: a flux is prescribed, and the domain is no box"
        )
    for one in sides.natural:
        axis, upper = _side(one.piece)
        ends[axis, int(upper)] = one.alpha / float(a[axis])
    wave = [_least_wave(float(n), *map(float, e)) for n, e in zip(lengths, ends, strict=True)]
    of_diffusion = sum(float(a_i) * k**2 for a_i, k in zip(a, wave, strict=True))
    gamma = operator.effective_reaction[0]
    least, factor = of_diffusion + max(gamma, 0.0), 1.0
    if gamma < 0:
        factor = 1 + gamma / of_diffusion if of_diffusion else -math.inf
    if factor <= 0:
        raise Unbounded(
            f"the problem is not coercive: c - div(b)/2 is {gamma:.3g} somewhere, and the least "
            f"eigenvalue without it is known to be above {of_diffusion:.3g} only"
        )
    if least <= 0:
        raise Unbounded("the problem is not coercive: neither a value nor c fixes a constant")
    return InequalityConstants(
        least, factor, _traces(operator, sides, lengths.tolist(), ends, least)
    )


def _side(piece: Piece) -> tuple[int, bool]:
    side = piece.side
    if side is None:
        raise Unbounded(f"{piece.name} is no side of a box")
    return side


def _traces(
    operator: Operator, sides: Sides, lengths: list[float], ends: torch.Tensor, least: float
) -> tuple[float, ...]:
    """Return T for each natural piece of a box, the least of those that apply."""
    found = []
    for one in sides.natural:
        axis, upper = _side(one.piece)
        a, length = float(operator.diffusion[axis]), lengths[axis]
        squares = [1 / (length * least) + 2 / math.sqrt(least * a)]
        if one.alpha > 0:
            squares.append(1 / one.alpha)
        if math.isinf(ends[axis, int(not upper)]):
            squares.append(length / a)
        found.append(math.sqrt(min(squares)))
    return tuple(found)


def _least_wave(length: float, low: float, high: float) -> float:
    """Return the least k with -w'' = k² w in an interval, ∂w/∂n = -low w and -high w at its ends.

    It is the solution of k·length = π - atan(k / low) - atan(k / high).
    """

    def excess(k: float) -> float:
        return k * length - math.pi + math.atan2(k, low) + math.atan2(k, high)

    if low == high == 0:
        return 0.0
    below, above = 0.0, math.pi / length
    for _ in range(200):
        middle = (below + above) / 2
        below, above = (middle, above) if excess(middle) < 0 else (below, middle)
    return below


def barrier(domain: Domain, operator: Operator) -> float:
    """Return a bound of max |w| for all w with |Lw| ≤ 1 that vanish where values are prescribed.

    It is the largest value of a function ψ of one coordinate with Lψ ≥ 1 and ψ ≥ 0, for the best
    coordinate, or 1 / min c. The maximum principle must hold, so c ≥ 0.

    Reference: Gilbarg and Trudinger, Elliptic Partial Differential Equations of Second Order
    (2001), theorem 3.7.
    """
    least = operator.potential[0]
    found = [1 / least] if least > 0 else []
    low, high = domain.bounds
    columns = (high - low, operator.diffusion, *operator.transport)
    for length, a, slow, fast in zip(*(one.tolist() for one in columns), strict=True):
        if slow > 0 or fast < 0:
            found.append(length / min(abs(slow), abs(fast)))
        speed = max(abs(slow), abs(fast))
        if a > 0:
            kappa = speed * length / (2 * a)  # half the Péclet number
            # (a / speed²) (exp(κ) - 1 - κ), without cancellation for small κ
            series = 0.5 + kappa
            if kappa > 1e-3:
                series = (math.exp(kappa) - 1 - kappa) / kappa**2 if kappa < 700 else math.inf
            found.append(length**2 / (4 * a) * series)
    return min(found)
