"""The tables of networks, optimizers and references, for all classes that the packages offer."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from kanpinn import cells, evolution, networks, optimizers, solvers
from kanpinn._support.wording import show
from kanpinn.accuracy.references import FEM, DataFile, Recipe
from kanpinn.networks import Beside, Network
from kanpinn.networks.beside import SEEDS
from kanpinn.optimizers import Method
from kanpinn.runs.config.classes import load_class, offered
from kanpinn.runs.config.limits import check_network
from kanpinn.runs.config.models import ARGUMENT, TomlTable, table_of, tables_of
from kanpinn.runs.config.reading import read_table
from kanpinn.runs.config.variants import OWN, Variants
from kanpinn.solvers.auto import Choice

NETWORKS = offered(Network, networks, cells, evolution)
OPTIMIZERS = offered(Method, optimizers, cells, evolution, solvers)


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
IN_CELLS = table_of(cells.Cells, "network_cells", ProblemCells, type=(Literal["cells"], ...))
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
        "loss": {**choice.weights, "form": choice.form, "balance": choice.balance},
        "optimizer": [{"type": _name(type(o), OPTIMIZERS), **_given(o)} for o in choice.optimizers],
    }


def _name(target: type, known: Mapping[str, type]) -> str:
    return next(name for name, found in known.items() if found is target)


def _given(settings: Any) -> dict[str, Any]:
    """Return the arguments of a dataclass whose values are not the defaults."""
    values = {f.name: (getattr(settings, f.name), f.default) for f in fields(settings) if f.init}
    return {name: value for name, (value, default) in values.items() if value != default}
