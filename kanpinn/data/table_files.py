"""Reading the inputs and targets of a table from the columns of a file."""

from collections.abc import Sequence
from pathlib import Path

import numpy
import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn._support.wording import nearest, show
from kanpinn.data.column_files import Cells, flat_column, numbers, read_columns

KINDS = ("numbers", "classes")
Names = tuple[str, ...]


def read_rows(
    path: Path,
    inputs: Sequence[str] | None,
    targets: str | Sequence[str] | None,
    kind: str,
    classes: Sequence[str] | None,
) -> tuple[Tensor, Tensor, Names, Names, Names]:
    """Return the arguments of `Table` from a file; the arguments are those of `Table.read`.

    Returns:
        Inputs (n, d), targets (n, m) or class numbers (n,), the names of the inputs, the names of
        the targets, and the names of the classes (empty for numbers).

    Raises:
        InputError: as for `Table.read`; the message names the file and the column.
    """
    if kind not in KINDS:
        raise InputError(f"kind must be one of {KINDS}, got {kind!r}")
    if classes and kind != "classes":
        raise InputError(f'classes are for kind "classes", got {list(classes)} and kind "{kind}"')
    columns = read_columns(path)
    outputs, names = _chosen(path, columns, inputs, targets)
    cells = _rows(path, columns, (*names, *outputs))
    values = _numbers(path, cells, names)
    if kind == "numbers":
        return values, _numbers(path, cells, outputs), names, outputs, ()
    if len(outputs) != 1:
        raise InputError(f"{path}: classes are one target column, got {show(outputs)}")
    labels, found = _classes(path, outputs[0], cells[outputs[0]])
    if classes:
        labels, found = _renumbered(path, outputs[0], labels, found, classes)
    return values, labels, names, outputs, found


def _chosen(
    path: Path,
    columns: dict[str, Cells],
    inputs: Sequence[str] | None,
    targets: str | Sequence[str] | None,
) -> tuple[Names, Names]:
    """Return the names of the target columns and of the input columns."""
    if targets is None:
        targets = list(columns)[-1:]
    wanted = [targets] if isinstance(targets, str) else list(targets)
    taken = [name for name in columns if name and name not in wanted]
    chosen = taken if inputs is None else list(inputs)
    both = [*chosen, *wanted]
    for name in both:
        if name not in columns:
            there = ", ".join(columns) or "none"
            hint = nearest(name, columns)
            raise InputError(f"{path} has no column {name!r}{hint} (its columns are {there})")
    if not chosen or not wanted or len({*both}) < len(both):
        raise InputError(
            f"{path}: expected inputs and targets, different columns of {list(columns)}, got "
            f"inputs {chosen} and targets {wanted}"
        )
    return tuple(wanted), tuple(chosen)


def _rows(path: Path, columns: dict[str, Cells], names: Names) -> dict[str, numpy.ndarray]:
    """Return the named columns with one value per row, (n,) each."""
    flat = {name: flat_column(path, name, columns[name]) for name in names}
    first = flat[names[0]]
    if not len(first):
        raise InputError(f"{path} has no rows")
    for name, cells in flat.items():
        if len(cells) != len(first):
            raise InputError(f"{path}: {name} has {len(cells)} rows, {names[0]} has {len(first)}")
    return flat


def _numbers(path: Path, cells: dict[str, numpy.ndarray], names: Names) -> Tensor:
    """Return columns of numbers as one tensor, (n, columns)."""
    read = [torch.from_numpy(numbers(path, name, cells[name])) for name in names]
    return torch.stack(read, dim=1)


def _classes(path: Path, name: str, labels: numpy.ndarray) -> tuple[Tensor, Names]:
    """Return class numbers (n,) and the names of the classes, sorted by value or alphabetically."""
    try:
        labels = numpy.asarray(labels, dtype=numpy.float64)
    except ValueError:
        labels = labels.astype(str)
        missing = labels == ""
    else:
        missing = ~numpy.isfinite(labels)
    if missing.any():
        raise InputError(f"{path}: {name} has no class in row {int(missing.argmax()) + 1}")
    found, numbered = numpy.unique(labels, return_inverse=True)
    return torch.from_numpy(numbered.ravel()), tuple(map(_called, found.tolist()))


def _called(label: float | str) -> str:
    if isinstance(label, str):
        return label
    return str(int(label) if label.is_integer() else label)


def _renumbered(
    path: Path, name: str, numbered: Tensor, found: Sequence[str], classes: Sequence[str]
) -> tuple[Tensor, Names]:
    """Return the class numbers (n,) in the order of the given classes, and the given classes."""
    for one in found:
        if one not in classes:
            raise InputError(
                f"{path}: {name} has the class {one!r}{nearest(one, classes)} (the classes are "
                f"{', '.join(classes)})"
            )
    places = torch.tensor([classes.index(one) for one in found])
    return places[numbered], tuple(classes)
