"""The symbol of a linearised equation: what it makes of an exponential exp(κ·x)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Self

import numpy
import scipy.linalg
import torch
from torch import Tensor

from kanpinn.geometry import Points
from kanpinn.jets import Channels, Jet, slopes_by_parts
from kanpinn.pde.evaluate import ResidualFunction


@dataclass(frozen=True)
class Linearised:
    """The derivatives of k equations with respect to the entries of the jets of m fields.

    Args:
        channels: the derivatives in the jets.
        parts: for each tensor of the jet, in the order of `Jet.parts`, the derivatives with respect
            to its entries, (n, k, entries, m).
    """

    channels: Channels
    parts: tuple[Tensor, ...]

    @classmethod
    def at(cls, equation: ResidualFunction, points: Points, jet: Jet) -> Self:
        """Linearise an equation at a jet, by automatic differentiation."""
        _, slopes = slopes_by_parts(partial(equation, points), jet)
        rows = [[s.reshape(len(points), -1, s.shape[-1]) for s in one.parts()] for one in slopes]
        return cls(
            jet.channels, tuple(torch.stack(same, dim=1) for same in zip(*rows, strict=True))
        )

    @property
    def equations(self) -> int:
        """The number of equations k."""
        return self.parts[0].shape[1]

    def symbol(self, row: int, kappa: Tensor) -> Tensor:
        """Return M(κ) with (L exp(κ·x) c) = M(κ) c exp(κ·x) at one of the points.

        Args:
            row: the index of the point.
            kappa: complex vectors κ, (s, d).

        Returns:
            The matrices, (s, k, m).
        """
        slots = iter(self.parts)
        found = next(slots)[row, :, 0].to(kappa)[None]
        if self.channels.gradient:
            found = found + torch.einsum("sd,kdm->skm", kappa, next(slots)[row].to(kappa))
        if self.channels.second != "none":
            squares = kappa[:, :, None] * kappa[:, None]
            if self.channels.second != "hessian":
                squares = squares.diagonal(dim1=1, dim2=2)
            if self.channels.second == "laplacian":
                squares = squares.sum(dim=1, keepdim=True)
            found = found + torch.einsum(
                "sd,kdm->skm", squares.flatten(1), next(slots)[row].to(kappa)
            )
        if self.channels.directions:
            along = kappa @ torch.tensor(self.channels.directions).to(kappa).T
            powers = torch.stack([along**r for r in range(1, self.channels.order + 1)], dim=2)
            found = found + torch.einsum(
                "sd,kdm->skm", powers.flatten(1), next(slots)[row].to(kappa)
            )
        return found

    def along(self, row: int, start: Tensor, direction: Tensor) -> numpy.ndarray:
        """Return the coefficients of M(start + ζ direction) as a polynomial in ζ, (r, k, m)."""
        count = max(1, self.channels.derivative_order) + 1
        zeta = torch.exp(2j * torch.pi * torch.arange(count, dtype=torch.float64) / count)
        values = self.symbol(row, start[None] + zeta[:, None] * direction[None])
        return torch.fft.fft(values, dim=0).numpy() / count


@dataclass(frozen=True)
class WallModes:
    """The solutions of a system M(d/dτ) u = 0 of ordinary differential equations for τ > 0.

    Args:
        degree: the number of independent solutions.
        decaying: how many of them decay.
        values: the values at τ = 0 of a basis of the decaying solutions, (m, decaying).
        derivative: d/dτ in this basis, (decaying, decaying).
    """

    degree: int
    decaying: int
    values: numpy.ndarray
    derivative: numpy.ndarray

    def rank(self, conditions: Sequence[numpy.ndarray]) -> int:
        """Return how many independent equations conditions at τ = 0 give for decaying solutions.

        Args:
            conditions: of each condition, the coefficients of the polynomial B(d/dτ), (r, k, m).
        """
        independent = 1e-9  # singular values relative to the sizes of conditions and solutions
        rows = []
        for polynomial in conditions:
            states = [self.values]
            while len(states) < len(polynomial):
                states.append(states[-1] @ self.derivative)
            row = sum(part @ state for part, state in zip(polynomial, states, strict=True))
            sizes = numpy.linalg.norm(polynomial, axis=(0, 2))[:, None]
            rows.append(row / numpy.where(sizes > 0, sizes, 1))
        if not rows or not self.decaying:
            return 0
        matrix = numpy.concatenate(rows)
        if not numpy.isfinite(matrix).all():  # then nothing is known, and nothing refused
            return self.decaying
        return int((numpy.linalg.svd(matrix, compute_uv=False) > independent).sum())


def modes(polynomial: numpy.ndarray, neutral: float) -> WallModes | None:
    """Return the solutions of M(d/dτ) u = 0.

    They are those of a pencil A - ζ B of matrices of first order, the companion of M; its
    eigenvectors of ζ with a negative real part span the decaying ones.

    Args:
        polynomial: the coefficients of M(ζ), the constant first, (r + 1, m, m).
        neutral: exponents ζ of at most this size neither decay nor grow.

    Returns:
        The solutions; None if they are not known: det M is zero for all ζ, or M is not finite.
    """
    infinite, straight = 1e4, 1e-6  # the size of ζ; the share of its real part in it
    m = polynomial.shape[1]
    if not numpy.isfinite(polynomial).all():
        return None
    polynomial, sizes = _balanced(polynomial)
    left, right = _companion(polynomial)

    def decays(alpha: numpy.ndarray, beta: numpy.ndarray) -> numpy.ndarray:
        finite = abs(alpha) < infinite * abs(beta)
        zeta = numpy.divide(alpha, beta, out=numpy.zeros_like(alpha), where=finite)
        return finite & (zeta.real < -straight * abs(zeta)) & (abs(zeta) > neutral)

    found = scipy.linalg.ordqz(left, right, sort=decays, output="complex")
    upper, lower, alpha, beta, _, space = found
    if (abs(alpha) + abs(beta) < 1e-12).any():
        return None
    count = int(decays(alpha, beta).sum())
    derivative = numpy.linalg.solve(lower[:count, :count], upper[:count, :count])
    degree = int((abs(alpha) < infinite * abs(beta)).sum())
    values = sizes[:, None] * space[:m, :count]
    return WallModes(degree, count, values, derivative)


def exponents(polynomial: numpy.ndarray) -> numpy.ndarray:
    """Return the ζ of size up to 1e4 for which M(ζ) is singular, complex; none if M is not finite.

    polynomial: the coefficients of M(ζ), the constant first, (r + 1, m, m).
    """
    infinite = 1e4
    if not numpy.isfinite(polynomial).all():
        return numpy.zeros(0, complex)
    left, right = _companion(_balanced(polynomial)[0])
    alpha, beta = scipy.linalg.eig(left, right, right=False, homogeneous_eigvals=True)
    finite = (abs(alpha) < infinite * abs(beta)) & (abs(alpha) + abs(beta) > 1e-12)
    return alpha[finite] / beta[finite]


def _companion(polynomial: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Return A and B so that M(ζ) is singular where A - ζ B is."""
    r, m = len(polynomial) - 1, polynomial.shape[1]
    left, right = numpy.eye(r * m, k=m, dtype=complex), numpy.eye(r * m, dtype=complex)
    left[-m:] = -numpy.concatenate(list(polynomial[:-1]), axis=1)
    right[-m:, -m:] = polynomial[-1]
    return left, right


def _balanced(polynomial: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Return a matrix polynomial with rows and columns of size 1, and the factors of the columns.

    A pressure beside velocities would otherwise have entries of another size.
    """
    sizes, tiny = numpy.ones(polynomial.shape[2]), 1e-300
    for _ in range(3):
        rows = abs(polynomial).max(axis=(0, 2), keepdims=True)
        polynomial = polynomial / numpy.maximum(rows, tiny)
        columns = numpy.maximum(abs(polynomial).max(axis=(0, 1)), tiny)
        polynomial, sizes = polynomial / columns, sizes / columns
    return polynomial, sizes
