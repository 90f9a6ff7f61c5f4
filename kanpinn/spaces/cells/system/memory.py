"""The memory that solves in cells take, from counts of stored numbers and measured constants."""

import math

from kanpinn._support.errors import UNCOMPARED
from kanpinn._support.memory import free_memory, machine_memory, written_size
from kanpinn.spaces.cells.polynomials import LocalPolynomials
from kanpinn.spaces.cells.system.cell_system import CellSystem
from kanpinn.spaces.cells.system.coupling import Traces


def factor_bytes(traces: Traces, count: int) -> int:
    """The bytes that a solve for the unknowns on faces takes, with the cheaper of two methods.

    The first method is a nested dissection, whose factors and fronts (dense blocks of unknowns)
    grow like N log N in the plane and like N^(4/3) in space. The constants of this method were
    fitted to solves in squares and cubes of 8² to 64² and 5³ to 12³ equal cells of degrees 4 to 16;
    measured memory differs by up to a tenth. The second method is conjugate gradients on two
    levels, with the factors of the coarse unknowns as the preconditioner. The constants of this
    method were fitted to the peak memory for 16² to 64² and 8³ to 12³ equal cells with 4 to 16
    coarse unknowns on a face; in the plane, few coarse unknowns took up to a third more memory.

    Args:
        traces: the unknown polynomials on a face.
        count: the number of cells N.
    """
    dim, size = traces.polynomials.dim, traces.size(shared=False)
    coarse = int(traces.coarse(3 if dim < 3 else 1, shared=False).sum())
    halvings, root = math.log2(max(count, 2)), count ** (1 / 3)
    growth = {1: 16.0, 2: 1 + 4.4 * halvings}.get(dim, 18 * root)
    dissected = int(8 * size**2 * count * growth)
    growth = {1: 16.0, 2: 5.5 * halvings}.get(dim, 21 * root)
    by_levels = int(8 * coarse**2 * count * growth + 24 * dim * size**2 * count)
    return min(dissected, by_levels)


def system_bytes(system: CellSystem, count: int, *, again: bool = False, more: int = 0) -> int:
    """The bytes that a solve would take with another number of cells, of another degree.

    Args:
        system: the least-squares problem of the present cells.
        count: the number of cells.
        again: whether factors are kept for further right-hand sides. Then memory is also needed for
            the Householder reflections and for the rows of these right-hand sides.
        more: the degree of the solve minus the degree of `system`.
    """
    dim, degree, fields = system.geometry.tree.dim, system.polynomials.degree, system.traces.orders
    polynomials = LocalPolynomials(degree + more, dim)
    columns = polynomials.size * len(fields)
    every = Traces(polynomials, fields)
    traces = every.size(shared=False)
    outer = 2 * dim * traces * (1 - count ** (-1 / dim))  # cells at the boundary have fewer faces
    numbers = 0.0
    for term in system.equation:
        cells, points, equations, parts, _ = term.slopes.shape
        cells = cells * count / len(system.geometry.tree)
        points *= (1 + more / (degree + 3)) ** dim
        rows = points * equations
        # Alike cells of one size share a matrix. They share factors only if conditions are equal.
        groups, matrices = (min(cells, 3**dim), 1) if term.is_alike else (cells, cells)
        numbers += 3 * rows * parts * len(fields) * cells  # jets and slopes at the points
        numbers += groups * (columns + outer) ** 2
        numbers += 3 * rows * columns + (2 * matrices * rows * columns if again else 0)
        numbers += groups * outer * columns if again else 0
    return int(factor_bytes(every, count) * (2 if again else 1) + 8 * numbers)


def no_comparison(
    system: CellSystem, *, kept: int = 0, again: bool = False, more: int = 2, free: bool = False
) -> str:
    """Return why a solution of a higher degree needs too much memory, as text; or "".

    The solution of the higher degree would be compared with the present solution.

    Args:
        system: the least-squares problem of the present solution.
        kept: the number of systems of the present degree that are kept for further right-hand
            sides; a complex system counts twice. If 0, the system of the higher degree is not kept
            either.
        again: whether the factors of the system of the higher degree are kept in any case, for
            iterative refinement.
        more: the higher degree minus the degree of the system.
        free: whether only the memory that is free now counts, not all memory of the machine.
    """
    count = len(system.geometry.tree)
    size = system_bytes(system, count, again=again or kept > 0, more=more)
    size += kept * system_bytes(system, count, again=True)
    why, degree = _too_large(size, free=free), system.polynomials.degree + more
    return why and f"{UNCOMPARED} {degree} {why}"


def _too_large(size: int, *, free: bool = False) -> str:
    """Return a text that `size` bytes exceed the machine's memory; empty if they do not.

    Args:
        size: the bytes.
        free: whether only the free memory counts.
    """
    memory = free_memory() if free else machine_memory()
    if size > memory:
        there = written_size(int(memory))
        has = f"{there} are free" if free else f"this machine has {there}"
        return f"would need {written_size(size)} of memory, and {has}"
    return ""


def too_many(system: CellSystem, count: int, most: int, *, kept: int = 0) -> str:
    """Return why a number of cells is too large, as text; empty if it is not.

    Args:
        system: the least-squares problem of the present cells.
        count: the number of cells.
        most: the largest number of cells that the settings allow.
        kept: the number of systems that are kept for further right-hand sides; a complex system
            counts twice.
    """
    if count > most:
        return f"would be more than cells = {most}"
    return _too_large(max(1, kept) * system_bytes(system, count, again=kept > 0))
