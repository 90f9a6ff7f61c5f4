"""Which cells are refined, in which coordinates, and why they cannot be: by estimated errors,
in boundary layers, and for short waves.
"""

import itertools
import math

import torch
from torch import Tensor

from kanpinn.jets import Channels, coefficients_along
from kanpinn.spaces.cells.polynomials import LocalPolynomials
from kanpinn.spaces.cells.problem import CellProblem
from kanpinn.spaces.cells.system.cell_system import CellSystem
from kanpinn.spaces.cells.system.functions import CellField
from kanpinn.spaces.cells.system.memory import too_many
from kanpinn.spaces.cells.system.terms import SampledTerm
from kanpinn.tasks.cell_errors import SolvedTree


def coordinates_to_refine(polynomials: LocalPolynomials, coefficients: Tensor) -> Tensor:
    """The coordinates in which halving a cell reduces the error most for its cost, a mask (N, d).

    What the polynomials leave out is taken to be like their terms of the highest two degrees.
    Halving in one coordinate multiplies a term of the degree n in it by about 2^-n, and doubles the
    cells. So the coordinates are those with the largest logarithm of the reduction per halving. All
    coordinates are taken unless others exceed them in this by a third: where many features are
    unresolved, the terms tell little. Without this preference an oblique front took 11 trees in
    place of 8.

    Args:
        polynomials: the functions of a cell.
        coefficients: of a solution, (N, L, m).
    """
    clearly, highest = 1.3, 2
    first = polynomials.count(polynomials.degree - highest)
    squares = coefficients[:, first:].square().sum(dim=2)
    sums = squares.sum(dim=1, keepdim=True)
    every = itertools.product((True, False), repeat=polynomials.dim)  # all coordinates come first
    choices = torch.tensor([one for one in every if any(one)])
    powers = polynomials.powers[first:] @ choices.T.long()  # (terms, choices)
    left = torch.where(sums > 0, squares @ 0.25 ** powers.double() / sums, 1.0)
    gains = -left.log() / choices.sum(dim=1)
    gains[:, 0] *= clearly
    return choices[gains.argmax(dim=1)]


def dorfler_marking(errors: Tensor, part: float) -> Tensor:
    """A mask (N,) of the fewest cells that together have a part of the sum of squared errors.

    Reference: Dörfler, A convergent adaptive algorithm for Poisson's equation (1996).
    """
    squares, order = errors.square().sort(descending=True)
    enough = squares.cumsum(0) >= part * squares.sum()
    count = int(enough.to(torch.uint8).argmax()) + 1
    mask = torch.zeros_like(errors, dtype=torch.bool)
    mask[order[:count]] = True
    return mask


def to_refine(
    problem: CellProblem, solved: SolvedTree, errors: Tensor, part: float, most: float = math.inf
) -> Tensor:
    """The coordinates in which cells with a part of the squared error are halved, (N, d).

    Args:
        problem: the problem.
        solved: its solution.
        errors: of it in each cell, (N,).
        part: of the squared error. Where there would be more than `most` cells, a smaller part is
            taken, down to a third of this one; where there still are, this one is.
        most: the wanted number of cells.
    """
    geometry, singular = solved.system.geometry, problem.singularities
    steep = coordinates_to_refine(solved.system.polynomials, solved.solution.coefficients)
    steep, divisible = singular.coordinates(geometry, steep), singular.divisible(geometry)
    found: list[Tensor] = []
    for smaller in (1.0, 0.9, 0.8, 0.65, 0.5, 0.35):
        found.append(dorfler_marking(errors * divisible, smaller * part)[:, None] & steep)
        if geometry.tree.count_when_split(found[-1]) <= most:
            return found[-1]
    return found[0]


def part_to_refine(tolerance: float, estimate: float, most: float) -> float:
    """The part of the squared error that the cells to be halved have.

    Within `reach` times the tolerance all cells are halved at once for which the tolerance has no
    room: the others keep 0.7 of the squared tolerance. Each further tree would cost another solve.

    Args:
        tolerance, estimate: the wanted and the estimated error.
        most: the largest part where the error is larger than that.
    """
    least, reach, left = 0.5, 100.0, 0.7
    enough = 1 - left * min(1.0, tolerance / (estimate or 1.0)) ** 2
    most = most if estimate > reach * tolerance else 1.0
    return min(most, max(least, enough))


def why_too_many(system: CellSystem, chosen: Tensor, most: int, *, kept: int = 0) -> str:
    """Why the cells would be too many after some are halved, in words; empty if they are not.

    Args:
        system: the least-squares problem on the present cells.
        chosen: the coordinates in which cells are to be halved, a mask (N, d).
        most: the largest number of cells.
        kept: how many systems are kept for further right-hand sides; a complex one counts twice.
    """
    count = system.geometry.tree.count_when_split(chosen)
    refusal = too_many(system, count, most, kept=kept)
    return refusal and f"the next {count} cells {refusal}"


def cells_in_layers(system: CellSystem) -> Tensor:
    """The coordinates along which a boundary layer is too steep for a cell, a mask (N, d).

    Where -ε u_nn + b u_n + … = f has b > 0 along the outward normal n of a boundary with a
    condition, the solution has a layer like e^(-b d/ε) at the distance d. Least squares on cells
    that do not resolve it have errors everywhere, which do not tell where to refine cells.
    Polynomials of degree k resolve it well in cells of the width k ε / (4 b). Only conditions on
    values at the sides of the domain's bounding box count: those on fluxes leave weak layers.

    Args:
        system: the least-squares problem on the present cells.
    """
    geometry, steepest = system.geometry, system.polynomials.degree / 4
    found = torch.zeros(geometry.widths.shape, dtype=torch.bool)
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
        found[cells, axis] |= steep[cells]
    return found


def _rates(term: SampledTerm, places: Tensor, axis: int, upper: bool) -> Tensor:
    """The largest b/ε of all fields in some cells of a term, towards an end of an axis, (c,).

    places: the numbers of the cells in the term, (c,).
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
    """The coordinates along which a cell's polynomials do not resolve waves, a mask (N, d).

    Where c₂ and c₀ in c₂ Δu + c₀ u = f have the same sign, solutions are waves with the phase
    √(c₀/c₂) h over a cell of the width h. If the degree does not exceed this phase by 10
    (measured), least-squares solutions are wrong everywhere. For nonlinear equations no cell is
    chosen: their coefficients depend on the solution, which is not known yet.

    Args:
        system: the least-squares problem on the present cells.
    """
    beyond, least, tree = 10, 2.0, system.geometry.tree
    most = max(least, system.polynomials.degree - beyond)
    found = torch.zeros(system.geometry.widths.shape, dtype=torch.bool)
    for term in system.equation:
        if term.term.channels.derivative_order != 2:
            return found
        for axis, widths in enumerate(system.geometry.widths[term.at.cells].T):
            phases = waves_along(term.slopes, term.term.channels, axis).mean(dim=1) * widths
            found[term.at.cells, axis] |= phases > most
    size, fields = system.polynomials.size, len(system.coupling.orders)
    ones = torch.ones(len(tree), size, fields, dtype=torch.float64)
    if bool(found.any()) and not system.is_linear(CellField(system.polynomials, ones)):
        return torch.zeros_like(found)
    return found
