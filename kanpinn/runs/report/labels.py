"""Short names for the values of a study's keys."""

import json
from collections.abc import Callable, Container, Hashable, Iterator, Mapping, Sequence
from typing import Any

LONG = 40  # characters


def determined(values: Sequence[Hashable], by: Sequence[Hashable]) -> bool:
    """Whether each value in `by` goes with one in `values`."""
    return len(set(zip(by, values, strict=True))) == len(set(by))


def names_of(values: Sequence[Any]) -> list[str]:
    """A short name for each value, different for different values."""
    for name in (short, _telling(values), full):
        cut = [_cut(name(value)) for value in values]
        if determined([_json(value) for value in values], cut):
            return cut
    distinct = list(dict.fromkeys(map(_json, values)))
    return [f"{one} #{distinct.index(_json(v)) + 1}" for one, v in zip(cut, values, strict=True)]


def short(value: Any) -> str:
    """A value in few words: of a table its type, of a list its items."""
    if isinstance(value, Mapping):
        return str(value["type"]) if "type" in value else full(value)
    return _listed(value, short) if _is_list(value) else _plain(value)


def full(value: Any, but: Container[str] = ()) -> str:
    """A value with all that is in it; `but`: entries "adam.steps=50" of tables to leave out."""
    if isinstance(value, Mapping):
        kind = str(value.get("type", ""))
        items = {key: full(v, but) for key, v in value.items() if key != "type"}
        told = [f"{k}={v}" for k, v in items.items() if f"{kind}.{k}={v}" not in but]
        return f"{kind} ({', '.join(told)})" if told or not kind else kind
    return _listed(value, lambda v: full(v, but)) if _is_list(value) else _plain(value)


def _telling(values: Sequence[Any]) -> Callable[[Any], str]:
    """Names that leave out what all tables of a type have in common."""
    items: dict[str, list[set[str]]] = {}
    for table in _tables(values):
        kind = str(table.get("type", ""))
        own = {f"{kind}.{k}={full(v)}" for k, v in table.items() if k != "type"}
        items.setdefault(kind, []).append(own)
    common = set[str]().union(*(set.intersection(*own) for own in items.values()))
    return lambda value: full(value, common)


def _tables(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        yield value
    elif _is_list(value):
        for item in value:
            yield from _tables(item)


def _listed(values: Sequence[Any], name: Callable[[Any], str]) -> str:
    """Stages one after another; other lists as they are written."""
    items = list(map(name, values))
    if values and all(isinstance(value, Mapping) for value in values):
        return " + ".join(items)
    return f"[{', '.join(items)}]"


def as_list(value: Any) -> list[Any]:
    """The items of a list, or the value alone."""
    return list(value) if _is_list(value) else [value]


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _plain(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONG else f"{text[: LONG - 1].rstrip()}…"


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
