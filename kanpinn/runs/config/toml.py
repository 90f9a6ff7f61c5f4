"""Reading of TOML, with limits of size and depth, and overrides KEY=VALUE of the command line."""

import copy
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kanpinn._support.errors import InputError, nearest, show
from kanpinn._support.files import refuse_irregular

LARGEST = 2**20  # bytes of a file
DEEPEST = 32  # nested tables and lists
_PART = r"""(?:[\w-]++|"[^"\n]*"|'[^'\n]*')"""
_DEEP_KEY = re.compile(rf"(?<![\w-]){_PART}(?:[ \t]*\.[ \t]*{_PART}){{{DEEPEST}}}")


class NotToml(ValueError):
    """Raised for a text that is not TOML, or is nested too deeply; its message has the reason."""


def load_toml(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file.

    Raises:
        InputError: if there is no such file, it is no regular file, has more than 1 MiB, or is not
            TOML.
    """
    refuse_irregular(path)
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise InputError(f"{path}: has more than {LARGEST} bytes, the most that are read")
        return parse_toml(content.decode())
    except FileNotFoundError:
        hint = nearest(path.name, [file.name for file in path.parent.glob("*.toml")])
        raise InputError(f"{path}: there is no such file{hint}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 text (byte {error.start})") from None
    except NotToml as error:
        raise InputError(f"{path}: {error}") from None


def parse_toml(text: str) -> dict[str, Any]:
    """Return the tables of a text in TOML.

    Raises:
        NotToml: if the text is not TOML, or its tables and lists are nested more than 32 deep.
    """
    deep = f"has tables or lists that are nested more than {DEEPEST} deep"
    if _DEEP_KEY.search(text):  # refused first, for tomllib takes quadratic time for such keys
        raise NotToml(deep)
    try:
        tables = tomllib.loads(text)
    except RecursionError:
        raise NotToml(deep) from None
    except tomllib.TOMLDecodeError as error:
        raise NotToml(f"is not valid TOML: {error}") from None
    except ValueError:  # Python converts at most 4300 digits
        raise NotToml("has an integer of more than 4300 digits") from None
    level: list[Any] = [tables]
    for _ in range(DEEPEST):  # the tables and lists inside the tables and lists of `level`
        values = [one.values() if isinstance(one, dict) else one for one in level]
        level = [one for inner in values for one in inner if isinstance(one, (dict, list))]
    if level:
        raise NotToml(deep)
    return tables


KeyPath = tuple[str | int, ...]
BARE = re.compile(r"[A-Za-z_][\w.:/\\-]*")  # texts that need no quotes
KEY = re.compile(r"[\w-]+(\[\d+\])*(\.[\w-]+(\[\d+\])*)*")


@dataclass(frozen=True)
class Override:
    """A new value for one key of a file.

    Args:
        path: the names and list indices that lead to the key.
        value: the value; None removes the key.
        said: the text of the override, for messages.
    """

    path: KeyPath
    value: Any
    said: str

    @staticmethod
    def parse(pair: str) -> "Override":
        """Read KEY=VALUE, such as "network.width=[2, 32, 1]" or "optimizer[0].steps=50".

        The value is TOML, but a name, or a formula of [problem] or [data], needs no quotes. An
        empty value removes the key. An index one past the end of a list appends an entry.

        Raises:
            InputError: if the pair cannot be read.
        """
        key, equals, text = (part.strip() for part in pair.partition("="))
        said = f"--set {pair}"
        if not equals or not KEY.fullmatch(key):
            raise InputError(f"{said}: expected KEY=VALUE, such as network.width=[2,32,1]")
        path = _path(key)
        if len(path) > DEEPEST:
            raise InputError(f"{show(said)}: a key has at most {DEEPEST} parts")
        bare = BARE.fullmatch(text) and text not in ("true", "false", "nan", "inf")
        if bare or not text:
            return Override(path, text or None, said)
        try:
            parsed = parse_toml(f"value = {text}")
        except NotToml as error:
            if path[0] in ("problem", "data") and text[0] not in "[{\"'":  # a formula
                return Override(path, text, said)
            reason = str(error).partition(" (at")[0]
            raise InputError(f"{said}: the value {reason}") from None
        if parsed.keys() != {"value"}:
            raise InputError(f"{said}: expected one value")
        return Override(path, parsed["value"], said)

    @staticmethod
    def of(key: str, value: Any) -> "Override":
        """Return the override that gives a value to a key such as "optimizer[0].steps".

        Raises:
            InputError: if `key` is not the path of a key.
        """
        if not KEY.fullmatch(key):
            raise InputError(f"{show(key)} is not the path of a key, such as network.grid")
        return Override(_path(key), value, f"{key} = {show(value)}")


def override(data: dict[str, Any], changes: Sequence[Override]) -> dict[str, Any]:
    """Return a copy of a file's tables with some values replaced.

    Args:
        data: the tables.
        changes: the new values.

    Raises:
        InputError: if a path leads through a value that is neither a table nor a list.
    """
    data = copy.deepcopy(data)
    for change in changes:
        _put(data, change, 0)
    return data


def _path(key: str) -> KeyPath:
    """Return the parts of a dotted key: "a.b[0]" becomes ("a", "b", 0)."""
    parts = re.findall(r"[\w-]+", key)
    return tuple(int(p) if p.isdigit() and i else p for i, p in enumerate(parts))


def _put(place: Any, change: Override, depth: int) -> None:
    """Set or remove one key; missing tables and lists along its path are created.

    Args:
        place: the table or list to which the first `depth` parts of the path lead.
        change: the override.
        depth: the number of parts of the path that lead to `place`.

    Raises:
        InputError: if the next part of the path is a name and `place` is no table, or the part is
            an index and `place` is no list or is too short.
    """
    part, *rest = change.path[depth:]
    where = spell(change.path[:depth])
    empty: Any = [] if rest and type(rest[0]) is int else {}
    match place, part:
        case dict(), str() if rest:
            _put(place.setdefault(part, empty), change, depth + 1)
        case dict(), str() if change.value is None:
            place.pop(part, None)
        case dict(), str():
            place[part] = change.value
        case list(), int() if part > len(place):
            raise InputError(f"{change.said}: expected an index of {where} from 0 to {len(place)}")
        case list(), int() if rest:
            place += [empty] if part == len(place) else []
            _put(place[part], change, depth + 1)
        case list(), int():
            place[part : part + 1] = [] if change.value is None else [change.value]
        case _:
            expected = "list" if type(part) is int else "table"
            raise InputError(f"{change.said}: {where} is not a {expected}")


def spell(path: KeyPath) -> str:
    """Return the text of a path for messages, such as "optimizer[0].steps"."""
    text = "".join(f"[{part}]" if type(part) is int else f".{part}" for part in path)
    return text.removeprefix(".")
