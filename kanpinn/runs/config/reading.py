"""What is read from a file of settings, and how messages say what is wrong with it."""

import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kanpinn._support.errors import InputError
from kanpinn._support.wording import nearest, show

AUTO = "auto"  # type of [network] or [[optimizer]]: trials choose

SHARED = ("network", "optimizer", "run")  # sections of problem files and of fit files
FIRST = {"problem": 'class = "..." or equation', "data": "path", "network": "type"}
CHOICES = {
    "problem": {"class": "a class", "equation": "an equation"},
    "data": {"path": "a file", "formula": "a formula"},
}
EXAMPLES = {"problem": "poisson", "data": "exp(sin(pi*x) + y**2)"}
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


def faults(data: dict[str, Any], own: Sequence[str]) -> list[str]:
    """A line for each section that is unknown, missing or no table, and each value not of JSON.

    own: the sections that files of this kind alone have, first the one that makes them so.
    """
    return [*_unknown(data, own), *_not_plain(data), *_wrong_kinds(data, own)]


def _unknown(data: dict[str, Any], own: Sequence[str]) -> Iterator[str]:
    sections = (own[0], SHARED[0], *own[1:], *SHARED[1:])
    for name in data:
        if name not in sections:
            known = ", ".join(f"[{s}]" for s in sections)
            yield f"{name} is unknown{nearest(name, sections)} (the sections are {known})"
    for name in (own[0], *(() if _leaves_all(data) else ("network",))):
        if name not in data:
            other = ", or [data] for a fit" if name == "problem" else ""
            key = FIRST[name]
            yield f'{name} is missing: expected a section [{name}] with {key} = "..."{other}'


def _leaves_all(data: dict[str, Any]) -> bool:
    """Whether trials choose the network: a problem file with no optimizer, or with "auto"."""
    optimizers = data.get("optimizer") or [{"type": AUTO}]
    named = optimizers[0].get("type") if isinstance(optimizers[0], dict) else None
    return "problem" in data and "eigen" not in data and named == AUTO


def _wrong_kinds(data: dict[str, Any], own: Sequence[str]) -> Iterator[str]:
    """Sections that are no tables, and tables that do not say what they describe."""
    for section, choices in CHOICES.items():
        if section in own and section in data:
            yield from _one_of(section, data[section], choices)
    optimizers = data.get("optimizer", [])
    if not isinstance(optimizers, (list, tuple)):
        yield f"optimizer = {show(optimizers)}: expected a list of tables [[optimizer]]"
        optimizers = []
    named = {f"optimizer[{i}]": table for i, table in enumerate(optimizers)}
    sections = ("network", "points", "reference")
    tables = {name: data[name] for name in sections if data.get(name) is not None}
    for path, table in (tables | named).items():
        if not isinstance(table, dict):
            yield f"{path} = {show(table)}: expected a table"
        elif path != "points" and not isinstance(table.get("type"), str):
            given = f" = {show(table['type'])}" if "type" in table else " is missing"
            yield f"{path}.type{given}: expected a name"


def _one_of(section: str, table: Any, choices: Mapping[str, str]) -> Iterator[str]:
    """A section that has neither of two keys that say what it describes, or both."""
    if not isinstance(table, dict):
        yield f"{section} = {show(table)}: expected a table"
        return
    first, second = choices
    given = [key for key in choices if key in table]
    if len(given) > 1:
        yield f"{section}.{second}: expected {choices[second]} or {choices[first]}, not both"
    elif not given:
        hint = "".join(nearest(key, choices) for key in [*table][:1])
        example = EXAMPLES[section]
        yield (
            f"{section}.{first} is missing: expected {choices[first]}, or {choices[second]} such "
            f'as "{example}"{hint}'
        )
    elif section == "problem" and not isinstance(table[given[0]], str):
        yield f"problem.{given[0]} = {show(table[given[0]])}: expected a text"


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


@contextmanager
def naming(path: str, section: object) -> Iterator[None]:
    """An argument that is refused, and whose value a section has, is called by its key there."""
    try:
        yield
    except InputError as error:
        if str(error).partition(" ")[0] in vars(section):
            raise InputError(f"{path}.{error}") from error
        raise


def describe(schema: Mapping[str, Any]) -> str:
    """In words what a JSON schema lets through."""
    if "enum" in schema:
        return " or ".join(show(choice) for choice in schema["enum"])
    if "anyOf" in schema:
        kinds = [describe(s) for s in schema["anyOf"] if s.get("type") != "null"]
        if "a number" in kinds:
            kinds = [kind for kind in kinds if kind != "an integer"]
        return " or ".join(dict.fromkeys(kinds))
    kind = schema.get("type")
    if kind not in _KINDS:
        return "another value"
    inner = schema.get("items" if kind == "array" else "additionalProperties")
    text = _KINDS[kind][0] + _of_what(inner if isinstance(inner, dict) else {})
    limits = " and ".join(f"{sign} {schema[b]}" for b, sign in _BOUNDS.items() if b in schema)
    return f"{text} {limits}".rstrip()


def _of_what(schema: Mapping[str, Any]) -> str:
    """What a list or table has in it, where that is of one kind or numbers among others."""
    kinds = [one.get("type") for one in schema.get("anyOf", [schema])]
    kind = "number" if "number" in kinds else kinds[0]
    more = " or texts" if kind == "number" and "string" in kinds else ""
    more += _of_what(schema["items"]) if kind == "array" else ""
    return f" of {_KINDS[kind][1]}{more}" if kind in _KINDS else ""
