"""Marching in time: one window after the other is solved by collocation, with controlled
errors.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from kanpinn._support.errors import CONVERGED, FAILED, InputError
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.network import Network
from kanpinn.optimizers.method import Optimizer, Stage, Step
from kanpinn.spaces.cell_windows import CellWindows
from kanpinn.spaces.evolution_terms import TimeScales, sorted_terms, time_scales_of, with_orders
from kanpinn.spaces.time_schemes import stages
from kanpinn.spaces.windows import NetworkOfWindows, Windows, require_windows
from kanpinn.tasks.cell_march import CellMarch
from kanpinn.tasks.growth import Growth, GrowthTest, growth_after, refuse_growth
from kanpinn.tasks.spline_march import SplineMarch
from kanpinn.tasks.time_state import Attempt, MarchSettings, TimeState
from kanpinn.tasks.window import Control, Window, windows_left

SPACES: Mapping[type[Network], type[TimeState[Any]]] = {
    Windows: SplineMarch,
    CellWindows: CellMarch,
}


@dataclass(frozen=True)
class March(MarchSettings, Optimizer):
    """Solve an evolution window by window in time; the network is a `Windows` or `CellWindows`.

    Each step is one attempt to solve a window. In time the solution is a polynomial that satisfies
    the equation at the stages of a collocation method; in space the equation is tested with all
    functions of the network (Galerkin's method), and conditions at walls replace some of the tests.
    A simplified Newton method solves one linear system of the size of space for each stage, with
    band matrices in one space dimension, and by iterations for products of splines. The defect of
    the polynomial between the stages gives the error of the window, by which its length and the
    number of stages are chosen. Before the first window, sources,
    coefficients and data at walls are sampled at 2048 moments and 16 places: windows are short
    where these change fast, so that pulses do not lie between two stages, unless they are shorter
    than about 1/2000 of the time or zero at these places. The residual in each interval of splines
    gives the error there, by which intervals in space are graded. Fields of which no equation has a
    derivative in time follow from the stages alone.

    With cells in space (`CellWindows`) each step of Newton's method solves a few least-squares
    problems in cells, with factors that are kept for further windows of the same length while
    Newton's method converges fast with them. The error in space is found by comparisons with a
    higher degree and with smaller cells at singular corners, and cells are halved where it is
    large. If at any time more than the tolerance is left of the errors in space of all windows, the
    status says that the cells do not resolve the solution.

    Args:
        tolerance: the largest error, relative to the solution, that a window may add by its
            polynomials in time, and by its splines in space, in the root mean square. The
            linearised equation carries these errors on to the windows that follow, and may damp or
            amplify them. The status tells their sum if it is much larger; where the equation
            amplifies them much, as chaos does, it is an upper estimate. The functions of a network
            with hidden layers stay as they are: the status tells if they do not reach it.
        windows: the number of windows of equal length, whose errors are not limited; None to choose
            lengths by the tolerance.
        stages: the number of stages of each window, 1 to 11, or to 39 for at most 20 equations in
            time alone; None to choose it. The polynomials have this degree, or one more for an
            equation of second order in time.
        scheme: "radau" (Radau IIA) damps what is stiff; "gauss" damps nothing and preserves
            quadratic invariants to rounding, for Hamiltonian systems.
        regrade: whether the intervals or cells in space follow the solution: cells are halved where
            the error is large, and become larger again where the solution has become smooth.
            Otherwise they stay those of the network.
        steps: the largest number of attempts.
        cells: the largest number of cells in space, for `CellWindows`.

    Raises:
        InputError: for values out of range; in a solve, for another kind of network, a domain
            that is not a product of space and time, a term that is not imposed at all times,
            unknown numbers, or an equation that is ill-posed forward in time; with cells in space
            also for Gauss stages, an even number of stages, or weights of conditions.

    Reference: Hairer and Wanner, Solving Ordinary Differential Equations II (1996), IV.8.

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Heat(kp.Box(x=(0, 1), t=(0, 1)), initial="sin(pi*x)", boundary="0")
        >>> network = kp.Windows([2, 1], degree=7, grid=8)
        >>> solution = kp.solve(problem, network, kp.March(tolerance=1e-6))
        >>> solution.status, len(solution.network.pieces) > 1
        ('converged', True)
    """

    needs_fixed_points = True
    lowers_loss = False  # each window has its own equations
    fits_points = False

    def check(self, network: Network) -> None:
        space = SPACES.get(type(network))
        if space is None:
            require_windows(network)
        if space is CellMarch and (self.scheme == "gauss" or (self.stages or 1) % 2 == 0):
            raise InputError(
                'a march with cells in space has scheme = "radau" and an odd number of stages, got '
                f'scheme = "{self.scheme}" and stages = {self.stages}'
            )

    def measures(self, step: int) -> bool:
        # All windows so far are measured: after 1, 2, 3, 4, 6, 8, 12, … it costs as much as one.
        octave = 1 << (step.bit_length() - 1)
        return step in (octave, octave + octave // 2)

    def finer(self) -> "March":
        """A march with errors that are some 100 times smaller."""
        windows = None if self.windows is None else 2 * self.windows
        return replace(self, tolerance=max(1e-14, self.tolerance / 100), windows=windows)

    def start(self, residuals: Residuals, seed: int) -> Stage:
        if residuals.surrogate.has_unknowns:
            raise InputError("march is for problems without unknowns: kp.Shooting finds numbers")
        return MarchStage(self, residuals)


COUNTED = ("accepted", "refused", "squares", "begun")
CONTROLLED = ("length", "stages", "distances")  # what the controller remembers


class MarchStage(Stage):
    """A march: the solution up to a moment, and what chooses the next window.

    Attributes:
        state: the solution at the end of the windows so far.
        begin, duration: the first moment, and the time from there to the last one.
        control: chooses the next window.
        scales: limit the length of the next window, unless the number of windows is given.
        words: tell of steps and of the end.
        latest: the last attempt that was accepted.
        accepted: the number of windows.
        refused: how many attempts in a row have failed.
        squares: the integral over time of the squared relative errors.
        begun: whether the initial values are resolved.
    """

    all_or_nothing = True  # a window is added once it is solved
    latest: Attempt

    def __init__(self, settings: March, residuals: Residuals) -> None:
        surrogate = residuals.surrogate
        self.settings = settings
        self.network = cast(NetworkOfWindows[Any], surrogate.network)
        space = SPACES[type(self.network)]
        terms = sorted_terms(residuals.terms, surrogate).in_float64()
        self.terms = with_orders(terms, self.network.width[-1], self.network.order, settings.scheme)
        self.state = state = space(settings, residuals, self.terms)
        self.begin, self.duration = state.begin, state.end - state.begin
        own = settings.tolerance, self.duration, settings.windows, settings.stages
        self.control, self.scales = Control.first(*own, state.choice), TimeScales()
        if settings.windows is None:
            self.scales = time_scales_of(self.terms, state.surrogate, settings.tolerance)
        names = surrogate.domain.names
        self.words = MarchWords.between(names[-1], settings.tolerance, state.begin, state.end)
        self.accepted, self.refused, self.squares, self.begun = 0, 0, 0.0, False

    @property
    def time(self) -> float:
        """The moment up to which the solution is known."""
        return self.state.time

    @property
    def part(self) -> float:  # type: ignore[override]
        """The fraction of the time up to which the solution is known."""
        return (self.time - self.begin) / self.duration

    @property
    def spent(self) -> float:
        """The estimated relative error so far, in the root mean square over time."""
        return math.sqrt(self.squares / max(self.time - self.begin, 1e-300))

    @property
    def is_hopeless(self) -> bool:
        """Whether shorter and shorter windows have been refused for too long."""
        many = 30
        return self.refused >= many or self.time + self.control.length <= self.time

    def step(self) -> Step:
        control, state = self.control, self.state
        length, last = self._length()
        scheme = stages(control.stages, self.settings.scheme)
        if not self.begun:
            state.start(scheme, length)
            refuse_growth(GrowthTest().find(state))
            self.begun = True
        done = None if state.stopped else state.attempt(scheme, length, control.allowed)
        if done is None:
            finished = self.words.too_many_cells(self.time, state.stopped)
            return Step(self.spent**2, finished=finished, words=finished, until=self.time)
        if not control.accepts(done.window):
            self.refused += 1
            control.shorten(done.window, self.refused)
            return self._refused(done)
        self._accept(done, last)
        return self._accepted(done, last)

    def _length(self) -> tuple[float, bool]:
        """The length of the next window, and whether it is the last.

        Where factors are kept for windows of the same length, it is an equal part of what is left.
        """
        left, latest = self.begin + self.duration - self.time, self.state.latest
        reach = self.scales.reach(self.time, self.control.length, self.control.stages)
        count = max(1, math.ceil(left / reach * (1 - 1e-9)))
        if not self.state.keeps_factors:
            return (left, True) if count == 1 else (min(reach, left / 2), False)  # no tiny last one
        length = left / count
        if latest is not None and abs(length - latest.length) < 1e-9 * length:
            length = latest.length  # so that its factors can be used again
        return length, count == 1

    def _accept(self, done: Attempt, last: bool) -> None:
        """Add the window to the network, and go on from its end."""
        window, state, control = done.window, self.state, self.control
        time = self.begin + self.duration if last else window.start + window.length
        end = 2.0 if last else 2 * (time - self.begin) / self.duration  # in the network's time
        state.add_to(self.network, end, done, not self.accepted)
        self.squares += state.accept(done, time)
        self.latest, self.accepted, self.refused = done, self.accepted + 1, 0
        state.follow(control, window)
        if self.settings.windows is not None:
            control.length = self.duration / self.settings.windows
            control.stages = window.stages.count
        if not last:
            state.lighten(done, control.length)

    def _accepted(self, done: Attempt, last: bool) -> Step:
        words, state, window = self.words, self.state, done.window
        told = words.accepted(window, done.space, self.accepted, self.spent)
        count = windows_left((self.network.ends / 2).tolist(), self.settings.steps)
        growth = growth_after(state, self.accepted) if state.watches_growth else None
        finished: str | None = words.stuck(window, growth, count)
        if last and not finished:
            unresolved, converged = words.unresolved, words.converged
            finished = (
                unresolved(done.space) if state.limited else converged(self.accepted, self.spent)
            )
        return self._step(done, finished or None, told)

    def _refused(self, done: Attempt) -> Step:
        words, finished = self.words, None
        if self.is_hopeless:
            finished = words.stuck(done.window, GrowthTest().find(self.state), None)
            finished = finished or words.failed(done.window, not self.accepted)
        return self._step(done, finished, words.refused(done.window))

    def _step(self, done: Attempt, finished: str | None, words: str) -> Step:
        notes = self.words.notes(done.window, self.time, self.accepted, self.spent) | done.notes
        return Step(self.spent**2, done.window.iterations, finished, notes, words, until=self.time)

    def state_dict(self) -> dict[str, Any]:
        found = {name: getattr(self, name) for name in COUNTED}
        found |= {name: getattr(self.control, name) for name in CONTROLLED}
        return found | {"state": self.state.state_dict() if self.begun else None}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        vars(self).update({name: state[name] for name in COUNTED})
        self.control = replace(self.control, **{name: state[name] for name in CONTROLLED})
        if self.begun:
            self.state.load_state_dict(state["state"])
        if self.is_hopeless:  # the march ended there, and goes on with another tolerance
            latest, self.refused, self.control.length = self.state.latest, 0, self.duration / 100
            if latest is not None and latest.start < self.time:
                self.control.length = latest.length


KEPT = "what comes before is kept, and the network is constant in time after"


@dataclass(frozen=True)
class MarchWords:
    """The texts and numbers with which a march describes its windows.

    Args:
        time: the name of the time.
        tolerance: that of the march.
        digits: of moments, which tell these apart.
    """

    time: str
    tolerance: float
    digits: int = 4

    @classmethod
    def between(cls, time: str, tolerance: float, begin: float, end: float) -> "MarchWords":
        """The words for a march from one moment to another."""
        offset = max(abs(begin), abs(end)) / (end - begin)
        return cls(time, tolerance, 4 + int(math.log10(offset)))

    def at(self, moment: float) -> str:
        """A moment, such as "t = 0.25"."""
        return f"{self.time} = {moment:.{self.digits}g}"

    def accepted(self, window: Window, named: str, number: int, spent: float) -> str:
        """The words for the progress line after window `number`.

        Args:
            window: the window.
            named: the functions of space in words; "" to say nothing of them.
            number: the number of the window.
            spent: the estimated relative error so far.
        """
        steps = "1 Newton step" if window.iterations == 1 else f"{window.iterations} Newton steps"
        parts = [
            f"window {number} up to {self.at(window.start + window.length)}",
            f"length {window.length:.2g}",
            f"{window.stages.count} stages",
            steps,
            named,
            f"estimated error so far {spent:.1e}",
        ]
        return ", ".join(filter(None, parts))

    def refused(self, window: Window) -> str:
        """The words for a window that will be tried again."""
        why = f"error {window.error:.1e}" if window.converged else "Newton's method fails"
        return f"window from {self.at(window.start)} again, shorter: {why}"

    def notes(self, window: Window, reached: float, number: int, spent: float) -> dict[str, float]:
        """The numbers of a step for the history.

        Args:
            window: the window that was tried.
            reached: the time up to which the solution is known.
            number: the number of windows up to there.
            spent: the estimated relative error of the solution up to there.
        """
        return {
            "time": reached,
            "window": float(number),
            "length": window.length,
            "stages": float(window.stages.count),
            "newton": float(window.iterations),
            "window_error": window.error,
            "estimated_error": spent,
        }

    def converged(self, windows: int, spent: float) -> str:
        """The status after the last of some windows, whose errors add up to `spent`."""
        much = 3.0  # times the tolerance
        if spent <= much * self.tolerance:
            return CONVERGED
        if spent >= 1:
            return f"stopped: the windows' errors are {spent:.1e}: nothing is resolved"
        return f"{CONVERGED}: the errors of {windows} windows add up to {spent:.1e}"

    def unresolved(self, intervals: str) -> str:
        """The status of a march whose functions in space are too coarse for its tolerance.

        intervals: their numbers in words; "" for other functions than splines.
        """
        what = intervals or "the network's functions"
        return (
            f"stopped: {what} in space do not resolve the solution to the tolerance "
            f"{self.tolerance:.1e}"
        )

    def stuck(self, window: Window, growth: Growth | None, left: float | None) -> str:
        """The status after a window from which it is no use to go on, or "".

        Args:
            window: the window.
            growth: that of waves without bound, if the equation has become ill-posed.
            left: the number of windows that are left, if it is hopeless.
        """
        if growth is not None:
            return f"{FAILED}: {growth}; {KEPT}"
        if left is None:
            return ""
        return (
            f"{FAILED}: near {self.at(window.start)} windows have a length of "
            f"{window.length:.1e}, of which {left:.0e} are left: the solution may cease to "
            f"exist there, or have jumps, which the equation does not smooth; {KEPT}"
        )

    def too_many_cells(self, moment: float, why: str) -> str:
        """The status of a march that would need too many cells.

        Args:
            moment: up to which the solution is known.
            why: the cells are too many, in words.
        """
        return (
            f"{FAILED}: from {self.at(moment)} on the solution is not resolved to the tolerance "
            f"{self.tolerance:g}: {why}; it may have jumps there, or cease to exist; {KEPT}"
        )

    def failed(self, window: Window, first: bool) -> str:
        """The status after a window that cannot be solved however short it is.

        first: whether it is the first window.
        """
        why = f"its error is {window.error:.1e}" if window.converged else "Newton's method fails"
        early = "the initial values may contradict the equation, or the conditions at walls"
        cause = early if first else "the solution may cease to exist there"
        return (
            f"{FAILED}: no window from {self.at(window.start)} on reaches the tolerance "
            f"{self.tolerance:g}, {why}: {cause}; {KEPT}"
        )
