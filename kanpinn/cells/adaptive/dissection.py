"""Least squares in cells, which are halved until the estimated error is small enough."""

import math
from dataclasses import astuple, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from kanpinn._support.errors import InputError, integer, number
from kanpinn.cells.adaptive.cell_errors import errors_by_comparison, errors_by_missed_residuals
from kanpinn.cells.adaptive.error_progress import ErrorProgress, status_of_error
from kanpinn.cells.adaptive.halving import bulk, count_when_halved, part_to_halve, why_no_smaller
from kanpinn.cells.adaptive.layers import cells_in_layers
from kanpinn.cells.adaptive.newton import NewtonProgress
from kanpinn.cells.adaptive.waves import cells_with_waves
from kanpinn.cells.cells import require_cells
from kanpinn.cells.geometry.cell_geometry import CellGeometry
from kanpinn.cells.geometry.prolongation import prolonged
from kanpinn.cells.numbers.number_search import NumberSearch
from kanpinn.cells.problems.by_domain import problem_in_cells
from kanpinn.cells.system.cell_system import CellSolution, CellSystem
from kanpinn.cells.system.constants import mean_terms, set_constants
from kanpinn.cells.system.memory import no_comparison, too_many
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.network import Network
from kanpinn.optimizers.method import Optimizer, Stage, Step


@dataclass(frozen=True)
class Dissection(Optimizer):
    """Solve for a network in cells by least squares, and halve the cells with the largest errors.

    Each step is one least-squares solve. A tree takes one step for a linear equation, and several,
    those of Newton's method, for a nonlinear one. The coefficients of each cell are eliminated
    first, then the traces on faces in the order of a nested dissection; for many cells conjugate
    gradients find the traces. After the last step on a tree the fewest cells are halved that have
    the part `bulk` of the sum of squared indicators, or a smaller part near the tolerance. A cell's
    indicator is the size of an error whose residual is the root of the cell's share of the
    functional: h² times this root for -Δu. The ratio of errors to indicators follows from the
    change of the solution from one tree to the next. Before the solve ends, the solution is
    compared with one of a degree that is higher by 2, in smaller cells at singular corners and with
    more accurate integrals of a singular source, and its residuals are integrated at other points.

    Unknown numbers are found from data by steps of the Levenberg–Marquardt method. At each the
    fields are the solution for the present numbers, and other right-hand sides give the derivatives
    of the fields by them. So the tolerance is that of the fields for given numbers.

    Args:
        tolerance: the relative error, in L2, at which to stop.
        cells: the largest number of cells.
        bulk: the part of the squared error that the cells to be halved have at most, up to 1.
        steps: the largest number of solves.

    Raises:
        InputError: for values out of range; in a solve, for another kind of network, or what cells
            cannot solve.

    Reference: Dörfler, A convergent adaptive algorithm for Poisson's equation (1996), for the bulk.

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(0, 1), y=(0, 1)), exact="exp(-20*(x - y)**2)")
        >>> method = kp.Dissection(tolerance=1e-4)
        >>> solution = kp.solve(problem, kp.Cells([2, 1], degree=10, cells=2), method)
        >>> solution.status, solution.errors.l2_relative < 1e-4
        ('converged', True)
    """

    tolerance: float = 1e-8
    cells: int = 20_000
    bulk: float = 0.99
    steps: int = 100
    needs_fixed_points = True
    lowers_loss = False
    fits_points = False

    def __post_init__(self) -> None:
        number("tolerance", self.tolerance, above=True)
        integer("cells", self.cells)
        integer("steps", self.steps)
        number("bulk", self.bulk, above=True)
        if self.bulk > 1:
            raise InputError(f"bulk must be at most 1, got {self.bulk}")

    def check(self, network: Network) -> None:
        dtype = require_cells(network).layer.coefficients.dtype
        if dtype != torch.float64:
            raise InputError(
                f"dtype must be float64 for a network in cells, got {dtype}: rounded coefficients "
                "would not have the accuracy that is estimated"
            )

    def finer(self) -> "Dissection":
        """A single solve on the cells that a network of a higher degree has from the beginning."""
        return replace(self, steps=1)

    def start(self, residuals: Residuals, seed: int) -> "DissectionStage":
        return DissectionStage(self, residuals, seed)


class DissectionStage(Stage):
    """The state of a solve in cells: the network has the tree and the solution.

    Attributes:
        error: the estimated error on the last tree that was solved on.
        newton: the changes by the steps of Newton's method.
        search: that for unknown numbers; None without them.
        origin: the solution on the tree before, given on the present tree, (N, L, m).
        chosen: the cells to halve before the next solve, a mask (N,); None on a tree that is new.
    """

    kept = ("numbers", "origin", "chosen", "found_numbers")
    steady = False  # the solve on the last tree may take longer than all before
    geometry: CellGeometry

    def __init__(self, settings: Dissection, residuals: Residuals, seed: int = 0) -> None:
        self.settings, self.residuals = settings, residuals
        self.network = require_cells(residuals.surrogate.network)
        self.problem, self.means = problem_in_cells(residuals), mean_terms(residuals)
        self.search = NumberSearch.of(residuals, self.problem, seed)
        self.error, self.newton = ErrorProgress(), NewtonProgress()
        self.chosen: Tensor | None = None
        self.origin = self._moved(self.problem.start(self.network.tree))

    @property
    def part(self) -> float:  # type: ignore[override]
        """How far the solve is, from 0 to 1."""
        return self.error.part(self.settings.tolerance)

    @property
    def numbers(self) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """The numbers of `error` and `newton`, for a checkpoint."""
        return astuple(self.error), astuple(self.newton)

    @numbers.setter
    def numbers(self, numbers: tuple[tuple[Any, ...], tuple[Any, ...]]) -> None:
        error, newton = numbers
        self.error, self.newton = ErrorProgress(*error), NewtonProgress(*newton)

    @property
    def found_numbers(self) -> dict[str, Any] | None:
        """The state of the search for unknown numbers, for a checkpoint."""
        return None if self.search is None else self.search.state_dict()

    @found_numbers.setter
    def found_numbers(self, state: dict[str, Any] | None) -> None:
        if self.search is not None and state is not None:
            self.search.load_state_dict(state)

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
        if self.chosen is not None:
            self._split(self.chosen)
        system, before = self._system()
        found, newton = self._solved(system), self.newton
        size = system.norm(found.coefficients) or 1.0
        indicators = system.indicators(found) / size
        words = f"{self.network.count} cells, {found.coefficients.numel()} unknowns"
        newton.add(system.norm(found.coefficients - before) / size)
        if self.search is not None and not self.search.settled and not newton.stagnates:
            if self.search.moved:
                newton.slow = 0
            return Step(float(found.shares.sum()), words=f"{words}, {self.search.words}")
        part, ratio = 0.1, self.error.ratio or self.error.usual  # part: left to Newton's steps
        enough = max(1e-13, part * ratio * float(indicators.norm()))
        if min(newton.change, newton.left) > enough and not system.is_linear(found.coefficients):
            words += f", change by Newton's method {newton.change:.1e}"
            if newton.stagnates:
                self.error.forget()
                return self._refined(found, system, indicators, words)
            return Step(float(found.shares.sum()), words=words)
        return self._assessed(found, system, indicators, words)

    def _system(self) -> tuple[CellSystem, Tensor]:
        """The least-squares problem and the present solution, (N, L, m).

        Before the first solve, cells in boundary layers and cells with many waves are halved.
        """
        while True:
            before = self._present()
            system = self.problem.on(self._geometry(), self.network.polynomials, before)
            if self.newton.steps:
                return system, before
            part, steep = 4, cells_in_layers(system) | cells_with_waves(system)
            after = count_when_halved(system.geometry.tree, steep)
            if after == len(steep) or part * after > self.settings.cells:
                return system, before  # the rest is left to the indicator
            self._split(steep)

    def _solved(self, system: CellSystem) -> CellSolution:
        """The solution of the least-squares problem, which the network gets.

        Raises:
            InputError: if the cells that the solve begins with are too many.
        """
        network, geometry, most = self.network, system.geometry, self.settings.cells
        if not self.newton.steps and (why := too_many(system, network.count, most)):
            raise InputError(f"{network.count} cells of degree {network.degree} {why}")
        if self.search is None:
            found = system.solve()
        else:
            found = self.search.solved(system, self._present())
        network.layer.reset(geometry.tree, geometry.frames, found.coefficients)
        if system.free_fields or self.means:
            set_constants(system, self.residuals.surrogate, self.means)
            found = replace(found, coefficients=self._present())
        return found

    def _assessed(
        self, found: CellSolution, system: CellSystem, indicators: Tensor, words: str
    ) -> Step:
        """Estimate the error of the solution on a tree, and halve cells if it is too large."""
        settings, progress, errors = self.settings, self.error, indicators
        before, size = progress.estimate, system.norm(found.coefficients) or 1.0
        change = system.norm(found.coefficients - self.origin) / size
        progress.extrapolate(float(indicators.norm()), change)
        chosen = bulk(errors * self.problem.divisible(system.geometry), settings.bulk)
        last = progress.compared or why_no_smaller(
            self.problem, system, errors, chosen, settings.cells
        )
        if progress.expected <= settings.tolerance or last:
            if uncompared := no_comparison(system):
                return self._refined(found, system, errors, words, uncompared=uncompared)
            enough = settings.tolerance * size
            errors = errors_by_comparison(self.problem, system, found, enough) / size
            progress.compare(float(errors.norm()))
            unseen = errors_by_missed_residuals(system, found) / size
            if float(unseen.norm()) > settings.tolerance:
                errors = errors + unseen
                progress.estimate = float(errors.norm())
        finished = status_of_error(progress.estimate, before, settings.tolerance)
        return self._refined(found, system, errors, words, finished or None)

    def _refined(
        self,
        found: CellSolution,
        system: CellSystem,
        errors: Tensor,
        words: str,
        finished: str | None = None,
        uncompared: str = "",
    ) -> Step:
        """Choose the cells to halve before the next step, unless the solve has finished.

        uncompared: why the solution cannot be compared with a better one, in words; "" if it can.
        """
        settings, estimate = self.settings, self.error.estimate
        part = part_to_halve(settings.tolerance, estimate, settings.bulk)
        self.chosen = bulk(errors * self.problem.divisible(system.geometry), part)
        reached, notes = "Newton's method does not converge on these", {"cells": float(len(errors))}
        if uncompared:
            reached = "the error has not been estimated"
        if math.isfinite(estimate):
            reached = f"the estimated relative error is {estimate:.1e}"
            notes["estimated_error"] = estimate
            words += f", estimated error {estimate:.1e}"
        why = why_no_smaller(self.problem, system, errors, self.chosen, settings.cells)
        why = why or uncompared
        if finished is None and why:
            finished = f"stopped: {why}; {reached}"
        if finished is not None and self.search is not None:
            self.search.measure_errors(system)
            finished = self.search.verdict(finished)
        return Step(float(found.shares.sum()), finished=finished, notes=notes, words=words)

    def _split(self, chosen: Tensor) -> None:
        """Halve cells; the solution stays the same function."""
        self.origin = self._moved(self.problem.refined(self._geometry(), chosen))
        self.newton, self.chosen = self.newton.on_new_tree(), None
        if self.search is not None:
            self.search.on_new_tree()
