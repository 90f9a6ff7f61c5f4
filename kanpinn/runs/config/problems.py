"""The tables of problems: problem classes of the user, and the common equations."""

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from kanpinn._support.errors import InputError
from kanpinn.pde import equations
from kanpinn.pde.boundary_value_problem import BoundaryValueProblem, stated
from kanpinn.pde.eigen_problem import EigenProblem
from kanpinn.pde.equations import Equation
from kanpinn.pde.problem import Problem
from kanpinn.runs.config.classes import blaming, load_class, offered
from kanpinn.runs.config.domains import DOMAINS, ShapeTable
from kanpinn.runs.config.models import FixedTable, TomlTable, table_of, tables_of
from kanpinn.runs.config.reading import read_table
from kanpinn.runs.config.variants import Variants

EQUATIONS = offered(Equation, equations)


class ProblemTable(TomlTable):
    """A table that defines a problem."""

    @property
    @abstractmethod
    def title(self) -> str:
        """The class or the equation, as the file names it."""


class ClassTable(ProblemTable, FixedTable):
    """A problem's class and the arguments of its constructor."""

    class_: Annotated[
        str,
        Field(
            alias="class",
            description='A kanpinn.Problem: "file.py:Class" or "package.module:Class".',
        ),
    ]
    parameters: Annotated[
        dict[str, Any],
        Field(default={}, description="The arguments of its constructor."),
    ]

    base: ClassVar[type] = Problem
    elsewhere: ClassVar[Mapping[type, str]] = {
        EigenProblem: "is an eigenvalue problem: expected a section [eigen], such as one with "
        "count = 6"
    }

    @property
    def title(self) -> str:
        return self.class_

    def build(self, path: str, directory: Path, **defaults: Any) -> Any:
        """Return an instance of the class, a subclass of `base`."""
        found = load_class(self.class_, self.base, directory, f"{path}.class", self.elsewhere)
        at = f"{path}.parameters"
        table = read_table(table_of(found, found.__name__), self.parameters, at)
        with blaming(found.__name__, found):
            problem: BoundaryValueProblem = table.build(at, directory)
            return stated(problem)


class EigenClassTable(ClassTable):
    """An eigenvalue problem's class and the arguments of its constructor."""

    base = EigenProblem
    elsewhere: ClassVar[Mapping[type, str]] = {}

    @classmethod
    def refusal(cls, path: str, key: str, value: Any) -> str:
        if key == "equation":
            return (
                "problem.equation does not go with [eigen]: expected problem.class, a subclass of "
                "kanpinn.EigenProblem"
            )
        return super().refusal(path, key, value)


class EquationTable(ProblemTable):
    """One of the common equations with its data."""

    equation: str
    domain: Annotated[
        ShapeTable, DOMAINS, Field(description="The domain in space, or in space and time.")
    ]

    @property
    def title(self) -> str:
        return self.equation

    def build(self, path: str, directory: Path, **defaults: Any) -> Problem:
        domain = self.domain.build(f"{path}.domain", directory)
        problem: Problem = super().build(path, directory, made={"domain": domain})
        try:
            return stated(problem)
        except InputError as error:
            raise InputError(f"{path}.{error}") from None


PROBLEMS = Variants(
    {"class": ClassTable} | tables_of(EQUATIONS, "equation", EquationTable, "equation"),
    {"class": "a class", "equation": "an equation"},
    ' such as "poisson"',
    ' with class = "..." or equation = "...", or [data] for a fit',
)
