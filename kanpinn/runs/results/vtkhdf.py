"""fields.vtkhdf: the fields as a VTK image, which ParaView opens, by h5py alone."""

import os
from pathlib import Path

import h5py
import numpy

from kanpinn._support.errors import InputError
from kanpinn.runs.results.hdf5 import new_file
from kanpinn.solvers.eigen import Eigensolution
from kanpinn.solvers.fit import Fitted
from kanpinn.solvers.grid_fields import GridFields, modes_on_grid, on_grid
from kanpinn.solvers.solution import Solution

VERSION = (2, 0)
IMAGE, SCALARS = b"ImageData", b"Scalars"


def to_vtkhdf(solution: Solution | Eigensolution | Fitted, path: str | os.PathLike[str]) -> None:
    """Write a solution's fields, or modes, as VTKHDF, the grid being that of `on_grid`.

    Raises:
        InputError: above three dimensions, which an image does not have; for a fit.
    """
    if isinstance(solution, Fitted):
        raise InputError(
            "a fit has no fields on a grid: --format npz writes data and fitted values"
        )
    dim = solution.problem.domain.dim
    if dim > 3:
        raise InputError(f"VTKHDF is for up to 3 dimensions, the domain has {dim}")
    if isinstance(solution, Eigensolution):
        fields = modes_on_grid(solution)
    else:
        fields = on_grid(solution)
    write_vtkhdf(fields, Path(path))


def write_vtkhdf(fields: GridFields, path: Path) -> None:
    """Write ImageData with one point array for each field; fewer than three axes leave one layer.

    Arrays are indexed [z, y, x], without the indices of axes that are not there: the reader (VTK
    9.7) takes (y, x) for an image of one layer, not (1, y, x).

    Reference: VTKHDF file format, https://docs.vtk.org/en/latest/vtk_file_formats/vtkhdf_file_format
    """
    axes = list(fields.axes.values())
    counts = [len(axis) for axis in axes] + [1] * (3 - len(axes))
    with new_file(path) as file:
        root = file.create_group("VTKHDF")
        root.attrs.create("Type", IMAGE, dtype=_fixed(IMAGE))
        root.attrs.create("Version", VERSION, dtype=numpy.int64)
        extent = [end for count in counts for end in (0, count - 1)]
        root.attrs.create("WholeExtent", extent, dtype=numpy.int32)
        root.attrs["Origin"] = _padded([axis[0] for axis in axes], 0.0)
        root.attrs["Spacing"] = _padded([axis[1] - axis[0] for axis in axes], 1.0)
        root.attrs["Direction"] = numpy.eye(3).ravel()
        root.create_group("CellData")
        points = root.create_group("PointData")
        for name, values in fields.values.items():
            points.create_dataset(name, data=values.T, compression="gzip")
        first = points[fields.fields[0]]
        first.attrs.create("Attribute", SCALARS, dtype=_fixed(SCALARS))


def _padded(values: list[float], filler: float) -> numpy.ndarray:
    return numpy.array(values + [filler] * (3 - len(values)), dtype=numpy.float64)


def _fixed(text: bytes) -> numpy.dtype:
    """A string type of fixed length, which the reader wants and h5py does not choose by itself."""
    return h5py.string_dtype("ascii", len(text))
