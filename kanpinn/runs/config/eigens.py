"""Files of eigenvalue problems: problem files with a section [eigen]."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from kanpinn._support.errors import InputError
from kanpinn.geometry.sampling import Collocation
from kanpinn.pde.eigen_problem import EigenProblem
from kanpinn.runs.config.classes import sources_of
from kanpinn.runs.config.forms import construct
from kanpinn.runs.config.job import Job
from kanpinn.runs.config.limits import check_points
from kanpinn.runs.config.parts import build_network, build_own
from kanpinn.runs.config.schema import BOUNDARY, ClassSection, EigenSection, WeightSection
from kanpinn.runs.config.sections import Sections, Shared
from kanpinn.solvers.discretize import Discretization, discretize
from kanpinn.solvers.eigen import Eigensolution, default_points, eigen, prepare, restored
from kanpinn.solvers.state import Observer


@dataclass(frozen=True, eq=False, kw_only=True)
class EigenJob(Job):
    """An eigenvalue problem with everything that it needs."""

    problem: EigenProblem
    points: Collocation
    boundary: str
    weights: dict[str, float]
    count: int
    near: float | None

    def run(
        self, observers: Sequence[Observer] = (), checkpoint: Mapping[str, Any] | None = None
    ) -> Eigensolution:
        """Solve it, or put the modes of a finished one together; there are no steps to observe."""
        if checkpoint is not None:
            return restored(self.preview(), checkpoint)
        return eigen(
            self.problem,
            self.network,
            self.count,
            self.points,
            near=self.near,
            boundary=self.boundary,
            weights=self.weights,
            seed=self.seed,
        )

    def preview(self) -> Discretization:
        """What it starts from."""
        setting = (self.points, self.boundary, self.weights, self.seed)
        return prepare(discretize(self.problem, self.network, *setting), self.count, self.near)

    @property
    def title(self) -> str:
        return type(self.problem).__name__

    @property
    def sources(self) -> tuple[Path, ...]:
        return sources_of(type(self.problem), type(self.network))


@dataclass(frozen=True)
class EigenSections(Sections):
    """The sections that files of eigenvalue problems alone have."""

    problem: dict[str, Any]
    eigen: EigenSection = field(default_factory=EigenSection)
    points: dict[str, Any] | None = None
    loss: WeightSection = field(default_factory=WeightSection)

    kind: ClassVar[str] = "eigen"
    command: ClassVar[str] = "solve"
    names: ClassVar[tuple[str, ...]] = ("problem", "eigen", "points", "loss")

    @staticmethod
    def of(data: dict[str, Any]) -> "EigenSections":
        if "equation" in data["problem"]:
            raise InputError(
                "problem.equation does not go with [eigen]: expected problem.class, a subclass of "
                "kanpinn.EigenProblem"
            )
        section = construct("problem", ClassSection, data["problem"])
        return EigenSections(
            {"class": section.class_, "parameters": section.parameters},
            construct("eigen", EigenSection, data["eigen"]),
            data.get("points"),
            construct("loss", WeightSection, data.get("loss", {})),
        )

    @property
    def title(self) -> str:
        """What the problem is: "file.py:Class" or "package.module:Class"."""
        return str(self.problem["class"])

    def to_dict(self) -> dict[str, Any]:
        own = {k: v for k, v in asdict(self.eigen).items() if v is not None}
        points = {} if self.points is None else {"points": self.points}
        return {"problem": self.problem, "eigen": own, **points, "loss": asdict(self.loss)}

    def build(self, shared: Shared) -> EigenJob:
        if shared.optimizer:
            raise InputError("optimizer: an eigenvalue problem is linear algebra and takes none")
        shared.refuse(
            "eigenvalues have bounds and estimates in any case, and no steps to stop after",
            "estimate",
            "tolerance",
            "budget_seconds",
        )
        problem = build_own(self.problem, EigenProblem, shared.directory)
        assert isinstance(problem, EigenProblem)
        network = build_network(shared.network, shared.run, shared.directory, (BOUNDARY,))
        points = default_points(network)
        if self.points is not None:
            points = construct("points", Collocation, self.points)
            check_points(points, problem)
        given = shared.network.get("boundary", BOUNDARY.default)
        return EigenJob(
            network=network,
            optimizers=(),
            seed=shared.run.seed,
            name=shared.name,
            problem=problem,
            points=points,
            boundary=BOUNDARY.read("network.boundary", given),
            weights=asdict(self.loss),
            count=self.eigen.count,
            near=self.eigen.near,
        )
