"""Estimates of the error of a solution in cells.

They come from a comparison with a solution of higher degree, from what quadrature at the
collocation points misses, and from the decay of coefficients.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor

from kanpinn.jets import Channels, of_lower_order
from kanpinn.linalg.qr import undetermined
from kanpinn.spaces.cells.geometry.cell_geometry import physical
from kanpinn.spaces.cells.geometry.plane import CellCutter
from kanpinn.spaces.cells.polynomials import closed_rule
from kanpinn.spaces.cells.problem import CellProblem
from kanpinn.spaces.cells.system.cell_system import AnyTerm, CellSystem
from kanpinn.spaces.cells.system.functions import CellFunctions


def above_rounding(system: CellSystem, solutions: Tensor, shares: Tensor) -> Tensor:
    """A mask (N, n) of the cells whose halves would have larger residuals than rounding errors.

    The absolute rounding error of each coefficient is about eps times the largest coefficient of
    its field in the cell. In the equation, of the order r, it grows like h^-r in cells of the width
    h. Below some width a refinement raises the functional: a beam with a load that jumps was right
    to 2e-7 with 15 cells, and wrong by 98 % with 1500.

    Args:
        system: the least-squares problem.
        solutions: the coefficients of n solutions in N cells of L polynomials for m fields,
            (N, L, m, n).
        shares: the contributions of the cells to the functional of each solution, (N, n).
    """
    return rounding_shares(system, solutions, halvings=1) <= shares


def rounding_shares(system: CellSystem, solutions: Tensor, *, halvings: int = 0) -> Tensor:
    """Return the contributions of the coefficients' rounding errors to the functional, (N, n).

    Args:
        system: the least-squares problem.
        solutions: the coefficients of n solutions, (N, L, m, n), as for `above_rounding`.
        halvings: how often the cells are halved first.
    """
    found, noise = solutions.new_zeros(len(solutions), solutions.shape[-1]), _rounding(solutions)
    for term, factors in zip(system.equation, system.equation_factors, strict=True):
        values = 2 ** (halvings * term.term.channels.derivative_order) * term.of_rates(noise)
        squares = term.at.weights, factors.square(), values.square()
        found[term.at.cells] += torch.einsum("cq,ce,cqen->cn", *squares)
    return found


def _rounding(own: Tensor) -> Tensor:
    """Random rounding errors of coefficients (N, L, m, n), see `above_rounding`."""
    draws = torch.randn(own.shape, generator=torch.Generator().manual_seed(0), dtype=own.dtype)
    return torch.finfo(own.dtype).eps * own.abs().amax(dim=1, keepdim=True) * draws


@dataclass(frozen=True, eq=False)
class SolvedTree:
    """The solution of the least-squares problem on one mesh, a tree of N cells.

    Args:
        system: the least-squares problem.
        solution: the solution of this problem.
        shares: the contribution of each cell to the least-squares functional, (N,).
    """

    system: CellSystem
    solution: CellFunctions
    shares: Tensor

    @cached_property
    def size(self) -> float:
        """The L2 norm of the solution, by which relative errors are divided; 1 if it is zero."""
        return self.system.norms.total(self.solution) or 1.0

    @cached_property
    def indicators(self) -> Tensor:
        """Estimates of the relative error that each cell causes, up to a common factor, (N,).

        They are `CellSystem.indicators` for `shares`, divided by `size`.
        """
        return self.system.indicators(self.shares) / self.size

    @cached_property
    def is_above_rounding(self) -> Tensor:
        """A mask (N,) of the cells whose halves would have larger residuals than rounding errors.

        See `above_rounding`.
        """
        own = self.solution.coefficients[..., None], self.shares[:, None]
        return above_rounding(self.system, *own)[:, 0]

    @cached_property
    def _highest_terms(self) -> list[Tensor]:
        """The squared L2 norms of terms of high degrees in each cell, (N,) each.

        The first are those of the degrees k - 3 and k - 2, the second those of the highest degrees
        k - 1 and k. Only the fields that error norms include count.
        """
        own, geometry = self.system.polynomials, self.system.geometry
        squares = self.solution.coefficients[..., list(self.system.counted)].square().sum(dim=2)
        squares = squares * geometry.extents.prod(dim=1)[:, None] / 2**own.dim
        counts = [own.count(own.degree - n) for n in (4, 2, 0)]
        return [squares[:, low:high].sum(dim=1) for low, high in pairwise(counts)]

    @property
    def left_out(self) -> float:
        """The relative error due to the missing polynomials of degrees above the highest degree.

        The norms of the terms of each degree are assumed to decay geometrically in each cell from
        each pair of degrees to the next pair. For polynomials of the degree k, the factor of this
        decay is that from the degrees k - 3 and k - 2 to the highest degrees k - 1 and k. Below the
        degree 3 no factor is known, and the norm of the last terms is the estimate. The errors of
        30 solutions were 0.05 to 30 times the estimate. They exceeded it where errors in some cells
        disturb all other cells.
        """
        slowest, (before, last) = 0.9, self._highest_terms  # slowest: the largest factor per degree
        factors = (last / before.clamp_min(1e-300)).clamp_max(slowest**2)
        if self.system.polynomials.degree >= 3:
            last = last * factors / (1 - factors)
        return float(last.sum().sqrt()) / self.size

    @property
    def decay(self) -> float:
        """The ratio of the terms of the two highest degrees to those of the two degrees before.

        The ratio is limited to the range from the machine epsilon to 1. Terms are measured in L2
        over all cells, for the fields that error norms include.
        """
        before, last = (float(squares.sum()) for squares in self._highest_terms)
        return min(1.0, max(torch.finfo(torch.float64).eps, math.sqrt(last / max(before, 1e-300))))

    @property
    def unweighted(self) -> Tensor:
        """The contribution of each cell to the functional without the cells' weights, (N,)."""
        return self.shares / self.system.weights**2


def better_solution(problem: CellProblem, solved: SolvedTree, accuracy: float) -> SolvedTree:
    """Return a better solution of a problem, with which the present solution can be compared.

    It has a degree higher by 2, and smaller cells at singular corners. The integrals of a singular
    source are more accurate, and the weights at corners differ (see `SingularCorners.weights`).

    Args:
        problem: the problem.
        solved: the solution of the problem on the present cells.
        accuracy: the relative error at which conjugate gradients stop, as for `CellSystem.solve`.
    """
    finer = solved.solution.on(problem.deeper(solved.system.geometry))
    return solved_near(finer.richer, problem, accuracy)


def errors_by_comparison(
    problem: CellProblem, solved: SolvedTree, better: SolvedTree, enough: float, accuracy: float
) -> tuple[Tensor, float]:
    """The error that each cell causes, as an L2 norm, from comparisons with better solutions.

    The difference of the better solution from the present solution shows the error in each cell. If
    this error is small enough, no other comparison is needed. Otherwise two further solutions show
    where the error comes from: a solution with more accurate integrals of the singular source
    alone, and a solution with these integrals and with smaller cells at singular corners. The
    change from the present solution to the first of them is attributed to the cells with the
    singular source, and the change from the first to the second to the cells at singular corners.
    All errors include the factor `beyond`. Errors that come from other cells, such as those of
    waves near a resonance or behind a layer that is not resolved, do not show in indicators; see
    `attributed`.

    Args:
        problem: the problem.
        solved: the solution of the problem on the present cells.
        better: the result of `better_solution`.
        enough: the L2 norm of an error that is small enough for the solve to end.
        accuracy: the relative error at which conjugate gradients stop, as for `CellSystem.solve`.

    Returns:
        The errors, (N,), and the factor `beyond`.
    """
    system, found, fine = solved.system, solved.solution, better.system.geometry
    coarse = system.geometry
    parents = coarse.tree.locate(fine.frames.mean(dim=1), fine.tree.region)
    squares, present = torch.zeros_like(solved.shares), found
    indicated = (solved.indicators * solved.size).square()
    change = _difference(better, found.on(fine).richer)
    factor, rounding = 1.0, 1e-10 * solved.size

    def in_cells(values: Tensor) -> Tensor:
        """The sums of values in the cells of the better solution over each present cell, (N,)."""
        return torch.zeros_like(squares).index_add(0, parents, values)

    if float(change.norm()) > rounding:
        shown = in_cells(change.square())
        factor = beyond(solved, in_cells(better.unweighted), shown / indicated.clamp_min(1e-300))

    def improved(before: CellFunctions) -> tuple[Tensor, CellFunctions]:
        """Solve, linearised at `before`; return the squared change in L2, and the solution."""
        after = solved_near(before, problem, accuracy)
        return _difference(after, before).square().sum(), after.solution

    if factor * float(change.norm()) > enough:
        missed = torch.zeros_like(squares)  # possible errors of a singular source's integrals
        for term in system.equation:
            if term.at.alike:
                missed[term.at.cells] = problem.source_moments.apart(coarse, term)
        if bool(missed.any()):
            square, present = improved(present)
            squares += distributed(square, missed)
        start = present.on(fine)
        if fine is not coarse:
            square, start = improved(start)
            halved = parents.bincount(minlength=len(squares)) > 1
            squares += distributed(square, torch.where(halved, indicated, 0))
        change = _difference(better, start.richer)
    shown = in_cells(change.square())
    return factor * (squares + attributed(shown, indicated)).sqrt(), factor


def undetermined_error(solved: SolvedTree, better: SolvedTree) -> float:
    """The relative error that the residual permits if the linearised problem is nearly singular.

    A comparison does not show this error: the better solution starts from the present solution, and
    its residual hardly depends on a shift of a layer. See `kanpinn.linalg.qr.undetermined`.
    Equations with derivatives of the highest order alone have no nearly singular directions.

    Args:
        solved: the solution on the present cells.
        better: the better solution, whose space resolves more.

    Returns:
        The error; 0 without a nearly singular direction.
    """
    system = solved.system
    lower = (of_lower_order(one.slopes.flatten(0, 1), one.term.channels) for one in system.equation)
    if set(system.counted) <= set(system.free_fields) or not any(bool(one.any()) for one in lower):
        return 0.0
    rounding = rounding_shares(system, solved.solution.coefficients[..., None])
    residual = float((solved.unweighted.sum() + rounding.sum()).sqrt())
    responses, one = _responses(solved)
    return undetermined(responses, residual, system.is_linear(one), lambda: _responses(better)[0])


def _responses(solved: SolvedTree) -> tuple[Tensor, CellFunctions]:
    """The responses of a linearised problem to random data, see `kanpinn.linalg.qr.undetermined`.

    The problem is solved for n = 6 vectors of random numbers in place of the equation's right-hand
    sides. The responses are sums of all singular directions, each one divided by its singular
    value. Their singular values are those of the inverse up to the scatter of the random numbers.

    Args:
        solved: the solution on a tree.

    Returns:
        The singular values, divided by the norm of the solution, (n,); and one of the responses.
    """
    system, count, data = solved.system, 6, dict[AnyTerm, Tensor]()
    fields = [one for one in system.counted if one not in system.free_fields]
    generator = torch.Generator().manual_seed(0)
    for term, factors in zip(system.equation, system.equation_factors, strict=True):
        size = term.at.weights.sqrt()[:, :, None] * factors[:, None]
        draws = torch.randn(*size.shape, count, generator=generator, dtype=size.dtype)
        data[term] = torch.where(size > 0, 1 / size, 0.0)[..., None] * draws
    found, norms = system.solve(data), system.norms
    if found.functions.shared:  # shared functions may nearly be polynomials: only sums count
        functions = [found.one(index) for index in range(count)]
        parts = []
        for at in norms.places:
            jets = [one.jets(at, Channels(at.points.names)) for one in functions]
            values = torch.stack([one[:, :, 0, fields] for one in jets], dim=3)
            parts.append((at.weights.sqrt()[..., None, None] * values).flatten(0, 2))
        samples = torch.cat(parts)
    else:
        samples = norms.coordinates(found.coefficients[:, :, fields])
    return torch.linalg.svdvals(samples) / (count**0.5 * solved.size), found.one(0)


def with_means_of(solved: SolvedTree, better: SolvedTree) -> CellFunctions:
    """Return the better solution, shifted by constants to the means of the present solution.

    Only the fields that the problem determines up to a constant are shifted.

    Args:
        solved: the present solution.
        better: the better solution.
    """
    found, free = better.solution, list(solved.system.free_fields)
    if not free:
        return found
    apart = solved.system.norms.means(solved.solution) - better.system.norms.means(found)
    coefficients = found.coefficients.clone()
    coefficients[:, 0, free] += apart[free] * 2 ** (found.polynomials.dim / 2)
    return replace(found, coefficients=coefficients)


def beyond(solved: SolvedTree, after: Tensor, parts: Tensor) -> float:
    """The factor by which the error may exceed the distance of a solution from a better solution.

    Let the least-squares functional of the better solution be q times that of the present solution.
    In the norm of the functional, the error is (1 - q)^(-1/2) times the distance, since
    least-squares solutions are orthogonal projections. In L2 the error falls more slowly, and the
    factor is 1 / (1 - q), at most 10. With q = 0.5 at √x in the Thomas–Fermi equation errors were
    1.3 to 2.8 times the distance. Where the functional rises, for example at a corner layer that
    the rules of the coarser solution do not see, errors were 7 times the distance.

    In both functionals the contribution of each cell is multiplied by its entry of `parts`, or by 1
    if the entry is larger. At the ends of a sliding lid nearly the whole functional is in two
    cells, and the weights of the better solution make it larger. But these cells show only 3e-6 of
    the error that their contributions indicate, and the error was 1.1 times the distance.

    The factor is 1 if cells at singular corners have weights of their own: the better solution has
    smaller cells and other weights at these corners, and its functional need not fall.

    Args:
        solved: the present solution.
        after: the functional of the better solution in each cell, without weights, (N,).
        parts: the squared error that each cell shows, divided by its squared indicator, (N,).
    """
    largest = 0.9  # the part q that gives the largest factor
    counted = parts.clamp_max(1)
    before = float((counted * solved.unweighted).sum())
    if before == 0 or bool((solved.system.weights != 1).any()):
        return 1.0
    return 1 / (1 - min(float((counted * after).sum()) / before, largest))


def left_by(solved: SolvedTree, better: SolvedTree) -> float:
    """The part of the error of a linear problem's solution that a better solution leaves.

    In the norm of the least-squares functional it is the root of the ratio of the two functionals.
    In L2 errors may decay more slowly, as where rough terms are still hidden by smooth terms. So
    the part is at least the ratio of the better solution's terms of the highest degrees to those of
    the two degrees before (`SolvedTree.decay`). In 266 comparisons for solutions with kinks,
    layers, poles and singular corners, the error of the better solution was at most 1.4 times this
    estimate, in the median 0.4 times. From one degree to the next errors do not fall as steadily as
    the functional: for a thick cylinder in plane strain the ratios were 0.035, 0.06, 0.01 and 0.2
    (functional 0.06, 0.06, 0.06 and 0.05). So the part is twice as large. It is 1 if the weights or
    sources of the two problems differ.

    Args:
        solved: the present solution.
        better: the better solution.
    """
    if not (solved.system.is_plain and better.system.is_plain):
        return 1.0
    before, after = (float(one.unweighted.sum()) for one in (solved, better))
    return min(1.0, 2 * max(math.sqrt(after / max(before, 1e-300)), better.decay))


def attributed(shown: Tensor, indicated: Tensor) -> Tensor:
    """Attribute the squared errors seen in cells to the cells that cause them, (N,).

    The sum over all cells stays the same. A cell is assumed to cause its own error up to its
    indicator. The excess comes from other cells, and halving the cell would not reduce it. The
    excess of all cells is distributed among the cells in proportion to the error that each cell
    causes in itself. When the excess was distributed in proportion to the indicators alone, it went
    to the small cells at the ends of a sliding lid, whose indicators are up to 100 times their
    errors. Then large cells at the walls, which were not halved, made the vortex wrong by 9 %.

    Args:
        shown, indicated: the squared errors in the cells and the squared indicators of the cells,
            (N,) each.
    """
    own = torch.minimum(shown, indicated)
    return own + distributed((shown - own).sum(), own)


def distributed(square: Tensor, parts: Tensor) -> Tensor:
    """Distribute a squared error among the cells: return square · parts / Σ parts, (N,).

    If all parts are zero, the result is zero as well.

    Args:
        square: the squared error.
        parts: the relative parts of the cells, (N,).
    """
    return parts * (square / parts.sum().clamp_min(1e-300))


def solved_near(before: CellFunctions, problem: CellProblem, accuracy: float) -> SolvedTree:
    """Solve a problem, linearised at a function near its solution, as a better solution.

    The solution has accurate integrals of the source, and other weights at corners.

    Args:
        before: the function, whose cells and polynomials the solution has as well.
        problem: the problem.
        accuracy: the relative error at which conjugate gradients stop.
    """
    system = problem.linearised(before, limit=True)
    solutions = system.solve(near=before, accuracy=accuracy)
    return SolvedTree(system, solutions.first, solutions.shares[:, 0])


def imbalance(system: CellSystem, found: CellFunctions, effects: Tensor) -> tuple[float, Tensor]:
    """Return the integrals of a solution's residual over cells, relative to the equation's terms.

    Args:
        system: the least-squares problem, linearised at the solution.
        found: the solution.
        effects: the factors of each cell's integral, (N, 2), see `SingularCorners.effects`.

    Returns:
        Two results. First a ratio: the larger of two sums over all cells, divided by the integral
        of the absolute value of the largest term of all equations. One sum is of the absolute
        integrals times their first factors. The other is the absolute value of the sum of the
        integrals times their second factors. They are those of the equation for which a sum is
        largest; each equation is multiplied by its factor of `CellSystem.factors`, and integrals of
        rounding errors do not count. Second, the middle of the cell with the largest mean residual,
        (d,).
    """
    means, noise = torch.zeros_like(system.weights), _rounding(found.coefficients[..., None])
    usual = 1e3  # rounding errors of solutions, divided by those of their coefficients
    sums, sizes = [], []  # (equations,) each, for one term after the other
    for term, factors in zip(system.equation, system.factors, strict=True):
        weights, residuals = term.at.weights[..., None], term.residuals(found) * factors
        rounding = (weights * term.of_rates(noise)[..., 0].abs()).sum(dim=1) * factors
        signed = (weights * residuals).sum(dim=1)
        signed = signed.sign() * (signed.abs() - usual * rounding).clamp_min(0)
        each, net = effects[term.at.cells].T[..., None]
        own = signed.abs() * each
        slopes, channels = term.slopes, term.term.channels
        if channels.second == "laplacian":  # a sum that does not show how large the u_ii are
            first = 1 + channels.dim  # after the value and the gradient
            every = [slopes[:, :, :, first : first + 1]] * channels.dim
            slopes = torch.cat([slopes[..., :first, :], *every, slopes[..., first + 1 :, :]], dim=3)
            channels = replace(channels, second="diagonal")
        parts = slopes * found.jets(term.at, channels)[:, :, None]
        source = residuals - parts.sum(dim=(3, 4)) * factors
        terms = (parts.flatten(3).abs() * weights[..., None]).sum(dim=(0, 1)).amax(dim=1) * factors
        sizes.append(torch.maximum(terms, (source.abs() * weights).sum(dim=(0, 1))))
        sums.append(torch.stack([own.sum(dim=0), (signed * net).sum(dim=0)]))
        means[term.at.cells] = own.amax(dim=1) / term.at.weights.sum(dim=1)
    frames = system.geometry.frames[int(means.argmax())]
    middle = physical(system.geometry.domain, frames.mean(dim=0))
    largest = float(torch.stack(sizes).sum(dim=0).max())
    return float(torch.stack(sums).sum(dim=0).abs().max()) / (largest or 1.0), middle


def _difference(solved: SolvedTree, before: CellFunctions) -> Tensor:
    """The L2 norm in each cell of the difference of a solution from another function, (N,).

    In fields that are determined up to a constant, the mean of the difference does not count.

    Args:
        solved: the solution.
        before: the other function, on the same cells and with the same polynomials.
    """
    norms, change = solved.system.norms, solved.solution.minus(before)
    return norms.of_cells(norms.without_means(change, solved.system.free_fields))


def quadrature_defects(system: CellSystem, functions: Sequence[CellFunctions]) -> list[Tensor]:
    """The mean residuals that collocation points miss in whole cells, by terms of the equation.

    The mean of the residual over a cell is computed by the collocation points, and by a rule with
    more points, the outermost of them on the cell's sides. The difference of the means is the error
    of the first one, such as at a jump of a coefficient inside the cell. Where coefficients are
    polynomials both rules are exact.

    Args:
        system: the least-squares problem.
        functions: n functions in its cells.

    Returns:
        For each term of the equation the differences, (c, equations, n).
    """
    many, dim, found = max(300, 2**15 // len(system.geometry.tree)), system.polynomials.dim, []
    count = max(system.polynomials.degree + 4, int(many ** (1 / dim)))
    local, weights = closed_rule(count, dim)
    # A jump at a cell's side is in no cell. Near an interface a point may be in another region.
    inwards = 4 * CellCutter.sliver if system.interfaces else 1e-9
    for term in system.equation:
        if term.at.alike:
            own = [term.defects(local, weights, one, inwards) for one in functions]
            found.append(torch.stack(own, dim=2))
        else:
            found.append(term.right.new_zeros(len(term.right), term.right.shape[2], len(functions)))
    return found


def defects_in_cells(system: CellSystem, defects: Sequence[Tensor]) -> Tensor:
    """The sizes of the defects, multiplied by the cells' volumes, (N, n).

    Args:
        system: the least-squares problem.
        defects: the result of `quadrature_defects` for n functions.
    """
    found = torch.zeros(len(system.geometry.tree), defects[0].shape[2], dtype=torch.float64)
    for term, factors, own in zip(system.equation, system.factors, defects, strict=True):
        sizes = torch.einsum("e,cen->cn", factors, own.abs())
        found[term.at.cells] = term.at.weights.sum(dim=1)[:, None] * sizes
    return found


def errors_by_quadrature(solved: SolvedTree) -> Tensor:
    """The L2 norm of the error in each cell from what collocation points miss, (N,).

    The linearised problem is solved for the defects of `quadrature_defects` in place of the source.
    The norm of this solution is attributed to the cells in proportion to their defects. Without a
    cell whose defect is comparable with the residual at the collocation points there is no solve,
    and all errors are zero.

    Args:
        solved: the solution on a tree.
    """
    system = solved.system
    defects = quadrature_defects(system, [solved.solution])
    parts, comparable = defects_in_cells(system, defects)[:, 0], 1e-3
    shown = solved.unweighted * system.geometry.extents.prod(dim=1)
    if not bool((parts.square() > comparable * shown).any()):
        return torch.zeros_like(parts)
    data: dict[AnyTerm, Tensor] = {
        term: own[:, None].expand(-1, term.right.shape[1], -1, -1)
        for term, own in zip(system.equation, defects, strict=True)
    }
    change = system.solve(data).one(0)
    change = system.norms.without_means(change, system.free_fields)
    return distributed(parts.new_tensor(system.norms.total(change) ** 2), parts.square()).sqrt()
