"""Newton's method for the equations of one window."""

import copy
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kanpinn.evolution.window.control import StageChoice
from kanpinn.evolution.window.window_equations import WindowEquations

Array = NDArray[Any]


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
