"""Reading of files with named columns: CSV, NPZ, HDF5, and values at the points of a mesh."""

import csv
import itertools
import re
import zlib
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy

from kanpinn._support.errors import InputError
from kanpinn._support.memory import free_memory, written_size

Cells = Sequence[str] | numpy.ndarray


def read_columns(path: Path) -> dict[str, Cells]:
    """Return the columns of a file by name: arrays or, for CSV columns with texts, lists of texts.

    The first line of a ".csv" file names the columns; ".npz", ".h5" and ".hdf5" files have one
    array per column. Files of meshes, ".vtk", ".vtu" and ".xdmf", are read by meshio: the columns
    are the coordinates "x", "y" and "z" of the points, and the data at the points. If there are
    only data in the cells, the points are the centres of the cells. Data with several components,
    such as "velocity", have a column for each, "velocity[0]" and so on; data with the name of a
    coordinate are called "data x".

    Raises:
        InputError: if the file cannot be read, or its name has another ending, or meshio is not
            installed.
    """
    if path.suffix not in READERS:
        raise InputError(f"{path} must end in {', '.join(READERS)}")
    try:
        return dict(READERS[path.suffix](path))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None


def flat_column(path: Path, name: str, cells: Cells) -> numpy.ndarray:
    """Return a column with one number or text per row, (n,).

    Args:
        path: the file, for messages.
        name: the name of the column, for messages.
        cells: the column, from `read_columns`.

    Raises:
        InputError: if the array has several values per row.
    """
    array = numpy.asarray(cells)
    if array.ndim == 0 or array.size > len(array):
        raise InputError(f"{path}: {name} must have one value a row, its shape is {array.shape}")
    texts = array.dtype.kind == "S"
    return (numpy.char.decode(array, "utf-8", "replace") if texts else array).ravel()


def check_lengths(
    path: Path | str, columns: Mapping[str, numpy.ndarray], first: str, rows: str, cells: str
) -> None:
    """Refuse columns without rows, or of different lengths.

    Args:
        path: the file, or a word for another source of the columns, for messages.
        columns: the columns by name, (n,) each.
        first: the name of the column with which the other columns are compared.
        rows, cells: the words for rows and for entries of a column in messages.

    Raises:
        InputError: if there are no rows, or a column has another length than the first.
    """
    count = len(columns[first])
    if not count:
        raise InputError(f"{path} has no {rows}")
    for name, column in columns.items():
        if len(column) != count:
            wrong = f"{name} has {len(column)} {cells}, {first} has {count}"
            raise InputError(f"{path}: {wrong}")


def numbers(path: Path | str, name: str, cells: Cells) -> numpy.ndarray:
    """Return a column as a flat float64 array, (n,).

    Args:
        path: the file, or a word for another source of the column, for messages.
        name: the name of the column, for messages.
        cells: the column, from `read_columns`.

    Raises:
        InputError: if a value is no real number; the message has the row.
    """
    if numpy.iscomplexobj(cells):
        raise InputError(f"{path}: {name} must be real numbers, they are complex")
    try:
        return numpy.asarray(cells, dtype=numpy.float64).ravel()
    except (TypeError, ValueError):
        pass
    first = ""  # the first row whose cell is no number
    for row, cell in enumerate(cells, 1):
        try:
            float(cell)
        except (TypeError, ValueError):
            first = f", row {row} has {repr(str(cell)) if str(cell) else 'none'}"
            break
    raise InputError(f"{path}: {name} must be numbers{first}")


def _read_csv(path: Path) -> Mapping[str, Cells]:
    """Return the columns of a CSV file by name.

    Raises:
        InputError: if the file is no CSV file in UTF-8, or two columns have one name.
    """
    try:
        names, columns, texts = _csv_columns(path, frozenset())
        if texts:  # read again: in a column with texts, numbers in earlier rows are texts as well
            names, columns, _ = _csv_columns(path, texts)
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start})") from None
    except csv.Error as error:
        raise InputError(f"{path} is no CSV file: {error}") from None
    if twice := [name for i, name in enumerate(names) if name in names[:i]]:
        raise InputError(f"{path}: two columns are called {twice[0]!r}")
    return dict(zip(names, columns, strict=True))


def _csv_columns(
    path: Path, texts: Set[int], rows: int = 2**14
) -> tuple[list[str], list[Cells], frozenset[int]]:
    """Return the names and the columns of a CSV file, and the indices of columns with texts.

    Args:
        path: the file.
        texts: the indices of the columns that are returned as lists of texts. Every other column is
            returned as an array. If a cell of such a column is no number, the array lacks rows, and
            the index of the column is in the last returned value.
        rows: the number of rows that are read at a time, which bounds the memory.
    """
    # Spreadsheets put a byte order mark in front.
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        lines = ((reader.line_num, [cell.strip() for cell in row]) for row in reader if row)
        names = next(lines, (0, []))[1]
        if len(names) == 1 and re.search("[;\t]", names[0]):
            given = f"line 1 is {names[0]!r}"
            raise InputError(f"{path}: columns must be separated by commas, {given}")
        columns: list[list[Any]] = [[] for _ in names]
        found: set[int] = set()
        while some := [*itertools.islice(lines, rows)]:
            for number, row in some:
                if len(row) != len(names):
                    wrong = f"line {number} has {len(row)} cells, the first {len(names)}"
                    raise InputError(f"{path}: {wrong}")
            for i, cells in enumerate(zip(*(row for _, row in some), strict=True)):
                if i in texts:
                    columns[i] += cells
                    continue
                try:
                    columns[i].append(numpy.asarray(cells, dtype=numpy.float64))
                except ValueError:
                    found.add(i)
    whole: list[Cells] = [*columns]
    for i in {*range(len(names))} - {*texts}:
        whole[i] = numpy.concatenate(columns[i]) if columns[i] else whole[i]
    return names, whole, frozenset(found)


def _read_npz(path: Path) -> Mapping[str, numpy.ndarray]:
    """Return the arrays of a NumPy archive by name.

    Raises:
        InputError: if the file is no such archive, or its arrays do not fit into the free memory.
    """
    try:
        # The file is opened here because numpy leaves a broken file open. Pickled objects are
        # refused, which is numpy's default, because they could execute code.
        with path.open("rb") as file:
            with ZipFile(file) as members:
                size = sum(member.file_size for member in members.infolist())
            if size > (free := free_memory()):
                sizes = f"{written_size(size)}, and {written_size(int(free))} of memory are free"
                raise InputError(f"{path}: its arrays have {sizes}")
            file.seek(0)
            with numpy.load(file) as arrays:
                return dict(arrays)
    except InputError:  # an InputError is a ValueError, which is handled below
        raise
    except (ValueError, EOFError, TypeError, MemoryError, BadZipFile, zlib.error):
        raise InputError(f"{path} is no NumPy archive of numbers and texts") from None


def _read_hdf5(path: Path) -> Mapping[str, numpy.ndarray]:
    """Return the datasets of an HDF5 file by name, without those in groups."""
    import h5py

    with h5py.File(path) as file:
        arrays = {}
        for key, item in file.items():
            if isinstance(item, h5py.Dataset) and item.shape is not None:
                texts = h5py.check_string_dtype(item.dtype) is not None  # stored as bytes
                arrays[key] = numpy.asarray((item.asstr(errors="replace") if texts else item)[()])
        return arrays


def _read_mesh(path: Path) -> Mapping[str, numpy.ndarray]:
    """Return the columns of a mesh file that meshio reads, by name.

    Raises:
        InputError: if meshio is not installed, or cannot read the file.
    """
    try:
        import meshio
    except ImportError as error:
        raise InputError(f"reading {path} needs meshio: pip install 'kanpinn[vtk]'") from error
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    try:
        with redirect_stdout(None), redirect_stderr(None):  # meshio prints what it cannot read
            return _mesh_columns(meshio.read(path))
    except SystemExit as error:  # meshio ends the process after it has printed the reason
        why = f"it is damaged, or no {path.suffix} file"
        raise InputError(f"{path} cannot be read by meshio: {why}") from error
    except Exception as error:  # the readers of meshio raise exceptions of many types
        raise InputError(f"{path} cannot be read by meshio: {error}") from error


def _mesh_columns(mesh: Any) -> Mapping[str, numpy.ndarray]:
    """Return the columns of a mesh of meshio, see `read_columns`.

    Cells of lower dimension than others, such as the edges at a boundary, are left out.
    """
    points, data = numpy.asarray(mesh.points), mesh.point_data
    if mesh.cell_data and not data:
        blocks = [
            i for i, one in enumerate(mesh.cells) if one.dim == max(c.dim for c in mesh.cells)
        ]
        points = numpy.concatenate([points[mesh.cells[i].data].mean(axis=1) for i in blocks])
        data = {
            name: numpy.concatenate([parts[i] for i in blocks])
            for name, parts in mesh.cell_data.items()
        }
    columns = dict(zip("xyz", points.T, strict=False))
    for name, values in data.items():
        rows = numpy.asarray(values).reshape(len(points), -1)
        own = f"data {name}" if name in columns else name
        single = rows.shape[1] == 1
        columns |= {own if single else f"{own}[{i}]": part for i, part in enumerate(rows.T)}
    return columns


MESHES = (".vtk", ".vtu", ".xdmf")
READERS: dict[str, Callable[[Path], Mapping[str, Cells]]] = {
    ".csv": _read_csv,
    ".npz": _read_npz,
    ".h5": _read_hdf5,
    ".hdf5": _read_hdf5,
} | dict.fromkeys(MESHES, _read_mesh)
