"""Adaptive least squares in cells: solve, estimate the error, refine the marked cells, until
the error is small enough.
"""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from kanpinn._support.distributed import extremes
from kanpinn._support.errors import UNCOMPARED, InputError, integer, number
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.network import Network
from kanpinn.optimizers.method import Optimizer, Stage, Step
from kanpinn.spaces.cells.cells import require_cells
from kanpinn.spaces.cells.geometry.cell_geometry import CellGeometry, prolonged
from kanpinn.spaces.cells.polynomials import LocalPolynomials
from kanpinn.spaces.cells.problem import (
    mean_terms,
    problem_in_cells,
    set_constants,
    shared_numbers,
    take_shared_numbers,
    with_shared_functions,
)
from kanpinn.spaces.cells.system.cell_system import CellSystem
from kanpinn.spaces.cells.system.functions import CellField
from kanpinn.spaces.cells.system.memory import no_comparison, too_many
from kanpinn.tasks.cell_errors import (
    BetterSolution,
    ErrorProgress,
    SolvedTree,
    better_solution,
    errors_by_comparison,
    errors_by_missed_residuals,
    status_of_error,
)
from kanpinn.tasks.cell_parameters import ParametersInCells
from kanpinn.tasks.refinement import (
    cells_in_layers,
    cells_with_waves,
    part_to_refine,
    to_refine,
    why_too_many,
)


@dataclass
class NewtonProgress:
    """The changes of the solution by the steps of Newton's method.

    Attributes:
        change: the relative change by the latest step on the present tree; infinite before one.
        rate: the ratio of the latest absolute change to the change before it. (While Newton's
            method halves a solution that is far too large, relative changes stay equal, although
            it converges.) After the first step on a tree, the rate expected of the next step by
            quadratic convergence.
        curvature: the latest rate over the change before it; infinite before two steps.
        steps: the number of all steps, on all trees.
        recent: the norms of the latest changes on the present tree, `patience` + 1 of them at most.

    Reference: Deuflhard, Newton Methods for Nonlinear Problems (2011), section 2.1, for the rate.
    """

    change: float = math.inf
    rate: float = 1.0
    curvature: float = math.inf
    steps: int = 0
    recent: tuple[float, ...] = ()
    patience: ClassVar[int] = 4

    def add(self, change: float, size: float = 1.0) -> None:
        """Count a step that has changed the solution by a part `change` of its norm `size`."""
        if self.recent:
            self.rate = change * size / self.recent[-1] if self.recent[-1] else 0.0
            self.curvature = self.rate / self.change if self.change else 0.0
        else:
            self.rate = min(1.0, self.curvature * change) if change else 0.0
        self.change, self.steps = change, self.steps + 1
        self.recent = (*self.recent[-self.patience :], change * size)

    @property
    def left(self) -> float:
        """The sum of all further changes, if each has the present rate."""
        return self.change * self.rate / (1 - self.rate) if self.rate < 1 else math.inf

    @property
    def stagnates(self) -> bool:
        """Whether several steps have contracted little, as on a tree that is far too coarse.

        Far from the solution of u³ = f the rate is 2/3, which is fast enough.
        """
        slow = 0.75
        enough = slow**self.patience * self.recent[0] if self.recent else math.inf
        return len(self.recent) > self.patience and self.recent[-1] > enough

    def on_new_tree(self) -> "NewtonProgress":
        """The state before the first step on another tree."""
        return NewtonProgress(curvature=self.curvature, steps=self.steps)


@dataclass
class SolvePace:
    """The time of solves on one tree after the other, and of comparisons with better solutions.

    Attributes:
        cells, seconds: the number of cells of the last tree, and the time of a solve there.
        power: solves take time like this power of the number of cells, as the last two trees say.
        dearer: the time of the last comparison over that of the solve on the same tree; 0 if there
            was none.
        begun: when the present step has begun, by `time.perf_counter`.
    """

    cells: int = 0
    seconds: float = 0.0
    power: float = 1.25
    dearer: float = 0.0
    begun: float = 0.0

    def begin(self) -> None:
        """Note that a step begins now."""
        self.begun = time.perf_counter()

    @property
    def spent(self) -> float:
        """The seconds of the present step so far, on the slowest rank."""
        seconds = torch.tensor([[time.perf_counter() - self.begun]], dtype=torch.float64)
        return float(extremes(seconds)[1])

    def see(self, cells: int, seconds: float) -> None:
        """Take the time of a solve; cells: their number."""
        least, most = 1.0, 2.0  # for conjugate gradients, and for elimination in space
        if self.seconds > 0 and cells > 1.2 * self.cells:
            power = math.log(seconds / self.seconds) / math.log(cells / self.cells)
            self.power = min(max(power, least), most)
        self.cells, self.seconds = cells, seconds

    def on(self, cells: int) -> float | None:
        """The seconds that a solve is expected to take; None before the first one.

        cells: their number.
        """
        return self.seconds * (cells / self.cells) ** self.power if self.cells else None

    def cells_within(self, left: float) -> float:
        """The number of cells on which the next solve is expected to fit into what is left.

        left: the seconds that were left when the present step began.
        """
        if math.isinf(left):
            return math.inf
        return self.cells * (max(left - self.spent, 0.0) / self.seconds) ** (1 / self.power)

    @contextmanager
    def comparing(self) -> Iterator[None]:
        """Take the time spent inside the context for that of a comparison on the last tree."""
        before = self.spent
        yield
        self.dearer = (self.spent - before) / self.seconds

    def too_late(self, system: CellSystem, left: float) -> str:
        """Why no time is left for a comparison with a better solution; empty if there is.

        Args:
            system: the problem on the last tree, which has been solved.
            left: the seconds that were left before this solve.
        """
        power, more, own = 2, 2, system.polynomials  # power: between 1 and 2 as measured
        richer = LocalPolynomials(own.degree + more, own.dim)
        seconds = self.seconds * (self.dearer or (richer.size / own.size) ** power)
        left = max(left - self.seconds, 0.0)
        if seconds <= left:
            return ""
        return (
            f"the budget leaves no time for {UNCOMPARED} "
            f"{richer.degree} ({left:.3g} s are left, it takes some {seconds:.2g} s)"
        )


class AdaptiveLeastSquaresStage(Stage):
    """The state of a solve in cells: the network has the tree and the solution.

    Where there are unknown numbers, a search for them comes between the solves on each tree.

    Attributes:
        error: the estimated error on the last tree that was solved on.
        newton: the changes by the steps of Newton's method.
        pace: the time of the solves.
        origin: the solution on the tree before, given on the present tree: the coefficients
            (N, L, m), and those of the shared functions.
        chosen: the coordinates in which cells are refined before the next solve, a mask (N, d);
            None on a tree that is new.
        parameters: the unknown parameters with the search for them; None if there are none.
    """

    kept = ("error", "newton", "pace", "origin", "chosen", "parameters")
    steady = False  # the solve on the last tree may take longer than all before
    geometry: CellGeometry
    origin: tuple[Tensor, Sequence[Tensor]]

    def __init__(self, settings: "AdaptiveLeastSquares", residuals: Residuals, seed: int) -> None:
        self.settings, self.residuals = settings, residuals
        self.network = network = require_cells(residuals.surrogate.network)
        self.means = mean_terms(residuals)
        self.parameters: ParametersInCells | None = None
        if network.constants is None and network.coefficient is None:
            network.forget_numbers()  # those of another problem
        self.problem = with_shared_functions(problem_in_cells(residuals), residuals.surrogate)
        self.error, self.newton, self.pace = ErrorProgress(), NewtonProgress(), SolvePace()
        self.chosen: Tensor | None = None
        self._take(self.problem.start(network.tree))
        if network.constants is not None or network.coefficient is not None:
            self.parameters = ParametersInCells(residuals, self.problem, seed)

    @property
    def part(self) -> float:  # type: ignore[override]
        """How far the solve is, from 0 to 1."""
        return self.error.part(self.settings.tolerance)

    @property
    def expected_seconds(self) -> float | None:  # type: ignore[override]
        """The expected seconds of the next solve; None before the first solve."""
        tree, chosen = self.network.tree, self.chosen
        return self.pace.on(len(tree) if chosen is None else tree.count_when_split(chosen))

    def _field(self) -> CellField:
        """The present solution."""
        network = self.network
        present = network.layer.coefficients.detach().double().cpu()
        return CellField(network.polynomials, present, shared_numbers(network))

    def _geometry(self) -> CellGeometry:
        """The present cells."""
        if self.geometry.tree is not self.network.tree:  # it was read from a checkpoint
            self.geometry = self.problem.cells(self.network.tree)
        return self.geometry

    def _take(self, geometry: CellGeometry) -> None:
        """Take other cells; the solution stays the same function."""
        layer, field, self.geometry = self.network.layer, self._field(), geometry
        if geometry.tree is not layer.tree:
            frames, own = layer.frames.double().cpu(), field.coefficients
            present = prolonged(layer.polynomials, layer.tree, frames, own, geometry)
            layer.reset(geometry.tree, geometry.frames, present)
            field = self._field()
        self.origin = field.coefficients, field.numbers

    def _refine(self, chosen: Tensor) -> None:
        """Refine cells; chosen: the coordinates in which this is done, a mask (N, d)."""
        left = self.error.left(self.settings.tolerance)
        self._take(self.problem.refined(self._geometry(), chosen, left))
        self.newton, self.chosen = self.newton.on_new_tree(), None
        if self.parameters is not None:
            self.parameters.on_new_tree()

    def step(self) -> Step:
        self.pace.begin()
        if self.chosen is not None:
            self._refine(self.chosen)
        system, before = self._system()
        found, shares = self._solved(system)
        self.pace.see(len(system.geometry.tree), self.pace.spent)
        words = f"{self.network.count} cells, {found.coefficients.numel()} unknowns"
        solved = SolvedTree(system, found, shares / system.weights**2, words)
        newton, parameters, size = self.newton, self.parameters, solved.size
        newton.add(system.norms.total(found.minus(before)) / size, size)
        if parameters is not None and not (parameters.settled or newton.stagnates):
            if parameters.moved:
                newton.recent = newton.recent[-1:]  # the numbers have changed the solution
            return Step(solved.loss, words=f"{words}, {parameters.words}")
        part, ratio = 0.1, self.error.ratio or self.error.usual  # part: left to Newton's steps
        enough = max(1e-13, part * ratio * float(solved.indicators.norm()))
        if min(newton.change, newton.left) <= enough or system.is_linear(found):
            return self._assessed(solved)
        words = f"{words}, change by Newton's method {newton.change:.1e}"
        if newton.stagnates:
            self.error.forget()
            return self._marked(replace(solved, words=words), solved.indicators)
        return Step(solved.loss, words=words)

    def _system(self) -> tuple[CellSystem, CellField]:
        """The least-squares problem and the present solution.

        Before the first solve, cells in boundary layers and cells with many waves are refined.
        """
        while True:
            before = self._field()
            system = self.problem.on(
                self._geometry(), before.polynomials, before.coefficients, numbers=before.numbers
            )
            if self.newton.steps:
                return system, before
            part, steep = 4, cells_in_layers(system) | cells_with_waves(system)
            chosen = self.problem.singularities.coordinates(system.geometry, steep)
            chosen = chosen & steep.any(dim=1, keepdim=True)
            after = system.geometry.tree.count_when_split(chosen)
            if after == len(steep) or part * after > self.settings.cells:
                return system, before  # the rest is left to the indicator
            self._refine(chosen)

    def _solved(self, system: CellSystem) -> tuple[CellField, Tensor]:
        """The solution of the least-squares problem, which the network gets, and its shares.

        Raises:
            InputError: if the cells that the solve begins with are too many.
        """
        network, geometry, settings = self.network, system.geometry, self.settings
        if not self.newton.steps:
            kept = int(settings.corrects)
            if why := too_many(system, network.count, settings.cells, kept=kept):
                raise InputError(f"{network.count} cells of degree {network.degree} {why}")
        if self.parameters is None:
            solutions = system.solve(near=self._field(), accuracy=settings.accuracy)
            found, shares = solutions.first, solutions.shares[:, 0]
        else:
            least = 1e-12  # also for derivatives by the numbers
            present = self._field().coefficients
            found, shares = self.parameters.solved(system, present, min(least, settings.accuracy))
        network.layer.reset(geometry.tree, geometry.frames, found.coefficients)
        take_shared_numbers(network, found.numbers)
        if system.free_fields or self.means:
            set_constants(system, self.residuals.surrogate, self.means, found.numbers)
            found = replace(found, coefficients=self._field().coefficients)
        return found, shares

    def _better(self, solved: SolvedTree) -> BetterSolution:
        """A better solution on the same tree, with which the present one is compared."""
        better = better_solution(self.problem, solved, self.settings.accuracy)
        if self.parameters is not None:
            self.parameters.measure_errors(better.system, better.solution.coefficients)
        return better

    def _assessed(self, solved: SolvedTree) -> Step:
        """Estimate the error of the solution on a tree, and mark cells if it is too large."""
        settings, progress, errors = self.settings, self.error, solved.indicators
        before, system, found = progress.estimate, solved.system, solved.solution
        coefficients, numbers = self.origin
        origin = replace(found, coefficients=coefficients, numbers=numbers)
        change = system.norms.total(found.minus(origin)) / solved.size
        progress.extrapolate(float(errors.norm()), change, solved.left_out)
        chosen = to_refine(self.problem, solved, errors, settings.marking)
        last = progress.compared or self._why_no_smaller(solved, errors, chosen)
        if progress.expected <= settings.tolerance or last:
            uncompared = no_comparison(system, again=settings.corrects)
            uncompared = uncompared or self.pace.too_late(system, self.seconds_left)
            if uncompared:
                return self._marked(solved, errors, uncompared=uncompared)
            with self.pace.comparing():
                enough, better = settings.tolerance * solved.size, self._better(solved)
                given = self.problem, solved, better, enough, settings.accuracy
                errors = errors_by_comparison(*given) / solved.size
            progress.compare(float(errors.norm()))
            unseen = errors_by_missed_residuals(solved) / solved.size
            if float(unseen.norm()) > settings.tolerance:
                errors = errors + unseen
                progress.estimate = float(errors.norm())
        finished = status_of_error(progress.estimate, before, settings.tolerance)
        return self._marked(solved, errors, finished)

    def _marked(
        self, solved: SolvedTree, errors: Tensor, finished: str = "", uncompared: str = ""
    ) -> Step:
        """Choose the cells to refine before the next step, unless the solve has finished.

        Args:
            solved: the present solution.
            errors: of it in each cell, (N,).
            finished: the status if the solve has finished; "" if not.
            uncompared: why the solution cannot be compared with a better one; "" if it can.
        """
        settings, estimate, words = self.settings, self.error.estimate, solved.words
        part = part_to_refine(settings.tolerance, self.error.expected, settings.marking)
        most = self.pace.cells_within(self.seconds_left)
        self.chosen = to_refine(self.problem, solved, errors, part, most)
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
        if finished and self.parameters is not None:
            again = settings.corrects
            if self.newton.stagnates and not no_comparison(solved.system, again=again):
                self._better(solved)  # the solution has not been compared with it before
            finished = self.parameters.verdict(finished)
        return Step(solved.loss, finished=finished or None, notes=notes, words=words)

    def _why_no_smaller(self, solved: SolvedTree, errors: Tensor, chosen: Tensor) -> str:
        """Why cells cannot be refined, in words; empty if they can.

        Args:
            solved: the present solution.
            errors: in each cell, (N,).
            chosen: the coordinates in which cells are to be refined, a mask (N, d).
        """
        divisible = self.problem.singularities.divisible(solved.system.geometry)
        if float(errors[~divisible].norm()) > float(errors[divisible].norm()):
            return "cells at a singular corner are as small as rounding permits"
        kept = int(self.settings.corrects)
        return why_too_many(solved.system, chosen, self.settings.cells, kept=kept)


@dataclass(frozen=True)
class AdaptiveLeastSquares(Optimizer):
    """Solve for a network in cells by least squares, and halve the cells with the largest errors.

    Each step is one least-squares solve. A tree takes one step for a linear equation, and several,
    those of Newton's method, for a nonlinear one. The coefficients of each cell are eliminated
    first, then the traces on faces in the order of a nested dissection; for many cells conjugate
    gradients find the traces. For tolerances below 1e-10 the same factors also correct the solution
    for rounding, which takes twice the memory. After the last step on a tree the fewest cells are
    halved that have the part `marking` of the sum of squared indicators. Where the error is less
    than 100 times the tolerance, those are halved for which the tolerance has no room. A cell's
    indicator is the size of an error whose residual is the root of the cell's share of the
    functional: h² times this root for -Δu. They are halved in those coordinates in which the
    highest degrees carry the error. The ratio of errors to indicators follows from the change of
    the solution from one tree to the next. Before the solve ends, the solution is compared with one
    of a degree that is higher by 2, in smaller cells at singular corners and with more accurate
    integrals of a singular source, and its residuals are integrated at other points.

    Unknown numbers are found from data by steps of the Levenberg–Marquardt method. At each step the
    fields are the solution for the present numbers, and other right-hand sides give the derivatives
    of the fields by the numbers. So the tolerance is that of the fields for given numbers.

    Args:
        tolerance: the relative error, in L2, at which to stop.
        cells: the largest number of cells.
        marking: the part of the squared error that the cells to be halved have, up to 1, while the
            error is more than 100 times the tolerance.
        steps: the largest number of solves.

    Raises:
        InputError: for values out of range; in a solve, for another kind of network, or what cells
            cannot solve.

    Reference: Dörfler, A convergent adaptive algorithm for Poisson's equation (1996).

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(0, 1), y=(0, 1)), exact="exp(-20*(x - y)**2)")
        >>> method = kp.AdaptiveLeastSquares(tolerance=1e-4)
        >>> solution = kp.solve(problem, kp.Cells([2, 1], degree=10, cells=2), method)
        >>> solution.status, solution.errors.l2_relative < 1e-4
        ('converged', True)
    """

    tolerance: float = 1e-8
    cells: int = 20_000
    marking: float = 0.99
    steps: int = 100
    needs_fixed_points = True
    lowers_loss = False
    fits_points = False

    def __post_init__(self) -> None:
        number("tolerance", self.tolerance, above=True)
        integer("cells", self.cells)
        integer("steps", self.steps)
        number("marking", self.marking, above=True)
        if self.marking > 1:
            raise InputError(f"marking must be at most 1, got {self.marking}")

    @property
    def accuracy(self) -> float:
        """The relative accuracy of each least-squares problem: far below the tolerance.

        It is that in the root of the functional. In L2 the relative errors of conjugate gradients
        were 4 times as large for Poisson's equation, and 200 times for elasticity.
        """
        part = 1e-5
        return part * self.tolerance

    @property
    def corrects(self) -> bool:
        """Whether solutions of least-squares problems are corrected, for which factors are kept."""
        return self.accuracy < CellSystem.by_one_solve

    def check(self, network: Network) -> None:
        dtype = require_cells(network).layer.coefficients.dtype
        if dtype != torch.float64:
            raise InputError(
                f"dtype must be float64 for a network in cells, got {dtype}: rounded coefficients "
                "would not have the accuracy that is estimated"
            )

    def finer(self) -> "AdaptiveLeastSquares":
        """A single solve on the cells that a network of a higher degree has from the beginning."""
        return replace(self, steps=1)

    def start(self, residuals: Residuals, seed: int) -> AdaptiveLeastSquaresStage:
        return AdaptiveLeastSquaresStage(self, residuals, seed)
