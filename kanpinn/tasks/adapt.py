"""Adaptive refinement of cells, for all tasks in cells.

The module chooses the cells that are refined, and follows the estimated error and the times of
solves from one mesh (tree of cells) to the next.
"""

import itertools
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from kanpinn._support.distributed import extremes
from kanpinn._support.errors import UNCOMPARED
from kanpinn.jets import Channels, coefficients_along
from kanpinn.linalg.reflections import operations_per_second
from kanpinn.spaces.cells.geometry.cell_geometry import CellGeometry
from kanpinn.spaces.cells.polynomials import LocalPolynomials
from kanpinn.spaces.cells.system.cell_system import CellSystem
from kanpinn.spaces.cells.system.memory import too_many

# Why there is no further tree, if rounding errors exceed the residuals of smaller cells.
ROUNDED = "the cells with the largest errors are as small as rounding permits"


def dorfler_marking(errors: Tensor, part: float) -> Tensor:
    """A mask (N,) of the fewest cells that account for a fraction of the sum of squared errors.

    Args:
        errors: the errors of the cells, (N,).
        part: the fraction.

    Reference: Dörfler, A convergent adaptive algorithm for Poisson's equation (1996).
    """
    squares, order = errors.square().sort(descending=True)
    enough = squares.cumsum(0) >= part * squares.sum()
    count = int(enough.to(torch.uint8).argmax()) + 1
    mask = torch.zeros_like(errors, dtype=torch.bool)
    mask[order[:count]] = True
    return mask


def part_to_refine(tolerance: float, estimate: float, most: float) -> float:
    """The fraction for Dörfler marking: how much of the squared error is in cells to be refined.

    The fraction is 1 - 0.7 (tolerance / estimate)², so that the other cells account for 0.7 of the
    squared tolerance, but at least 0.5. If the estimate exceeds 100 times the tolerance, the
    fraction is at most `most`. For smaller estimates it may be larger, since each further mesh
    costs a solve.

    Args:
        tolerance, estimate: the wanted error and the estimated error.
        most: the largest fraction for errors above 100 times the tolerance.
    """
    least, reach, left = 0.5, 100.0, 0.7
    enough = 1 - left * min(1.0, tolerance / (estimate or 1.0)) ** 2
    most = most if estimate > reach * tolerance else 1.0
    return min(most, max(least, enough))


def why_too_many(system: CellSystem, chosen: Tensor, most: int, *, kept: int = 0) -> str:
    """The reason, in words, why halving some cells would give too many cells; "" if there is none.

    Args:
        system: the least-squares problem on the present cells.
        chosen: the coordinates in which cells are to be halved, a mask (N, d).
        most: the largest number of cells.
        kept: the number of least-squares systems whose factors stay in memory for further
            right-hand sides; a complex system counts twice.
    """
    count = system.geometry.tree.count_when_split(chosen)
    refusal = too_many(system, count, most, kept=kept)
    return refusal and f"the next {count} cells {refusal}"


def coordinates_to_refine(polynomials: LocalPolynomials, coefficients: Tensor) -> Tensor:
    """A mask (N, d): the coordinates in which each cell is best halved.

    A cell may be halved in any set of coordinates. Each halving doubles the number of cells. It
    multiplies a polynomial of degree n in the halved coordinate by about 2^-n. The terms of higher
    degree that a cell's polynomial lacks are assumed to be like its terms of the highest two
    degrees. The best set of coordinates is the one with the largest ratio log(reduction of the
    missing terms) / (number of halvings). All coordinates are chosen unless another set is better
    by a third: where many features are unresolved, the terms tell little. Without this preference
    an oblique front took 11 meshes instead of 8.

    Args:
        polynomials: the functions of a cell.
        coefficients: the coefficients of a solution in N cells of L polynomials for m fields,
            (N, L, m).
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
    that do not resolve the layer have errors everywhere. These errors do not tell where to refine
    cells. Polynomials of degree k resolve the layer well in cells of the width k ε / (4 b). Only
    conditions on values at the sides of the domain's bounding box count: conditions on fluxes cause
    weak layers only. But a condition ∂u/∂n = κ u with κ > 0 itself causes a layer like e^(-κ d).

    Args:
        system: the least-squares problem on the present cells.
    """
    geometry, steepest = system.geometry, system.polynomials.degree / 4
    layers = torch.zeros(geometry.widths.shape, dtype=torch.bool)
    for axis, upper, cells in geometry.tree.ends:
        rates, with_values = torch.zeros(2, len(geometry.tree), dtype=torch.float64)
        for term in system.equation:
            places = torch.isin(term.at.cells, cells).nonzero()[:, 0]
            slopes, channels = term.slopes[places], term.term.channels
            tiny = 1e-14 * slopes.abs().amax(dim=(1, 2, 3, 4))[:, None, None, None]
            first, second = (coefficients_along(slopes, channels, axis, order) for order in (1, 2))
            ratios = torch.where(second.abs() > tiny, -first / second, 0.0)
            rates[term.at.cells[places]] = (ratios if upper else -ratios).amax(dim=(1, 2, 3))
        for term in system.boundary:
            normals = term.at.points.normals
            assert normals is not None
            along = normals[:, axis].view(term.at.weights.shape).mean(dim=1)
            outer = (along if upper else -along) > 0.5
            own = term.at.cells[outer]
            if not bool(term.sizes[..., 1:, :].any()):
                with_values[own] = 1
            elif term.slopes.shape[2] == 1:
                flux = coefficients_along(term.slopes[outer], term.term.channels, axis, 1)
                ratios = term.slopes[outer, ..., 0, :] / (-flux if upper else flux)
                attracted = ratios.nan_to_num(0.0, 0.0, 0.0).amax(dim=(1, 2, 3))
                layers[own, axis] |= attracted * geometry.widths[own, axis] > steepest
        steep = (rates * geometry.widths[:, axis] > steepest) & (with_values > 0)
        layers[cells, axis] |= steep[cells]
    return layers


def waves_along(slopes: Tensor, channels: Channels, axis: int) -> Tensor:
    """The largest wave number √(c₀/c₂) of solutions along one coordinate, at each point, (...).

    In each linear equation and for each field, c₀ is the coefficient of the field, and c₂ the
    coefficient of its second derivative by the coordinate. The result is the largest wave number
    over all equations and fields; it is zero where c₀ and c₂ have different signs.

    Args:
        slopes: the coefficients of values and derivatives (parts of a jet),
            (..., equations, parts, m).
        channels: the derivatives that the jet carries.
        axis: the index of the coordinate.
    """
    second = coefficients_along(slopes, channels, axis, 2)
    ratios = torch.where(slopes[..., 0, :] * second > 0, slopes[..., 0, :] / second, 0)
    return ratios.sqrt().amax(dim=(-2, -1))


def cells_with_waves(system: CellSystem) -> Tensor:
    """A mask (N, d): the coordinates along which a cell's polynomials do not resolve waves.

    Where c₂ and c₀ in c₂ Δu + c₀ u = f have the same sign, solutions are waves with the phase
    √(c₀/c₂) h over a cell of the width h. If the degree does not exceed this phase by 10
    (measured), least-squares solutions are wrong everywhere. For nonlinear equations no cell is
    chosen, since c₀ and c₂ depend on the solution, which is not known yet.

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
    """The estimated relative L2 error of an adaptive solve, on one mesh after the other.

    An indicator is a cheap measure of the error, from residuals in cells, that is right up to a
    factor. A comparison with a solution of higher degree shows the error itself.

    Attributes:
        estimate: the estimated error on the last mesh that was solved on; infinite if unknown.
        indicated: the error indicator of this mesh; infinite if there is none.
        ratio: the latest known ratio of an error to its indicator; 0 if none is known.
        shown: the ratio that the latest comparison with a better solution has shown; 0 before it.
        is_known: whether a solution was compared with a better solution, on this or on an earlier
            mesh. Without a comparison, errors by indicators do not count as estimates: the ratio
            from the change between two meshes may be 50 times too small, for example if the
            solutions on both meshes are wrong.
        compared: whether a solution has been compared with a better solution because its error
            seemed to be within the tolerance; then all later solutions are compared as well.
        supposed: the error that is assumed from indicators if there is no estimate.
        of_better: the estimated error of the better solution of the last comparison; infinite
            before a comparison.
        before: the previous estimate; if the error hardly falls below it, rounding limits the
            error.
        usual: an upper bound of most ratios of an error to its indicator; it is assumed if no ratio
            is known.
    """

    estimate: float = math.inf
    indicated: float = math.inf
    ratio: float = 0.0
    shown: float = 0.0
    is_known: bool = False
    compared: bool = False
    supposed: float = math.inf
    of_better: float = math.inf
    before: float = math.inf
    usual: ClassVar[float] = 0.1

    @property
    def expected(self) -> float:
        """The estimated error; without an estimate, the error `supposed` from indicators."""
        return self.estimate if math.isfinite(self.estimate) else self.supposed

    def left(self, tolerance: float) -> float:
        """The ratio tolerance / expected error; 1 if no error is known.

        It is the fraction of the error that the next refinement should leave.

        Args:
            tolerance: the wanted relative error.
        """
        known = self.expected > 0 and math.isfinite(self.expected)
        return tolerance / self.expected if known else 1.0

    def part(self, tolerance: float) -> float:
        """The share of the work for a tolerance that is done: (correct digits / wanted digits)³.

        The cube accounts for the last digits, which take most of the time. The share is zero
        without an estimate.
        """
        wanted, error = math.log10(min(tolerance, 0.1)), min(self.estimate, 1.0) or 1e-300
        return min(1.0, max(0.0, math.log10(error) / wanted)) ** 3

    def extrapolate(self, indicated: float, change: float, rest: float = 0.0) -> None:
        """Estimate the error on a mesh, as its indicator times a ratio of error to indicator.

        The change from the solution on the previous mesh to the present solution serves as the
        error on the previous mesh. Divided by the indicator of the previous mesh, it gives the
        latest ratio. The estimate uses the largest of the latest ratio, the ratio before it and
        `shown`. Without an indicator of a previous mesh (on the first mesh, or after `forget`) it
        uses `ratio`; if no ratio is known, `estimate` stays infinite.

        The attribute `supposed` replaces an infinite estimate. Let b be the indicator times
        `ratio`, or times `usual` if no ratio is known. Then `supposed` is √(b · min(rest, b)). On
        the first mesh, in 30 problems in the plane, the error was 0.08 to 2 times `supposed`.

        Args:
            indicated: the error indicator of the present mesh.
            change: the relative change from the solution on the previous mesh; not used without an
                indicator of a previous mesh.
            rest: the relative error due to missing polynomials above the highest degree, see
                `SolvedTree.left_out`.
        """
        self.before = self.estimate
        if math.isfinite(self.indicated):
            latest = change / self.indicated if self.indicated else 0.0
            self.estimate = max(self.ratio, latest, self.shown) * indicated
            self.ratio = latest
        elif self.ratio:
            self.estimate = self.ratio * indicated
        self.indicated, most = indicated, (self.ratio or self.usual) * indicated
        self.supposed = (min(rest, most) * most) ** 0.5

    def forget(self) -> None:
        """Forget the error on the last mesh, on which Newton's method has failed."""
        self.estimate = self.indicated = self.supposed = math.inf

    def compare(self, error: float) -> None:
        """Store the error that a comparison with a better solution has shown.

        The error becomes the estimate. `shown` becomes error / indicator, and `ratio` rises to
        `shown` if it is smaller.

        Args:
            error: the relative error.
        """
        self.estimate, self.compared = error, True
        self.shown, self.is_known = error / (self.indicated or 1.0), True
        self.ratio = max(self.ratio, self.shown)


@dataclass
class SolvePace:
    """The times of solves on one mesh after another, and predictions for the next mesh.

    Attributes:
        cells, seconds: the number of cells of the last mesh, and the seconds of a solve on it;
            before the first solve, those of its forecast.
        solves: the number of solves on the last mesh, of which nonlinear problems take several.
        power: the exponent p such that the time of a solve is proportional to (number of cells)^p,
            determined from the last two meshes.
        dearer: the time of the last comparison with a solution of higher degree, divided by the
            time of the solve on its mesh; 0 if there was no comparison.
        comparison: the forecast of `dearer` for the first comparison; 0 without a forecast.
        begun: the start of the present step, by `time.perf_counter`.
    """

    cells: int = 0
    seconds: float = 0.0
    solves: int = 0
    power: float = 1.25
    dearer: float = 0.0
    comparison: float = 0.0
    begun: float = 0.0

    def begin(self) -> None:
        """Record that a step begins now."""
        self.begun = time.perf_counter()

    @property
    def spent(self) -> float:
        """The seconds of the present step so far, on the slowest rank (process)."""
        seconds = torch.tensor([[time.perf_counter() - self.begun]], dtype=torch.float64)
        return float(extremes(seconds)[1])

    def see(self, cells: int, seconds: float) -> None:
        """Record the time of a solve, and determine `power` from the last two meshes.

        If the mesh has more than 1.2 times the cells of the last mesh, `power` becomes log(ratio of
        the times) / log(ratio of the numbers of cells), but at least 1 and at most 2. Otherwise,
        and at the first solve, `power` stays.

        Args:
            cells: the number of cells.
            seconds: the time of the solve.
        """
        least, most = 1.0, 2.0  # the power for conjugate gradients, and for elimination in space
        if self.seconds > 0 and cells > 1.2 * self.cells:
            power = math.log(seconds / self.seconds) / math.log(cells / self.cells)
            self.power = min(max(power, least), most)
        self.solves = self.solves + 1 if cells == self.cells and self.solves else 1
        self.cells, self.seconds = cells, seconds

    def forecasts(self, system: CellSystem) -> Callable[..., float]:
        """A function that forecasts the seconds of a solve from its degree and its cells.

        The forecast has three parts: the seconds of the present step so far, in which the
        least-squares problem was linearised; 5 ms for each cell whose rows are eliminated; and the
        operations of an elimination at the speed of this machine. The time of linearising in other
        cells is taken to be proportional to n + 60 for n cells, and a third of the present seconds
        for as many cells, since results such as cuts of cells are kept.

        Args:
            system: the least-squares problem, linearised in this step.

        Returns:
            A function of the degree and of the cells, by default the present cells.
        """
        present, each, assembly, least = system.polynomials, 5e-3, self.spent, 60
        self.cells = len(system.geometry.tree)

        def solve(degree: int, cells: CellGeometry | None = None) -> float:
            points = ((degree + 3) / (present.degree + 3)) ** present.dim
            points *= (least + len(cells.tree)) / (least + self.cells) / 3 if cells else 1.0
            models, work = system.operations(degree, cells)
            return points * assembly + each * models + work / operations_per_second()

        return solve

    def forecast(self, system: CellSystem, finer: CellGeometry, degree: int) -> tuple[float, float]:
        """Forecast the seconds of the first solve, and of its comparison with a better solution.

        A comparison in smaller cells takes two solves. See `forecasts`.

        Args:
            system: the least-squares problem, linearised in this step.
            finer: the cells of the better solution.
            degree: the degree of the solve, which may differ from that of `system`.
        """
        more, solve = 2, self.forecasts(system)
        compare = solve(degree + more)
        if len(finer.tree) > self.cells:
            compare = solve(degree + more, finer) + solve(degree, finer)
        expected = torch.tensor([[solve(degree), compare]], dtype=torch.float64)
        self.seconds, seconds = extremes(expected)[1].tolist()
        self.comparison = seconds / self.seconds
        return self.seconds, seconds

    def on(self, cells: int) -> float | None:
        """The expected seconds of a solve on a mesh with a given number of cells.

        They are the seconds of the last solve times q^`power`, where q is the ratio of the numbers
        of cells of this mesh and the last mesh.

        Args:
            cells: the number of cells.

        Returns:
            The seconds; None before the first solve.
        """
        return self.seconds * (cells / self.cells) ** self.power if self.cells else None

    def cells_within(self, left: float) -> float:
        """The number of cells for which the next solve is expected to fit into the time left.

        Args:
            left: the seconds that were left when the present step began; infinite without a limit
                of time, and then the result is infinite as well.
        """
        if math.isinf(left):
            return math.inf
        return self.cells * (max(left - self.spent, 0.0) / self.seconds) ** (1 / self.power)

    @contextmanager
    def comparing(self) -> Iterator[None]:
        """A context for the comparison of the last mesh's solution with a better solution.

        At its end, `dearer` becomes the seconds spent in the context, divided by the seconds of the
        solve on the last mesh.
        """
        before = self.spent
        yield
        self.dearer = (self.spent - before) / self.seconds

    def rise(self, polynomials: LocalPolynomials) -> None:
        """Record that the better solution of the last comparison becomes the present solution.

        Then `seconds` is the time of this comparison, in which the better solution was computed.
        The time of a solve is taken to grow with the square of the number of polynomials in a cell,
        so that `dearer`, the ratio of the times for two successive degrees, becomes smaller.

        Args:
            polynomials: the polynomials of the present solution before the change.
        """
        sizes = [one.size for one in (polynomials, polynomials.richer, polynomials.richer.richer)]
        self.seconds *= self.dearer
        self.dearer *= (sizes[0] * sizes[2] / sizes[1] ** 2) ** 2

    def cost_of_better(self, system: CellSystem) -> float:
        """The expected time of a comparison on a mesh, divided by the time of a solve on the mesh.

        After the first comparison it is `dearer`. Before, it is `comparison` or, without a
        forecast, (L' / L)², where L' and L are the numbers of polynomials per cell of the better
        and of the present solution.

        Args:
            system: the problem on the last mesh.
        """
        power, present = 2, system.polynomials  # power: measured 1 to 2
        return self.dearer or self.comparison or (present.richer.size / present.size) ** power

    def is_last_chance(self, system: CellSystem, following: int, left: float) -> bool:
        """Return whether a comparison of the solution must be made now, for lack of time later.

        This is so if no solution was compared with one of higher degree yet, and as many solves on
        the next mesh as on the last one will leave no time for it.

        Args:
            system: the problem on the last mesh, which has been solved.
            following: the number of cells of the next mesh.
            left: the seconds that were left when the present step began.
        """
        power = 2  # the largest: a comparison on a small tree takes little of the budget
        solve = self.seconds * (following / self.cells) ** power
        return (
            not self.dearer
            and solve * (self.solves + self.cost_of_better(system)) > left - self.spent
        )

    def too_late(self, system: CellSystem, left: float) -> str:
        """The reason, in words, why no time is left to compare with a solution of higher degree.

        Args:
            system: the problem on the last mesh, which has been solved.
            left: the seconds that were left when the present step began.

        Returns:
            The reason; "" if there is time.
        """
        present, left = system.polynomials, max(left - self.spent, 0.0)
        seconds = self.seconds * self.cost_of_better(system)
        if seconds <= left:
            return ""
        return (
            f"the budget leaves no time for {UNCOMPARED} "
            f"{present.richer.degree} ({left:.3g} s are left, it takes some {seconds:.2g} s)"
        )
