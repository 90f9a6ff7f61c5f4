"""The tables of data: rows of a file of columns, or values of formulas."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from kanpinn._support.errors import InputError, nearest
from kanpinn.data import Data
from kanpinn.data import Table as Rows
from kanpinn.data.column_files import READERS
from kanpinn.geometry import Points
from kanpinn.pde.expressions import Expression
from kanpinn.runs.config.models import TomlTable, Variants, naming
from kanpinn.runs.config.tables import DOMAINS, ShapeTable

PARTS = ("validation", "test")
Seed = Annotated[int, Field(ge=0, le=2**53)]
Share = Annotated[float, Field(ge=0, lt=1)]


class DataTable(TomlTable):
    """Data, and how their rows are divided into parts.

    Args:
        seed: the seed of the division; null for that of the run.
        test: the share of the rows on which the fit is assessed.
        validation: the share of the rows that decide which state of the fit is kept.
    """

    validation: Share | str = 0.0
    test: Share | str = 0.2
    seed: Seed | None = None

    @property
    @abstractmethod
    def title(self) -> str:
        """The file or the formula of the data."""

    @property
    def name(self) -> str:
        """The name of the runs, if the settings do not come from a named file."""
        return "fit"

    @abstractmethod
    def build(self, path: str, directory: Path, **defaults: Any) -> Data:
        """Return the parts of the data.

        Raises:
            InputError: if a key, a file or one of its columns cannot be used.
        """


class FileTable(DataTable):
    """Data from a file of columns.

    Args:
        path: the file, which ends in .csv, .npz, .h5 or .hdf5.
        inputs: the columns of the inputs; null for all columns that are not targets.
        targets: the columns of the targets; null for the last one.
        kind: whether the targets are "numbers" or names of "classes".
        classes: the names of all classes; null for those in the file.
        validation: the share of the rows that decide which state of the fit is kept, or a file of
            such rows.
        test: the share of the rows on which the fit is assessed, or a file of such rows.
    """

    path: str
    inputs: list[str] | None = None
    targets: str | list[str] | None = None
    kind: Literal["numbers", "classes"] = "numbers"
    classes: list[str] | None = None

    @property
    def title(self) -> str:
        return self.path

    @property
    def name(self) -> str:
        return Path(self.path).stem

    def build(self, path: str, directory: Path, **defaults: Any) -> Data:
        whole = _rows(self, self.path, directory, self.classes)
        seed = defaults["seed"] if self.seed is None else self.seed
        # A part with a file of its own takes no rows of the whole file.
        files = {part: getattr(self, part) for part in data_files(vars(self)) if part in PARTS}
        shares: dict[str, Any] = {part: getattr(self, part) for part in PARTS}
        shares |= dict.fromkeys(files, 0.0)
        with naming(path, {}, f"{path}: "):
            data = Data.split(whole, **shares, seed=seed)
        own = {part: _rows(self, file, directory, whole.classes) for part, file in files.items()}
        return Data(**{**data.parts, **own})


class FormulaTable(DataTable):
    """Values of formulas at random points of a domain.

    Args:
        formula: one formula in the coordinates, such as "exp(sin(pi*x) + y**2)", or several.
        rows: the number of points.
    """

    formula: str | list[str]
    domain: Annotated[ShapeTable, DOMAINS, Field(description="The domain in which the points lie.")]
    rows: Annotated[int, Field(ge=1)] = 1000
    validation: Share = 0.0
    test: Share = 0.2

    @property
    def title(self) -> str:
        return str(self.formula)

    def build(self, path: str, directory: Path, **defaults: Any) -> Data:
        domain = self.domain.build(f"{path}.domain", directory)
        try:
            texts = [self.formula] if isinstance(self.formula, str) else self.formula
            formulas = [Expression(text) for text in texts]
            for formula in formulas:
                formula.check(domain.names)
        except InputError as error:
            raise InputError(f"{path}.formula: {error}") from None

        def values(p: Points) -> Tensor:
            columns = [formula(p) for formula in formulas]
            return torch.cat([column.expand(len(p), 1) for column in columns], dim=1)

        seed = defaults["seed"] if self.seed is None else self.seed
        drawn = Rows.sample(domain, values, self.rows, seed=seed)
        outputs = ["f"] if len(formulas) == 1 else [f"f{i}" for i in range(len(formulas))]
        rows = Rows(drawn.inputs, drawn.targets, drawn.names, tuple(outputs))
        with naming(path, {}, f"{path}: "):
            return Data.split(rows, self.validation, self.test, seed=seed)


DATA = Variants(
    {"path": FileTable, "formula": FormulaTable},
    {"path": "a file", "formula": "a formula"},
    ' such as "exp(sin(pi*x) + y**2)"',
    ' with path = "..." or formula = "..."',
)


def data_files(table: dict[str, Any]) -> list[str]:
    """Return the keys of a table [data] whose values are names of files."""
    keys = ("path", *PARTS)
    return [] if "formula" in table else [k for k in keys if isinstance(table.get(k), str)]


def _rows(section: FileTable, file: str, directory: Path, classes: Sequence[str] | None) -> Rows:
    path = directory / file
    if not path.is_file():
        beside = path.parent.iterdir() if path.parent.is_dir() else ()
        files = [f.name for f in beside if f.suffix in READERS and f.is_file()]
        raise InputError(f"{path}: there is no such file{nearest(path.name, files)}")
    with naming("data", vars(section)):
        return Rows.read(path, section.inputs, section.targets, section.kind, classes)
