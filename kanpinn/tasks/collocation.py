"""Windows in a trial space: the equations at all stages, Newton's methods for them, and the error
that is propagated to the end.
"""

import copy
import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, Self

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
)
from kanpinn.tasks.window import Iterated, Newton, StageChoice, TimeError, Window, solve_window

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


class GalerkinNewton(Newton):
    """Newton's method for the equations in a trial space.

    Args:
        equations: the equations.
        guess: of the unknowns of the stages, (s, n, m).
    """

    def __init__(self, equations: WindowEquations, guess: Tensor) -> None:
        self.equations = equations
        self.stages, self.initial = equations.stages, equations.initial
        self.start, self.length = equations.start, equations.length

    def restarted(
        self, initial: Tensor, found: Iterated, size: float, precision: float
    ) -> tuple[Self, Iterated]:
        moved = type(self)(replace(self.equations, initial=initial), found.unknowns)
        again = moved.solve(found.unknowns, size, precision)
        return moved, replace(again, steps=found.steps + 1)

    def norms(self, values: Tensor) -> Tensor:
        return self.equations.system.norms(values)

    def norm(self, change: Tensor) -> float:
        rates = self.equations.moments.rates[0][:, self.equations.system.order :]
        return super().norm(torch.tensordot(rates, change, dims=1))

    def size_at_end(self, window: Window) -> float:
        system = self.equations.system
        return system.norm(system.space.values(window.end()[:1]) + self.equations.last_data())

    @abstractmethod
    def propagated(self, unknowns: Tensor, change: Tensor) -> Tensor:
        """The change of the polynomials by a small change of the values at the start.

        Args:
            unknowns: the solution, (s, n, m).
            change: of the value and, for second order, the rate at the start, (order, n, m).

        Returns:
            The change of the coefficients, (order + s, n, m).
        """


class SimplifiedNewton(GalerkinNewton):
    """Newton's method with the Jacobian in the middle of the window for all stages.

    Diagonalising the inverse Butcher matrix leaves one linear system of the size of space for each
    stage, which is factored once (see `Stages`).
    """

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
            self.linear([(at if at.imag else at.real) ** r for r in powers]) for at in self.scale
        ]

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
            found = factor(np.ascontiguousarray(right)) * at ** (system.order - 1)
            change += (column[:, None] * found).real
        return torch.from_numpy(change).view(len(change), -1, system.fields)

    def propagated(self, unknowns: Tensor, change: Tensor) -> Tensor:
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
        found = torch.from_numpy(self.linear(rates)(defect))
        error = found.view(1, -1, system.fields) * form.mean
        return TimeError(float(system.norms(error)), error)

    def splines(self, unknowns: Tensor) -> tuple[Tensor, Tensor]:
        equations = self.equations
        system, states = equations.system, equations.states(unknowns)
        residual = system.interior.residual(equations.points[0], equations.moments, states)
        errors = system.element_errors(self.linearised, residual, 1 / equations.length)
        return errors.amax(dim=0), system.lifetimes(self.linearised)


class CoupledNewton(GalerkinNewton):
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

    def propagated(self, unknowns: Tensor, change: Tensor) -> Tensor:
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


def newton_method(surrogate: Surrogate) -> type[GalerkinNewton]:
    """The method for the windows of equations in time alone, or in space and time."""
    few = 20  # fields, with which the dense system of all stages costs less than other work
    in_time_alone, fields = surrogate.domain.dim == 1, surrogate.network.width[-1]
    return CoupledNewton if in_time_alone and fields <= few else SimplifiedNewton


def solve_equations(
    equations: WindowEquations,
    guess: Tensor,
    size: float,
    precision: float,
    algebraic: Sequence[int] = (),
) -> tuple[Window, GalerkinNewton | None]:
    """The solution of a window, see `solve_window`; no method where a matrix is singular.

    A shorter window need not have a singular matrix.
    """
    method = newton_method(equations.system.interior.surrogate)
    try:
        return solve_window(method(equations, guess), guess, size, precision, algebraic)
    except np.linalg.LinAlgError:
        where = equations.stages, equations.start, equations.length
        return Window(*where, equations.states(guess)), None


def propagated_error(newton: GalerkinNewton, window: Window, start: Tensor, size: float) -> Tensor:
    """The estimated error of the state at the end of a solved window, (order, n, m).

    The error at the start is propagated by the equation, linearised about the solution, which may
    amplify or damp it. Collocation damps waves that are too fast for the window, which is an error
    where the equation does not. So there the size of what is propagated does not shrink, and the
    error in time of the window's own value is added with the sign that makes the sum larger.

    Args:
        newton: the method that has solved the window.
        window: its solution.
        start: the estimated error of the state at the start, (order, n, m).
        size: the root mean square of the solution.
    """
    small = 1e-3  # of the solution, for which the equation is linear, and far above rounding

    def norm(error: Tensor) -> float:
        return float(newton.norms(error[:1]))

    before, moved = norm(start), torch.zeros_like(start)
    if before:
        factor = small * size / before
        change = newton.propagated(window.states[window.order :], factor * start)
        moved = window.end_of(change) / factor
    added = torch.cat([window.in_time, torch.zeros_like(start[1:])])
    added = added if float((moved * added).sum()) >= 0 else -added
    total, size = moved + added, norm(moved)
    if window.keeps_waves:
        size = max(size, before)
    found = norm(total)
    if found > 0:  # errors of different forms add up as those of one form do
        total = total * ((size + norm(added)) / found)
    return total


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
