"""References, against which errors are measured: exact or known functions, data from files.

Data are values at points, or on a grid with spline interpolation.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy
import torch
from numpy import ndarray
from torch import Tensor

from kanpinn._support.errors import InputError, integer, nearest, number
from kanpinn.data.column_files import (
    MESHES,
    READERS,
    Cells,
    check_lengths,
    numbers,
    read_columns,
)
from kanpinn.geometry import Box, Points
from kanpinn.jets import Channels, Jet, JetFunction
from kanpinn.pde.problem import Problem


class Reference(ABC):
    """A known solution of a problem: exact, computed by another method, or data.

    Attributes:
        source: a description that completes the sentence "errors are measured against …".
        error: an estimate of the reference's own relative L2 error; None if it is unknown.
        points: the n points at which the reference has values, and their weights, (n,), whose sum
            is 1; None if the reference has values everywhere.

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Disk((0, 0), 1), source="1", boundary="0")
        >>> reference = kp.ReferenceSolution(tolerance=1e-2).build(problem)
        >>> isinstance(reference, Reference), reference.error < 1e-2
        (True, True)
    """

    source: str
    error: float | None = None
    points: tuple[Points, Tensor] | None = None

    @property
    def is_ready(self) -> bool:
        """True if the values can be evaluated without first solving a problem or reading a file."""
        return True

    @abstractmethod
    def jet(self, points: Points, channels: Channels) -> Jet:
        """Return values (n, m) and, if the channels have gradients, gradients (n, d, m).

        Values and derivatives that the reference does not know are NaN.

        Args:
            points: n points.
            channels: which derivatives are needed.
        """


class Recipe(ABC):
    """Settings from which a reference for a problem is built, which may take long.

    Subclasses are frozen dataclasses with the settings. In a TOML file, a recipe is the table
    `[reference]`.

    Example:
        >>> import kanpinn as kp
        >>> isinstance(kp.ReferenceSolution(tolerance=1e-6), Recipe)
        True
    """

    @abstractmethod
    def build(self, problem: Problem) -> Reference:
        """Build and return the reference of a problem.

        Raises:
            InputError: if the reference cannot be built for this problem.
        """


@dataclass(frozen=True, eq=False)
class FunctionReference(Reference):
    """A reference given by a function, such as the exact solution, or a finer network's solution.

    Args:
        source: a description of the solution, for messages.
        function: returns the jet of the solution for points and channels.
        points: the n points at which errors are evaluated, and their weights, (n,), whose sum is 1;
            None for a quadrature rule over the domain.
        error: an estimate of the relative L2 error of the function; None if it is unknown.
    """

    source: str
    function: JetFunction
    points: tuple[Points, Tensor] | None = None
    error: float | None = None

    def jet(self, points: Points, channels: Channels) -> Jet:
        return self.function(points, channels)


class Pending(Reference):
    """A reference that is built from its recipe on first use.

    Args:
        recipe: the recipe of the reference.
        problem: the problem for which the reference is built.
    """

    def __init__(self, recipe: Recipe, problem: Problem) -> None:
        self.recipe, self.problem = recipe, problem

    def __repr__(self) -> str:
        return f"the solution by {self.recipe!r}"

    @cached_property
    def built(self) -> Reference:
        """The reference, built on first access.

        Raises:
            InputError: if the reference cannot be built for this problem.
        """
        return self.recipe.build(self.problem)

    @property
    def is_ready(self) -> bool:
        return "built" in vars(self)

    source = property(lambda pending: pending.built.source)
    error = property(lambda pending: pending.built.error)
    points = property(lambda pending: pending.built.points)

    def jet(self, points: Points, channels: Channels) -> Jet:
        return self.built.jet(points, channels)


def reference_of(problem: Problem, recipe: Recipe | None = None) -> Reference | None:
    """Return the reference of a problem that has no exact solution.

    Args:
        problem: the problem.
        recipe: the recipe of the reference; by default the problem's own `reference()` is used.

    Returns:
        The reference; None if the problem has an exact solution, or if there is neither a recipe
        nor a reference of the problem.

    Raises:
        InputError: if the problem's `reference()` returns anything but a reference, a recipe or
            None, or if a recipe is given for a problem with an exact solution.
    """
    if problem.exact is not None:
        if recipe is not None:
            having = f"which {type(problem).__name__} has"
            raise InputError(f"{recipe!r} is for problems without an exact solution, {having}")
        return None
    found = problem.reference() if recipe is None else recipe
    if isinstance(found, Recipe):
        return Pending(found, problem)
    if found is not None and not isinstance(found, Reference):
        expected = f"a reference such as ReferenceSolution(), or None, got {found!r}"
        raise InputError(f"{type(problem).__name__}.reference() must give {expected}")
    return found


@dataclass(frozen=True, eq=False)
class PointData(Reference):
    """Values at points, without interpolation between them.

    Args:
        points: the n points, and their weights, (n,), whose sum is 1. The `data` of the points,
            (n, m (1 + d)), have for each of the m fields the value and the d first derivatives, NaN
            if unknown.
        fields: the number m of fields.
        source: a description of the data.
        error: the relative L2 error of the data; None if it is not known.
    """

    points: tuple[Points, Tensor] = field()  # unlike in the base class, without a default
    fields: int
    source: str
    error: float | None = None

    def jet(self, points: Points, channels: Channels) -> Jet:
        assert points.data is not None, "data are known at their own points only"
        table = points.data.unflatten(1, (self.fields, -1))
        gradient = table[..., 1:].transpose(1, 2) if channels.gradient else None
        return Jet(channels, table[..., 0], gradient)


class GridData(Reference):
    """Values on a grid, interpolated by a tensor product of splines.

    Args:
        axes: the grid points along each of the d coordinates, increasing, (n_i,), with n_i above
            `degree`.
        values: the values of the m fields, (n_1, …, n_d, m).
        degree: the degree of the splines.
        source: a description of the data.
        error: the relative L2 error of the data; None if it is not known.
        periodic: for each coordinate, whether the splines are periodic along it. If so, the values
            at the last grid point equal those at the first. By default no coordinate is periodic.
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
        from scipy.interpolate import NdBSpline, make_interp_spline  # slow to import

        self.error, self.source = error, source
        self._low, self._high = ([axis[end] for axis in axes] for end in (0, -1))
        knots, table = [], values
        for i, axis in enumerate(axes):
            turned = numpy.moveaxis(table, i, 0)
            ends = None
            if any(periodic[i : i + 1]):
                ends = "periodic"
                turned = numpy.concatenate([turned[:-1], turned[:1]])  # exactly periodic
            spline = make_interp_spline(axis, turned, k=degree, bc_type=ends, check_finite=False)
            knots.append(spline.t)
            table = numpy.moveaxis(spline.c, 0, i)
        self._spline = NdBSpline(tuple(knots), numpy.ascontiguousarray(table), degree)

    def jet(self, points: Points, channels: Channels) -> Jet:
        x = points.coords.detach().cpu().double().numpy().clip(self._low, self._high)
        orders = numpy.eye(1 + x.shape[1], dtype=int)[:, 1:]  # the value is first
        parts = (self._spline(x, nu=nu) for nu in orders[: None if channels.gradient else 1])
        value, *slopes = (torch.from_numpy(part).to(points.coords) for part in parts)
        return Jet(channels, value, torch.stack(slopes, dim=1) if slopes else None)


# Points may lie outside the domain, and the ends of a grid inside the domain, by this fraction of
# the domain's size. Values at the two ends of a period may differ by this fraction of the largest
# value.
TOLERANCE = 1e-6
WEIGHT = "weight"  # the column of the points' weights


@dataclass(frozen=True, eq=False)
class DataColumns(Recipe):
    """Values at points or on a grid, from columns with names, see `DataFile`.

    Args:
        columns: the columns by name.
        title: the name of the file or object that has the columns, for messages.
        source: a description of the data and their origin.
        error, degree, periodic: as for `DataFile`.
    """

    columns: Mapping[str, Cells]
    title: str
    source: str
    error: float | int | None = None
    degree: int = 7
    periodic: tuple[str, ...] = ()

    def build(self, problem: Problem) -> Reference:
        """Check the columns against a problem and return the reference.

        Raises:
            InputError: if a column is missing, of another length or not finite, if points lie
                outside the domain, if a grid does not fill the domain, or if the values on a grid
                are not periodic along a coordinate in `periodic`.
        """
        for along in self.periodic:
            if along not in problem.domain.names:
                there = ", ".join(problem.domain.names)
                raise InputError(f"periodic must name coordinates, {there}, got {along!r}")
        columns, names = self.columns, problem.domain.names
        coordinates = [columns[name] for name in names if name in columns]
        fields = [columns[name] for name in problem.fields if name in columns]
        of_axes = all(numpy.ndim(cells) == 1 for cells in coordinates)
        of_grid = all(numpy.ndim(cells) == len(names) for cells in fields)
        if len(names) > 1 and fields and of_axes and of_grid:
            return self._on_grid(problem, columns)
        return self._at_points(problem, columns)

    def _at_points(self, problem: Problem, cells: Mapping[str, Cells]) -> PointData:
        """Return the reference for columns that have values at points.

        The weights are divided by their sum; without weights all points have the same weight.
        Derivatives without a column are NaN, and so are fields that the error norms leave out.

        Args:
            problem: the problem.
            cells: the columns by name.

        Raises:
            InputError: if a column is missing, has another length or numbers that are not finite,
                or if a point is outside the domain, or a weight is negative.
        """
        columns = {name: self._numbers(name, column) for name, column in cells.items()}
        names, fields, domain = problem.domain.names, problem.fields, problem.domain
        needed = self._needed(problem, columns)
        check_lengths(self.title, columns, needed[0], "points", "numbers")
        for name, column in columns.items():
            self._check_finite(name, column)
        count = len(columns[needed[0]])
        table = {name: torch.from_numpy(column) for name, column in columns.items()}
        coords = torch.stack([table[name] for name in names], dim=1)
        low, high = domain.bounds
        outside = ~domain.contains(coords, tolerance=TOLERANCE * float((high - low).max()))
        if outside.any():
            many, first = int(outside.sum()), coords[outside][0].tolist()
            raise InputError(f"{self.title} has {many} points outside the domain, first {first}")
        known = [table.get(c) for f in fields for c in (f, *(f"{f}_{name}" for name in names))]
        unknown = torch.full((count,), torch.nan, dtype=torch.float64)
        data = torch.stack([unknown if column is None else column for column in known], dim=1)
        weights = table.get(WEIGHT, torch.ones(count, dtype=torch.float64))
        if not (weights.min() >= 0 and weights.sum() > 0):
            raise InputError(f"{self.title}: every {WEIGHT} must be at least 0, and not all 0")
        points = Points(coords, names, data=data)
        return PointData((points, weights / weights.sum()), len(fields), self.source, self.error)

    def _on_grid(self, problem: Problem, columns: Mapping[str, Cells]) -> GridData:
        """Return the reference for columns that have values on a grid.

        Fields that the error norms leave out may be missing; their values are NaN.
        """
        domain, path = problem.domain, self.title
        if not isinstance(domain, Box):
            kind = type(domain).__name__
            raise InputError(f"{path} holds a grid, which is for boxes, not a {kind}")
        self._needed(problem, columns)
        if WEIGHT in columns:
            raise InputError(f"{path} holds a grid, which takes no weight")
        axes = []
        for name, low, high in domain.ranges:
            axis = self._numbers(name, columns[name])
            if not (numpy.isfinite(axis).all() and (numpy.diff(axis) > 0).all()):
                raise InputError(
                    f"{path}: the grid's {name} must increase from each number to the next"
                )
            if len(axis) <= (least := self.degree):
                needed = f"splines of degree {least} need more than {least} numbers"
                raise InputError(f"{path}: {needed}, {name} has {len(axis)}")
            if max(axis[0] - low, high - axis[-1]) > TOLERANCE * (high - low):
                raise InputError(
                    f"{path}: the grid must fill the domain, in which {name} goes from {low:g} to "
                    f"{high:g}; it goes from {axis[0]:g} to {axis[-1]:g}"
                )
            axes.append(axis)
        shape = tuple(len(axis) for axis in axes)
        fields = {name: numpy.full(shape, numpy.nan) for name in problem.fields}
        for name in (name for name in fields if name in columns):
            if numpy.shape(columns[name]) != shape:
                wrong = f"{name} has the shape {numpy.shape(columns[name])}"
                raise InputError(f"{path}: {wrong}, the coordinates make it {shape}")
            fields[name] = self._numbers(name, columns[name]).reshape(shape)
            self._check_finite(name, fields[name])
        values = numpy.stack([*fields.values()], axis=-1)
        for name in self.periodic:
            first, last = (values.take(end, axis=domain.names.index(name)) for end in (0, -1))
            gap = numpy.nanmax(abs(last - first), initial=0.0)
            if gap > TOLERANCE * numpy.nanmax(abs(values), initial=0.0):
                ends = f"the same at its first and its last {name}; they differ by {gap:.2g}"
                raise InputError(f"{path}: values on a grid periodic in {name} must be {ends}")
        around = [name in self.periodic for name in domain.names]
        return GridData(axes, values, self.degree, self.source, self.error, around)

    def _numbers(self, name: str, cells: Cells) -> ndarray:
        """Return a column as an array of floats.

        Args:
            name: the name of the column, for messages.
            cells: the column.

        Raises:
            InputError: if a cell is no number.
        """
        return numbers(self.title, name, cells)

    def _needed(self, problem: Problem, columns: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the names of the columns that the data must have.

        These are the coordinates, and then the fields that the error norms measure.

        Raises:
            InputError: if one of these columns is missing.
        """
        needed = (*problem.domain.names, *(problem.error_fields or problem.fields))
        for name in needed:
            if name not in columns:
                there = ", ".join(columns) or "none"
                raise InputError(f"{self.title} has no column {name!r}; its columns are {there}")
        return needed

    def _check_finite(self, name: str, values: ndarray) -> None:
        """Refuse values of a column that are not finite.

        Raises:
            InputError: with the number of such values and the position of the first.
        """
        bad = numpy.argwhere(~numpy.isfinite(values))
        if len(bad):
            several = values.ndim > 1
            first = f"at {bad[0].tolist()}" if several else f"is number {int(bad[0, 0]) + 1}"
            count = f"{len(bad)} numbers that are not finite"
            raise InputError(f"{self.title}: {name} has {count}, the first {first}")


@dataclass(frozen=True)
class DataFile(Recipe):
    """Values from a file: at points, or on a grid.

    For values at points, errors are means over these points; nothing is interpolated. The file has
    named columns: the coordinates ("x", "y"), the fields ("u"), optionally their derivatives
    ("u_x", "u_y"), and optionally a "weight" for each point; by default all weights are equal. The
    first line of a ".csv" file has the names; ".npz" and ".h5" files have one array per column, and
    all arrays have the same shape. In ".vtk", ".vtu" and ".xdmf" files, which meshio reads, the
    columns are the coordinates "x", "y" and "z" of a mesh's points and the data at these points, or
    in their absence the centres of the cells and the data in the cells. Data with several
    components have the columns "velocity[0]", "velocity[1]" and so on, and data with the name of a
    coordinate are called "data x".

    For values on a grid, the coordinates are arrays (n_x,) and (n_y,) from one end of the domain to
    the other end, or beyond, and the fields are arrays (n_x, n_y). A tensor product of splines
    interpolates between the grid points. A grid needs a ".npz" or ".h5" file, and a domain that is
    a box of two dimensions or more.

    Args:
        path: the path of the file, which ends in .csv, .npz, .h5, .hdf5, .vtk, .vtu or .xdmf.
        error: the relative L2 error of the data; None if it is not known.
        source: a description of the data and their origin; by default the name of the file.
        degree: the degree of the splines on a grid.
        periodic: the coordinates of a grid along which the splines are periodic, such as ("x",).
            Along these coordinates the grid must be one period long. Splines that are not periodic
            lose digits near the ends of a period.
        columns: the names of columns of the file for coordinates and fields of the problem that
            have other names there, such as {"u": "temperature"}.

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
    columns: Mapping[str, str] | None = None

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
            InputError: if the file cannot be read, for its columns as in `DataColumns.build`, and
                if points of a mesh differ in a coordinate that the problem does not have.
        """
        source = self.source or f"the data in {Path(self.path).name}"
        given = self.error, self.degree, self.periodic
        columns = renamed(read_columns(Path(self.path)), self.columns or {}, self.path)
        if Path(self.path).suffix in MESHES:
            _check_plane(self.path, columns, problem)
        return DataColumns(columns, self.path, source, *given).build(problem)


def _check_plane(title: str, columns: Mapping[str, Cells], problem: Problem) -> None:
    """Refuse points of a mesh that differ in a coordinate which the problem does not have.

    Raises:
        InputError: naming the coordinate.
    """
    low, high = problem.domain.bounds
    for name in sorted({*"xyz"}.intersection(columns).difference(problem.domain.names)):
        first, last = min(column := numbers(title, name, columns[name])), max(column)
        if name not in problem.fields and last - first > TOLERANCE * float((high - low).max()):
            raise InputError(
                f"{title} has points from {name} = {first:g} to {last:g}, but the problem has no "
                f"coordinate {name}"
            )


def renamed(
    columns: Mapping[str, Cells], names: Mapping[str, str], title: str
) -> Mapping[str, Cells]:
    """Return columns under the names that a problem has for them.

    Args:
        columns: the columns by name.
        names: the name of the column for each coordinate or field that has another name there.
        title: the name of the file or object that has the columns, for messages.

    Raises:
        InputError: if there is no column of one of the names.
    """
    for name, column in names.items():
        if column not in columns:
            hint = nearest(column, columns) or f"; its columns are {', '.join(columns) or 'none'}"
            raise InputError(f"{title} has no column {column!r} for {name}{hint}")
    taken = {*names.values()}
    return {n: c for n, c in columns.items() if n not in taken} | {
        name: columns[column] for name, column in names.items()
    }
