"""A march with cells in space: the solution at the end of the windows so far, and cells that
follow it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor

from kanpinn.geometry.domain import Domain
from kanpinn.geometry.points import Points
from kanpinn.jets import Jet
from kanpinn.loss.residuals import Residuals
from kanpinn.spaces.cell_windows import CellsInWindow, CellWindows, problem_in_space
from kanpinn.spaces.cells.problem import counted_fields
from kanpinn.spaces.cells.system.memory import no_comparison, too_many
from kanpinn.spaces.cells.tree import Tree
from kanpinn.spaces.evolution_terms import EvolutionTerms
from kanpinn.spaces.time_schemes import Stages
from kanpinn.tasks.cells_in_time import (
    CellNewton,
    CellState,
    LinearisedCells,
    Probe,
    SpaceError,
    TermInCells,
    coarsened,
    compared_in_space,
    early_step,
    initial_state,
    last_step,
    state_at,
    with_rates,
)
from kanpinn.tasks.control import Control
from kanpinn.tasks.refinement import why_too_many
from kanpinn.tasks.time_state import Attempt, MarchSettings, TimeState, state_of, window_of
from kanpinn.tasks.window import Window, solve_window, together

SAVED = ("time", "size", "expected", "beyond", "limited")
USED = ("about", "window", "served", "rate", "slow")  # what a checkpoint has of a linearisation


@dataclass(frozen=True, eq=False)
class CellAttempt(Attempt):
    """A window that has been tried, its equations, and the error in space that it adds.

    added: None where the window cannot be accepted.
    """

    equations: CellNewton
    added: SpaceError | None = None


class CellMarch(TimeState[CellAttempt]):
    """The solution in cells that follow it, and the linearisation for the next window.

    Half of the tolerance is for the error in time that a window may add, and half for the errors in
    space of all windows. The latter are found by comparisons with smaller cells and a higher
    degree: at the early stages before a window is solved, and at its end afterwards. Cells are
    refined until these errors are small enough.

    Attributes:
        size: the largest L2 norm of the solution so far.
        expected: the largest L2 norm of the solution so far and in the next window.
        state: the solution, and its estimated errors in time and in space, (3, N, L, p m).
        beyond: the L2 norm of the error in space that cells cannot represent.
        kept: the linearised equation with its factors; None if it must be made anew.
        compared: the latest errors in space that comparisons have shown, on the present cells.
        first_errors: the L2 norms of the errors of the initial values in each cell, (N,).
    """

    choice = CellNewton.choice
    keeps_factors = True
    watches_growth = False  # places in all cells cost as much as a part of a window

    def __init__(
        self, settings: MarchSettings, residuals: Residuals, terms: EvolutionTerms
    ) -> None:
        super().__init__(settings, residuals, terms)
        network, domain = self.surrogate.network, self.surrogate.domain
        assert isinstance(domain, Domain)
        self.network = cast(CellWindows, network)
        self.fields, self.order = self.network.fields, self.network.order
        counted = counted_fields(residuals, self.fields)
        self.problem = problem_in_space(terms, domain, counted, self.fields, self.order)
        self.size, self.expected, self.beyond = 0.0, 0.0, 0.0
        self.kept: LinearisedCells | None = None
        self.compared: list[SpaceError] = []
        self.state = self._at_rest()

    @property
    def count(self) -> int:
        """The number of cells."""
        return len(self.state.geometry.tree)

    def _at_rest(self, tree: Tree | None = None) -> CellState:
        problem, network = self.problem, self.network
        geometry = problem.start(network.start) if tree is None else problem.cells(tree)
        shape = 3, len(geometry.tree), network.polynomials.size, self.order * self.fields
        zeros = torch.zeros(*shape, dtype=torch.float64)
        return CellState(problem, geometry, network.polynomials, zeros, self.order)

    def _take_initial(self) -> None:
        names = self.surrogate.domain.names
        self.state, self.first_errors = initial_state(
            self.state, self.terms.initial, self.begin, names
        )
        self.size = self.expected = self.state.norm(self.state.value)

    def start(self, scheme: Stages, length: float) -> None:
        self._take_initial()
        tries, part = 30, 0.25  # of the tolerance
        allowed = part * self.settings.tolerance * self.size
        while tries and float(self.first_errors.norm()) > allowed:
            if not self._refine(self.first_errors, allowed, self.equations(scheme, length)):
                break
            tries -= 1
        first = float(self.first_errors.norm())
        self.limited = self.settings.windows is None and first > 2 * allowed

    def jet(self) -> tuple[Points, Jet]:
        return TermInCells(self.state.places.equation[0]).in_time(self.state.state_and_rate)

    def attempt(self, scheme: Stages, length: float, allowed: float) -> CellAttempt | None:
        """Try a window, again with smaller cells while they are too large for it."""
        tries = 20
        while True:
            self._resolve_early(scheme, length)
            if self.stopped or self._is_too_large(self.equations(scheme, length)):
                return None
            window, equations = self._tried(scheme, length)
            named, notes = f"{self.count} cells", {"cells": float(self.count)}
            if not (window.converged and window.error <= allowed):
                return CellAttempt(window, named, notes, equations)
            states = equations.at_stages(window.states[1:])
            added, most = self.added(equations, states, last_step), self._allowed(length)
            refined = added.total > most and tries and self._refine(added.cells, most, equations)
            if self.stopped:
                return None
            if not refined:
                notes["space_error"] = added.total / (max(self.size, window.size) or 1.0)
                return CellAttempt(window, named, notes, equations, added)
            tries -= 1

    def _allowed(self, length: float) -> float:
        """The error in space that a window of some length may add."""
        least = 0.02  # part of the whole time
        share = max(length / (self.end - self.begin), least)
        return self.settings.tolerance / 2 * share * self.expected

    def _resolve_early(self, scheme: Stages, length: float) -> None:
        """Refine cells until they resolve the early stages of a window, which costs little."""
        tries, good = 20, not self.settings.follows
        while tries and not good:
            equations = self.equations(scheme, length)
            if self._is_too_large(equations):
                return
            states = equations.at_stages(self.guess(scheme, length))
            added, allowed = self.added(equations, states, early_step), self._allowed(length)
            good = added.total <= allowed or not self._refine(added.cells, allowed, equations)
            tries -= 1

    def _refine(self, errors: Tensor, allowed: float, equations: CellNewton) -> bool:
        """Refine cells; False if they cannot be refined, or if `stopped` says why not.

        Args:
            errors: in space, of each cell, (N,).
            allowed: the error of all cells together that is permitted.
            equations: those of the next window, whose factors are kept.
        """
        if not self.settings.follows:
            return False
        marked, kept = self.state.marked(errors, allowed), equations.stages.count
        self.stopped = why_too_many(equations.of_real, marked, self.settings.cells, kept=kept)
        state = self._with_stages()
        if self.stopped or not self._moved(state.refined(marked)):
            return False
        if self.time == self.begin:
            self._take_initial()
        return True

    def _is_too_large(self, equations: CellNewton) -> bool:
        """Whether a window has too many cells or needs too much memory; `stopped` says why."""
        system, kept, count = equations.of_real, equations.stages.count, self.count
        self.stopped = no_comparison(system, kept=kept)
        if why := too_many(system, count, self.settings.cells, kept=kept):
            self.stopped = f"{count} cells {why}"
        return bool(self.stopped)

    def lighten(self, done: CellAttempt, length: float) -> None:
        """Take larger cells where the solution has become smooth, if there are many of them."""
        part, worth = 0.1, 0.2  # of the error, and of the cells
        if self.settings.follows:
            allowed = part * self._allowed(length)
            self._moved(coarsened(self._with_stages(), allowed, int(worth * self.count)))

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

    def guess(self, scheme: Stages, length: float) -> Tensor:
        """A guess for the unknowns of the stages of the next window, (s, N L, p m)."""
        if self.latest is None:
            return torch.zeros(scheme.count, *self.state.value.flatten(0, 1).shape).double()
        return self.latest.guess(scheme, self.time, length)

    def equations(self, scheme: Stages, length: float) -> CellNewton:
        """The equations of the next window, with a linearisation that is made anew if need be."""
        window, value = (scheme.count, length), self.state.value
        if self.kept is None or self.kept.slow or self.kept.window != window:
            states = value + self.guess(scheme, length).view(-1, *value.shape)
            state, middle = state_at(scheme, length, value, states, 0.5), self.time + length / 2
            about = with_rates(*state, self.fields), middle
            self.kept = LinearisedCells.of(self.state.places, about, window, self.order)
        return CellNewton(self.kept, scheme, self.time, length, value)

    def _tried(self, scheme: Stages, length: float) -> tuple[Window, CellNewton]:
        """Solve a window; again with a new linearisation, if it was solved with an older one."""
        guess, precision = self.guess(scheme, length), self.settings.precision(CellNewton)
        while True:
            equations, kept = self.equations(scheme, length), self.kept
            assert kept is not None
            done = solve_window(equations, guess, self.size, precision, self.terms.algebraic)
            if done[0].converged or not kept.served:
                kept.serve(done[0].rate)
                return done
            self.kept = None

    def added(self, equations: CellNewton, states: Tensor, probe: Probe) -> SpaceError:
        """The error in space that a window adds, estimated by one of two steps.

        Args:
            equations: those of the window.
            states: at its stages, near the solution, (s, N, L, p m).
            probe: `early_step` or `last_step`.
        """
        found, indicators = probe(equations, states)
        self.expected, indicated = max(self.size, self.state.norm(found)), float(indicators.norm())
        # The error of another window is taken for a multiple of a known one if their indicators
        # and lengths differ by factors of at most 3.
        most = 3.0
        for known in reversed(self.compared):
            ratios = indicated / (known.indicated or 1e-300), equations.length / known.length
            if all(1 / most <= ratio <= most for ratio in ratios):
                return known.added(equations, indicated)
        known = compared_in_space(self.problem, equations, states, probe)
        self.compared = [*self.compared[-1:], known]  # those of early and of last steps
        return known.added(equations, indicated)

    @torch.no_grad()
    def member(self, done: CellAttempt) -> CellsInWindow:
        geometry, shape = self.state.geometry, self.state.value.shape[:2]
        series = done.window.series()[..., : self.fields].unflatten(1, shape)
        made = self.network.member(len(series))
        made.layer.reset(geometry.tree, geometry.frames, series.movedim(0, 2).flatten(2))
        return made

    def accept(self, done: CellAttempt, time: float) -> float:
        window, added, before, value = done.window, done.added, self.error, self.state.value
        assert added is not None
        in_time, in_space = done.equations.propagated(self.state.functions[1:])
        errors = (
            together(in_time, window.in_time.view_as(value)),
            together(in_space, added.shape),
        )
        end = window.end().view_as(value)
        self.state = replace(self.state, functions=torch.stack([end, *errors]))
        self.size, self.beyond = max(self.size, window.size), added.beyond
        self.time, self.latest = time, window
        if self.settings.windows is None:
            self.limited |= self._error_in_space > self.settings.tolerance
        return window.length * max(before, self.error, window.error) ** 2

    @property
    def error(self) -> float:
        """The estimated error at the present moment, relative to the solution."""
        in_time = self.state.norm(self.state.functions[1]) / (self.size or 1.0)
        return in_time + self._error_in_space

    @property
    def _error_in_space(self) -> float:
        """The part of `error` that the cells of all windows so far have caused."""
        in_space = self.state.norm(self.state.functions[2])
        return math.hypot(in_space, self.beyond) / (self.size or 1.0)

    def follow(self, control: Control, window: Window) -> None:
        """Choose the next window, of the same length if the factors are kept for it."""
        least, most = 0.92, 1.6  # the length that would be best over the present one
        length, count, kept = window.length, window.stages.count, self.kept
        assert kept is not None  # the window has been solved with it
        control.follow(replace(window, rate=kept.rate))
        if not kept.slow and least * length <= control.length <= most * length:
            control.length, control.stages = length, count

    def state_dict(self) -> dict[str, Any]:
        tree = self.state.geometry.tree
        return {name: getattr(self, name) for name in SAVED} | {
            "tree": (tree.level, tree.place, tree.region),
            "functions": self.state.functions,
            "kept": None if self.kept is None else {n: getattr(self.kept, n) for n in USED},
            "compared": [vars(one).copy() for one in self.compared],
            "latest": state_of(self.latest),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        vars(self).update({name: state[name] for name in SAVED})
        start, (level, place, region) = self.network.start, state["tree"]
        at_rest = self._at_rest(Tree(start.roots, level, place, region, start.around))
        self.state = replace(at_rest, functions=state["functions"])
        self.compared = [SpaceError(**one) for one in state["compared"]]
        self.latest, self.kept = window_of(state["latest"]), None
        if (kept := state["kept"]) is not None:
            where = kept["about"], kept["window"]
            self.kept = LinearisedCells.of(self.state.places, *where, self.order)
            vars(self.kept).update(kept)
