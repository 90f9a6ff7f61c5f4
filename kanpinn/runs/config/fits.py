"""Files with `[data]`: the data set and the fit that a file describes."""

import copy
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy
import torch
from pydantic import Field
from torch import Tensor

from kanpinn._support.errors import InputError, nearest, show
from kanpinn.data import Data
from kanpinn.data import Table as Rows
from kanpinn.data.column_files import READERS, flat_column, numbers, read_columns
from kanpinn.geometry import Points
from kanpinn.loss.sparsity import Sparsity
from kanpinn.networks import Network
from kanpinn.optimizers import LevenbergMarquardt, Method
from kanpinn.pde.expressions import Expression
from kanpinn.runs.config.job import File, Job, NoSteps, Seed
from kanpinn.runs.config.models import FixedTable, TomlTable, Variants, blaming, naming, table_of
from kanpinn.runs.config.named import FIT_NETWORKS, FIT_STAGES, Named
from kanpinn.runs.config.problems import DOMAINS, ShapeTable
from kanpinn.solvers.auto.search import Announce
from kanpinn.solvers.fit import Fitted, check_columns, fit

PARTS = ("validation", "test")
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
        groups: the names of columns; rows with equal values in them stay in one part.
        validation: the share of the rows that decide which state of the fit is kept, or a file of
            such rows.
        test: the share of the rows on which the fit is assessed, or a file of such rows.
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
        whole = _rows(self, self.path, directory, self.classes)
        groups = None
        if self.groups is not None:
            groups = _groups(directory / self.path, _listed(self.groups))
        # A part with a file of its own takes no rows of the whole file.
        files = {part: getattr(self, part) for part in data_files(vars(self)) if part in PARTS}
        shares = {part: 0.0 if part in files else getattr(self, part) for part in PARTS}
        chosen = defaults["seed"] if self.seed is None else self.seed
        with naming(path, {}, f"{path}: "):
            data = Data.split(whole, **shares, seed=chosen, groups=groups)
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
            formulas = [Expression(text) for text in _listed(self.formula)]
            for formula in formulas:
                formula.check(domain.names)
        except InputError as error:
            raise InputError(f"{path}.formula: {error}") from None

        def values(p: Points) -> Tensor:
            columns = [formula(p) for formula in formulas]
            return torch.cat([column.expand(len(p), 1) for column in columns], dim=1)

        chosen = defaults["seed"] if self.seed is None else self.seed
        drawn = Rows.sample(domain, values, self.rows, seed=chosen)
        outputs = ["f"] if len(formulas) == 1 else [f"f{i}" for i in range(len(formulas))]
        rows = Rows(drawn.inputs, drawn.targets, drawn.names, tuple(outputs))
        with naming(path, {}, f"{path}: "):
            return Data.split(rows, self.validation, self.test, seed=chosen)


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


def _listed(names: str | list[str]) -> list[str]:
    return [names] if isinstance(names, str) else names


def _groups(path: Path, names: list[str]) -> Tensor:
    """Return the values of q columns of a file, encoded as integers, (n, q)."""
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


SparsityTable = table_of(Sparsity, "sparsity")


@dataclass(frozen=True, eq=False, kw_only=True)
class FitJob(Job):
    """A fit ready to run; data, network, optimizers and settings are those of `kanpinn.fit`."""

    data: Data
    settings: "FitTable"
    sparsity: Sparsity | None = None
    budget_seconds: float | None = None

    def _run(self, given: dict[str, Any], announce: Announce | None, assessed: bool) -> Fitted:
        given["budget"] = self.budget_seconds
        return self._fit(self.network, self.optimizers, **given)

    def preview(self) -> Fitted:
        """Return the fit before its first step, with its scores."""
        return self._fit(copy.deepcopy(self.network), NoSteps())

    def _fit(self, network: Network, optimizers: Method | Sequence[Method], **given: Any) -> Fitted:
        settings = {**vars(self.settings), "sparsity": self.sparsity}
        owners = (self.network, *self.optimizers)
        with blaming(self.name, *owners), naming("fit", settings):
            return fit(network, self.data, optimizers, seed=self.seed, **settings, **given)


class FitTable(FixedTable):
    """How a network is fitted; see `kanpinn.fit`.

    Args:
        scaling: how inputs are scaled: "range" maps the range of the rows to [-1, 1], "standard"
            maps their mean ± a standard deviation, "quantile" is "range" with as many rows in each
            interval of the first grid; null for "range" for KANs and "standard" for MLPs.
        bounds: the ranges [low, high] of some inputs, in place of those of their rows.
        batch: the number of rows that a step uses; 0 for all.
        sparsity: a term of the loss that reduces the number of edges, see `kanpinn.Sparsity`.
        patience: the number of steps without a lower validation error after which the fit ends;
            null for no limit.
    """

    scaling: Literal["range", "standard", "quantile"] | None = None
    bounds: dict[str, list[float]] | None = None
    batch: Annotated[int, Field(ge=0)] = 0
    sparsity: SparsityTable | None = None  # type: ignore[valid-type]
    patience: Annotated[int, Field(ge=1)] | None = None


class FitFile(File):
    """Data, and how to fit a network to them.

    Args:
        data: the rows, and how they are divided into parts.
        network: the network that is fitted to them.
        fit: the settings of the fit.
        optimizer: the methods that minimise the error, in their order; by default
            Levenberg–Marquardt.
        run: the settings of the whole run.
    """

    data: Annotated[DataTable, DATA]
    network: Annotated[Named, FIT_NETWORKS]
    fit: FitTable = FitTable()
    optimizer: tuple[Annotated[Named, FIT_STAGES], ...] = ()

    kind: ClassVar[str] = "fit"
    derivatives: ClassVar[int] = 0

    @property
    def title(self) -> str:
        """The file or the formula of the data."""
        return self.data.title

    @property
    def name(self) -> str:
        return self.data.name

    def job(self, directory: Path, name: str) -> FitJob:
        run = self.run
        run.refuse("a fit has scores, and no error to estimate", "estimate", "bound", "tolerance")
        data = self.data.build("data", directory, seed=run.seed)
        limits = {"ends": partial(check_columns, data.train)}
        train = data.train
        sizes = len(train.names), len(train.classes or train.outputs)
        made = self.network.build("network", directory, limits=limits, sizes=sizes, seed=run.seed)
        network = self.placed(made)
        rows = (self.fit.batch or len(data.train)) * network.width[-1]
        optimizers = self.make_optimizers(network, directory, (LevenbergMarquardt(),), rows)
        sparsity = self.fit.sparsity
        return FitJob(
            network=network,
            optimizers=optimizers,
            seed=run.seed,
            name=name,
            data=data,
            settings=self.fit,
            sparsity=None if sparsity is None else sparsity.build("fit.sparsity", directory),
            budget_seconds=run.budget_seconds,
        )
