"""A file of settings, for a solve or for a fit: read, overridden, checked."""

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from kanpinn.runs.config.eigens import EigenFile
from kanpinn.runs.config.files import SHARED, File
from kanpinn.runs.config.fits import FitFile
from kanpinn.runs.config.job import Job
from kanpinn.runs.config.models import FixedTable
from kanpinn.runs.config.overrides import Override, override
from kanpinn.runs.config.reading import load_toml, read
from kanpinn.runs.config.retyped import drop_foreign_keys
from kanpinn.runs.config.solves import SolveFile


@dataclass(frozen=True, kw_only=True)
class Config:
    """A problem file, with or without [eigen], or a fit file.

    Args:
        sections: the file as plain values; `from_dict` reads them back.
        file: the same, checked.
        directory: where files that it names are looked for.
        name: what run folders are called after.
        notes: what an override made void, a line each.
    """

    sections: dict[str, Any]
    file: File = field(repr=False, compare=False)
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
        """The same from the sections as a dict, such as `to_dict` gives.

        Raises:
            InputError: as for `read`.
        """
        kind: type[File] = EigenFile if "eigen" in data else SolveFile
        if "data" in data and "problem" not in data:
            kind = FitFile
        file = read(kind, data)
        sections = {}
        for section in sorted(kind.model_fields, key=SHARED.__contains__):
            table, given = getattr(file, section), data.get(section)
            if isinstance(table, FixedTable):
                given = table.filled(given or {})
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
        """This configuration with "KEY=VALUE" pairs laid over it."""
        data = override(self.sections, [Override.parse(pair) for pair in pairs])
        return Config.from_dict(data, self.directory, self.name, self.notes)

    def vary(self, values: Mapping[str, Any]) -> "Config":
        """This configuration with other values for some keys, {"network.grid": [4, 8]}.

        Raises:
            InputError: naming the key.
        """
        changes = [Override.of(key, value) for key, value in values.items()]
        return _changed(self.sections, changes, self.directory, self.name)

    def to_dict(self) -> dict[str, Any]:
        """The sections as plain values, strict JSON; `from_dict` reads them back."""
        return copy.deepcopy(self.sections)

    def build(self) -> Job:
        """The job that the file describes.

        Raises:
            InputError: naming the key, where a table does not fit the class that it describes.
        """
        return self.file.job(self.directory, self.name)


def _changed(
    written: dict[str, Any], changes: Sequence[Override], directory: Path, name: str
) -> Config:
    """What is written with the changes laid over it, and a note of what they made void."""
    data = override(written, changes)
    given = {change.path for change in changes}
    notes = drop_foreign_keys(written, data, given, directory)
    return Config.from_dict(data, directory, name, notes)


class _Schema(GenerateJsonSchema):
    """Keys are called by their names alone."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def document_schema(kind: str = "problem") -> dict[str, Any]:
    """The JSON schema (2020-12) of files.

    Args:
        kind: "problem", of a solve or an eigenvalue problem, or "fit".
    """
    files: Any = FitFile if kind == "fit" else SolveFile | EigenFile
    schema = TypeAdapter(files).json_schema(schema_generator=_Schema)
    return {"$schema": _Schema.schema_dialect, "title": f"kanpinn {kind} file"} | schema
