"""The tables of problems and of their domains."""

import functools
import operator
from abc import abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from kanpinn._support.errors import InputError
from kanpinn.geometry import (
    Annulus,
    Ball,
    Box,
    Disk,
    Domain,
    Ellipse,
    LShape,
    Mesh,
    Polygon,
    Sector,
    Surface,
    Triangle,
)
from kanpinn.pde import equations
from kanpinn.pde.boundary_value_problem import BoundaryValueProblem, stated
from kanpinn.pde.equations import Equation
from kanpinn.pde.problem import EigenProblem, Problem
from kanpinn.runs.config.models import (
    FixedTable,
    TomlTable,
    Variants,
    blaming,
    load_class,
    offered,
    read_table,
    table_of,
    tables_of,
)
from kanpinn.runs.config.named import check_shape


def interval(**ranges: list[float | int]) -> Domain:
    """An interval, which is a box in one dimension, with one range such as x = [0, 1]."""
    if len(ranges) != 1:
        raise InputError(f"an interval has one coordinate such as x = [0, 1], got {len(ranges)}")
    return Box(**ranges)


def surface(file: str, name: str = "surface", sharp: float | int | None = None) -> Domain:
    """The solid inside the triangles of a file.

    Args:
        file: an STL file, or another one that trimesh reads.
        name: the name of its boundary's pieces.
        sharp: the angle between triangles, in degrees, above which the boundary has an edge.
    """
    return Surface.read(file, name=name, sharp=sharp)


def mesh(file: str, name: str = "boundary", arcs: bool = True) -> Domain:
    """The domain in the plane or the solid that the elements of a file fill.

    Args:
        file: an MSH file of Gmsh, of the version 2.2 or 4.1.
        name: the name of the parts of its boundary in no physical group.
        arcs: false for straight edges only; true for arcs where the nodes lie on circles.
    """
    return Mesh(file, name=name, arcs=arcs)


class ShapeTable(TomlTable):
    """The arguments of a shape; with the key `time`, it becomes a domain of space and time."""

    time: Annotated[
        tuple[float, float] | None,
        Field(description="The range of a further coordinate t; null for none."),
    ] = None

    check = staticmethod(check_shape)

    def build(self, path: str, directory: Path, **defaults: Any) -> Domain:
        space = self.space(path, directory)
        return space if self.time is None else _over(path, space, self.time)

    def space(self, path: str, directory: Path) -> Domain:
        """Return the domain without its time."""
        shape: Domain = super().build(path, directory)
        return shape


class ShapeFileTable(ShapeTable):
    """A domain that is read from a file."""

    arg_file: Annotated[str, Field(alias="file")]

    def space(self, path: str, directory: Path) -> Domain:
        made = {"file": str(directory / self.arg_file)}
        domain: Domain = TomlTable.build(self, path, directory, made=made)
        return domain


DOMAINS = Variants({}, example=' such as { type = "box", x = [0, 1], y = [0, 1] }')


class CombinationTable(ShapeTable):
    """Two or more domains combined, in their order."""

    type: Annotated[
        Literal["union", "difference", "intersection"], Field(description="How to combine them.")
    ]
    of: Annotated[
        list[Annotated[ShapeTable, DOMAINS]], Field(min_length=2, description="The domains.")
    ]

    operators: ClassVar[dict[str, Callable[[Domain, Domain], Domain]]] = {
        "union": operator.or_,
        "difference": operator.sub,
        "intersection": operator.and_,
    }

    def space(self, path: str, directory: Path) -> Domain:
        domains = [one.build(f"{path}.of[{i}]", directory) for i, one in enumerate(self.of)]
        try:
            return functools.reduce(self.operators[self.type], domains)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None


def _over(path: str, space: Domain, time: tuple[float, float]) -> Domain:
    """Return a domain of space and time.

    A box gets time as one more coordinate, so that its boundary data can be imposed exactly.
    """
    try:
        if isinstance(space, Box) and "t" not in space.names:
            ranges = {name: (start, end) for name, start, end in space.ranges}
            return Box(**ranges, t=time)
        return space.over(t=time)
    except InputError as error:
        raise InputError(f"{path}.time: {error}") from None


SHAPES: dict[str, Callable[..., Domain]] = {
    "interval": interval,
    "box": Box,
    "disk": Disk,
    "ellipse": Ellipse,
    "annulus": Annulus,
    "sector": Sector,
    "triangle": Triangle,
    "polygon": Polygon,
    "lshape": LShape,
    "ball": Ball,
}
DOMAINS.tables.update(
    tables_of(SHAPES, "domain", ShapeTable)
    | tables_of({"surface": surface, "mesh": mesh}, "domain", ShapeFileTable)
    | dict.fromkeys(CombinationTable.operators, CombinationTable)
)


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
