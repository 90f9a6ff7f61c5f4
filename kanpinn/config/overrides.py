"""KEY=VALUE pairs of the command line, laid over the tables of a problem file."""

import copy
import re
import tomllib
from collections.abc import Sequence
from typing import Any

from kanpinn.errors import InputError

Path = tuple[str | int, ...]
BARE = re.compile(r"[A-Za-z_][\w.:/\\-]*")  # texts that need no quotes
KEY = re.compile(r"[\w-]+(\[\d+\])*(\.[\w-]+(\[\d+\])*)*")


def override(data: dict[str, Any], pairs: Sequence[str]) -> tuple[dict[str, Any], set[Path]]:
    """The tables with the pairs laid over them, and the paths that were set.

    "network.width=[2, 32, 1]" sets a key, "optimizer[0].steps=50" one of a table in a list; the
    index after the last appends a table. Values are TOML, a name needs no quotes, and no value
    removes the key.

    Raises:
        InputError: where a pair cannot be read, or leads through something that is no table.
    """
    data, paths = copy.deepcopy(data), set()
    for pair in pairs:
        path, value = _parse(pair)
        _put(data, path, value, pair)
        paths.add(path)
    return data, paths


def _parse(pair: str) -> tuple[Path, Any]:
    key, equals, text = (part.strip() for part in pair.partition("="))
    if not equals or not KEY.fullmatch(key):
        raise InputError(f"--set {pair}: expected KEY=VALUE, such as network.width=[2,32,1]")
    parts = re.findall(r"[\w-]+", key)
    path = tuple(int(p) if p.isdigit() and i else p for i, p in enumerate(parts))
    return path, _value(text, pair)


def _value(text: str, pair: str) -> Any:
    if not text:
        return None
    if BARE.fullmatch(text) and text not in ("true", "false", "nan", "inf"):
        return text
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError as error:
        reason = str(error).partition(" (at")[0]
        raise InputError(f"--set {pair}: the value is not valid TOML: {reason}") from None
    if parsed.keys() != {"value"}:
        raise InputError(f"--set {pair}: expected one value")
    return parsed["value"]


def _put(data: dict[str, Any], path: Path, value: Any, pair: str) -> None:
    place: Any = data
    for depth, part in enumerate(path[:-1]):
        if isinstance(part, str) and isinstance(place, dict):
            place.setdefault(part, [] if isinstance(path[depth + 1], int) else {})
        place = _child(place, part, path[:depth], pair)
    last = path[-1]
    if isinstance(last, int):
        _child(place, last, path[:-1], pair)
        place[last : last + 1] = [] if value is None else [value]
    elif not isinstance(place, dict):
        raise InputError(f"--set {pair}: {spell(path[:-1])} is no table")
    elif value is None:
        place.pop(last, None)
    else:
        place[last] = value


def _child(place: Any, part: str | int, above: Path, pair: str) -> Any:
    if isinstance(part, str):
        if isinstance(place, dict):
            return place[part]
        raise InputError(f"--set {pair}: {spell(above)} is no table")
    if not isinstance(place, list):
        raise InputError(f"--set {pair}: {spell(above)} is no list")
    if part > len(place):
        raise InputError(f"--set {pair}: {spell(above)} has {len(place)} entries, from 0 on")
    if part == len(place):
        place.append({})
    return place[part]


def spell(path: Path) -> str:
    """A path as messages write it: optimizer[0].steps."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")
