"""The front of a march with cells: the solution so far, and the equations that are next."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from kanpinn.cells.adaptive.halving import why_too_many
from kanpinn.cells.problems.cell_problem import CellProblem
from kanpinn.cells.tree import Tree
from kanpinn.evolution.cells.cell_stages import CellStages, motion_of, state_at
from kanpinn.evolution.cells.cell_state import CellState, initial_state
from kanpinn.evolution.cells.cell_window import CellWindow, solve_cell_window
from kanpinn.evolution.cells.cell_windows import CellWindows
from kanpinn.evolution.cells.coarsening import coarsened
from kanpinn.evolution.cells.kept_linearisation import KeptLinearisation
from kanpinn.evolution.cells.linearised_cells import LinearisedCells
from kanpinn.evolution.cells.space_error import (
    AddedError,
    Probe,
    SpaceError,
    compared_in_space,
)
from kanpinn.evolution.terms.evolution_terms import EvolutionTerms
from kanpinn.evolution.time.stages import Stages, stages
from kanpinn.evolution.window.window import Window

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
