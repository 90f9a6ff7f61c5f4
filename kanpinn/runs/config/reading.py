"""Files of settings read, checked against their models, and what is wrong with them in words."""

import json
import math
import tomllib
import typing
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from kanpinn._support.errors import InputError
from kanpinn._support.wording import nearest, show
from kanpinn.runs.config.models import Table, Variants

T = TypeVar("T", bound=Table)
NAMES = {
    "integer": ("an integer", "integers"),
    "number": ("a number", "numbers"),
    "string": ("a text", "texts"),
    "boolean": ("true or false", "truth values"),
    "array": ("a list", "lists"),
    "object": ("a table", "tables"),
}
BOUNDS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}


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


def read(model: type[T], data: Any, path: str = "") -> T:
    """The table that plain values describe.

    Args:
        model: the keys of the table.
        data: the values, such as `tomllib` gives.
        path: of the table in its file, for messages.

    Raises:
        InputError: one line for each fault, naming key, value and what was expected.
    """
    try:
        text = json.dumps(data, allow_nan=False)
    except (TypeError, ValueError):
        raise InputError("\n".join(_not_plain(data, path))) from None
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        lines = [_told(model, fault["type"], fault["loc"], data, path) for fault in faults]
        raise InputError("\n".join(dict.fromkeys(lines))) from None


@contextmanager
def naming(path: str, keys: Container[str], otherwise: str = "") -> Iterator[None]:
    """An argument that is refused, and is one of the keys of a table, is called by its key there.

    Args:
        path: of the table.
        keys: of the table.
        otherwise: begins the messages that are about no key.
    """
    try:
        yield
    except InputError as error:
        known = str(error).partition(" ")[0] in keys
        raise InputError(f"{path}.{error}" if known else f"{otherwise}{error}") from error


def _not_plain(value: Any, path: str) -> Iterator[str]:
    """What has no place in strict JSON: NaN, infinities, dates."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _not_plain(inner, f"{path}.{key}".lstrip("."))
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            yield from _not_plain(inner, f"{path}[{index}]")
    elif type(value) is float and not math.isfinite(value):
        yield f"{path} = {show(value)}: expected a finite number"
    elif value is not None and type(value) not in (bool, int, float, str):
        yield f"{path} = {value}: expected a number, a text, a list or a table"


def _told(
    table: type[Table], kind: str, location: tuple[int | str, ...], value: Any, path: str
) -> str:
    """One fault that pydantic has found, told of the key that it is about.

    A location has keys and indices, after a table of several kinds which kind it is, and after a
    key whose value is no table which of its types was tried.
    """
    if not location:
        return f"{path} = {show(value)}: expected a table"
    rest = list(location)
    while True:
        key, above = str(rest.pop(0)), path
        path, field = f"{path}.{key}".lstrip("."), table.by_key().get(key)
        if field is None and kind == "extra_forbidden":
            return table.refusal(above, key, value[key])
        if field is None:  # one of the further keys of an open table
            value, schema = value[key], table.model_json_schema()["additionalProperties"]
            break
        inner, schema = _inner(field), _schema(field)
        if kind == "missing" and not rest:
            return _missing(path, schema, inner)
        value = value[key]
        if inner is None or not (rest or kind.startswith("union_tag")):
            break
        if rest and type(rest[0]) is int:
            path, value = f"{path}[{rest[0]}]", value[rest.pop(0)]
        if isinstance(inner, Variants):
            if not rest:
                return inner.refusal(path, value)
            table = inner.tables[str(rest.pop(0))]
        elif not rest:
            break
        else:
            table = inner
    what = describe(schema) + (f" [[{key}]]" if schema.get("type") == "array" and not above else "")
    return f"{path} = {show(value)}: expected {what}{nearest(value, schema.get('enum', ()))}"


def _missing(path: str, schema: dict[str, Any], inner: Variants | type[Table] | None) -> str:
    expected = describe(schema)
    if isinstance(inner, Variants):
        expected = (
            f"a table{inner.example}" if "." in path else f"a section [{path}]{inner.example}"
        )
    return f"{path} is missing: expected {expected}"


def _inner(field: FieldInfo) -> Variants | type[Table] | None:
    """The tables that a field takes, itself or in a list; None where it takes other values."""
    waiting = [*field.metadata, field.annotation]
    for hint in waiting:
        if isinstance(hint, Variants) or (isinstance(hint, type) and issubclass(hint, Table)):
            return hint
        waiting += reversed(typing.get_args(hint))
    return None


def _schema(field: FieldInfo) -> dict[str, Any]:
    hint: Any = Annotated[(field.annotation, *field.metadata, "")]
    return TypeAdapter(hint).json_schema()


def describe(schema: Mapping[str, Any]) -> str:
    """In words what a JSON schema lets through."""
    if "enum" in schema:
        return " or ".join(show(choice) for choice in schema["enum"])
    if "anyOf" in schema:
        kinds = [describe(s) for s in schema["anyOf"] if s.get("type") != "null"]
        if "a number" in kinds:
            kinds = [kind for kind in kinds if kind != "an integer"]
        return " or ".join(dict.fromkeys(kinds))
    kind = schema.get("type", "object" if {"oneOf", "$ref"} & {*schema} else None)
    if kind not in NAMES:
        return "another value"
    inner = schema.get("items" if kind == "array" else "additionalProperties")
    text = NAMES[kind][0] + _of_what(inner or {})
    text += f", at least {schema['minItems']}" if "minItems" in schema and "items" in schema else ""
    limits = " and ".join(f"{sign} {schema[b]}" for b, sign in BOUNDS.items() if b in schema)
    return f"{text} {limits}".rstrip()


def _of_what(schema: Mapping[str, Any] | bool) -> str:
    """What a list or table has in it, where that is of one kind or numbers among others."""
    if isinstance(schema, bool):
        return ""
    kinds = [one.get("type") for one in schema.get("anyOf", [schema])]
    kind = "number" if "number" in kinds else kinds[0]
    if "oneOf" in schema:
        kind = "object"
    more = " or texts" if kind == "number" and "string" in kinds else ""
    more += _of_what(schema["items"]) if kind == "array" else ""
    return f" of {NAMES[kind][1]}{more}" if kind in NAMES else ""
