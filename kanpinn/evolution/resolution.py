"""The resolution in space of a march: windows are solved on intervals that follow the solution."""

import math
from dataclasses import dataclass, replace

from torch import Tensor

from kanpinn.evolution.front import FrontInTime, first_front
from kanpinn.evolution.function_space import FunctionSpace
from kanpinn.evolution.time.stages import Stages
from kanpinn.evolution.window.carried_error import with_splines
from kanpinn.evolution.window.window import Window
from kanpinn.evolution.window.window_equations import WindowEquations
from kanpinn.evolution.window.window_solve import solve_window


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
