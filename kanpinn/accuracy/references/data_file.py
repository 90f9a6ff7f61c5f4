"""References from tables: files of values at points, or on a grid with spline interpolation."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy
import torch
from numpy import ndarray
from scipy.interpolate import BSpline, make_interp_spline
from torch import Tensor

from kanpinn._support.errors import InputError, integer, number
from kanpinn.accuracy.references.reference import Recipe, Reference
from kanpinn.data.column_files import READERS, Cells, numbers, read_columns
from kanpinn.geometry import Box, Domain, Points
from kanpinn.jets import Channels, Jet
from kanpinn.pde.problem import Problem


@dataclass(frozen=True, eq=False)
class PointData(Reference):
    """Values at points, without interpolation between them.

    Args:
        points: the points and their weights (n,), whose sum is 1. Their `data`, (n, m (1 + d)),
            hold for each of the m fields the value and the d first derivatives, NaN if unknown.
        fields: the number m of fields.
        source: a description of the data.
        error: the relative L2 error of the data, if it is known.
    """

    points: tuple[Points, Tensor] = field()  # without the default of the base
    fields: int
    source: str
    error: float | None = None

    def jet(self, points: Points, channels: Channels) -> Jet:
        assert points.data is not None, "data are known at their own points only"
        table = points.data.unflatten(1, (self.fields, -1))
        gradient = table[..., 1:].transpose(1, 2) if channels.gradient else None
        return Jet(channels, table[..., 0], gradient)


class _Splines(NamedTuple):
    """A tensor product of splines: knots and degree per axis, coefficients (n_1, …, n_d, m)."""

    knots: list[ndarray]
    degrees: list[int]
    table: ndarray


class GridData(Reference):
    """Values on a grid, interpolated by a tensor product of splines.

    Args:
        axes: the grid points along each coordinate, increasing, more than `degree` of them.
        values: the values of the m fields, (n_1, …, n_d, m).
        degree: the degree of the splines.
        source: a description of the data.
        error: the relative L2 error of the data, if it is known.
        periodic: for each coordinate, whether the splines are periodic along it, so that the values
            at the last grid point are those at the first; by default none is.
    """

    def __init__(
        self,
        axes: Sequence[ndarray],
        values: ndarray,
        degree: int,
        source: str,
        error: float | None = None,
        periodic: Sequence[bool] = (),
    ) -> None:
        self.error, self.source = error, source
        self._axes = axes
        knots, table = [], values
        for i, axis in enumerate(axes):
            turned = numpy.moveaxis(table, i, 0)
            ends = None
            if any(periodic[i : i + 1]):
                ends = "periodic"
                turned = numpy.concatenate([turned[:-1], turned[:1]])  # equal to the last bit
            spline = make_interp_spline(axis, turned, k=degree, bc_type=ends, check_finite=False)
            knots.append(spline.t)
            table = numpy.moveaxis(spline.c, 0, i)
        self._values = _Splines(knots, [degree] * len(axes), numpy.ascontiguousarray(table))

    def jet(self, points: Points, channels: Channels) -> Jet:
        chunks = points.coords.split(2**13)  # each point takes (degree + 1)^d numbers of memory
        parts = [self._jet(chunk, channels) for chunk in chunks]
        value, gradient = (torch.cat(part).to(points.coords) for part in zip(*parts, strict=True))
        return Jet(channels, value, gradient if channels.gradient else None)

    def _jet(self, coords: Tensor, channels: Channels) -> tuple[Tensor, Tensor]:
        """Return values (n, m) and the gradient (n, d, m), or (n, 0, m) if it is not asked for."""
        x = coords.detach().cpu().double().numpy()
        value = self._sum(x, self._values)
        slopes = [self._sum(x, table) for table in self._slopes] if channels.gradient else []
        gradient = numpy.stack([value, *slopes], axis=1)[:, 1:]
        return torch.from_numpy(value), torch.from_numpy(gradient)

    def _sum(self, x: ndarray, splines: _Splines) -> ndarray:
        """Evaluate a tensor product of splines at points (n, d) and return its values (n, m)."""
        knots, degrees, table = splines
        weights = numpy.ones((len(x), 1))
        position = numpy.zeros((len(x), 1), dtype=numpy.int64)
        for i, axis in enumerate(self._axes):
            inside = numpy.clip(x[:, i], axis[0], axis[-1])
            rows = BSpline.design_matrix(inside, knots[i], degrees[i])
            shape = (len(x), degrees[i] + 1)
            local, spline = rows.data.reshape(shape), rows.indices.reshape(shape)
            weights = (weights[:, :, None] * local[:, None]).reshape(len(x), -1)
            position = position[:, :, None] * table.shape[i] + spline[:, None]
            position = position.reshape(len(x), -1)
        flat = table.reshape(-1, table.shape[-1])
        return numpy.einsum("nk,nkm->nm", weights, flat[position])

    @functools.cached_property
    def _slopes(self) -> list[_Splines]:
        """The derivatives along each coordinate, as tensor products of splines."""
        return [self._derivative(along) for along in range(len(self._axes))]

    def _derivative(self, along: int) -> _Splines:
        knots, degrees, table = self._values
        turned = numpy.moveaxis(table, along, 0)
        spline = BSpline(knots[along], turned, degrees[along]).derivative()
        count = len(spline.t) - spline.k - 1  # SciPy pads the coefficients with zeros
        of = range(len(knots))
        return _Splines(
            [spline.t if i == along else knots[i] for i in of],
            [spline.k if i == along else degrees[i] for i in of],
            numpy.ascontiguousarray(numpy.moveaxis(spline.c[:count], 0, along)),
        )


# Points may lie outside the domain, and the ends of a grid inside it, by this share of the domain's
# size; values at both ends of a period may differ by this share of the largest value.
TOLERANCE = 1e-6
WEIGHT = "weight"  # the column of the points' weights


@dataclass(frozen=True)
class DataFile(Recipe):
    """Values from a file: at points, or on a grid.

    Errors against values at points are means over these points; nothing is interpolated. The file
    has named columns: the coordinates ("x", "y"), the fields ("u"), optionally their derivatives
    ("u_x", "u_y"), and optionally a "weight" for each point; by default all weights are equal. The
    first line of a ".csv" file has the names; ".npz" and ".h5" files have one array per column, all
    of one shape.

    The coordinates of a grid are arrays (n_x,) and (n_y,) from one end of the domain to the other,
    or beyond, and the fields are arrays (n_x, n_y). A tensor product of splines interpolates
    between the grid points. A grid needs a ".npz" or ".h5" file, and a box of two dimensions or
    more.

    Args:
        path: the file, which ends in .csv, .npz, .h5 or .hdf5.
        error: the relative L2 error of the data, if it is known.
        source: a description of the data and their origin.
        degree: the degree of the splines on a grid.
        periodic: the coordinates of a grid along which the splines are periodic, such as ("x",).
            The grid is one period long there. Near both ends of a period such splines are as
            accurate as inside, where others lose digits.

    Raises:
        InputError: if the file is of another kind, the error is not a number ≥ 0, or the degree is
            no positive integer.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> import numpy
        >>> import kanpinn as kp
        >>> x = numpy.linspace(0, 1, 9)
        >>> problem = kp.Poisson(kp.Box(x=(0, 1)), source="2", boundary="0")
        >>> with TemporaryDirectory() as folder:
        ...     numpy.savez(Path(folder, "values.npz"), x=x, u=x * (1 - x))
        ...     data = kp.DataFile(f"{folder}/values.npz")
        ...     solution = kp.solve(problem, kp.KAN([1, 1], degree=5, grid=4), reference=data)
        >>> solution.errors.l2_relative < 1e-12
        True
    """

    path: str
    error: float | int | None = None
    source: str | None = None
    degree: int = 7
    periodic: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if Path(self.path).suffix not in READERS:
            kinds = ", ".join(READERS)
            raise InputError(f"path must end in one of {kinds}, got {self.path!r}")
        if self.error is not None:
            number("error", self.error)
        integer("degree", self.degree)

    def build(self, problem: Problem) -> Reference:
        """Read the file, check it against the problem and return the reference.

        Raises:
            InputError: if the file cannot be read, a column is missing, of another length or not
                finite, points lie outside the domain, a grid does not fill it, or the values on a
                grid are not periodic where they have to be.
        """
        for along in self.periodic:
            if along not in problem.domain.names:
                there = ", ".join(problem.domain.names)
                raise InputError(f"periodic must name coordinates, {there}, got {along!r}")
        source = self.source or f"the data in {Path(self.path).name}"
        found = read_columns(Path(self.path))
        if _is_grid(found, problem):
            axes, values = _grid(self.path, found, problem, self.degree)
            around = [name in self.periodic for name in problem.domain.names]
            _check_periodic(self.path, problem, values, around)
            return GridData(axes, values, self.degree, source, self.error, around)
        columns = {
            name: torch.from_numpy(numbers(Path(self.path), name, cells))
            for name, cells in found.items()
        }
        names, fields = problem.domain.names, problem.fields
        needed = (*names, *(problem.error_fields or fields))
        _check_columns(self.path, columns, needed)
        coords = torch.stack([columns[name] for name in names], dim=1)
        _check_inside(self.path, problem.domain, coords)
        known = [columns.get(c) for f in fields for c in (f, *(f"{f}_{name}" for name in names))]
        unknown = torch.full((len(coords),), torch.nan, dtype=torch.float64)
        data = torch.stack([unknown if column is None else column for column in known], dim=1)
        weights = columns.get(WEIGHT, torch.ones(len(coords), dtype=torch.float64))
        if not (weights.min() >= 0 and weights.sum() > 0):
            raise InputError(f"{self.path}: every {WEIGHT} must be at least 0, and not all 0")
        points = Points(coords, names, data=data)
        return PointData((points, weights / weights.sum()), len(fields), source, self.error)


def _check_present(path: str, columns: Mapping[str, Any], needed: Sequence[str]) -> None:
    for name in needed:
        if name not in columns:
            there = ", ".join(columns) or "none"
            raise InputError(f"{path} has no column {name!r}; its columns are {there}")


def _check_columns(path: str, columns: Mapping[str, Tensor], needed: tuple[str, ...]) -> None:
    _check_present(path, columns, needed)
    count = len(columns[needed[0]])
    if not count:
        raise InputError(f"{path} has no points")
    for name, column in columns.items():
        if len(column) != count:
            raise InputError(f"{path}: {name} has {len(column)} numbers, {needed[0]} has {count}")
        _check_finite(path, name, column.numpy())


def _check_finite(path: str, name: str, values: ndarray) -> None:
    bad = numpy.argwhere(~numpy.isfinite(values))
    if len(bad):
        first = f"at {bad[0].tolist()}" if values.ndim > 1 else f"is number {int(bad[0, 0]) + 1}"
        count = f"{len(bad)} numbers that are not finite"
        raise InputError(f"{path}: {name} has {count}, the first {first}")


def _check_inside(path: str, domain: Domain, coords: Tensor) -> None:
    low, high = domain.bounds
    outside = ~domain.contains(coords, tolerance=TOLERANCE * float((high - low).max()))
    if outside.any():
        first = coords[outside][0].tolist()
        raise InputError(
            f"{path} has {int(outside.sum())} points outside the domain, the first is {first}"
        )


def _is_grid(columns: Mapping[str, Cells], problem: Problem) -> bool:
    """Return True if the fields are arrays with one index per coordinate, (n_1, …, n_d)."""
    names = problem.domain.names
    coordinates = [columns[name] for name in names if name in columns]
    fields = [columns[name] for name in problem.fields if name in columns]
    return (
        len(names) > 1
        and bool(fields)
        and all(numpy.ndim(c) == 1 for c in coordinates)
        and all(numpy.ndim(c) == len(names) for c in fields)
    )


def _grid(
    path: str, columns: Mapping[str, Cells], problem: Problem, degree: int
) -> tuple[list[ndarray], ndarray]:
    """Return the axes (n_i,) and the values (n_1, …, n_d, m).

    Fields that the error norms leave out and the file does not have are NaN.

    Raises:
        InputError: if axes do not increase, are too short for the degree or do not fill the domain,
            fields have another shape, numbers are not finite, or the domain is no box.
    """
    domain = problem.domain
    if not isinstance(domain, Box):
        raise InputError(f"{path} holds a grid, which is for boxes, not a {type(domain).__name__}")
    needed = (*domain.names, *(problem.error_fields or problem.fields))
    _check_present(path, columns, needed)
    if WEIGHT in columns:
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
    if max(axis[0] - low, high - axis[-1]) > TOLERANCE * (high - low):
        raise InputError(
            f"{path}: the grid must fill the domain, in which {name} goes from {low:g} to "
            f"{high:g}; it goes from {axis[0]:g} to {axis[-1]:g}"
        )
    return axis


def _check_periodic(path: str, problem: Problem, values: ndarray, periodic: Sequence[bool]) -> None:
    """Refuse values (n_1, …, n_d, m) that are not periodic along the coordinates that must be."""
    for i, name in enumerate(problem.domain.names):
        first, last = values.take(0, axis=i), values.take(-1, axis=i)
        gap = numpy.nanmax(abs(last - first), initial=0.0)
        if periodic[i] and gap > TOLERANCE * numpy.nanmax(abs(values), initial=0.0):
            raise InputError(
                f"{path}: values on a grid that is periodic in {name} must be the same at its "
                f"first and its last {name}; they differ by {gap:.2g}"
            )


def _field(path: str, name: str, cells: Cells, shape: tuple[int, ...]) -> ndarray:
    if numpy.shape(cells) != shape:
        raise InputError(
            f"{path}: {name} has the shape {numpy.shape(cells)}, the coordinates make it {shape}"
        )
    values = numbers(Path(path), name, cells).reshape(shape)
    _check_finite(path, name, values)
    return values
