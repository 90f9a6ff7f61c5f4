"""Why cells cannot be halved any further."""

from torch import Tensor

from kanpinn.cells.cell_problem import CellProblem
from kanpinn.cells.cell_system import CellSystem
from kanpinn.cells.memory import too_many


def why_no_smaller(
    problem: CellProblem, system: CellSystem, errors: Tensor, chosen: Tensor, most: int
) -> str:
    """Why cells cannot be halved, in words; empty if they can.

    Args:
        problem: the problem.
        system: its least-squares problem on the present cells.
        errors: in each cell, (N,).
        chosen: the cells to halve, a mask (N,).
        most: the largest number of cells.
    """
    divisible = problem.divisible(system.geometry)
    if float(errors[~divisible].norm()) > float(errors[divisible].norm()):
        return "cells at a corner of the boundary are as small as rounding permits"
    count = len(chosen) + (2**system.geometry.tree.dim - 1) * int(chosen.sum())
    refusal = too_many(system, count, most)
    return refusal and f"the next {count} cells {refusal}"
