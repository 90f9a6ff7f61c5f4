"""The equations of a window, solved at all stages by Newton's method, and the error that the
window adds.
"""

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import lapack
from torch import Tensor

from kanpinn.geometry.points import Batch
from kanpinn.jets import join
from kanpinn.networks.surrogate import Surrogate
from kanpinn.spaces.galerkin import MomentsInTime, System
from kanpinn.spaces.jets_in_time import jet_of_parts, rates_of_parts
from kanpinn.spaces.time_schemes import (
    ErrorForm,
    Stages,
    at_moments,
    at_stages,
    error_form,
    lagrange,
)
from kanpinn.spaces.window import StageChoice, Window

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class WindowEquations:
    """The equations at the stages of one window.

    Args:
        system: the equation in a trial space.
        stages: the stages.
        start, length: the window.
        initial: the coefficients of the value, and for second order the rate, (order, n, m).
    """

    system: System
    stages: Stages
    start: float
    length: float
    initial: Tensor

    @cached_property
    def rates(self) -> list[Array]:
        """The polynomials at the stages, and their derivatives in time, (s, order + s) each."""
        system = self.system
        return at_stages(self.stages, self.length, system.order, system.highest).rates

    @cached_property
    def moments(self) -> MomentsInTime:
        """The stages."""
        return self._at(self.stages.nodes, self.rates)

    @cached_property
    def points(self) -> list[Batch]:
        """The places of the equation, and of each condition at walls, at all stages."""
        return self.system.points(self.moments)

    @cached_property
    def form(self) -> ErrorForm:
        """The form of the error in time."""
        return error_form(self.stages, self.system.order)

    def moment(self, moment: float) -> MomentsInTime:
        """A moment of the window, from 0 to 1."""
        at, order, highest = np.array([moment]), self.system.order, self.system.highest
        return self._at(at, at_moments(self.stages, at, self.length, order, highest).rates)

    def _at(self, moments: Array, rates: Sequence[Array]) -> MomentsInTime:
        times = torch.from_numpy(self.start + self.length * moments)
        return MomentsInTime(times, [torch.from_numpy(t) for t in rates])

    def states(self, unknowns: Tensor) -> Tensor:
        """The coefficients of the polynomials, (order + s, n, m), for unknowns (s, n, m)."""
        return torch.cat([self.initial, unknowns])

    def last_data(self) -> Tensor:
        """The data that are built in at the last stage, (places, m), or 0."""
        if self.system.interior.surrogate.output is None:
            return self.initial.new_zeros(())
        (inside, *_), interior = self.points, self.system.interior
        known = inside.once("data", lambda: interior.data(inside))
        return known.value.unflatten(0, (self.stages.count, -1))[-1]


@dataclass(frozen=True)
class Iterated:
    """The result of Newton's method.

    unknowns: those of the stages, (s, n, m). steps: their number. converged: whether the last step
    is as small as is wanted. rate: the mean ratio of the sizes of successive steps
    where convergence is linear, 0 where it is quadratic.
    """

    unknowns: Tensor
    steps: int
    converged: bool
    rate: float = 0.0


@dataclass(frozen=True)
class TimeError:
    """The error of a window's polynomials in time where the state at the start is exact.

    mean: its root mean square over the window. at_end: what is taken for that of the value at the
    end, as coefficients (1, n, m). It has the size of `mean`, which is too small where the equation
    amplifies errors much within one window.
    """

    mean: float
    at_end: Tensor


class Newton(ABC):
    """Newton's method for the equations of one window.

    Args:
        equations: the equations.
        guess: of the unknowns of the stages, (s, n, m).

    is_linear: whether it converges linearly, otherwise quadratically. choice: the numbers of stages
    that it can solve for.
    """

    is_linear: ClassVar[bool]
    choice: ClassVar[StageChoice]

    def __init__(self, equations: WindowEquations, guess: Tensor) -> None:
        self.equations, self.guess = equations, guess

    @abstractmethod
    def correction(self, unknowns: Tensor) -> Tensor | None:
        """The change of the unknowns, (s, n, m); None where the residual is not finite."""

    @abstractmethod
    def remaining(self, step: float, last: float) -> float:
        """The size of the error after a step, from the sizes of this step and the one before."""

    @abstractmethod
    def error(self, unknowns: Tensor) -> TimeError:
        """The error of the polynomials in time where the state at the start is exact.

        The residual at a moment between the stages is the defect with which the polynomials satisfy
        the equation. Near it the derivatives of their error e are ω^(r) / ω e (see `ErrorForm`), so
        that e follows from the defect by one linear system, that of the linearised equation. With
        its mean size over the window it is also taken for the error at the end. That of smooth
        solutions is far smaller there, that of waves that are too fast for the window is not, and
        that of solutions that the equation amplifies much within the window is larger.
        """

    @abstractmethod
    def carried(self, unknowns: Tensor, change: Tensor) -> Tensor:
        """The change of the polynomials by a small change of the values at the start.

        Args:
            unknowns: the solution, (s, n, m).
            change: of the value and, for second order, the rate at the start, (order, n, m).

        Returns:
            The change of the coefficients, (order + s, n, m).
        """

    def norm(self, change: Tensor) -> float:
        """The root mean square over space of the largest change of the value at a stage.

        change: of the unknowns, (s, n, m).
        """
        rates = self.equations.moments.rates[0][:, self.equations.system.order :]
        values = torch.tensordot(rates, change, dims=1)
        return float(self.equations.system.norms(values).max())

    def splines(self, unknowns: Tensor) -> Tensor:
        """The root mean square errors in space in each interval, the largest of all stages.

        Without space there are none, (0,).
        """
        return unknowns.new_zeros(0)

    def lifetimes(self) -> Tensor:
        """The times for which errors of splines in each interval last, see `System.lifetimes`."""
        return self.guess.new_zeros(0)

    def solve(self, size: float, precision: float) -> Iterated:
        """Iterate from the guess.

        It has also converged where the steps are small and rounding keeps them from shrinking. The
        first step also tells the size of a solution that starts from zero.

        Args:
            size: the root mean square of the solution.
            precision: the error to reach, relative to it.
        """
        unknowns, norm = self.guess, self.norm
        most, rounding = 12, 1e-9
        first, last = 0.0, math.inf
        for count in range(1, most + 1):
            change = self.correction(unknowns)
            if change is None:
                return Iterated(unknowns, count, False)
            unknowns = unknowns - change
            if count == 1:
                size = max(size, norm(unknowns)) or 1.0
            step = norm(change) / size
            first = first or step
            linear = self.is_linear and count > 1 and first > 0
            rate = (step / first) ** (1 / (count - 1)) if linear else 0.0
            left = step if count == 1 else min(step, self.remaining(step, last))
            if left <= precision or (step > 0.3 * last and step < rounding):
                return Iterated(unknowns, count, True, rate)
            late = linear and count > 3 and step * (step / last) ** (most - count) > 10 * precision
            if step > 2 * last or late:
                return Iterated(unknowns, count, False, rate)
            last = step
        return Iterated(unknowns, most, False, rate)


class SimplifiedNewton(Newton):
    """Newton's method with the Jacobian in the middle of the window for all stages.

    Diagonalising the inverse Butcher matrix leaves one linear system of the size of space for each
    stage, which is factored once (see `Stages`).
    """

    is_linear = True
    choice = StageChoice(11)  # beyond it rounding in the eigenvectors costs digits

    def __init__(self, equations: WindowEquations, guess: Tensor) -> None:
        super().__init__(equations, guess)
        system, middle = equations.system, equations.moment(0.5)
        states = equations.states(guess)
        self.linearised = system.interior.linearised(middle, states)
        self.linear = system.linear(self.linearised, middle, states)
        self.scale = equations.stages.eigenvalues / equations.length
        powers = range(system.order + 1)
        self.factors = [
            self.linear.factored([(at if at.imag else at.real) ** r for r in powers])
            for at in self.scale
        ]

    def remaining(self, step: float, last: float) -> float:
        rate = step / last
        return rate / (1 - rate) * step if rate < 0.3 else math.inf

    def correction(self, unknowns: Tensor) -> Tensor | None:
        equations, system = self.equations, self.equations.system
        residual = system.residual(equations.points, equations.moments, equations.states(unknowns))
        return self.change(residual) if np.isfinite(residual).all() else None

    def change(self, residual: Array) -> Tensor:
        """The change of the unknowns, (s, n, m), for rows of a residual, (s, n·m)."""
        system, stages = self.equations.system, self.equations.stages
        transformed = stages.rows @ residual
        change = np.zeros(residual.shape)
        for row, at, factor, column in zip(
            transformed, self.scale, self.factors, stages.vectors.T, strict=True
        ):
            right = row if at.imag else row.real
            found = factor.solve(np.ascontiguousarray(right)) * at ** (system.order - 1)
            change += (column[:, None] * found).real
        return torch.from_numpy(change).view(len(change), -1, system.fields)

    def carried(self, unknowns: Tensor, change: Tensor) -> Tensor:
        moved = copy.copy(self)  # for the changed start; a Newton step of it gives the change
        moved.equations = replace(self.equations, initial=self.equations.initial + change)
        step = moved.correction(unknowns)
        return torch.cat([change, torch.zeros_like(unknowns) if step is None else -step])

    def error(self, unknowns: Tensor) -> TimeError:
        equations, form = self.equations, self.equations.form
        system = equations.system
        between = equations.moment(form.moment)
        states = equations.states(unknowns)
        (defect,) = system.residual(system.points(between), between, states)
        rates = [one / equations.length**r for r, one in enumerate(form.ratios)]
        found = torch.from_numpy(self.linear.factored(rates).solve(defect))
        error = found.view(1, -1, system.fields) * form.mean
        return TimeError(float(system.norms(error)), error)

    def splines(self, unknowns: Tensor) -> Tensor:
        equations = self.equations
        system, states = equations.system, equations.states(unknowns)
        residual = system.interior.residual(equations.points[0], equations.moments, states)
        errors = system.element_errors(self.linearised, residual, 1 / equations.length)
        return errors.amax(dim=0)

    def lifetimes(self) -> Tensor:
        system = self.equations.system
        return system.lifetimes(self.linearised)


class CoupledNewton(Newton):
    """Newton's method with the exact Jacobian, for equations in time alone with few unknowns.

    One dense linear system couples all stages. Unlike the diagonalisation of `SimplifiedNewton` it
    loses no digits with many stages, and its convergence is quadratic, so that windows are long.
    The residual is linearised at the stages, and at the moment at which the error is seen.
    """

    is_linear = False
    choice = StageChoice(39, overhead=20.0, reach=12, foresight=1.5)

    def __init__(self, equations: WindowEquations, guess: Tensor) -> None:
        super().__init__(equations, guess)
        stages, length = equations.stages, equations.length
        system, interior = equations.system, equations.system.interior
        self.fields = system.fields
        # Each part of the fields' jets is a factor times a derivative in time.
        self.parts = tuple(rates_of_parts(interior.term.channels))
        order, between = system.order, equations.form.moment
        unit = _of_unit_window(stages, between, self.parts, order, system.highest)
        powers = np.minimum(np.arange(unit.shape[2]), order - 1.0)
        derivatives = np.array([r for r, _ in self.parts])
        self.from_states = unit * length ** (powers - derivatives[:, None])
        by_unknowns = self.from_states[..., order:]
        self.by_unknowns = by_unknowns.swapaxes(1, 2)[:, None]  # (s + 1, 1, s, parts)
        times = equations.start + length * np.append(stages.nodes, between)
        self.points = interior.points(torch.from_numpy(np.tile(times, self.fields)))
        # There is a copy of all moments for each equation, at which that one is differentiated.
        self.seeds = torch.eye(self.fields).double().repeat_interleave(len(times), dim=0)

    def remaining(self, step: float, last: float) -> float:
        return step * (step / last) ** 2  # convergence is quadratic

    def norm(self, change: Tensor) -> float:
        # The first part of the jets is the value.
        values = self.by_unknowns[:-1, 0, :, 0] @ change[:, 0].numpy()
        return math.sqrt((values**2).sum(axis=1).max())

    def correction(self, unknowns: Tensor) -> Tensor | None:
        residual, slopes = self._linearised(unknowns)
        if not np.isfinite(residual).all():
            return None
        size = residual[:-1].size
        jacobian = self.by_unknowns @ slopes.swapaxes(0, 1)  # (s + 1, equations, s, m)
        matrix, right = jacobian[:-1].reshape(size, size), residual[:-1].ravel()
        *self.factors, found, info = lapack.dgesv(matrix.T.copy().T, right, overwrite_a=True)
        if info:
            return None
        self.defect = residual[-1] - jacobian[-1].reshape(-1, size) @ found
        self.last_slopes = slopes
        return torch.from_numpy(found).view(unknowns.shape)

    def _linearised(self, unknowns: Tensor) -> tuple[Array, Array]:
        """The residuals of m equations, and their derivatives by the parts of the fields' jets.

        A single backward pass gives the derivatives of all equations, as it takes another copy of
        the moments for each of them.

        Returns:
            (s + 1, m), and (m, s + 1, parts, m).
        """
        term = self.equations.system.interior.term
        states = self.equations.states(unknowns)[:, 0].numpy()
        copies, moments = self.fields, len(self.from_states)
        parts = np.tensordot(states, self.from_states, axes=(0, 2))  # (m, s + 1, parts)
        rows = torch.from_numpy(np.tile(parts.swapaxes(1, 2), copies))
        jets = [jet_of_parts(term.channels, one) for one in rows]
        leaves = [leaf.requires_grad_() for jet in jets for leaf in jet.parts()]
        with torch.enable_grad():
            found = term.equation(self.points, join(jets))
            slopes = torch.autograd.grad(found, leaves, self.seeds, allow_unused=True)
        both = zip(slopes, leaves, strict=True)
        known = [torch.zeros_like(leaf) if one is None else one for one, leaf in both]
        by_part = torch.cat([one.flatten(1) for one in known], dim=1).numpy()
        by_part = by_part.reshape(copies, moments, self.fields, -1)
        return found.detach().numpy()[:moments], by_part.swapaxes(2, 3)

    def carried(self, unknowns: Tensor, change: Tensor) -> Tensor:
        order, slopes = self.equations.system.order, self.last_slopes[:, :-1]
        parts = self.from_states[:-1, :, :order] @ change[:, 0].numpy()  # (s, parts, m)
        right = np.einsum("egpf,gpf->ge", slopes, parts).ravel()
        found, _ = lapack.dgetrs(*self.factors, right)
        return torch.cat([change, -torch.from_numpy(found).view(unknowns.shape)])

    def error(self, unknowns: Tensor) -> TimeError:
        form, length = self.equations.form, self.equations.length
        ratios = [factor * form.ratios[r] / length**r for r, factor in self.parts]
        total = np.einsum("gpf,p->gf", self.last_slopes[:, -1], ratios)
        _, _, found, info = lapack.dgesv(total, self.defect)
        error = torch.from_numpy(found)[None, None] * form.mean
        return TimeError(math.inf if info else float(error.norm()), error)


@lru_cache(maxsize=100)
def _of_unit_window(
    stages: Stages, moment: float, parts: tuple[tuple[int, float], ...], order: int, highest: int
) -> Array:
    """The polynomials of a window of length 1 for each part of the fields' jets.

    The other arguments are those of `at_stages`.

    Args:
        stages: the stages.
        moment: a moment besides them, the last one.
        parts: see `rates_of_parts`.

    Returns:
        (s + 1, parts, order + s).
    """
    both = (
        at_stages(stages, 1.0, order, highest),
        at_moments(stages, np.array([moment]), 1.0, order, highest),
    )
    found = [np.stack([factor * one.rates[r] for r, factor in parts], axis=1) for one in both]
    return np.concatenate(found)


def carried_error(
    newton: Newton, window: Window, own: TimeError, start: Tensor, size: float
) -> Tensor:
    """The estimated error of the state at the end of a solved window, (order, n, m).

    The error at the start is carried on by the equation, linearised about the solution, which may
    amplify or damp it. Collocation damps waves that are too fast for the window, which is an error
    where the equation does not. So there the size of what is carried on does not shrink, and the
    error in time of the window's own value is added with the sign that makes the sum larger.

    Args:
        newton: the method that has solved the window.
        window: its solution.
        own: the error in time.
        start: the estimated error of the state at the start, (order, n, m).
        size: the root mean square of the solution.
    """
    system = newton.equations.system
    moved = _moved(newton, window, start, size)
    added = torch.cat([own.at_end, torch.zeros_like(start[1:])])
    added = added if float((moved * added).sum()) >= 0 else -added
    total, size = moved + added, _size(system, moved)
    if window.keeps_waves:
        size = max(size, _size(system, start))
    found = _size(system, total)
    if found > 0:  # errors of different forms add up as those of one form do
        total = total * ((size + _size(system, added)) / found)
    return total


def _size(system: System, error: Tensor) -> float:
    return float(system.norms(error[:1]))


def _moved(newton: Newton, window: Window, start: Tensor, size: float) -> Tensor:
    """The error at the end that follows from the one at the start, (order, n, m)."""
    small = 1e-3  # of the solution, for which the equation is linear, and far above rounding
    before = _size(newton.equations.system, start)
    if not before:
        return torch.zeros_like(start)
    factor = small * size / before
    change = newton.carried(window.states[window.order :], factor * start)
    return window.end_of(change) / factor


def with_splines(system: System, error: Tensor, splines: Tensor) -> Tensor:
    """An estimated error that is at least as large in each interval as that of splines.

    The splines of a window add their error also where the equation has damped earlier errors.

    Args:
        system: the equation in a trial space.
        error: of the value and, for second order, the rate, (order, n, m).
        splines: the root mean square errors of splines in each interval, (E,).
    """
    values = system.space.values(error[:1])
    missing = (splines - system.by_elements(values)).clamp_min(0)
    if not bool(missing.any()):
        return error
    raised = system.projection(system.raised(values, missing))
    return torch.cat([raised[None], error[1:]])


Array_of_window_solve = NDArray[np.float64]


def newton_method(surrogate: Surrogate) -> type[Newton]:
    """The method for the windows of equations in time alone, or in space and time."""
    few = 20  # fields, with which the dense system of all stages costs less than other work
    in_time_alone, fields = surrogate.domain.dim == 1, surrogate.network.width[-1]
    return CoupledNewton if in_time_alone and fields <= few else SimplifiedNewton


@torch.no_grad()
def solve_window(
    equations: WindowEquations,
    guess: Tensor,
    size: float,
    precision: float,
    algebraic: Sequence[int] = (),
    error: Tensor | None = None,
) -> Window:
    """Solve a window.

    Args:
        equations: its equations.
        guess: of the unknowns of the stages, (s, n, m).
        size: the root mean square of the solution.
        precision: the error of Newton's method relative to it.
        algebraic: the numbers of the fields of which no equation has a derivative in time.
        error: the estimated error of the state at the start, (order, n, m); None if it does not
            matter.
    """
    states = equations.states(guess)
    window = Window.of_states(equations.stages, equations.start, equations.length, states)
    try:
        newton, found = _iterated(equations, guess, size, precision, algebraic)
        states = newton.equations.states(found.unknowns)
        window = replace(window, states=states, iterations=found.steps, rate=found.rate)
        return _judged(newton, found.unknowns, window, size, error) if found.converged else window
    except np.linalg.LinAlgError:  # a singular matrix, which a shorter window need not have
        return window


def _iterated(
    equations: WindowEquations,
    guess: Tensor,
    size: float,
    precision: float,
    algebraic: Sequence[int],
) -> tuple[Newton, Iterated]:
    """Newton's method for a window, and again after algebraic fields got values at its start."""
    method = newton_method(equations.system.interior.surrogate)
    newton = method(equations, guess)
    found = newton.solve(size, precision)
    if algebraic and found.converged:
        equations, unknowns = _continued_to_start(equations, found.unknowns, algebraic)
        newton = method(equations, unknowns)
        found = replace(newton.solve(size, precision), steps=found.steps + 1)
    return newton, found


def _judged(
    newton: Newton, unknowns: Tensor, window: Window, size: float, start: Tensor | None
) -> Window:
    """The solved window with its errors; it has not converged where they are not finite."""
    equations, system = newton.equations, newton.equations.system
    own = system.norm(system.space.values(window.end()[:1]) + equations.last_data())
    size = max(size, own) or 1.0
    in_time, splines = newton.error(unknowns), newton.splines(unknowns)
    error, lower = errors_by_decay(in_time.mean / size, _modes(system, window) / size)
    good = math.hypot(error, lower, own, float(splines.sum())) < 1e100  # its square is finite
    window = replace(
        window,
        converged=good,
        error=error,
        lower=lower,
        splines=splines,
        lifetimes=newton.lifetimes(),
        size=own,
    )
    if start is None or not good:
        return window
    return replace(window, carried=carried_error(newton, window, in_time, start, size))


def _continued_to_start(
    equations: WindowEquations, unknowns: Tensor, algebraic: Sequence[int]
) -> tuple[WindowEquations, Tensor]:
    """The equations and unknowns with other values of algebraic fields at the start.

    The stages of Radau IIA do not depend on these values. The polynomials through the stages alone
    give them, with one degree less than those of other fields: so they are consistent with the
    equations at the first moment too, and errors of the window before do not stay.

    Reference: Hairer, Lubich and Roche, The numerical solution of differential-algebraic systems by
    Runge-Kutta methods (1989).
    """
    fields = list(algebraic)
    ahead = torch.from_numpy(lagrange(equations.stages.nodes, np.zeros(1)))
    change = torch.tensordot(ahead, unknowns[..., fields], dims=1)
    initial, moved = equations.initial.clone(), unknowns.clone()
    initial[..., fields] += change
    moved[..., fields] -= change
    return replace(equations, initial=initial), moved


def _modes(system: System, window: Window) -> Array_of_window_solve:
    """The root mean square over the window of its Legendre polynomials, (s + order,)."""
    sizes: Array_of_window_solve = system.norms(window.series()).numpy()
    return sizes / np.sqrt(2 * np.arange(len(sizes)) + 1)


def errors_by_decay(error: float, modes: Array_of_window_solve) -> tuple[float, float]:
    """The errors of s and s - 2 stages, from the estimate for s and the Legendre polynomials.

    The two highest polynomials are what two stages fewer would leave. Where they are rounding
    errors, the polynomials above them tell how the errors decay.
    """
    rounding, lower = 1e-14, float(np.hypot(*modes[-2:]))
    largest = np.maximum.accumulate(modes[::-1])[::-1]  # of each polynomial and all higher ones
    last = int((largest > rounding * largest[0]).sum()) - 1
    if last < 4 or last >= len(modes) - 2:
        return error, lower
    decay = (largest[last // 2] / largest[last]) ** (1 / (last - last // 2))
    error = max(error, largest[last] * decay ** (last - len(modes)))
    return error, error * decay**2
