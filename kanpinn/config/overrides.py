"""KEY=VALUE pairs of the command line, and what becomes of the keys of a type they change."""

import copy
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kanpinn.config.classes import equation_class, network_class, optimizer_class
from kanpinn.config.forms import Form
from kanpinn.config.schema import BOUNDARY, EQUATION, TYPE
from kanpinn.errors import InputError
from kanpinn.networks import KAN
from kanpinn.wording import show

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


def drop_foreign_keys(
    written: dict[str, Any], data: dict[str, Any], given: set[KeyPath], directory: Path
) -> tuple[dict[str, Any], list[str]]:
    """The tables without what the file says for another type, and a note for each thing dropped.

    Only where an override changes a `type`, and only the keys that come from the file; refine
    stages go, too, where the network is no longer a KAN. What the file itself gets wrong stays.
    """
    data, notes = copy.deepcopy(data), []
    notes += _drop_from_equation(written.get("problem"), data.get("problem"), given)
    for index, (before, after) in enumerate(zip(_tables(written), _tables(data), strict=False)):
        if _retyped(before, after):
            stage = optimizer_class(after["type"], directory, f"optimizer[{index}]")
            notes += _drop_for_type(after, ("optimizer", index), stage, given)
    if _retyped(written.get("network"), data.get("network")):
        network = network_class(data["network"]["type"], directory)
        notes += _drop_for_type(data["network"], ("network",), network, given)
        if not issubclass(network, KAN):
            notes += _drop_refinement(data, given)
    return data, notes


def _tables(data: dict[str, Any]) -> list[Any]:
    tables = data.get("optimizer")
    return tables if isinstance(tables, list) else []


def _retyped(before: Any, after: Any) -> bool:
    tables = isinstance(before, dict) and isinstance(after, dict)
    return tables and isinstance(after.get("type"), str) and before.get("type") != after["type"]


def _drop_for_type(
    table: dict[str, Any], path: KeyPath, new: type, given: set[KeyPath]
) -> list[str]:
    form = Form.of(new).beside((TYPE, BOUNDARY))
    return _drop(table, path, form, given, f"type = {show(table['type'])}")


def _drop(
    table: dict[str, Any], path: KeyPath, form: Form, given: set[KeyPath], now: str
) -> list[str]:
    kept = {*form.keys, *(key[-1] for key in given if key[:-1] == path)}
    foreign = [] if form.open else [key for key in table if key not in kept]
    for key in foreign:
        del table[key]
    keys = ", ".join(f"{spell(path)}.{key}" for key in foreign)
    return [f"{now}: the file's {keys} do not apply"] if foreign else []


def _drop_from_equation(before: Any, after: Any, given: set[KeyPath]) -> list[str]:
    """What the file says for another equation."""
    if not (isinstance(before, dict) and isinstance(after, dict) and "equation" in before):
        return []
    name = after.get("equation")
    if not isinstance(name, str) or name == before["equation"]:
        return []
    form = Form.of(equation_class(name)).beside((EQUATION,))
    return _drop(after, ("problem",), form, given, f"equation = {show(name)}")


def _drop_refinement(data: dict[str, Any], given: set[KeyPath]) -> list[str]:
    """Refine stages of the file; one that an override touches stays, and is refused."""
    touched = {path[1] for path in given if path[0] == "optimizer" and len(path) > 1}
    void = [
        index
        for index, stage in enumerate(_tables(data))
        if isinstance(stage, dict) and stage.get("type") == "refine" and index not in touched
    ]
    if not void or ("optimizer",) in given:
        return []
    data["optimizer"] = [s for i, s in enumerate(data["optimizer"]) if i not in void]
    return [f"type = {show(data['network']['type'])}: {len(void)} refine stages are skipped"]
