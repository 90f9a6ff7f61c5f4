"""KEY=VALUE pairs of the command line, laid over the tables of a file."""

import copy
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kanpinn._support.errors import InputError
from kanpinn._support.wording import show

KeyPath = tuple[str | int, ...]
BARE = re.compile(r"[A-Za-z_][\w.:/\\-]*")  # texts that need no quotes
KEY = re.compile(r"[\w-]+(\[\d+\])*(\.[\w-]+(\[\d+\])*)*")


@dataclass(frozen=True)
class Override:
    """A value for one key; None removes the key. said: how it was given, for messages."""

    path: KeyPath
    value: Any
    said: str

    @staticmethod
    def parse(pair: str) -> "Override":
        """KEY=VALUE: "network.width=[2, 32, 1]" sets a key, "optimizer[0].steps=50" one of a table
        in a list; the index after the last appends a table. Values are TOML, a name needs no
        quotes, and no value removes the key.

        Raises:
            InputError: where a pair cannot be read.
        """
        key, equals, text = (part.strip() for part in pair.partition("="))
        said = f"--set {pair}"
        if not equals or not KEY.fullmatch(key):
            raise InputError(f"{said}: expected KEY=VALUE, such as network.width=[2,32,1]")
        path = _path(key)
        return Override(path, _value(text, said, formula=path[0] in ("problem", "data")), said)

    @staticmethod
    def of(key: str, value: Any) -> "Override":
        """A key such as "optimizer[0].steps", and its value.

        Raises:
            InputError: where the key cannot be one.
        """
        if not KEY.fullmatch(key):
            raise InputError(f"{show(key)} is no key of a file, such as network.grid")
        return Override(_path(key), value, f"{key} = {show(value)}")


def override(data: dict[str, Any], changes: Sequence[Override]) -> dict[str, Any]:
    """The tables with the changes laid over them.

    Raises:
        InputError: where one leads through something that is no table.
    """
    data = copy.deepcopy(data)
    for change in changes:
        _put(data, change.path, change.value, change.said)
    return data


def _path(key: str) -> KeyPath:
    parts = re.findall(r"[\w-]+", key)
    return tuple(int(p) if p.isdigit() and i else p for i, p in enumerate(parts))


def _value(text: str, said: str, formula: bool) -> Any:
    """A TOML value; a formula, too, needs no quotes."""
    if not text:
        return None
    if BARE.fullmatch(text) and text not in ("true", "false", "nan", "inf"):
        return text
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError as error:
        if formula and text[0] not in "[{\"'":
            return text
        reason = str(error).partition(" (at")[0]
        raise InputError(f"{said}: the value is not valid TOML: {reason}") from None
    if parsed.keys() != {"value"}:
        raise InputError(f"{said}: expected one value")
    return parsed["value"]


def _put(data: dict[str, Any], path: KeyPath, value: Any, said: str) -> None:
    place: Any = data
    for depth, part in enumerate(path[:-1]):
        if isinstance(part, str) and isinstance(place, dict):
            place.setdefault(part, [] if isinstance(path[depth + 1], int) else {})
        place = _child(place, part, path[:depth], said)
    last = path[-1]
    if isinstance(last, int):
        _child(place, last, path[:-1], said)
        place[last : last + 1] = [] if value is None else [value]
    elif not isinstance(place, dict):
        raise InputError(f"{said}: {spell(path[:-1])} is no table")
    elif value is None:
        place.pop(last, None)
    else:
        place[last] = value


def _child(place: Any, part: str | int, above: KeyPath, said: str) -> Any:
    if isinstance(part, str):
        if isinstance(place, dict):
            return place[part]
        raise InputError(f"{said}: {spell(above)} is no table")
    if not isinstance(place, list):
        raise InputError(f"{said}: {spell(above)} is no list")
    if part > len(place):
        raise InputError(f"{said}: {spell(above)} has {len(place)} entries, from 0 on")
    if part == len(place):
        place.append({})
    return place[part]


def spell(path: KeyPath) -> str:
    """A path as messages write it: optimizer[0].steps."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")
