"""Checking the tables of a file against models, and the messages for faults."""

import itertools
import json
import math
import typing
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from kanpinn._support.errors import InputError
from kanpinn._support.wording import nearest, show
from kanpinn.runs.config.models import TomlTable
from kanpinn.runs.config.variants import Variants

T = TypeVar("T", bound=TomlTable)
NAMES = {
    "integer": ("an integer", "integers"),
    "number": ("a number", "numbers"),
    "string": ("a text", "texts"),
    "boolean": ("true or false", "truth values"),
    "array": ("a list", "lists"),
    "object": ("a table", "tables"),
}
BOUNDS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}


def read_table(model: type[T], data: Any, path: str = "") -> T:
    """Check plain values against a model and return the table.

    Args:
        model: the model of the table.
        data: the values, such as those that `tomllib` returns.
        path: the dotted path of the table in its file, for messages.

    Raises:
        InputError: one line for each of the first 20 faults, with the key's path, its value and
            what was expected.
    """
    most = 20
    try:
        text = json.dumps(data, allow_nan=False)
    except (TypeError, ValueError):
        lines = [*itertools.islice(_not_plain(data, path), most)]
        raise InputError("\n".join(lines)) from None
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        lines = [_told(model, one["type"], one["loc"], data, path) for one in faults[:most]]
        lines += [f"there are {len(faults) - most} faults more"] if len(faults) > most else []
        raise InputError("\n".join(dict.fromkeys(lines))) from None


@contextmanager
def naming(path: str, keys: Container[str], otherwise: str = "") -> Iterator[None]:
    """Prefix error messages about keys of a table with the path of the table.

    A message is about a key if its first word is the key.

    Args:
        path: the dotted path of the table.
        keys: the keys of the table.
        otherwise: the prefix of all other messages.

    Raises:
        InputError: every InputError of the body, with the prefix added to its message.
    """
    try:
        yield
    except InputError as error:
        known = str(error).partition(" ")[0] in keys
        raise InputError(f"{path}.{error}" if known else f"{otherwise}{error}") from error


def _not_plain(value: Any, path: str) -> Iterator[str]:
    """Yield a message for each value that strict JSON cannot hold: NaN, infinities, dates."""
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
    table: type[TomlTable], kind: str, location: tuple[int | str, ...], value: Any, path: str
) -> str:
    """Return the message for a fault that pydantic has found.

    Args:
        table: the model that was checked.
        kind: the type of the fault, in pydantic's words.
        location: the keys and indices that lead to the fault. After the key of a discriminated
            union comes the name of its table; after the key of any other value comes the type
            that was tried, which is left out: the message is about the key.
        value: the values that were checked.
        path: the dotted path of the table.
    """
    if not location:
        return f"{path} = {show(value)}: expected a table"
    rest = list(location)
    while True:
        key, above = str(rest.pop(0)), path
        path, field = f"{path}.{key}".lstrip("."), table.by_key().get(key)
        if field is None and kind == "extra_forbidden":
            return table.refusal(above, key, value[key])
        if field is None:  # a key of a table that takes any key
            value, schema = value[key], table.model_json_schema()["additionalProperties"]
            break
        inner, schema = _inner(field), _schema(field)
        if kind == "missing" and not rest:
            return _missing(path, field, inner)
        value = value[key]
        if inner is None or not (rest or kind.startswith("union_tag")):
            break
        if rest and type(rest[0]) is int:
            path, value = f"{path}[{rest[0]}]", value[rest.pop(0)]
        if not rest:
            return cast(Variants, inner).unusable(path, value)
        table = inner.enter(rest)
    what = (field and field.title) or describe(schema)
    what += f" [[{key}]]" if schema.get("type") == "array" and not above else ""
    return f"{path} = {show(value)}: expected {what}{nearest(value, schema.get('enum', ()))}"


def _missing(path: str, field: FieldInfo, inner: Variants | type[TomlTable] | None) -> str:
    expected = field.title or describe(_schema(field))
    if inner is not None:
        expected = ("a table" if "." in path else f"a section [{path}]") + inner.example
    return f"{path} is missing: expected {expected}"


def _inner(field: FieldInfo) -> Variants | type[TomlTable] | None:
    """Return the tables that a field takes, by itself or in a list; None for other values."""
    waiting = [*field.metadata, field.annotation]
    for hint in waiting:
        if isinstance(hint, Variants) or (isinstance(hint, type) and issubclass(hint, TomlTable)):
            return hint
        waiting += reversed(typing.get_args(hint))
    return None


def _schema(field: FieldInfo) -> dict[str, Any]:
    hint: Any = Annotated[(field.annotation, *field.metadata, "")]
    return TypeAdapter(hint).json_schema()


def describe(schema: Mapping[str, Any]) -> str:
    """Return in words which values a JSON schema allows, such as "a list of integers"."""
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
    """Return the kind of a list's or table's values in words, " of integers"; "" if unknown."""
    if schema is True or schema is False:
        return ""
    kinds = [one.get("type") for one in schema.get("anyOf", [schema])]
    kind = "number" if "number" in kinds else kinds[0]
    if "oneOf" in schema:
        kind = "object"
    more = " or texts" if kind == "number" and "string" in kinds else ""
    more += _of_what(schema["items"]) if kind == "array" else ""
    return f" of {NAMES[kind][1]}{more}" if kind in NAMES else ""
