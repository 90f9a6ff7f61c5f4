"""Files of eigenvalue problems, which have a section [eigen], and the jobs that they describe."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from kanpinn._support.errors import InputError
from kanpinn.networks import Network
from kanpinn.pde.problem import EigenProblem
from kanpinn.runs.config.job import File, Job, PointsTable, Weight
from kanpinn.runs.config.models import FixedTable, blaming
from kanpinn.runs.config.named import EIGEN_NETWORKS, FIT_STAGES, Named, WithBoundary, check_points
from kanpinn.runs.config.problems import EigenClassTable
from kanpinn.solvers.auto.search import Announce
from kanpinn.solvers.discretization import (
    Discretization,
    Loss,
    SolveSettings,
    check_inputs_and_fields,
    default_points,
    input_counts,
)
from kanpinn.solvers.eigen import (
    Eigensolution,
    default_eigen_network,
    discretize_eigen,
    eigen,
)
from kanpinn.solvers.solve import default_optimizer
from kanpinn.tasks.adaptive import AdaptiveLeastSquares


@dataclass(frozen=True, eq=False, kw_only=True)
class EigenJob(Job):
    """A solve of an eigenvalue problem, ready to run.

    Args:
        problem: the eigenvalue problem.
        settings: the discretization.
        count: the number of eigenvalues.
        near: the number nearest to which eigenvalues are computed; None for the smallest ones.
        tolerance: see `kanpinn.eigen`.
        budget_seconds: the most seconds that the steps may take; None for no limit.
    """

    problem: EigenProblem
    settings: SolveSettings
    count: int
    near: float | None
    tolerance: float | None = None
    budget_seconds: float | int | None = None

    def _run(
        self, given: dict[str, Any], announce: Announce | None, assessed: bool
    ) -> Eigensolution:
        """Solve the problem, or go on from a checkpoint; without steps that gives its modes."""
        with blaming(type(self.problem).__name__, self.problem, self.network):
            return eigen(
                self.problem,
                self.network,
                self.count,
                self.settings.points,
                optimizers=next(iter(self.optimizers), None),
                tolerance=self.tolerance,
                near=self.near,
                boundary=self.settings.boundary,
                loss=self.settings.loss,
                seed=self.seed,
                budget=self.budget_seconds,
                **given,
            )

    def preview(self) -> Discretization[EigenProblem]:
        """Return the discretization from which the solve starts."""
        with blaming(type(self.problem).__name__, self.problem, self.network):
            return discretize_eigen(
                self.problem, self.network, self.settings, self.seed, self.count, self.near
            )


class EigenTable(FixedTable):
    """Which eigenvalues are computed: the smallest, or those nearest to a number.

    Args:
        count: the number of eigenvalues, counted with multiplicity.
        near: the number nearest to which eigenvalues are computed; null for the smallest ones.
    """

    count: Annotated[int, Field(ge=1)] = 6
    near: float | None = None


class WeightTable(FixedTable):
    """The weights of the mean squared residuals.

    Args:
        interior: the weight of the operator.
        boundary: the weight of the conditions.
    """

    interior: Weight = 1.0
    boundary: Weight = 1.0


class EigenFile(File):
    """An eigenvalue problem and how to solve it.

    Args:
        problem: the operators with their domain and conditions.
        eigen: which eigenvalues are computed.
        network: the network; modes are linear combinations of its output layer's basis functions.
            By default that of `kanpinn.eigen`.
        points: the collocation points; by default as many as the network's output layer needs.
        loss: the weights of the operator and of the conditions.
        optimizer: at most one "adaptive_least_squares" for a network in cells; otherwise none, as
            eigenvalues are found by linear algebra.
        run: the settings of the whole run.
    """

    problem: EigenClassTable
    eigen: EigenTable
    points: PointsTable | None = None  # type: ignore[valid-type]
    loss: WeightTable = WeightTable()
    network: Annotated[WithBoundary, EIGEN_NETWORKS] | None = None
    optimizer: tuple[Annotated[Named, FIT_STAGES], ...] = ()

    kind: ClassVar[str] = "eigen"

    @property
    def title(self) -> str:
        return self.problem.title

    def job(self, directory: Path, name: str) -> EigenJob:
        reason = "eigenvalues always have bounds and estimates"
        self.run.refuse(reason, "estimate", "bound")
        problem: EigenProblem = self.problem.build("problem", directory)
        limits = {"ends": partial(check_inputs_and_fields, problem, problem.inputs())}
        with blaming(type(problem).__name__, problem):
            sizes = input_counts(problem, problem.inputs())[0], len(problem.fields)
            if self.network is None:
                made = default_eigen_network(problem).sized(*sizes)
            else:
                made = self.network.build(
                    "network", directory, limits=limits, sizes=sizes, seed=self.run.seed
                )
        network = self.placed(made)
        optimizers = self._optimizers(network, directory)
        points = default_points(network, network.width[0])
        if self.points is not None:
            points = self.points.build("points", directory)
            check_points(points, problem)
        return EigenJob(
            network=network,
            optimizers=optimizers,
            seed=self.run.seed,
            name=name,
            problem=problem,
            settings=SolveSettings(
                points=points,
                boundary="auto" if self.network is None else self.network.boundary,
                loss=Loss(**self.loss.model_dump()),
            ),
            count=self.eigen.count,
            near=self.eigen.near,
            tolerance=self.run.tolerance,
            budget_seconds=self.run.budget_seconds,
        )

    def _optimizers(self, network: Network, directory: Path) -> tuple[AdaptiveLeastSquares, ...]:
        own = default_optimizer(network, self.run.tolerance)
        if not self.optimizer:
            return (own,) if isinstance(own, AdaptiveLeastSquares) else ()
        if not isinstance(own, AdaptiveLeastSquares):
            raise InputError(
                "optimizer: expected to be left out, since eigenvalues are found by linear algebra"
            )
        if len(self.optimizer) > 1:
            raise InputError("optimizer: expected at most one for eigenvalues in cells")
        made = self.optimizer[0].build("optimizer[0]", directory)
        if not isinstance(made, AdaptiveLeastSquares):
            raise InputError(
                'optimizer[0].type: expected "adaptive_least_squares" for a network in cells'
            )
        return (made,)
