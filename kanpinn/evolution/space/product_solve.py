"""Linear systems in a product space: GMRES, preconditioned by constant factors in waves."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, gmres
from torch import Tensor

from kanpinn.evolution.space.multi_indices import MultiIndex, multi_indices, unit_parts
from kanpinn.evolution.space.product_space import ProductSpace, along, by_axes, partial_derivatives
from kanpinn.evolution.space.stage_matrices import Factor, LinearSystem

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class ProductOperators(LinearSystem):
    """The linearised equation Σ_α a_α ∂^α in a product space; α counts derivatives in time, too.

    Args:
        space: the space.
        prescribed: which unknowns are prescribed by conditions on sides, (n, m).
        factors: the a_α at the places, (places or 1, equations, m).
    """

    space: ProductSpace
    prescribed: Tensor
    factors: Mapping[MultiIndex, Tensor]

    def factored(self, rates: Sequence[complex]) -> "ProductFactor":
        combined: dict[MultiIndex, Tensor] = {}
        for (*at, time), one in self.factors.items():
            index = (*at, 0)
            scaled = rates[time] * one
            combined[index] = combined[index] + scaled if index in combined else scaled
        return ProductFactor(self.space, self.prescribed, combined)


def operators_of(
    space: ProductSpace, prescribed: Tensor, linearised: Tensor, order: int
) -> ProductOperators:
    """The operators with given derivatives by the parts of jets.

    Args:
        space, prescribed: as for `ProductOperators`.
        linearised: the derivatives of the residuals, (equations, places, parts, m).
        order: that of the equation in time.
    """
    channels, factors = space.like.channels, {}
    for total in range(channels.derivative_order + 1):
        for index in multi_indices(channels.dim, total):
            parts = unit_parts(channels, index)
            if index[-1] <= order and bool(parts.any()):
                one = torch.einsum("gnpf,p->ngf", linearised, parts)
                if bool(one.any()):
                    factors[index] = one[:1] if bool((one == one[:1]).all()) else one
    return ProductOperators(space, prescribed, factors)


@dataclass(frozen=True, eq=False)
class ProductFactor(Factor):
    """An operator Σ_α a_α ∂^α in space, and its approximate inverse.

    The means of the a_α over space give an operator with constant factors, which is diagonal in
    products of the axes' `Waves`, but for the fields. GMRES with its inverse as preconditioner
    solves for the unknowns that are not prescribed.

    Args:
        space: the space.
        prescribed: which unknowns are prescribed by conditions on sides, (n, m).
        factors: the a_α at the places, (places or 1, equations, m), real or complex.

    Reference: Lynch, Rice and Thomas, Direct solution of partial difference equations by tensor
    product methods (1964); Saad and Schultz, GMRES (1986).
    """

    space: ProductSpace
    prescribed: Tensor
    factors: Mapping[MultiIndex, Tensor]

    def solve(self, right: Array) -> Array:
        """The solution to a relative residual of 1e-3; Newton's method corrects the rest.

        Raises:
            LinAlgError: if the iterations do not converge; they do in a shorter window.
        """
        reach, most = 1e-3, 80
        space, waves = self.space, self.space.waves
        given = torch.from_numpy(right).view(self.prescribed.shape)
        known = torch.where(self.prescribed, given, 0)
        if bool(self.prescribed.any()):
            there = self._at_places(by_axes(known[None], space.sizes), space.functions)
            given = given - space.tested(there[None])[0]
        adjoint = (one.vectors.mH for one in waves)
        start = self._inverted(_multiplied(by_axes(given[None], space.sizes), adjoint))
        shape = start.shape

        def applied(c: Array) -> Array:
            there = self._at_places(torch.from_numpy(c).view(shape), [o.functions for o in waves])
            tested = _multiplied(by_axes(there[None], space.grid), (o.tests for o in waves))
            return self._inverted(tested).flatten().numpy()

        count = start.numel()
        operator = LinearOperator((count, count), applied, dtype=start.numpy().dtype)
        found, unsolved = gmres(
            operator, start.flatten().numpy(), rtol=reach, atol=0.0, restart=most, maxiter=1
        )
        if unsolved:
            raise np.linalg.LinAlgError(f"{most} iterations do not solve a stage's linear system")
        y = _multiplied(torch.from_numpy(found).view(shape), (one.vectors for one in waves))
        y = y[0].flatten(1).T
        if y.is_complex() and not known.is_complex():
            y = y.real
        return torch.where(self.prescribed, known, y).flatten().numpy()

    def _at_places(self, t: Tensor, tables: Sequence[Tensor]) -> Tensor:
        """Σ_α a_α ∂^α of combinations of functions, (1, m, n_0, …), at the places."""
        derivative = partial_derivatives(t, tables)
        terms = [(a * derivative(index)[:, None]).sum(dim=2) for index, a in self.factors.items()]
        return torch.stack(terms).sum(dim=0)

    def _inverted(self, t: Tensor) -> Tensor:
        """The solution (1, m, n_0, …) for constant factors, in waves."""
        apart = t[0].movedim(0, -1)[..., None]
        return (self._inverse @ apart.to(self._inverse.dtype))[..., 0].movedim(-1, 0)[None]

    @cached_property
    def _inverse(self) -> Tensor:
        """The inverse of the operator with constant factors for each product of waves."""
        space, waves = self.space, self.space.waves
        weights = space.weights.flatten()[:, None, None]
        fields, own = self.prescribed.shape[1], len(space.axes)
        symbol: Tensor | float = 0.0
        for (*index, _), a in self.factors.items():
            mean = a[0] if len(a) == 1 else (weights * a).sum(dim=0) / weights.sum()
            columns = []
            for f in range(fields):
                rate = torch.ones(()).double()
                for r, one in zip(index, waves, strict=True):
                    rate = rate[..., None] * one.rates[f % own, r]
                columns.append(rate[..., None] * mean[:, f])
            symbol = symbol + torch.stack(columns, dim=-1)
        assert isinstance(symbol, Tensor)
        if own > 1:  # the fields have different waves
            symbol = torch.diag_embed(symbol.diagonal(dim1=-2, dim2=-1))
        fixed = self.prescribed.view(*space.sizes, fields)
        alone = torch.eye(fields).to(symbol)
        symbol = torch.where((fixed[..., None] | fixed[..., None, :]), alone, symbol)
        inverse = torch.linalg.inv_ex(symbol).inverse
        if not bool(inverse.isfinite().all()):
            raise np.linalg.LinAlgError("a stage's operator is singular")
        return inverse


def _multiplied(t: Tensor, matrices: Iterable[Tensor]) -> Tensor:
    """Multiply t, (1, m, n_0, …), by a matrix along each coordinate."""
    for d, matrix in enumerate(matrices):
        t = along(t, matrix, d)
    return t
