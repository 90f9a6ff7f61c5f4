"""The solution at the end of the windows so far, in splines or random functions, and the
intervals in space of the next window.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from kanpinn.spaces.function_space import FunctionSpace
from kanpinn.spaces.time_schemes import Stages, stages
from kanpinn.spaces.window import Window
from kanpinn.tasks.collocation import WindowEquations, solve_window, with_splines


@dataclass(frozen=True, eq=False)
class FrontInTime:
    """The solution at the end of the windows so far, from which the next window starts.

    Args:
        time: the end of the windows.
        space: the functions of space.
        state: the coefficients of the value there, and for second order the rate, (order, n, m).
        size: the largest root mean square of the solution so far.
        errors: the root mean square errors with which the space represents it in each element,
            (E,); None where it is the end of a window.
        carried: the estimated error of the state, (order, n, m).
        before: the last window that has been solved, in the same space: the one that ends here, or
            one that starts here and was not accepted; None at the first moment.
        lasting: the part of the whole time for which errors in each element last, (E,), known at
            the first moment; None for all of it.
    """

    time: float
    space: FunctionSpace
    state: Tensor
    size: float
    carried: Tensor
    errors: Tensor | None = None
    before: Window | None = None
    lasting: Tensor | None = None

    @property
    def is_first(self) -> bool:
        """Whether it is at the first moment."""
        return self.time == float(self.space.surrogate.domain.bounds[0][-1])

    @property
    def change(self) -> float:
        """The relative error with which the space represents the solution, of what lasts of it.

        It is the root mean square over the whole time.
        """
        if self.errors is None or not self.size:
            return 0.0
        return self.space.error(self.felt) / self.size

    @property
    def felt(self) -> Tensor:
        """The errors in each element in the root mean square over the whole time, (E,)."""
        assert self.errors is not None
        return self.errors if self.lasting is None else self.errors * self.lasting.sqrt()

    def guess(self, scheme: Stages, length: float) -> Tensor:
        """A guess for the unknowns of the stages of the next window, (s, n, m)."""
        if self.before is None:
            return self.state.new_zeros(scheme.count, *self.state.shape[1:])
        return self.before.guess(scheme, self.time, length)

    def again(self, window: Window, space: FunctionSpace) -> "FrontInTime":
        """The same front after a window that starts here, in some space, has not been accepted.

        If it has been solved, it is a guess for a shorter one, unless it is far from the solution.
        """
        useful = window.converged and window.error < 0.1 and space is self.space
        return replace(self, before=window) if useful else self

    def after(self, window: Window, carried: Tensor, time: float | None = None) -> "FrontInTime":
        """The front at the end of a window that starts here.

        Args:
            window: the window.
            carried: the estimated error of its state at the end, (order, n, m).
            time: that of the end, where it is known without rounding.
        """
        end = window.start + window.length if time is None else time
        size = max(self.size, window.size)
        return FrontInTime(float(end), self.space, window.end(), size, carried, None, window)

    def regraded(self, errors: Tensor, error: float, smooth: bool = True) -> FunctionSpace:
        """A space with intervals graded for a relative error of its splines.

        The kinks of the initial values stay breaks at the first moment only.

        Args:
            errors: the present root mean square errors on each interval, (G,).
            error: the relative error.
            smooth: see `FunctionSpace.regraded`.
        """
        space = self.space if self.is_first else replace(self.space, kinks=None)
        return space.regraded(errors, self.size * error, smooth)

    def moved(self, space: FunctionSpace) -> "FrontInTime":
        """The same front in another space."""
        if self.before is None or self.is_first:
            return first_front(space, self.time)
        order = len(self.state)
        together = torch.cat([self.state, self.carried, self.before.states])
        states, errors = space.moved(together, self.space)
        state, carried, last = states.split([order, order, len(states) - 2 * order])
        before = replace(self.before, states=last)
        return replace(
            self, space=space, state=state, carried=carried, errors=errors, before=before
        )

    def state_dict(self) -> dict[str, Any]:
        """What `of_state` makes the front of again."""
        last = self.before
        return {
            "time": self.time,
            "state": self.state,
            "size": self.size,
            "errors": self.errors,
            "carried": self.carried,
            "breaks": list(self.space.breaks),
            "kinks": self.space.kinks,
            "lasting": self.lasting,
            "states": None if last is None else last.states,
            "last": None if last is None else (last.start, last.length, last.stages.count),
            "scheme": None if last is None else last.stages.kind,
        }

    @classmethod
    def of_state(cls, state: Mapping[str, Any], space: FunctionSpace) -> "FrontInTime":
        """The front that `state_dict` has described, in its space."""
        before = None
        if state["last"] is not None:
            start, length, count = state["last"]
            scheme = stages(count, state["scheme"])
            before = Window.of_states(scheme, start, length, state["states"])
        known = {
            name: state[name] for name in ("time", "state", "size", "errors", "carried", "lasting")
        }
        return cls(space=space, before=before, **known)


def first_front(space: FunctionSpace, time: float) -> FrontInTime:
    """The front at the first moment: the initial values in a space."""
    state, errors = space.initial()
    size = space.size(state, time)
    lasting = None if space.kinks is None else _lasting(space, state, time)
    return FrontInTime(time, space, state, size, torch.zeros_like(state), errors, None, lasting)


def _lasting(space: FunctionSpace, state: Tensor, time: float) -> Tensor:
    """The part of the whole time for which errors of splines in each interval last, (G,).

    state: the coefficients at a time, (order, n, m).
    """
    low, high = (float(corner[-1]) for corner in space.surrogate.domain.bounds)
    still = WindowEquations(space.system, stages(1), time, high - low, state)
    states = still.states(torch.zeros_like(state[:1]))
    linearised = space.system.interior.linearised(still.moment(0.0), states)
    return (space.system.lifetimes(linearised) / (high - low)).clamp_max(1.0)


@dataclass(frozen=True, eq=False)
class Attempt:
    """A window that has been tried from a front.

    carried: the estimated error of the state at its end, (order, n, m). felt: the error of its
    splines in each interval, that of the state at its start included, each counted for the part of
    the whole time for which it lasts, (E,). splines: the relative error `felt` of all intervals
    together. squares: the integral over time of the squared relative errors: over the window, and
    of those of the state at its start over the time for which they last. Where the window cannot be
    accepted, errors in space are not judged: `carried` and `felt` are those of the window alone.
    """

    front: FrontInTime
    window: Window
    carried: Tensor
    felt: Tensor
    splines: float = 0.0
    squares: float = 0.0


@dataclass(frozen=True)
class Resolution:
    """Chooses the intervals in space so that the relative error of splines is at most `allowed`.

    The errors of splines are waves as long as an interval. On finer intervals they go on as waves
    that few equations damp, and that force short windows. So intervals are refined as soon as the
    errors exceed `tolerated`, well before they are as large as is allowed.

    Kinks of the initial values are resolved as far as is felt later: where the equation damps short
    waves, their errors are gone after a small part of the whole time.

    Args:
        allowed: the largest relative error.
        follows: whether the intervals follow the solution; otherwise they stay as they are.
        begin, end: the whole time.
    """

    allowed: float
    follows: bool
    begin: float
    end: float

    @property
    def aim(self) -> float:
        """The relative error for which intervals are graded, which leaves a reserve."""
        return self.allowed / 30

    @property
    def tolerated(self) -> float:
        """The relative error above which intervals are refined."""
        return self.allowed / 5

    def first(self, space: FunctionSpace, time: float) -> FrontInTime:
        """The initial values, on intervals in space that resolve them if possible.

        Args:
            space: the intervals to begin with.
            time: the first moment.
        """
        front, tries = first_front(space, time), 20
        if not self._grades(space) or front.change <= self.allowed:
            return front
        front = first_front(space.with_kinks(), time)
        while front.change > self.tolerated and tries and not front.space.is_finest:
            tries -= 1
            finer = first_front(front.regraded(front.felt, self.aim), time)
            if finer.change > front.change / 2:  # not smooth, or not resolved yet
                finer = first_front(front.regraded(front.felt, self.aim, smooth=False), time)
            front = finer
        return front

    def attempt(
        self, front: FrontInTime, scheme: Stages, length: float, largest: float, precision: float
    ) -> Attempt:
        """Solve a window, again on finer intervals while those in space are too wide for it.

        Args:
            front: where it starts.
            scheme: its stages.
            length: its length.
            largest: the error in time with which it will be accepted; above, space does not matter.
            precision: of Newton's method, relative to the solution.
        """
        start, tries = front, 4
        while True:
            space, guess = front.space, front.guess(scheme, length)
            equations = WindowEquations(space.system, scheme, front.time, length, front.state)
            window = solve_window(
                equations, guess, front.size, precision, space.terms.algebraic, front.carried
            )
            good = window.converged and window.error <= largest
            if not good:
                return Attempt(front, window, window.carried, window.splines)
            size = max(front.size, window.size)
            done = self._judged(front, window, size)
            if front is not start and not start.is_first:  # which has been projected before
                left = self.end - window.start
                done = replace(done, squares=done.squares + left * start.change**2)
            if done.splines <= self.tolerated or not self._grades(front.space):
                return done
            finer = replace(front, size=size).regraded(done.felt, self.aim)
            if not tries or finer.is_finest:
                return done
            tries -= 1
            front = start.moved(finer)

    def _judged(self, front: FrontInTime, window: Window, size: float) -> Attempt:
        """The attempt with the errors in space, and all errors that go on from it.

        As long as less than a part of the whole time has passed, errors of splines count for the
        time after which they are gone, relative to that part.
        """
        space, part = front.space, 0.1 * (self.end - self.begin)
        passed = window.start + window.length - self.begin
        carried, felt, squares = window.carried, window.splines, 0.0
        if len(felt):
            share = ((passed + window.lifetimes) / part).clamp_max(1.0).sqrt()
            carried = with_splines(space.system, carried, felt * share)
            if front.errors is not None:
                lasting = (window.length + window.lifetimes).clamp_max(self.end - window.start)
                squares = space.error(front.errors * lasting.sqrt()) ** 2
                felt = felt.hypot(front.errors)
            felt = felt * share
        most = max(float(space.system.norms(carried[:1])), space.error(window.splines))
        squares += window.length * most**2
        size = size or math.inf
        return Attempt(front, window, carried, felt, space.error(felt) / size, squares / size**2)

    def lightened(self, front: FrontInTime, done: Attempt) -> FrontInTime:
        """The front after a window, on fewer intervals if they were much finer than needed."""
        wide, fewer = 1e-4, 0.7  # of the allowed error, and of the intervals
        space = front.space
        if self._grades(space) and done.splines < wide * self.allowed:
            coarser = front.regraded(done.window.splines, self.aim)
            if coarser.count < fewer * space.count:
                moved = front.moved(coarser)
                # The errors of a short window are small even where its splines are too wide.
                return moved if moved.change <= self.aim else front
        return front

    def _grades(self, space: FunctionSpace) -> bool:
        return self.follows and bool(space.breaks)
