"""Marching in time with cells in space: one window after the other, with controlled errors."""

import math
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from kanpinn.cells.problems.cell_problem import counted_fields
from kanpinn.cells.system.memory import no_comparison, too_many
from kanpinn.evolution.cells.cell_front import CellFront
from kanpinn.evolution.cells.cell_stages import CellStages
from kanpinn.evolution.cells.cell_window import CellWindow
from kanpinn.evolution.cells.cell_windows import CellWindows
from kanpinn.evolution.cells.growth_in_cells import growth_in_cells
from kanpinn.evolution.cells.in_space import problem_in_space
from kanpinn.evolution.cells.space_error import AddedError, early_step, last_step
from kanpinn.evolution.growth import refuse_growth
from kanpinn.evolution.march_progress import MarchProgress
from kanpinn.evolution.terms.evolution_terms import sorted_terms
from kanpinn.evolution.terms.given_in_time import time_scales_of
from kanpinn.evolution.terms.time_derivatives import with_orders
from kanpinn.evolution.time.stages import Stages, stages
from kanpinn.evolution.window.control import StageChoice, windows_left
from kanpinn.evolution.window.window import Window
from kanpinn.geometry.domain import Domain
from kanpinn.loss.residuals import Residuals
from kanpinn.optimizers.method import Step


@dataclass(frozen=True)
class CellMarch:
    """The settings of a march with cells in space, see `March`."""

    tolerance: float
    windows: int | None
    stages: int | None
    regrade: bool
    steps: int
    cells: int

    @property
    def precision(self) -> float:
        """The permitted error of Newton's method, relative to the solution."""
        return max(1e-14, 1e-2 * self.tolerance)

    @property
    def follows(self) -> bool:
        """Whether cells are halved where the error in space is large."""
        return self.regrade and self.windows is None


class CellMarchStage(MarchProgress):
    """The state of a march with cells in space.

    Half of the tolerance is for the error in time that a window may add, and half for the errors in
    space of all windows. The latter are found by comparisons with smaller cells and a higher
    degree: at the early stages before a window is solved, and at its end afterwards. Cells are
    halved until these errors are small enough.

    Attributes:
        begun: whether cells have been halved for the initial values.
        stopped: why the next cells are too many, in words; empty if they are not.
    """

    def __init__(self, settings: CellMarch, residuals: Residuals) -> None:
        self.settings, surrogate = settings, residuals.surrogate
        network, domain = surrogate.network, surrogate.domain
        assert isinstance(network, CellWindows) and isinstance(domain, Domain)
        self.network = network
        terms = sorted_terms(residuals.terms, surrogate).in_float64()
        fields, order = network.fields, network.order
        terms = with_orders(terms, fields, order, "radau")
        problem = problem_in_space(terms, domain, counted_fields(residuals, fields), fields, order)
        most = 9  # stages, beyond which a window has many least-squares problems
        limits = settings.tolerance, settings.windows, settings.stages
        scales = time_scales_of(terms, surrogate, settings.tolerance)
        super().__init__(domain, *limits, StageChoice(most), scales)
        low, high = (float(corner[-1]) for corner in domain.bounds)
        self.front = CellFront(terms, problem, network, (low, high))
        refuse_growth(growth_in_cells(self.front.state, terms.equation, domain))
        self.begun, self.stopped = False, ""

    def _resolve_start(self, scheme: Stages, length: float) -> None:
        """Halve cells until they resolve the initial values."""
        front, tries, part = self.front, 30, 0.25  # of the tolerance
        allowed, self.begun = part * self.settings.tolerance * front.size, True
        while tries and float(front.first_errors.norm()) > allowed:
            if not self._refine(front.first_errors, allowed, front.equations(scheme, length)):
                break
            tries -= 1
        self.limited = self.settings.windows is None and (
            float(front.first_errors.norm()) > 2 * allowed
        )

    @property
    def time(self) -> float:
        return self.front.time

    def step(self) -> Step:
        front, tries = self.front, 20
        scheme, (length, last) = stages(self.control.stages), self._length()
        if not self.begun:
            self._resolve_start(scheme, length)
        while not self.stopped:
            self._resolve_early(scheme, length)
            if self._is_too_large(front.equations(scheme, length)):
                break
            done = front.tried(scheme, length, self.settings.precision)
            if not (done.window.converged and self.control.accepts(done.window.tried)):
                self.refused += 1
                self.control.shorten(done.window.tried, self.refused)
                return self._refused(done)
            added = front.added(done.equations, done.states, last_step)
            allowed = self._allowed(length)
            good = added.total <= allowed or not tries
            if good or not self._refine(added.cells, allowed, done.equations):
                if self.stopped:
                    break
                self._accept(done, added, last)
                return self._accepted(done, added, last)
            tries -= 1
        return self.ended(self.words.too_many_cells(front.time, self.stopped))

    def _length(self) -> tuple[float, bool]:
        """The length of the next window, an equal part of what is left; whether it is the last."""
        left, latest = self.begin + self.duration - self.front.time, self.front.latest
        count = max(1, math.ceil(left / self.length * (1 - 1e-9)))
        length = left / count
        if latest is not None and abs(length - latest.length) < 1e-9 * length:
            length = latest.length  # so that its factors can be used again
        return length, count == 1

    def _allowed(self, length: float) -> float:
        """The error in space that a window of some length may add."""
        least = 0.02  # part of the whole time
        share = max(length / self.duration, least)
        return self.settings.tolerance / 2 * share * self.front.expected

    def _resolve_early(self, scheme: Stages, length: float) -> None:
        """Halve cells until they resolve the early stages of a window, which costs little."""
        front, tries, good = self.front, 20, not self.settings.follows
        while tries and not good:
            equations, guess = front.equations(scheme, length), front.guess(scheme, length)
            if self._is_too_large(equations):
                return
            added, allowed = front.added(equations, guess, early_step), self._allowed(length)
            good = added.total <= allowed or not self._refine(added.cells, allowed, equations)
            tries -= 1

    def _refine(self, errors: Tensor, allowed: float, equations: CellStages) -> bool:
        """Halve cells; False if they cannot be halved, or if `stopped` says why they are too many.

        Args:
            errors: in space, of each cell, (N,).
            allowed: the error of all cells together that is permitted.
            equations: those of the next window.
        """
        if not self.settings.follows:
            return False
        most = self.settings.cells
        self.stopped = self.front.why_too_many(errors, allowed, equations, most)
        return not self.stopped and self.front.refine(errors, allowed)

    def _is_too_large(self, equations: CellStages) -> bool:
        """Whether a window has too many cells or needs too much memory; `stopped` says why."""
        system, kept, count = equations.of_real, equations.stages.count, self.front.count
        self.stopped = no_comparison(system, kept=kept)
        if why := too_many(system, count, self.settings.cells, kept=kept):
            self.stopped = f"{count} cells {why}"
        return bool(self.stopped)

    def _accept(self, done: CellWindow, added: AddedError, last: bool) -> None:
        """Add the window to the network, and go on from its end."""
        front, window = self.front, done.window
        before, geometry = front.error, front.state.geometry
        end = self.scaled_end(window, last)
        series = done.series[..., : self.network.fields]
        self.network.add(end, geometry.tree, geometry.frames, series, first=not self.accepted)
        time = self.begin + self.duration if last else window.start + window.length
        front.go_on(done, added, time)
        if self.settings.windows is None:
            self.limited |= front.error_in_space > self.settings.tolerance
        self.squares += window.length * max(before, front.error, window.error) ** 2
        self.accepted, self.refused = self.accepted + 1, 0
        self._follow(window)
        if self.settings.follows and not last:
            front.coarsen(self._allowed(self.control.length))

    def _follow(self, window: Window) -> None:
        """Choose the next window, of the same length if the factors are kept for it."""
        least, most = 0.92, 1.6  # the length that would be best over the present one
        control, length, count = self.control, window.length, window.stages.count
        kept = self.front.kept
        assert kept is not None  # the window has been solved with it
        control.follow(replace(window.tried, rate=kept.rate))
        if self.settings.windows is not None:
            control.length = self.duration / self.settings.windows
        elif not kept.slow and least * length <= control.length <= most * length:
            control.length, control.stages = length, count

    def _accepted(self, done: CellWindow, added: AddedError, last: bool) -> Step:
        named = f"{self.front.count} cells"
        words = self.words.accepted(done.window, named, self.accepted, self.spent)
        left = windows_left((self.network.ends / 2).tolist(), self.settings.steps)
        verdict = self.verdict(named) if last else None
        finished = self.words.stuck(done.window, None, left) or verdict
        return self._step(done, added.total / (self.front.size or 1.0), finished, words)

    def _refused(self, done: CellWindow) -> Step:
        finished = self.words.failed(done.window, not self.accepted) if self.is_hopeless else None
        return self._step(done, None, finished, self.words.refused(done.window))

    def _step(
        self, done: CellWindow, in_space: float | None, finished: str | None, words: str
    ) -> Step:
        notes = {"cells": float(self.front.count)}
        if in_space is not None:  # it is known for accepted windows only
            notes["space_error"] = in_space
        return self.told(done.window, finished, words, notes)

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"front": self.front.state_dict(), "begun": self.begun}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.front.load_state_dict(state["front"])
        self.begun = state["begun"]
