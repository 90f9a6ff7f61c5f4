"""Discriminated unions of tables, which a key such as `type` tells apart."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic.annotated_handlers import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from kanpinn._support.wording import nearest, show
from kanpinn.runs.config.models import TomlTable

OWN = "own"  # the name of the table of a class of the user's own


@dataclass(frozen=True, eq=False)
class Variants:
    """A discriminated union of tables: the annotation of a field that takes one of several tables.

    Args:
        tables: the tables, by the value of the key that tells them apart, or by the key itself if
            only one table has it.
        keys: the keys that tell the tables apart, with a word for what each one names. A file gives
            exactly one of them.
        sample: a value of the last key, for messages.
        example: the beginning of such a table, for messages.
    """

    tables: dict[str, type[TomlTable]]
    keys: Mapping[str, str] = field(default_factory=lambda: {"type": ""})
    sample: str = ""
    example: str = ""

    def enter(self, location: list[int | str]) -> type[TomlTable]:
        """Remove the first entry of a pydantic location and return the table that it names."""
        return self.tables[str(location.pop(0))]

    @property
    def key(self) -> str:
        """The key whose value is the name of a table, such as "type"."""
        return [*self.keys][-1]

    def tag(self, table: Any) -> str | None:
        """Return the name of a table in `tables`; None if its keys do not determine one."""
        given = [key for key in self.keys if key in table] if isinstance(table, dict) else []
        if len(given) != 1:
            return None
        name = given[0] if given[0] in self.tables else table[given[0]]
        if not isinstance(name, str):
            return None
        return OWN if ":" in name and OWN in self.tables else name

    def unusable(self, path: str, table: Any) -> str:
        """Return the error message for a value that matches none of the tables.

        Args:
            path: the dotted path of the value.
            table: the value.
        """
        if not isinstance(table, dict):
            return f"{path} = {show(table)}: expected a table{self.example}"
        given = [key for key in self.keys if key in table]
        if len(given) > 1:
            expected = " or ".join(self.keys[key] for key in reversed(given))
            return f"{path}.{given[-1]}: expected {expected}, not both"
        names = [name for name in self.tables if name not in (OWN, *self.keys)]
        if given:
            known = ' or "module:Class"' if OWN in self.tables else ""
            known = f"one of {', '.join(names)}{known}{nearest(table[self.key], names)}"
            return f"{path}.{self.key} = {show(table[self.key])}: expected {known}"
        expected = ", or ".join(self.keys.values()) or f"one of {', '.join(names)}"
        hint = "".join(nearest(key, self.keys) for key in [*table][:1])
        return f"{path}.{next(iter(self.keys))} is missing: expected {expected}{self.sample}{hint}"

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        choices = {tag: handler.generate_schema(table) for tag, table in self.tables.items()}
        return core_schema.tagged_union_schema(choices, self.tag)
