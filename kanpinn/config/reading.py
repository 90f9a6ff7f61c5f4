"""What is read from a problem file, before its tables meet the classes that they describe."""

import math
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kanpinn.config.words import nearest, show
from kanpinn.errors import InputError

SECTIONS = ("problem", "network", "points", "loss", "optimizer", "run")


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
