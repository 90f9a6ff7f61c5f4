"""Fit files: what they say beside network and optimizers, and the fit that they describe."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from kanpinn.data import Data
from kanpinn.loss.sparsity import Sparsity
from kanpinn.networks import Network
from kanpinn.optimizers import LevenbergMarquardt, Method
from kanpinn.runs.config.classes import sources_of
from kanpinn.runs.config.forms import construct
from kanpinn.runs.config.job import Job, NoSteps
from kanpinn.runs.config.limits import check_factors
from kanpinn.runs.config.parts import build_network, build_optimizers
from kanpinn.runs.config.reading import naming
from kanpinn.runs.config.schema import FitSection
from kanpinn.runs.config.sections import Sections, Shared
from kanpinn.runs.config.tables import build_data
from kanpinn.solvers.fit import Fitted, fit
from kanpinn.solvers.state import Observer


@dataclass(frozen=True, eq=False, kw_only=True)
class FitJob(Job):
    """Data with everything that their fit needs."""

    data: Data
    settings: FitSection
    sparsity: Sparsity | None = None
    budget_seconds: float | None = None

    def run(
        self, observers: Sequence[Observer] = (), checkpoint: Mapping[str, Any] | None = None
    ) -> Fitted:
        given: dict[str, Any] = {"observers": observers, "checkpoint": checkpoint}
        given["budget_seconds"] = self.budget_seconds
        return self._fit(self.network, self.optimizers, **given)

    def preview(self) -> Fitted:
        """The state before the first step, with its scores."""
        return self._fit(copy.deepcopy(self.network), NoSteps())

    def _fit(self, network: Network, optimizers: Method | Sequence[Method], **given: Any) -> Fitted:
        settings = {**vars(self.settings), "sparsity": self.sparsity}
        with naming("fit", self.settings):
            return fit(network, self.data, optimizers, seed=self.seed, **settings, **given)

    @property
    def title(self) -> str:
        return self.name

    @property
    def sources(self) -> tuple[Path, ...]:
        return sources_of(*map(type, (self.network, *self.optimizers)))


@dataclass(frozen=True)
class FitSections(Sections):
    """The sections that fit files alone have."""

    data: dict[str, Any]
    fit: FitSection = field(default_factory=FitSection)

    kind: ClassVar[str] = "fit"
    command: ClassVar[str] = "fit"
    names: ClassVar[tuple[str, ...]] = ("data", "fit")

    @staticmethod
    def of(data: dict[str, Any]) -> "FitSections":
        return FitSections(data["data"], construct("fit", FitSection, data.get("fit", {})))

    @property
    def title(self) -> str:
        """What the data are: a file's name, or a formula."""
        return str(self.data.get("path") or self.data["formula"])

    @property
    def name(self) -> str:
        return Path(self.data.get("path", "fit")).stem

    def to_dict(self) -> dict[str, Any]:
        settings = {k: v for k, v in asdict(self.fit).items() if v is not None}
        return {"data": self.data, "fit": settings}

    def build(self, shared: Shared) -> FitJob:
        run, directory = shared.run, shared.directory
        shared.refuse("a solve has errors to estimate, a fit has scores", "estimate", "tolerance")
        data = build_data(self.data, run.seed, directory)
        network = build_network(shared.network, run, directory)
        optimizers = build_optimizers(shared.optimizer, network, directory, LevenbergMarquardt())
        rows = (self.fit.batch or len(data.train)) * network.width[-1]
        check_factors(network, optimizers, rows)
        return FitJob(
            network=network,
            optimizers=optimizers,
            seed=run.seed,
            name=shared.name,
            data=data,
            settings=self.fit,
            sparsity=_sparsity(self.fit.sparsity),
            budget_seconds=run.budget_seconds,
        )


def _sparsity(table: dict[str, Any] | None) -> Sparsity | None:
    return None if table is None else construct("fit.sparsity", Sparsity, table)
