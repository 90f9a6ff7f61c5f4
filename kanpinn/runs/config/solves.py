"""Problem files: what they say beside network and optimizers, and the solve that they describe."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from kanpinn._support.errors import InputError
from kanpinn.accuracy.references import DataFile, Recipe
from kanpinn.geometry.sampling import Collocation
from kanpinn.loss.weighting import Weighting
from kanpinn.networks import Network
from kanpinn.pde.eigen_problem import EigenProblem
from kanpinn.pde.problem import Problem
from kanpinn.runs.config.auto_job import AutoJob, check_left_out, is_auto
from kanpinn.runs.config.classes import blaming, equation_class, reference_class, sources_of
from kanpinn.runs.config.domains import EXAMPLE, build_domain
from kanpinn.runs.config.forms import construct
from kanpinn.runs.config.limits import check_factors, check_points
from kanpinn.runs.config.parts import build_network, build_optimizers, build_own, placement
from kanpinn.runs.config.schema import BOUNDARY, EQUATION, TYPE, ClassSection, LossSection
from kanpinn.runs.config.sections import Sections, Shared
from kanpinn.runs.config.solve_job import SolveJob
from kanpinn.solvers.auto import first_choice
from kanpinn.solvers.default_optimizer import default_optimizer
from kanpinn.solvers.discretize import default_points


@dataclass(frozen=True)
class SolveSections(Sections):
    """The sections that problem files alone have."""

    problem: dict[str, Any]
    points: dict[str, Any] | None = None
    loss: LossSection = field(default_factory=LossSection)
    reference: dict[str, Any] | None = None

    kind: ClassVar[str] = "problem"
    command: ClassVar[str] = "solve"
    names: ClassVar[tuple[str, ...]] = ("problem", "points", "loss", "reference")

    @staticmethod
    def of(data: dict[str, Any]) -> "SolveSections":
        return SolveSections(
            _problem(data["problem"]),
            data.get("points"),
            construct("loss", LossSection, data.get("loss", {})),
            data.get("reference"),
        )

    @property
    def title(self) -> str:
        """What the problem is: "file.py:Class", "package.module:Class" or the equation's name."""
        return self.problem.get("class") or self.problem["equation"]

    def to_dict(self) -> dict[str, Any]:
        sections = {
            "problem": self.problem,
            "points": self.points,
            "loss": asdict(self.loss),
            "reference": self.reference,
        }
        return {name: section for name, section in sections.items() if section}

    def build(self, shared: Shared) -> SolveJob:
        run, directory = shared.run, shared.directory
        problem = build_problem(self.problem, directory)
        boundary = BOUNDARY.read(
            "network.boundary", shared.network.get("boundary", BOUNDARY.default)
        )
        if is_auto(shared.network, shared.optimizer):
            return self._auto(problem, boundary, shared)
        network = build_network(shared.network, run, directory, (BOUNDARY,))
        optimizers = build_optimizers(
            shared.optimizer, network, directory, default_optimizer(network)
        )
        points = build_points(self.points, network, problem)
        rows = len(problem.fields) * (points.interior + points.boundary)
        check_factors(network, optimizers, rows)
        return SolveJob(
            network=network,
            optimizers=optimizers,
            seed=run.seed,
            name=shared.name,
            problem=problem,
            points=points,
            boundary=boundary,
            weights={"interior": self.loss.interior, "boundary": self.loss.boundary},
            reference=build_reference(self.reference, directory),
            form=self.loss.form,
            weighting=Weighting(self.loss.attention, self.loss.balance, self.loss.causal),
            estimate=run.estimate or run.tolerance is not None,
            tolerance=run.tolerance,
            budget_seconds=run.budget_seconds,
        )

    def _auto(self, problem: Problem, boundary: str, shared: Shared) -> AutoJob:
        """The solve for which trials choose what [network], [points] and [loss] would say."""
        check_left_out(self.points, self.loss)
        first, run = first_choice(problem), shared.run
        return AutoJob(
            network=first.network(run.seed, *placement(run)),
            optimizers=first.optimizers,
            seed=run.seed,
            name=shared.name,
            problem=problem,
            points=first.points,
            boundary=boundary,
            weights=dict(first.weights),
            form=first.form,
            reference=build_reference(self.reference, shared.directory),
            tolerance=run.tolerance,
            budget_seconds=run.budget_seconds,
        )


def _problem(table: dict[str, Any]) -> dict[str, Any]:
    """[problem] with all its keys where it has a class; an equation's keys are the equation's."""
    if "equation" in table:
        return table
    section = construct("problem", ClassSection, table)
    return {"class": section.class_, "parameters": section.parameters}


def build_problem(table: dict[str, Any], directory: Path) -> Problem:
    """An instance of the problem's class with its parameters, or the equation that it names."""
    if "equation" in table:
        return build_equation(table, directory)
    problem = build_own(table, Problem, directory)
    if isinstance(problem, EigenProblem):
        raise InputError(
            f'problem.class = "{table["class"]}" is an eigenvalue problem: expected a section '
            "[eigen], such as one with count = 6"
        )
    return problem


def build_equation(table: dict[str, Any], directory: Path) -> Problem:
    """One of the common equations with its data."""
    found = equation_class(table["equation"])
    if "domain" not in table:
        raise InputError(f"problem.domain is missing: expected a table such as {EXAMPLE}")
    domain = build_domain("problem.domain", table["domain"], directory)
    data = {key: value for key, value in table.items() if key != "domain"}
    problem = construct("problem", found, data, apart=(EQUATION,), made={"domain": domain})
    try:
        problem.check()
    except InputError as error:
        raise InputError(f"problem.{error}") from None
    return problem


def build_points(table: dict[str, Any] | None, network: Network, problem: Problem) -> Collocation:
    """The collocation points; the solve's own choice where the file has none."""
    if table is None:
        return default_points(network)
    points = construct("points", Collocation, table)
    check_points(points, problem)
    return points


def build_reference(table: dict[str, Any] | None, directory: Path) -> Recipe | None:
    """How the reference is got; None where the file has none."""
    if table is None:
        return None
    found = reference_class(table["type"], directory)
    if found is DataFile and isinstance(table.get("path"), str):
        table = table | {"path": str(directory / table["path"])}
    with blaming(found.__name__, *sources_of(found)):
        return construct("reference", found, table, apart=(TYPE,))
