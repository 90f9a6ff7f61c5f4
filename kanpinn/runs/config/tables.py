"""The data of a fit file: tables of columns read and cut into parts, or made by a formula."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn._support.wording import nearest, show
from kanpinn.data import Data, Table
from kanpinn.data.column_files import READERS, flat_column, numbers, read_columns
from kanpinn.geometry import Points
from kanpinn.pde.expressions import Expression
from kanpinn.runs.config.domains import build_domain
from kanpinn.runs.config.forms import construct
from kanpinn.runs.config.reading import naming
from kanpinn.runs.config.schema import FileSection, FormulaSection

PARTS = ("validation", "test")


def build_data(table: dict[str, Any], seed: int, directory: Path) -> Data:
    """The parts of the data that [data] describes.

    Raises:
        InputError: naming the key, the file, or the column.
    """
    if "formula" in table:
        return _made(construct("data", FormulaSection, table), seed, directory)
    return _read(construct("data", FileSection, table), seed, directory)


def data_files(table: dict[str, Any]) -> list[str]:
    """The keys of [data] that name a file."""
    keys = ("path", *PARTS)
    return [] if "formula" in table else [k for k in keys if isinstance(table.get(k), str)]


def _made(section: FormulaSection, seed: int, directory: Path) -> Data:
    domain = build_domain("data.domain", section.domain, directory)
    texts = [section.formula] if isinstance(section.formula, str) else section.formula
    try:
        formulas = [Expression(text) for text in texts]
        for formula in formulas:
            formula.check(domain.names)
    except InputError as error:
        raise InputError(f"data.formula: {error}") from None

    def values(p: Points) -> Tensor:
        columns = [formula(p) for formula in formulas]
        return torch.cat([column.expand(len(p), 1) for column in columns], dim=1)

    chosen = seed if section.seed is None else section.seed
    drawn = Table.sample(domain, values, section.rows, seed=chosen)
    outputs = ["f"] if len(formulas) == 1 else [f"f{i}" for i in range(len(formulas))]
    table = Table(drawn.inputs, drawn.targets, drawn.names, tuple(outputs))
    return _blamed(lambda: Data.split(table, section.validation, section.test, seed=chosen))


def _read(section: FileSection, seed: int, directory: Path) -> Data:
    path = directory / section.path
    whole = _table(section, section.path, directory, section.classes)
    shares = {p: s for p in PARTS if not isinstance(s := getattr(section, p), str)}
    files = {p: s for p in PARTS if isinstance(s := getattr(section, p), str)}
    groups = None if section.groups is None else _groups(path, section.groups)
    data = _blamed(
        lambda: Data.split(
            whole,
            shares.get("validation", 0.0),
            shares.get("test", 0.0),
            seed=seed if section.seed is None else section.seed,
            groups=groups,
        )
    )
    parts: dict[str, Table] = {**data.parts}
    for part, file in files.items():
        parts[part] = _table(section, file, directory, whole.classes)
    return Data(**parts)


def _blamed(split: Callable[[], Data]) -> Data:
    """What a split refuses: its arguments are keys of [data]."""
    try:
        return split()
    except InputError as error:
        raise InputError(f"data: {error}") from None


def _table(
    section: FileSection, file: str, directory: Path, classes: Sequence[str] | None
) -> Table:
    path = directory / file
    if not path.is_file():
        beside = path.parent.iterdir() if path.parent.is_dir() else ()
        files = [f.name for f in beside if f.suffix in READERS and f.is_file()]
        raise InputError(f"{path}: there is no such file{nearest(path.name, files)}")
    with naming("data", section):
        return Table.read(path, section.inputs, section.targets, section.kind, classes)


def _groups(path: Path, names: str | list[str]) -> Tensor:
    """A number for each different value of the columns, (n, q)."""
    columns = read_columns(path)
    found = []
    for name in [names] if isinstance(names, str) else names:
        if name not in columns:
            raise InputError(
                f"data.groups = {show(name)}: {path} has no such column{nearest(name, columns)}"
            )
        cells = flat_column(path, name, columns[name])
        try:
            cells = numbers(path, name, cells)
        except InputError:
            cells = cells.astype(str)
        found.append(torch.from_numpy(numpy.unique(cells, return_inverse=True)[1].ravel()))
    return torch.stack(found, dim=1)
