"""Orthonormal Legendre polynomials of one coordinate and their derivatives."""

from functools import lru_cache

import numpy as np
import torch
from numpy.polynomial import legendre
from torch import Tensor


def legendre_at(x: Tensor, degree: int, order: int) -> list[Tensor]:
    """Orthonormal Legendre polynomials P_0 … P_k at points (n,), and their derivatives.

    Returns:
        For each order of the derivative from 0 to `order` a tensor (k + 1, n).
    """
    found = [torch.ones_like(x), x][: degree + 1]
    for n in range(1, degree):
        before = found[n - 1] * (-n / (n + 1))
        found.append(torch.addcmul(before, x, found[n], value=(2 * n + 1) / (n + 1)))
    values = torch.stack(found)
    first, *others = (one.to(values) for one in _to_legendre(degree)[: order + 1])
    return [first.diagonal()[:, None] * values, *(one @ values for one in others)]


@lru_cache(maxsize=100)
def _to_legendre(degree: int) -> list[Tensor]:
    """For each order the matrix (k + 1, k + 1) from P_n to derivatives of orthonormal ones."""
    highest, scale = 4, np.diag(np.sqrt(np.arange(degree + 1) + 0.5))
    found = []
    for order in range(highest + 1):
        series = legendre.legder(scale, order) if order else scale
        padded = np.zeros_like(scale)
        padded[: min(len(series), degree + 1)] = series[: degree + 1]
        found.append(torch.from_numpy(padded.T))
    return found


@lru_cache(maxsize=100)
def derivatives_of_legendre(degree: int) -> list[Tensor]:
    """For each order the derivatives of orthonormal polynomials as sums of such, (k + 1, k + 1)."""
    norms = torch.sqrt(torch.arange(degree + 1, dtype=torch.float64) + 0.5)
    return [matrix / norms for matrix in _to_legendre(degree)]
