"""How messages say what is wrong: values, spellings, and what was expected."""

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any


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
