"""The dimensions of a study: the varied keys as numbers and as short labels."""

import json
from collections.abc import Callable, Container, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kanpinn.runs.study.table import Study

SEED = "seed"
PLACE = "·"  # stands in a list for the component that varies


@dataclass(frozen=True, eq=False)
class Dimension:
    """A varied quantity of a study: a label for each row, and a number if its values are numeric.

    A key whose values are lists of numbers gives a numeric dimension for the last component that
    varies. If other components vary independently of it, the key gives a second dimension with
    labels such as "grid [4, ·]".

    key: the varied key. labels: a label for each row.
    whole: a label for each row with the key's whole value.
    numbers: a number for each row, None if the values are not numeric.
    places: the indices of the list components that vary together as this number.
    form: the list with "·" for these components, "[4, ·]".
    """

    key: str
    labels: tuple[str, ...]
    whole: tuple[str, ...]
    numbers: tuple[float, ...] | None = None
    places: frozenset[int] = frozenset()
    form: str = PLACE

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition(".")[2]

    @property
    def fitted(self) -> bool:
        """True if an order is fitted: sizes of networks and numbers of points."""
        if self.numbers is None or self.name == "degree":
            return False
        ours = "." not in self.key or self.key.startswith(("network.", "points."))
        return ours and all(n >= 1 and n == int(n) for n in self.numbers)

    @property
    def logarithmic(self) -> bool:
        """True if the numbers are drawn on a logarithmic axis: all positive, and not degrees."""
        return self.numbers is not None and min(self.numbers) > 0 and self.name != "degree"

    def follows(self, other: "Dimension") -> bool:
        """Return True if the other dimension's labels determine those of this one."""
        return determined(self.labels, other.labels)


def dimensions(study: Study) -> list[Dimension]:
    """Return the dimensions of a study in the order of its keys, without seeds and constants."""
    keys = [key for key in study.varied if not is_seed(key)]
    names = [key.rpartition(".")[2] for key in keys]
    found: list[Dimension] = []
    for key, name in zip(keys, names, strict=True):
        title = name if names.count(name) == 1 else key
        found += _of(key, title, study.column(key))
    return [dimension for dimension in found if len(set(dimension.labels)) > 1]


def is_seed(key: str) -> bool:
    """Return True if a key is a seed, so that its values are replicates."""
    return key.rpartition(".")[2] == SEED


@dataclass(frozen=True)
class Size:
    """The size that a number, or a list of numbers, stands for.

    number: the value itself, or that of the list's component that varies.
    rest: the list with "·" for this component.
    places: the indices of the component and of those that it determines.
    """

    number: float
    rest: str
    places: frozenset[int]


def sizes_of(values: Sequence[Any]) -> list[Size] | None:
    """Return each number or list of numbers as a size; None if some value is neither.

    [4, 8] has the number 8 and the rest "[4, ·]", or "[·, ·]" if the last component determines the
    first one.
    """
    if not values or not all(map(_numeric, values)):
        return None
    listed = [value if isinstance(value, list) else [value] for value in values]
    lists = [tuple(map(float, one)) for one in listed]
    place = {n: _place([one for one in lists if len(one) == n]) for n in set(map(len, lists))}
    return [
        _size(one, own is value, *place[len(one)])
        for one, own, value in zip(lists, listed, values, strict=True)
    ]


def _place(lists: Sequence[tuple[float, ...]]) -> tuple[int, frozenset[int]]:
    """Return the index of the component that is the size, and the set of those it determines.

    All lists have the same length. The set contains the index itself.
    """
    columns = list(zip(*lists, strict=True))
    varying = [i for i, column in enumerate(columns) if len(set(column)) > 1]
    # If nothing varies the largest component is the size: of the width [2, 10, 1] it is 10.
    size = varying[-1] if varying else max(range(len(columns)), key=lambda i: (columns[i][0], i))
    return size, frozenset({size} | {i for i in varying if determined(columns[i], columns[size])})


def _size(one: tuple[float, ...], listed: bool, place: int, tied: frozenset[int]) -> Size:
    parts = [PLACE if i in tied else f"{v:g}" for i, v in enumerate(one)]
    return Size(one[place], f"[{', '.join(parts)}]" if listed else parts[0], tied)


def _numeric(value: Any) -> bool:
    """Return True for a number or a non-empty list of numbers."""
    match value:
        case bool():
            return False
        case int() | float():
            return True
        case [_, *_]:
            return all(type(one) in (int, float) for one in value)
    return False


def _of(key: str, title: str, values: Sequence[Any]) -> list[Dimension]:
    tables = any(True for _ in _tables(list(values)))
    whole = tuple(text if tables else f"{title} {text}" for text in names_of(values))
    taken = sizes_of(values)
    if taken is None:
        return [Dimension(key, whole, whole)]
    numbers, rest = tuple(s.number for s in taken), [s.rest for s in taken]
    places = frozenset[int]().union(*(s.places for s in taken))
    if len(set(rest)) == 1:
        return [Dimension(key, whole, whole, numbers, places, rest[0])]
    labels = tuple(f"{title} {number:.12g}" for number in numbers)
    main = Dimension(key, labels, whole, numbers, places)
    return [main, Dimension(key, tuple(f"{title} {text}" for text in rest), whole)]


def determined(values: Sequence[Hashable], by: Sequence[Hashable]) -> bool:
    """Return True if equal items of `by` always go with equal items of `values`."""
    return len(set(zip(by, values, strict=True))) == len(set(by))


def names_of(values: Sequence[Any]) -> list[str]:
    """Return a short name for each value; different values have different names."""
    for name in (short, _telling(values), full):
        cut = [_cut(name(value)) for value in values]
        if determined([_json(value) for value in values], cut):
            return cut
    distinct = list(dict.fromkeys(map(_json, values)))
    return [f"{one} #{distinct.index(_json(v)) + 1}" for one, v in zip(cut, values, strict=True)]


def short(value: Any) -> str:
    """Return a short text for a value: a table's type, or the texts of a list's items."""
    match value:
        case {"type": kind}:
            return str(kind)
        case list() | tuple():
            return _listed(value, short)
    return full(value)


def full(value: Any, but: Container[str] = ()) -> str:
    """Return the complete text of a value, without the table entries in `but`.

    An entry is written "type.key=value", such as "adam.steps=50".
    """
    match value:
        case Mapping():
            kind = str(value.get("type", ""))
            items = {key: full(v, but) for key, v in value.items() if key != "type"}
            told = [f"{k}={v}" for k, v in items.items() if f"{kind}.{k}={v}" not in but]
            return f"{kind} ({', '.join(told)})" if told or not kind else kind
        case list() | tuple():
            return _listed(value, lambda v: full(v, but))
        case None:
            return "none"
        case str():
            return value
        case float():
            return f"{value:.6g}"
    return json.dumps(value, ensure_ascii=False)


def _telling(values: Sequence[Any]) -> Callable[[Any], str]:
    """Return a function that names values without the entries that all tables of a type share."""
    items: dict[str, list[set[str]]] = {}
    for table in _tables(values):
        kind = str(table.get("type", ""))
        own = {f"{kind}.{k}={full(v)}" for k, v in table.items() if k != "type"}
        items.setdefault(kind, []).append(own)
    common = set[str]().union(*(set.intersection(*own) for own in items.values()))
    return lambda value: full(value, common)


def _tables(value: Any) -> Iterator[Mapping[str, Any]]:
    match value:
        case Mapping():
            yield value
        case list() | tuple():
            for item in value:
                yield from _tables(item)


def _listed(values: Sequence[Any], name: Callable[[Any], str]) -> str:
    """Return the text of a list: "a + b" for tables (stages), else "[a, b]"."""
    items = list(map(name, values))
    if values and all(isinstance(value, Mapping) for value in values):
        return " + ".join(items)
    return f"[{', '.join(items)}]"


def _cut(text: str) -> str:
    text = " ".join(text.split())
    longest = 40  # characters of a label
    return text if len(text) <= longest else f"{text[: longest - 1].rstrip()}…"


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
