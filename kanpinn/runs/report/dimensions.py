"""What varies in a study: keys as sizes and as labels, lists taken apart, values named in short."""

import json
from collections.abc import Callable, Container, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kanpinn.runs.study.table import Study

SEED = "seed"
PLACE = "·"  # of the size in a list


@dataclass(frozen=True, eq=False)
class Dimension:
    """One thing that varies, over all rows: what it is called, and its numbers where it has some.

    A list of numbers is one dimension for the component that varies (the last one of several), and
    another, of labels such as "grid [4, ·]", for those that vary apart from it.

    whole: labels of the key's values as they are. places: the components of lists that vary as one;
    form: how these stand in the list, "[4, ·]".
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
        """Whether errors are expected to fall like a power of it: sizes of networks and points."""
        if self.numbers is None or self.name == "degree":
            return False
        ours = "." not in self.key or self.key.startswith(("network.", "points."))
        return ours and all(n >= 1 and n == int(n) for n in self.numbers)

    @property
    def logarithmic(self) -> bool:
        """Whether a logarithmic axis suits it."""
        return self.numbers is not None and min(self.numbers) > 0 and self.name != "degree"

    def follows(self, other: "Dimension") -> bool:
        """Whether another dimension decides it."""
        return determined(self.labels, other.labels)


def dimensions(study: Study) -> list[Dimension]:
    """The dimensions of a study in the order of its keys, without seeds and what never changes."""
    keys = [key for key in study.varied if not is_seed(key)]
    names = [key.rpartition(".")[2] for key in keys]
    found: list[Dimension] = []
    for key, name in zip(keys, names, strict=True):
        title = name if names.count(name) == 1 else key
        found += _of(key, title, study.column(key))
    return [dimension for dimension in found if len(set(dimension.labels)) > 1]


def is_seed(key: str) -> bool:
    """Whether the values of a key are replicates."""
    return key.rpartition(".")[2] == SEED


@dataclass(frozen=True)
class Size:
    """A number, or the component of a list that varies, with what stays when that is taken out.

    places: of the component, and of those that run in step with it.
    """

    number: float
    rest: str
    places: frozenset[int]


def sizes(values: Sequence[Any]) -> list[Size] | None:
    """Each number or list of numbers as a size; None where some value is neither.

    [4, 8] is 8 and "[4, ·]", or 8 and "[·, ·]" where the first component runs in step with the
    last.
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
    """The component that is the size of lists of one length, and those that follow it."""
    columns = list(zip(*lists, strict=True))
    varying = [i for i, column in enumerate(columns) if len(set(column)) > 1]
    # Of a single width [2, 10, 1] the units of the hidden layer are its size.
    size = varying[-1] if varying else max(range(len(columns)), key=lambda i: (columns[i][0], i))
    return size, frozenset({size} | {i for i in varying if determined(columns[i], columns[size])})


def _size(one: tuple[float, ...], listed: bool, place: int, tied: frozenset[int]) -> Size:
    parts = [PLACE if i in tied else f"{v:g}" for i, v in enumerate(one)]
    return Size(one[place], f"[{', '.join(parts)}]" if listed else parts[0], tied)


def _numeric(value: Any) -> bool:
    """Whether it is a number, or a list of numbers."""
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
    taken = sizes(values)
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
    match value:
        case {"type": kind}:
            return str(kind)
        case list() | tuple():
            return _listed(value, short)
    return full(value)


def full(value: Any, but: Container[str] = ()) -> str:
    """A value with all that is in it; `but`: entries "adam.steps=50" of tables to leave out."""
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
    """Names that leave out what all tables of a type have in common."""
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
    """Stages one after another; other lists as they are written."""
    items = list(map(name, values))
    if values and all(isinstance(value, Mapping) for value in values):
        return " + ".join(items)
    return f"[{', '.join(items)}]"


def _cut(text: str) -> str:
    text = " ".join(text.split())
    longest = 40  # characters: more is no label
    return text if len(text) <= longest else f"{text[: longest - 1].rstrip()}…"


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
