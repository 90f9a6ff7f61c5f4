"""Equations in a product space, whose linear systems are solved by iterations."""

import math
from collections.abc import Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import torch
from numpy.typing import NDArray
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.evolution.space.axes import Axis, free_axis, tied_axis
from kanpinn.evolution.space.product_solve import ProductOperators, operators_of
from kanpinn.evolution.space.product_space import ProductSpace
from kanpinn.evolution.space.sides import SideCondition, side_conditions
from kanpinn.evolution.space.system import System
from kanpinn.evolution.space.term_in_space import MomentsInTime, TermInSpace
from kanpinn.evolution.space.waves import errors_of_waves, lifetimes_of_waves
from kanpinn.evolution.terms.evolution_terms import EvolutionTerms
from kanpinn.geometry import Points
from kanpinn.geometry.points import Batch
from kanpinn.geometry.rules import tensor_grid
from kanpinn.jets import Coordinates
from kanpinn.networks.basis import BSplines
from kanpinn.networks.surrogate import Surrogate

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class ProductSystem(System):
    """A system in a product space. Conditions on sides of the box prescribe some of the unknowns.

    Args:
        sides: for each field and coordinate the conditions on its sides, in the order of the first
            functions of the axis.
    """

    sides: Sequence[Sequence[Sequence[SideCondition]]] = ()

    @property
    def space(self) -> ProductSpace:
        return cast(ProductSpace, self.interior.space)

    @torch.no_grad()
    def residual(self, points: Sequence[Batch], moments: MomentsInTime, states: Tensor) -> Array:
        (inside,) = points
        values = torch.tensordot(moments.rates[0], states, dims=1)
        if bool(self.prescribed.any()):
            values = values - self._on_sides(moments.times)
        return self.imposed(self.interior.residual(inside, moments, states), (), values)

    def imposed(self, residual: Tensor, conditions: Sequence[Tensor], values: Tensor) -> Array:
        found = self.space.tested(residual)
        return torch.where(self.prescribed, values, found).flatten(1).numpy()

    @cached_property
    def prescribed(self) -> Tensor:
        """Which of the unknowns conditions on sides prescribe, (n, m)."""
        space = self.space
        found = torch.zeros(*space.sizes, self.fields, dtype=torch.bool)
        for f, by_axis in enumerate(self.sides):
            for d, some in enumerate(by_axis):
                found[..., f].narrow(d, 0, len(some))[...] = True
        return found.flatten(0, -2)

    def _on_sides(self, times: Tensor) -> Tensor:
        """The prescribed unknowns at k times, (k, n, m), and zeros."""
        space = self.space
        found = torch.zeros(len(times), *space.sizes, self.fields).double()
        for f, by_axis in enumerate(self.sides):
            axes = space.axes[f % len(space.axes)]
            for d, some in reversed(list(enumerate(by_axis))):  # the first coordinate's go before
                others = [axis for number, axis in enumerate(axes) if number != d]
                for number, side in enumerate(some):
                    data = side.data(times).unflatten(1, tuple(len(o.weights) for o in others))
                    for place, other in enumerate(others):
                        data = (data.movedim(1 + place, -1) @ other.projection.T).movedim(
                            -1, 1 + place
                        )
                    found[..., f].select(1 + d, number)[...] = data
        return found.flatten(1, -2)

    @torch.no_grad()
    def linear(
        self, linearised: Tensor, moments: MomentsInTime, states: Tensor
    ) -> ProductOperators:
        return operators_of(self.space, self.prescribed, linearised[:, 0], self.order)

    @torch.no_grad()
    def consistent(self, states: Tensor, time: float) -> Tensor:
        known = self._on_sides(torch.tensor([time]).double())
        return torch.cat([torch.where(self.prescribed, known, states[:1]), states[1:]])

    def projection(self, values: Tensor) -> Tensor:
        return self.space.projection(values[None])[0]

    @torch.no_grad()
    def element_errors(self, linearised: Tensor, residual: Tensor, rate: float) -> Tensor:
        space, found = self.space, []
        for d, axis in enumerate(space.line):
            mean, wave = self._along(linearised, d), axis.shortest_waves
            sizes = self._by_intervals(self._left(residual, d), d).sqrt()
            found.append(errors_of_waves(space.like.channels, mean, d, wave, rate, sizes))
        return torch.cat(found, dim=1)

    def _along(self, linearised: Tensor, d: int) -> Tensor:
        """The linearised equation in the mean over each interval of a coordinate."""
        line, slopes = self.space.line, linearised[:, 0].unflatten(1, self.space.grid)
        others = [1 + number for number in range(len(line)) if number != d]
        means = torch.tensordot(slopes.mean(dim=others), line[d].means, ([1], [1]))
        return means.movedim(-1, 1)

    @torch.no_grad()
    def lifetimes(self, linearised: Tensor) -> Tensor:
        if self.order > 1:
            return super().lifetimes(linearised)
        space, found = self.space, []
        for d, axis in enumerate(space.line):
            mean, wave = self._along(linearised, d), axis.shortest_waves
            found.append(lifetimes_of_waves(space.like.channels, mean, d, wave))
        return torch.cat(found)

    def by_elements(self, values: Tensor) -> Tensor:
        found = [
            self._by_intervals(self._left(values[None], d), d).sum(dim=2).sqrt()[0]
            for d in range(len(self.space.line))
        ]
        return torch.cat(found)

    def _left(self, values: Tensor, d: int) -> Tensor:
        """What the L2 projection along a coordinate leaves of values (k, places, m)."""
        there = values.unflatten(1, self.space.grid).movedim(1 + d, -1)
        return (there @ self.space.line[d].remainder.T).movedim(-1, 1 + d)

    def _by_intervals(self, values: Tensor, d: int) -> Tensor:
        """The mean squares of values (k, grid…, m) in the intervals of a coordinate, (k, G, m)."""
        line = self.space.line
        others = [1 + number for number in range(len(line)) if number != d]
        return line[d].means @ values.square().mean(dim=others)

    @property
    def shares(self) -> Tensor:
        return torch.cat([axis.shares for axis in self.space.line])


def product_system(
    surrogate: Surrogate,
    terms: EvolutionTerms,
    splines: Sequence[BSplines],
    around: Set[int],
    order: int,
) -> ProductSystem:
    """The equations in a box, with the conditions on its sides.

    Args:
        surrogate: the solution.
        terms: the equation and the conditions.
        splines: of each coordinate in space.
        around: the numbers of the coordinates that go around a circle.
        order: of the equation in time.

    Raises:
        InputError: for a condition that products of splines cannot satisfy.
    """
    low, high = (corner.tolist() for corner in surrogate.domain.bounds)
    fields, channels = surrogate.network.width[-1], terms.equation.channels
    line = [free_axis(basis, low[d], high[d], d in around) for d, basis in enumerate(splines)]
    sides = [
        side
        for term in terms.walls
        for side in side_conditions(term, line, fields, high[-1] - low[-1])
    ]
    by_field = [
        [[side for side in sides if side.field == f and side.axis == d] for d in range(len(line))]
        for f in range(fields)
    ]
    axes = [
        [_tied(axis, some) for axis, some in zip(line, by_axis, strict=True)]
        for by_axis in by_field
    ]
    kinds = {tuple((s.axis, s.end, s.factors) for some in own for s in some) for own in by_field}
    places = tensor_grid([axis.places for axis in line])
    coords = torch.cat([places, torch.full_like(places[:, :1], low[-1])], dim=1)
    like = Coordinates(channels, coords, torch.ones_like(coords[0])).dense()
    space = ProductSpace(
        places=Points(coords, surrogate.domain.names),
        weights=tensor_grid([axis.weights for axis in line]).prod(dim=1)[None],
        like=like.map(lambda t: t[..., :1].contiguous()),
        size=math.prod(axis.size for axis in line),
        axes=axes[:1] if len(kinds) == 1 else axes,
    )
    interior = TermInSpace(surrogate, terms.equation, space)
    return ProductSystem(interior, (), order, by_field)


def _tied(axis: Axis, sides: Sequence[SideCondition]) -> Axis:
    """The functions of a coordinate, combined for the conditions of one field on its sides."""
    if not sides:
        return axis
    rows = torch.stack([side.functional(axis) for side in sides])
    if int(torch.linalg.matrix_rank(rows)) < len(rows):
        where = sorted({side.end for side in sides})
        raise InputError(
            f"the conditions at {', '.join(f'{end:g}' for end in where)} prescribe the same "
            "quantity twice, or more than the splines of one coordinate can satisfy"
        )
    return tied_axis(axis, rows)
