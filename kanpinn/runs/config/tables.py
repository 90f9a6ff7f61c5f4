"""The models of the tables of problems, domains, networks, optimizers, references and data, and
limits of sizes.
"""

import functools
import inspect
import itertools
import math
import operator
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy
import pydantic
import torch
from pydantic import ConfigDict, Field
from torch import Tensor

from kanpinn import geometry, networks, optimizers, spaces, tasks
from kanpinn._support.errors import InputError, nearest, show
from kanpinn._support.memory import check_memory
from kanpinn.accuracy.references import DataFile, Recipe
from kanpinn.data import Data
from kanpinn.data import Table as Rows
from kanpinn.data.column_files import READERS
from kanpinn.geometry import Box, Domain, Points
from kanpinn.networks import KAN, MLP, Beside, Network
from kanpinn.networks.combined import SEEDS
from kanpinn.optimizers import Method
from kanpinn.pde import equations
from kanpinn.pde.boundary_value_problem import stated
from kanpinn.pde.equations import Equation
from kanpinn.pde.expressions import Expression
from kanpinn.pde.problem import EigenProblem, Problem
from kanpinn.runs.config import models
from kanpinn.solvers import ReferenceSolution
from kanpinn.solvers.auto import Choice
from kanpinn.spaces.cell_windows import CellWindows
from kanpinn.spaces.cells.cells import Cells
from kanpinn.spaces.cells.polynomials import LocalPolynomials
from kanpinn.spaces.cells.system.coupling import Traces
from kanpinn.spaces.cells.system.memory import factor_bytes
from kanpinn.spaces.windows import Windows


def check_network(kind: type[Network], table: Mapping[str, Any], path: str) -> None:
    """Refuse widths, degrees, grids and cells whose coefficients do not fit into memory.

    Args:
        kind: the class of the network. Classes of the user are not checked, since the meaning of
            their keys is unknown.
        table: the arguments of the network, by key.
        path: the dotted path of the table, for messages.

    Raises:
        InputError: if a size is too large; the message names the key.
    """
    width: Sequence[int] = table.get("width") or ()
    if (
        kind not in (KAN, MLP, Windows, Cells, CellWindows) or len(width) < 2
    ):  # the class itself refuses such a width
        return
    known = {key: table[key] for key in ("width", "degree", "grid", "cells") if key in table}
    given = ", ".join(f"{path}.{key} = {value}" for key, value in known.items())
    if kind in (Cells, CellWindows):  # the memory that an equation of first order needs
        own = inspect.signature(Cells).parameters
        cells = table.get("cells", own["cells"].default)
        degree = min(int(table.get("degree", own["degree"].default)), Cells.highest)
        dim = max(1, width[0] - int(kind is CellWindows))  # the last input of windows is the time
        count = cells**dim if isinstance(cells, int) else math.prod(cells)
        if min(*width, degree) > 0 and count > 1:
            size = factor_bytes(Traces(LocalPolynomials(degree, dim), (1,)), count)
            check_memory(given, size)
        return
    copies = 4  # a solve holds at least four copies of the coefficients
    degree, grid = (int(numpy.max(table.get(key, 1), initial=1)) for key in ("degree", "grid"))
    for key, size, most, what in (
        ("degree", degree, 100, ""),  # much lower degrees already lose all digits to rounding
        ("width", len(width) - 1, 50, " layers"),  # placing grids takes quadratic time
        ("width", max(width), 10_000, " units in a layer"),  # 100,000 take a minute to set up
        ("grid", grid, 10_000, " intervals"),  # the basis takes seconds and half a gigabyte
    ):
        if size > most:
            expected = f"expected at most {most}{what}, got {size}"
            raise InputError(f"{path}.{key} = {show(table[key])}: {expected}")
    products = sum(a * b for a, b in itertools.pairwise(width))
    check_memory(given, 8 * copies * products * (degree + grid))


def left_out(key: str, value: Any, reason: str) -> str:
    """Return the message for a key that must be left out.

    Args:
        key: the dotted key.
        value: its value in the file.
        reason: why the key has no meaning.
    """
    return f"{key} = {show(value)}: expected to be left out, since {reason}"


# Domains and problems


def interval(**ranges: list[float | int]) -> Domain:
    """An interval, which is a box in one dimension, with one range such as x = [0, 1]."""
    if len(ranges) != 1:
        raise InputError(f"an interval has one coordinate such as x = [0, 1], got {len(ranges)}")
    return Box(**ranges)


def surface(file: str, name: str = "surface", sharp: float | int | None = None) -> Domain:
    """The solid inside the triangles of a file.

    Args:
        file: an STL file, or a file of another format that trimesh reads.
        name: the name of the pieces of its boundary.
        sharp: an angle in degrees; edges with a larger angle between the normals of their two
            triangles divide the boundary into pieces. None for one piece.
    """
    return geometry.Surface.read(file, name=name, sharp=sharp)


def mesh(file: str, name: str = "boundary", arcs: bool = True) -> Domain:
    """The plane or solid domain that the elements of a mesh file fill.

    Args:
        file: an MSH file of Gmsh, of the version 2.2 or 4.1.
        name: the name of the parts of the boundary that belong to no physical group.
        arcs: whether nodes on a circle are joined by arcs; false for straight edges only.
    """
    return geometry.Mesh(file, name=name, arcs=arcs)


class ShapeTable(models.TomlTable):
    """The table of a domain: a shape in space or, with the key `time`, space times an interval."""

    time: Annotated[
        tuple[float, float] | None,
        Field(description="The range of a further coordinate t; null for none."),
    ] = None

    def build(self, path: str, directory: Path, **defaults: Any) -> Domain:
        """Return the domain that the table describes, times the interval `time` if there is one.

        A box times an interval is a `Box`, on which boundary data can be built into the network.

        Args:
            path: the dotted path of the table, for messages.
            directory: the folder in which files named by the table are looked for.
            defaults: values of arguments that the table leaves out.
        """
        space = self.space(path, directory)
        if self.time is None:
            return space
        try:
            if isinstance(space, Box) and "t" not in space.names:
                ranges = {name: (start, end) for name, start, end in space.ranges}
                return Box(**ranges, t=self.time)
            return space.over(t=self.time)
        except InputError as error:
            raise InputError(f"{path}.time: {error}") from None

    def space(self, path: str, directory: Path) -> Domain:
        """Return the domain in space, without the interval `time`.

        Args:
            path: the dotted path of the table, for messages.
            directory: the folder in which files named by the table are looked for.
        """
        arguments, most = self.arguments(), 500  # more faces take seconds and a gigabyte
        if self.about is Box and len(arguments) > most:
            raise InputError(f"{path}: expected at most {most} coordinates, got {len(arguments)}")
        return self.call(path, arguments)


class ShapeFileTable(ShapeTable):
    """A domain that is read from a file."""

    arg_file: Annotated[str, Field(alias="file")]

    def space(self, path: str, directory: Path) -> Domain:
        return self.call(path, self.arguments({"file": str(directory / self.arg_file)}))


DOMAINS = models.Variants({}, example=' such as { type = "box", x = [0, 1], y = [0, 1] }')


class CombinationTable(ShapeTable):
    """Two or more domains, combined in their order by union, difference or intersection."""

    type: Literal["union", "difference", "intersection"] = Field(description="How to combine them.")
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
        with models.naming(path, (), f"{path}: "):
            return functools.reduce(self.operators[self.type], domains)


NAMED = ("Box", "Disk", "Ellipse", "Annulus", "Sector", "Triangle", "Polygon", "LShape", "Ball")
SHAPES: dict[str, Callable[..., Domain]] = {"interval": interval}
SHAPES |= {name.lower(): getattr(geometry, name) for name in NAMED}
DOMAINS.tables.update(
    models.tables_of(SHAPES, "domain", ShapeTable)
    | models.tables_of({"surface": surface, "mesh": mesh}, "domain", ShapeFileTable)
    | dict.fromkeys(CombinationTable.operators, CombinationTable)
)


EQUATIONS = models.offered(Equation, equations)


class ProblemTable(models.TomlTable):
    """A table that defines a problem."""

    @property
    @abstractmethod
    def title(self) -> str:
        """The name of the class or of the equation in the file."""


class ClassTable(ProblemTable, models.FixedTable):
    """A problem's class and the arguments of its constructor."""

    class_: str = Field(
        alias="class", description='A kanpinn.Problem: "file.py:Class" or "package.module:Class".'
    )
    parameters: dict[str, Any] = Field({}, description="The arguments of its constructor.")

    base: ClassVar[type] = Problem
    elsewhere: ClassVar[Mapping[type, str]] = {
        EigenProblem: "is an eigenvalue problem: expected a section [eigen], as with count = 6"
    }

    @property
    def title(self) -> str:
        return self.class_

    def build(self, path: str, directory: Path, **defaults: Any) -> Any:
        """Return an instance of the problem's class, made with the arguments in the table.

        Args:
            path: the dotted path of the table, for messages.
            directory: the folder in which the class file is looked for.
            defaults: values of arguments that the table leaves out.

        Raises:
            InputError: if the class cannot be loaded or is an equation of kanpinn that has a name
                of its own in a file, or if no value of a file fits an argument's type.
        """
        at, key = f"{path}.parameters", f"{path}.class"
        found = models.load_class(self.class_, self.base, directory, key, self.elsewhere)
        named = f'{key} = "{self.class_}"'
        for name, own in EQUATIONS.items():
            if found is own:
                raise InputError(f'{named}: expected {path}.equation = "{name}" in its place')
        try:
            table = models.read_table(models.table_of(found, found.__name__), self.parameters, at)
        except pydantic.errors.PydanticUserError as error:
            reason = str(error).partition("\n")[0].partition(". ")[0]
            raise InputError(
                f"{named}: an argument of its constructor can be no value of a file ({reason}); "
                "take numbers, texts and lists"
            ) from None
        with models.blaming(found.__name__, found):
            return stated(table.build(at, directory))


class EigenClassTable(ClassTable):
    """An eigenvalue problem's class and the arguments of its constructor."""

    base = EigenProblem
    elsewhere: ClassVar[Mapping[type, str]] = {}

    @classmethod
    def refusal(cls, path: str, key: str, value: Any) -> str:
        if key == "equation":
            expected = "expected problem.class, a subclass of kanpinn.EigenProblem"
            return f"problem.equation does not go with [eigen]: {expected}"
        return super().refusal(path, key, value)


class EquationTable(ProblemTable):
    """A table that names one of the ready-made equations of kanpinn, and gives its data."""

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
        with models.naming(path, (), f"{path}."):
            return stated(problem)


PROBLEMS = models.Variants(
    {"class": ClassTable} | models.tables_of(EQUATIONS, "equation", EquationTable, "equation"),
    {"class": "a class", "equation": "an equation"},
    ' such as "poisson"',
    ' with class = "..." or equation = "...", or [data] for a fit',
)


# Networks, optimizers and references

NETWORKS = models.offered(Network, networks, spaces)
OPTIMIZERS = models.offered(Method, optimizers, tasks)


class Named(models.TomlTable):
    """A table whose key `type` names a class, and whose other keys are the class's arguments.

    Attributes:
        known_width: the numbers of inputs, of units per hidden layer and of outputs of a network;
            None if the table does not have all of them.
    """

    type: str

    known_width: ClassVar[Any] = None


class AutoTable(Named):
    """A table that leaves the choice of a class and its arguments to trial solves."""

    type: Literal["auto"]

    @classmethod
    def refusal(cls, path: str, key: str, value: Any) -> str:
        return left_out(f"{path}.{key}", value, "trials choose it")


class OwnTable(Named):
    """A table that names a class of the user; its keys are checked when the class is loaded.

    Attributes:
        base: the class of which the user's class must be a subclass.
        arguments: the base class of the model for the arguments.
    """

    model_config = ConfigDict(extra="allow")

    type: str = Field(pattern=":", description='"file.py:Class" or "package.module:Class".')
    base: ClassVar[Any]
    arguments: ClassVar[Any] = models.TomlTable

    @classmethod
    def described(cls, name: str, directory: Path, path: str) -> Any:
        found = models.load_class(name, cls.base, directory, f"{path}.type")
        return models.table_of(found, found.__name__, cls.arguments)

    def build(self, path: str, directory: Path, **defaults: Any) -> Any:
        table = self.described(self.type, directory, path)
        return models.read_table(table, self.model_extra, path).build(path, directory, **defaults)


# Networks


class NetworkTable(models.TomlTable):
    """The arguments of a network."""

    @property
    def known_width(self) -> list[int] | None:
        """The numbers of inputs, of units per hidden layer and of outputs; None if left out."""
        width = getattr(self, f"{models.ARGUMENT}width", None) or ()
        return list(width) if len(width) > 1 else None

    def build(
        self,
        path: str,
        directory: Path,
        *,
        made: Mapping[str, Any] | None = None,
        sizes: tuple[int, int] | None = None,
        **defaults: Any,
    ) -> Any:
        """Return the network.

        Args:
            path: the dotted path of the table, for messages.
            directory: the folder in which class files of the user are looked for.
            made: arguments that have been built from the table's values already, by name.
            sizes: the numbers of inputs and outputs, used if the width is left out.
            defaults: values of arguments that the table leaves out.

        Raises:
            InputError: if an argument is refused, or the network does not fit into memory.
        """
        arguments = self.arguments(made, **defaults)
        keys, width = type(self).model_fields.keys(), f"{models.ARGUMENT}width"
        given = f"{models.ARGUMENT}hidden"
        hidden = arguments.get("hidden", getattr(self, given, ()))
        if sizes and hidden is not None and width in keys - self.model_fields_set:
            arguments["width"] = [sizes[0], *hidden, sizes[1]]
            arguments.pop("hidden", None)
            if given in keys:  # its default would contradict the width
                arguments["hidden"] = ()
        check_network(self.about, arguments, path)
        return self.call(path, arguments)


class OwnNetwork(OwnTable):
    """The arguments of a network class of the user."""

    base, arguments = Network, NetworkTable


ALONE = {name: found for name, found in NETWORKS.items() if found is not Beside}
PARTS = models.Variants({**models.tables_of(ALONE, "part", NetworkTable), models.OWN: OwnNetwork})


class BesideTable(Named):
    """The table of networks side by side, each for some outputs, by default with other seeds."""

    about = Beside

    type: Literal["beside"]
    of: Annotated[list[Annotated[Named, PARTS]], Field(min_length=2)]

    @property
    def known_width(self) -> list[int] | None:
        """The number of inputs and the number of all outputs; None if a width is left out."""
        widths = [part.known_width for part in self.of]
        return [widths[0][0], sum(one[-1] for one in widths)] if all(widths) else None

    def build(self, path: str, directory: Path, *, seed: int = 0, **defaults: Any) -> Any:
        parts = []
        for i, part in enumerate(self.of):
            options = defaults | {"seed": seed + SEEDS * i}
            parts.append(part.build(f"{path}.of[{i}]", directory, **options))
        return super().build(path, directory, made={"of": parts})


class WithBoundary(Named):
    """The key of [network] that says how the boundary data of a problem are imposed."""

    boundary: Annotated[
        Literal["auto", "exact", "penalty"],
        Field(
            description='"exact" builds Dirichlet data into the network, "penalty" adds them to '
            'the loss, "auto" builds them in if that is possible and makes the solution better.'
        ),
    ] = "auto"


class ProblemNetwork(NetworkTable, WithBoundary):
    """The table of a network for a differential equation."""


class ProblemCells(ProblemNetwork):
    """A network in cells for a problem, with a second network for unknown coefficient fields."""

    arg_coefficient: Annotated[Named, PARTS] = Field(  # type: ignore[assignment]
        default=None,
        alias="coefficient",
        description="A network of unknown coefficient fields, which are the last of the fields.",
    )

    def build(self, path: str, directory: Path, *, seed: int = 0, **defaults: Any) -> Any:
        made, table = {}, self.arg_coefficient
        if table is not None:
            made["coefficient"] = table.build(f"{path}.coefficient", directory, seed=seed)
        return super().build(path, directory, made=made, **defaults)


class OwnProblemNetwork(OwnNetwork, WithBoundary, extra="allow"):
    """The table of a network class of the user, for a differential equation."""


class ProblemBeside(BesideTable, WithBoundary):
    """The table of networks side by side, for a problem: each represents some of the fields."""


class AutoNetwork(AutoTable, WithBoundary):
    """A table that leaves the choice of the network to trial solves."""


SIGN = ' with type = "..."'
FIT_NETWORKS = models.Variants(PARTS.tables | {"beside": BesideTable}, example=SIGN)
IN_CELLS = models.table_of(Cells, "network_cells", ProblemCells, type=(Literal["cells"], ...))
EIGEN_NETWORKS = models.Variants(
    models.tables_of(ALONE, "network", ProblemNetwork)
    | {"cells": IN_CELLS, models.OWN: OwnProblemNetwork, "beside": ProblemBeside},
    example=SIGN,
)
SOLVE_NETWORKS = models.Variants(EIGEN_NETWORKS.tables | {"auto": AutoNetwork}, example=SIGN)

# Optimizers


class OwnOptimizer(OwnTable):
    """The arguments of an optimizer class of the user."""

    base = Method


STAGES = models.tables_of(OPTIMIZERS, "optimizer", models.TomlTable)
FIT_STAGES = models.Variants(STAGES | {models.OWN: OwnOptimizer})
SOLVE_STAGES = models.Variants(FIT_STAGES.tables | {"auto": AutoTable})

# References


class ReferenceFile(models.TomlTable):
    """The table of a reference solution in a file; paths start at the settings' folder."""

    arg_path: Annotated[str, Field(alias="path")]

    def build(self, path: str, directory: Path, **defaults: Any) -> Any:
        return super().build(path, directory, made={"path": str(directory / self.arg_path)})


class OwnReference(OwnTable):
    """The arguments of a class of the user that gives a reference solution."""

    base = Recipe


REFERENCES = models.Variants(
    models.tables_of({"solution": ReferenceSolution}, "reference", models.TomlTable)
    | models.tables_of({"file": DataFile}, "reference", ReferenceFile)
    | {models.OWN: OwnReference}
)

# Tables of a choice


def chosen_sections(choice: Choice, boundary: str) -> dict[str, Any]:
    """Return the sections of a file that describe the settings that trial solves chose.

    Args:
        choice: the chosen network, points, loss and optimizers.
        boundary: the value of the key `boundary` of [network].
    """
    names = {found: name for name, found in {**NETWORKS, **OPTIMIZERS}.items()}

    def given(settings: Any) -> dict[str, Any]:
        """Return the fields of a dataclass instance whose values are not the defaults."""
        known = [(f.name, getattr(settings, f.name), f.default) for f in fields(settings) if f.init]
        return {name: value for name, value, default in known if value != default}

    return {
        "network": {"type": names[choice.kind], **choice.arguments, "boundary": boundary},
        "points": given(choice.points),
        "loss": {"form": choice.loss.form, "balance": choice.loss.balance},
        "optimizer": [{"type": names[type(o)], **given(o)} for o in choice.optimizers],
    }


# Data

DATA_PARTS = ("validation", "test")
Seed = Annotated[int, Field(ge=0, le=2**53)]
Share = Annotated[float, Field(ge=0, lt=1)]


class DataTable(models.TomlTable):
    """Data, and how their rows are divided into parts.

    Args:
        seed: the seed of the division; null for the seed of the run.
        test: the share of the rows on which the fit is assessed.
        validation: the share of the rows that decide which state of the fit is kept.
    """

    validation: Share | str = 0.0
    test: Share | str = 0.2
    seed: Seed | None = None

    @property
    @abstractmethod
    def title(self) -> str:
        """The file or the formula of the data."""

    @property
    def name(self) -> str:
        """The default name of the folder of runs, for settings that are not read from a file."""
        return "fit"

    @abstractmethod
    def build(self, path: str, directory: Path, **defaults: Any) -> Data:
        """Return the data, divided into rows for training, validation and test.

        Args:
            path: the dotted path of the table, for messages.
            directory: the folder in which data files are looked for.
            defaults: the `seed` of the run, for the division.

        Raises:
            InputError: if a key, a file or one of its columns cannot be used.
        """


class FileTable(DataTable):
    """Data from a file of columns.

    Args:
        path: the file, which ends in .csv, .npz, .h5 or .hdf5.
        inputs: the columns of the inputs; null for all columns that are not targets.
        targets: the columns of the targets; null for the last column.
        kind: whether the targets are "numbers" or names of "classes".
        classes: the names of all classes; null for the names in the file.
        validation: the share of the rows that decide which state of the fit is kept, or a file of
            such rows.
        test: the share of the rows on which the fit is assessed, or a file of such rows.
    """

    path: str
    inputs: list[str] | None = None
    targets: str | list[str] | None = None
    kind: Literal["numbers", "classes"] = "numbers"
    classes: list[str] | None = None

    @property
    def title(self) -> str:
        return self.path

    @property
    def name(self) -> str:
        return Path(self.path).stem

    def build(self, path: str, directory: Path, **defaults: Any) -> Data:
        whole = _rows(self, self.path, directory, self.classes)
        seed = defaults["seed"] if self.seed is None else self.seed
        # A part that has a separate file takes no rows of the whole file.
        files = {part: getattr(self, part) for part in data_files(vars(self)) if part in DATA_PARTS}
        shares: dict[str, Any] = {part: getattr(self, part) for part in DATA_PARTS}
        shares |= dict.fromkeys(files, 0.0)
        with models.naming(path, {}, f"{path}: "):
            data = Data.split(whole, **shares, seed=seed)
        own = {part: _rows(self, file, directory, whole.classes) for part, file in files.items()}
        return Data(**{**data.parts, **own})


class FormulaTable(DataTable):
    """Values of formulas at random points of a domain.

    Args:
        formula: a formula in the coordinates, such as "exp(sin(pi*x) + y**2)", or several formulas.
        rows: the number of points.
    """

    formula: str | list[str]
    domain: Annotated[ShapeTable, DOMAINS, Field(description="The domain in which the points lie.")]
    rows: Annotated[int, Field(ge=1)] = 1000
    validation: Share = 0.0
    test: Share = 0.2

    @property
    def title(self) -> str:
        return str(self.formula)

    def build(self, path: str, directory: Path, **defaults: Any) -> Data:
        domain = self.domain.build(f"{path}.domain", directory)
        try:
            texts = [self.formula] if isinstance(self.formula, str) else self.formula
            formulas = [Expression(text) for text in texts]
            for formula in formulas:
                formula.check(domain.names)
        except InputError as error:
            raise InputError(f"{path}.formula: {error}") from None

        def values(p: Points) -> Tensor:
            """Return the values of the formulas at n points, one column each."""
            columns = [formula(p) for formula in formulas]
            return torch.cat([column.expand(len(p), 1) for column in columns], dim=1)

        seed = defaults["seed"] if self.seed is None else self.seed
        drawn = Rows.sample(domain, values, self.rows, seed=seed)
        outputs = ["f"] if len(formulas) == 1 else [f"f{i}" for i in range(len(formulas))]
        rows = Rows(drawn.inputs, drawn.targets, drawn.names, tuple(outputs))
        with models.naming(path, {}, f"{path}: "):
            return Data.split(rows, self.validation, self.test, seed=seed)


DATA = models.Variants(
    {"path": FileTable, "formula": FormulaTable},
    {"path": "a file", "formula": "a formula"},
    ' such as "exp(sin(pi*x) + y**2)"',
    ' with path = "..." or formula = "..."',
)


def data_files(table: dict[str, Any]) -> list[str]:
    """Return the keys of a table [data] whose values are names of files."""
    keys = ("path", *DATA_PARTS)
    return [] if "formula" in table else [k for k in keys if isinstance(table.get(k), str)]


def _rows(section: FileTable, file: str, directory: Path, classes: Sequence[str] | None) -> Rows:
    """Return the rows of a data file.

    Args:
        section: the table `[data]`, whose settings say which columns are inputs and targets.
        file: the path of the file, relative to the directory.
        directory: the directory of the TOML file.
        classes: the names of the classes of a classification; None if the file determines them.

    Raises:
        InputError: if there is no such file, or its columns do not fit the settings.
    """
    path = directory / file
    if not path.is_file():
        beside = path.parent.iterdir() if path.parent.is_dir() else ()
        files = [f.name for f in beside if f.suffix in READERS and f.is_file()]
        raise InputError(f"{path}: there is no such file{nearest(path.name, files)}")
    with models.naming("data", vars(section)):
        return Rows.read(path, section.inputs, section.targets, section.kind, classes)
