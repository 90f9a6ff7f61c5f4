"""The data of a fit file: columns of a file, shared out into parts, or made by a formula."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy
import torch
from pydantic import Field
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn._support.wording import nearest, show
from kanpinn.data import Data
from kanpinn.data import Table as Rows
from kanpinn.data.column_files import READERS, flat_column, numbers, read_columns
from kanpinn.geometry import Points
from kanpinn.pde.expressions import Expression
from kanpinn.runs.config.domains import DOMAINS, ShapeTable
from kanpinn.runs.config.files import Seed
from kanpinn.runs.config.models import Table, Variants
from kanpinn.runs.config.reading import naming

PARTS = ("validation", "test")
Share = Annotated[float, Field(ge=0, lt=1)]


class DataTable(Table):
    """What data are fitted, and how their rows are shared out.

    Args:
        seed: of the rows that are chosen; by default that of the run.
        test: the share of the rows that the fit is judged by.
        validation: the share of the rows that say when to stop.
    """

    validation: Share | str = 0.0
    test: Share | str = 0.2
    seed: Seed | None = None

    @property
    @abstractmethod
    def title(self) -> str:
        """What the data are, in a few words."""

    @property
    def name(self) -> str:
        """What a run is called after, where there is no file to call it after."""
        return "fit"

    @abstractmethod
    def build(self, path: str, directory: Path, **defaults: Any) -> Data:
        """The parts of the data.

        Raises:
            InputError: naming the key, the file, or the column.
        """


class FileTable(DataTable):
    """Data from a file of columns.

    Args:
        path: of the file, .csv or .npz.
        inputs: the columns that are inputs; by default all others.
        targets: the columns that are fitted; by default the last.
        kind: whether targets are numbers, or names of classes.
        classes: all that there are, where the file does not have them all.
        groups: columns; rows that agree in them stay together in one part.
        validation: the share of the rows that say when to stop, or a file of them.
        test: the share of the rows that the fit is judged by, or a file of them.
    """

    path: str
    inputs: list[str] | None = None
    targets: str | list[str] | None = None
    kind: Literal["numbers", "classes"] = "numbers"
    classes: list[str] | None = None
    groups: str | list[str] | None = None

    @property
    def title(self) -> str:
        return self.path

    @property
    def name(self) -> str:
        return Path(self.path).stem

    def build(self, path: str, directory: Path, **defaults: Any) -> Data:
        return _read(self, defaults["seed"], directory)


class FormulaTable(DataTable):
    """Data that formulas make at random points of a domain.

    Args:
        formula: of the coordinates, or several, such as "exp(sin(pi*x) + y**2)".
        rows: the number of points.
    """

    formula: str | list[str]
    domain: Annotated[ShapeTable, DOMAINS, Field(description="Where the points are drawn.")]
    rows: Annotated[int, Field(ge=1)] = 1000
    validation: Share = 0.0
    test: Share = 0.2

    @property
    def title(self) -> str:
        return str(self.formula)

    def build(self, path: str, directory: Path, **defaults: Any) -> Data:
        return _made(self, defaults["seed"], directory)


DATA = Variants(
    {"path": FileTable, "formula": FormulaTable},
    {"path": "a file", "formula": "a formula"},
    ' such as "exp(sin(pi*x) + y**2)"',
    ' with path = "..." or formula = "..."',
)


def data_files(table: dict[str, Any]) -> list[str]:
    """The keys of [data] that name a file."""
    keys = ("path", *PARTS)
    return [] if "formula" in table else [k for k in keys if isinstance(table.get(k), str)]


def _made(section: FormulaTable, seed: int, directory: Path) -> Data:
    domain = section.domain.build("data.domain", directory)
    try:
        formulas = [Expression(text) for text in _listed(section.formula)]
        for formula in formulas:
            formula.check(domain.names)
    except InputError as error:
        raise InputError(f"data.formula: {error}") from None

    def values(p: Points) -> Tensor:
        columns = [formula(p) for formula in formulas]
        return torch.cat([column.expand(len(p), 1) for column in columns], dim=1)

    chosen = seed if section.seed is None else section.seed
    drawn = Rows.sample(domain, values, section.rows, seed=chosen)
    outputs = ["f"] if len(formulas) == 1 else [f"f{i}" for i in range(len(formulas))]
    rows = Rows(drawn.inputs, drawn.targets, drawn.names, tuple(outputs))
    with naming("data", {}, "data: "):
        return Data.split(rows, section.validation, section.test, seed=chosen)


def _read(section: FileTable, seed: int, directory: Path) -> Data:
    """The rows of the file, shared out; parts that are files of their own replace their shares."""
    whole = _rows(section, section.path, directory, section.classes)
    groups = None
    if section.groups is not None:
        groups = _groups(directory / section.path, _listed(section.groups))
    files = {part: getattr(section, part) for part in data_files(vars(section)) if part in PARTS}
    shares = {part: 0.0 if part in files else getattr(section, part) for part in PARTS}
    chosen = seed if section.seed is None else section.seed
    with naming("data", {}, "data: "):
        data = Data.split(whole, **shares, seed=chosen, groups=groups)
    own = {part: _rows(section, file, directory, whole.classes) for part, file in files.items()}
    return Data(**{**data.parts, **own})


def _rows(section: FileTable, file: str, directory: Path, classes: Sequence[str] | None) -> Rows:
    path = directory / file
    if not path.is_file():
        beside = path.parent.iterdir() if path.parent.is_dir() else ()
        files = [f.name for f in beside if f.suffix in READERS and f.is_file()]
        raise InputError(f"{path}: there is no such file{nearest(path.name, files)}")
    with naming("data", vars(section)):
        return Rows.read(path, section.inputs, section.targets, section.kind, classes)


def _listed(names: str | list[str]) -> list[str]:
    return [names] if isinstance(names, str) else names


def _groups(path: Path, names: list[str]) -> Tensor:
    """A number for each different value of the columns, (n, q)."""
    columns = read_columns(path)
    found = []
    for name in names:
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
