"""The configuration of a run: a TOML file, with overrides, checked against its model."""

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from kanpinn._support.errors import InputError
from kanpinn.runs.config.eigens import EigenFile
from kanpinn.runs.config.files import SHARED, File
from kanpinn.runs.config.fits import FitFile
from kanpinn.runs.config.job import Job
from kanpinn.runs.config.models import FixedTable
from kanpinn.runs.config.overrides import Override, override
from kanpinn.runs.config.reading import read_table
from kanpinn.runs.config.retyped import drop_foreign_keys
from kanpinn.runs.config.solves import SolveFile
from kanpinn.runs.config.toml import load_toml


@dataclass(frozen=True, kw_only=True)
class Config:
    """The settings of a solve, of an eigenvalue problem or of a fit.

    Args:
        sections: the settings as plain values.
        file: the same settings, checked.
        directory: the folder in which files named by the settings are looked for.
        name: the name of the folder that holds the runs.
        notes: a line for each part of the file that an override made inapplicable.
    """

    sections: dict[str, Any]
    file: File = field(repr=False, compare=False)
    directory: Path = Path()
    name: str = "problem"
    notes: tuple[str, ...] = ()

    @staticmethod
    def read(path: Path, overrides: Sequence[str] = ()) -> "Config":
        """Read a TOML file.

        Args:
            path: the file.
            overrides: "KEY=VALUE" pairs that replace values of the file, such as
                "network.width=[2, 32, 1]".

        Raises:
            InputError: one line for each fault, with the key's path, its value and what was
                expected.
        """
        path = Path(path)
        written = load_toml(path)
        if not overrides:
            return Config.from_dict(written, path.parent, path.stem)
        changes = [Override.parse(pair) for pair in overrides]
        return _changed(written, changes, path.parent, path.stem)

    @staticmethod
    def from_dict(
        data: dict[str, Any],
        directory: Path = Path(),
        name: str | None = None,
        notes: Sequence[str] = (),
    ) -> "Config":
        """Check the sections of a file that are given as plain values.

        Args:
            data: the sections, such as `to_dict` returns.
            directory: the folder in which files named by the settings are looked for.
            name: the name of the folder that holds the runs; by default that of the problem.
            notes: as for the class.

        Raises:
            InputError: as for `read`.
        """
        kind: type[File] = EigenFile if "eigen" in data else SolveFile
        if "data" in data and "problem" not in data:
            kind = FitFile
        file = read_table(kind, data)
        sections = {}
        for section in sorted(kind.model_fields, key=SHARED.__contains__):
            table, given = getattr(file, section), data.get(section)
            if isinstance(table, FixedTable):  # its defaults are written to run.json as well
                known = {
                    one.alias or key: one.get_default(call_default_factory=True)
                    for key, one in type(table).model_fields.items()
                } | (given or {})
                given = {key: one for key, one in known.items() if table.nulls or one is not None}
            if given:
                sections[section] = given
        return Config(
            sections=json.loads(json.dumps(sections)),
            file=file,
            directory=Path(directory).resolve(),
            name=name or file.name,
            notes=tuple(notes),
        )

    def override(self, pairs: Sequence[str]) -> "Config":
        """Return this configuration with other values.

        Args:
            pairs: "KEY=VALUE" pairs, as for `read`.

        Raises:
            InputError: as for `read`.
        """
        data = override(self.sections, [Override.parse(pair) for pair in pairs])
        return Config.from_dict(data, self.directory, self.name, self.notes)

    def vary(self, values: Mapping[str, Any]) -> "Config":
        """Return this configuration with other values for some keys.

        If a value replaces the type of a table, the keys of the former type are dropped, as by the
        overrides of `read`.

        Args:
            values: the new values by dotted key, such as {"network.grid": [4, 8]}.

        Raises:
            InputError: as for `read`.
        """
        changes = [Override.of(key, value) for key, value in values.items()]
        return _changed(self.sections, changes, self.directory, self.name)

    def to_dict(self) -> dict[str, Any]:
        """Return the sections as plain values of strict JSON, which `from_dict` reads back."""
        return copy.deepcopy(self.sections)

    def build(self) -> Job:
        """Return the job that the settings describe, ready to run.

        Raises:
            InputError: if a table does not fit the class that it describes; the message names the
                key.
        """
        job = self.file.job(self.directory, self.name)
        threads, suitable = self.file.run.threads, job.network.threads
        if threads is not None and suitable is not None and threads > suitable:
            raise InputError(
                f"run.threads must be {suitable} for {type(job.network).__name__}, whose matrices "
                f"are too small for more, got {threads}; torchrun starts several processes"
            )
        return job

    def threads_of(self, job: Job) -> int | None:
        """The number of threads for a job of this configuration; None for those that are set."""
        return self.file.run.threads or job.network.threads


def _changed(
    written: dict[str, Any], changes: Sequence[Override], directory: Path, name: str
) -> Config:
    """Return the configuration of a file with changes, and with notes on the keys they removed."""
    data = override(written, changes)
    given = {change.path for change in changes}
    notes = drop_foreign_keys(written, data, given, directory)
    return Config.from_dict(data, directory, name, notes)


class _Schema(GenerateJsonSchema):
    """A JSON schema without titles, which would only repeat the keys."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def document_schema(kind: str = "problem") -> dict[str, Any]:
    """Return the JSON schema (2020-12) of problem files or of fit files.

    Args:
        kind: "problem" for files of solves and of eigenvalue problems, or "fit".
    """
    files: Any = FitFile if kind == "fit" else SolveFile | EigenFile
    schema = TypeAdapter(files).json_schema(schema_generator=_Schema)
    return {"$schema": _Schema.schema_dialect, "title": f"kanpinn {kind} file"} | schema
