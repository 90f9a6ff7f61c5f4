"""`Config`, a checked file of settings; overrides that change a class; the schema of all files."""

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from kanpinn._support.errors import InputError, show
from kanpinn.networks import KAN
from kanpinn.runs.config.jobs import SHARED, EigenFile, File, FitFile, Job, SolveFile
from kanpinn.runs.config.models import FixedTable, Variants, read_table
from kanpinn.runs.config.tables import PROBLEMS, SOLVE_NETWORKS, SOLVE_STAGES
from kanpinn.runs.config.toml import KeyPath, Override, load_toml, override, spell

CHOSEN = ("loss", "optimizer", "points")  # the sections that trials choose


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
                given = table.model_dump(by_alias=True, exclude_none=True)
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


def _changed(
    written: dict[str, Any], changes: Sequence[Override], directory: Path, name: str
) -> Config:
    """Return the configuration of a file with changes, and with notes on the keys they removed.

    Keys of the file are removed that do not belong to a type that an override has set. If the
    network is no longer a KAN, refinements are removed as well. If its type is "auto", the sections
    that trials choose are removed. Keys that overrides set are kept. Tables whose type is unchanged
    or unknown are left as they are, so that their errors are reported.

    Args:
        written: the sections of the file.
        changes: the overrides.
        directory: the folder in which classes of the user's own are looked for.
        name: the name of the runs.

    Raises:
        InputError: if a class of the user's own cannot be loaded.
    """
    data, given = override(written, changes), {change.path for change in changes}
    notes: list[str] = []
    for path, variants, before, after in _typed_tables(written, data):
        key, tag = variants.key, variants.tag(after)
        if key not in before or before[key] == after.get(key) or tag not in variants.tables:
            continue
        table, now = variants.tables[tag], f"{key} = {show(after[key])}"
        kept = {*table.by_key(), *(changed[-1] for changed in given if changed[:-1] == path)}
        table = table.described(after[key], directory, spell(path))
        kept |= {*table.by_key()}
        if table.model_config["extra"] == "forbid":
            foreign = [key for key in after if key not in kept]
            for key in foreign:
                del after[key]
            keys = ", ".join(f"{spell(path)}.{key}" for key in foreign)
            verb = "does" if len(foreign) == 1 else "do"
            notes += [f"{now}: {keys} of the file {verb} not apply"] if foreign else []
        if path != ("network",):
            continue
        if table.about is None:  # the network is left to trials
            for section in CHOSEN:
                if section in data and section not in {changed[0] for changed in given}:
                    del data[section]
                    notes.append(f"{now}: section [{section}] of the file does not apply")
        elif not issubclass(table.about, KAN) and ("optimizer",) not in given:
            touched = {changed[1] for changed in given if changed[0] == "optimizer"}
            skipped = {
                i
                for i, stage in enumerate(data.get("optimizer", []))
                if type(stage) is dict and stage.get("type") == "refine" and i not in touched
            }
            if skipped:
                stages = enumerate(data["optimizer"])
                data["optimizer"] = [stage for i, stage in stages if i not in skipped]
                notes.append(f"{now}: {len(skipped)} refine stages of the file are skipped")
    return Config.from_dict(data, directory, name, notes)


def _typed_tables(
    written: dict[str, Any], data: dict[str, Any]
) -> Iterator[tuple[KeyPath, Variants, dict[str, Any], dict[str, Any]]]:
    """Yield path, union, values before and values after the overrides, for tables with a type."""
    stages = [sections.get("optimizer") for sections in (written, data)]
    tables: list[Any] = [(("problem",), PROBLEMS, written.get("problem"), data.get("problem"))]
    if all(type(stage) is list for stage in stages):
        pairs = zip(*stages, strict=False)
        tables += [(("optimizer", i), SOLVE_STAGES, *pair) for i, pair in enumerate(pairs)]
    tables.append((("network",), SOLVE_NETWORKS, written.get("network"), data.get("network")))
    yield from [table for table in tables if type(table[2]) is type(table[3]) is dict]


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
