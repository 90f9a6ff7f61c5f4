"""A study's file: a problem file, and the keys to vary in it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kanpinn._support.errors import InputError
from kanpinn._support.wording import nearest, show
from kanpinn.runs.config import load_toml

KEYS = ("base", "name", "over", "zipped")


@dataclass(frozen=True)
class StudyFile:
    """[study]: `base`, a problem file; [study.over] and [study.zipped], keys with lists of values.

    The runs are the product of the lists of `over`; those of `zipped` have one length, run in step
    and are one factor of that product. name: what the study's folder is called after.
    """

    base: Path
    name: str
    over: dict[str, Any] = field(default_factory=dict)
    zipped: dict[str, Any] = field(default_factory=dict)

    @staticmethod
    def read(path: Path) -> "StudyFile":
        """A TOML file; `base` is relative to it, `name` is its own by default.

        Raises:
            InputError: naming the key, the value and what was expected.
        """
        path = Path(path)
        data = load_toml(path)
        if list(data) != ["study"] or not isinstance(data["study"], dict):
            wrong = ", ".join(key for key in data if key != "study") or "none"
            raise InputError(f"{path}: expected one section [study], got {wrong}")
        table = data["study"]
        for key in table:
            if key not in KEYS:
                known = ", ".join(KEYS)
                raise InputError(f"study.{key} is unknown{nearest(key, KEYS)} (it takes {known})")
        return StudyFile(
            path.parent / _text(table, "base"),
            _text({"name": path.stem, **table}, "name"),
            _lists(table, "over"),
            _lists(table, "zipped"),
        )


def _text(table: dict[str, Any], key: str) -> str:
    if key not in table:
        raise InputError(f'study.{key} is missing: expected a problem file, {key} = "poisson.toml"')
    if not isinstance(table[key], str) or not table[key]:
        raise InputError(f"study.{key} = {show(table[key])}: expected a text")
    return table[key]


def _lists(table: dict[str, Any], key: str) -> dict[str, Any]:
    """Keys with their lists; network.grid = [4, 8] without its quotes is the same key."""
    lists = table.get(key, {})
    if not isinstance(lists, dict):
        raise InputError(f"study.{key} = {show(lists)}: expected a table of keys with lists")
    flat: dict[str, Any] = {}
    for path, values in _flat(lists, ""):
        if path in flat:
            raise InputError(f"study.{key}.{path} is there twice, in quotes and without")
        flat[path] = values
    return flat


def _flat(table: dict[str, Any], above: str) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value
