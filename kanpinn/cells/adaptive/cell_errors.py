"""Errors of a solution in cells: by one of higher degree, and by residuals between points."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn.cells.adaptive.solved_tree import SolvedTree
from kanpinn.cells.geometry.cell_geometry import CellGeometry
from kanpinn.cells.geometry.cell_points import CellPoints
from kanpinn.cells.geometry.cut_geometry import CellCutter
from kanpinn.cells.geometry.prolongation import prolonged
from kanpinn.cells.polynomials import LocalPolynomials, closed_rule
from kanpinn.cells.problems.cell_problem import CellProblem
from kanpinn.cells.system.cell_fields import CellField
from kanpinn.cells.system.cell_system import CellSolution, CellSystem


@dataclass(frozen=True, eq=False)
class BetterSolution:
    """A solution that shows the error of another one.

    Args:
        system: its least-squares problem.
        solution: the solution.
        error: the L2 norm in each of its cells of its difference from the other one, (N,).
    """

    system: CellSystem
    solution: CellField
    error: Tensor


def better_solution(problem: CellProblem, solved: SolvedTree, accuracy: float) -> BetterSolution:
    """The solution of a degree that is higher by 2, in smaller cells at singular corners.

    The integrals of a singular source are also more accurate.

    Args:
        problem: the problem.
        solved: its solution on the present cells.
        accuracy: of conjugate gradients, see `CellSystem.solve`.
    """
    more, system, found = 2, solved.system, solved.solution
    own, coarse = system.polynomials, system.geometry
    richer, fine = LocalPolynomials(own.degree + more, own.dim), problem.deeper(coarse)
    start = richer.padded(prolonged(own, coarse.tree, coarse.frames, found.coefficients, fine))
    before = CellField(start, found.numbers)
    better = problem.on(fine, richer, start, numbers=found.numbers, limit=True)
    change, best = _change(better, before, accuracy)
    return BetterSolution(better, best, change)


def errors_by_comparison(
    problem: CellProblem,
    solved: SolvedTree,
    better: BetterSolution,
    enough: float,
    accuracy: float,
) -> Tensor:
    """The L2 norm of the error that each cell causes, (N,): the difference from better solutions.

    The difference of the best solution from the present one shows the error in each cell, and is
    all that is needed if it is small enough. Otherwise two further solutions tell where the
    error comes from: one with the more accurate integrals alone, and one with these and the smaller
    cells. The errors that these two show, wherever they are, are attributed to the cells with such
    a source or corner. Indicators do not see errors that come from elsewhere, such as those of
    waves near a resonance, or behind a layer that is not resolved; see `attributed`.

    Args:
        problem: the problem.
        solved: its solution on the present cells.
        better: the best solution, see `better_solution`.
        enough: the L2 norm of an error after which no cells are halved.
        accuracy: of conjugate gradients, see `CellSystem.solve`.
    """
    system, found, fine = solved.system, solved.solution, better.system.geometry
    own, coarse = system.polynomials, system.geometry
    parents = coarse.tree.locate(fine.frames.mean(dim=1), fine.tree.region)
    squares, present = torch.zeros_like(found.shares), CellField(found.coefficients, found.numbers)
    indicated, change = system.indicators(found).square(), better.error

    def improved(geometry: CellGeometry, before: CellField) -> tuple[Tensor, CellField]:
        """The squared L2 norm of the change by a solve on cells, and the solution."""
        again = problem.on(geometry, own, before.coefficients, numbers=before.numbers, limit=True)
        change, after = _change(again, before, accuracy)
        return change.square().sum(), after

    if float(change.norm()) > enough:
        missed = _missed_sources(problem, system)
        if bool(missed.any()):
            square, present = improved(coarse, present)
            squares += distributed(square, missed)
        moved = prolonged(own, coarse.tree, coarse.frames, present.coefficients, fine)
        start = CellField(moved, present.numbers)
        if fine is not coarse:
            square, start = improved(fine, start)
            halved = parents.bincount(minlength=len(squares)) > 1
            squares += distributed(square, torch.where(halved, indicated, 0))
        padded = better.system.polynomials.padded(start.coefficients)
        change = _difference(better.system, better.solution, CellField(padded, start.numbers))
    shown = torch.zeros_like(squares).index_add(0, parents, change.square())
    return (squares + attributed(shown, indicated)).sqrt()


def attributed(shown: Tensor, indicated: Tensor) -> Tensor:
    """The squared errors that cells cause, (N,), with the sum of those that are shown in cells.

    A cell causes its own error up to its indicator. The rest comes from elsewhere, and halving the
    cell would not reduce it. It is distributed among all cells in proportion to what they cause of
    their own errors. In proportion to the indicators alone it went to the small cells at the ends
    of a sliding lid, whose indicators are up to 100 times their errors, while the vortex was wrong
    by 9 % because of walls with large cells.

    Args:
        shown, indicated: the squared errors and the squared indicators, (N,).
    """
    own = torch.minimum(shown, indicated)
    return own + distributed((shown - own).sum(), own)


def distributed(square: Tensor, parts: Tensor) -> Tensor:
    """Distribute a squared error among the cells in proportion to `parts`, (N,)."""
    return parts * (square / parts.sum().clamp_min(1e-300))


def _missed_sources(problem: CellProblem, system: CellSystem) -> Tensor:
    """The squared L2 norms in cells of what the integrals of a singular source may miss, (N,)."""
    found = torch.zeros_like(system.weights)
    for term in system.equation:
        if term.at.alike:
            found[term.at.cells] = problem.source_moments.apart(system.geometry, term)
    return found


def _change(system: CellSystem, before: CellField, accuracy: float) -> tuple[Tensor, CellField]:
    """The L2 norm in each cell of the difference of a solution from another, and the solution.

    Args:
        system: the least-squares problem.
        before: the other one.
        accuracy: see `CellSystem.solve`.
    """
    after = system.solve(before, accuracy)
    return _difference(system, after, before), after


def _difference(system: CellSystem, after: CellField, before: CellField) -> Tensor:
    """The L2 norm in each cell of the difference of two solutions, (N,).

    In fields that are determined up to a constant, the mean of the difference does not count.
    """
    norms = system.norms
    return norms.of_cells(norms.without_means(after.minus(before), system.free_fields))


def errors_by_missed_residuals(system: CellSystem, found: CellSolution) -> Tensor:
    """The L2 norm of the error in each cell by residuals that the points have missed, (N,).

    The residual is integrated over each whole cell by a rule with points on its sides. It is missed
    where it is far larger than the cell's share of the functional.

    Args:
        system: the least-squares problem.
        found: its solution.
    """
    far, many, dim = 100.0, 300, system.polynomials.dim
    count = max(system.polynomials.degree + 2, int(many ** (1 / dim)))
    local, weights = closed_rule(count, dim)
    if system.interfaces:  # a side on an interface may have a sliver of the other region
        local = local * (1 - 4 * CellCutter.sliver)
    squares, shared = torch.zeros_like(found.shares), system.shared.sum(found.numbers)
    for term, factors in zip(system.equation, system.factors, strict=True):
        if term.at.alike:
            at = CellPoints.inside(system.geometry, term.at.cells, local, weights)
            own = term.squared_residuals(at, found.coefficients, factors, shared)
            squares[term.at.cells] = own
    return torch.where(squares > far * found.shares, squares, 0).sqrt() * system.coupling.errors
