"""Adaptation for all tasks in cells: which cells are refined, the progress of the error, the time
of solves, and the loop that refines, solves, compares and stops.
"""

import itertools
import math
import time
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor

from kanpinn._support.distributed import extremes
from kanpinn._support.errors import CONVERGED, UNCOMPARED, InputError
from kanpinn.jets import Channels, coefficients_along
from kanpinn.optimizers.method import Stage, Step
from kanpinn.spaces.cells.cells import Cells
from kanpinn.spaces.cells.geometry.cell_geometry import CellGeometry
from kanpinn.spaces.cells.polynomials import LocalPolynomials
from kanpinn.spaces.cells.problem import CellProblem
from kanpinn.spaces.cells.system.cell_system import CellSystem
from kanpinn.spaces.cells.system.memory import no_comparison, too_many
from kanpinn.spaces.cells.system.terms import SampledTerm


def dorfler_marking(errors: Tensor, part: float) -> Tensor:
    """A mask (N,) of the fewest cells that have the fraction `part` of the sum of squared errors.

    Reference: Dörfler, A convergent adaptive algorithm for Poisson's equation (1996).
    """
    squares, order = errors.square().sort(descending=True)
    enough = squares.cumsum(0) >= part * squares.sum()
    count = int(enough.to(torch.uint8).argmax()) + 1
    mask = torch.zeros_like(errors, dtype=torch.bool)
    mask[order[:count]] = True
    return mask


def part_to_refine(tolerance: float, estimate: float, most: float) -> float:
    """The fraction of the sum of squared errors that the cells to be halved shall have.

    If the error is at most `reach` = 100 times the tolerance, so many cells are halved at once that
    the others have 0.7 of the squared tolerance, since each further tree costs another solve.

    Args:
        tolerance, estimate: the wanted and the estimated error.
        most: the largest fraction for errors above 100 times the tolerance.
    """
    least, reach, left = 0.5, 100.0, 0.7
    enough = 1 - left * min(1.0, tolerance / (estimate or 1.0)) ** 2
    most = most if estimate > reach * tolerance else 1.0
    return min(most, max(least, enough))


def why_too_many(system: CellSystem, chosen: Tensor, most: int, *, kept: int = 0) -> str:
    """Why the cells would be too many after some are halved, in words; "" if they are not.

    Args:
        system: the least-squares problem on the present cells.
        chosen: the coordinates in which cells are to be halved, a mask (N, d).
        most: the largest number of cells.
        kept: how many systems are kept for further right-hand sides; a complex system counts twice.
    """
    count = system.geometry.tree.count_when_split(chosen)
    refusal = too_many(system, count, most, kept=kept)
    return refusal and f"the next {count} cells {refusal}"


def coordinates_to_refine(polynomials: LocalPolynomials, coefficients: Tensor) -> Tensor:
    """A mask (N, d): the coordinates in which halving a cell reduces the error most for its cost.

    The missing terms of the polynomials are assumed to be like the terms of the highest two
    degrees. Halving in one coordinate multiplies a term of the degree n in this coordinate by about
    2^-n, and doubles the number of cells. So those coordinates are chosen for which the logarithm
    of the reduction, divided by the number of halvings, is largest. All coordinates are chosen
    unless another choice is better by a third: where many features are unresolved, the terms tell
    little. Without this preference an oblique front took 11 trees in place of 8.

    Args:
        polynomials: the functions of a cell.
        coefficients: the coefficients of a solution, (N, L, m).
    """
    clearly, highest = 1.3, 2
    first = polynomials.count(polynomials.degree - highest)
    squares = coefficients[:, first:].square().sum(dim=2)
    sums = squares.sum(dim=1, keepdim=True)
    every = itertools.product((True, False), repeat=polynomials.dim)  # all coordinates come first
    choices = torch.tensor([choice for choice in every if any(choice)])
    powers = polynomials.powers[first:] @ choices.T.long()  # (terms, choices)
    left = torch.where(sums > 0, squares @ 0.25 ** powers.double() / sums, 1.0)
    gains = -left.log() / choices.sum(dim=1)
    gains[:, 0] *= clearly
    return choices[gains.argmax(dim=1)]


def cells_in_layers(system: CellSystem) -> Tensor:
    """A mask (N, d): the coordinates along which a boundary layer is too steep for a cell.

    Where -ε u_nn + b u_n + … = f has b > 0 along the outward normal n of a boundary with a
    condition, the solution has a layer like e^(-b d/ε) at the distance d. Least squares in cells
    that do not resolve the layer have errors everywhere, which do not tell where to refine cells.
    Polynomials of degree k resolve the layer well in cells of the width k ε / (4 b). Only
    conditions on values at the sides of the domain's bounding box count: conditions on fluxes cause
    weak layers only.

    Args:
        system: the least-squares problem on the present cells.
    """
    geometry, steepest = system.geometry, system.polynomials.degree / 4
    layers = torch.zeros(geometry.widths.shape, dtype=torch.bool)
    for axis, upper, cells in geometry.tree.ends:
        rates, with_values = torch.zeros(2, len(geometry.tree), dtype=torch.float64)
        for term in system.equation:
            places = torch.isin(term.at.cells, cells).nonzero()[:, 0]
            rates[term.at.cells[places]] = _rates(term, places, axis, upper)
        for term in system.boundary:
            normals = term.at.points.normals
            assert normals is not None
            along = normals[:, axis].view(term.at.weights.shape).mean(dim=1)
            if not bool(term.sizes[..., 1:, :].any()):
                with_values[term.at.cells[(along if upper else -along) > 0.5]] = 1
        steep = (rates * geometry.widths[:, axis] > steepest) & (with_values > 0)
        layers[cells, axis] |= steep[cells]
    return layers


def _rates(term: SampledTerm, places: Tensor, axis: int, upper: bool) -> Tensor:
    """The largest b/ε of all fields, see `cells_in_layers`, in some cells of a term, (c,).

    Args:
        term: the term of the equation.
        places: the indices of the cells in the term, (c,).
        axis, upper: the coordinate and its end towards which b is counted as positive.
    """
    slopes = term.slopes[places]
    tiny = 1e-14 * slopes.abs().amax(dim=(1, 2, 3, 4))[:, None, None, None]
    channels = term.term.channels
    first, second = (coefficients_along(slopes, channels, axis, order) for order in (1, 2))
    ratios = torch.where(second.abs() > tiny, -first / second, 0.0)
    return (ratios if upper else -ratios).amax(dim=(1, 2, 3))


def waves_along(slopes: Tensor, channels: Channels, axis: int) -> Tensor:
    """The wave numbers √(c₀/c₂) of the solutions along one coordinate, (...).

    c₂ is the coefficient of the second derivative by the coordinate. The result is the largest of
    all equations and fields, and zero where the signs of both coefficients differ.

    Args:
        slopes: the coefficients of the parts of a stacked jet, (..., equations, parts, m).
        channels: the derivatives that the jet carries.
        axis: the coordinate.
    """
    second = coefficients_along(slopes, channels, axis, 2)
    ratios = torch.where(slopes[..., 0, :] * second > 0, slopes[..., 0, :] / second, 0)
    return ratios.sqrt().amax(dim=(-2, -1))


def cells_with_waves(system: CellSystem) -> Tensor:
    """A mask (N, d): the coordinates along which a cell's polynomials do not resolve waves.

    Where c₂ and c₀ in c₂ Δu + c₀ u = f have the same sign, solutions are waves with the phase
    √(c₀/c₂) h over a cell of the width h. If the degree does not exceed this phase by 10
    (measured), least-squares solutions are wrong everywhere. For nonlinear equations no cell is
    chosen: their coefficients depend on the solution, which is not known yet.

    Args:
        system: the least-squares problem on the present cells.
    """
    beyond, least, tree = 10, 2.0, system.geometry.tree
    most = max(least, system.polynomials.degree - beyond)
    short = torch.zeros(system.geometry.widths.shape, dtype=torch.bool)
    for term in system.equation:
        if term.term.channels.derivative_order != 2:
            return short
        for axis, widths in enumerate(system.geometry.widths[term.at.cells].T):
            phases = waves_along(term.slopes, term.term.channels, axis).mean(dim=1) * widths
            short[term.at.cells, axis] |= phases > most
    size, fields = system.polynomials.size, len(system.coupling.orders)
    ones = torch.ones(len(tree), size, fields, dtype=torch.float64)
    if bool(short.any()) and not system.is_linear(system.about.of(ones)):
        return torch.zeros_like(short)
    return short


@dataclass
class ErrorProgress:
    """The estimated relative error, in L2, on one tree after the other.

    Attributes:
        estimate: the estimated error on the last tree that was solved; infinite if unknown.
        indicated: the indicator of the error on that tree; infinite if there is none.
        ratio: the latest known ratio of an error to its indicator; 0 if none is known.
        compared: whether a solution has been compared with a better solution; then all later
            solutions are compared as well.
        supposed: an error that is assumed in place of an estimate, from indicators.
        before: the previous estimate; if the error hardly falls below it, rounding limits the
            error.
        usual: the largest usual ratio of an error to its indicator, assumed if none is known.
    """

    estimate: float = math.inf
    indicated: float = math.inf
    ratio: float = 0.0
    compared: bool = False
    supposed: float = math.inf
    before: float = math.inf
    usual: ClassVar[float] = 0.1

    @property
    def expected(self) -> float:
        """The estimated error; without an estimate, the error `supposed` from indicators."""
        return self.estimate if math.isfinite(self.estimate) else self.supposed

    def left(self, tolerance: float) -> float:
        """The fraction of the expected error that may be left; 1 if no error is known."""
        known = self.expected > 0 and math.isfinite(self.expected)
        return tolerance / self.expected if known else 1.0

    def part(self, tolerance: float) -> float:
        """The share of the work for a tolerance that is done: (digits / wanted digits)³.

        The cube accounts for the last digits, which take most of the time. The share is zero
        without an estimate.
        """
        wanted, error = math.log10(min(tolerance, 0.1)), min(self.estimate, 1.0) or 1e-300
        return min(1.0, max(0.0, math.log10(error) / wanted)) ** 3

    def extrapolate(self, indicated: float, change: float, rest: float = 0.0) -> None:
        """Estimate the error on a tree by the ratio of errors to indicators on earlier trees.

        On the first tree there is no estimate. There the error is assumed to be `supposed`: the
        geometric mean of `rest` and of the indicator times the largest usual ratio. In 30 problems
        in the plane the error was 0.08 to 2 times this value.

        Args:
            indicated: the indicator of the error on the tree.
            change: the relative change from the solution on the previous tree, which serves as the
                error of the previous solution; meaningless on the first tree.
            rest: the relative error from terms above the highest degree, see
                `cell_errors.left_out`.
        """
        self.before = self.estimate
        if math.isfinite(self.indicated):
            latest = change / self.indicated if self.indicated else 0.0
            self.estimate, self.ratio = max(self.ratio, latest) * indicated, latest
        elif self.ratio:
            self.estimate = self.ratio * indicated
        self.indicated, most = indicated, (self.ratio or self.usual) * indicated
        self.supposed = (min(rest, most) * most) ** 0.5

    def forget(self) -> None:
        """Forget the error on the last tree, on which Newton's method has failed."""
        self.estimate = self.indicated = self.supposed = math.inf

    def compare(self, error: float) -> None:
        """Take the error from a comparison with a better solution as the estimate."""
        self.estimate, self.compared = error, True
        self.ratio = max(self.ratio, error / (self.indicated or 1.0))


@dataclass
class SolvePace:
    """The time of solves on one tree after the other, and of comparisons with better solutions.

    Attributes:
        cells, seconds: the number of cells of the last tree, and the time of a solve there.
        power: the power of the number of cells to which the time of a solve is proportional, from
            the last two trees.
        dearer: the time of the last comparison divided by the time of the solve on the same tree;
            0 if there was no comparison.
        begun: the start of the present step, by `time.perf_counter`.
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
        """Take the time of a solve, in seconds; cells: the number of cells."""
        least, most = 1.0, 2.0  # the power for conjugate gradients, and for elimination in space
        if self.seconds > 0 and cells > 1.2 * self.cells:
            power = math.log(seconds / self.seconds) / math.log(cells / self.cells)
            self.power = min(max(power, least), most)
        self.cells, self.seconds = cells, seconds

    def on(self, cells: int) -> float | None:
        """The seconds that a solve is expected to take; None before the first solve.

        cells: the number of cells.
        """
        return self.seconds * (cells / self.cells) ** self.power if self.cells else None

    def cells_within(self, left: float) -> float:
        """The number of cells for which the next solve is expected to fit into the time left.

        left: the seconds that were left when the present step began.
        """
        if math.isinf(left):
            return math.inf
        return self.cells * (max(left - self.spent, 0.0) / self.seconds) ** (1 / self.power)

    @contextmanager
    def comparing(self) -> Iterator[None]:
        """A context that measures the time of a comparison on the last tree."""
        before = self.spent
        yield
        self.dearer = (self.spent - before) / self.seconds

    def too_late(self, system: CellSystem, left: float) -> str:
        """Why no time is left for a comparison with a better solution; "" if there is time.

        Args:
            system: the problem on the last tree, which has been solved.
            left: the seconds that were left before this solve.
        """
        power, present = 2, system.polynomials  # power: measured 1 to 2
        seconds = self.seconds * (self.dearer or (present.richer.size / present.size) ** power)
        left = max(left - self.seconds, 0.0)
        if seconds <= left:
            return ""
        return (
            f"the budget leaves no time for {UNCOMPARED} "
            f"{present.richer.degree} ({left:.3g} s are left, it takes some {seconds:.2g} s)"
        )


S = TypeVar("S")  # the solution of a task on one tree


class AdaptiveStage(Stage, Generic[S]):
    """The loop of a task in cells: refine the marked cells, solve, estimate, compare, mark, stop.

    The errors on a tree are first estimated by indicators. If these say that the tolerance is met,
    or if no further tree can follow, the solution is compared with a better solution. Subclasses
    provide the solution, its errors in a shape of their own, and the cells to mark for them.

    Args:
        network: the network, which gets the solution.
        tolerance: the relative error at which the loop ends.
        most: the largest number of cells.
        kept_systems: how many systems are kept for further right-hand sides.

    Attributes:
        problem, geometry: the problem in cells, and the present cells.
        error: the estimated error on the last tree that was solved on.
        pace: the time of the solves.
        marked: the coordinates in which cells are refined before the next solve, a mask (N, d);
            None before the first solve on the tree.
        beside: how many systems of the present degree are kept during a comparison.
    """

    steady = False  # the solve on the last tree may take longer than all earlier steps together
    beside: ClassVar[int] = 0
    problem: CellProblem
    geometry: CellGeometry

    def __init__(self, network: Cells, tolerance: float, most: int, kept_systems: int) -> None:
        self.network, self.tolerance = network, tolerance
        self.most, self.kept_systems = most, kept_systems
        self.error, self.pace = ErrorProgress(), SolvePace()
        self.marked: Tensor | None = None

    @property
    def part(self) -> float:  # type: ignore[override]
        """The share of the work that is done, from 0 to 1."""
        return self.error.part(self.tolerance)

    @property
    def expected_seconds(self) -> float | None:  # type: ignore[override]
        """The expected seconds of the next solve; None before the first solve."""
        tree, marked = self.network.tree, self.marked
        return self.pace.on(len(tree) if marked is None else tree.count_when_split(marked))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.geometry = self.problem.cells(self.network.tree)

    @abstractmethod
    def _refine(self, marked: Tensor) -> None:
        """Refine cells in the marked coordinates, a mask (N, d); functions stay the same."""

    @abstractmethod
    def _mark(self, solved: S, errors: Tensor, *, first: bool) -> str:
        """Mark cells by their errors; return why they cannot be refined, in words, or "".

        Args:
            solved: the solution on the present tree.
            errors: the errors of the cells.
            first: whether the errors are those from indicators.
        """

    @abstractmethod
    def _compared(self, solved: S, errors: Tensor) -> Tensor:
        """The errors from a comparison with a better solution, which also updates `error`.

        Args:
            solved: the solution on the present tree.
            errors: the errors from indicators.
        """

    def _begin_step(self) -> None:
        """Refine the cells that the step before has marked."""
        self.pace.begin()
        if self.marked is not None:
            self._refine(self.marked)

    def _check_size(self, system: CellSystem) -> None:
        """Refuse cells that are too many to begin with.

        Raises:
            InputError: if there are more cells than `most`, or more than fit into memory.
        """
        count, degree = len(system.geometry.tree), system.polynomials.degree
        if why := too_many(system, count, self.most, kept=self.kept_systems):
            raise InputError(f"{count} cells of degree {degree} {why}")

    def _incomparable(self, system: CellSystem) -> str:
        """Why memory does not permit a comparison, in words; "" if it does."""
        return no_comparison(system, kept=self.beside, again=self.kept_systems > 0)

    def _why_too_many(self, system: CellSystem, marked: Tensor) -> str:
        """Why the cells would be too many after a refinement, in words; "" if they are not."""
        return why_too_many(system, marked, self.most, kept=self.kept_systems)

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
        """The result of a step on a tree; also marks cells for the next step.

        Args:
            system: the least-squares problem on the tree.
            solved: its solution.
            errors: the errors from indicators, by which `error` is already updated.
            step: a result with the loss and words on the solution.
            last: whether to compare the solution whatever the indicators say.
            settled: whether Newton's method has converged; otherwise there is no comparison.
        """
        progress, uncompared, finished = self.error, "", ""
        stopped = self._mark(solved, errors, first=True)
        if settled and (last or stopped or progress.expected <= self.tolerance):
            uncompared = self._incomparable(system)
            uncompared = uncompared or self.pace.too_late(system, self.seconds_left)
            if not uncompared:
                with self.pace.comparing():
                    errors = self._compared(solved, errors)
        error, words, notes = progress.estimate, step.words, {"cells": float(self.network.count)}
        reached = "Newton's method does not converge on these"
        if uncompared:
            reached = "the error has not been estimated"
        if math.isfinite(error):
            reached = f"the estimated relative error is {error:.1e}"
            notes["estimated_error"], words = error, f"{words}, estimated error {error:.1e}"
        if settled and not uncompared:
            if error <= self.tolerance:
                finished = CONVERGED
            elif error > 0.5 * progress.before and progress.before < 1e-10:
                finished = f"{CONVERGED}: rounding leaves a relative error of {error:.1e}"
        stopped = self._mark(solved, errors, first=False)
        if uncompared and (not stopped or progress.expected <= self.tolerance):
            stopped = uncompared
        if stopped and not finished:
            finished = f"stopped: {stopped}; {reached}"
        return Step(step.loss, finished=finished or None, notes=notes, words=words)
