"""Marching in time with cells in space: one window after the other, with controlled errors."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from kanpinn.geometry.domain import Domain
from kanpinn.jets import Linearised
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.terms import ResidualTerm
from kanpinn.optimizers.method import Step
from kanpinn.spaces.cell_windows import CellWindows, problem_in_space
from kanpinn.spaces.cells.problem import CellProblem, counted_fields
from kanpinn.spaces.cells.system.memory import no_comparison, too_many
from kanpinn.spaces.cells.tree import Tree
from kanpinn.spaces.evolution_terms import EvolutionTerms, sorted_terms, time_scales_of, with_orders
from kanpinn.spaces.time_schemes import Stages, stages
from kanpinn.spaces.window import StageChoice, Window, windows_left
from kanpinn.tasks.cells_in_time import (
    AddedError,
    CellStages,
    CellState,
    CellWindow,
    KeptLinearisation,
    LinearisedCells,
    Probe,
    SpaceError,
    TermInCells,
    coarsened,
    compared_in_space,
    early_step,
    initial_state,
    last_step,
    motion_of,
    solve_cell_window,
    state_at,
)
from kanpinn.tasks.growth import Growth, GrowthTest, refuse_growth
from kanpinn.tasks.march_progress import MarchProgress
from kanpinn.tasks.refinement import why_too_many


@torch.no_grad()
def growth_in_cells(state: CellState, equation: ResidualTerm, domain: Domain) -> Growth | None:
    """Waves that grow without bound around a state at its first moment; None if there are none.

    Args:
        state: the solution at the moment.
        equation: in space and time.
        domain: in space and time.
    """
    test = GrowthTest()
    points, jet = TermInCells(state.places.equation[0]).in_time(state.motion)
    few = torch.linspace(0, len(points) - 1, min(test.places, len(points))).long()
    linearised = Linearised.at(equation.equation, points[few], jet.rows(few))
    if linearised.equations != state.fields:
        return None
    low, high = domain.bounds
    return test.at(linearised, points[few], high - low, state.order)


KEPT = ("time", "size", "expected", "beyond")


class CellFront:
    """The solution at the end of the windows so far, and the linearisation for the next window.

    Args:
        terms: the terms of the evolution.
        problem: the evolution in space.
        network: gives the first cells.
        times: the first moment and the last one.

    Attributes:
        time: up to which the solution is known.
        size: the largest L2 norm of the solution so far.
        expected: the largest L2 norm of the solution so far and in the next window.
        state: the solution there, and its estimated errors in time and in space, (3, N, L, p m).
        beyond: the L2 norm of the error in space that cells cannot represent.
        kept: the linearised equation with its factors; None if it must be made anew.
        compared: the latest errors in space that comparisons have shown, on the present cells.
        latest: the last window, from which the next one is extrapolated.
    """

    def __init__(
        self,
        terms: EvolutionTerms,
        problem: CellProblem,
        network: CellWindows,
        times: tuple[float, float],
    ) -> None:
        self.terms, self.problem, self.network, self.times = terms, problem, network, times
        self.time, self.size, self.expected, self.beyond = times[0], 0.0, 0.0, 0.0
        self.kept: KeptLinearisation | None = None
        self.compared: list[SpaceError] = []
        self.latest: Window | None = None
        self.state, self.first_errors = self._initial(self._at_rest())

    @property
    def count(self) -> int:
        """The number of cells."""
        return len(self.state.geometry.tree)

    def _at_rest(self, tree: Tree | None = None) -> CellState:
        problem, network = self.problem, self.network
        geometry = problem.start(network.start) if tree is None else problem.cells(tree)
        of_state = network.order * network.fields
        shape = 3, len(geometry.tree), network.polynomials.size, of_state
        zeros = torch.zeros(*shape, dtype=torch.float64)
        return CellState(problem, geometry, network.polynomials, zeros, network.order)

    def _initial(self, state: CellState) -> tuple[CellState, Tensor]:
        """The initial values in the cells of a state, and their errors in each cell, (N,)."""
        names = self.terms.equation.points.names
        found, errors = initial_state(state, self.terms.initial, self.times[0], names)
        self.size = self.expected = found.norm(found.value)
        return found, errors

    def refine(self, errors: Tensor, allowed: float) -> bool:
        """Halve the cells with the largest errors in space; False if they cannot be halved.

        Args:
            errors: in each cell, (N,).
            allowed: the error of all cells together that is permitted.
        """
        state = self._with_stages()
        if not self._moved(state.refined(state.too_large(errors, allowed))):
            return False
        if self.time == self.times[0]:
            self.state, self.first_errors = self._initial(self.state)
        return True

    def coarsen(self, allowed: float) -> None:
        """Take larger cells where the solution has become smooth, if there are many of them.

        allowed: the error in space of the next window that is permitted.
        """
        part, worth = 0.1, 0.2  # of the error, and of the cells
        self._moved(coarsened(self._with_stages(), part * allowed, int(worth * self.count)))

    def _with_stages(self) -> CellState:
        """The state, and with it the last window's states, which move to other cells as well."""
        state, latest = self.state, self.latest
        if latest is None:
            return state
        states = latest.states.unflatten(1, state.value.shape[:2])
        return replace(state, functions=torch.cat([state.functions, states]))

    def _moved(self, state: CellState) -> bool:
        """Go on with the functions of `_with_stages` in other cells; False if they are the same."""
        if len(state.geometry.tree) == self.count:
            return False
        functions, states = state.functions[:3], state.functions[3:]
        self.state = replace(state, functions=functions)
        if self.latest is not None:
            self.latest = replace(self.latest, states=states.flatten(1, 2))
        self.kept, self.compared = None, []
        return True

    def why_too_many(self, errors: Tensor, allowed: float, equations: CellStages, most: int) -> str:
        """Why there would be too many cells after `refine`, in words; empty if there are not.

        Args:
            errors, allowed: see `refine`.
            equations: those of the next window, whose factors are kept.
            most: the largest number of cells.
        """
        chosen, kept = self.state.too_large(errors, allowed), equations.stages.count
        return why_too_many(equations.of_real, chosen, most, kept=kept)

    def guess(self, scheme: Stages, length: float) -> Tensor:
        """A guess for the states at the stages of the next window, (s, N, L, p m)."""
        start = self.state.value.expand(scheme.count, *self.state.value.shape)
        if self.latest is None:
            return start.clone()
        return start + self.latest.guess(scheme, self.time, length).view_as(start)

    def equations(self, scheme: Stages, length: float) -> CellStages:
        """The equations of the next window."""
        cells = self._kept_for(scheme, length).cells
        return CellStages(cells, scheme, self.time, length, self.state.value)

    def _kept_for(self, scheme: Stages, length: float) -> KeptLinearisation:
        """The linearisation for the next window, which is made anew if need be."""
        window = scheme.count, length
        if self.kept is None or self.kept.slow or self.kept.window != window:
            guess, middle = self.guess(scheme, length), self.time + length / 2
            state = state_at(scheme, length, self.state.value, guess, 0.5)
            about = motion_of(*state, self.network.fields), middle
            self.kept = KeptLinearisation(self._linearised(about), about, window)
        return self.kept

    def _linearised(self, about: tuple[Tensor, float]) -> LinearisedCells:
        order, algebraic = self.network.order, self.terms.algebraic
        return LinearisedCells.of(self.state.places, *about, order, algebraic)

    def tried(self, scheme: Stages, length: float, precision: float) -> CellWindow:
        """Solve a window; again with a new linearisation, if it was solved with an older one."""
        guess, kept = self.guess(scheme, length), self._kept_for(scheme, length)
        done = solve_cell_window(self.equations(scheme, length), guess, self.size, precision)
        if kept.served and not done.window.converged:
            self.kept = None
            kept = self._kept_for(scheme, length)
            done = solve_cell_window(self.equations(scheme, length), guess, self.size, precision)
        kept.serve(done.window.rate)
        return done

    def added(self, equations: CellStages, states: Tensor, probe: Probe) -> AddedError:
        """The error in space that a window adds, estimated by one of two steps.

        Args:
            equations: those of the window.
            states: at its stages, near the solution, (s, N, L, p m).
            probe: `early_step` or `last_step`.
        """
        found, indicators = probe(equations, states)
        self.expected, indicated = max(self.size, self.state.norm(found)), float(indicators.norm())
        for known in reversed(self.compared):
            if known.holds_for(indicated, equations):
                return AddedError.of(equations, known, indicated)
        known = compared_in_space(self.problem, equations, states, probe)
        self.compared = [*self.compared[-1:], known]  # those of early and of last steps
        return AddedError.of(equations, known, indicated)

    def go_on(self, done: CellWindow, added: AddedError, time: float) -> None:
        """Go on to the end of a solved window.

        Args:
            done: the window.
            added: the error in space that it adds.
            time: the time of its end.
        """
        in_time, in_space = done.equations.carried(self.state.functions[1:])
        errors = _together(in_time, done.error), _together(in_space, added.shape)
        self.state = replace(self.state, functions=torch.stack([done.end, *errors]))
        self.size, self.beyond = max(self.size, done.window.size), added.beyond
        self.time, self.latest = time, done.window

    @property
    def error(self) -> float:
        """The estimated error at the present moment, relative to the solution."""
        in_time = self.state.norm(self.state.functions[1]) / (self.size or 1.0)
        return in_time + self.error_in_space

    @property
    def error_in_space(self) -> float:
        """The part of `error` that the cells of all windows so far have caused."""
        in_space = self.state.norm(self.state.functions[2])
        return math.hypot(in_space, self.beyond) / (self.size or 1.0)

    def state_dict(self) -> dict[str, Any]:
        """The state that `load_state_dict` restores, as tensors and plain values."""
        tree, last = self.state.geometry.tree, self.latest
        return {name: getattr(self, name) for name in KEPT} | {
            "tree": (tree.level, tree.place, tree.region),
            "functions": self.state.functions,
            "kept": None if self.kept is None else vars(self.kept) | {"cells": None},
            "compared": [vars(one).copy() for one in self.compared],
            "latest": None
            if last is None
            else (last.stages.count, last.start, last.length, last.states),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state that `state_dict` returned."""
        vars(self).update({name: state[name] for name in KEPT})
        start, (level, place, region) = self.network.start, state["tree"]
        at_rest = self._at_rest(Tree(start.roots, level, place, region, start.around))
        self.state = replace(at_rest, functions=state["functions"])
        self.compared = [SpaceError(**one) for one in state["compared"]]
        self.latest = None
        if state["latest"] is not None:
            count, *last = state["latest"]
            self.latest = Window.of_states(stages(count), *last)
        self.kept = None
        if (kept := state["kept"]) is not None:
            self.kept = KeptLinearisation(**kept | {"cells": self._linearised(kept["about"])})


def _together(one: Tensor, other: Tensor) -> Tensor:
    """The sum of two errors, the second with the sign for which the sum is larger."""
    return one + other if float((one * other).sum()) >= 0 else one - other


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
