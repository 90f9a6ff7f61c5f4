"""The state of a solve in cells: solves on one tree after the other, and estimates of the error."""

import math
from dataclasses import astuple, replace
from typing import Any

from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.cells.adaptive.cell_errors import (
    BetterSolution,
    better_solution,
    errors_by_comparison,
    errors_by_missed_residuals,
)
from kanpinn.cells.adaptive.cell_settings import CellSettings
from kanpinn.cells.adaptive.error_progress import ErrorProgress, status_of_error
from kanpinn.cells.adaptive.halving import part_to_halve, to_halve, why_no_smaller
from kanpinn.cells.adaptive.layers import cells_in_layers
from kanpinn.cells.adaptive.newton import NewtonProgress
from kanpinn.cells.adaptive.shared_in_network import (
    shared_numbers,
    take_shared_numbers,
    with_shared_functions,
)
from kanpinn.cells.adaptive.solve_pace import SolvePace
from kanpinn.cells.adaptive.solved_tree import SolvedTree
from kanpinn.cells.adaptive.waves import cells_with_waves
from kanpinn.cells.cells import require_cells
from kanpinn.cells.geometry.cell_geometry import CellGeometry
from kanpinn.cells.geometry.prolongation import prolonged
from kanpinn.cells.problems.by_domain import problem_in_cells
from kanpinn.cells.system.cell_fields import CellField
from kanpinn.cells.system.cell_system import CellSolution, CellSystem
from kanpinn.cells.system.constants import mean_terms, set_constants
from kanpinn.cells.system.memory import no_comparison, too_many
from kanpinn.loss.residuals import Residuals
from kanpinn.optimizers.method import Stage, Step


class DissectionStage(Stage):
    """The state of a solve in cells: the network has the tree and the solution.

    Attributes:
        error: the estimated error on the last tree that was solved on.
        newton: the changes by the steps of Newton's method.
        pace: the time of the solves.
        origin: the solution on the tree before, given on the present tree, (N, L, m).
        origin_numbers: the coefficients of the shared functions in it.
        chosen: the coordinates in which cells are halved before the next solve, a mask (N, d);
            None on a tree that is new.
    """

    kept: tuple[str, ...] = ("progress", "origin", "origin_numbers", "chosen")
    steady = False  # the solve on the last tree may take longer than all before
    geometry: CellGeometry

    def __init__(self, settings: CellSettings, residuals: Residuals) -> None:
        self.settings, self.residuals = settings, residuals
        self.network = require_cells(residuals.surrogate.network)
        self.means = mean_terms(residuals)
        self.problem = with_shared_functions(problem_in_cells(residuals), residuals.surrogate)
        self.error, self.newton, self.pace = ErrorProgress(), NewtonProgress(), SolvePace()
        self.chosen: Tensor | None = None
        self.origin = self._moved(self.problem.start(self.network.tree))
        self.origin_numbers = shared_numbers(self.network)

    @property
    def part(self) -> float:  # type: ignore[override]
        """How far the solve is, from 0 to 1."""
        return self.error.part(self.settings.tolerance)

    @property
    def expected_seconds(self) -> float | None:  # type: ignore[override]
        """What the next solve is expected to take; None before the first one."""
        tree, chosen = self.network.tree, self.chosen
        return self.pace.on(len(tree) if chosen is None else tree.count_when_split(chosen))

    @property
    def progress(self) -> list[tuple[Any, ...]]:
        """The states of `error`, `newton` and `pace`, for a checkpoint."""
        return [astuple(one) for one in (self.error, self.newton, self.pace)]

    @progress.setter
    def progress(self, states: list[tuple[Any, ...]]) -> None:
        error, newton, pace = states
        self.error, self.newton = ErrorProgress(*error), NewtonProgress(*newton)
        self.pace = SolvePace(*pace)

    def _field(self) -> CellField:
        """The present solution."""
        return CellField(self._present(), shared_numbers(self.network))

    def _present(self) -> Tensor:
        return self.network.layer.coefficients.detach().double().cpu()

    def _geometry(self) -> CellGeometry:
        """The present cells."""
        if self.geometry.tree is not self.network.tree:  # it was read from a checkpoint
            self.geometry = self.problem.cells(self.network.tree)
        return self.geometry

    def _moved(self, geometry: CellGeometry) -> Tensor:
        """Take other cells for the same function, and return its coefficients there, (N, L, m)."""
        layer, self.geometry = self.network.layer, geometry
        if geometry.tree is not layer.tree:
            frames = layer.frames.double().cpu()
            present = prolonged(layer.polynomials, layer.tree, frames, self._present(), geometry)
            layer.reset(geometry.tree, geometry.frames, present)
        return self._present()

    def step(self) -> Step:
        self.pace.begin()
        if self.chosen is not None:
            self._split(self.chosen)
        system, before = self._system()
        found = self._solved(system)
        self.pace.see(len(system.geometry.tree), self.pace.spent)
        words = f"{self.network.count} cells, {found.coefficients.numel()} unknowns"
        solved = SolvedTree(system, found, words)
        self.newton.add(system.norms.total(found.minus(before)) / solved.size, solved.size)
        return self._judged(solved)

    def _judged(self, solved: SolvedTree) -> Step:
        """Go on with Newton's method, or estimate the error if its steps on a tree are done."""
        newton = self.newton
        part, ratio = 0.1, self.error.ratio or self.error.usual  # part: left to Newton's steps
        enough = max(1e-13, part * ratio * float(solved.indicators.norm()))
        if min(newton.change, newton.left) > enough and not solved.is_linear:
            words = f"{solved.words}, change by Newton's method {newton.change:.1e}"
            if newton.stagnates:
                self.error.forget()
                return self._refined(replace(solved, words=words), solved.indicators)
            return Step(solved.loss, words=words)
        return self._assessed(solved)

    def _system(self) -> tuple[CellSystem, CellField]:
        """The least-squares problem and the present solution.

        Before the first solve, cells in boundary layers and cells with many waves are halved.
        """
        while True:
            before, polynomials = self._field(), self.network.polynomials
            system = self.problem.on(
                self._geometry(), polynomials, before.coefficients, numbers=before.numbers
            )
            if self.newton.steps:
                return system, before
            part, steep = 4, cells_in_layers(system) | cells_with_waves(system)
            chosen = self.problem.coordinates(system.geometry, steep)
            chosen = chosen & steep.any(dim=1, keepdim=True)
            after = system.geometry.tree.count_when_split(chosen)
            if after == len(steep) or part * after > self.settings.cells:
                return system, before  # the rest is left to the indicator
            self._split(chosen)

    def _solved(self, system: CellSystem) -> CellSolution:
        """The solution of the least-squares problem, which the network gets.

        Raises:
            InputError: if the cells that the solve begins with are too many.
        """
        network, geometry, most = self.network, system.geometry, self.settings.cells
        kept = int(self.settings.corrects)
        if not self.newton.steps and (why := too_many(system, network.count, most, kept=kept)):
            raise InputError(f"{network.count} cells of degree {network.degree} {why}")
        found = self._solution(system)
        network.layer.reset(geometry.tree, geometry.frames, found.coefficients)
        take_shared_numbers(network, found.numbers)
        if system.free_fields or self.means:
            set_constants(system, self.residuals.surrogate, self.means, found.numbers)
            found = replace(found, coefficients=self._present())
        return found

    def _solution(self, system: CellSystem) -> CellSolution:
        """The solution of the least-squares problem."""
        return system.solve(self._field(), self.settings.accuracy)

    def _better(self, solved: SolvedTree) -> BetterSolution:
        """A better solution on the same tree, with which the present one is compared."""
        return better_solution(self.problem, solved, self.settings.accuracy)

    def _assessed(self, solved: SolvedTree) -> Step:
        """Estimate the error of the solution on a tree, and halve cells if it is too large."""
        settings, progress, errors = self.settings, self.error, solved.indicators
        before, system, found = progress.estimate, solved.system, solved.solution
        origin = CellField(self.origin, self.origin_numbers)
        change = system.norms.total(found.minus(origin)) / solved.size
        progress.extrapolate(float(errors.norm()), change, solved.left_out)
        chosen = to_halve(self.problem, solved, errors, settings.bulk)
        last = progress.compared or self._why_no_smaller(solved, errors, chosen)
        if progress.expected <= settings.tolerance or last:
            uncompared = no_comparison(system, again=settings.corrects)
            uncompared = uncompared or self.pace.too_late(system, self.seconds_left)
            if uncompared:
                return self._refined(solved, errors, uncompared=uncompared)
            with self.pace.comparing():
                shown = self._compared(solved)
            errors = shown / solved.size
            progress.compare(float(errors.norm()))
            unseen = errors_by_missed_residuals(system, found) / solved.size
            if float(unseen.norm()) > settings.tolerance:
                errors = errors + unseen
                progress.estimate = float(errors.norm())
        finished = status_of_error(progress.estimate, before, settings.tolerance)
        return self._refined(solved, errors, finished)

    def _compared(self, solved: SolvedTree) -> Tensor:
        """The L2 norm of the error that each cell causes, by better solutions, (N,)."""
        better, enough = self._better(solved), self.settings.tolerance * solved.size
        return errors_by_comparison(self.problem, solved, better, enough, self.settings.accuracy)

    def _refined(
        self, solved: SolvedTree, errors: Tensor, finished: str = "", uncompared: str = ""
    ) -> Step:
        """Choose the cells to halve before the next step, unless the solve has finished.

        Args:
            solved: the present solution.
            errors: of it in each cell, (N,).
            finished: the status if the solve has finished; "" if not.
            uncompared: why the solution cannot be compared with a better one; "" if it can.
        """
        settings, estimate, words = self.settings, self.error.estimate, solved.words
        part = part_to_halve(settings.tolerance, self.error.expected, settings.bulk)
        most = self.pace.cells_within(self.seconds_left)
        self.chosen = to_halve(self.problem, solved, errors, part, most)
        reached, notes = "Newton's method does not converge on these", {"cells": float(len(errors))}
        if uncompared:
            reached = "the error has not been estimated"
        if math.isfinite(estimate):
            reached = f"the estimated relative error is {estimate:.1e}"
            notes["estimated_error"] = estimate
            words += f", estimated error {estimate:.1e}"
        why = self._why_no_smaller(solved, errors, self.chosen) or uncompared
        if why and not finished:
            finished = f"stopped: {why}; {reached}"
        return Step(solved.loss, finished=finished or None, notes=notes, words=words)

    def _why_no_smaller(self, solved: SolvedTree, errors: Tensor, chosen: Tensor) -> str:
        """Why cells cannot be halved, in words; empty if they can."""
        most, kept = self.settings.cells, int(self.settings.corrects)
        return why_no_smaller(self.problem, solved.system, errors, chosen, most, kept=kept)

    def _split(self, chosen: Tensor) -> None:
        """Halve cells; the solution stays the same function."""
        left = self.error.left(self.settings.tolerance)
        self.origin = self._moved(self.problem.refined(self._geometry(), chosen, left))
        self.origin_numbers = shared_numbers(self.network)
        self.newton, self.chosen = self.newton.on_new_tree(), None
