"""Checks that refuse settings too large for the machine's memory or time, before a run starts."""

import itertools
import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy

from kanpinn._support.errors import InputError
from kanpinn._support.wording import show
from kanpinn.evolution import Windows
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
        check_memory(given, copies * dim * getattr(points, name))
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
    check_memory(given, copies * products * (degree + grid))


def check_memory(given: str, numbers: int) -> None:
    """Refuse more float64 numbers than the machine's memory holds.

    Args:
        given: the settings that need the memory, for the message.
        numbers: how many numbers they need.

    Raises:
        InputError: if there is too little memory.
    """
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # unknown on this system
        return
    size = 8 * numbers  # bytes
    if size > memory:
        raise InputError(
            f"{given}: needs at least {_written(size)} of memory, and this machine has "
            f"{_written(memory)}"
        )


def _written(count: int) -> str:
    units = ("bytes", "kB", "MB", "GB", "TB", "PB")
    power = min(int(math.log10(max(count, 1)) // 3), len(units) - 1)
    return f"{min(count, 10**300) / 10 ** (3 * power):.3g} {units[power]}"
