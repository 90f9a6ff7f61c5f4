"""Marching in time: window after window, each by Newton's method on its output layer."""

import math
from dataclasses import dataclass, replace
from typing import Any

from kanpinn._support.errors import InputError, integer, number
from kanpinn.evolution.stretches import (
    FEW_TIMES,
    Stretches,
    apply,
    check_stretchable,
    no_stretch,
    stretches_for,
)
from kanpinn.evolution.window_terms import (
    check_terms,
    in_window,
    interior_points,
    scaled,
    size_within,
    weighted,
)
from kanpinn.evolution.windows import Windows
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.terms import ResidualTerm
from kanpinn.optimizers.method import CONVERGED, Optimizer, Stage, Step
from kanpinn.optimizers.output_layer import solve_newton

FIRST = 0.1  # of the whole time: the first window that is tried
EARLY = 0.2  # of the tolerance, that windows at the very beginning may use up
PART = 0.5  # of what is left of that, for one window
FAR_BELOW, LONGER, SHORTER = 0.1, 1.5, 0.5
STUCK = 0.7  # of the error per time that halving a window leaves: space limits it, not time
SLACK = 1.3  # times what it was then, that is accepted of later windows


@dataclass(frozen=True)
class March(Optimizer):
    """Solves a problem window by window in time; the network is a `Windows`.

    Each step is one attempt at a window. The output layer, zero at first, is found by Newton's
    method (`LeastSquares`), at the solve's points mapped into the window. The residual, in units of
    the solution, tells the relative error e_w that the window adds: Δt^m / m! · rms(r / c) / rms(u)
    for an equation c ∂_t^m u + …. Where it is too large, coordinates are stretched by the solution
    so found and the window is solved again; at last it is halved. Later windows see nothing but
    what was handed over: the march is causal.

    Args:
        windows: so many equal ones, whatever their errors; None lets the tolerance choose.
        tolerance: what Σ_w e_w may grow to, evenly in time but for a fifth that is free at the
            beginning. It does not depend on units, and bounds the error as far as the equation does
            not amplify earlier errors: true errors are 20 to 1000 times less on the library's
            problems, since most of a residual averages out. Where halving a window lowers e_w by
            no more than its share, the grid limits it: the window is accepted, and the status says
            so at the end.
        restretch: how often a window's coordinates are stretched anew, on boxes.
        times: Gauss points in time in a window, at each of N / times Gauss points in space, N the
            solve's number of interior points.
        least: the shortest window, as a part of the whole time.
        steps: at most so many attempts.

    Reference: Wight and Zhao, Solving Allen–Cahn and Cahn–Hilliard equations using the adaptive
    physics informed neural networks (2020); Krishnapriyan et al. (2021); Penwarden et al. (2023).
    """

    windows: int | None = None
    tolerance: float = 1e-6
    restretch: int = 2
    times: int = 16
    least: float = 1e-4
    steps: int = 1000
    needs_fixed_points = True
    lowers_loss = False  # windows have losses of their own

    def __post_init__(self) -> None:
        if self.windows is not None:
            integer("windows", self.windows)
        number("tolerance", self.tolerance, above=True)
        integer("restretch", self.restretch, least=0)
        integer("times", self.times)
        integer("steps", self.steps)
        if not 0 < self.least <= FIRST:
            raise InputError(f"least must be above 0 and at most {FIRST}, got {self.least!r}")

    def start(self, residuals: Residuals, seed: int) -> "MarchStage":
        return MarchStage(self, residuals)


class MarchStage(Stage):
    """The march: how far it has come, and the length that is tried next (of time in [-1, 1])."""

    def __init__(self, settings: March, residuals: Residuals) -> None:
        surrogate = residuals.surrogate
        if not isinstance(surrogate.network, Windows):
            raise InputError(
                'march is for networks in time windows, network.type = "windows": this one is a '
                f"{type(surrogate.network).__name__}"
            )
        self.settings, self.surrogate, self.network = settings, surrogate, surrogate.network
        self.terms = check_terms(residuals.terms, surrogate, settings.times)
        if self.network.stretch and settings.restretch:
            check_stretchable(surrogate)
        count = len(residuals.terms[0].points)
        like = residuals.terms[0].points.coords
        self.inside = interior_points(surrogate.domain, count, settings.times).to(
            like.dtype, like.device
        )
        self.state: dict[str, Any] = {
            "accepted": 0,
            "length": 2 / settings.windows if settings.windows else 2 * FIRST,
            "spent": 0.0,
            "rate": math.inf,  # of the error in time, where this window was tried before
            "floor": 0.0,  # of that rate, below which shorter windows have not come
            "limited": 0,  # windows that were accepted for that reason
        }

    def state_dict(self) -> dict[str, Any]:
        return dict(self.state)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.state = dict(state)

    def step(self) -> Step:
        state, s = self.state, self.settings
        start = float(self.network.ends[-1]) if state["accepted"] else -1.0
        end = start + state["length"]
        if end > 1 - 0.5 * min(state["length"], 2 * s.least):
            end = 1.0
        error, evaluations = self._attempt(start, end)
        good = math.isfinite(error) and self._is_enough(error, start, end)
        finished = self._accept(error, start, end) if good else self._reject(start, end, error)
        loss = error**2 if math.isfinite(error) else state["spent"] ** 2
        notes = {
            "time": self._time(end if good else start),
            "window": float(state["accepted"]),
            "length": self._time(end) - self._time(start),
            "window_error": error,
        }
        return Step(loss, evaluations, finished, notes)

    def _is_enough(self, error: float, start: float, end: float) -> bool:
        """Whether an attempt is accepted: its error is small, or shorter windows would not help."""
        state, length = self.state, end - start
        if self.settings.windows is not None or error <= self._allowed(start, end):
            return True
        rate = error / length
        if rate > STUCK * state["rate"]:  # half the window has more than half of the error
            state["floor"] = rate
            state["length"] = length / SHORTER
        state["rate"] = rate
        limited = rate <= SLACK * state["floor"]
        state["limited"] += limited
        return bool(limited)

    def _allowed(self, start: float, end: float) -> float:
        """What a window may add: its share of the time, and early on half of what is free then."""
        tolerance = self.settings.tolerance
        free = max(EARLY * tolerance - self.state["spent"], 0.0)
        return (1 - EARLY) * tolerance * (end - start) / 2 + PART * free

    def _accept(self, error: float, start: float, end: float) -> str | None:
        state, allowed = self.state, self._allowed(start, end)
        state["accepted"] += 1
        state["spent"] += error
        state["rate"] = math.inf
        if self.settings.windows is None and error < FAR_BELOW * allowed:
            state["length"] *= LONGER
        return self._verdict() if end == 1 else None

    def _verdict(self) -> str:
        spent, tolerance = self.state["spent"], self.settings.tolerance
        if self.settings.windows is not None:
            hopeless = f"stopped: the windows' errors add up to {spent:.1e}: nothing is resolved"
            return CONVERGED if spent < 1 else hopeless
        if not self.state["limited"]:
            return CONVERGED
        return (
            f"stopped: the windows' errors add up to {spent:.1e}, the tolerance is "
            f"{tolerance:.1e}; shorter windows would not lower them, a finer grid would"
        )

    def _reject(self, start: float, end: float, error: float) -> str | None:
        self.network.close()
        length = SHORTER * (end - start)
        if self.settings.windows is None and length >= 2 * self.settings.least:
            self.state["length"] = length
            return None
        a, b = self._time(start), self._time(end)
        return (
            f"stopped: the window from t = {a:.6g} to {b:.6g} does not reach the tolerance "
            f"{self.settings.tolerance:g}, its error is {error:.1e}; the solution up to "
            f"t = {a:.6g} is kept, and stays what it is from there on"
        )

    def _time(self, scaled_time: float) -> float:
        low, high = (float(corner[-1]) for corner in self.surrogate.domain.bounds)
        return low + (scaled_time + 1) / 2 * (high - low)

    def _attempt(self, start: float, end: float) -> tuple[float, int]:
        """Solve a window, restretched where that is needed; its error, and evaluations."""
        stretches, evaluations, error = self._first_stretches(start), 0, math.inf
        self.network.open(end, first=not self.state["accepted"])
        tries = 1 + (self.settings.restretch if stretches is not None else 0)
        for trial in range(tries):
            if trial:
                moments = [start + (end - start) * i / (FEW_TIMES - 1) for i in range(FEW_TIMES)]
                assert stretches is not None
                stretches = self._stretched(moments, stretches)
            error, count = self._solve(start, end, stretches)
            evaluations += count
            if error <= self._allowed(start, end):
                break
        return error, evaluations

    def _first_stretches(self, start: float) -> Stretches | None:
        if not self.network.stretch or not self.settings.restretch:
            return None
        return self._stretched([start], no_stretch(self.surrogate.domain.dim))

    def _stretched(self, moments: list[float], old: Stretches) -> Stretches:
        space = range(self.surrogate.domain.dim - 1)
        return stretches_for(self.surrogate, space, moments, old)

    def _solve(self, start: float, end: float, stretches: Stretches | None) -> tuple[float, int]:
        """Newton's method from zero; the window's error, infinite where it breaks down."""
        if stretches is not None:
            apply(stretches, self.network.members[-1])
        terms = self._within(start, end, stretches)
        self.network.reset()
        self.surrogate.prepare(terms[0].points)
        loss, evaluations = solve_newton(Residuals(self.surrogate, terms))
        size = size_within(terms[0].points, self.surrogate, stretches)
        return math.sqrt(loss) / (size if size > 0 else 1.0), evaluations

    def _within(self, start: float, end: float, stretches: Stretches | None) -> list[ResidualTerm]:
        """The terms of the loss in a window, in units of the solution."""
        here = []
        for index, term in enumerate(self.terms):
            points = term.points if index else self.inside
            points = in_window(points, self.surrogate, start, end, stretches)
            here.append(replace(term, points=points))
        duration = self._time(end) - self._time(start)
        first, *rest = scaled(here, self.surrogate, duration, self.network.order)
        return [weighted(first, self.surrogate, stretches), *rest]
