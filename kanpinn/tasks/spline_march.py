"""A march in time with splines or random functions in space; intervals follow the solution."""

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from kanpinn.geometry import Points
from kanpinn.jets import Jet
from kanpinn.loss.residuals import Residuals
from kanpinn.spaces.evolution_terms import EvolutionTerms
from kanpinn.spaces.function_space import FunctionSpace
from kanpinn.spaces.jets_in_time import at_times
from kanpinn.spaces.time_schemes import Stages
from kanpinn.spaces.windows import Separable, require_windows
from kanpinn.tasks.time_state import Attempt, MarchSettings, TimeState, state_of, window_of
from kanpinn.tasks.window import GalerkinNewton, Window, newton_method, solve_window


@dataclass(frozen=True, eq=False)
class SplineState:
    """The solution at the end of the windows solved so far, from which the next window starts.

    A window is a span of time that is solved at once. There are n functions of space, m fields and
    E elements (the intervals, if the functions are splines).

    Args:
        time: the end of the windows.
        space: the functions of space.
        state: the coefficients of the value at this time, and for second order the rate,
            (order, n, m).
        size: the size of the solution over space, see `TimeState`.
        error: the coefficients of the estimated error of the state, (order, n, m).
        errors: the root mean square error with which the functions represent the state in each
            element, (E,); None if the state is the end of a window with these functions.
        latest: the last window that has been solved, with these functions: the window that ends at
            this time, or a window that starts here and was not accepted; None at the initial time.
        lasting: for each element the fraction of the evolution's duration after which an error in
            it has decayed, (E,), computed at the initial time; None if errors last to the end.
    """

    time: float
    space: FunctionSpace
    state: Tensor
    size: float
    error: Tensor
    errors: Tensor | None = None
    latest: Window | None = None
    lasting: Tensor | None = None

    @property
    def is_first(self) -> bool:
        """True if the state is at the initial time."""
        return self.time == self.space.surrogate.domain.time_span[0]

    @property
    def change(self) -> float:
        """The relative error with which the functions of space represent the state.

        It is the root mean square of `felt` over all elements, divided by `size`; 0 if the state is
        the end of a window with these functions.
        """
        if self.errors is None or not self.size:
            return 0.0
        return self.space.error(self.felt) / self.size

    @property
    def felt(self) -> Tensor:
        """The errors of the state in each element, weighted by the time for which they last, (E,).

        An error counts only for the fraction of the duration for which it lasts: the result is
        errors · √lasting, or `errors` if `lasting` is None.
        """
        assert self.errors is not None
        return self.errors if self.lasting is None else self.errors * self.lasting.sqrt()

    def regraded(self, errors: Tensor, error: float, smooth: bool = True) -> FunctionSpace:
        """Splines on new intervals, graded for a given relative error.

        At the initial time, the points where the initial values have kinks stay ends of intervals.

        Args:
            errors: the present root mean square errors on each interval, (G,).
            error: the relative error that the new intervals aim at.
            smooth: whether the error falls like that of splines for smooth functions; otherwise it
                is taken to be proportional to the width of an interval.
        """
        space = self.space if self.is_first else replace(self.space, kinks=None)
        return space.regraded(errors, self.size * error, smooth)

    def moved(self, space: FunctionSpace) -> "SplineState":
        """Project the state onto other functions of space.

        At the initial time, or without a last window, the initial values are projected again.
        Otherwise the state, its error and the last window are projected; `errors` of the result are
        the errors of this projection.

        Args:
            space: the other functions.
        """
        if self.latest is None or self.is_first:
            return first_state(space, self.time)
        order = len(self.state)
        together = torch.cat([self.state, self.error, self.latest.states])
        states, errors = space.moved(together, self.space)
        state, error, last = states.split([order, order, len(states) - 2 * order])
        latest = replace(self.latest, states=last)
        return replace(self, space=space, state=state, error=error, errors=errors, latest=latest)


def first_state(space: FunctionSpace, time: float) -> SplineState:
    """Return the state at the initial time: the initial values, projected onto functions of space.

    Args:
        space: the functions. For several coordinates, or if the points with kinks of the initial
            values are known, the state also has the times for which errors last.
        time: the initial time.
    """
    (state, errors), lasting = space.initial(), None
    system, functions = space.system, space.system.space
    if space.kinks is not None or len(space.breaks) > 1:
        low, high = space.surrogate.domain.time_span
        lifetimes = system.lifetimes(system.interior.linearised(*system.at_start(time, state)))
        lasting = (lifetimes / (high - low)).clamp_max(1.0)
    data = system.interior.data(at_times(functions.places, torch.tensor([time]).double()))
    size = float(system.root_mean_square(functions.values(state[:1]) + data.value))
    return SplineState(time, space, state, size, torch.zeros_like(state), errors, None, lasting)


@dataclass(frozen=True, eq=False)
class SplineAttempt(Attempt):
    """An attempt to solve a window (span of time) from a state.

    If the error in time is too large for the window to be accepted, the errors in space are only
    placeholders.

    Args:
        state: the state at the start of the window.
        error: the coefficients of the estimated error of the state at the end of the window,
            (order, n, m).
        errors: the root mean square error of splines in each of their E intervals, the largest over
            the window, (E,); empty for other functions.
        felt: for each interval the root of the sum of two squares, (E,): the error of the splines,
            and the error of the state at the start. Each is weighted by the time for which it
            lasts.
        splines: the relative error `felt` of all intervals together.
        squares: the integral over time of squared errors: those of the window, and those of the
            state at the start as long as they last.
    """

    state: SplineState
    error: Tensor
    errors: Tensor = field(default_factory=lambda: torch.zeros(0))
    felt: Tensor = field(default_factory=lambda: torch.zeros(0))
    splines: float = 0.0
    squares: float = 0.0


class SplineMarch(TimeState[SplineAttempt]):
    """The state of a march with splines or random functions in space.

    The intervals of splines are refined and coarsened to follow the solution. The errors of splines
    are waves as long as an interval. If intervals are refined late, these waves go on in the finer
    intervals. Few equations damp them, and they force short windows (steps of time). So intervals
    are refined as soon as the errors exceed `tolerated`, well before they reach `allowed`, half of
    the tolerance.

    An error at a kink of the initial values counts only for the time for which it lasts. Where the
    equation damps short waves, this is a small part of the duration, and intervals at the kink
    may be larger.

    The arguments are those of `TimeState`.
    """

    state: SplineState

    def __init__(
        self, settings: MarchSettings, residuals: Residuals, terms: EvolutionTerms
    ) -> None:
        super().__init__(settings, residuals, terms)
        # LAPACK works on the CPU, and the lengths of windows need all digits.
        self.surrogate = copy.deepcopy(self.surrogate).to("cpu", torch.float64)
        self.network = require_windows(self.surrogate.network)
        self.method = newton_method(self.surrogate)
        self.choice = replace(self.method.choice, fields=self.network.width[-1])
        self.order = self.network.order
        # Relative errors in space: the largest error that is allowed, the error above which
        # intervals are refined, and the error that new intervals aim at, with a reserve.
        self.allowed = settings.tolerance / 2
        self.tolerated, self.aim = self.allowed / 5, self.allowed / 30

    def _space(self, breaks: Sequence[Tensor], kinks: Tensor | None = None) -> FunctionSpace:
        """The functions of space for given ends of spline intervals, in float64.

        Args:
            breaks: the ends of intervals in each coordinate.
            kinks: the points where the initial values have kinks; None if not known.
        """
        breaks = [one.to("cpu", torch.float64) for one in breaks]
        return FunctionSpace(self.network, self.surrogate, self.terms, breaks, kinks)

    def _go_on(self, state: SplineState) -> None:
        """Replace the state, and the attributes `time` and `latest` with it."""
        self.state, self.time, self.latest = state, state.time, state.latest

    def start(self, scheme: Stages, length: float) -> None:
        time, tries = self.time, 20
        state = first_state(self._space(self.network.breaks()), time)
        if self._grades(state.space) and state.change > self.allowed:
            state = first_state(state.space.with_kinks(), time)
            while state.change > self.tolerated and tries and not state.space.is_finest:
                tries -= 1
                finer = first_state(state.regraded(state.felt, self.aim), time)
                if finer.change > state.change / 2:  # at kinks errors do not fall like h^(k + 1)
                    aim = max(self.tolerated, state.change / 4)
                    finer = first_state(state.regraded(state.felt, aim, smooth=False), time)
                state = finer
        self._go_on(state)
        self.limited = self.settings.windows is None and state.change > self.allowed

    def jet(self) -> tuple[Points, Jet] | None:
        system = self.state.space.system
        if len(self.surrogate.domain.names) == 1:
            return None
        moments, states = system.at_start(self.time, self.state.state)
        points = at_times(system.space.places, moments.times)
        return points, system.interior.jet(points, moments, states)

    def attempt(self, scheme: Stages, length: float, allowed: float) -> SplineAttempt:
        """Try to solve a window of time; refine intervals and try again while splines err too much.

        Args:
            scheme: the collocation stages of the window.
            length: the length of the window.
            allowed: the largest relative error in time.

        Returns:
            The attempt. If Newton's method fails or the error in time exceeds `allowed`, the
            errors in space are not computed. The intervals are graded anew at most four times.
        """
        start, state, tries = self.state, self.state, 4
        precision, algebraic = self.settings.precision(self.method), self.terms.algebraic
        while True:
            space, guess = state.space, torch.zeros(scheme.count, *state.state.shape[1:]).double()
            if state.latest is not None:
                guess = state.latest.guess(scheme, state.time, length)
            newton = self.method(space.system, scheme, state.time, length, state.state, guess)
            window, newton = solve_window(newton, guess, state.size, precision, algebraic)
            window = window.doubted(self.doubt)
            if not (window.converged and window.error <= allowed):
                if window.converged and window.error < 0.1 and state is start:
                    self._go_on(replace(state, latest=window))  # for a guess in the next attempt
                return SplineAttempt(window, *_intervals_in_words(space), state, state.error)
            size = max(state.size, window.size)
            done = self._judged(state, window, newton, size)
            if state is not start and not start.is_first:  # the state has been projected
                squares = (self.end - window.start) * (start.change * start.size) ** 2
                squares += done.squares
                done = replace(done, squares=squares)
            if done.splines <= self.tolerated or not self._grades(state.space):
                return done
            finer = replace(state, size=size).regraded(done.felt, self.aim)
            if not tries or finer.is_finest:
                return done
            tries -= 1
            state = start.moved(finer)

    def _judged(
        self, state: SplineState, window: Window, newton: GalerkinNewton, size: float
    ) -> SplineAttempt:
        """Estimate the errors in space of a solved window of time; return the attempt with them.

        Errors of splines that the equation damps early count less. Let T be a tenth of the duration
        of the march, and e the time, counted from the start of the march, at which an error is
        damped. This error has the weight √(e / T) if e < T, else 1.

        Args:
            state: the state at the start of the window.
            window: the solved window.
            newton: the Newton method that has solved it.
            size: the size of the solution.
        """
        errors, lifetimes = newton.splines(window)
        if not float(errors.sum()) < 1e100:
            unsolved = replace(window, converged=False)
            return SplineAttempt(unsolved, *_intervals_in_words(state.space), state, state.error)
        space, part = state.space, 0.1 * (self.end - self.begin)
        passed = window.start + window.length - self.begin
        error = newton.propagated_error(window, state.error, size or 1.0, lifetimes)
        felt, squares = errors, 0.0
        if len(felt):
            share = ((passed + lifetimes) / part).clamp_max(1.0).sqrt()
            error = space.system.with_splines(error, felt * share)
            if state.errors is not None:
                lasting = (window.length + lifetimes).clamp_max(self.end - window.start)
                squares = space.error(state.errors * lasting.sqrt()) ** 2
                felt = felt.hypot(state.errors)
            felt = felt * share
        most = max(float(space.system.norms(error[:1])), space.error(errors))
        squares += window.length * most**2
        relative = space.error(felt) / (size or math.inf)
        told = _intervals_in_words(space, relative)
        return SplineAttempt(window, *told, state, error, errors, felt, relative, squares)

    def member(self, done: SplineAttempt) -> Separable:
        return done.state.space.member(done.window.series())

    def accept(self, done: SplineAttempt, time: float) -> None:
        window, space = done.window, done.state.space
        size = self._add(window, done.squares)
        self._go_on(SplineState(time, space, window.end(), size, done.error, latest=window))
        self.limited |= self.settings.windows is None and done.splines > self.allowed

    def lighten(self, done: SplineAttempt, length: float) -> None:
        """Replace the intervals by fewer intervals if they are much finer than needed.

        This is done if the errors of splines are below 1e-4 of the allowed error, if it saves at
        least 0.3 of the intervals, and if the projection of the state is accurate enough.

        Args:
            done: the last window.
            length: the length of the next window, which is not used.
        """
        wide, fewer = 1e-4, 0.7  # fractions of the allowed error, and of the intervals
        state, space = self.state, self.state.space
        if self._grades(space) and done.splines < wide * self.allowed:
            coarser = state.regraded(done.errors, self.aim)
            if math.prod(coarser.counts) < fewer * math.prod(space.counts):
                moved = state.moved(coarser)
                # In a short window errors are small even if intervals are too wide.
                self._go_on(moved if moved.change <= self.aim else state)

    def _grades(self, space: FunctionSpace) -> bool:
        """Return whether the intervals of a space may be changed."""
        return self.settings.follows and bool(space.breaks)

    def state_dict(self) -> dict[str, Any]:
        state = self.state
        names = ("time", "state", "size", "errors", "error", "lasting")
        return super().state_dict() | {
            "breaks": list(state.space.breaks),
            "kinks": state.space.kinks,
            "latest": state.latest and state_of(state.latest),
            "solution": {name: getattr(state, name) for name in names},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict({name: state[name] for name in self.kept})
        space = self._space(state["breaks"], state["kinks"])
        latest = state["latest"] and window_of(state["latest"])
        self._go_on(SplineState(space=space, latest=latest, **state["solution"]))


def _intervals_in_words(space: FunctionSpace, splines: float = 0.0) -> tuple[str, dict[str, float]]:
    """The numbers of spline intervals in words, such as "8 × 8 intervals", and for the history.

    Args:
        space: the functions of space; without intervals the words are "", and the number is 0.
        splines: the relative error of the splines, for the history.
    """
    counts = space.counts
    words = " × ".join(map(str, counts)) + " intervals" if counts else ""
    return words, {"intervals": float(math.prod(counts) if counts else 0), "spline_error": splines}
