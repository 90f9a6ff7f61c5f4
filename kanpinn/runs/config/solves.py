"""Problem files, and the solves that they describe."""

import copy
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import torch

from kanpinn._support.errors import InputError
from kanpinn._support.wording import show
from kanpinn.accuracy.references import Recipe
from kanpinn.networks import Network
from kanpinn.optimizers import Method
from kanpinn.pde.problem import Problem
from kanpinn.runs.config.classes import blaming
from kanpinn.runs.config.files import File, PointsTable, Weight
from kanpinn.runs.config.job import Job, NoSteps, SolveSettings
from kanpinn.runs.config.limits import check_factors, check_points
from kanpinn.runs.config.models import FixedTable, Table
from kanpinn.runs.config.named import (
    NETWORKS,
    OPTIMIZERS,
    REFERENCES,
    SIGN,
    SOLVE_NETWORKS,
    SOLVE_STAGES,
    AutoTable,
    Named,
    WithBoundary,
)
from kanpinn.runs.config.problems import PROBLEMS, ProblemTable
from kanpinn.solvers.auto import Choice, auto, first_choice
from kanpinn.solvers.default_optimizer import default_optimizer
from kanpinn.solvers.discretize import default_points
from kanpinn.solvers.solution import Solution
from kanpinn.solvers.solve import solve
from kanpinn.solvers.state import Observer

Announce = Callable[[Choice, str], None]


@dataclass(frozen=True, eq=False, kw_only=True)
class SolveJob(Job):
    """A solve ready to run: a problem, a network, optimizers and settings.

    Args:
        problem: the problem.
        settings: the discretization.
        reference: the reference that errors are measured against, if it is not the problem's own.
        estimate: whether errors are also estimated after the solve.
        tolerance: a relative L2 error with which the estimated one is compared.
        budget_seconds: the seconds that the steps may take; None for no limit.
    """

    problem: Problem
    settings: SolveSettings
    reference: Recipe | None = None
    estimate: bool = False
    tolerance: float | None = None
    budget_seconds: float | None = None

    def run(
        self,
        observers: Sequence[Observer] = (),
        checkpoint: Mapping[str, Any] | None = None,
        errors: bool = True,
    ) -> Solution:
        """Solve the problem and return the solution; see `kanpinn.solve`.

        Args:
            observers: as for `Job.run`.
            checkpoint: as for `Job.run`.
            errors: whether errors against the exact solution or the reference are computed.
        """
        return solve(
            self.problem,
            self.network,
            self.optimizers,
            **vars(self.settings),
            reference=self.reference,
            errors=errors,
            seed=self.seed,
            budget_seconds=self.budget_seconds,
            observers=observers,
            checkpoint=checkpoint,
        )

    def preview(self) -> Solution:
        """Return the solution before the first step, with its loss terms and their points."""
        network = copy.deepcopy(self.network)
        settings = vars(self.settings)
        return solve(self.problem, network, NoSteps(), **settings, errors=False, seed=self.seed)

    def blamed(self) -> AbstractContextManager[None]:
        owners = (self.problem, self.network, *self.optimizers, self.reference)
        return blaming(type(self.problem).__name__, *owners)


@dataclass(frozen=True, eq=False, kw_only=True)
class AutoJob(SolveJob):
    """A solve by `kanpinn.auto`; its network, points and optimizers are those of the first trial.

    Args:
        announce: a function called with each choice before its trial, and at the end with the
            choice that is kept.
    """

    announce: Announce | None = None

    def run(
        self,
        observers: Sequence[Observer] = (),
        checkpoint: Mapping[str, Any] | None = None,
        errors: bool = True,
    ) -> Solution:
        """Solve the problem with settings that trials choose; see `kanpinn.auto`."""
        assert checkpoint is None, "a checkpoint belongs to one of the trials"
        like = next(self.network.parameters())
        return auto(
            self.problem,
            tolerance=self.tolerance,
            budget_seconds=self.budget_seconds,
            boundary=self.settings.boundary,
            reference=self.reference,
            errors=errors,
            seed=self.seed,
            dtype=like.dtype,
            device=like.device,
            observers=observers,
            announce=self.announce,
        )


class LossTable(FixedTable):
    """The loss: the sum of the weighted mean squared residuals, or an energy.

    Args:
        interior: the weight of the equation.
        boundary: the weight of the conditions.
        form: "strong" minimises the squared residual, "energy" the energy of the problem's class.
        balance: how the weights of the loss terms are balanced, see `kanpinn.solve`.
    """

    interior: Weight = 1.0
    boundary: Weight = 1.0
    form: Literal["strong", "energy"] = "strong"
    balance: Literal["ntk", "gradients"] | None = None

    nulls: ClassVar[bool] = True


class SolveFile(File):
    """A problem and how to solve it.

    Args:
        problem: the equation with its domain and conditions.
        network: the network that represents the solution; by default trials choose it.
        points: the collocation points; by default as many as the network's output layer needs.
        loss: the loss that is minimised.
        optimizer: the methods that minimise the loss, in their order; by default one least-squares
            solve.
        reference: the solution for computing errors if no exact solution is known.
        run: the settings of the whole run.
    """

    problem: Annotated[ProblemTable, PROBLEMS]
    points: PointsTable | None = None  # type: ignore[valid-type]
    loss: LossTable = LossTable()
    reference: Annotated[Table, REFERENCES] | None = None
    network: Annotated[WithBoundary, SOLVE_NETWORKS] | None = None
    optimizer: tuple[Annotated[Named, SOLVE_STAGES], ...] = ()

    kind: ClassVar[str] = "problem"

    @property
    def title(self) -> str:
        return self.problem.title

    def job(self, directory: Path, name: str) -> SolveJob:
        problem = self.problem.build("problem", directory)
        boundary = "auto" if self.network is None else self.network.boundary
        if self._leaves_choice():
            kind: type[SolveJob] = AutoJob
            settings, network, optimizers = self._first_trial(problem, boundary)
        else:
            kind = SolveJob
            settings, network, optimizers = self._stated(problem, boundary, directory)
        run, reference = self.run, self.reference
        return kind(
            network=network,
            optimizers=optimizers,
            seed=run.seed,
            name=name,
            problem=problem,
            settings=settings,
            reference=None if reference is None else reference.build("reference", directory),
            estimate=run.estimate or run.tolerance is not None,
            tolerance=run.tolerance,
            budget_seconds=run.budget_seconds,
        )

    def _stated(
        self, problem: Problem, boundary: str, directory: Path
    ) -> tuple[SolveSettings, Network, tuple[Method, ...]]:
        """Return the settings, the network and the optimizers that the file gives."""
        assert self.network is not None
        network = self.placed(self.network.build("network", directory, seed=self.run.seed))
        optimizers = self.make_optimizers(network, directory, default_optimizer(network))
        points = default_points(network)
        if self.points is not None:
            points = self.points.build("points", directory)
            check_points(points, problem)
        rows = len(problem.fields) * (points.interior + points.boundary)
        check_factors(network, optimizers, rows)
        loss = self.loss
        settings = SolveSettings(
            points=points,
            boundary=boundary,
            weights={"interior": loss.interior, "boundary": loss.boundary},
            balance=loss.balance,
            form=loss.form,
        )
        return settings, network, optimizers

    def _first_trial(
        self, problem: Problem, boundary: str
    ) -> tuple[SolveSettings, Network, tuple[Method, ...]]:
        """Return the settings, the network and the optimizers of the first trial."""
        first = first_choice(problem)
        network = first.network(self.run.seed, torch.float64, torch.device("cpu"))
        settings = SolveSettings(
            points=first.points, boundary=boundary, weights=dict(first.weights), form=first.form
        )
        return settings, self.placed(network), first.optimizers

    def _leaves_choice(self) -> bool:
        """Return True if trials choose the network, the points and the optimizers.

        They do if the file names neither a network nor optimizers, or if the type is "auto".

        Raises:
            InputError: if the file leaves only a part of the choice to trials.
        """
        network = self.network.type if self.network else "auto"
        named = [stage.type for stage in self.optimizer]
        if "auto" in named and len(named) > 1:
            index = named.index("auto")
            raise InputError(f'optimizer[{index}].type = "auto": expected to be the only optimizer')
        if "auto" in named and network != "auto":
            raise InputError(
                f'optimizer[0].type = "auto": expected no network beside it, got {show(network)}'
            )
        if network != "auto":
            return False
        if named and self.network is None and "auto" not in named:
            raise InputError(f"network is missing: expected a section [network]{SIGN}")
        if named and "auto" not in named:
            raise InputError(
                f"optimizer[0].type = {show(named[0])}: expected a network beside it, for trials "
                "that choose the network choose the optimizers, too"
            )
        for section, table in (("points", self.points), ("loss", self.loss)):
            given = table.model_dump(by_alias=True, exclude_defaults=True) if table else {}
            for key, value in given.items():
                raise InputError(AutoTable.refusal(section, key, value))
        return True


def chosen_sections(choice: Choice, boundary: str) -> dict[str, Any]:
    """Return the sections of a file that describe a choice of trials.

    Args:
        choice: the network, points, loss and optimizers that trials chose.
        boundary: the value of the key `boundary` of [network].
    """
    return {
        "network": {
            "type": _name(choice.kind, NETWORKS),
            **choice.arguments,
            "boundary": boundary,
        },
        "points": _given(choice.points),
        "loss": {**choice.weights, "form": choice.form},
        "optimizer": [{"type": _name(type(o), OPTIMIZERS), **_given(o)} for o in choice.optimizers],
    }


def _name(target: type, known: Mapping[str, type]) -> str:
    return next(name for name, found in known.items() if found is target)


def _given(settings: Any) -> dict[str, Any]:
    """Return the arguments of a dataclass whose values are not the defaults."""
    values = {f.name: (getattr(settings, f.name), f.default) for f in fields(settings) if f.init}
    return {name: value for name, (value, default) in values.items() if value != default}
