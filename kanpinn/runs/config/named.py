"""The tables of networks, optimizers and references, by name, and limits of their sizes."""

import inspect
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy
from pydantic import ConfigDict, Field

from kanpinn import networks, optimizers, spaces, tasks
from kanpinn._support.errors import InputError, show
from kanpinn._support.memory import machine_memory, written_size
from kanpinn.accuracy.references import FEM, DataFile, Recipe
from kanpinn.geometry import Box
from kanpinn.geometry.sampling import Collocation
from kanpinn.networks import KAN, MLP, Beside, Network
from kanpinn.networks.combined import SEEDS
from kanpinn.optimizers import Method
from kanpinn.pde.boundary_value_problem import BoundaryValueProblem
from kanpinn.runs.config.models import (
    ARGUMENT,
    OWN,
    TomlTable,
    Variants,
    load_class,
    offered,
    read_table,
    table_of,
    tables_of,
)
from kanpinn.solvers.auto import Choice
from kanpinn.spaces.cell_windows import CellWindows
from kanpinn.spaces.cells.cells import Cells
from kanpinn.spaces.cells.polynomials import LocalPolynomials
from kanpinn.spaces.cells.system.coupling import Traces
from kanpinn.spaces.cells.system.memory import factor_bytes
from kanpinn.spaces.windows import Windows


def check_points(points: Collocation, problem: BoundaryValueProblem) -> None:
    """Refuse collocation points that do not fit into memory, or Gauss rules with too many nodes.

    Args:
        points: the collocation points.
        problem: the problem whose domain and boundary they lie on.

    Raises:
        InputError: if there are too many; the message names the key.
    """
    most = 10_000  # nodes per axis: computing more of them takes longer than any solve
    copies = 4  # a solve holds at least four copies of the points
    dim, faces = problem.domain.dim, len(problem.domain.boundary.pieces)
    for name, count, axes in (
        ("interior", points.interior, dim),
        ("boundary", points.boundary // faces, dim - 1),
    ):
        given = f"points.{name} = {getattr(points, name)}"
        check_memory(given, 8 * copies * dim * getattr(points, name))
        if points.sampler == "gauss" and axes and count > most**axes:
            raise InputError(
                f"{given}: Gauss rules have at most {most} nodes on an axis; take fewer points, or "
                "another sampler"
            )


def check_shape(kind: Any, table: Mapping[str, Any], path: str) -> None:
    """Refuse boxes of so many dimensions that their faces alone take seconds and a gigabyte.

    Args:
        kind: the class of the shape.
        table: its arguments, for a box a range for each coordinate.
        path: the dotted path of the table, for messages.

    Raises:
        InputError: if there are too many coordinates.
    """
    most = 500
    if kind is Box and len(table) > most:
        raise InputError(f"{path}: expected at most {most} coordinates, got {len(table)}")


def check_network(
    kind: type[Network],
    table: Mapping[str, Any],
    path: str,
    ends: Callable[[Sequence[int]], None] | None = None,
) -> None:
    """Refuse widths, degrees and grids whose coefficients do not fit into memory.

    Widths that do not fit to the problem are refused as well, before so large a network is built.

    Args:
        kind: the class of the network. Own classes are not checked, as the meaning of their keys is
            unknown.
        table: the arguments of the network, by key.
        path: the dotted path of the table, for messages.
        ends: refuses a width whose inputs or outputs are not those of the problem or of the data.

    Raises:
        InputError: if a size is too large; the message names the key.
    """
    if kind in (Cells, CellWindows):
        return _check_cells(table, path, ends, times=int(kind is CellWindows))
    if (
        kind not in (KAN, MLP, Windows) or len(table.get("width") or ()) < 2
    ):  # which the class refuses
        return
    copies = 4  # a solve holds at least four copies of the coefficients
    degree, grid = (int(numpy.max(table.get(key, 1), initial=1)) for key in ("degree", "grid"))
    for key, size, most, what in (
        ("degree", degree, 100, ""),  # much lower ones already lose all digits to rounding
        ("width", len(table["width"]) - 1, 50, " layers"),  # placing grids takes quadratic time
        ("width", max(table["width"]), 100_000, " units in a layer"),  # least squares: the square
        ("grid", grid, 10_000, " intervals"),  # their table takes seconds and half a gigabyte
    ):
        if size > most:
            given = f"{path}.{key} = {show(table[key])}"
            raise InputError(f"{given}: expected at most {most}{what}, got {size}")
    if ends is not None:
        ends(table["width"])
    products = sum(a * b for a, b in itertools.pairwise(table["width"]))
    known = {key: table[key] for key in ("width", "degree", "grid") if key in table}
    given = ", ".join(f"{path}.{key} = {value}" for key, value in known.items())
    check_memory(given, 8 * copies * products * (degree + grid))


def _check_cells(
    table: Mapping[str, Any],
    path: str,
    ends: Callable[[Sequence[int]], None] | None,
    times: int,
) -> None:
    """Refuse more cells than a solve for a field of an equation of first order has memory for.

    times: the number of inputs that are a time, 0 or 1.
    """
    own = inspect.signature(Cells).parameters
    width, cells = table["width"], table.get("cells", own["cells"].default)
    degree = min(int(table.get("degree", own["degree"].default)), Cells.highest)
    if len(width) != 2 or min(*width, degree) < 1:  # which the class refuses
        return
    if ends is not None:
        ends(width)
    dim = max(1, width[0] - times)
    count = cells**dim if isinstance(cells, int) else math.prod(cells)
    traces = Traces(LocalPolynomials(degree, dim), (1,))
    given = ", ".join(f"{path}.{key} = {table[key]}" for key in ("degree", "cells") if key in table)
    if count > 1:
        check_memory(given, factor_bytes(traces, count))


def check_memory(given: str, size: int) -> None:
    """Refuse what needs more than the machine's memory.

    Args:
        given: the settings that need the memory, for the message.
        size: how many bytes they need.

    Raises:
        InputError: if there is too little memory.
    """
    memory = machine_memory()
    if size > memory:
        raise InputError(
            f"{given}: needs at least {written_size(size)} of memory, and this machine has "
            f"{written_size(int(memory))}"
        )


NETWORKS = offered(Network, networks, spaces)
OPTIMIZERS = offered(Method, optimizers, tasks)


class Named(TomlTable):
    """A table whose key `type` names a class, and whose other keys are the class's arguments."""

    type: str


class AutoTable(Named):
    """A table that leaves the class and its arguments to trials."""

    type: Literal["auto"]

    @classmethod
    def refusal(cls, path: str, key: str, value: Any) -> str:
        return f"{path}.{key} = {show(value)}: expected to be left out, since trials choose it"


class OwnTable(Named):
    """The arguments of a class of the user's own; they are checked when the class is loaded.

    Attributes:
        base: the class of which it must be a subclass.
        arguments: the base class of the table of its arguments.
    """

    model_config = ConfigDict(extra="allow")

    type: Annotated[
        str, Field(pattern=":", description='"file.py:Class" or "package.module:Class".')
    ]
    base: ClassVar[Any]
    arguments: ClassVar[Any] = TomlTable

    @classmethod
    def described(cls, name: str, directory: Path, path: str) -> Any:
        found = load_class(name, cls.base, directory, f"{path}.type")
        return table_of(found, found.__name__, cls.arguments)

    def build(self, path: str, directory: Path, **defaults: Any) -> Any:
        table = self.described(self.type, directory, path)
        return read_table(table, self.model_extra, path).build(path, directory, **defaults)


# Networks


class NetworkTable(TomlTable):
    """The arguments of a network."""

    check = staticmethod(check_network)

    def build(
        self,
        path: str,
        directory: Path,
        *,
        made: Mapping[str, Any] | None = None,
        sizes: tuple[int, int] | None = None,
        **defaults: Any,
    ) -> Any:
        """As for all tables; sizes: inputs and outputs of a network whose width is left out."""
        hidden = getattr(self, f"{ARGUMENT}hidden", ())
        left_out = type(self).model_fields.keys() - self.model_fields_set
        if sizes and hidden is not None and f"{ARGUMENT}width" in left_out:
            made = {**(made or {}), "width": [sizes[0], *hidden, sizes[1]]}
            if f"{ARGUMENT}hidden" in type(self).model_fields:
                made["hidden"] = ()
        return super().build(path, directory, made=made, **defaults)


class OwnNetwork(OwnTable):
    """The arguments of a network of the user's own."""

    base, arguments = Network, NetworkTable


ALONE = {name: found for name, found in NETWORKS.items() if found is not Beside}
PARTS = Variants({**tables_of(ALONE, "part", NetworkTable), OWN: OwnNetwork})


class BesideTable(Named):
    """Networks side by side, each with a seed of its own by default."""

    about = Beside

    type: Literal["beside"]
    of: Annotated[list[Annotated[Named, PARTS]], Field(min_length=2)]

    def build(
        self,
        path: str,
        directory: Path,
        *,
        seed: int = 0,
        limits: Mapping[str, Any] | None = None,
        **defaults: Any,
    ) -> Any:
        widths: list[Sequence[int]] = [getattr(one, f"{ARGUMENT}width", ()) for one in self.of]
        if limits and all(widths):  # those of classes of the user's own are not known
            outputs = sum(width[-1] for width in widths)
            for width in widths:
                limits["ends"]([width[0], outputs])
        parts = [
            one.build(f"{path}.of[{i}]", directory, seed=seed + SEEDS * i, **defaults)
            for i, one in enumerate(self.of)
        ]
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
    """A network for a problem."""


class ProblemCells(ProblemNetwork):
    """A network in cells for a problem, with one of its own for unknown coefficient fields."""

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
    """A network of the user's own for a problem."""


class ProblemBeside(BesideTable, WithBoundary):
    """Networks side by side for a problem."""


class AutoNetwork(AutoTable, WithBoundary):
    """A table that leaves the network to trials."""


SIGN = ' with type = "..."'
FIT_NETWORKS = Variants(PARTS.tables | {"beside": BesideTable}, example=SIGN)
IN_CELLS = table_of(Cells, "network_cells", ProblemCells, type=(Literal["cells"], ...))
EIGEN_NETWORKS = Variants(
    tables_of(ALONE, "network", ProblemNetwork)
    | {"cells": IN_CELLS, OWN: OwnProblemNetwork, "beside": ProblemBeside},
    example=SIGN,
)
SOLVE_NETWORKS = Variants(EIGEN_NETWORKS.tables | {"auto": AutoNetwork}, example=SIGN)

# Optimizers


class OwnOptimizer(OwnTable):
    """The arguments of an optimizer of the user's own."""

    base = Method


FIT_STAGES = Variants({**tables_of(OPTIMIZERS, "optimizer", TomlTable), OWN: OwnOptimizer})
SOLVE_STAGES = Variants(FIT_STAGES.tables | {"auto": AutoTable})

# References


class ReferenceFile(TomlTable):
    """The arguments of a reference from a file, whose path is relative to the settings' folder."""

    arg_path: Annotated[str, Field(alias="path")]

    def build(self, path: str, directory: Path, **defaults: Any) -> Any:
        return super().build(path, directory, made={"path": str(directory / self.arg_path)})


class OwnReference(OwnTable):
    """The arguments of a reference of the user's own."""

    base = Recipe


REFERENCES = Variants(
    tables_of({"fem": FEM}, "reference", TomlTable)
    | tables_of({"file": DataFile}, "reference", ReferenceFile)
    | {OWN: OwnReference}
)

# Tables of a choice


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
        "loss": {"form": choice.loss.form, "balance": choice.loss.balance},
        "optimizer": [{"type": _name(type(o), OPTIMIZERS), **_given(o)} for o in choice.optimizers],
    }


def _name(target: type, known: Mapping[str, type]) -> str:
    return next(name for name, found in known.items() if found is target)


def _given(settings: Any) -> dict[str, Any]:
    """Return the arguments of a dataclass whose values are not the defaults."""
    values = {f.name: (getattr(settings, f.name), f.default) for f in fields(settings) if f.init}
    return {name: value for name, (value, default) in values.items() if value != default}
