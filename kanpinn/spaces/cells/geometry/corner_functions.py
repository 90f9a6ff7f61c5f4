"""The singular functions of solutions at corners in the plane and at edges in space, and their
derivatives.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.polynomial import legendre
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
    """The singular functions at a corner in the plane or at a straight edge in space.

    The functions are powers of w = κ · (x - x₀), times the Legendre polynomials P_0, P_1, … of
    s = σ · (x - x₀). Here x₀ is the corner, or a point of the edge, and s is a coordinate along the
    edge. The vector κ is complex, and orthogonal to the edge. Its real and its imaginary part are
    orthogonal and of equal length, except at a corner where the equation is anisotropic, see
    `in_plane`. The functions jump where w is negative, which is outside the domain. In the plane σ
    is zero, and P_0 is the only polynomial.

    Args:
        across: the d components of κ.
        along: the d components of σ.
        powers: the powers of w. The real and the imaginary part of each power are functions.
        degree: the highest degree of the Legendre polynomials.
    """

    across: tuple[complex, ...]
    along: tuple[float, ...]
    powers: tuple[Power, ...]
    degree: int = 0

    @classmethod
    def in_plane(
        cls, direction: float, radius: float, powers: Sequence[Power], dilatation: complex = 0j
    ) -> "CornerFunctions":
        """The functions with w = e^(-iφ) (ζ + μ ζ̄) / ((1 + |μ|) R) at a corner, for ζ = z - z₀.

        Here z = x + i y, and z₀ is the corner. If the second derivatives are those of div(A ∇u)
        with a symmetric matrix A, and if κᵀ A κ = 0, then functions of w satisfy the equation, just
        as functions of z satisfy Laplace's equation.

        Args:
            direction: the angle φ in radians. For μ = 0 it is the angle of the line that bisects
                the interior angle.
            radius: the length R that scales distances from the corner.
            powers: the powers of w.
            dilatation: the number μ, the complex dilatation, with |μ| < 1; 0 if the second
                derivatives are a multiple of the Laplacian.

        Reference: Ahlfors, Lectures on Quasiconformal Mappings (1966), chapter 1.
        """
        turned = complex(math.cos(direction), -math.sin(direction)) / radius / (1 + abs(dilatation))
        across = turned * (1 + dilatation), 1j * turned * (1 - dilatation)
        return cls(across, (0.0, 0.0), tuple(powers))

    @property
    def count(self) -> int:
        """The number of functions."""
        return 2 * len(self.powers) * (self.degree + 1)

    def stacked(self, coords: Tensor, channels: Channels) -> Tensor:
        """The values and derivatives (parts) of the functions at n points, (n, parts, functions).

        At the corner itself, up to rounding, a derivative of a higher order than the degree of a
        power is infinite.

        Args:
            coords: the coordinates of the points relative to x₀, (n, d).
            channels: the derivatives that are computed.

        Returns:
            For each power the products of its real part with the polynomials, then those of its
            imaginary part.
        """
        real, imaginary = coords.new_tensor([[one.real, one.imag] for one in self.across]).T
        w = torch.complex(coords @ real, coords @ imaginary)
        corner = w.abs() < CLOSEST
        w = torch.where(corner, CLOSEST, w)
        log, s = w.log(), coords @ coords.new_tensor(self.along)
        parts = by_conjugates(channels, self.across, self.along)
        shape = len(coords), len(parts), len(self.powers), self.degree + 1
        found = torch.zeros(shape, dtype=w.dtype, device=w.device)
        known: dict[tuple[int, int], Tensor] = {}
        polynomials = [_legendre(s, self.degree, order) for order in range(1 + _most(parts))]
        for part, factors in enumerate(parts):
            for (i, j, k), factor in factors:
                if (i, j) not in known:
                    known[i, j] = _derivatives(self.powers, w[:, None], log[:, None], i, j)
                found[:, part] += factor * known[i, j][..., None] * polynomials[k][:, None]
        both = torch.view_as_real(found).transpose(3, 4)
        if bool(corner.any()):
            degrees = both.new_tensor([one.degree for one in self.powers])
            beyond = orders_of_parts(channels)[:, None] > degrees
            both = both.clone()
            both[corner] = torch.where(beyond[..., None, None], torch.inf, both[corner])
        return both.flatten(2)


def _most(parts: Sequence[Sequence[tuple[tuple[int, int, int], complex]]]) -> int:
    """The highest order k of derivatives by s, the coordinate along an edge.

    Args:
        parts: the result of `by_conjugates`.
    """
    return max((orders[2] for terms in parts for orders, _ in terms), default=0)


def _legendre(s: Tensor, degree: int, order: int) -> Tensor:
    """A derivative of the Legendre polynomials of degrees up to `degree`, (n, degree + 1).

    Args:
        s: the arguments of the polynomials, (n,).
    """
    powers = s[:, None] ** torch.arange(degree + 1, device=s.device)
    return powers @ powers.new_tensor(_of_powers(degree, order))


@lru_cache(maxsize=100)
def _of_powers(degree: int, order: int) -> list[list[float]]:
    """The coefficients of each power of s in the polynomials of `_legendre`, a list for a power."""
    factors = np.zeros((degree + 1, degree + 1))
    for number, row in enumerate(np.eye(degree + 1)):
        derived = legendre.leg2poly(legendre.legder(row, order))
        factors[: len(derived), number] = derived
    return factors.tolist()


def _derivatives(
    powers: Sequence[Power], w: Tensor, log: Tensor, of_w: int, of_conjugate: int
) -> Tensor:
    """The derivatives ∂^i/∂w^i ∂^j/∂w̄^j of complex powers of w at n points, (n, powers).

    Args:
        w, log: the numbers w and ln w, (n, 1) each.
        of_w, of_conjugate: the orders i and j.
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
    channels: Channels, across: tuple[complex, ...], along: tuple[float, ...]
) -> list[list[tuple[tuple[int, int, int], complex]]]:
    """Write each value or derivative of a jet as a sum of derivatives by w, w̄ and s.

    Here w is a complex coordinate across an edge, and s a coordinate along it, see
    `CornerFunctions`. The sums follow from ∂/∂x_i = κ_i ∂/∂w + κ̄_i ∂/∂w̄ + σ_i ∂/∂s. In the
    Laplacian the second derivatives by w alone, and by w̄ alone, cancel.

    Args:
        channels: the derivatives that the jet has.
        across, along: the components of κ and of σ.

    Returns:
        For each part of the jet (value or derivative) the terms of its sum. A term is
        ((i, j, k), factor), for the derivative of the orders i by w, j by w̄ and k by s.
    """
    rounding, found = 1e-14, []
    for terms in derivatives_of_parts(channels):
        factors: dict[tuple[int, int, int], complex] = {}
        for orders, factor in terms:
            own = {(0, 0, 0): complex(factor)}
            for axis in (axis for axis, count in enumerate(orders) for _ in range(count)):
                after: dict[tuple[int, int, int], complex] = {}
                for (i, j, k), one in own.items():
                    for key, slope in (
                        ((i + 1, j, k), across[axis]),
                        ((i, j + 1, k), across[axis].conjugate()),
                        ((i, j, k + 1), along[axis]),
                    ):
                        after[key] = after.get(key, 0) + slope * one
                own = after
            for key, one in own.items():
                factors[key] = factors.get(key, 0) + one
        least = rounding * max(map(abs, factors.values()))
        found.append([(key, one) for key, one in factors.items() if abs(one) > least])
    return found
