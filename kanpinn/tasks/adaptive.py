"""The adaptive loop of all tasks in cells, and adaptive least squares for steady problems.

The loop is: solve, estimate the error, refine the marked cells, until the error is small enough.
"""

import math
import time
import warnings
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor

from kanpinn._support.breakdowns import LINALG_ERRORS
from kanpinn._support.errors import (
    CONVERGED,
    UNCOMPARED,
    UNDETERMINED,
    InputError,
    integer,
    number,
)
from kanpinn.linalg.reflections import operations_per_second
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.network import Network
from kanpinn.optimizers.damping import shortened
from kanpinn.optimizers.method import Balance, Method, Stage, Step, StepCost
from kanpinn.optimizers.starts import other_starts
from kanpinn.spaces.cells import problem as cell_problem
from kanpinn.spaces.cells.cells import Cells, require_cells
from kanpinn.spaces.cells.geometry.cell_geometry import CellGeometry
from kanpinn.spaces.cells.system.cell_system import CellSystem
from kanpinn.spaces.cells.system.functions import CellFunctions
from kanpinn.spaces.cells.system.memory import no_comparison, system_bytes, too_many
from kanpinn.tasks import cell_errors
from kanpinn.tasks.adapt import (
    ROUNDED,
    ErrorProgress,
    SolvePace,
    cells_in_layers,
    cells_with_waves,
    coordinates_to_refine,
    dorfler_marking,
    part_to_refine,
    why_too_many,
)
from kanpinn.tasks.cell_parameters import ParametersInCells

S = TypeVar("S")  # the solution of a task on one tree of cells


class AdaptiveStage(Stage, Generic[S]):
    """The adaptive loop of a task in cells: refine marked cells, solve, estimate, mark, stop.

    The mesh is a tree of cells (`Tree`). The errors on a tree are first estimated by indicators,
    from residuals. If the indicators say that the tolerance is met, or if no further tree can
    follow, the solution is compared with a better solution, in general of a higher degree.
    Subclasses define the solution S of the task, how cells are refined and marked, and how a
    solution is compared.

    Args:
        network: the network, which gets the solution.
        tolerance: the relative error at which the loop ends.
        most: the largest number of cells.
        kept_systems: the number of least-squares systems whose factors stay in memory for further
            right-hand sides.

    Attributes:
        problem, geometry: the problem in cells, and the present cells.
        error: the estimated error on the last tree that was solved on.
        pace: the time of the solves.
        marked: the coordinates in which cells are refined before the next solve, a mask (N, d);
            None before the first solve on the tree, and if the degree rises.
        raised: whether the degree has risen at the end of the last step, in place of halving cells.
        unseen: the errors of the cells by what collocation points miss, see `quadrature_defects`:
            (N,), or (N, count) for eigenvalues; 0 before a comparison. The functional does not show
            these errors.
        beside: the number of systems of the present degree whose factors stay in memory during a
            comparison.
    """

    steady = False  # the solve on the last tree may take longer than all earlier steps together
    raised = False
    beside: ClassVar[int] = 0
    problem: cell_problem.CellProblem
    geometry: CellGeometry

    def __init__(self, network: Cells, tolerance: float, most: int, kept_systems: int) -> None:
        self.network, self.tolerance = network, tolerance
        self.most, self.kept_systems = most, kept_systems
        self.error, self.pace = ErrorProgress(), SolvePace()
        self.marked: Tensor | None = None
        self.unseen = torch.zeros(())

    @property
    def part(self) -> float:  # type: ignore[override]
        """The fraction of the work that is done, from 0 to 1."""
        return self.error.part(self.tolerance)

    @property
    def expected_seconds(self) -> float | None:  # type: ignore[override]
        """The expected seconds of the next solve, on the mesh after the marked cells are refined.

        If the degree rises in the next step, they are those of the next comparison with a better
        solution. None before the first solve.
        """
        tree, marked = self.network.tree, self.marked
        if self.raised:
            return self.pace.seconds * self.pace.dearer
        return self.pace.on(len(tree) if marked is None else tree.count_when_split(marked))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.geometry = self.problem.cells(self.network.tree)

    @abstractmethod
    def _refine(self, marked: Tensor) -> None:
        """Refine cells in marked coordinates; all functions in the cells stay the same.

        Args:
            marked: the coordinates of each cell in which it is halved, a mask (N, d).
        """

    @abstractmethod
    def _mark(self, solved: S, errors: Tensor) -> str:
        """Choose the cells to be refined next by the errors of the cells; store them in `marked`.

        Args:
            solved: the solution on the present tree.
            errors: the errors of the cells, (N,).

        Returns:
            The reason, in words, why no further tree can follow; "" if a tree can follow.
        """

    @abstractmethod
    def _compared(self, solved: S, errors: Tensor) -> Tensor:
        """Compare the solution with a better solution, and store the error in `error`.

        Args:
            solved: the solution on the present tree.
            errors: the errors of the cells from indicators.

        Returns:
            The errors of the cells from the comparison, (N,).
        """

    def _adopt(self, solved: S, *, rises: bool) -> float | None:
        """Replace the solution by the better solution with which it has been compared.

        The estimated error becomes that of the better solution. By default the solution stays.

        Args:
            solved: the solution on the present tree.
            rises: whether the next step goes on with the better solution.

        Returns:
            The loss of the better solution; None if the solution stays.
        """
        return None

    def _too_late(self) -> str:
        """The reason, in words, why no time is left to solve on the next tree; "" if there is."""
        assert self.marked is not None
        count = self.network.tree.count_when_split(self.marked)
        seconds, left = self.pace.on(count) or 0.0, max(self.seconds_left - self.pace.spent, 0.0)
        if seconds <= left:
            return ""
        return (
            f"the budget leaves no time for the next {count} cells ({left:.3g} s are left, they "
            f"take some {seconds:.2g} s)"
        )

    def _rises(self, solved: S, errors: Tensor) -> bool:
        """Return whether the degree rises in the next step, in place of halving the marked cells.

        Time and memory suffice for a comparison with the solution of the higher degree.

        Args:
            solved: the solution on the present tree.
            errors: the errors of the cells from indicators, (N,).
        """
        return False

    def _compare_roughly(self, solved: S) -> None:
        """Store an estimate of the error that takes less time than `_compared`, if there is one.

        Args:
            solved: the solution on the present tree.
        """

    @property
    def _indicated(self) -> str:
        """The error according to indicators, in words."""
        return f"indicator of {self.error.estimate:.1e} may be 50 times too small"

    def short(self) -> str:
        if self.error.is_known or math.isinf(self.error.estimate):
            return ""
        return f"before the error was estimated; its {self._indicated}"

    def _begin_step(self) -> None:
        """Refine the cells that were marked in the last step."""
        self.pace.begin()
        self.unseen = torch.zeros(())
        if self.marked is not None:
            self._refine(self.marked)

    def _check_size(self, system: CellSystem) -> None:
        """Refuse to begin with too many cells.

        Args:
            system: the least-squares problem on the first tree.

        Raises:
            InputError: if there are more cells than `most`, or more than fit into memory.
        """
        count, degree = len(system.geometry.tree), system.polynomials.degree
        if why := too_many(system, count, self.most, kept=self.kept_systems):
            raise InputError(f"{count} cells of degree {degree} {why}")

    def _assessed(
        self,
        system: CellSystem,
        solved: S,
        errors: Tensor,
        step: Step,
        *,
        last: bool = False,
        settled: bool = True,
    ) -> Step:
        """Compare the solution if necessary, mark cells, and return the result of the step.

        If `settled` is true, the solution is compared with a better solution in five cases: `last`
        is true; no further tree can follow; this is the last tree with time for a comparison; the
        expected error is within the tolerance; the degree rises in the next step. Without enough
        memory or time there is no comparison, and the result says so. If the error exceeds the
        tolerance, and no smaller cells follow, the better solution replaces the solution.

        Args:
            system: the least-squares problem on the tree.
            solved: the solution of this problem.
            errors: the errors of the cells from indicators, (N,); the attribute `error` has been
                updated by them.
            step: the result of the step so far, with the loss and words on the solution. It is
                completed and returned.
            last: whether to compare the solution even if the indicators exceed the tolerance.
            settled: whether Newton's method has converged; otherwise there is no comparison.
        """
        progress, uncompared, finished = self.error, "", ""
        stopped = self._mark(solved, errors)
        # Without any comparison the estimate may be far too low where the limit is wrong.
        assert self.marked is not None
        following = self.network.tree.count_when_split(self.marked)
        early = not progress.compared and self.pace.is_last_chance(
            system, following, self.seconds_left
        )
        why = no_comparison(system, kept=self.beside, again=self.kept_systems > 0)
        why = why or self.pace.too_late(system, self.seconds_left)
        rises = settled and not (stopped or why) and self._rises(solved, errors)
        if settled and (last or stopped or early or rises or progress.expected <= self.tolerance):
            uncompared = why
            if uncompared and not progress.is_known:
                self._compare_roughly(solved)
            if not uncompared:
                with self.pace.comparing():
                    errors = self._compared(solved, errors)
                progress.compared = not (early or rises)
                if rises:
                    self.raised, self.marked = True, None
                    self.pace.rise(system.polynomials)
                else:
                    stopped = self._mark(solved, errors)
                late = "" if rises else self._too_late()
                ends = stopped or late or progress.of_better <= self.tolerance
                if progress.estimate > self.tolerance and (rises or ends):
                    degree = system.polynomials.richer.degree
                    if (loss := self._adopt(solved, rises=rises)) is not None:
                        stopped = stopped or late
                        step = replace(step, loss=loss, words=f"{step.words}, of degree {degree}")
        error, words, notes = progress.estimate, step.words, {"cells": float(self.network.count)}
        reached = "Newton's method does not converge on these"
        if uncompared:
            reached = "the error has not been estimated"
        if math.isfinite(error) and progress.is_known:
            reached = f"the estimated relative error is {error:.1e}"
            notes["estimated_error"], words = error, f"{words}, estimated error {error:.1e}"
        elif math.isfinite(error):
            reached = f"the error has not been estimated; its {self._indicated}"
            notes["indicated_error"], words = error, f"{words}, indicated error {error:.1e}"
        if settled and not uncompared:
            if error <= self.tolerance:
                finished = CONVERGED
            elif error > 0.5 * progress.before and progress.before < 1e-10:
                finished = f"{CONVERGED}: rounding leaves a relative error of {error:.1e}"
        if uncompared and (not stopped or progress.expected <= self.tolerance):
            stopped = uncompared
        if stopped and not finished:
            finished = f"stopped: {stopped}; {reached}"
        return Step(step.loss, finished=finished or None, notes=notes, words=words)


@dataclass
class NewtonProgress:
    """The sizes of the steps of Newton's method, and how fast they fall.

    Attributes:
        change: the relative change by the latest step on the present mesh; infinite before a step.
        rate: the ratio of the latest absolute change to the change before it. (Ratios of relative
            changes would not show convergence while Newton's method halves a solution that is far
            too large.) After the first step on a mesh, `rate` is the ratio that quadratic
            convergence predicts for the next step.
        curvature: the latest rate divided by the relative change before it; infinite before two
            steps.
        steps: the number of steps on all meshes.
        recent: the norms of the latest changes on the present mesh, at most `patience` + 1.

    Reference: Deuflhard, Newton Methods for Nonlinear Problems (2011), section 2.1, for the rate.
    """

    change: float = math.inf
    rate: float = 1.0
    curvature: float = math.inf
    steps: int = 0
    recent: tuple[float, ...] = ()
    patience: ClassVar[int] = 4

    def add(self, change: float, size: float = 1.0) -> None:
        """Record a step with the relative change `change` of a solution with the norm `size`."""
        if self.recent:
            self.rate = change * size / self.recent[-1] if self.recent[-1] else 0.0
            self.curvature = self.rate / self.change if self.change else 0.0
        else:
            self.rate = min(1.0, self.curvature * change) if change else 0.0
        self.change, self.steps = change, self.steps + 1
        self.recent = (*self.recent[-self.patience :], change * size)

    @property
    def left(self) -> float:
        """The sum of all further relative changes if the rate stays the same.

        It is the geometric series `change` · r / (1 - r) for a rate r < 1, otherwise infinite.
        """
        return self.change * self.rate / (1 - self.rate) if self.rate < 1 else math.inf

    @property
    def stagnates(self) -> bool:
        """True if the last steps have converged slowly, for example on a mesh far too coarse.

        Convergence counts as slow if the mean rate exceeds 0.75. Far from the solution of u³ = f
        the rate is 2/3, which is fast enough.
        """
        slow = 0.75
        enough = slow**self.patience * self.recent[0] if self.recent else math.inf
        return len(self.recent) > self.patience and self.recent[-1] > enough

    def on_new_tree(self) -> "NewtonProgress":
        """The state before the first step on another mesh."""
        return NewtonProgress(curvature=self.curvature, steps=self.steps)


def depends_on_fields(system: CellSystem) -> bool:
    """Return whether each linearised equation depends on the fields in at least one cell.

    Args:
        system: the least-squares problem with the linearised equations.
    """
    seen = [
        (term.slopes != 0).any(dim=(-1)).any(dim=-1).flatten(0, 1).any(dim=0)
        for term in system.equation
    ]
    return bool(torch.stack(seen).any(dim=0).all())


class AdaptiveLeastSquaresStage(AdaptiveStage[cell_errors.SolvedTree]):
    """The state of a least-squares solve in cells between its steps.

    The network has the tree and the solution. If there are unknown parameters, the search for them
    alternates with the solves on each tree.

    Args:
        settings: the settings of the method.
        residuals: the terms of the loss, and the solution.
        seed: the seed of random starts for unknown parameters.

    Attributes:
        newton: the changes by the steps of Newton's method.
        first: the least-squares problem of the first step, if `planned` has made it; else None.
        origin: the solution on the last tree, written on the present tree: the coefficients in N
            cells of L polynomials for m fields, (N, L, m), and the coefficients of shared functions
            (see `CellFunctions`).
        parameters: the unknown parameters with the search for them; None if there are none.
        undetermined: the last result of `cell_errors.undetermined_error`.
        better: the better solution of the last comparison; None before the first comparison, after
            a resume, and if the degree has risen and the solution has to be solved for again.
        linear: whether the problem was linear in the last step.
        last_comparison: the error that the last comparison with a better solution has shown, and
            the least-squares functional of the present solution then; zeros before it.
    """

    undetermined = 0.0
    last_comparison = 0.0, 0.0
    first: CellSystem | None = None
    better: cell_errors.SolvedTree | None = None
    linear = False
    kept = (
        *("error", "newton", "pace", "origin", "marked", "raised", "parameters", "balance"),
        "last_comparison",
    )
    origin: tuple[Tensor, Sequence[Tensor]]

    def __init__(self, settings: "AdaptiveLeastSquares", residuals: Residuals, seed: int) -> None:
        network = require_cells(residuals.surrogate.network)
        super().__init__(network, settings.tolerance, settings.cells, int(settings.corrects))
        self.settings, self.residuals = settings, residuals
        self.given = [*filter(cell_problem.is_number, residuals.terms)]
        self.parameters: ParametersInCells | None = None
        if network.constants is None and network.coefficient is None:
            network.forget_numbers()  # which may be there from another problem
        else:  # measurements are for the unknown parameters
            self.given = [term for term in self.given if not term.measured]
        self.newton = NewtonProgress()
        self.stated = cell_problem.problem_in_cells(residuals)  # it caches what boxes cut
        self._place()
        if network.constants is not None or network.coefficient is not None:
            self.parameters = ParametersInCells(residuals, self.problem, seed)

    def _place(self) -> None:
        """Start from the cells of the network, and from the solution that it may have."""
        surrogate = self.residuals.surrogate
        self.problem = cell_problem.with_shared_functions(self.stated, surrogate)
        # The network may come with a solution in cut cells, whose frames are smaller than cells.
        whole = CellGeometry.whole(self.network.tree, self.problem.domain)
        self.geometry = replace(whole, frames=self.network.layer.frames.double().cpu())
        self._take(self.problem.start(self.network.tree))

    def planned(self) -> StepCost:
        """Choose the cells and the degree of the first solve, and return its expected cost.

        If the degree may rise, and the network has no solution yet, the choice begins with the
        result of `_promising`. The solve and the comparison with a better solution should fit into
        `seconds_left`. If they do not, and the network has no solution yet, the number of cells
        along each coordinate is halved again and again. Once there is a single cell, or if
        boundaries or steep solutions need all cells, the degree is lowered in place of this. If no
        choice leaves time for the comparison, the first choice is taken whose solve alone fits into
        a third of the time, since forecasts may be too low; if there is none, the last choice.
        """
        network, degree = self.network, self.network.degree
        known = bool(network.layer.coefficients.any()) or self.parameters is not None
        alone: tuple[tuple[int, ...], int] | None = None
        roots, least, begun = network.tree.roots, 5, time.perf_counter()  # cut cells need degree 5
        raised = False
        rises = self.settings.highest is not None and math.isfinite(self.seconds_left)
        if rises and not known and self._assembly(degree) <= self.seconds_left / 8:
            roots, promising = self._promising(degree)
            raised, degree = promising > degree, promising
            if (roots, degree) != (network.tree.roots, network.degree):
                self._restart(roots, degree)
        while True:
            left = self.seconds_left - (time.perf_counter() - begun)
            fewer = self._fewer(roots)
            last = known or fewer == roots or len(self.geometry.tree) > 2 * math.prod(roots)
            if not known and self._assembly(degree) > left / 8 and not (last and degree <= least):
                if last:
                    fits = (
                        k for k in range(degree - 1, least, -1) if self._assembly(k) <= left / 8
                    )
                    degree = next(fits, least)
                roots = roots if last else fewer
                self._restart(roots, degree)
                continue
            system = self.first or self._first_system()
            last |= raised or len(system.geometry.tree) > 2 * math.prod(roots)
            lowest = degree
            if last and not (known or raised):
                lowest = min(degree, max(least, *system.traces.orders))
            finer = self.problem.deeper(system.geometry)
            for lower in range(degree, lowest - 1, -1):
                solve, compare = self.pace.forecast(system, finer, lower)
                if solve <= left / 3 and alone is None:
                    alone = roots, lower
                if within := solve + compare <= left:
                    break
            if within or last:
                break
            roots = fewer
            self._restart(roots, degree)
        forecast: int | None = lower
        if not (within or known):
            roots, lower = alone or (roots, lower)
        if (roots, lower) != (network.tree.roots, network.degree):
            same, forecast = roots == network.tree.roots, None
            self._restart(roots, lower)
            system = self._first_system()
            finer = finer if same else self.problem.deeper(system.geometry)
        if forecast != lower:
            solve, compare = self.pace.forecast(system, finer, lower)
        memory = system_bytes(system, len(system.geometry.tree), again=self.settings.corrects)
        return StepCost(solve + compare if within else solve, memory)

    def _fewer(self, roots: tuple[int, ...]) -> tuple[int, ...]:
        """Halve the numbers of cells along each coordinate, if that is possible."""
        around = self.network.tree.around
        return tuple(max(n // 2, 1 + (axis in around)) for axis, n in enumerate(roots))

    def _promising(self, degree: int) -> tuple[tuple[int, ...], int]:
        """Choose the cells and the degree of the first solve by the degree that is reached in time.

        The choice is among the numbers of cells along each coordinate of the network, and these
        numbers halved again and again, until the boundary needs more cells. The degree rises by 2
        from solve to solve, up to the degree k at which the budget is spent. For n cells along each
        coordinate the error of a smooth solution is expected to be (4 / (n (k + 1)))^(k + 1); in
        solves for three solutions in a cube the number in place of 4 was 3 to 10. The choice with
        the smallest error is taken. If no choice leaves time for two degrees, the first solve has
        the highest degree that leaves time for a solve of a degree lower by 2 as well, from which
        its error is estimated.

        Args:
            degree: the lowest degree.

        Returns:
            The numbers of cells along each coordinate, and the degree. They are those of the
            network if boundary layers or waves need smaller cells.
        """
        network, highest, margin, usual = self.network, self.settings.highest or degree, 1.25, 4.0
        begun, choices = time.perf_counter(), [(roots := network.tree.roots, self.geometry)]
        while (fewer := self._fewer(roots)) != roots:
            cells = self.problem.start(network.whole_boxes(fewer))
            if len(cells.tree) > 2 * math.prod(fewer):
                break
            choices.append((roots := fewer, cells))
        if len(choices) > 1:
            self._restart(roots, degree)
        count, system = len(self.geometry.tree), self._first_system()
        if len(system.geometry.tree) > count:
            return choices[0][0], degree
        solve, best = self.pace.forecasts(system), (0, -math.inf, choices[0][0], degree)
        left = (self.seconds_left - (time.perf_counter() - begun)) / margin  # they may be too low
        for roots, cells in choices:
            first, reached, spent, rank = degree, float(degree), solve(degree, cells), 0
            while reached < highest:
                more = spent + solve(round(reached) + 2, cells)
                if more > left:
                    break
                reached, spent, rank = reached + 2, more, 2
            if rank and reached < highest:
                reached += 2 * math.log(left / spent) / math.log(more / spent)
            for alone in range(highest, degree - 1, -1):
                if not rank and solve(alone, cells) + solve(alone - 2, cells) <= left:
                    first, reached, rank = alone, float(alone), 1
            along = len(cells.tree) ** (1 / cells.tree.dim)
            digits = (reached + 1) * math.log10(along * (reached + 1) / usual)
            best = max(best, (rank, digits if rank else -spent, roots, first))
        return best[2:]

    def _assembly(self, degree: int) -> float:
        """The expected seconds in which the least-squares problem is linearised.

        They are those of 300 operations (measured) for each point, polynomial and field.

        Args:
            degree: the degree of the polynomials.
        """
        count, dim, each = len(self.geometry.tree), self.network.tree.dim, 300
        size = math.comb(degree + dim, dim) * (degree + 3) ** dim
        return each * count * size * self.network.own_fields / operations_per_second()

    def _first_system(self) -> CellSystem:
        """The least-squares problem of the first step, which `step` takes over."""
        self.pace.begin()
        self.first = self._system()
        return self.first

    def _forecast(self, system: CellSystem, degree: int) -> tuple[float, float]:
        """The expected seconds of the first solve, and of its comparison with a better solution.

        Args:
            system: the least-squares problem on the present cells.
            degree: the degree of the solve.
        """
        return self.pace.forecast(system, self.problem.deeper(system.geometry), degree)

    def _restart(self, roots: Sequence[int], degree: int) -> None:
        """Start from zero in other cells, of another degree.

        Args:
            roots: the numbers of cells along each coordinate.
            degree: the degree.
        """
        self.network.restart(roots, degree)
        self.first = None
        self._place()

    def _field(self) -> CellFunctions:
        """The present solution."""
        network = self.network
        present = network.layer.coefficients.detach().double().cpu()
        polynomials, numbers = network.polynomials, network.shared_numbers
        return CellFunctions(self.geometry, polynomials, present, numbers, self.problem.shared)

    def _take(self, geometry: CellGeometry) -> None:
        """Replace the cells by `geometry`; the solution stays the same function."""
        field, same = self._field(), torch.equal(geometry.frames, self.geometry.frames)
        # A projection onto the same cells would cause rounding errors, so that a resumed solve
        # would differ from one that was not interrupted.
        field = replace(field, geometry=geometry) if same else field.on(geometry)
        self.network.assign(field)
        self.geometry = geometry
        self.origin = field.coefficients, field.numbers

    def _refine(self, marked: Tensor) -> None:
        self._take(self.problem.refined(self.geometry, marked, self.error.left(self.tolerance)))
        self.newton, self.marked = self.newton.on_new_tree(), None
        if self.parameters is not None:
            self.parameters.on_new_tree()

    def _adopt(self, solved: cell_errors.SolvedTree, *, rises: bool) -> float | None:
        better, compared = self.better, self.network.better
        if self.parameters is not None or better is None or compared is None:
            return None
        self.geometry = geometry = better.system.geometry
        better = replace(better, solution=self._assigned(better.system, better.solution))
        other = cell_errors.with_means_of(better, solved).on(geometry).richer
        factor = compared[1] * self.error.of_better / self.error.estimate
        self.network.compare_with(other, factor)
        self.error.estimate = self.error.of_better
        if rises:
            self.origin, self.newton = (
                (other.coefficients, other.numbers),
                self.newton.on_new_tree(),
            )
            # A further solve would give the same solution if the problem is linear, and if the
            # comparison has the weights and sources of an ordinary solve.
            self.better = better if self.linear and better.system.is_plain else None
        return float(better.unweighted.sum())

    def step(self) -> Step:
        if self.first is None:
            self._begin_step()
        known, self.raised = self.better if self.raised else None, False
        if known is None:
            system, self.first = self.first or self._system(), None
            solved = self._solved(system)
            self.pace.see(len(system.geometry.tree), self.pace.spent)
        else:
            solved, system = known, known.system
        field = solved.solution
        words = f"{self.network.count} cells, {field.coefficients.numel()} unknowns"
        newton, parameters, size = self.newton, self.parameters, solved.size
        loss = float(solved.unweighted.sum())
        newton.add(system.norms.total(field.minus(system.about)) / size, size)
        # part: the fraction of the error that Newton's method may leave.
        part, ratio = 0.1, self.error.ratio or self.error.usual
        enough = max(1e-13, part * ratio * float(solved.indicators.norm()))
        self.linear = known is not None or system.is_linear(field)
        settled = self.linear or min(newton.change, newton.left) <= enough
        if not settled:
            self._shorten(solved)
        if parameters is not None and not (parameters.settled or newton.stagnates):
            if parameters.moved:
                newton.recent = newton.recent[-1:]  # changes by other parameters do not count
            return Step(loss, words=f"{words}, {parameters.words}")
        if settled:
            origin = replace(field, coefficients=self.origin[0], numbers=self.origin[1])
            change = system.norms.total(field.minus(origin)) / size
            self.error.extrapolate(float(solved.indicators.norm()), change, solved.left_out)
            if known is not None:
                self.error.estimate = self.error.of_better
        else:
            words = f"{words}, change by Newton's method {newton.change:.1e}"
            if not newton.stagnates:
                return Step(loss, words=words)
            self.error.forget()
        last, step = self.error.compared, Step(loss, words=words)
        step = self._assessed(system, solved, solved.indicators, step, last=last, settled=settled)
        if step.finished and parameters is not None:
            if newton.stagnates and not no_comparison(system, again=self.kept_systems > 0):
                # The comparison is only needed for the errors of the parameters.
                self._better(solved)
            step = replace(step, finished=parameters.verdict(step.finished))
        return step

    def _system(self) -> CellSystem:
        """The least-squares problem for the next solve, linearised at the present solution.

        Before the first solve, cells in boundary layers and cells with many waves are refined again
        and again: until there are none, or until the next refinement would give more than a quarter
        of the largest number of cells, or leave no time for the solve.
        """
        while True:
            system = self._linearised()
            if self.newton.steps:
                return system
            part, steep = 4, cells_in_layers(system) | cells_with_waves(system)
            chosen = self.problem.singularities.coordinates(system.geometry, steep)
            chosen = chosen & steep.any(dim=1, keepdim=True)
            after = system.geometry.tree.count_when_split(chosen)
            if after == len(steep) or part * after > self.settings.cells:
                return system  # from here on indicators choose the cells
            if math.isfinite(self.seconds_left):
                self._forecast(system, system.polynomials.degree)
                if (self.pace.on(after) or 0.0) > self.seconds_left:
                    return system
            self._refine(chosen)

    def _linearised(self) -> CellSystem:
        """The least-squares problem on the present cells, linearised at the present solution.

        Before the first step the solution is zero. If the equation is not finite at zero, or its
        linearisation at zero does not depend on the fields, other functions replace zero.

        Raises:
            LinAlgError: if the equation is not finite at any of these functions.
        """
        field = self._field()
        try:
            system = self.problem.linearised(field)
        except LINALG_ERRORS:
            if self.newton.steps or (started := self._started_elsewhere(field)) is None:
                raise
            return started
        if self.newton.steps or depends_on_fields(system):
            return system
        return self._started_elsewhere(field) or system

    def _started_elsewhere(self, zero: CellFunctions) -> CellSystem | None:
        """The least-squares problem, linearised at a function other than zero.

        The functions of `other_starts` are tried in order. The first function at which the equation
        is finite, and its linearisation depends on the fields, is stored in the network.

        Args:
            zero: the zero function on the present cells.

        Returns:
            The problem, linearised at this function; None if no function is suitable.
        """
        for start in other_starts(zero.polynomials.dim, zero.coefficients.shape[2]):
            field = zero.nearest_to(start)
            with suppress(*LINALG_ERRORS):
                system = self.problem.linearised(field)
                if depends_on_fields(system):
                    self.network.assign(field)
                    self.origin = field.coefficients, field.numbers
                    return system
        return None

    def _solved(self, system: CellSystem) -> cell_errors.SolvedTree:
        """Solve the least-squares problem, and store the solution in the network.

        If there are unknown parameters, a step of the search for them is made as well. Fields that
        are determined only up to a constant get the constants of `set_constants`.

        Args:
            system: the least-squares problem, linearised at the present solution.

        Returns:
            The solution, and the contribution of each cell to the least-squares functional.

        Raises:
            InputError: if there are too many cells before the first solve.
        """
        settings = self.settings
        if not self.newton.steps:
            self._check_size(system)
        if self.parameters is None:
            solutions = system.solve(near=system.about, accuracy=settings.accuracy)
            field, shares = solutions.first, solutions.shares[:, 0]
        else:
            least = 1e-12  # the derivatives by the parameters need this accuracy
            field, shares = self.parameters.solved(system, min(least, settings.accuracy))
        return cell_errors.SolvedTree(system, self._assigned(system, field), shares)

    def _assigned(self, system: CellSystem, field: CellFunctions) -> CellFunctions:
        """Store functions in the network, and return them with the constants by `set_constants`.

        Args:
            system: the least-squares problem that the functions solve.
            field: the functions.
        """
        self.network.assign(field)
        if not (system.free_fields or self.given):
            return field
        cell_problem.set_constants(system, self.residuals.surrogate, self.given, field.numbers)
        return replace(field, coefficients=self._field().coefficients)

    def _shorten(self, solved: cell_errors.SolvedTree) -> None:
        """Shorten a Newton step that has made the least-squares functional ten times larger.

        The functional is infinite where the equation is not finite, such as log u at u < 0. If a
        step of less than 1/64 would be left, the full step is taken: near a local minimum of the
        functional, steps would become shorter and shorter. But the full step is not taken if after
        it the equation is not finite, or so large that its rounding errors exceed the residual
        before the step. With the rule of output layers (see `falls_short`), the flow behind a step
        at Re = 800 still changed by 19 % in step 31; with the present rule its error was 2e-3 in
        step 29. While unknown parameters change as well, functionals before and after the step
        cannot be compared, and every step after which the equation is finite is taken in full.

        Args:
            solved: the solution after the full step.
        """
        growth, least, system, full = 10.0, 2.0**-6, solved.system, solved.solution
        before, reached = math.inf, system.misfit(full)
        if self.parameters is None:
            before = max(system.misfit(system.about), float(solved.shares.sum()))
        if math.isfinite(reached) and reached <= growth * before:
            return

        def after(share: float) -> CellFunctions:
            """The functions after a share of the full step."""
            return system.about.towards(full, share)

        share, _ = shortened(lambda share: system.misfit(after(share)), before)
        useful = reached * torch.finfo(torch.float64).eps ** 2 <= before  # both are squares
        if share >= least or (share and not useful):
            self.network.assign(after(share))

    def _better(self, solved: cell_errors.SolvedTree) -> cell_errors.SolvedTree:
        """Solve for a better solution, see `cell_errors.better_solution`, and return it.

        If there are unknown parameters, their errors are measured with the better solution.

        Args:
            solved: the present solution.
        """
        better = cell_errors.better_solution(self.problem, solved, self.settings.accuracy)
        if self.parameters is not None:
            self.parameters.measure_errors(better.system, better.solution.coefficients)
        return better

    def _poorer(self, field: CellFunctions) -> cell_errors.SolvedTree | None:
        """A solution of a degree lower by 2, linearised about a solution of the present degree.

        Args:
            field: the solution of the present degree.

        Returns:
            The solution; None if the degree would be zero or negative.
        """
        own, least = field.polynomials, 3
        if own.degree < least:
            return None
        lower = replace(own, degree=own.degree - 2)
        low = replace(field, polynomials=lower, coefficients=field.coefficients[:, : lower.size])
        return cell_errors.solved_near(low, self.problem, self.settings.accuracy)

    def _compare_roughly(self, solved: cell_errors.SolvedTree) -> None:
        """Estimate the error by the distance of the solution from one of a lower degree.

        Let the error be ρ times the error of the other solution. Then it is at most ρ / (1 - ρ)
        times the distance. If the degree is raised by 2, errors fall at least by a third, also at
        singular corners and edges, so that the factor is at most 2. For linear problems ρ is the
        result of `left_by`. Without the time for the other solution the error stays unknown.

        Args:
            solved: the solution on the present tree.
        """
        most, own = 2 / 3, solved.system.polynomials
        share = (own.count(own.degree - 2) / own.size) ** 2
        late = self.pace.spent + share * self.pace.seconds > self.seconds_left + 1
        if late or self.parameters is not None or (poorer := self._poorer(solved.solution)) is None:
            return
        other = cell_errors.with_means_of(solved, poorer)
        part = min(most, cell_errors.left_by(poorer, solved) if self.linear else most)
        factor = part / (1 - part)
        padded = replace(other, polynomials=own, coefficients=own.padded(other.coefficients))
        error = factor * solved.system.norms.total(solved.solution.minus(padded)) / solved.size
        if not self.linear:
            before, residual = self.last_comparison
            now = float(solved.unweighted.sum())
            error = max(error, before * math.sqrt(min(1.0, now / residual)) if residual else 0.0)
        self.error.compare(error)
        self.network.compare_with(other, factor)

    def compare_with_poorer(self, seconds: float) -> str:
        """Compare the solution with one of a degree lower by 2 if a better one would be too dear.

        The poorer solution is made first, to forecast the time of a comparison with a better
        solution. That comparison solves with the present degree and with a degree higher by 2, and
        each time is proportional to the square of the number of polynomials. If the better solution
        is not too dear, the poorer solution is not used. The poorer solution is linearised about
        the present solution, with the weights of a witness (see `SingularCorners.weights`).

        Args:
            seconds: the seconds that a comparison with a better solution may take.

        Returns:
            The reason why the solution was compared with the poorer one; "" if it was not.
        """
        field, begun = self._field(), time.perf_counter()
        own = field.polynomials
        if math.isinf(seconds) or (poorer := self._poorer(field)) is None:
            return ""
        lower, more = poorer.system.polynomials, own.richer.degree - own.degree + 2
        spent = time.perf_counter() - begun
        expected = spent * sum((one.size / lower.size) ** 2 for one in (own, own.richer))
        why = no_comparison(poorer.system, more=more, free=True)
        if not why and spent + expected > seconds:
            why = (
                f"{UNCOMPARED} {own.richer.degree} would take some {expected:.2g} s, more than the "
                f"{seconds:.2g} s of the solve"
            )
        if why:
            present = replace(poorer, solution=field)
            self.network.compare_with(cell_errors.with_means_of(present, poorer), 1.0)
        return why

    def _compared(self, solved: cell_errors.SolvedTree, errors: Tensor) -> Tensor:
        enough, better = self.tolerance * solved.size, self._better(solved)
        given = self.problem, solved, better, enough, self.settings.accuracy
        errors, factor = cell_errors.errors_by_comparison(*given)
        made = self.network.compare_with(cell_errors.with_means_of(solved, better), factor)
        self.better = better
        errors = (errors + self._error_of_constants(solved, better, made)) / solved.size
        self.error.compare(shown := float(errors.norm()))
        if self.parameters is None:
            self.balance = self._balanced(better)
        left = shown * (cell_errors.left_by(solved, better) if self.linear else 1.0)
        if self.problem.domain.time_name is None:
            self.undetermined = cell_errors.undetermined_error(solved, better)
            if self.undetermined > shown:
                square = errors.new_tensor(self.undetermined**2)
                squares = cell_errors.distributed(square, solved.indicators.square())
                errors = errors + squares.sqrt()
        self.unseen = cell_errors.errors_by_quadrature(solved) / solved.size
        errors, unseen = errors + self.unseen, float(self.unseen.norm())
        estimates = [max(error, self.undetermined) + unseen for error in (shown, left)]
        if not self.balance.is_small:
            least = min(1.0, self.balance.value)
            estimates = [max(e, least) if e > self.tolerance else e for e in estimates]
        self.error.estimate, self.error.of_better = estimates
        self.last_comparison = estimates[0], float(solved.unweighted.sum())
        return errors

    def _error_of_constants(
        self, solved: cell_errors.SolvedTree, better: cell_errors.SolvedTree, made: Cells
    ) -> Tensor | float:
        """Return the errors of the constants that values at single points fix, (N,).

        Constants are added to the fields of a network with the better solution, which have the
        means of the present solution, until they have the given values at the points. These
        constants are the errors.

        Args:
            solved: the solution on the present tree.
            better: the better solution.
            made: the network.

        Returns:
            The L2 norm of the errors over each of N cells; 0.0 if no value at a point is given.
        """
        if not any(term.measured for term in self.given):
            return 0.0
        first = made.layer.coefficients.detach()[:, 0]  # a view, which `set_constants` changes
        before = first[0].clone()
        surrogate = self.residuals.surrogate.with_network(made)
        numbers = better.solution.numbers
        cell_problem.set_constants(better.system, surrogate, self.given, numbers)
        shift = torch.zeros_like(solved.solution.coefficients)
        shift[:, 0] = (first[0] - before).to(shift)
        return solved.system.norms.of_cells(solved.solution.of(shift))

    def _balanced(self, better: cell_errors.SolvedTree) -> Balance:
        """Return whether a solution balances the terms of the equation in its cells.

        The better solution is examined in place of the present one. A wrong limit of least squares
        shows in both, but integrals that vanish with the size of the cells and for higher degrees
        are several times smaller in the better solution. In about 190 solves that had converged,
        `value` was up to 0.8 times the limit, and in half of them below 0.01 times. It was above
        the limit in a right solution beside an interface with corners. In solves whose weights and
        singular functions at corners were switched off, it was 0.02 to 2.9 times the error.

        Args:
            better: the better solution.
        """
        effects = self.problem.singularities.effects(better.system.geometry)
        value, middle = cell_errors.imbalance(better.system, better.solution, effects)
        where = dict(zip(self.problem.domain.names, middle.tolist(), strict=True))
        return Balance(value, 0.3 * self.tolerance**0.75, where)

    def _rises(self, solved: cell_errors.SolvedTree, errors: Tensor) -> bool:
        """Return whether a degree higher by 2 promises more digits for its time than smaller cells.

        A degree higher by 2 is expected to multiply the error by the ratio of the terms of the two
        highest degrees to those of the two degrees before, see `cell_errors.SolvedTree.decay`.
        Halving the marked cells of degree k is expected to multiply their errors by 2^-(k + 1), and
        leaves the errors of all other cells. If the error is multiplied by e and the time of a
        solve by t, the promise is log(1/e) / log t.
        """
        system, degree, tree = solved.system, solved.system.polynomials.degree, self.network.tree
        if self.parameters is not None or degree + 2 > (self.settings.highest or 0):
            return False
        assert self.marked is not None
        share = errors[self.marked.any(dim=1)].norm().square() / errors.norm().square()
        left = 1 - float(share) * (1 - 0.25 ** (degree + 1))
        growth = tree.count_when_split(self.marked) / len(tree)
        halved = -0.5 * math.log(left) / (self.pace.power * math.log(growth))
        raised = -math.log(solved.decay) / math.log(max(2.0, self.pace.cost_of_better(system)))
        return raised > halved

    def _mark(self, solved: cell_errors.SolvedTree, errors: Tensor) -> str:
        """Mark the cells with the largest errors for refinement, or fewer if time is short.

        The marked cells account for a fraction of the squared errors that follows from
        `part_to_refine`. If there is not enough time for all the cells of the next tree, the
        fraction is reduced, at most to a third. If even this third gives too many cells, the full
        fraction is marked. Arguments and result are those of `AdaptiveStage._mark`.
        """
        part = part_to_refine(self.tolerance, self.error.expected, self.settings.marking)
        most = self.pace.cells_within(self.seconds_left)
        geometry, singular = solved.system.geometry, self.problem.singularities
        steep = coordinates_to_refine(solved.system.polynomials, solved.solution.coefficients)
        steep = singular.coordinates(geometry, steep)
        above = solved.is_above_rounding | (self.unseen > solved.indicators)
        divisible = singular.divisible(geometry) & above
        shares = (1.0, 0.9, 0.8, 0.65, 0.5, 0.35) if math.isfinite(most) else (1.0,)
        masks = [dorfler_marking(errors * divisible, s * part)[:, None] & steep for s in shares]
        few = (one for one in masks if geometry.tree.count_when_split(one) <= most)
        self.marked = next(few, masks[0])
        if float(errors[~divisible].norm()) > float(errors[divisible].norm()):
            return UNDETERMINED if self.undetermined > self.tolerance else ROUNDED
        return why_too_many(solved.system, self.marked, self.most, kept=self.kept_systems)


@dataclass(frozen=True)
class AdaptiveLeastSquares(Method):
    """Solve for a network in cells by least squares, and halve the cells with the largest errors.

    Each step is one least-squares solve. On each tree of cells a linear equation takes one step,
    and a nonlinear equation the steps of Newton's method. The coefficients of each cell are
    eliminated first, then the traces (unknown polynomials on faces) in the order of a nested
    dissection; for many cells conjugate gradients find the traces. For tolerances below 1e-10 the
    computed factors also correct the solution for rounding, which takes twice the memory.

    Each cell has an error indicator: the size of an error in the cell that would cause the residual
    of the cell. For -Δu the indicator is h² times the root of the cell's share of the functional,
    with the width h. After the last step on a tree the fewest cells are halved that together
    account for the fraction `marking` of the sum of squared indicators. If the error is less than
    100 times the tolerance, so many cells are halved that the other cells meet the tolerance. Cells
    are halved in the coordinates in which the terms of the highest degrees are large. The ratio of
    errors to indicators follows from the change of the solution from one tree to the next. Before
    the solve ends, the solution is compared with a solution of a degree higher by 2, in smaller
    cells at singular corners and with more accurate integrals of a singular source. If the error of
    the solution exceeds the tolerance, and no smaller cells follow, the better solution is kept,
    with an estimate of its own error: the error of the first solution, reduced as the residual and
    the terms of the highest degrees are from one solution to the other. What the
    collocation points miss of the residual's integrals, as where a coefficient jumps inside a cell,
    is added to the estimate. The integrals of the residual over the cells have to be small
    (`Balance`).

    Unknown parameters of the problem are found from data by steps of the Levenberg–Marquardt
    method. At each step the fields are the solution for the present parameters, and other
    right-hand sides give the derivatives of the fields by the parameters. So the tolerance limits
    the error of the fields for given parameters.

    Args:
        tolerance: the relative error, in L2, at which to stop.
        cells: the largest number of cells.
        marking: the fraction of the sum of squared indicators for which the cells to be halved
            account, above 0 and up to 1, while the error is more than 100 times the tolerance.
        steps: the largest number of least-squares solves.
        highest: the highest degree to which the polynomials of all cells may be raised; None to
            keep the degree of the network until the last comparison. The degree is raised by 2, in
            place of halving cells, if the decay of the coefficients promises more digits for the
            time. Eigenvalues and unknown
            parameters are found with the degree of the network.

    Raises:
        InputError: for values out of range; in a solve, for another kind of network, or a problem
            that cells cannot solve.

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
    highest: int | None = None
    needs_fixed_points = True
    lowers_loss = False
    fits_points = False

    def __post_init__(self) -> None:
        number("tolerance", self.tolerance, above=True)
        integer("cells", self.cells)
        integer("steps", self.steps)
        if self.highest is not None:
            integer("highest", self.highest)
        number("marking", self.marking, above=True)
        if self.marking > 1:
            raise InputError(f"marking must be at most 1, got {self.marking}")

    @property
    def accuracy(self) -> float:
        """The relative accuracy of each least-squares solve, 1e-5 times the tolerance.

        It is the relative error in the root of the functional. The relative errors in L2 that
        conjugate gradients left were 4 times as large for Poisson's equation, and 200 times for
        elasticity.
        """
        part = 1e-5
        return part * self.tolerance

    @property
    def corrects(self) -> bool:
        """True if iterative refinement with kept factors corrects the solutions for rounding."""
        return self.accuracy < CellSystem.by_one_solve

    def check(self, network: Network) -> None:
        cells = require_cells(network)
        count, dtype = cells.count, cells.layer.coefficients.dtype
        if count > self.cells:
            raise InputError(
                f"{count} cells before the first solve would be more than cells = {self.cells} of "
                "AdaptiveLeastSquares: begin with fewer, which are halved where that is needed"
            )
        if dtype != torch.float64:
            raise InputError(
                f"dtype must be float64 for a network in cells, got {dtype}: rounded coefficients "
                "would not have the accuracy that is estimated"
            )

    def finer(self) -> "AdaptiveLeastSquares":
        """The method for a solve with a network of higher degree, as a check: no cell is halved."""
        return replace(self, steps=1, highest=None)

    def better(
        self, residuals: Residuals, seconds: float = math.inf
    ) -> tuple[Network, float] | None:
        """Return a network with a better solution, and a factor for the distance of the solutions.

        The error of the present solution is at most about the factor times its distance from the
        better solution, see `cell_errors.beyond`. Usually the solve has made the better solution.
        Otherwise, as after a run is loaded, it is made now, unless there are unknown parameters or
        coefficients. A solution with polynomials of a degree lower by 2 is made before it, to
        forecast its seconds and memory. If they exceed `seconds` or the free memory, the solution
        of lower degree is returned with a warning: its distance from the present solution is
        usually much larger than the error.

        Args:
            residuals: the loss, whose network has the present solution.
            seconds: the most seconds for a comparison that is made now.

        Returns:
            The network with the other solution, and the factor; None if there was no comparison.
        """
        network = require_cells(residuals.surrogate.network)
        if network.better is None and network.constants is None and network.coefficient is None:
            surrogate = residuals.surrogate.with_network(deepcopy(network))
            stage = self.start(Residuals(surrogate, residuals.terms, residuals.family), 0)
            if why := stage.compare_with_poorer(seconds):
                degree = network.degree - 2
                warnings.warn(
                    f"{why}: errors of numbers are distances from a solution of degree {degree}, "
                    "which are usually much larger than errors",
                    stacklevel=2,
                )
                network.better = stage.network.better
                return network.better
            stage.error.compared = True
            most = 10  # steps of Newton's method
            for _ in range(most):
                if stage.step().finished or stage.network.better is not None:
                    break
            network.better = stage.network.better
        return network.better

    def start(self, residuals: Residuals, seed: int) -> AdaptiveLeastSquaresStage:
        return AdaptiveLeastSquaresStage(self, residuals, seed)
