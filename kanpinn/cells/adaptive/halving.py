"""Which cells are halved, and why they cannot be."""

import math

import torch
from torch import Tensor

from kanpinn.cells.adaptive.coordinates import coordinates_to_halve
from kanpinn.cells.adaptive.solved_tree import SolvedTree
from kanpinn.cells.problems.cell_problem import CellProblem
from kanpinn.cells.system.cell_system import CellSystem
from kanpinn.cells.system.memory import too_many


def bulk(errors: Tensor, part: float) -> Tensor:
    """A mask (N,) of the fewest cells that together have a part of the sum of squared errors.

    Reference: Dörfler, A convergent adaptive algorithm for Poisson's equation (1996).
    """
    squares, order = errors.square().sort(descending=True)
    enough = squares.cumsum(0) >= part * squares.sum()
    count = int(enough.to(torch.uint8).argmax()) + 1
    mask = torch.zeros_like(errors, dtype=torch.bool)
    mask[order[:count]] = True
    return mask


def to_halve(
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
    divisible, tree = problem.divisible(solved.system.geometry), solved.system.geometry.tree
    steep = coordinates_to_halve(solved.system.polynomials, solved.solution.coefficients)
    steep = problem.coordinates(solved.system.geometry, steep)
    found: list[Tensor] = []
    for smaller in (1.0, 0.9, 0.8, 0.65, 0.5, 0.35):
        found.append(bulk(errors * divisible, smaller * part)[:, None] & steep)
        if tree.count_when_split(found[-1]) <= most:
            return found[-1]
    return found[0]


def part_to_halve(tolerance: float, estimate: float, most: float) -> float:
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


def why_no_smaller(
    problem: CellProblem,
    system: CellSystem,
    errors: Tensor,
    chosen: Tensor,
    most: int,
    *,
    kept: int = 0,
) -> str:
    """Why cells cannot be halved, in words; empty if they can.

    Args:
        problem: the problem.
        system: its least-squares problem on the present cells.
        errors: in each cell, (N,).
        chosen: the coordinates in which cells are to be halved, a mask (N, d).
        most: the largest number of cells.
        kept: how many systems are kept for further right-hand sides; a complex one counts twice.
    """
    divisible = problem.divisible(system.geometry)
    if float(errors[~divisible].norm()) > float(errors[divisible].norm()):
        return "cells at a singular corner are as small as rounding permits"
    return why_too_many(system, chosen, most, kept=kept)


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
