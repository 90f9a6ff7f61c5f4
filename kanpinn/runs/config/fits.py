"""Fit files, and the fits that they describe."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from kanpinn.data import Data
from kanpinn.loss.sparsity import Sparsity
from kanpinn.networks import Network
from kanpinn.optimizers import LevenbergMarquardt, Method
from kanpinn.runs.config.classes import blaming
from kanpinn.runs.config.files import File
from kanpinn.runs.config.fit_data import DATA, DataTable
from kanpinn.runs.config.job import Job, NoSteps
from kanpinn.runs.config.models import FixedTable, table_of
from kanpinn.runs.config.named import FIT_NETWORKS, FIT_STAGES, Named
from kanpinn.runs.config.reading import naming
from kanpinn.solvers.auto.search import Announce
from kanpinn.solvers.fit import Fitted, check_columns, fit
from kanpinn.solvers.state import Observer

SparsityTable = table_of(Sparsity, "sparsity")


@dataclass(frozen=True, eq=False, kw_only=True)
class FitJob(Job):
    """A fit ready to run; data, network, optimizers and settings are those of `kanpinn.fit`."""

    data: Data
    settings: "FitTable"
    sparsity: Sparsity | None = None
    budget_seconds: float | None = None

    def run(
        self,
        observers: Sequence[Observer] = (),
        checkpoint: Mapping[str, Any] | None = None,
        announce: Announce | None = None,
    ) -> Fitted:
        given: dict[str, Any] = {"observers": observers, "checkpoint": checkpoint}
        given["budget_seconds"] = self.budget_seconds
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
        made = self.network.build("network", directory, limits=limits, seed=run.seed)
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
