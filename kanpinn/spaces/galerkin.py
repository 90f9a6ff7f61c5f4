"""Galerkin's method in space for an evolution equation that is solved in windows of time.

A window is a span of time that is solved at once. In it each coefficient of a basis function of
space is a polynomial in time. `TrialSpace` has the basis functions at the quadrature points in
space (called places, since points have a time too), `TermInSpace` one equation or boundary
condition there, and `System` the tested equations and their linear systems. The basis functions are
splines in one coordinate, random functions of hidden layers, or a constant for equations in time
alone; products of splines are in `products.py`.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Generic, Self, TypeVar

import numpy as np
import torch
from scipy.linalg import get_lapack_funcs
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.geometry.points import Batch
from kanpinn.geometry.rules import gauss_legendre
from kanpinn.jets import Channels, Jet, Linearised, parts_of_wave
from kanpinn.loss.terms import ResidualTerm
from kanpinn.networks.surrogate import Surrogate
from kanpinn.spaces.evolution_terms import EvolutionTerms, initial_values
from kanpinn.spaces.jets_in_time import at_times, in_time, powers_in_time
from kanpinn.spaces.time_schemes import Array, at_moments, stages
from kanpinn.spaces.windows import SeparableKAN


@dataclass(frozen=True, eq=False)
class TrialSpace(ABC):
    """A trial space: n basis functions ψ_i of space, and m fields u_f = g_f + Σ_i y_if ψ_if.

    The functions g_f are boundary data that are built into the solution; without them g_f = 0.
    Integrals over space are sums over the points of a quadrature rule.

    Args:
        places: the quadrature points in space, as points in space and time at an arbitrary time.
        weights: the weights of the rule, (E, q) for E elements with q points each.
        like: any jet at the quadrature points; it says which derivatives jets of this space carry.
        size: the number of functions n.
        fields: the number of fields m.
        intervals: whether the functions are splines on intervals.
    """

    places: Points
    weights: Tensor
    like: Jet
    size: int
    fields: int
    intervals: bool = field(default=True, kw_only=True)

    @abstractmethod
    def jet(self, y: Tensor) -> Jet:
        """The values and derivatives of b functions Σ_i y_i ψ_i at the quadrature points.

        Args:
            y: the coefficients of the b functions for each of m fields, (b, n, m).

        Returns:
            A jet with b·m components: the m fields of the first function, then those of the second,
            and so on.
        """

    @abstractmethod
    def values(self, y: Tensor) -> Tensor:
        """The values of b functions Σ_i y_i ψ_i at the quadrature points, (places, b·m).

        The arguments and the order of the components are those of `jet`.
        """

    @abstractmethod
    def coefficients(self, y: Tensor) -> Tensor:
        """The coefficients of the network's output layer for functions Σ_i y_i ψ_i.

        Args:
            y: the coefficients of the functions ψ_i, (…, n, m).

        Returns:
            The coefficients, (…, coefficients, m).
        """


def errors_of_waves(
    channels: Channels, linearised: Tensor, axis: int, wave: Tensor, rate: float, sizes: Tensor
) -> Tensor:
    """The sizes of waves e^(ω x) e^(rate t) whose linearised residuals have given sizes.

    The wave stands for the unknown error of a solution. A wave with the amplitudes a of the m
    fields has the residuals S a, with one matrix S for each interval of the coordinate. The result
    is |S⁺| times the sizes of the residuals, with the pseudo-inverse S⁺. It is infinite if an entry
    of any S is not finite.

    Args:
        channels: the derivatives in the jets, with time as the last coordinate.
        linearised: the derivatives of the residuals by the values and derivatives (the parts) of
            the fields, averaged over each of G intervals, (equations, G, parts, m).
        axis: the index of the coordinate along which the wave varies.
        wave: ω in each interval, imaginary, (G,).
        rate: the rate of the change in time.
        sizes: the root mean squares of the residuals at k times, (k, G, equations).

    Returns:
        The root mean squares of the waves, of all fields together, (k, G).
    """
    symbols = _symbols(channels, linearised, axis, wave, rate)
    if not bool(symbols.isfinite().all()):
        return torch.full_like(sizes[..., 0], math.inf)
    return torch.einsum("emg,keg->kem", torch.linalg.pinv(symbols).abs(), sizes).norm(dim=2)


def lifetimes_of_waves(channels: Channels, linearised: Tensor, axis: int, wave: Tensor) -> Tensor:
    """For each interval the time in which the square of a wave e^(ω x) falls by the factor e, (G,).

    The linearised equation, of first order in time, damps waves in space at certain rates. With
    several fields there are several rates, and the smallest counts. The time is infinite if the
    equation does not damp the wave. The arguments are those of `errors_of_waves`.
    """
    small = 1e-12  # the relative size of a rate that is rounding
    still, moving = (_symbols(channels, linearised, axis, wave, rate) for rate in (0.0, 1.0))
    if not bool(still.isfinite().all() & moving.isfinite().all()):
        return torch.full_like(wave.real, math.inf)
    rates = torch.linalg.eigvals(torch.linalg.pinv(moving - still) @ still)
    damping = rates.real.amin(dim=1)
    return torch.where(damping > small * rates.abs().amax(dim=1), 1 / (2 * damping), math.inf)


def _symbols(
    channels: Channels, linearised: Tensor, axis: int, wave: Tensor, rate: float
) -> Tensor:
    """The linearised residuals of waves e^(ω x) e^(rate t) with amplitude 1 in one of m fields.

    The result, (G, equations, m), has the matrices S of `errors_of_waves`, which also describes the
    arguments.
    """
    kappa = wave.new_zeros(len(wave), channels.dim)
    kappa[:, axis], kappa[:, -1] = wave, rate
    return torch.einsum("gp,egpm->gem", parts_of_wave(channels, kappa), linearised.to(wave))


Solve = Callable[[Array], Array]  # right-hand side (unknowns,) → solution
# A function that maps the powers c_r = μ^r, for solutions that change like e^(μt), to the solver of
# the factored system Σ_r c_r K_r. The matrix K_r belongs to the derivatives of order r in time.
# LinAlgError is raised if the system is singular.
LinearSystem = Callable[[Sequence[complex]], Solve]


@dataclass(frozen=True)
class MatrixLayout:
    """The storage of a sparse matrix whose entries couple the functions of each element.

    The matrix is stored as a band matrix in LAPACK's layout, or densely where the band is wide.

    Args:
        unknowns: the number of rows and of columns.
        width: the number of diagonals on either side of the main diagonal; None for dense matrices.
        slots: for each entry of all element matrices, its index in the flattened stored matrix.
    """

    unknowns: int
    width: int | None
    slots: Array

    def assembled(self, entries: Array) -> Array:
        """Assemble the element matrices: add up their entries in the stored matrix, and return it.

        Args:
            entries: the entries of all element matrices, one for each index in `slots`.
        """
        rows = self.unknowns if self.width is None else 3 * self.width + 1
        return np.bincount(self.slots, entries, rows * self.unknowns).reshape(rows, -1)

    def tie(self, matrix: Array, tie: "Ties", conditions: Array) -> None:
        """Impose boundary conditions on a stored matrix: replace the rows of u unknowns.

        The first c of the u rows become `tie.rows @ conditions`, and the other u - c rows become
        `tie.kept.T` times the old u rows. Entries outside a stored band are not used.

        Args:
            matrix: the stored matrix, which is changed.
            tie: the u unknowns, and how their rows are combined.
            conditions: the linearised boundary conditions, (rows, unknowns).
        """
        numbers, w = tie.numbers[:, None], self.width
        reach = np.arange(self.unknowns) if w is None else np.arange(-w, w + 1) + numbers
        row, column = np.broadcast_arrays(np.arange(len(numbers))[:, None], reach)
        inside = (column >= 0) & (column < self.unknowns)
        slot = (numbers if w is None else 2 * w + numbers - column) * self.unknowns + column
        row, column, slot = row[inside], column[inside], slot[inside]
        rows = np.zeros((len(numbers), self.unknowns), matrix.dtype)
        rows[row, column] = np.take(matrix, slot)
        rows = np.vstack([tie.rows @ conditions, tie.kept.T @ rows])
        np.put(matrix, slot, rows[row, column])

    def factored(self, matrix: Array) -> Solve:
        """Factor a stored matrix, real or complex, and return the function that solves with it.

        Raises:
            LinAlgError: if the matrix is singular.
        """
        width, kind = self.width, "ge" if self.width is None else "gb"
        factor, solve = get_lapack_funcs((kind + "trf", kind + "trs"), (matrix,))
        lu, pivots, info = factor(matrix) if width is None else factor(matrix, width, width)
        if info:
            raise np.linalg.LinAlgError("a stage's matrix is singular")
        if width is None:
            return lambda right: solve(lu, pivots, right)[0]
        return lambda right: solve(lu, width, width, right, pivots)[0]


@dataclass(frozen=True, eq=False)
class MomentsInTime:
    """k times in a window of time, with a window's polynomials in time and their derivatives there.

    Args:
        times: the k times, (k,).
        rates: for each order of the derivative, from 0, the values of the b polynomials, (k, b).
            They are the basis of `kanpinn.spaces.time_schemes.at_moments`.
    """

    times: Tensor
    rates: Sequence[Tensor]

    @classmethod
    def of(cls, times: Array, rates: Sequence[Array]) -> Self:
        """Convert numpy arrays: the times, (k,), and the rates, (k, b) for each order."""
        return cls(torch.from_numpy(times), [torch.from_numpy(rate) for rate in rates])


Space = TypeVar("Space", bound=TrialSpace)


@dataclass(frozen=True, eq=False)
class TermInSpace(Generic[Space]):
    """An equation, or a condition on the boundary, at the quadrature points of a trial space.

    Args:
        surrogate: the solution, which has the boundary data that are built in.
        term: the equation or condition. A condition that compares several points, such as a
            periodic one, needs `term.sites` consecutive points for one residual, otherwise 1.
        space: the basis functions at the points.
    """

    surrogate: Surrogate
    term: ResidualTerm
    space: Space

    @torch.no_grad()
    def data(self, points: Points) -> Jet:
        """The values and derivatives of the boundary data g that are built into the solution.

        They are a jet with m components. It is zero if no data are built in.

        Args:
            points: the points in space and time.
        """
        like = self.space.like.map(
            lambda t: t.new_zeros(()).expand(len(points), *t.shape[1:-1], self.space.fields)
        )
        output = self.surrogate.output
        return like if output is None else output.apply(points, like)

    def jet(self, points: Batch, moments: MomentsInTime, states: Tensor) -> Jet:
        """The values and derivatives of the m fields at all quadrature points and k times.

        Args:
            points: the quadrature points at each of the times, (k·places), time by time.
            moments: the k times.
            states: the coefficients of the b polynomials in time for each basis function, (b, n,
                m).
        """
        known = points.once("data", lambda: self.data(points))
        return in_time(self.space.jet(states), moments.rates, self.space.fields) + known

    def residual(self, points: Batch, moments: MomentsInTime, states: Tensor) -> Tensor:
        """The residuals at all quadrature points and k times, (k, rows, equations).

        Args:
            points: the quadrature points at each of the times, (k·places), time by time.
            moments: the k times.
            states: the coefficients of the b polynomials in time for each basis function, (b, n,
                m).
        """
        rows = self.term.equation(points, self.jet(points, moments, states))
        return rows.view(len(moments.times), -1, rows.shape[1])

    def linearised(self, moments: MomentsInTime, states: Tensor) -> Tensor:
        """The derivatives of the residuals by the values and derivatives (the parts) of the fields.

        Args:
            moments: the one time at which the term is linearised.
            states: the coefficients of the b polynomials in time for each basis function, (b, n,
                m).

        Returns:
            The derivatives, (equations, E, q, parts, m), at q quadrature points in each of E
            elements.
        """
        points = at_times(self.space.places, moments.times)
        slopes = Linearised.at(self.term.equation, points, self.jet(points, moments, states)).slopes
        return slopes.movedim(1, 0).contiguous().unflatten(1, self.space.weights.shape)


@dataclass(frozen=True, eq=False)
class System(ABC, Generic[Space]):
    """An evolution equation, tested with a trial space's functions, and its boundary conditions.

    At each time the unknowns are the coefficients y of n functions for m fields.

    Args:
        interior: the equation in the trial space.
        boundary: the boundary conditions that are not built in, at single points of the boundary.
        order: the order of the equation in time, 1 or 2.
    """

    interior: TermInSpace[Space]
    boundary: Sequence[TermInSpace[Space]]
    order: int

    @property
    def space(self) -> Space:
        """The trial space of the equation."""
        return self.interior.space

    @property
    def highest(self) -> int:
        """The highest order of derivatives in time for which `MomentsInTime` needs values."""
        terms = (self.interior, *self.boundary)
        return max(self.order, *(term.term.channels.derivative_order for term in terms))

    def points(self, moments: MomentsInTime) -> list[Batch]:
        """The points of the equation, then of each boundary condition, at k times.

        Each entry of the list has k·places points, time by time.

        Args:
            moments: the k times.
        """
        terms = (self.interior, *self.boundary)
        return [at_times(term.space.places, moments.times) for term in terms]

    def at_start(self, time: float, state: Tensor) -> tuple[MomentsInTime, Tensor]:
        """Coefficients of polynomials in time that have a given value and rate at one time.

        The values of these polynomials at other times do not matter.

        Args:
            time: the time.
            state: the value and, for second order, the rate, (order, n, m).

        Returns:
            The time, and the coefficients of the polynomials, (order + 1, n, m).
        """
        rates = at_moments(stages(1), np.zeros(1), 1.0, self.order, self.highest)
        moments = MomentsInTime.of(np.array([time]), rates)
        return moments, torch.cat([state, torch.zeros_like(state[:1])])

    @abstractmethod
    def residual(self, points: Sequence[Batch], moments: MomentsInTime, states: Tensor) -> Array:
        """The residuals of the tested equation and of the boundary conditions at k times, (k, n·m).

        They are the right-hand sides for steps of Newton's method, whose matrices `linear` gives.
        Where a boundary condition determines an unknown, its residual replaces the tested equation.

        Args:
            points: the points of the equation and of each condition at the k times, as the method
                `points` returns them.
            moments: the k times.
            states: the coefficients of the b polynomials in time, (b, n, m).
        """

    @abstractmethod
    def imposed(self, residual: Tensor, conditions: Sequence[Tensor], values: Tensor) -> Array:
        """The right-hand sides of Newton steps, from residuals at points, (k, n·m).

        They are the residuals of the equation, tested with all functions. Where a boundary
        condition determines an unknown, its residual replaces the tested equation.

        Args:
            residual: the residual of the equation at k times, (k, places, m).
            conditions: the residual of each condition in `boundary`, (k, rows, equations).
            values: the residuals of conditions that prescribe single unknowns, (k, n, m). Only
                `ProductSystem` uses them.
        """

    @abstractmethod
    def linear(self, linearised: Tensor, moments: MomentsInTime, states: Tensor) -> LinearSystem:
        """The linear systems Σ_r c_r K_r of the linearised equation and boundary conditions.

        K_r is the matrix of the terms with derivatives of order r in time. The result is a function
        of the sequence of the c_r; it returns a function that solves the system.

        Args:
            linearised: the derivatives of the equation's residuals, (equations, E, q, parts, m), as
                `TermInSpace.linearised` returns them.
            moments: the one time at which the boundary conditions are linearised.
            states: the coefficients of the b polynomials in time, (b, n, m).
        """

    @abstractmethod
    def projection(self, values: Tensor) -> Tensor:
        """The coefficients of the L2 projection of m functions onto the trial space, (n, m).

        Args:
            values: the values of the functions at the quadrature points, (places, m).
        """

    def initial(self, terms: Sequence[ResidualTerm]) -> tuple[Tensor, Tensor]:
        """Project the initial values, minus built-in boundary data, onto the trial space.

        Args:
            terms: the initial conditions.

        Returns:
            The coefficients of the value and, for second order, the rate, (order, n, m); and the
            values and rates before the projection at the quadrature points, (order, places, m).
        """
        points = at_times(self.space.places, self.space.places.coords[:1, -1])
        data, initial = self.interior.data(points), initial_values(terms, points, self.space.fields)
        known = [data.value] + ([data.gradient[:, -1]] if self.order == 2 else [])  # type: ignore[index]
        values = initial[: self.order] - torch.stack(known)
        return torch.stack([self.projection(value) for value in values]), values

    def consistent(self, states: Tensor, time: float) -> Tensor:
        """Change states as little as possible so that boundary conditions hold at the start.

        Initial values that contradict the boundary conditions would leave an error as large as the
        contradiction in the first window of time, however short it is. By default the states are
        returned unchanged.

        Args:
            states: the coefficients of the value and, for second order, the rate, (order, n, m).
                The rate is not changed.
            time: the initial time.
        """
        return states

    @abstractmethod
    def waves(self, linearised: Tensor) -> list[tuple[int, Tensor, Tensor]]:
        """The waves e^(ω x) that stand for the error in space along each coordinate.

        Their period is the width of an interval of splines. For other functions it is the mean
        distance of n points, for n functions. ω is 2πi divided by the period.

        Args:
            linearised: the derivatives of the residuals, (equations, E, q, parts, m), as
                `TermInSpace.linearised` returns them.

        Returns:
            For each coordinate its index, the derivatives of the residuals averaged over each of G
            intervals, (equations, G, parts, m), and ω in each interval, (G,).
        """

    @abstractmethod
    def sizes(self, residual: Tensor, axis: int) -> Tensor:
        """The root mean squares of residuals in each of the G intervals of a coordinate, (k, G, e).

        For products of splines, only the part of the residual counts that the splines do not
        represent.

        Args:
            residual: the residuals of e equations at k times, (k, places, e).
            axis: the index of the coordinate.
        """

    @torch.no_grad()
    def element_errors(self, linearised: Tensor, residual: Tensor, rate: float) -> Tensor:
        """Estimate the error in space in each interval from the residual, as root mean squares.

        The error of splines is taken to be a wave with a period of one interval. Its size follows
        from the residual, which is the linearised equation applied to the error. The error of other
        functions is taken to be a wave as short as the mean distance of n points, for n functions.

        Args:
            linearised: the derivatives of the residuals, (equations, E, q, parts, m), as
                `TermInSpace.linearised` returns them.
            residual: the residual of the equation at k times, (k, places, equations).
            rate: the rate at which the error changes in time like e^(rate t).

        Returns:
            The errors of all fields together, (k, intervals), for the intervals of all coordinates,
            one coordinate after another. Functions that are not splines have one interval, with the
            largest error of all coordinates. Without space the result is (k, 0).
        """
        channels, errors = self.space.like.channels, []
        for axis, mean, wave in self.waves(linearised):
            sizes = self.sizes(residual, axis)
            errors.append(errors_of_waves(channels, mean, axis, wave, rate, sizes))
        if not errors:
            return residual.new_zeros(len(residual), 0)
        return torch.cat(errors, dim=1) if self.space.intervals else torch.stack(errors).amax(dim=0)

    @torch.no_grad()
    def lifetimes(self, linearised: Tensor) -> Tensor:
        """For each interval of splines, the time in which the equation damps an error there.

        In this time the squared error falls by the factor e, (intervals,). The time is infinite for
        equations of second order in time, and for functions that are not splines.

        Args:
            linearised: the derivatives of the residuals, (equations, E, q, parts, m), as
                `TermInSpace.linearised` returns them.
        """
        if self.order > 1 or not self.space.intervals:
            return torch.full_like(self.shares, math.inf)
        channels, waves = self.space.like.channels, self.waves(linearised)
        return torch.cat([lifetimes_of_waves(channels, mean, d, wave) for d, mean, wave in waves])

    @abstractmethod
    def by_elements(self, values: Tensor) -> Tensor:
        """The root mean squares of an error in each element or interval, (E,).

        Args:
            values: the error of all fields at the quadrature points, (places, m).
        """

    def with_splines(self, error: Tensor, splines: Tensor) -> Tensor:
        """Raise an estimated error where it is below the error that splines make in space.

        In an element where `splines` is larger than the estimated error, the estimate is raised to
        about `splines`. An equation that damps errors makes the estimate small, but splines on a
        coarse grid still differ from the solution by their approximation error.

        Args:
            error: the coefficients of the estimated error of the value and, for second order, of
                the rate, (order, n, m). The error of the rate is not changed.
            splines: the root mean square approximation error of the splines in each element, (E,).

        Returns:
            The coefficients of the raised error, (order, n, m).
        """
        values = self.space.values(error[:1])
        missing = (splines - self.by_elements(values)).clamp_min(0)
        if not bool(missing.any()):
            return error
        return torch.cat([self.projection(self.raised(values, missing))[None], error[1:]])

    def raised(self, values: Tensor, missing: Tensor) -> Tensor:
        """Enlarge values so that their root mean square in each element rises by a given amount.

        By default the root mean square of the amounts, divided by √m, is added to all values. It is
        subtracted if the mean value is negative, so that the values grow in size.

        Args:
            values: the values of all fields at the quadrature points, (places, m).
            missing: the amount for each element, (E,).
        """
        amount = (self.shares * missing.square()).sum().sqrt()
        return values + (-amount if values.mean() < 0 else amount) / math.sqrt(self.space.fields)

    @property
    @abstractmethod
    def shares(self) -> Tensor:
        """The weight of each element or interval in a mean square over space, (E,)."""

    def norms(self, values: Tensor) -> Tensor:
        """The root mean squares over space of k functions Σ_i y_i ψ_i, over all fields, (k,).

        Args:
            values: the coefficients y of the k functions, (k, n, m).
        """
        at_places = self.space.values(values).unflatten(1, (len(values), -1))
        return self.root_mean_square(at_places.transpose(0, 1))

    def root_mean_square(self, values: Tensor) -> Tensor:
        """The root mean squares over space, of all fields together, of values at quadrature points.

        Args:
            values: the values, (…, places, m); the result has the shape (…).
        """
        weights = self.space.weights.flatten()[:, None]
        return ((weights * values.square()).sum(dim=(-2, -1)) / weights.sum()).sqrt()


@dataclass(frozen=True, eq=False)
class ElementSpace(TrialSpace):
    """A trial space given by elements, on each of which only `local` functions do not vanish.

    A spline space has an element for each interval; functions that vanish nowhere have one element.
    There are E elements with q quadrature points each.

    Args:
        functions: the values and derivatives (parts) of the `local` functions of each element,
            (E, q, parts, m or 1, local).
        index: the indices of the functions of each element, (E, local).
        spread: how coefficients of the functions become coefficients of a network's output layer:
            for each coefficient of the layer the index of its function; or, for functions that
            vanish nowhere, a matrix (coefficients, n).
    """

    functions: Tensor
    index: Tensor
    spread: Tensor

    @cached_property
    def tests(self) -> Tensor:
        """The values of the functions times the quadrature weights, (E, q, m or 1, local)."""
        return self.functions[:, :, 0] * self.weights[..., None, None]

    def jet(self, y: Tensor) -> Jet:
        return self.like.unstacked(self._combined(self.functions, y))

    def values(self, y: Tensor) -> Tensor:
        return self._combined(self.functions[:, :, :1], y)[:, 0]

    def _combined(self, functions: Tensor, y: Tensor) -> Tensor:
        """The values and derivatives (parts) of b functions Σ_i y_i ψ_i, (places, parts, b·m).

        Args:
            functions: the parts of the functions ψ_i, (E, q, parts, m or 1, local).
            y: the coefficients, (b, n, m).
        """
        elements, q, rows, sets, local = functions.shape
        if elements * sets == 1:
            flat = y[:, self.index[0]].movedim(1, 0).flatten(1)  # (local, b·m)
            return (functions.reshape(q * rows, local) @ flat).view(q, rows, -1)
        near = y[:, self.index].permute(1, 3, 2, 0)  # (E, m, local, b)
        if sets == 1:  # one set of functions for all fields
            flat = functions.reshape(elements, q * rows, local)
            combined = torch.bmm(flat, near.permute(0, 2, 3, 1).reshape(elements, local, -1))
        else:
            flat = functions.permute(0, 3, 1, 2, 4).reshape(elements * sets, q * rows, local)
            combined = torch.bmm(flat, near.reshape(elements * sets, local, -1))
            combined = combined.view(elements, sets, q * rows, -1).permute(0, 2, 3, 1)
        return combined.reshape(elements * q, rows, -1)

    def coefficients(self, y: Tensor) -> Tensor:
        return y[..., self.spread, :] if self.spread.ndim == 1 else self.spread @ y

    def by_functions(self, linearised: Tensor) -> list[Tensor]:
        """The linearised residuals of the functions, split by the order r of derivatives in time.

        Args:
            linearised: the derivatives of the residuals, (equations, E, q, parts, m), as
                `TermInSpace.linearised` returns them.

        Returns:
            For each r = 0, 1, 2 the derivatives of the residuals by the r-th derivative in time of
            each coefficient, (equations, E, q, m, local).
        """
        fields = linearised.shape[-1]
        powers = [power.expand(-1, -1, -1, fields, -1) for power in self._powers]
        return [torch.einsum("geqpf,eqpfl->geqfl", linearised, power) for power in powers]

    @cached_property
    def _powers(self) -> list[Tensor]:
        """For r = 0, 1, 2 the value and derivatives (parts) of t^r / r! ψ(x) at t = 0.

        The functions ψ are those of the space at the quadrature points x. Each of the three results
        has the shape (E, q, parts, m or 1, local).
        """
        jets = powers_in_time(self.like.unstacked(self.functions.flatten(-2).flatten(0, 1)), 2)
        shape = self.functions.shape[3:]
        return [jet.stacked().unflatten(0, self.weights.shape).unflatten(-1, shape) for jet in jets]


@dataclass(frozen=True, eq=False)
class OutputFunctions:
    """The functions of a network's output layer, which serve as trial functions of space.

    Its methods return them at points, or as an `ElementSpace` or `DirectSystem`.

    Args:
        surrogate: the solution, which has the coordinates and the boundary data that are built in.
        member: the network of a window, a span of time that is solved at once.
    """

    surrogate: Surrogate
    member: SeparableKAN

    @torch.no_grad()
    def near(self, points: Points, channels: Channels) -> tuple[Tensor, Jet]:
        """The functions that do not vanish at points; all functions if there are hidden layers.

        Args:
            points: n points.
            channels: the derivatives that are needed.

        Returns:
            The indices of the functions among the coefficients, (n, local), and their values and
            derivatives, a jet with `local` components.
        """
        member = self.member
        h = member.places(self.surrogate.coordinates(points, channels))
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

    @torch.no_grad()
    def _space(
        self, points: Points, weights: Tensor, functions: Jet, index: Tensor, spread: Tensor
    ) -> ElementSpace:
        """The trial space of the products D φ, for given functions φ and a factor D for each field.

        With boundary data g that are built in, a field is g + D times the network; without, D is 1.

        Args:
            points, weights: the quadrature points, and their weights (E, q).
            functions: the values and derivatives of the φ at the points, (E·q, local).
            index: the indices of the functions of each element, (E, local).
            spread: for each coefficient of the output layer the index of its function, or the
                matrix of the functions' coefficients, as in `ElementSpace`.
        """
        output = self.surrogate.output
        jets, fields = [functions], self.surrogate.network.width[-1]
        if output is not None:
            zero = functions.map(
                lambda t: torch.zeros_like(t[..., :1].expand(*t.shape[:-1], fields))
            )
            factor = output.apply(points, zero + 1.0) - output.apply(points, zero)
            same = all(bool((t == t[..., :1]).all()) for t in factor.parts())
            jets = [factor[f] * functions for f in range(1 if same else fields)]
        stacked = torch.stack([jet.stacked() for jet in jets], dim=-2).unflatten(0, weights.shape)
        like = jets[0].map(lambda t: t[..., :1])
        size = int(spread.max()) + 1 if spread.ndim == 1 else spread.shape[1]
        where = points, weights, like, size, fields
        return ElementSpace(*where, stacked, index, spread, intervals=False)

    def on_intervals(self, channels: Channels, periodic: bool) -> ElementSpace:
        """The trial space of splines in one coordinate, for a network without hidden layers.

        The Gauss rule in each interval is exact for the degree of the splines. There are at least
        1.5 times as many quadrature points as functions: with fewer, the residual would hardly show
        the error.

        Args:
            channels: the derivatives that are needed.
            periodic: whether the splines are periodic.
        """
        basis, domain = self.member.layers[0].basis, self.surrogate.domain
        breaks, count, degree = basis.breaks[0], basis.intervals, basis.degree
        q = math.ceil(max((degree + 1) / 2, 1.5 * (1 + degree / count)))
        nodes, weights = (t.to(breaks) for t in gauss_legendre(q))
        widths = breaks.diff()
        xi = breaks[:-1, None] + widths[:, None] * nodes
        low, high = (corner.to(breaks) for corner in domain.bounds)
        x = low[0] + (xi.flatten() + 1) / 2 * (high[0] - low[0])
        weighted = widths[:, None] * weights * (high[0] - low[0]) / 2
        spread = torch.arange(basis.size)
        if periodic:  # neighbours around the circle have indices that differ by at most two
            both = torch.stack([torch.arange(count), count - 1 - torch.arange(count)], dim=1)
            spread = both.flatten()[:count].argsort()[spread % count]
        first = torch.arange(count)[:, None] + torch.arange(degree + 1)
        points = Points(torch.stack([x, torch.full_like(x, float(low[1]))], dim=1), domain.names)
        _, functions = self.near(points, channels)
        space = self._space(points, weighted, functions, spread[first], spread)
        return replace(space, intervals=True)

    def everywhere(self, points: Points, weights: Tensor, channels: Channels) -> ElementSpace:
        """The trial space of functions that vanish nowhere, such as those of hidden layers.

        Its basis consists of linear combinations of the output layer's functions that are
        orthonormal under the quadrature rule. Combinations that are zero up to rounding are left
        out.

        Args:
            points, weights: a quadrature rule in space with P points; the weights are (P,).
            channels: the derivatives that are needed.
        """
        small = 1e-12  # relative to the largest singular value
        _, functions = self.near(points, channels)
        weighted = weights.sqrt()[:, None] * functions.value
        _, sizes, v = torch.linalg.svd(weighted, full_matrices=False)
        rank = int((sizes > small * sizes[0]).sum())
        spread = (v[:rank] / sizes[:rank, None]).T
        functions, index = functions.map(lambda t: t @ spread), torch.arange(rank)[None]
        return self._space(points, weights[None], functions, index, spread)

    def at_places(self, points: Points, channels: Channels, spread: Tensor) -> ElementSpace:
        """The functions of a trial space at given points, with one element for each point.

        It serves for conditions at points of the boundary.

        Args:
            points: the points.
            channels: the derivatives that are needed.
            spread: the attribute `spread` of the trial space, an `ElementSpace`.
        """
        index, functions = self.near(points, channels)
        if spread.ndim == 1:
            index = spread[index]
        else:
            functions = functions.map(lambda t: t @ spread)
            index = torch.arange(spread.shape[1]).expand(len(points), -1)
        return self._space(points, torch.ones_like(points.coords[:, :1]), functions, index, spread)

    def at_moment(self, channels: Channels) -> ElementSpace:
        """The trial space of one constant function and one point, for equations in time alone.

        Args:
            channels: the derivatives that are needed.
        """
        low = self.surrogate.domain.bounds[0].to(self.surrogate.low)
        points = Points(low[None], self.surrogate.domain.names)
        _, jet = self.near(points, channels)
        constant = jet.map(lambda t: t.sum(dim=-1, keepdim=True))
        zero = torch.zeros(1, 1, dtype=torch.long)
        spread = torch.zeros(self.member.layers[0].basis.size, dtype=torch.long)
        return self._space(points, torch.ones_like(low[:1, None]), constant, zero, spread)

    def system(self, terms: EvolutionTerms, space: ElementSpace, order: int) -> "DirectSystem":
        """The equation, tested with the functions of a trial space, with its boundary conditions.

        Args:
            terms: the equation, the initial and the boundary conditions.
            space: the trial space, made by a method of this object.
            order: the order of the equation in time.

        Raises:
            InputError: if there are too few points on the boundary for the functions.
        """
        surrogate, boundary = self.surrogate, []
        for term in terms.boundary:
            places = self.at_places(term.points, term.channels, space.spread)
            boundary.append(TermInSpace(surrogate, term, places))
        system = DirectSystem(TermInSpace(surrogate, terms.equation, space), boundary, order)
        if not boundary:
            return system
        state, _ = system.initial(terms.initial)
        start = system.at_start(surrogate.domain.time_span[0], state)
        rows = condition_rows(boundary, space.size * space.fields, *start)
        if space.intervals or not self.member.in_space:
            return replace(system, ties=ties_of(rows))
        # Many combinations of functions that vanish nowhere hardly differ from zero at the
        # boundary. Errors on disks were the same with `small` from 1e-8 to 1e-4; with 1e-10 they
        # grew by many digits.
        ties, enough = ties_of(rows, small=1e-6), 0.8  # a fraction of the number of rows
        if any(len(tie.rows) > enough * tie.rows.any(axis=0).sum() for tie in ties):
            count = sum(term.rows for term in terms.boundary)
            raise InputError(
                f"march needs more than {count} points on the boundary for the network's "
                "functions: boundary in [points], or Collocation(boundary=…), must be larger"
            )
        return replace(system, ties=ties)


@dataclass(frozen=True, eq=False)
class Ties:
    """Boundary conditions that hold exactly, and the test functions that remain for the equation.

    Of the r rows of the linearised conditions c are independent; they couple n basis functions. The
    equation is tested only with the n - c combinations of these functions that satisfy the
    conditions for zero data.

    Args:
        numbers: the indices of the coupled basis functions, (n,).
        kept: the test functions, as orthonormal columns of coefficients, (n, n - c).
        rows: c independent combinations of the r rows of all conditions, (c, r).
    """

    numbers: Array
    kept: Array
    rows: Array


def condition_rows(
    boundary: Sequence[TermInSpace[ElementSpace]],
    unknowns: int,
    moments: MomentsInTime,
    states: Tensor,
) -> list[Array]:
    """The matrices of linearised boundary conditions, one for each order of derivatives in time.

    Args:
        boundary: the conditions.
        unknowns: the number of unknowns, n·m.
        moments, states: the time and the coefficients of the polynomials in time at which the
            conditions are linearised.

    Returns:
        For each order the matrix of all conditions, (rows, n·m).
    """
    by_order: list[list[Array]] = []
    for condition in boundary:
        space, index = condition.space, condition.space.index  # one place for each element
        columns = (index[:, :, None] * space.fields + torch.arange(space.fields)).flatten(1)
        for r, slopes in enumerate(space.by_functions(condition.linearised(moments, states))):
            entries = slopes[:, :, 0].transpose(-1, -2).flatten(2)  # (equations, places, columns)
            rows = entries.new_zeros(*entries.shape[:2], unknowns)
            rows.scatter_add_(2, columns.expand_as(entries), entries)
            rows = rows.unflatten(1, (-1, condition.term.sites)).sum(dim=2)
            by_order += [[]] * (r == len(by_order))
            by_order[r] = [*by_order[r], rows.transpose(0, 1).flatten(0, 1).numpy()]
    return [np.concatenate(parts) for parts in by_order]


def ties_of(conditions: Sequence[Array], small: float = 1e-10) -> list[Ties]:
    """Group linearised boundary conditions that share unknowns, and decompose each group.

    Args:
        conditions: for each order of derivatives in time the rows of all conditions, see
            `condition_rows`.
        small: the relative size below which a combination of conditions counts as satisfied by
            all functions.

    Returns:
        One `Ties` for each group of conditions that share unknowns.

    Raises:
        InputError: for a row that contains no unknowns.
    """
    total = np.add.reduce(conditions)
    total = total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-300)
    total[np.abs(total) < small] = 0
    if not total.any(axis=1).all():
        raise InputError(
            "march cannot impose a boundary condition whose derivative by the solution is zero at "
            "the initial values"
        )
    ties, present = [], total != 0
    count, group = connected_components(present @ present.T)  # rows that share unknowns
    for number in range(count):
        rows = np.flatnonzero(group == number)
        numbers = np.flatnonzero(present[rows].any(axis=0))
        u, sizes, v = np.linalg.svd(total[rows][:, numbers])
        rank = int((sizes > small * sizes[0]).sum())
        combined = np.zeros((rank, len(total)))
        combined[:, rows] = u[:, :rank].T
        ties.append(Ties(numbers, v[rank:].T, combined))
    return ties


@dataclass(frozen=True, eq=False)
class DirectSystem(System[ElementSpace]):
    """A system, tested equations and boundary conditions, whose matrices are factored directly.

    The unknown y_if of function i and field f has the index i·m + f. Equation e, tested with
    function i, has the index i·m + e.

    Args:
        ties: the boundary conditions, one `Ties` for each group of unknowns that they couple.
    """

    ties: Sequence[Ties] = ()

    @cached_property
    def layout(self) -> MatrixLayout:
        """The storage of the system's matrices: bands if these are narrow, otherwise dense."""
        space = self.space
        fields, unknowns = space.fields, space.size * space.fields
        numbers = (space.index[:, :, None] * fields + torch.arange(fields)).flatten(1).numpy()
        reach = max((int(np.ptp(tie.numbers)) for tie in self.ties), default=0)
        width = int(np.ptp(numbers, axis=1).max()) + reach
        rows = np.repeat(numbers, numbers.shape[1], axis=1)
        columns = np.tile(numbers, numbers.shape[1])
        if 3 * width < unknowns:
            slots = (2 * width + rows - columns) * unknowns + columns
            return MatrixLayout(unknowns, width, slots.ravel())
        return MatrixLayout(unknowns, None, (rows * unknowns + columns).ravel())

    @torch.no_grad()
    def residual(self, points: Sequence[Batch], moments: MomentsInTime, states: Tensor) -> Array:
        inside, *outside = points
        both = zip(self.boundary, outside, strict=True)
        conditions = [condition.residual(at, moments, states) for condition, at in both]
        return self.imposed(self.interior.residual(inside, moments, states), conditions, states)

    def imposed(self, residual: Tensor, conditions: Sequence[Tensor], values: Tensor) -> Array:
        whole = self.tested(residual).numpy()
        if self.ties:
            rows = np.concatenate([part.flatten(1).numpy() for part in conditions], axis=1)
            for tie in self.ties:
                tests = whole[:, tie.numbers] @ tie.kept
                whole[:, tie.numbers] = np.hstack([rows @ tie.rows.T, tests])
        return whole

    def tested(self, residual: Tensor) -> Tensor:
        """The integrals over space of residuals times each of the n functions, (k, n·m).

        Args:
            residual: the residuals at k times, (k, places, m).
        """
        tests, index = self.space.tests, self.space.index
        local = torch.einsum(
            "eqml,keqm->kelm", tests, residual.unflatten(1, self.space.weights.shape)
        )
        integrals = residual.new_zeros(len(residual), self.space.size, residual.shape[2])
        integrals.index_add_(1, index.flatten(), local.flatten(1, 2))
        return integrals.flatten(1)

    @torch.no_grad()
    def linear(self, linearised: Tensor, moments: MomentsInTime, states: Tensor) -> LinearSystem:
        matrices = []
        slopes = self.space.by_functions(linearised)[: self.order + 1]
        tests = self.space.tests.expand(-1, -1, len(slopes[0]), -1)
        for slope in slopes:
            local = torch.einsum("eqgt,geqfl->etglf", tests, slope)
            matrices.append(self.layout.assembled(local.flatten().numpy()))
        if self.ties:
            conditions = condition_rows(self.boundary, self.layout.unknowns, moments, states)
            for matrix, rows in zip(matrices, conditions, strict=False):
                for tie in self.ties:
                    self.layout.tie(matrix, tie, rows)

        def factored(rates: Sequence[complex]) -> Solve:
            """The solver of Σ_r c_r K_r for the factors c_r = `rates`."""
            both = zip(rates, matrices, strict=True)
            return self.layout.factored(np.add.reduce([rate * matrix for rate, matrix in both]))

        return factored

    def waves(self, linearised: Tensor) -> list[tuple[int, Tensor, Tensor]]:
        dim, widths = self.space.like.channels.dim - 1, self.space.weights.sum(dim=1)
        if dim and not self.space.intervals:
            widths = (widths / self.space.size) ** (1 / dim)
        mean = linearised.mean(dim=2)
        return [(axis, mean, 2j * torch.pi / widths) for axis in range(dim)]

    def sizes(self, residual: Tensor, axis: int) -> Tensor:
        return residual.unflatten(1, self.space.weights.shape).square().mean(dim=2).sqrt()

    @property
    def shares(self) -> Tensor:
        widths = self.space.weights.sum(dim=1)
        return widths / widths.sum()

    def by_elements(self, values: Tensor) -> Tensor:
        return values.unflatten(0, self.space.weights.shape).square().sum(dim=2).mean(dim=1).sqrt()

    def raised(self, values: Tensor, missing: Tensor) -> Tensor:
        if not self.space.intervals:
            return super().raised(values, missing)
        by_element = values.unflatten(0, self.space.weights.shape)
        signs = torch.where(by_element.mean(dim=1, keepdim=True) < 0, -1.0, 1.0)
        amounts = missing[:, None, None] / self.space.fields**0.5
        return (by_element + signs * amounts).flatten(0, 1)

    @torch.no_grad()
    def projection(self, values: Tensor) -> Tensor:
        solved = self._mass(self.tested(values[None])[0].numpy())
        return torch.from_numpy(solved).view(self.space.size, self.space.fields)

    @cached_property
    def _mass(self) -> Solve:
        """The function that solves with the mass matrix (integrals of products of functions)."""
        tests, values = self.space.tests, self.space.functions[:, :, 0]
        mass = torch.einsum("eqmt,eqml->etlm", tests, values).expand(-1, -1, -1, self.space.fields)
        local = torch.diag_embed(mass).permute(0, 1, 3, 2, 4)
        return self.layout.factored(self.layout.assembled(local.flatten().numpy()))

    @torch.no_grad()
    def consistent(self, states: Tensor, time: float) -> Tensor:
        """Change states so that boundary conditions hold, with the least mean square change.

        Only the value changes, not the rate. Conditions that contain derivatives in time are not
        used: they do not restrict the value at the initial time. Without other conditions the
        states are returned unchanged.

        Args:
            states: the coefficients of the value and, for second order, the rate, (order, n, m).
            time: the initial time.
        """
        if not self.boundary:
            return states
        passes = 3  # of Newton's method, for conditions that are not linear
        moments, _ = self.at_start(time, states)
        places = self.points(moments)[1:]
        for _ in range(passes):
            _, whole = self.at_start(time, states)
            values, *later = condition_rows(self.boundary, self.layout.unknowns, moments, whole)
            static = values.any(axis=1) & ~np.any([part.any(axis=1) for part in later], axis=0)
            if not static.any():
                return states
            both = zip(self.boundary, places, strict=True)
            misfits = [condition.residual(at, moments, whole).flatten() for condition, at in both]
            rows, right = values[static], torch.cat(misfits).numpy()[static]
            if not self.space.intervals:
                combined = np.concatenate([tie.rows[:, static] for tie in self.ties])
                rows, right = combined @ rows, combined @ right
            near = np.stack([self._mass(np.ascontiguousarray(row)) for row in rows], axis=1)
            change = near @ np.linalg.lstsq(rows @ near, right, rcond=1e-10)[0]
            first = states[:1] - torch.from_numpy(change).view_as(states[:1])
            states = torch.cat([first, states[1:]])
        return states
