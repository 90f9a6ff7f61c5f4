"""Chebyshev polynomials as edge functions."""

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.networks.basis.basis import Basis
from kanpinn.networks.basis.splines import BSplines, uniform_knots


class Chebyshev(Basis):
    """Chebyshev polynomials T_0 … T_(n-1) of n_in inputs, each scaled from its range to [-1, 1].

    There are n = G + k polynomials, as many as B-splines of degree k on G intervals. One interval
    more is one polynomial more, so refinement raises the degree.

    Args:
        ends: the ends of the range of each input, (n_in, 2).
        degree: the number k in n = G + k.
        intervals: the number G in n = G + k.

    Raises:
        InputError: for a range of length zero.

    Reference: Sidharth et al., Chebyshev polynomial-based Kolmogorov–Arnold networks (2024), arXiv
    2405.07200; Trefethen, Approximation Theory and Approximation Practice (2013), chapter 3.
    """

    degrees: Tensor  # 0 … n - 1; in a saved state the length of this tensor tells n

    def __init__(self, ends: Tensor, degree: int, intervals: int) -> None:
        super().__init__()
        if not bool((ends[:, 1] > ends[:, 0]).all()):
            raise InputError(f"a range of Chebyshev polynomials must have a length, got {ends}")
        self.degree = degree
        self.register_buffer("breaks", ends)
        self.register_buffer("degrees", torch.arange(intervals + degree, device=ends.device))
        self._count()

    def _count(self) -> None:
        """Set `size`, `intervals` and `piece_degree` from the number of polynomials."""
        self.size = len(self.degrees)
        self.intervals, self.piece_degree = self.size - self.degree, self.size - 1

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        self.degrees = torch.empty_like(state_dict[prefix + "degrees"])  # the length may differ
        self.breaks = torch.empty_like(state_dict[prefix + "breaks"])
        super()._load_from_state_dict(state_dict, prefix, *args)
        self._count()

    @classmethod
    def uniform(cls, low: Tensor, high: Tensor, intervals: int, degree: int) -> Self:
        return cls(torch.stack([low, high], dim=1), degree, intervals)

    def values(self, x: Tensor, order: int = 0) -> Tensor:
        """Return the values and derivatives of all functions, see `Basis.values`.

        Outside the range the functions continue as tangents. Inside, with the scaled argument ξ,
        the recurrence is T_(j+1)^(r) = 2 ξ T_j^(r) + 2 r T_j^(r-1) - T_(j-1)^(r).
        """
        low, high = self.breaks.unbind(1)
        slope = 2 / (high - low)
        xi = (x - low) * slope - 1
        inside = xi.clamp(-1, 1)
        needed = max(order, 1)  # a tangent needs the first derivative
        previous = [torch.ones_like(xi), *(torch.zeros_like(xi) for _ in range(needed))]
        current = [inside, torch.ones_like(xi), *(torch.zeros_like(xi) for _ in range(needed - 1))]
        polynomials = [previous, current]
        for _ in range(self.size - 2):
            new = [2 * inside * t for t in current]
            for r in range(1, needed + 1):
                new[r] = new[r] + 2 * r * current[r - 1]
            new = [a - b for a, b in zip(new, previous, strict=True)]
            polynomials.append(new)
            previous, current = current, new
        outside = (xi < -1) | (xi > 1)
        functions = []
        # Outside the range a function continues as the tangent at the nearer end.
        for t in polynomials[: self.size]:
            first = t[0] + t[1] * (xi - inside)
            higher = [torch.where(outside, 0.0, s) for s in t[2:]]
            in_x = [s * slope**r for r, s in enumerate((first, t[1], *higher))]
            functions.append(torch.stack(in_x))
        return torch.stack(functions, dim=-1)[: order + 1].movedim(0, -3)

    def on(self, breaks: Tensor) -> Self:
        if breaks.shape[1] != 2:
            raise InputError(
                "Chebyshev polynomials have no knots to place: more of them resolve more (a larger "
                "degree or grid)"
            )
        return type(self)(breaks, self.degree, self.intervals)

    def represented(self, coefficients: Tensor, new: Basis) -> tuple[Tensor, float]:
        """Return the coefficients of functions in another basis, see `Basis.represented`.

        On every range the functions do not change, unless the new basis has fewer polynomials.
        """
        if (n := new.size) < self.size:
            return super().represented(coefficients, new)
        xi = torch.cos(torch.pi * (torch.arange(n).to(self.breaks) + 0.5) / n)
        low, high = new.breaks[:, 0], new.breaks[:, 1]
        x = low + (high - low) * (xi[:, None] + 1) / 2
        scaled = 2 * (x - self.breaks[:, 0]) / (self.breaks[:, 1] - self.breaks[:, 0]) - 1
        values = torch.einsum(
            "nik,iko->nio", chebyshev_polynomials(scaled, self.size), coefficients
        )
        transform = chebyshev_polynomials(xi, n) * (2 / n)
        transform[:, 0] /= 2
        return torch.einsum("nk,nio->iko", transform, values), 0.0

    def as_spline(self, coefficients: Tensor, i: int) -> tuple[Tensor, int, Tensor]:
        """Return the function of input i as a B-spline, see `Basis.as_spline`.

        The spline has one interval and the degree of the polynomial.
        """
        low, high = self.breaks[i, :1], self.breaks[i, 1:]
        knots = uniform_knots(low, high, 1, degree := self.piece_degree)
        xi = torch.cos(torch.pi * (torch.arange(self.size).to(low) + 0.5) / self.size)
        x = (low + (high - low) * (xi + 1) / 2)[:, None]
        values = (chebyshev_polynomials(xi, self.size) @ coefficients)[:, None, None]
        return knots[0], degree, BSplines(knots, degree).fit(x, values)[0, :, 0]


def chebyshev_polynomials(xi: Tensor, count: int) -> Tensor:
    """Return T_0 … T_(count - 1) at arguments of shape (...), as (..., count).

    Outside [-1, 1] the values are also those of the polynomials, not of tangents.
    """
    polynomials = [torch.ones_like(xi), xi]
    for _ in range(count - 2):
        polynomials.append(2 * xi * polynomials[-1] - polynomials[-2])
    return torch.stack(polynomials[:count], dim=-1)
