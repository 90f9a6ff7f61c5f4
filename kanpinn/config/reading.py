"""What is read from a problem file, and how messages say what is wrong with it."""

import difflib
import json
import math
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from kanpinn.errors import InputError

SECTIONS = ("problem", "network", "points", "loss", "optimizer", "run")
_KINDS = {
    "integer": ("an integer", "integers"),
    "number": ("a number", "numbers"),
    "string": ("a text", "texts"),
    "boolean": ("true or false", "truth values"),
    "array": ("a list", "lists"),
    "object": ("a table", "tables"),
}
_BOUNDS = {
    "minimum": ">=",
    "exclusiveMinimum": ">",
    "maximum": "<=",
    "exclusiveMaximum": "<",
}


def load_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        InputError: where there is no such file, or it is no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        beside = path.parent.glob("*.toml") if path.parent.is_dir() else ()
        hint = nearest(path.name, [file.name for file in beside])
        raise InputError(f"{path}: there is no such file{hint}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 text (byte {error.start})") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: is not valid TOML: {error}") from None


def faults(data: dict[str, Any]) -> list[str]:
    """A line for each section that is unknown, missing or no table, and each value not of JSON."""
    return [*_unknown(data), *_not_plain(data), *_wrong_kinds(data)]


def _unknown(data: dict[str, Any]) -> Iterator[str]:
    for name in data:
        if name not in SECTIONS:
            known = ", ".join(f"[{s}]" for s in SECTIONS)
            yield f"{name} is unknown{nearest(name, SECTIONS)} (the sections are {known})"
    for name, key in (("problem", "class"), ("network", "type")):
        if name not in data:
            yield f'{name} is missing: expected a section [{name}] with {key} = "..."'


def _wrong_kinds(data: dict[str, Any]) -> Iterator[str]:
    """Sections that are no tables, and tables that do not say what they describe."""
    optimizers = data.get("optimizer", [])
    if not isinstance(optimizers, (list, tuple)):
        yield f"optimizer = {show(optimizers)}: expected a list of tables [[optimizer]]"
        optimizers = []
    named = {f"optimizer[{i}]": table for i, table in enumerate(optimizers)}
    tables = {name: data[name] for name in ("network", "points") if data.get(name) is not None}
    for path, table in (tables | named).items():
        if not isinstance(table, dict):
            yield f"{path} = {show(table)}: expected a table"
        elif path != "points" and not isinstance(table.get("type"), str):
            given = f" = {show(table['type'])}" if "type" in table else " is missing"
            yield f"{path}.type{given}: expected a name"


def _not_plain(value: Any, path: str = "") -> Iterator[str]:
    """What has no place in strict JSON: NaN, infinities, dates."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _not_plain(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            yield from _not_plain(inner, f"{path}[{index}]")
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{path} = {show(value)}: expected a finite number"
    elif value is not None and not isinstance(value, (bool, int, float, str)):
        yield f"{path} = {value}: expected a number, a text, a list or a table"


def nearest(word: Any, choices: Iterable[Any]) -> str:
    """The clause '; did you mean "..."?', or nothing where no choice is near."""
    names = [str(c) for c in choices]
    lowered = {n.lower(): n for n in names}
    close = difflib.get_close_matches(str(word).lower(), lowered, n=1)
    return f"; did you mean {show(lowered[close[0]])}?" if close else ""


def show(value: Any) -> str:
    """A value as a problem file would write it, shortened."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = str(value)
    text = text.replace("NaN", "nan").replace("Infinity", "inf")
    return text if len(text) <= 60 else f"{text[:57]}..."


def describe(schema: Mapping[str, Any]) -> str:
    """In words what a JSON schema lets through."""
    if "enum" in schema:
        return " or ".join(show(choice) for choice in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(describe(s) for s in schema["anyOf"] if s.get("type") != "null")
    kind = schema.get("type")
    if kind not in _KINDS:
        return "another value"
    items = schema.get("items", {}).get("type")
    text = _KINDS[kind][0] + (f" of {_KINDS[items][1]}" if items in _KINDS else "")
    limits = " and ".join(f"{sign} {schema[b]}" for b, sign in _BOUNDS.items() if b in schema)
    return f"{text} {limits}".rstrip()
