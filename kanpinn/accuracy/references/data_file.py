"""A reference that is read from a file."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from kanpinn._support.errors import InputError, integer, number
from kanpinn.accuracy.references.grid import GridData
from kanpinn.accuracy.references.grid_file import grid_of, is_grid
from kanpinn.accuracy.references.reference import Recipe, Reference
from kanpinn.data.column_files import READERS, Cells, numbers, read_columns
from kanpinn.geometry import Domain, Points
from kanpinn.jets.jet import Channels, Jet
from kanpinn.pde.problem import Problem

TOLERANCE = 1e-6  # by so much of the domain's size may a point lie outside
WEIGHT = "weight"


@dataclass(frozen=True)
class DataFile(Recipe):
    """Values from a file: at points, or on a grid.

    At points errors are means over them, nothing is interpolated. The file has named columns: the
    coordinates ("x", "y"), the fields ("u"), where they are known their derivatives ("u_x", "u_y"),
    and optionally "weight", equal ones by default. In ".csv" the first line names them; ".npz" and
    ".h5" have an array for each, all of one shape.

    A grid's coordinates have an array each of their own length, (n_x,) and (n_y,), from one end of
    the domain to the other; then the fields are (n_x, n_y), and between the points a product of
    splines. That needs ".npz" or ".h5", and a domain of two dimensions or more.

    Args:
        path: of the file, which ends in .csv, .npz, .h5 or .hdf5.
        error: the relative L2 error of the data, where it is known.
        source: what they are and where they come from.
        degree: of the splines on a grid.

    Raises:
        InputError: for another kind of file, an error that is not a number ≥ 0, or a degree that is
            no positive integer.
    """

    path: str
    error: float | int | None = None
    source: str | None = None
    degree: int = 7

    def __post_init__(self) -> None:
        if Path(self.path).suffix not in READERS:
            kinds = ", ".join(READERS)
            raise InputError(f"path must end in one of {kinds}, got {self.path!r}")
        if self.error is not None:
            number("error", self.error)
        integer("degree", self.degree)

    def build(self, problem: Problem) -> Reference:
        """The data, checked against the problem.

        Raises:
            InputError: where the file cannot be read, a column is missing, of another length or not
                finite, points lie outside the domain, or a grid does not fill it.
        """
        source = self.source or f"the data in {Path(self.path).name}"
        found = read_columns(Path(self.path))
        if is_grid(found, problem):
            axes, values = grid_of(self.path, found, problem, self.degree)
            return GridData(axes, values, self.degree, source, self.error)
        columns = _as_numbers(Path(self.path), found)
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
        return Data(points, weights / weights.sum(), len(fields), source, self.error)


class Data(Reference):
    """Values at points that carry them: (n, m (1 + d)), each field with its derivatives."""

    def __init__(
        self, points: Points, weights: Tensor, fields: int, source: str, error: float | None
    ) -> None:
        self._rule, self._fields = (points, weights), fields
        self._source, self.error = source, error

    @property
    def source(self) -> str:
        return self._source

    @property
    def points(self) -> tuple[Points, Tensor]:
        return self._rule

    def jet(self, points: Points, channels: Channels) -> Jet:
        assert points.data is not None, "data are known at their own points only"
        table = points.data.unflatten(1, (self._fields, -1))
        gradient = table[..., 1:].transpose(1, 2) if channels.gradient else None
        return Jet(channels, table[..., 0], gradient)


def _as_numbers(path: Path, found: Mapping[str, Cells]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(numbers(path, name, cells)) for name, cells in found.items()}


def _check_columns(path: str, columns: Mapping[str, Tensor], needed: tuple[str, ...]) -> None:
    for name in needed:
        if name not in columns:
            there = ", ".join(columns) or "none"
            raise InputError(f"{path} has no column {name!r}; its columns are {there}")
    count = len(columns[needed[0]])
    if not count:
        raise InputError(f"{path} has no points")
    for name, column in columns.items():
        if len(column) != count:
            raise InputError(f"{path}: {name} has {len(column)} numbers, {needed[0]} has {count}")
        bad = (~column.isfinite()).nonzero()
        if len(bad):
            raise InputError(
                f"{path}: {name} has {len(bad)} numbers that are not finite, the "
                f"first is number {int(bad[0]) + 1}"
            )


def _check_inside(path: str, domain: Domain, coords: Tensor) -> None:
    low, high = domain.bounds
    outside = ~domain.contains(coords, tolerance=TOLERANCE * float((high - low).max()))
    if outside.any():
        first = coords[outside][0].tolist()
        raise InputError(
            f"{path} has {int(outside.sum())} points outside the domain, the first is {first}"
        )
