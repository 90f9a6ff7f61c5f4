"""The types and the defaults of keys of problem files in words, from their JSON schemas."""

import json
from collections.abc import Mapping
from typing import Any

from myst_text import code, plain

Schema = dict[str, Any]


def default_words(value: Any) -> str:
    """Return a default; that of a whole table has the defaults of its own keys."""
    return "its defaults" if isinstance(value, dict) and value else code(_value(value))


def _value(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def type_words(one: Schema, links: Mapping[str, str]) -> str:
    """Return the type of a key in words.

    Args:
        one: the schema of the key.
        links: to the tables, by their names.
    """
    if "$ref" in one:
        return links[one["$ref"].rpartition("/")[2]]
    if "const" in one:
        return code(_value(one["const"]))
    if "enum" in one:
        return " or ".join(code(_value(value)) for value in one["enum"])
    for several in ("anyOf", "oneOf"):
        if several in one:
            said = dict.fromkeys(type_words(each, links) for each in one[several])
            if "number" in said:
                said.pop("integer", None)
            return " or ".join(said)
    kind = one.get("type")
    if kind == "array":
        return _list(one, links)
    if kind == "object":
        inner = one.get("additionalProperties")
        return (
            f"table of {type_words(inner, links)}" if isinstance(inner, dict) and inner else "table"
        )
    return _number(one) if kind in ("integer", "number") else _plain_kind(kind)


def _plain_kind(kind: Any) -> str:
    names = {"string": "text", "boolean": "true or false", "null": "none"}
    return names.get(str(kind), "any value")


def _number(one: Schema) -> str:
    """Return the type of a number with its limits."""
    said = {"integer": "integer", "number": "number"}[one["type"]]
    limits = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    found = [f"{sign} {one[key]}" for key, sign in limits.items() if key in one]
    return plain(" ".join([said, ", ".join(found)]).strip())


def _list(one: Schema, links: Mapping[str, str]) -> str:
    if "prefixItems" in one:
        return "list of " + ", ".join(type_words(each, links) for each in one["prefixItems"])
    return f"list of {type_words(one['items'], links)}" if one.get("items") else "list"
