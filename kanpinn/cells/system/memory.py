"""The memory that solves in cells take, by constants that were measured."""

import math

from kanpinn._support.memory import machine_memory, written_size
from kanpinn.cells.system.cell_system import CellSystem


def solve_bytes(count: int, dim: int, traces: int) -> int:
    """The bytes of the factors and fronts of a nested dissection.

    In the plane they grow like N log N, in space like N^(4/3). The constants were fitted to solves
    in squares and cubes of 4² to 64² and 4³ to 8³ equal cells of degrees 4 to 20; the measured
    numbers differ from the result by up to a quarter.

    Args:
        count: the number of cells N.
        dim: the number of coordinates.
        traces: the number of unknowns on a face.
    """
    growth = {1: 24.0, 2: 24 + 4.5 * math.log2(max(count, 2))}.get(dim, 25 * count ** (1 / 3))
    return int(8 * traces**2 * count * growth)


def system_bytes(system: CellSystem, count: int) -> int:
    """The bytes that a solve takes if there are `count` cells like those of a system.

    Cells with coefficients that vary have a matrix and a factor of their own.
    """
    tree, traces = system.geometry.tree, system.traces.size
    columns, outer = system.polynomials.size * len(system.coupling.orders), 2 * tree.dim * traces
    local = 0
    for term in system.equation:
        cells, points, equations = term.right.shape
        rows = points * equations + outer
        local += 0 if term.is_alike else cells * (rows * columns + (columns + outer) ** 2)
    return solve_bytes(count, tree.dim, traces) + 8 * local * count // len(tree)


def too_many(system: CellSystem, count: int, most: int, *, again: bool = False) -> str:
    """Why `count` cells like those of a system are too many, in words; empty if they are not.

    Args:
        system: the system.
        count: the number of cells.
        most: the largest number of cells.
        again: whether factors are kept for further right-hand sides, in twice the memory.
    """
    if count > most:
        return f"would be more than cells = {most}"
    size, memory = system_bytes(system, count) * (2 if again else 1), machine_memory()
    if size > memory:
        there = written_size(int(memory))
        return f"would need {written_size(size)} of memory, and this machine has {there}"
    return ""
