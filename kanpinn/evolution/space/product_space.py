"""Products of functions of each coordinate, evaluated coordinate by coordinate."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from kanpinn.evolution.space.axes import Axis, Waves
from kanpinn.evolution.space.multi_indices import MultiIndex, parts_from
from kanpinn.evolution.space.trial_space import TrialSpace
from kanpinn.jets import Jet


@dataclass(frozen=True, eq=False)
class ProductSpace(TrialSpace):
    """Products Π_d ψ_(i_d)(x_d); the functions of the last coordinate vary fastest.

    Args:
        axes: the functions of each coordinate, for all fields together or for each.
    """

    axes: Sequence[Sequence[Axis]]

    @property
    def line(self) -> Sequence[Axis]:
        """The axes of the first field; those of all have the same places and splines."""
        return self.axes[0]

    @property
    def grid(self) -> tuple[int, ...]:
        """The numbers of places of the coordinates."""
        return tuple(len(axis.weights) for axis in self.line)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The numbers of functions of the coordinates."""
        return tuple(axis.size for axis in self.line)

    def jet(self, y: Tensor) -> Jet:
        derivative = partial_derivatives(by_axes(y, self.sizes), self.functions)
        return self.like.with_parts(parts_from(self.like.channels, derivative))

    def values(self, y: Tensor) -> Tensor:
        derivative = partial_derivatives(by_axes(y, self.sizes), self.functions)
        return derivative((0,) * self.like.channels.dim)

    @cached_property
    def functions(self) -> list[Tensor]:
        return self.tables(lambda axis: axis.functions)

    @cached_property
    def waves(self) -> list[Waves]:
        """The waves of each coordinate, with tensors for the fields as in `tables`."""
        kinds = ("vectors", "functions", "tests", "rates")

        def stacked(d: int, kind: str) -> Tensor:
            return torch.stack([getattr(own[d].waves, kind) for own in self.axes], dim=-3)

        return [Waves(*(stacked(d, kind) for kind in kinds)) for d in range(len(self.line))]

    def tables(self, of_axis: Callable[[Axis], Tensor]) -> list[Tensor]:
        """A tensor of each axis, those of the fields in the last dimension but two."""
        return [
            torch.stack([of_axis(own[d]) for own in self.axes], dim=-3)
            for d in range(len(self.line))
        ]

    def coefficients(self, y: Tensor) -> Tensor:
        return self._multiplied(y, self.sizes, self.tables(lambda axis: axis.spread))

    def tested(self, values: Tensor) -> Tensor:
        """The integrals over space of values (k, places, m) times all functions, (k, n, m)."""
        return self._multiplied(values, self.grid, self.tables(lambda axis: axis.tests))

    def projection(self, values: Tensor) -> Tensor:
        """The coefficients of the L2 projection of values (k, places, m), (k, n, m)."""
        return self._multiplied(values, self.grid, self.tables(lambda axis: axis.projection))

    def values_at(self, y: Tensor, places: Sequence[Tensor]) -> Tensor:
        """The values of Σ_i y_i ψ_i at products of places of each coordinate.

        Args:
            y: (b, n, m).
            places: (p_d,) for each coordinate.

        Returns:
            (b, Π p_d, m).
        """
        by_axis = [
            torch.stack([own[d].at(some)[0] for own in self.axes]) for d, some in enumerate(places)
        ]
        return self._multiplied(y, self.sizes, by_axis)

    def _multiplied(self, t: Tensor, sizes: Sequence[int], matrices: Sequence[Tensor]) -> Tensor:
        """Multiply (b, Π sizes, m) by a matrix (m or 1, new, old) along each coordinate."""
        found = by_axes(t, sizes)
        for d, matrix in enumerate(matrices):
            found = along(found, matrix, d)
        return found.flatten(2).movedim(1, -1)


def by_axes(t: Tensor, sizes: Sequence[int]) -> Tensor:
    """(b, Π sizes, m) as (b, m, sizes…)."""
    return t.movedim(-1, 1).unflatten(2, tuple(sizes))


def along(t: Tensor, matrix: Tensor, d: int) -> Tensor:
    """Multiply t, (b, m, n_0, …), by a matrix (m or 1, new, n_d) along coordinate d."""
    if t.is_complex() and not matrix.is_complex():
        return torch.complex(along(t.real, matrix, d), along(t.imag, matrix, d))
    moved = t.movedim(2 + d, -1).to(matrix.dtype)
    if len(matrix) == 1:
        found = moved @ matrix[0].T
    else:
        found = moved @ matrix.mT.reshape(len(matrix), *[1] * (t.ndim - 4), *matrix.mT.shape[1:])
    return found.movedim(-1, 2 + d)


def partial_derivatives(t: Tensor, tables: Sequence[Tensor]) -> Callable[[MultiIndex], Tensor]:
    """The derivatives at the places of combinations of products of functions.

    Args:
        t: the coefficients of b combinations, (b, m, n_0, …).
        tables: for each coordinate the functions' derivatives at the places by order,
            (orders, m or 1, q, n).

    Returns:
        A function of multi-indices with values (places, b·m), all fields of one combination after
        the other; the last coordinate is time, in which all derivatives vanish.
    """
    known: dict[MultiIndex, Tensor] = {(): t}

    def partial(index: MultiIndex) -> Tensor:
        if index not in known:
            *before, last = index
            d = len(before)
            known[index] = along(partial(tuple(before)), tables[d][last], d)
        return known[index]

    def derivative(index: MultiIndex) -> Tensor:
        *space, time = index
        found = partial(tuple(space) if not time else (0,) * len(space))
        flat = found.flatten(2).permute(2, 0, 1).flatten(1)
        return flat if not time else torch.zeros_like(flat)

    return derivative
