"""Krylov spaces of several vectors at once, for the largest eigenvalues of a compact operator."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class KrylovSpace:
    """A Krylov space of an operator T: its orthonormal basis B, with T B = B H + Q S.

    The columns of Q (n, p) are orthonormal vectors, orthogonal to B, by which the space is extended
    next. S (p, r) has the components of T B along them.

    Args:
        basis: B, (n, r).
        matrix: H, (r, r).
        rest: S, (p, r).
    """

    basis: Tensor
    matrix: Tensor
    rest: Tensor


def krylov_spaces(apply: Callable[[Tensor], Tensor], start: Tensor) -> Iterator[KrylovSpace]:
    """Yield the Krylov spaces of p vectors V: the span of V, then that of V and T V, and so on.

    Args:
        apply: the operator T, for columns (n, p).
        start: V, of full rank, (n, p).

    Reference: Saad, Numerical methods for large eigenvalue problems (2011), on block Arnoldi.
    """
    following, _ = torch.linalg.qr(start)
    basis, images = following[:, :0], following[:, :0]
    while True:
        basis, image = torch.cat([basis, following], dim=1), apply(following)
        images = torch.cat([images, image], dim=1)
        following = image
        for _ in range(2):  # twice, as rounding leaves small components along the basis
            following, _ = torch.linalg.qr(following - basis @ (basis.T @ following))
        yield KrylovSpace(basis, basis.T @ images, following.T @ images)
