"""Checks that refuse settings too large for the machine's memory or time, before a run starts."""

import inspect
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy

from kanpinn._support.errors import InputError
from kanpinn._support.memory import machine_memory, written_size
from kanpinn._support.wording import show
from kanpinn.cells import Cells
from kanpinn.cells.polynomials import LocalPolynomials
from kanpinn.cells.system.coupling import Traces
from kanpinn.cells.system.memory import factor_bytes
from kanpinn.evolution import CellWindows, Windows
from kanpinn.geometry import Box
from kanpinn.geometry.sampling import Collocation
from kanpinn.networks import KAN, MLP, Network
from kanpinn.pde.boundary_value_problem import BoundaryValueProblem


def check_points(points: Collocation, problem: BoundaryValueProblem) -> None:
    """Refuse collocation points that do not fit into memory, or Gauss rules with too many nodes.

    Args:
        points: the collocation points.
        problem: the problem whose domain and boundary they lie on.

    Raises:
        InputError: if there are too many; the message names the key.
    """
    most = 10_000  # nodes per axis: computing more of them takes longer than any solve
    copies = 4  # a solve holds at least four copies of the points
    dim, faces = problem.domain.dim, len(problem.domain.boundary.pieces)
    for name, count, axes in (
        ("interior", points.interior, dim),
        ("boundary", points.boundary // faces, dim - 1),
    ):
        given = f"points.{name} = {getattr(points, name)}"
        check_memory(given, 8 * copies * dim * getattr(points, name))
        if points.sampler == "gauss" and axes and count > most**axes:
            raise InputError(
                f"{given}: Gauss rules have at most {most} nodes on an axis; take fewer points, or "
                "another sampler"
            )


def check_shape(kind: Any, table: Mapping[str, Any], path: str) -> None:
    """Refuse boxes of so many dimensions that their faces alone take seconds and a gigabyte.

    Args:
        kind: the class of the shape.
        table: its arguments, for a box a range for each coordinate.
        path: the dotted path of the table, for messages.

    Raises:
        InputError: if there are too many coordinates.
    """
    most = 500
    if kind is Box and len(table) > most:
        raise InputError(f"{path}: expected at most {most} coordinates, got {len(table)}")


def check_network(
    kind: type[Network],
    table: Mapping[str, Any],
    path: str,
    ends: Callable[[Sequence[int]], None] | None = None,
) -> None:
    """Refuse widths, degrees and grids whose coefficients do not fit into memory.

    Widths that do not fit to the problem are refused as well, before so large a network is built.

    Args:
        kind: the class of the network. Own classes are not checked, as the meaning of their keys is
            unknown.
        table: the arguments of the network, by key.
        path: the dotted path of the table, for messages.
        ends: refuses a width whose inputs or outputs are not those of the problem or of the data.

    Raises:
        InputError: if a size is too large; the message names the key.
    """
    if kind in (Cells, CellWindows):
        return _check_cells(table, path, ends, times=int(kind is CellWindows))
    if kind not in (KAN, MLP, Windows) or len(table["width"]) < 2:  # which the class refuses
        return
    most = 100  # splines of a much lower degree already lose all digits to rounding
    deepest = 50  # layers: placing the grids takes quadratic time in their number
    widest = 100_000  # units of a layer: least squares need the square of their number
    finest = 10_000  # intervals: their table takes seconds and half a gigabyte
    copies = 4  # a solve holds at least four copies of the coefficients
    degree, grid = (int(numpy.max(table.get(key, 1), initial=1)) for key in ("degree", "grid"))
    if degree > most:
        given = f"{path}.degree = {show(table['degree'])}"
        raise InputError(f"{given}: expected at most {most}, got {degree}")
    layers = len(table["width"]) - 1
    if layers > deepest:
        given = f"{path}.width = {show(table['width'])}"
        raise InputError(f"{given}: expected at most {deepest} layers, got {layers}")
    if max(table["width"]) > widest:
        given = f"{path}.width = {show(table['width'])}"
        raise InputError(f"{given}: expected at most {widest} units in a layer")
    if grid > finest:
        given = f"{path}.grid = {show(table['grid'])}"
        raise InputError(f"{given}: expected at most {finest} intervals, got {grid}")
    if ends is not None:
        ends(table["width"])
    products = sum(a * b for a, b in itertools.pairwise(table["width"]))
    known = {key: table[key] for key in ("width", "degree", "grid") if key in table}
    given = ", ".join(f"{path}.{key} = {value}" for key, value in known.items())
    check_memory(given, 8 * copies * products * (degree + grid))


def _check_cells(
    table: Mapping[str, Any],
    path: str,
    ends: Callable[[Sequence[int]], None] | None,
    times: int,
) -> None:
    """Refuse more cells than a solve for a field of an equation of first order has memory for.

    times: the number of inputs that are a time, 0 or 1.
    """
    own = inspect.signature(Cells).parameters
    width, cells = table["width"], table.get("cells", own["cells"].default)
    degree = min(int(table.get("degree", own["degree"].default)), Cells.highest)
    if len(width) != 2 or min(*width, degree) < 1:  # which the class refuses
        return
    if ends is not None:
        ends(width)
    dim = max(1, width[0] - times)
    count = cells**dim if isinstance(cells, int) else math.prod(cells)
    traces = Traces(LocalPolynomials(degree, dim), (1,))
    given = ", ".join(f"{path}.{key} = {table[key]}" for key in ("degree", "cells") if key in table)
    if count > 1:
        check_memory(given, factor_bytes(traces, count))


def check_memory(given: str, size: int) -> None:
    """Refuse what needs more than the machine's memory.

    Args:
        given: the settings that need the memory, for the message.
        size: how many bytes they need.

    Raises:
        InputError: if there is too little memory.
    """
    memory = machine_memory()
    if size > memory:
        raise InputError(
            f"{given}: needs at least {written_size(size)} of memory, and this machine has "
            f"{written_size(int(memory))}"
        )
