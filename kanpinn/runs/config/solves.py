"""Problem files, and the solves that they describe."""

import copy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import torch

from kanpinn._support.errors import InputError, show
from kanpinn.accuracy.references import Recipe
from kanpinn.loss.residuals import Residuals
from kanpinn.pde.problem import Problem
from kanpinn.runs.config.job import File, Job, PointsTable, Weight
from kanpinn.runs.config.models import FixedTable, TomlTable, blaming
from kanpinn.runs.config.named import (
    REFERENCES,
    SIGN,
    SOLVE_NETWORKS,
    SOLVE_STAGES,
    AutoTable,
    Named,
    WithBoundary,
    check_points,
)
from kanpinn.runs.config.problems import PROBLEMS, ProblemTable
from kanpinn.solvers.auto import first_choice
from kanpinn.solvers.auto.search import Announce, TrialSearch
from kanpinn.solvers.discretization import (
    Loss,
    SolveSettings,
    check_inputs_and_fields,
    default_points,
    discretize,
    input_counts,
    inputs_of,
)
from kanpinn.solvers.losses import losses_of
from kanpinn.solvers.solution import Solution
from kanpinn.solvers.solve import default_optimizer, solve


@dataclass(frozen=True, eq=False, kw_only=True)
class SolveJob(Job):
    """A solve ready to run: a problem, a network, optimizers and settings.

    Args:
        problem: the problem.
        settings: the discretization.
        reference: the reference that errors are measured against, if it is not the problem's own.
        estimate: whether errors are also estimated after the solve.
        bound: whether the estimate has guaranteed bounds too.
        tolerance: a relative L2 error with which the estimated one is compared.
        budget_seconds: the seconds that the steps may take; None for no limit.
    """

    problem: Problem
    settings: SolveSettings
    reference: Recipe | None = None
    estimate: bool = False
    bound: bool = False
    tolerance: float | None = None
    budget_seconds: float | None = None

    def _run(self, given: dict[str, Any], announce: Announce | None, assessed: bool) -> Solution:
        blamed = (self.problem, self.network, *self.optimizers, self.reference)
        with blaming(type(self.problem).__name__, *blamed):
            return solve(
                self.problem,
                self.network,
                self.optimizers,
                **vars(self.settings),
                reference=self.reference,
                errors=assessed,
                verified=assessed,
                seed=self.seed,
                budget=self.budget_seconds,
                **given,
            )

    def preview(self) -> Residuals:
        """Return the loss of the first step; residuals are evaluated at a few points only."""
        network = copy.deepcopy(self.network)
        with blaming(type(self.problem).__name__, self.problem, network):
            start = discretize(self.problem, network, self.settings, self.seed)
            return losses_of(start, self.optimizers).first(0)


@dataclass(frozen=True, eq=False, kw_only=True)
class AutoJob(SolveJob):
    """A solve by trials: network, points and optimizers are those of the first one."""

    by_trials = True

    def _run(self, given: dict[str, Any], announce: Announce | None, assessed: bool) -> Solution:
        """Solve the problem with settings that trials choose."""
        like = next(self.network.parameters())
        limits: dict[str, Any] = {"tolerance": self.tolerance, "budget": self.budget_seconds}
        with blaming(type(self.problem).__name__, self.problem, self.reference):
            search = TrialSearch(
                problem=self.problem,
                boundary=self.settings.boundary,
                seed=self.seed,
                dtype=like.dtype,
                device=like.device,
                announce=announce,
                **{name: value for name, value in limits.items() if value is not None},
                **given,
            )
            return search.solution(self.reference, assessed)


class LossTable(FixedTable):
    """The loss: the sum of the weighted mean squared residuals, or an energy.

    Args:
        interior: the weight of the equation.
        boundary: the weight of the conditions.
        form: "strong" minimises the squared residual, "energy" the energy of the problem's class;
            cells then solve the equation that is derived from it.
        balance: how the weights of the loss terms are balanced, see `kanpinn.solve`.
    """

    interior: Weight = 1.0
    boundary: Weight = 1.0
    form: Literal["strong", "energy"] = "strong"
    balance: Literal["sizes", "ntk", "gradients"] | None = None

    nulls: ClassVar[bool] = True


class SolveFile(File):
    """A problem and how to solve it.

    Args:
        problem: the equation with its domain and conditions.
        network: the network that represents the solution; by default trials choose it.
        points: the collocation points; by default as many as the network's output layer needs.
        loss: the loss that is minimised.
        optimizer: the methods, in their order; by default one least-squares solve.
        reference: the solution for errors if no exact solution is known.
        run: the settings of the whole run.
    """

    problem: Annotated[ProblemTable, PROBLEMS]
    points: PointsTable | None = None  # type: ignore[valid-type]
    loss: LossTable = LossTable()
    reference: Annotated[TomlTable, REFERENCES] | None = None
    network: Annotated[WithBoundary, SOLVE_NETWORKS] | None = None
    optimizer: tuple[Annotated[Named, SOLVE_STAGES], ...] = ()

    kind: ClassVar[str] = "problem"

    @property
    def title(self) -> str:
        return self.problem.title

    def job(self, directory: Path, name: str) -> SolveJob:
        problem = self.problem.build("problem", directory)
        run, reference = self.run, self.reference
        common: dict[str, Any] = {
            "problem": problem,
            "seed": run.seed,
            "name": name,
            "reference": None if reference is None else reference.build("reference", directory),
            "estimate": run.estimate or run.bound or run.tolerance is not None,
            "bound": run.bound,
            "tolerance": run.tolerance,
            "budget_seconds": run.budget_seconds,
        }
        types = [table.type for table in self.optimizer]
        if self.network is None or "auto" in (self.network.type, *types):
            self._check_choice(types)
            return self._first_trial(problem, common)
        inputs = inputs_of(problem, has_kinks=self.network.type == "cells")
        limits = {"ends": partial(check_inputs_and_fields, problem, inputs)}
        with blaming(type(problem).__name__, problem):
            sizes = input_counts(problem, inputs)[0], len(problem.fields)
            made = self.network.build(
                "network", directory, limits=limits, sizes=sizes, seed=run.seed
            )
        network = self.placed(made)
        points = default_points(network)
        if self.points is not None:
            points = self.points.build("points", directory)
            check_points(points, problem)
        rows = len(problem.fields) * (points.interior + points.boundary)
        settings = SolveSettings(
            points=points,
            boundary=self.network.boundary,
            loss=Loss(**self.loss.model_dump()),
        )
        default = () if self.optimizer else (default_optimizer(network, run.tolerance),)
        methods = self.make_optimizers(network, directory, default, rows)
        return SolveJob(network=network, optimizers=methods, settings=settings, **common)

    def _check_choice(self, types: list[str]) -> None:
        """Refuse a file that leaves only a part of the settings to trials.

        types: the types of the optimizers.

        Raises:
            InputError: unless the network, the points, the loss and the optimizers are all left out
                or "auto".
        """
        network = self.network.type if self.network else "auto"
        if "auto" in types and len(types) > 1:
            index = types.index("auto")
            raise InputError(f'optimizer[{index}].type = "auto": expected to be the only optimizer')
        if "auto" in types and network != "auto":
            wrong = f"expected no network beside it, got {show(network)}"
            raise InputError(f'optimizer[0].type = "auto": {wrong}')
        if types and self.network is None and "auto" not in types:
            raise InputError(f"network is missing: expected a section [network]{SIGN}")
        if types and "auto" not in types:
            raise InputError(
                f"optimizer[0].type = {show(types[0])}: expected no optimizer beside a network "
                'of type "auto", since trials choose both'
            )
        for section, table in (("points", self.points), ("loss", self.loss)):
            given = table.model_dump(by_alias=True, exclude_defaults=True) if table else {}
            for key, value in given.items():
                raise InputError(AutoTable.refusal(section, key, value))

    def _first_trial(self, problem: Problem, common: dict[str, Any]) -> AutoJob:
        """Return the job whose settings trials choose, with those of the first trial."""
        first = first_choice(problem)
        network = self.placed(first.network(self.run.seed, torch.float64, "cpu"))
        settings = first.settings("auto" if self.network is None else self.network.boundary)
        chosen: dict[str, Any] = {"network": network, "optimizers": first.optimizers}
        return AutoJob(settings=settings, **chosen, **common)
