"""Linearisations of equations: derivatives by the jets of the fields, and tests of linearity."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy
import torch
from torch import Tensor

from kanpinn.geometry import Points
from kanpinn.jets.jet import Channels, Jet
from kanpinn.jets.parts import zero_jet

ROUNDING = 1e-9  # relative difference of two values that are equal but for rounding
Equation = Callable[[Points, Jet], Tensor]


@dataclass(frozen=True, eq=False)
class Linearised:
    """k equations r for m fields, linearised at a jet u: r(u + v) ≈ r(u) + slopes · v.

    Args:
        equation: gives k residuals at each of n points, or at each group of consecutive points.
        points: the n points.
        jet: the jet u of the fields.
        values: the residuals r(u), (n, k), or (groups, k).
        slopes: the derivatives by the parts of the stacked jet, point by point, (n, k, parts, m).
    """

    equation: Equation
    points: Points
    jet: Jet
    values: Tensor
    slopes: Tensor

    @classmethod
    def at(cls, equation: Equation, points: Points, jet: Jet) -> Self:
        """Linearise equations at a jet, by automatic differentiation."""
        parts = [part.detach().requires_grad_() for part in jet.parts()]
        with torch.enable_grad():
            values = equation(points, jet.with_parts(parts))
            if values.requires_grad:
                slopes = [
                    torch.autograd.grad(one.sum(), parts, retain_graph=True, materialize_grads=True)
                    for one in values.unbind(dim=1)
                ]
            else:  # the equations do not depend on the jet
                slopes = [tuple(map(torch.zeros_like, parts))] * values.shape[1]
        stacked = torch.stack([jet.with_parts(one).stacked() for one in slopes], dim=1)
        return cls(equation, points, jet, values.detach(), stacked)

    @classmethod
    def at_zero(cls, equation: Equation, points: Points, channels: Channels, fields: int) -> Self:
        """Linearise equations at fields that vanish with all their derivatives."""
        return cls.at(equation, points, zero_jet(channels, points.coords, fields))

    @property
    def equations(self) -> int:
        """The number of equations k."""
        return self.slopes.shape[1]

    def change(self, v: Jet) -> Tensor:
        """The linear part slopes · v, (n, k), or (groups, k)."""
        found = torch.einsum("nkpm,npm->nk", self.slopes, v.stacked())
        rows = len(self.values)
        return found if rows == len(found) else found.unflatten(0, (rows, -1)).sum(dim=1)

    @cached_property
    def right(self) -> Tensor:
        """What the linear part of the solution is: slopes · u - r(u), (n, k), or (groups, k)."""
        return self.change(self.jet) - self.values

    @torch.no_grad()
    def is_affine(self) -> bool:
        """Whether the equations equal their linearisation, by a trial with random fields."""
        generator = torch.Generator().manual_seed(0)
        trial = self.jet.map(lambda t: torch.randn(t.shape, generator=generator).to(t))
        found, expected = self.equation(self.points, trial), self.change(trial)
        gap = float((found + self.right - expected).abs().max())
        return gap <= ROUNDING * (float(found.abs().max()) + float(expected.abs().max()))

    def symbol(self, row: int, kappa: Tensor) -> Tensor:
        """The symbol M(κ) at one of the points: (L exp(κ·x) c) = M(κ) c exp(κ·x).

        Args:
            row: the index of the point.
            kappa: complex vectors κ, (s, d).

        Returns:
            The matrices, (s, k, m).
        """
        channels, parts = self.jet.channels, [torch.ones_like(kappa[:, :1])]
        if channels.gradient:
            parts.append(kappa)
        if channels.second != "none":
            squares = kappa[:, :, None] * kappa[:, None]
            if channels.second != "hessian":
                squares = squares.diagonal(dim1=1, dim2=2)
            if channels.second == "laplacian":
                squares = squares.sum(dim=1, keepdim=True)
            parts.append(squares.flatten(1))
        if channels.directions:
            along = kappa @ torch.tensor(channels.directions).to(kappa).T
            powers = [along**r for r in range(1, channels.order + 1)]
            parts.append(torch.stack(powers, dim=2).flatten(1))
        return torch.einsum("sp,kpm->skm", torch.cat(parts, dim=1), self.slopes[row].to(kappa))

    def along(self, row: int, start: Tensor, direction: Tensor) -> numpy.ndarray:
        """The coefficients of M(start + ζ direction) as a polynomial in ζ, (r, k, m)."""
        count = max(1, self.jet.channels.derivative_order) + 1
        zeta = torch.exp(2j * torch.pi * torch.arange(count, dtype=torch.float64) / count)
        values = self.symbol(row, start[None] + zeta[:, None] * direction[None])
        return torch.fft.fft(values, dim=0).numpy() / count
