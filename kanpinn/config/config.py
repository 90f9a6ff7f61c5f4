"""A problem file: read, overridden, checked."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from kanpinn.config.forms import construct
from kanpinn.config.job import (
    Job,
    build_network,
    build_optimizers,
    build_points,
    build_problem,
    build_reference,
    check_refinements,
)
from kanpinn.config.limits import check_factors
from kanpinn.config.overrides import Override, drop_foreign_keys, override
from kanpinn.config.reading import faults, load_toml
from kanpinn.config.schema import BOUNDARY, ClassSection, LossSection, RunSection
from kanpinn.errors import InputError


@dataclass(frozen=True)
class Config:
    """A problem file.

    `network`, `points`, `reference`, each `optimizer` and a `problem` with an equation are the
    arguments of the class they describe and are checked against it when the job is built.
    directory: where files are looked for; name: what run folders are called after; notes: what an
    override made void, a line each.
    """

    problem: dict[str, Any]
    network: dict[str, Any]
    points: dict[str, Any] | None = None
    loss: LossSection = field(default_factory=LossSection)
    optimizer: tuple[dict[str, Any], ...] = ()
    reference: dict[str, Any] | None = None
    run: RunSection = field(default_factory=RunSection)
    directory: Path = Path()
    name: str = "problem"
    notes: tuple[str, ...] = ()

    @staticmethod
    def read(path: Path, overrides: Sequence[str] = ()) -> "Config":
        """A TOML file, the overrides ("network.width=[2, 32, 1]") laid over it.

        Raises:
            InputError: one line for each fault, naming key, value and what was expected.
        """
        path = Path(path)
        written = load_toml(path)
        changes = [Override.parse(pair) for pair in overrides]
        return _changed(written, changes, path.parent, path.stem)

    @staticmethod
    def from_dict(
        data: dict[str, Any],
        directory: Path = Path(),
        name: str | None = None,
        notes: Sequence[str] = (),
    ) -> "Config":
        """The same from the sections as a dict, such as `to_dict` gives.

        Raises:
            InputError: as for `read`.
        """
        if found := faults(data):
            raise InputError("\n".join(found))
        problem = _problem(data["problem"])
        return Config(
            problem,
            data["network"],
            data.get("points"),
            construct("loss", LossSection, data.get("loss", {})),
            tuple(data.get("optimizer", ())),
            data.get("reference"),
            construct("run", RunSection, data.get("run", {})),
            Path(directory).resolve(),
            name or _title(problem).rpartition(":")[2].lower(),
            tuple(notes),
        )

    @property
    def title(self) -> str:
        """What the problem is: "file.py:Class", "package.module:Class" or the equation's name."""
        return _title(self.problem)

    def override(self, pairs: Sequence[str]) -> "Config":
        """This configuration with "KEY=VALUE" pairs laid over it."""
        data = override(self.to_dict(), [Override.parse(pair) for pair in pairs])
        return Config.from_dict(data, self.directory, self.name, self.notes)

    def vary(self, values: Mapping[str, Any]) -> "Config":
        """This configuration with other values for some keys, {"network.grid": [4, 8]}.

        Raises:
            InputError: naming the key.
        """
        changes = [Override.of(key, value) for key, value in values.items()]
        return _changed(self.to_dict(), changes, self.directory, self.name)

    def to_dict(self) -> dict[str, Any]:
        """The sections as plain values, strict JSON; `from_dict` reads them back."""
        sections = {
            "problem": self.problem,
            "network": self.network,
            "points": self.points,
            "loss": asdict(self.loss),
            "optimizer": list(self.optimizer),
            "reference": self.reference,
            "run": {k: v for k, v in asdict(self.run).items() if v is not None},
        }
        return {name: section for name, section in sections.items() if section}

    def build(self) -> Job:
        """The job that the file describes.

        Raises:
            InputError: naming the key, where a table does not fit the class that it describes.
        """
        problem = build_problem(self.problem, self.directory)
        network = build_network(self.network, self.run, self.directory)
        optimizers = build_optimizers(self.optimizer, self.directory)
        points = build_points(self.points, network, problem)
        check_refinements(network, optimizers)
        check_factors(network, optimizers, points, len(problem.fields))
        return Job(
            problem,
            network,
            optimizers,
            points,
            BOUNDARY.read("network.boundary", self.network.get("boundary", BOUNDARY.default)),
            {"interior": self.loss.interior, "boundary": self.loss.boundary},
            self.run.seed,
            self.name,
            build_reference(self.reference, self.directory),
            self.loss.form,
        )


def _problem(table: dict[str, Any]) -> dict[str, Any]:
    """[problem] with all its keys where it has a class; an equation's keys are the equation's."""
    if "equation" in table:
        return table
    section = construct("problem", ClassSection, table)
    return {"class": section.class_, "parameters": section.parameters}


def _title(problem: dict[str, Any]) -> str:
    return problem.get("class") or problem["equation"]


def _changed(
    written: dict[str, Any], changes: Sequence[Override], directory: Path, name: str
) -> Config:
    """What is written with the changes laid over it, and a note of what they made void."""
    data = override(written, changes)
    given = {change.path for change in changes}
    data, notes = drop_foreign_keys(written, data, given, directory)
    return Config.from_dict(data, directory, name, notes)
