"""Sizes that this machine cannot hold or work off, refused before they are tried."""

import itertools
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

from kanpinn._support.errors import InputError
from kanpinn.geometry.sampling import Collocation
from kanpinn.networks import KAN, MLP, Network
from kanpinn.optimizers import (
    LeastSquares,
    LevenbergMarquardt,
    Method,
    VariableProjection,
)
from kanpinn.pde.problem import Problem

NUMBER = 8  # bytes
COPIES = 4  # of points and coefficients that a solve holds, at the least
FACTORS = 2  # a triangle and the rows that are folded into it
MAX_NODES = 10_000  # of a Gauss rule on one axis: more take longer than any solve
MAX_DEGREE = 100  # of splines, far beyond what rounding leaves of them


def check_points(points: Collocation, problem: Problem) -> None:
    """Refuse points that do not fit into memory, or Gauss rules of too many nodes.

    Raises:
        InputError: naming the key.
    """
    dim, faces = problem.domain.dim, len(problem.domain.boundary.pieces)
    for name, count, axes in (
        ("interior", points.interior, dim),
        ("boundary", points.boundary / faces, dim - 1),
    ):
        given = f"points.{name} = {getattr(points, name)}"
        _fit(given, COPIES * dim * getattr(points, name))
        if points.sampler == "gauss" and axes and count ** (1 / axes) > MAX_NODES:
            raise InputError(
                f"{given}: Gauss rules have at most {MAX_NODES} nodes on an axis; take fewer "
                "points, or another sampler"
            )


def check_network(kind: type[Network], table: Mapping[str, Any], path: str) -> None:
    """Refuse widths, degrees and grids whose coefficients do not fit into memory.

    Raises:
        InputError: naming the key.
    """
    width = _numbers(table.get("width"))
    if not issubclass(kind, (KAN, MLP)) or len(width) < 2:
        return  # of other networks it is not known what their keys mean
    basis = 1
    if issubclass(kind, KAN):
        degree, grid = (max(_numbers(table.get(key, 1)), default=1) for key in ("degree", "grid"))
        if degree > MAX_DEGREE:
            raise InputError(
                f"{path}.degree = {table['degree']}: expected at most {MAX_DEGREE}, got {degree}"
            )
        basis = degree + grid
    products = sum(a * b for a, b in itertools.pairwise(width))
    given = {key: table[key] for key in ("width", "degree", "grid") if key in table}
    text = ", ".join(f"{path}.{key} = {value}" for key, value in given.items())
    _fit(text, COPIES * products * basis)


def check_factors(network: Network, optimizers: Sequence[Method], rows: int) -> None:
    """Refuse least-squares problems whose triangular factor does not fit into memory.

    Raises:
        InputError: naming the optimizer's table.
    """
    for index, optimizer in enumerate(optimizers):
        if isinstance(optimizer, LeastSquares):
            columns = sum(part.layers[-1].coefficients.numel() for part in network.parts)
        elif isinstance(optimizer, (LevenbergMarquardt, VariableProjection)):
            columns = network.parameter_count
        else:
            continue
        given = f"optimizer[{index}] ({optimizer.title} for {columns} coefficients)"
        _fit(given, FACTORS * columns * min(rows, columns))


def _numbers(value: Any) -> list[int]:
    """Positive integers, one or a list; what is something else the network's class will refuse."""
    values: list[Any] = list(value) if isinstance(value, (list, tuple)) else [value]
    return values if all(type(v) is int and v > 0 for v in values) else []


def _fit(given: str, numbers: int) -> None:
    """Refuse more numbers than the machine's memory holds."""
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # not every system tells
        return
    if numbers * NUMBER > memory:
        raise InputError(
            f"{given}: takes at least {_size(numbers * NUMBER)} of memory, this machine has "
            f"{_size(memory)}"
        )


def _size(count: int) -> str:
    units = ("bytes", "kB", "MB", "GB", "TB", "PB")
    power = min(int(math.log10(max(count, 1)) // 3), len(units) - 1)
    return f"{count / 10 ** (3 * power):.3g} {units[power]}"
