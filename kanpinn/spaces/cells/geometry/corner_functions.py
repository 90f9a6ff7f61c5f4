"""The singular functions of solutions at corners of a domain in the plane, and their
derivatives.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from kanpinn.jets import Channels, derivatives_of_parts, orders_of_parts

CLOSEST = 1e-13  # points with |w| below this count as the corner, see `CornerFunctions` for w


@dataclass(frozen=True)
class Power:
    """The real and the imaginary part of w^a w̄^n (ln w)^l for a complex number w.

    Args:
        exponent: the exponent a of w, which may be complex.
        conjugate: the exponent n of the conjugate w̄, an integer of at least 0.
        logarithm: the exponent l of ln w, 0 or 1.
    """

    exponent: complex
    conjugate: int = 0
    logarithm: int = 0

    @property
    def degree(self) -> float:
        """The degree Re a + n: up to the logarithm, the function is proportional to |w|^degree."""
        return self.exponent.real + self.conjugate


@dataclass(frozen=True, eq=False)
class CornerFunctions:
    """The singular functions at a corner z₀ in the plane, as powers of w = e^(-iφ) (z - z₀) / R.

    A point (x, y) is the complex number z = x + i y. The functions jump across the ray from the
    corner in the direction opposite to φ, which is outside the domain.

    Args:
        direction: the angle φ of the line that bisects the interior angle, in radians.
        radius: the length R that scales distances from the corner.
        powers: the powers of w. The real and the imaginary part of each power are functions.
    """

    direction: float
    radius: float
    powers: tuple[Power, ...]

    def stacked(self, coords: Tensor, channels: Channels) -> Tensor:
        """The values and derivatives (stacked jets) of the functions, (n, parts, functions).

        At the corner itself, up to rounding, a derivative of a higher order than the degree of a
        power is infinite.

        Args:
            coords: the coordinates of n points relative to the corner, (n, 2).
            channels: the derivatives that the jets have.

        Returns:
            For each power its real part, then its imaginary part: 2 functions for each power.
        """
        turned = complex(math.cos(self.direction), -math.sin(self.direction)) / self.radius
        w = torch.view_as_complex(coords.contiguous()) * turned
        corner = w.abs() < CLOSEST
        w = torch.where(corner, CLOSEST, w)
        log = w.log()
        parts = by_conjugates(channels, turned)
        found = coords.new_zeros(len(coords), len(parts), len(self.powers), 2)
        known: dict[tuple[int, int], Tensor] = {}
        for part, factors in enumerate(parts):
            total = torch.zeros(len(w), len(self.powers), dtype=w.dtype)
            for orders, factor in factors:
                if orders not in known:
                    known[orders] = _derivatives(self.powers, w[:, None], log[:, None], *orders)
                total = total + factor * known[orders]
            found[:, part] = torch.view_as_real(total)
        if bool(corner.any()):
            degrees = found.new_tensor([one.degree for one in self.powers])
            beyond = orders_of_parts(channels)[:, None] > degrees
            found[corner] = torch.where(beyond[..., None], torch.inf, found[corner])
        return found.flatten(2)


def _derivatives(
    powers: Sequence[Power], w: Tensor, log: Tensor, of_w: int, of_conjugate: int
) -> Tensor:
    """The derivatives ∂^i/∂w^i ∂^j/∂w̄^j of the complex functions of `powers`, (n, powers).

    w, log: the numbers w and ln w, (n, 1) each. of_w, of_conjugate: the orders i and j.
    """
    factors = w.real.new_tensor([math.perm(one.conjugate, of_conjugate) for one in powers])
    left = w.real.new_tensor([max(0, one.conjugate - of_conjugate) for one in powers])
    exponents = w.new_tensor([one.exponent for one in powers])
    # d/dw (A w^b ln w + B w^b) = b A w^(b - 1) ln w + (A + b B) w^(b - 1)
    with_log = w.new_tensor([float(one.logarithm) for one in powers])
    plain = 1 - with_log
    for _ in range(of_w):
        with_log, plain = exponents * with_log, with_log + exponents * plain
        exponents = exponents - 1
    both = torch.exp(exponents * log + left * log.conj())
    return factors * both * (with_log * log + plain)


@lru_cache(maxsize=100)
def by_conjugates(
    channels: Channels, turned: complex
) -> list[list[tuple[tuple[int, int], complex]]]:
    """Each part of a stacked jet as a sum of derivatives by w and w̄.

    The sums follow from ∂/∂x = κ ∂/∂w + κ̄ ∂/∂w̄ and ∂/∂y = i κ ∂/∂w - i κ̄ ∂/∂w̄. In the Laplacian
    the second derivatives by w alone, and by w̄ alone, cancel exactly.

    Args:
        channels: the derivatives that the jet has.
        turned: κ, the derivative of w by z = x + i y.

    Returns:
        For each part the terms of its sum. A term is ((i, j), factor), for the derivative of the
        orders i by w and j by w̄.
    """
    found = []
    for terms in derivatives_of_parts(channels):
        factors: dict[tuple[int, int], complex] = {}
        for (along_x, along_y), factor in terms:
            own = {(0, 0): complex(factor)}
            for by_w in [turned] * along_x + [1j * turned] * along_y:
                after: dict[tuple[int, int], complex] = {}
                for (i, j), one in own.items():
                    after[i + 1, j] = after.get((i + 1, j), 0) + by_w * one
                    after[i, j + 1] = after.get((i, j + 1), 0) + by_w.conjugate() * one
                own = after
            for orders, one in own.items():
                factors[orders] = factors.get(orders, 0) + one
        found.append([(orders, one) for orders, one in factors.items() if one])
    return found
