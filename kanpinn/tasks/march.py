"""Marching in time: an evolution is solved in one window (span of time) after another.

Each window is solved at once by collocation in time. Its estimated error decides whether it is
accepted, and the length of the next window.
"""

import math
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from kanpinn._support.errors import CONVERGED, FAILED, OUT_OF_TIME, InputError
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.network import Network
from kanpinn.optimizers.method import Method, Stage, Step
from kanpinn.spaces.cell_windows import CellWindows
from kanpinn.spaces.evolution_terms import TimeScales, sorted_terms, time_scales_of, with_orders
from kanpinn.spaces.time_schemes import stages
from kanpinn.spaces.windows import NetworkOfWindows, Windows, require_windows
from kanpinn.tasks.cell_march import CellMarch
from kanpinn.tasks.growth import unbounded_growth
from kanpinn.tasks.spline_march import SplineMarch
from kanpinn.tasks.time_state import Attempt, MarchSettings, TimeState
from kanpinn.tasks.window import Control, Window, windows_left

SPACES: Mapping[type[Network], type[TimeState[Any]]] = {
    Windows: SplineMarch,
    CellWindows: CellMarch,
}


def state_kind(network: Network) -> type[TimeState[Any]]:
    """Return the subclass of `TimeState` with which a march solves for a network.

    Args:
        network: the network; its class decides.

    Raises:
        InputError: for a network that has no time windows.
    """
    for kind, state in SPACES.items():
        if isinstance(network, kind):
            return state
    return SPACES[type(require_windows(network))]  # raises the error


@dataclass(frozen=True)
class March(MarchSettings, Method):
    """Solve an evolution window by window in time; the network is a `Windows` or `CellWindows`.

    A window is a span of time that is solved at once. Each step is one attempt to solve a window.
    In time the solution is a polynomial that satisfies the equation at the stages of a collocation
    method. In space the equation is tested with all functions of the network (Galerkin's method),
    and conditions on the boundary replace some of the tests. A simplified Newton method solves one
    linear system for each stage, with the unknowns of the network in space, by band matrices in one
    space dimension, and by iterations for products of splines. The defect of the polynomial between
    the stages gives the error of the window. The length and the number of stages of the next window
    are chosen by this error. Before the first window, sources, coefficients and data on the
    boundary are sampled at 2048 times and 16 points. Windows are short where these functions change
    fast, so that no pulse is missed between two stages, unless the pulse is shorter than about
    1/2000 of the time or zero at the 16 points. The residual in each interval of splines gives the
    error in this interval, and the errors determine the grading of the intervals. Fields of which
    no equation has a derivative in time follow from the stages alone.

    With cells in space (`CellWindows`) each step of Newton's method solves a few least-squares
    problems in cells. Their factors are kept for further windows of the same length while Newton's
    method converges fast with them. The error in space is found by comparisons with a higher degree
    and with smaller cells at singular corners, and cells are halved where the error is large. The
    equation propagates the errors in space of all windows. If their sum exceeds the tolerance at
    any time, the status says that the cells do not resolve the solution.

    If the budget leaves no time to reach the final time with the tolerance, windows are longer, and
    cells are not refined; the degree of cells is lowered if the first window would take more than a
    fifth of the time. The status then tells the estimated error.

    Args:
        tolerance: the largest error, relative to the solution, that a window may add by its
            polynomials in time, and by its splines in space, in the root mean square. The solution
            is the one at the end of the window or, if that is larger, the root mean square of the
            solution so far. The linearised equation propagates these errors to later windows, and
            may damp or amplify them. The status tells the sum of all errors if this sum is much
            larger than the tolerance; where the equation amplifies errors much, like in chaos, the
            sum is an upper estimate. The functions of a network with hidden layers are not adapted:
            the status tells if they do not reach the tolerance.
        windows: the number of windows of equal length, whose errors are not limited; None to choose
            the lengths by the tolerance.
        stages: the number of stages of each window, from 1 to 11, or to 39 for at most 100 fields
            in time alone; None to choose the number by the tolerance. The polynomials in time have
            this degree, or one more for an equation of second order in time.
        scheme: "radau" (Radau IIA) damps stiff components; "gauss" damps nothing and preserves
            quadratic invariants to rounding, for Hamiltonian systems.
        regrade: whether the intervals or cells in space follow the solution: they are halved where
            the error is large, and become larger again where the solution has become smooth.
            Otherwise the intervals or cells of the network stay.
        steps: the largest number of attempts.
        cells: the largest number of cells in space, for `CellWindows`.

    Raises:
        InputError: for values out of range; in a solve, for another kind of network, a domain
            that is not a product of space and time, a term that is not imposed at all times,
            unknown parameters, or an equation that is ill-posed forward in time; with cells in
            space also for Gauss stages, an even number of stages, or weights of conditions.

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
    lowers_loss = False  # each window has equations of its own
    fits_points = False

    @property
    def error_limit(self) -> float | None:  # type: ignore[override]
        """The tolerance, if the march follows it; otherwise None."""
        return self.tolerance if self.follows else None

    def check(self, network: Network) -> None:
        state_kind(network).check(self)

    def measures(self, step: int) -> bool:
        # Measuring all windows so far at 1, 2, 3, 4, 6, 8, 12, … costs little in all.
        octave = 1 << (step.bit_length() - 1)
        return step in (octave, octave + octave // 2)

    def finer(self) -> "March":
        """A march whose errors are about 100 times smaller.

        It has 1/100 of the tolerance, but at least 1e-14, and twice as many windows if their number
        is prescribed.
        """
        windows = None if self.windows is None else 2 * self.windows
        return replace(self, tolerance=max(1e-14, self.tolerance / 100), windows=windows)

    def start(self, residuals: Residuals, seed: int) -> Stage:
        if residuals.surrogate.has_unknowns:
            raise InputError("march is for problems without unknowns, which kp.Shooting finds")
        return MarchStage(self, residuals)


KEPT = "what comes before is kept, and the network is constant in time after"


class MarchStage(Stage):
    """A march between its steps: the solution so far, and the choice of the next window.

    A window is a span of time that is solved at once.

    Args:
        settings: the settings of the march.
        residuals: the terms of the loss, and the solution.

    Attributes:
        state: the solution at the end of the windows so far.
        begin, duration: the initial time, and the time from the initial to the final time.
        control: the control that chooses the length and the stages of the next window.
        scales: the time scales of the data, which limit the length of the next window unless the
            number of windows is prescribed.
        latest: the last attempt that was accepted.
        accepted: the number of windows so far.
        refused: the number of attempts in a row that have failed.
        longest: the largest length for which Newton's method is expected to converge.
        budget: the seconds that were left before the first step; infinite without a limit.
        begun: whether the initial values are resolved.
    """

    all_or_nothing = True  # a window is added only when it is solved
    kept = ("accepted", "refused", "longest", "begun", "control")
    latest: Attempt

    def __init__(self, settings: March, residuals: Residuals) -> None:
        surrogate = residuals.surrogate
        self.settings = settings
        self.network = cast(NetworkOfWindows[Any], surrogate.network)
        fields = self.network.width[-1]
        terms = sorted_terms(residuals.terms, surrogate)
        self.terms = with_orders(terms, fields, self.network.order, settings.collocation)
        self.state = state = state_kind(self.network)(settings, residuals, self.terms)
        self.begin, self.duration = state.begin, state.end - state.begin
        count, windows, choice = settings.stages, settings.windows, state.choice
        if (count or 1) > choice.most:
            raise InputError(
                f"stages must be at most {choice.most} here, got {count}: more are for few "
                "equations in time alone"
            )
        usual = 2 * min(4, max(1, round(-math.log10(settings.tolerance) / 3))) + 1
        allowed = settings.tolerance / 2 if windows is None else math.inf
        fixed, length = count is not None or windows is not None, self.duration / (windows or 100)
        self.control = Control(allowed, length, count or usual, fixed, choice)
        self.scales = TimeScales()
        if windows is None:
            self.scales = time_scales_of(self.terms, state.surrogate, fields, settings.tolerance)
        self.accepted, self.refused, self.begun = 0, 0, False
        self.longest, self.budget = math.inf, math.inf

    @property
    def part(self) -> float:  # type: ignore[override]
        """The fraction of the duration up to which the solution is known."""
        return (self.state.time - self.begin) / self.duration

    @property
    def is_hopeless(self) -> bool:
        """True if the march must end.

        This is so if 30 windows in a row have been refused, or if the next window is so short that
        rounding keeps the time from advancing.
        """
        many = 30
        return self.refused >= many or self.state.time + self.control.length <= self.state.time

    def step(self) -> Step:
        control, state = self.control, self.state
        state.deadline = time.perf_counter() + self.seconds_left
        if not self.begun:
            self.budget = self.seconds_left
            state.start(stages(control.stages, self.settings.scheme), self._next()[0])
            if growth := unbounded_growth(state):
                raise InputError(f"march cannot solve this problem: {growth}")
            self.begun = not state.is_late
        length, last, allowed = self._next()
        scheme, same = stages(control.stages, self.settings.scheme), self._is_same(length)
        state.since = time.perf_counter()
        done = None if state.stopped else state.attempt(scheme, length, allowed)
        if done is None and not state.stopped:
            words = f"the budget ends before the window from {self._at(state.time)} on is resolved"
            self.expected_seconds = state.costs[0] or None
            return Step(state.spent**2, words=words, until=state.time)
        if done is None:
            finished = (
                f"{FAILED}: from {self._at(state.time)} on the solution is not resolved to the "
                f"tolerance {self.settings.tolerance:g}: {state.stopped}; it may have jumps there, "
                f"or cease to exist; {KEPT}"
            )
            return Step(state.spent**2, finished=finished, words=finished, until=state.time)
        window = done.window
        if window.converged and window.error <= allowed:
            state.hurried |= window.error > control.allowed
            ends, words = self._accepted(done, last)
            state.learn(same)
        else:
            ends, words = self._refused(window)
        if not last and math.isfinite(self.seconds_left):
            self.expected_seconds = state.costs[self._is_same(self._next()[0])] or None
        notes = {
            "time": state.time,
            "window": float(self.accepted),
            "length": window.length,
            "stages": float(window.stages.count),
            "newton": float(window.iterations),
            "window_error": window.error,
            "estimated_error": state.spent,
        } | done.notes
        return Step(state.spent**2, window.iterations, ends or None, notes, words, until=state.time)

    def _next(self) -> tuple[float, bool, float]:
        """Return the length of the next window of time, whether it is the last, and its error.

        The error is the largest with which the window will be accepted. The length is the one that
        `control` has chosen and `scales` permit, but at most half of the rest of the time, or all
        of the rest if it fits into one window. If factors are kept for windows of equal length, the
        rest is divided into equal windows instead.

        If the budget leaves no time for as many windows, the rest is divided into those for which
        it does, whatever their errors. Windows may become longer where the solution becomes
        smoother. So this is done only after a third of the budget, or if fewer than 30 windows fit;
        without kept factors after two thirds, or if fewer than 3 fit.
        Since such windows may be too long for the estimates of their errors, the errors are raised
        to the geometric mean with those of two stages fewer or, in windows of more than twice the
        length that `scales` permits, to the errors of two stages fewer.
        """
        state, control, latest = self.state, self.control, self.state.latest
        time, rounding = state.time, 1e-9
        left = self.begin + self.duration - time
        reach = self.scales.reach(time, control.length, control.stages)
        count = max(1, math.ceil(left / reach * (1 - rounding)))
        fitting, part, few, needed = self._fitting(left), 2 / 3, 30, count
        if not state.keeps_factors:  # longer windows cost no more: each may be twice as long
            part, few, needed = 1 / 3, 3, math.ceil(math.log2(1 + left / reach))
        late = fitting < few or state.seconds_left < part * self.budget
        hurries, state.doubt = needed > fitting and late and self.settings.windows is None, 0.0
        if hurries:
            count = max(fitting, math.ceil(left / self.longest * (1 - rounding)))
            control.stages = control.stages if latest is None else latest.stages.count
            permitted = self.scales.reach(time, left, control.stages)
            state.doubt = 1.0 if left / count > 2 * permitted else 0.5
        elif not state.keeps_factors:
            part = left if count == 1 else min(reach, left / 2)
            return part, count == 1, control.allowed
        length = left / count
        if latest is not None and abs(length - latest.length) < rounding * length:
            length = latest.length  # equal up to rounding, so that the factors can be used again
        return length, count == 1, math.inf if hurries else control.allowed

    def _fitting(self, left: float) -> int:
        """Return the number of equal windows for which the budget leaves time, at least 1.

        Args:
            left: the time from the present to the final time.
        """
        (first, again), latest = self.state.costs, self.state.latest
        reserve = 0.1 if self.accepted else 0.35  # a first window may take twice its forecast
        seconds = (1 - reserve) * self.state.seconds_left
        if not again or math.isinf(seconds):
            return sys.maxsize
        fitting = max(1, 1 + math.floor((seconds - first) / again))
        if latest is not None and self._is_same(latest.length):
            same = math.ceil(left / latest.length * (1 - 1e-9))
            fitting = max(fitting, same if same * again <= seconds else 1)
        return fitting

    def _is_same(self, length: float) -> bool:
        """Return whether the next window, of a given length, can use the factors of the last."""
        latest = self.state.latest
        if latest is None or not self.state.keeps_factors:
            return False
        return (length, self.control.stages) == (latest.length, latest.stages.count)

    def _accepted(self, done: Attempt, last: bool) -> tuple[str, str]:
        """Add the window to the network, and continue from its end.

        Args:
            done: the attempt, whose window has been accepted.
            last: whether the window ends at the last moment.

        Returns:
            The status if the march ends here, else "", and words for the progress line.
        """
        window, state, control, settings = done.window, self.state, self.control, self.settings
        time = self.begin + self.duration if last else window.start + window.length
        end = 2.0 if last else 2 * (time - self.begin) / self.duration  # scaled time, 0 to 2
        self.network.add(end, state.member(done), not self.accepted)
        state.accept(done, time)
        self.latest, self.accepted, self.refused = done, self.accepted + 1, 0
        state.follow(control, window)
        if settings.windows is not None:
            control.length = self.duration / settings.windows
            control.stages = window.stages.count
        if not last:
            state.lighten(done, control.length)
        growth = ""
        if state.watches_growth:
            # After each window another place is examined, and all places if waves grow at the one
            # place: errors of the solution may change the sign of a vanishing coefficient.
            golden, visible = 0.618, 1e-3
            if unbounded_growth(state, places=1, shift=golden * self.accepted % 1):
                growth = unbounded_growth(state, negligible=visible)
        left = windows_left((self.network.ends / 2).tolist(), settings.steps)
        if growth:
            status = f"{FAILED}: {growth}; {KEPT}"
        elif left is not None:
            status = (
                f"{FAILED}: near {self._at(window.start)} windows have a length of "
                f"{window.length:.1e}, of which {left:.0e} are left: the solution may cease to "
                f"exist there, or have jumps, which the equation does not smooth; {KEPT}"
            )
        elif last and state.hurried and state.spent > settings.tolerance:
            status = (
                f"{OUT_OF_TIME} leaves no time for shorter windows or a finer space, the estimated "
                f"error is {state.spent:.1e}"
            )
        elif last and state.limited:
            functions = "the network's functions"
            status = (
                f"stopped: {done.space or functions} in space do not resolve the "
                f"solution to the tolerance {settings.tolerance:.1e}"
            )
        else:
            much = 3.0  # times the tolerance
            status = CONVERGED if last else ""
            if last and state.spent > much * settings.tolerance:
                status += f": the errors of {self.accepted} windows add up to {state.spent:.1e}"
            if last and state.spent >= max(1, much * settings.tolerance):
                status = f"stopped: the windows' errors are {state.spent:.1e}: nothing is resolved"
        steps = "1 Newton step" if window.iterations == 1 else f"{window.iterations} Newton steps"
        words = [
            f"window {self.accepted} up to {self._at(window.start + window.length)}",
            f"length {window.length:.2g}",
            f"{window.stages.count} stages",
            steps,
            done.space,
            f"estimated error so far {state.spent:.1e}",
        ]
        return status, ", ".join(filter(None, words))

    def _refused(self, window: Window) -> tuple[str, str]:
        """Choose a shorter window after a window was refused.

        Args:
            window: the refused window.

        Returns:
            The status if the march ends here, else "", and words for the progress line.
        """
        self.refused, status = self.refused + 1, ""
        self.control.shorten(window, self.refused)
        if not window.converged:
            self.longest = self.control.length
        why = f"error {window.error:.1e}" if window.converged else "Newton's method fails"
        if self.is_hopeless and (growth := unbounded_growth(self.state)):
            status = f"{FAILED}: {growth}; {KEPT}"
        elif self.is_hopeless:
            early = "the initial values may contradict the equation, or the boundary conditions"
            cause = "the solution may cease to exist there" if self.accepted else early
            reason = f"its error is {window.error:.1e}" if window.converged else why
            status = (
                f"{FAILED}: no window from {self._at(window.start)} on reaches the tolerance "
                f"{self.settings.tolerance:g}, {reason}: {cause}; {KEPT}"
            )
        return status, f"window from {self._at(window.start)} again, shorter: {why}"

    def _at(self, moment: float) -> str:
        """A time in words, such as "t = 0.25", with enough digits to tell windows apart."""
        digits = 4 + int(math.log10(max(abs(self.begin), abs(self.state.end)) / self.duration))
        return f"{self.state.surrogate.domain.names[-1]} = {moment:.{digits}g}"

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"state": self.state.state_dict() if self.begun else None}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict({name: state[name] for name in self.kept})
        if self.begun:
            self.state.load_state_dict(state["state"])
        if self.is_hopeless:  # a march that had ended is continued
            latest, self.refused, self.control.length = self.state.latest, 0, self.duration / 100
            if latest is not None and latest.start < self.state.time:
                self.control.length = latest.length
