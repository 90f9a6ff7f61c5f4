"""Splines in one coordinate, and random functions: their integrals over elements, boundary
conditions, and direct linear systems.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.geometry.points import Batch
from kanpinn.geometry.rules import gauss_legendre
from kanpinn.jets import Channels, Jet
from kanpinn.loss.terms import ResidualTerm
from kanpinn.networks.surrogate import Surrogate
from kanpinn.spaces.evolution_terms import EvolutionTerms, initial_values
from kanpinn.spaces.galerkin import (
    LinearSystem,
    MatrixLayout,
    MomentsInTime,
    Solve,
    System,
    TermInSpace,
    TrialSpace,
    errors_of_waves,
    layout_of,
    lifetimes_of_waves,
)
from kanpinn.spaces.jets_in_time import powers_in_time
from kanpinn.spaces.windows import SeparableKAN


@dataclass(frozen=True, eq=False)
class ElementSpace(TrialSpace):
    """A trial space by elements, on each of which the same few functions do not vanish.

    A spline space has an element for each interval; functions that vanish nowhere have one element.
    There are E elements with q places each.

    Args:
        parts: the parts of the jets of the functions, (E, q, …, m or 1, local) each.
        index: the numbers of the functions of each element, (E, local).
        spread: for each coefficient of a network's output layer the number of its function, or, for
            functions that vanish nowhere, the matrix (coefficients, n) that gives them.
        intervals: whether each element is an interval of splines.
    """

    parts: tuple[Tensor, ...]
    index: Tensor
    spread: Tensor
    intervals: bool = False

    @cached_property
    def tests(self) -> Tensor:
        """The values of the functions times the weights, (E, q, m or 1, local)."""
        return self.parts[0] * self.weights[..., None, None]

    @cached_property
    def _joined(self) -> Tensor:
        """All parts of the jets, (E, q, parts, m or 1, local)."""
        flat = [part.flatten(2, -3) if part.ndim > 4 else part[:, :, None] for part in self.parts]
        return torch.cat(flat, dim=2)

    def jet(self, y: Tensor) -> Jet:
        found = self._combined(self._joined, y)
        parts, start = [], 0
        for part in self.parts:
            count = math.prod(shape := part.shape[2:-2])
            parts.append(found[:, start : start + count].unflatten(1, shape or (1,)))
            start += count
        parts[0] = parts[0][:, 0]
        return self.like.with_parts(parts)

    def values(self, y: Tensor) -> Tensor:
        return self._combined(self.parts[0][:, :, None], y)[:, 0]

    def _combined(self, functions: Tensor, y: Tensor) -> Tensor:
        """Σ_i y_i ψ_i, (places, parts, b·m), of functions (E, q, parts, m or 1, local)."""
        elements, q, rows, own, local = functions.shape
        if elements * own == 1:
            flat = y[:, self.index[0]].movedim(1, 0).flatten(1)  # (local, b·m)
            return (functions.reshape(q * rows, local) @ flat).view(q, rows, -1)
        near = y[:, self.index].permute(1, 3, 2, 0)  # (E, m, local, b)
        if own == 1:  # one set of functions for all fields
            flat = functions.reshape(elements, q * rows, local)
            found = torch.bmm(flat, near.permute(0, 2, 3, 1).reshape(elements, local, -1))
        else:
            flat = functions.permute(0, 3, 1, 2, 4).reshape(elements * own, q * rows, local)
            found = torch.bmm(flat, near.reshape(elements * own, local, -1))
            found = found.view(elements, own, q * rows, -1).permute(0, 2, 3, 1)
        return found.reshape(elements * q, rows, -1)

    def coefficients(self, y: Tensor) -> Tensor:
        return y[..., self.spread, :] if self.spread.ndim == 1 else self.spread @ y

    def by_functions(self, linearised: Tensor) -> list[Tensor]:
        """The linearised residuals of the functions, for derivatives of order r = 0, 1, 2 in time.

        linearised: see `TermInSpace.linearised`.

        Returns:
            For each r (equations, E, q, m, local), the derivatives by that of each coefficient.
        """
        fields = linearised.shape[-1]
        powers = [one.expand(-1, -1, -1, fields, -1) for one in self._powers]
        return [torch.einsum("geqpf,eqpfl->geqfl", linearised, one) for one in powers]

    @cached_property
    def _powers(self) -> list[Tensor]:
        """For r = 0, 1, 2 the jets of t^r / r! ψ at t = 0, (E, q, parts, m or 1, local)."""
        own = self.parts[0].shape[-2]
        flat = self.like.with_parts([part.flatten(-2).flatten(0, 1) for part in self.parts])
        jets = powers_in_time(flat, 2)
        found = [jet.stacked().unflatten(0, self.shape) for jet in jets]
        return [parts.unflatten(-1, (own, -1)) for parts in found]


@torch.no_grad()
def spline_space(
    surrogate: Surrogate, member: SeparableKAN, channels: Channels, periodic: bool
) -> ElementSpace:
    """The space of the splines of a KAN of one coordinate without hidden layers.

    Each interval has as many Gauss places as make the rule exact for the splines' degree, and all
    together have half as many again as there are functions: otherwise no error could be seen.

    Args:
        surrogate: gives the coordinates and the data that are built in.
        member: the network of a window, whose knots the space has.
        channels: the derivatives that are needed.
        periodic: whether the first splines go on as the last ones.
    """
    basis = member.layers[0].basis
    breaks, count, degree = basis.breaks[0], basis.intervals, basis.degree
    q = math.ceil(max((degree + 1) / 2, 1.5 * (1 + degree / count)))
    nodes, weights = (t.to(breaks) for t in gauss_legendre(q))
    widths = breaks.diff()
    xi = breaks[:-1, None] + widths[:, None] * nodes
    low, high = (corner.to(breaks) for corner in surrogate.domain.bounds)
    x = low[0] + (xi.flatten() + 1) / 2 * (high[0] - low[0])
    coords = torch.stack([x, torch.full_like(x, float(low[1]))], dim=1)
    weighted = widths[:, None] * weights * (high[0] - low[0]) / 2
    spread = torch.arange(basis.size)
    if periodic:
        spread = _folded(count)[spread % count]
    first = torch.arange(count)[:, None] + torch.arange(degree + 1)
    points = Points(coords, surrogate.domain.names)
    jets = _with_data(surrogate, points, _functions(surrogate, member, points, channels)[1])
    return replace(_space(points, weighted, jets, spread[first], spread), intervals=True)


def _folded(count: int) -> Tensor:
    """New numbers for functions around a circle, in which neighbours are at most two apart."""
    order = torch.stack([torch.arange(count), count - 1 - torch.arange(count)], dim=1).flatten()
    numbers = torch.empty(count, dtype=torch.long)
    numbers[order[:count]] = torch.arange(count)
    return numbers


@torch.no_grad()
def global_space(
    surrogate: Surrogate, member: SeparableKAN, points: Points, weights: Tensor, channels: Channels
) -> ElementSpace:
    """The space of a KAN whose functions vanish nowhere, such as that of random inner functions.

    Combinations of the functions that are orthonormal over the places are its basis; those that
    rounding cannot tell from zero are left out.

    Args:
        surrogate, member, channels: as for `spline_space`.
        points, weights: a quadrature rule in space, (P,).
    """
    small = 1e-12  # relative to the largest singular value
    _, functions = _functions(surrogate, member, points, channels)
    weighted = weights.sqrt()[:, None] * functions.value
    _, sizes, v = torch.linalg.svd(weighted, full_matrices=False)
    rank = int((sizes > small * sizes[0]).sum())
    spread = (v[:rank] / sizes[:rank, None]).T
    jets = _with_data(surrogate, points, functions.map(lambda t: t @ spread))
    return _space(points, weights[None], jets, torch.arange(rank)[None], spread)


@torch.no_grad()
def at_places(
    surrogate: Surrogate, member: SeparableKAN, points: Points, channels: Channels, spread: Tensor
) -> ElementSpace:
    """The functions of a space at single places, each of them an element.

    Args:
        surrogate, member, channels: as for `spline_space`.
        points: the places.
        spread: that of the space.
    """
    index, functions = _functions(surrogate, member, points, channels)
    if spread.ndim == 1:
        index = spread[index]
    else:
        functions = functions.map(lambda t: t @ spread)
        index = torch.arange(spread.shape[1]).expand(len(points), -1)
    jets = _with_data(surrogate, points, functions)
    return _space(points, torch.ones_like(points.coords[:, :1]), jets, index, spread)


@torch.no_grad()
def moment_space(surrogate: Surrogate, member: SeparableKAN, channels: Channels) -> ElementSpace:
    """The space without space: one place and the constant function, for equations in time alone."""
    low = surrogate.domain.bounds[0].to(surrogate.low)
    points = Points(low[None], surrogate.domain.names)
    _, jet = _functions(surrogate, member, points, channels)
    one = jet.map(lambda t: t.sum(dim=-1, keepdim=True))
    zero = torch.zeros(1, 1, dtype=torch.long)
    spread = torch.zeros(member.layers[0].basis.size, dtype=torch.long)
    jets = _with_data(surrogate, points, one)
    return _space(points, torch.ones_like(low[:1, None]), jets, zero, spread)


def _functions(
    surrogate: Surrogate, member: SeparableKAN, points: Points, channels: Channels
) -> tuple[Tensor, Jet]:
    """The functions of the output layer that do not vanish near each of n points.

    Behind hidden layers these are all functions.

    Returns:
        Their indices among the coefficients, (n, local), and their jets with `local` components.
    """
    h = member.places(surrogate.coordinates(points, channels))
    for layer in member.layers[:-1]:
        h = layer(h)
    basis, order = member.layers[-1].basis, max(1, channels.derivative_order)
    if member.width[0] == 1 and len(member.layers) == 1:
        index, values = basis.living(h.value, order)
    else:
        values = basis.values(h.value, order)
        index = torch.arange(basis.size).expand(*h.value.shape, -1)
    local = index.shape[-1]
    offset = torch.arange(index.shape[1])[:, None] * basis.size
    repeated = h.map(lambda t: t.repeat_interleave(local, dim=-1))
    jets = repeated.chain([t.flatten(1) for t in values.unbind(1)])
    return (index + offset).flatten(1), jets


def _with_data(surrogate: Surrogate, points: Points, functions: Jet) -> list[Jet]:
    """The jets of the functions times the factor D of each field, of one field if all have one."""
    if surrogate.output is None:
        return [functions]
    fields = surrogate.network.width[-1]
    zero = functions.map(lambda t: torch.zeros_like(t[..., :1].expand(*t.shape[:-1], fields)))
    one = zero + 1.0
    data = surrogate.output.apply(points, zero)
    factor = surrogate.output.apply(points, one) - data
    same = all(bool((t == t[..., :1]).all()) for t in factor.parts())
    return [factor[f] * functions for f in range(1 if same else fields)]


def _space(
    points: Points, weights: Tensor, jets: list[Jet], index: Tensor, spread: Tensor
) -> ElementSpace:
    shape = weights.shape
    both = zip(*(jet.parts() for jet in jets), strict=True)
    parts = tuple(torch.stack(same, dim=-2).unflatten(0, shape) for same in both)
    like = jets[0].map(lambda t: t[..., :1])
    size = int(spread.max()) + 1 if spread.ndim == 1 else spread.shape[1]
    return ElementSpace(points, weights, like, size, parts, index, spread)


Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Ties:
    """Conditions that tie some unknowns, and the tests of the equation that they replace.

    The linearised conditions determine as many of the unknowns `numbers` as they have independent
    rows. The equation is tested with those combinations of the functions that satisfy the
    conditions for zero data, so that the conditions hold exactly and the tests are as in a space
    whose functions satisfy them.

    Args:
        numbers: of the unknowns, (u,).
        kept: the combinations, orthonormal columns (u, u - c).
        rows: the combinations (c, r) of all rows of the conditions that are independent.
    """

    numbers: Array
    kept: Array
    rows: Array


def condition_rows(
    walls: Sequence[TermInSpace], unknowns: int, moments: MomentsInTime, states: Tensor
) -> list[Array]:
    """The linearised conditions for the derivatives of order r = 0, 1, … in time, (rows, n·m)."""
    by_order: list[list[Array]] = []
    for wall in walls:
        space = cast(ElementSpace, wall.space)
        index = space.index  # one place for each element
        columns = (index[:, :, None] * wall.fields + torch.arange(wall.fields)).flatten(1)
        for r, slopes in enumerate(space.by_functions(wall.linearised(moments, states))):
            entries = slopes[:, :, 0].transpose(-1, -2).flatten(2)  # (equations, places, columns)
            rows = entries.new_zeros(*entries.shape[:2], unknowns)
            rows.scatter_add_(2, columns.expand_as(entries), entries)
            rows = rows.unflatten(1, (-1, wall.term.sites)).sum(dim=2)
            by_order += [[]] * (r == len(by_order))
            by_order[r] = [*by_order[r], rows.transpose(0, 1).flatten(0, 1).numpy()]
    return [np.concatenate(one) for one in by_order]


def ties_of(conditions: Sequence[Array], rate: float, small: float = 1e-10) -> list[Ties]:
    """What linearised conditions tie.

    Args:
        conditions: their rows for the derivatives of order r in time, see `condition_rows`.
        rate: the size of a derivative in time, such as the inverse of a window's length.
        small: the relative size below which a combination of conditions is taken to hold anyway.

    Raises:
        InputError: for a row that ties no unknowns.
    """
    total = sum(rate**r * rows for r, rows in enumerate(conditions))
    total = total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-300)
    total[np.abs(total) < small] = 0
    if not total.any(axis=1).all():
        raise InputError(
            "march cannot impose a condition on walls that does not depend on the solution where "
            "it has its initial values"
        )
    found, left = [], set(range(len(total)))
    while left:
        group = {left.pop()}
        while True:  # all rows that share unknowns
            columns = total[sorted(group)].any(axis=0)
            more = {i for i in left if total[i, columns].any()}
            if not more:
                break
            group |= more
            left -= more
        rows, numbers = sorted(group), np.flatnonzero(columns)
        u, sizes, v = np.linalg.svd(total[rows][:, numbers])
        rank = int((sizes > small * sizes[0]).sum())
        combined = np.zeros((rank, len(total)))
        combined[:, rows] = u[:, :rank].T
        found.append(Ties(numbers, v[rank:].T, combined))
    return found


def check_places(ties: Sequence[Ties], walls: Sequence[ResidualTerm]) -> None:
    """Refuse fewer places at walls than conditions that the functions can violate."""
    enough = 0.8  # of the number of rows
    if any(len(tie.rows) > enough * tie.rows.any(axis=0).sum() for tie in ties):
        count = sum(wall.rows for wall in walls)
        raise InputError(
            f"march needs more than {count} places at walls for the network's functions: "
            "boundary in [points], or Collocation(boundary=…), must be larger"
        )


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
    def linear(self, linearised: Tensor, moments: MomentsInTime, states: Tensor) -> LinearSystem:
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

        def factored(rates: Sequence[complex]) -> Solve:
            total = rates[0] * found[0]
            for rate, one in zip(rates[1:], found[1:], strict=True):
                total = total + rate * one
            return self.layout.factored(total)

        return factored

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
        found = self._mass(self.tested(values[None])[0].numpy())
        return torch.from_numpy(found).view(self.space.size, self.fields)

    @cached_property
    def _mass(self) -> Solve:
        """The factored system of the integrals of products of two functions."""
        tests, own = self.space.tests, self.space.parts[0]
        mass = torch.einsum("eqmt,eqml->etlm", tests, own).expand(-1, -1, -1, self.fields)
        local = torch.diag_embed(mass).permute(0, 1, 3, 2, 4)
        return self.layout.factored(self.layout.assembled(local.flatten().numpy()))

    @torch.no_grad()
    def consistent(self, states: Tensor, time: float) -> Tensor:
        """The change is the least in the mean square over space.

        Conditions that contain derivatives in time say nothing about the first moment.
        """
        if not self.walls:
            return states
        passes = 3  # of Newton's method, for conditions that are not linear
        moments = MomentsInTime.first(time, self.order, self.highest)
        places = [wall.points(moments.times) for wall in self.walls]
        for _ in range(passes):
            whole = torch.cat([states, 0 * states[:1]])
            values, *later = condition_rows(self.walls, self.unknowns, moments, whole)
            own = values.any(axis=1) & ~np.any([one.any(axis=1) for one in later], axis=0)
            if not own.any():
                return states
            both = zip(self.walls, places, strict=True)
            misfits = [wall.residual(at, moments, whole).flatten() for wall, at in both]
            rows, right = values[own], torch.cat(misfits).numpy()[own]
            if not self.space.intervals:
                combined = np.concatenate([tie.rows[:, own] for tie in self.ties])
                rows, right = combined @ rows, combined @ right
            near = np.stack([self._mass(np.ascontiguousarray(row)) for row in rows], axis=1)
            change = near @ np.linalg.lstsq(rows @ near, right, rcond=1e-10)[0]
            first = states[:1] - torch.from_numpy(change).view_as(states[:1])
            states = torch.cat([first, states[1:]])
        return states


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
