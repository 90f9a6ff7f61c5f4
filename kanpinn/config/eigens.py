"""Files of eigenvalue problems: problem files with a section [eigen]."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from kanpinn.assembly import Assembly
from kanpinn.config.classes import blaming, load_class, sources_of
from kanpinn.config.forms import construct
from kanpinn.config.job import Job
from kanpinn.config.limits import check_points
from kanpinn.config.parts import build_network
from kanpinn.config.schema import (
    BOUNDARY,
    ClassSection,
    EigenSection,
    RunSection,
    WeightSection,
)
from kanpinn.eigenproblems import (
    EigenProblem,
    Eigensolution,
    default_points,
    eigen,
    prepared,
    restored,
)
from kanpinn.errors import InputError
from kanpinn.run import Observer
from kanpinn.sampling import Collocation


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

    def preview(self) -> Assembly:
        """What it starts from."""
        return prepared(
            self.problem,
            self.network,
            self.count,
            self.points,
            self.near,
            self.boundary,
            self.weights,
            self.seed,
        )

    @property
    def title(self) -> str:
        return type(self.problem).__name__

    @property
    def sources(self) -> tuple[Path, ...]:
        return sources_of(type(self.problem), type(self.network))


@dataclass(frozen=True)
class EigenSections:
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
        """From the sections of a file."""
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

    @property
    def name(self) -> str:
        """What a run is called after, where there is no file to call it after."""
        return self.title.rpartition(":")[2].lower()

    def to_dict(self) -> dict[str, Any]:
        """The sections as plain values."""
        own = {k: v for k, v in asdict(self.eigen).items() if v is not None}
        points = {} if self.points is None else {"points": self.points}
        return {"problem": self.problem, "eigen": own, **points, "loss": asdict(self.loss)}

    def build(
        self,
        network_table: dict[str, Any],
        optimizer_tables: Sequence[dict[str, Any]],
        run: RunSection,
        directory: Path,
        name: str,
    ) -> EigenJob:
        """The eigenvalue problem."""
        if optimizer_tables:
            raise InputError("optimizer: an eigenvalue problem is linear algebra and takes none")
        if run.estimate:
            raise InputError(
                "run.estimate = true: eigenvalues have bounds and estimates in any case"
            )
        problem = build_problem(self.problem, directory)
        network = build_network(network_table, run, directory, (BOUNDARY,))
        points = default_points(network)
        if self.points is not None:
            points = construct("points", Collocation, self.points)
            check_points(points, problem)
        given = network_table.get("boundary", BOUNDARY.default)
        return EigenJob(
            network=network,
            optimizers=(),
            seed=run.seed,
            name=name,
            problem=problem,
            points=points,
            boundary=BOUNDARY.read("network.boundary", given),
            weights=asdict(self.loss),
            count=self.eigen.count,
            near=self.eigen.near,
        )


def build_problem(table: dict[str, Any], directory: Path) -> EigenProblem:
    """An instance of the problem's class with its parameters."""
    found = load_class(table["class"], EigenProblem, directory, "problem.class")
    with blaming(found.__name__, *sources_of(found)):
        problem = construct("problem.parameters", found, table["parameters"])
        problem.check()
    return problem
