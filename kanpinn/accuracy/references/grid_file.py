"""What a file with a grid holds, checked against the problem."""

from collections.abc import Mapping
from pathlib import Path

import numpy
from numpy import ndarray

from kanpinn._support.errors import InputError
from kanpinn.data.column_files import Cells, numbers
from kanpinn.geometry import Box
from kanpinn.pde.problem import Problem

TOLERANCE = 1e-6  # by so much of an axis may a grid end before the domain does


def is_grid(columns: Mapping[str, Cells], problem: Problem) -> bool:
    """Whether the fields have an index for each coordinate, and the coordinates one only."""
    names = problem.domain.names
    coordinates = [columns[name] for name in names if name in columns]
    fields = [columns[name] for name in problem.fields if name in columns]
    return (
        len(names) > 1
        and bool(fields)
        and all(numpy.ndim(c) == 1 for c in coordinates)
        and all(numpy.ndim(c) == len(names) for c in fields)
    )


def grid_of(
    path: str, columns: Mapping[str, Cells], problem: Problem, degree: int
) -> tuple[list[ndarray], ndarray]:
    """The axes (n_i,) and the values (n_1, …, n_d, m), NaN for fields that do not count.

    Raises:
        InputError: for axes that do not increase, are too short for the degree or do not fill the
            domain, fields of another shape, numbers that are not finite, a domain that is no box.
    """
    domain = problem.domain
    if not isinstance(domain, Box):
        raise InputError(f"{path} holds a grid, which is for boxes, not a {type(domain).__name__}")
    needed = (*domain.names, *(problem.error_fields or problem.fields))
    for name in needed:
        if name not in columns:
            raise InputError(f"{path} has no column {name!r}; its columns are {', '.join(columns)}")
    if "weight" in columns:
        raise InputError(f"{path} holds a grid, which takes no weight")
    ends = zip(*(corner.tolist() for corner in domain.bounds), strict=True)
    axes = [
        _axis(path, name, columns[name], low, high, degree)
        for name, (low, high) in zip(domain.names, ends, strict=True)
    ]
    shape = tuple(len(axis) for axis in axes)
    fields = [
        _field(path, name, columns[name], shape)
        if name in columns
        else numpy.full(shape, numpy.nan)
        for name in problem.fields
    ]
    return axes, numpy.stack(fields, axis=-1)


def _axis(path: str, name: str, cells: Cells, low: float, high: float, degree: int) -> ndarray:
    axis = numbers(Path(path), name, cells)
    if not (numpy.isfinite(axis).all() and (numpy.diff(axis) > 0).all()):
        raise InputError(f"{path}: the grid's {name} must increase from each number to the next")
    if len(axis) <= degree:
        raise InputError(
            f"{path}: splines of degree {degree} need more than {degree} numbers, {name} has "
            f"{len(axis)}"
        )
    if max(abs(axis[0] - low), abs(axis[-1] - high)) > TOLERANCE * (high - low):
        raise InputError(
            f"{path}: the grid must fill the domain, in which {name} goes from {low:g} to "
            f"{high:g}; it goes from {axis[0]:g} to {axis[-1]:g}"
        )
    return axis


def _field(path: str, name: str, cells: Cells, shape: tuple[int, ...]) -> ndarray:
    if numpy.shape(cells) != shape:
        raise InputError(
            f"{path}: {name} has the shape {numpy.shape(cells)}, the coordinates make it {shape}"
        )
    values = numbers(Path(path), name, cells).reshape(shape)
    bad = numpy.argwhere(~numpy.isfinite(values))
    if len(bad):
        raise InputError(
            f"{path}: {name} has {len(bad)} numbers that are not finite, the first at "
            f"{bad[0].tolist()}"
        )
    return values
