"""A check that an equation is well posed forward in time: short waves must not grow without bound.

The equation is linearised at the present solution, and its coefficients are frozen at a point.
A wave e^(ik·x) then grows like e^(σt), where the exponents σ are the numbers at which the symbol of
the equation (its matrix for this wave) is singular. The equation is well posed if the real parts of
all σ are bounded for all wave vectors k (Petrovskii's condition).

Reference: Kreiss and Lorenz, Initial-boundary value problems and the Navier-Stokes equations
(1989), chapter 2.
"""

import itertools
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kanpinn.jets import Linearised
from kanpinn.pde.symbols import exponents
from kanpinn.tasks.time_state import TimeState

PERIODS = (1e2, 1e3, 1e4)  # numbers of periods in the domain of the waves that are compared
SHORTEST = 1e8  # periods; if such short waves decay, terms of high order bound the growth
POWER = 0.75  # unbounded growth increases at least like this power of the number of periods
# In a system, a real part below this fraction of |σ| is rounding: equal σ are separated by about
# the square root of the rounding errors.
STRAIGHT = 1e-6


@torch.no_grad()
def unbounded_growth(
    state: TimeState[Any], places: int = 24, negligible: float = 1e-6, shift: float = 0.5
) -> str:
    """Describe in words a wave that the equation amplifies without bound; "" if there is none.

    The equation is linearised at the solution, at some points. The result is also "" for equations
    in time alone, and if the numbers of equations and of fields differ, so that no exponents σ are
    defined.

    Args:
        state: the state of a march, with the solution at one time.
        places: the largest number of points that are examined.
        negligible: growth of less than this fraction of the largest |σ| anywhere does not count,
            since the solution has errors.
        shift: a shift of the evenly spread points, from 0 to 1 in units of their distance.
    """
    if (solution := state.jet()) is None:
        return ""
    (points, jet), (low, high) = solution, state.surrogate.domain.bounds
    count = min(places, len(points))
    few = ((torch.arange(count) + shift) * len(points) / count).long()
    points = points[few]
    linearised = Linearised.at(state.terms.equation.equation, points, jet.rows(few))
    if linearised.equations != jet.value.shape[1]:
        return ""
    fastest = fastest_wave(linearised, (high - low).to(points.coords), state.order, negligible)
    if fastest is None:
        return ""
    row, direction, rate = fastest
    place = zip(points.names, points.coords[row].tolist(), strict=True)
    where = ", ".join(f"{name} = {value:.4g}" for name, value in place)
    length = 1 / float((PERIODS[1] * direction).norm())
    return (
        f"the equation is ill-posed forward in {points.names[-1]} near {where}: waves of "
        f"length {length:.2g} grow at the rate {rate:.2g}, and shorter ones without bound; a "
        "sign may be wrong"
    )


def fastest_wave(
    linearised: Linearised, lengths: Tensor, order: int, negligible: float = 1e-6
) -> tuple[int, Tensor, float] | None:
    """Find the fastest of the waves that grow without bound; None if there is none.

    Args:
        linearised: the equation, linearised at some points.
        lengths: the lengths of the domain, the time last, (d,).
        order: the order of the equation in time.
        negligible: growth of less than this fraction of the largest |σ| anywhere does not count.

    Returns:
        The index of the point; the wave vector of the wave, without the factor 2π, scaled to one
        period in the domain, (d - 1,); and the real part of the exponent σ of the wave with a
        thousand periods in the domain.
    """
    fastest, largest, axes = None, 0.0, torch.diag(1 / lengths[:-1])
    directions = list(axes)  # each with one period in the domain
    for i, j in itertools.combinations(range(len(axes)), 2):
        for a, b in ((1, 1), (1, 3), (3, 1)):
            directions += [a * axes[j] + b * axes[i], a * axes[j] - b * axes[i]]
    for row, direction in itertools.product(range(len(linearised.slopes)), directions):
        sigma = _exponents(linearised, row, direction, PERIODS[1], order)
        largest = max(largest, float(abs(sigma).max(initial=0.0)))
        if _growth(sigma) <= (fastest[2] if fastest else 0.0):
            continue
        rates = [_growth(_exponents(linearised, row, direction, n, order)) for n in PERIODS]
        pairs = itertools.pairwise(zip(PERIODS, rates, strict=True))
        if all(a > 0 and b >= a * (more / n) ** POWER for (n, a), (more, b) in pairs):
            last = _exponents(linearised, row, direction, SHORTEST, order)
            if not len(last) or last.real.max() >= -STRAIGHT * abs(last).max():
                fastest = row, direction, rates[1]
    return fastest if fastest and fastest[2] > negligible * largest else None


def _growth(sigma: np.ndarray) -> float:
    """The largest positive real part of exponents σ; 0 if it is only a rounding error."""
    single = 1e-12  # the relative rounding error of a single σ
    share, rounding = (single, single) if len(sigma) == 1 else (STRAIGHT, 1e-10)
    least = np.maximum(share * abs(sigma), rounding * abs(sigma).max(initial=0.0))
    return float(sigma.real[sigma.real > least].max(initial=0.0))


def _exponents(
    linearised: Linearised, row: int, direction: Tensor, number: float, order: int
) -> np.ndarray:
    """All exponents σ of a wave e^(ik·x + σt) at one point.

    Args:
        linearised: the equation, linearised at some points.
        row: the index of the point.
        direction: the wave vector k / 2π, scaled to one period in the domain, (d - 1,).
        number: the number of periods in the domain, which multiplies `direction`.
        order: the order of the equation in time.
    """
    start = torch.cat([2j * math.pi * number * direction, direction.new_zeros(1)])
    time = torch.zeros_like(start)
    time[-1] = 1
    # Time is scaled such that all terms of the symbol have about one size: no digits are lost.
    still = linearised.along(row, 0 * start, time)[1 : order + 1]
    size = float(linearised.symbol(row, start[None]).abs().max())
    sizes = [abs(term).max() for term in still]
    scales = [(size / s) ** (1 / r) for r, s in enumerate(sizes, 1) if s > 1e-10 * max(sizes)]
    every: list[np.ndarray] = []
    for step in range(1 if linearised.equations * order == 1 else 3):
        # Eliminated constraints may cause σ that are larger than the size of the terms suggests.
        scale = (min(scales, default=1.0) or 1.0) * 1e4**step
        zeta = exponents(linearised.along(row, start, scale * time)[: order + 1])
        every.append(scale * (zeta[abs(zeta) > 1] if step else zeta))
    return np.concatenate(every)
