"""Files of named columns: CSV, NPZ and HDF5."""

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy

from kanpinn.errors import InputError

Cells = Sequence[str] | numpy.ndarray


def read_columns(path: Path) -> dict[str, Cells]:
    """The columns of a file by name, as they are written: texts in CSV, arrays elsewhere.

    In ".csv" the first line names them; ".npz", ".h5" and ".hdf5" have an array for each.

    Raises:
        InputError: where the file cannot be read, or is of another kind.
    """
    if path.suffix not in READERS:
        raise InputError(f"{path} must end in {', '.join(READERS)}")
    try:
        return dict(READERS[path.suffix](path))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None


def numbers(path: Path, name: str, cells: Cells) -> numpy.ndarray:
    """A column as numbers in float64, (n,).

    Raises:
        InputError: for what is no number, with its place.
    """
    try:
        return numpy.asarray(cells, dtype=numpy.float64).ravel()
    except (TypeError, ValueError):
        raise InputError(f"{path}: {name} must be numbers{_first_text(cells)}") from None


def _first_text(cells: Cells) -> str:
    for i, cell in enumerate(cells):
        try:
            float(cell)
        except (TypeError, ValueError):
            return f", number {i + 1} is {str(cell)!r}"
    return ""


def _read_csv(path: Path) -> Mapping[str, list[str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [[cell.strip() for cell in row] for row in csv.reader(file) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is no CSV file: {error}") from None
    for i, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise InputError(f"{path}: row {i + 1} has {len(row)} cells, the first {len(rows[0])}")
    names = rows[0] if rows else []
    if twice := [name for i, name in enumerate(names) if name in names[:i]]:
        raise InputError(f"{path}: two columns are called {twice[0]!r}")
    return {name: list(cells) for name, *cells in zip(*rows, strict=True)}


def _read_npz(path: Path) -> Mapping[str, numpy.ndarray]:
    try:
        # Opened here: numpy leaves a broken file open. Pickled objects could run code: refused.
        with path.open("rb") as file, numpy.load(file) as arrays:
            return dict(arrays)
    except (ValueError, EOFError) as error:
        raise InputError(f"{path} is no NumPy archive of numbers: {error}") from None


def _read_hdf5(path: Path) -> Mapping[str, numpy.ndarray]:
    import h5py

    with h5py.File(path) as file:
        return {key: item[()] for key, item in file.items() if isinstance(item, h5py.Dataset)}


READERS: dict[str, Callable[[Path], Mapping[str, Cells]]] = {
    ".csv": _read_csv,
    ".npz": _read_npz,
    ".h5": _read_hdf5,
    ".hdf5": _read_hdf5,
}
