"""Marching in time: one window after the other is solved by collocation, with controlled
errors.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from kanpinn._support.errors import InputError, integer, number
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.network import Network
from kanpinn.optimizers.method import Optimizer, Stage, Step
from kanpinn.spaces.cell_windows import CellWindows
from kanpinn.spaces.evolution_terms import sorted_terms, time_scales_of, with_orders
from kanpinn.spaces.function_space import FunctionSpace
from kanpinn.spaces.time_schemes import stages
from kanpinn.spaces.window import windows_left
from kanpinn.spaces.windows import require_windows
from kanpinn.tasks.cell_march import CellMarch, CellMarchStage
from kanpinn.tasks.collocation import Newton, newton_method
from kanpinn.tasks.growth import GrowthTest, growth_after, refuse_growth
from kanpinn.tasks.march_progress import MarchProgress
from kanpinn.tasks.spline_front import Attempt, FrontInTime, Resolution


@dataclass(frozen=True)
class March(Optimizer):
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

    tolerance: float = 1e-6
    windows: int | None = None
    stages: int | None = None
    scheme: str = "radau"
    regrade: bool = True
    steps: int = 100_000
    cells: int = 20_000
    needs_fixed_points = True
    lowers_loss = False  # each window has its own equations
    fits_points = False

    def __post_init__(self) -> None:
        number("tolerance", self.tolerance, above=True)
        if self.tolerance < 1e-14:
            raise InputError(
                f"tolerance must be at least 1e-14, since numbers are rounded, got {self.tolerance}"
            )
        if self.windows is not None:
            integer("windows", self.windows)
        if self.stages is not None:
            integer("stages", self.stages)
        stages(self.stages or 1, self.scheme)  # refuses what is out of range
        integer("steps", self.steps)
        integer("cells", self.cells)

    def check(self, network: Network) -> None:
        if not isinstance(network, CellWindows):
            require_windows(network)
        elif self.scheme == "gauss" or (self.stages or 1) % 2 == 0:
            raise InputError(
                'a march with cells in space has scheme = "radau" and an odd number of stages, got '
                f'scheme = "{self.scheme}" and stages = {self.stages}'
            )

    def precision(self, method: type[Newton]) -> float:
        """The relative error of Newton's method; to preserve invariants it goes to rounding.

        Where it converges quadratically, digits cost nothing: with 1e-2 in place of 1e-4 of the
        tolerance errors of van der Pol's equation were up to 10,000 times larger.
        """
        rounding, part = 1e-14, 1e-2 if method.is_linear else 1e-4
        return rounding if self.scheme == "gauss" else max(rounding, part * self.tolerance)

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
        if isinstance(residuals.surrogate.network, CellWindows):
            own = self.tolerance, self.windows, self.stages, self.regrade, self.steps, self.cells
            return CellMarchStage(CellMarch(*own), residuals)
        return MarchStage(self, residuals)


class MarchStage(MarchProgress):
    """The state of a march: the front up to which it has come, and what the next window will be."""

    def __init__(self, settings: March, residuals: Residuals) -> None:
        self.settings, self.surrogate = settings, residuals.surrogate
        self.network = require_windows(self.surrogate.network)
        terms = sorted_terms(residuals.terms, self.surrogate).in_float64()
        fields, order = self.network.width[-1], self.network.order
        self.terms = with_orders(terms, fields, order, settings.scheme)
        # LAPACK works in the main memory, and lengths of windows want all digits.
        self.exact = copy.deepcopy(self.surrogate).to("cpu", torch.float64)
        self.method = newton_method(self.surrogate)
        limits = settings.tolerance, settings.windows, settings.stages
        scales = time_scales_of(self.terms, self.exact, settings.tolerance)
        super().__init__(self.surrogate.domain, *limits, self.method.choice, scales)
        follows = settings.regrade and settings.windows is None
        times = [float(corner[-1]) for corner in self.surrogate.domain.bounds]
        self.resolution = Resolution(settings.tolerance / 2, follows, *times)
        self._front: FrontInTime | None = None

    @property
    def front(self) -> FrontInTime:
        """The solution at the end of the windows so far."""
        if self._front is None:
            self._front = self.resolution.first(self._space(self.network.breaks()), self.begin)
            refuse_growth(GrowthTest().find(self._front))
            self.limited = self._is_limited(self._front.change)
        return self._front

    def _is_limited(self, error: float) -> bool:
        """Whether an error in space is above the tolerance."""
        return self.settings.windows is None and error > self.resolution.allowed

    @property
    def time(self) -> float:
        return self.front.time

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | self.front.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self._front = FrontInTime.of_state(state, self._space(state["breaks"], state["kinks"]))
        if self.is_hopeless:  # the march ended there, and goes on with another tolerance
            self.refused, self.control.length = 0, self.duration / 100
            if (before := self._front.before) is not None and before.start < self._front.time:
                self.control.length = before.length

    def _space(self, breaks: Sequence[Tensor], kinks: Tensor | None = None) -> FunctionSpace:
        breaks = [one.to("cpu", torch.float64) for one in breaks]
        network = require_windows(self.exact.network)
        return FunctionSpace(network, self.exact, self.terms, breaks, kinks)

    def step(self) -> Step:
        control, start = self.control, self.front.time
        left = self.begin + self.duration - start
        last = self.length >= left * (1 - 1e-9)
        length = left if last else min(self.length, left / 2)  # no tiny last window
        scheme = stages(control.stages, self.settings.scheme)
        precision = self.settings.precision(self.method)
        done = self.resolution.attempt(self.front, scheme, length, control.allowed, precision)
        tried = done.window.tried
        if not (done.window.converged and control.accepts(tried)):
            self.refused += 1
            control.shorten(tried, self.refused)
            self._front = self.front.again(done.window, done.front.space)
            return self._refused(done)
        self.refused = 0
        self._accept(done, last)
        control.follow(tried)
        if self.settings.windows is not None:
            control.length = self.duration / self.settings.windows
        return self._accepted(done, last)

    def _accept(self, done: Attempt, last: bool) -> None:
        """Add the window to the network, and go on from its end."""
        self.attempt, window, space = done, done.window, done.front.space
        front = done.front.after(window, done.carried, self.begin + self.duration if last else None)
        front, member = self.resolution.lightened(front, done), space.member(window)
        end = self.scaled_end(window, last)
        self.network.add(end, member, first=not self.accepted)
        self._front = front
        self.accepted += 1
        self.squares += done.squares
        self.limited |= self._is_limited(done.splines)

    def _accepted(self, done: Attempt, last: bool) -> Step:
        named = done.front.space.named
        words = self.words.accepted(done.window, named, self.accepted, self.spent)
        count = windows_left((self.network.ends / 2).tolist(), self.settings.steps)
        failed = self.words.stuck(done.window, growth_after(self.front, self.accepted), count)
        verdict = self.verdict(self.front.space.named) if last else None
        return self._step(done, failed or verdict, words)

    def _refused(self, done: Attempt) -> Step:
        finished = None
        if self.is_hopeless:
            finished = self.words.stuck(done.window, GrowthTest().find(self.front), None)
            finished = finished or self.words.failed(done.window, not self.accepted)
        return self._step(done, finished, self.words.refused(done.window))

    def _step(self, done: Attempt, finished: str | None, words: str) -> Step:
        notes = {"intervals": float(done.front.space.count), "spline_error": done.splines}
        return self.told(done.window, finished, words, notes)
