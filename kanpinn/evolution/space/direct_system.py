"""Equations in a trial space that are solved directly; conditions at walls replace some tests."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kanpinn.evolution.space.consistent import consistent_states
from kanpinn.evolution.space.element_space import ElementSpace, at_places
from kanpinn.evolution.space.separable import SeparableKAN
from kanpinn.evolution.space.stage_matrices import Factor, Matrices, MatrixLayout, layout_of
from kanpinn.evolution.space.system import System
from kanpinn.evolution.space.term_in_space import MomentsInTime, TermInSpace
from kanpinn.evolution.space.ties import Ties, check_places, condition_rows, ties_of
from kanpinn.evolution.space.waves import errors_of_waves, lifetimes_of_waves
from kanpinn.evolution.terms.evolution_terms import EvolutionTerms, initial_values
from kanpinn.geometry.points import Batch
from kanpinn.networks.surrogate import Surrogate

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class DirectSystem(System):
    """A system with matrices that are factored.

    The unknowns are the coefficients y_if of function i and field f, number i·m + f; equation e
    tested with function i has the number i·m + e.

    Args:
        ties: what the conditions tie, see `ties_of`; one entry for each group of coupled unknowns.
    """

    ties: Sequence[Ties] = ()

    @property
    def space(self) -> ElementSpace:
        return cast(ElementSpace, self.interior.space)

    @cached_property
    def layout(self) -> MatrixLayout:
        reach = max((int(np.ptp(one.numbers)) for one in self.ties), default=0)
        return layout_of(self.space.index, self.fields, self.unknowns, reach)

    @torch.no_grad()
    def residual(self, points: Sequence[Batch], moments: MomentsInTime, states: Tensor) -> Array:
        inside, *outside = points
        both = zip(self.walls, outside, strict=True)
        conditions = [wall.residual(at, moments, states) for wall, at in both]
        found = self.interior.residual(inside, moments, states)
        return self.imposed(found, conditions, states)

    def imposed(self, residual: Tensor, conditions: Sequence[Tensor], values: Tensor) -> Array:
        found = self.tested(residual).numpy()
        if self.ties:
            rows = np.concatenate([one.flatten(1).numpy() for one in conditions], axis=1)
            for one in self.ties:
                tests = found[:, one.numbers] @ one.kept
                found[:, one.numbers] = np.hstack([rows @ one.rows.T, tests])
        return found

    def tested(self, residual: Tensor) -> Tensor:
        """The integrals over space of residuals (k, places, m) times all functions, (k, n·m)."""
        tests, index = self.space.tests, self.space.index
        local = torch.einsum("eqml,keqm->kelm", tests, residual.unflatten(1, self.space.shape))
        found = residual.new_zeros(len(residual), self.space.size, residual.shape[2])
        found.index_add_(1, index.flatten(), local.flatten(1, 2))
        return found.flatten(1)

    @torch.no_grad()
    def linear(self, linearised: Tensor, moments: MomentsInTime, states: Tensor) -> Matrices:
        found = []
        slopes = self.space.by_functions(linearised)[: self.order + 1]
        tests = self.space.tests.expand(-1, -1, len(slopes[0]), -1)
        for one in slopes:
            local = torch.einsum("eqgt,geqfl->etglf", tests, one)
            found.append(self.layout.assembled(local.flatten().numpy()))
        if self.ties:
            conditions = condition_rows(self.walls, self.unknowns, moments, states)
            for matrix, rows in zip(found, conditions, strict=False):
                for tie in self.ties:
                    kept = tie.kept.T @ self.layout.rows(matrix, tie.numbers)
                    self.layout.replace(matrix, tie.numbers, np.vstack([tie.rows @ rows, kept]))
        return Matrices(found, self.layout)

    @torch.no_grad()
    def element_errors(self, linearised: Tensor, residual: Tensor, rate: float) -> Tensor:
        sizes = residual.unflatten(1, self.space.shape).square().mean(dim=2).sqrt()
        channels, mean = self.space.like.channels, linearised.mean(dim=2)
        dim, measure = channels.dim - 1, self.space.weights.sum(dim=1)
        if not dim:
            return sizes.new_zeros(len(sizes), 0)
        if self.space.intervals:
            wave = 2j * torch.pi / measure
            return errors_of_waves(channels, mean, 0, wave, rate, sizes)
        wave = 2j * torch.pi / (measure / self.space.size) ** (1 / dim)
        along = [errors_of_waves(channels, mean, d, wave, rate, sizes) for d in range(dim)]
        return torch.stack(along).amax(dim=0)

    @torch.no_grad()
    def lifetimes(self, linearised: Tensor) -> Tensor:
        if self.order > 1 or not self.space.intervals:
            return super().lifetimes(linearised)
        wave = 2j * torch.pi / self.space.weights.sum(dim=1)
        return lifetimes_of_waves(self.space.like.channels, linearised.mean(dim=2), 0, wave)

    @property
    def shares(self) -> Tensor:
        widths = self.space.weights.sum(dim=1)
        return widths / widths.sum()

    def by_elements(self, values: Tensor) -> Tensor:
        return values.unflatten(0, self.space.shape).square().sum(dim=2).mean(dim=1).sqrt()

    def raised(self, values: Tensor, missing: Tensor) -> Tensor:
        if not self.space.intervals:
            return super().raised(values, missing)
        by_element = values.unflatten(0, self.space.shape)
        signs = torch.where(by_element.mean(dim=1, keepdim=True) < 0, -1.0, 1.0)
        amounts = missing[:, None, None] / self.fields**0.5
        return (by_element + signs * amounts).flatten(0, 1)

    @torch.no_grad()
    def projection(self, values: Tensor) -> Tensor:
        found = self._mass.solve(self.tested(values[None])[0].numpy())
        return torch.from_numpy(found).view(self.space.size, self.fields)

    @cached_property
    def _mass(self) -> Factor:
        """The factors of the integrals of products of two functions."""
        tests, own = self.space.tests, self.space.parts[0]
        mass = torch.einsum("eqmt,eqml->etlm", tests, own).expand(-1, -1, -1, self.fields)
        local = torch.diag_embed(mass).permute(0, 1, 3, 2, 4)
        return self.layout.factored(self.layout.assembled(local.flatten().numpy()))

    @torch.no_grad()
    def consistent(self, states: Tensor, time: float) -> Tensor:
        if not self.walls:
            return states
        moments = MomentsInTime.first(time, self.order, self.highest)
        rows = partial(condition_rows, self.walls, self.unknowns, moments)
        combined = None if self.space.intervals else [tie.rows for tie in self.ties]
        return consistent_states(states, self.walls, moments, rows, self._mass.solve, combined)


def direct_system(
    surrogate: Surrogate,
    terms: EvolutionTerms,
    member: SeparableKAN,
    space: ElementSpace,
    order: int,
) -> DirectSystem:
    """The equations in a trial space, with the conditions at walls.

    Args:
        surrogate: the solution.
        terms: the equation and the conditions.
        member: a network of a window with the functions of the space.
        space: the functions.
        order: of the equation in time.
    """
    interior = TermInSpace(surrogate, terms.equation, space)
    walls = []
    for term in terms.walls:
        places = at_places(surrogate, member, term.points, term.channels, space.spread)
        walls.append(TermInSpace(surrogate, term, places))
    made = DirectSystem(interior, walls, order)
    if not walls:
        return made
    start = float(surrogate.domain.bounds[0][-1])
    moments = MomentsInTime.first(start, order, made.highest)
    points = interior.points(moments.times)
    wanted = initial_values(terms.initial, points, made.fields)[:order]
    data = interior.data(points)
    known = [data.value] + ([data.gradient[:, -1]] if order == 2 else [])  # type: ignore[index]
    both = zip(wanted, known, strict=True)
    states = torch.stack([made.projection(value - one) for value, one in both])
    rows = condition_rows(walls, made.unknowns, moments, torch.cat([states, 0 * states[:1]]))
    if space.intervals or not member.in_space:
        return DirectSystem(interior, walls, order, ties_of(rows, 1.0))
    # Of functions that vanish nowhere many combinations hardly differ from zero at the walls. From
    # 1e-8 to 1e-4 errors on disks were the same; with 1e-10 they grew by many digits.
    ties = ties_of(rows, 1.0, small=1e-6)
    check_places(ties, terms.walls)
    return DirectSystem(interior, walls, order, ties)
