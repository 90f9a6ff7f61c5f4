"""What a study is made of: every combination of the varied values, and its configuration."""

import hashlib
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

from kanpinn.config import Config
from kanpinn.errors import InputError
from kanpinn.results.record import strict
from kanpinn.results.sources import source_texts
from kanpinn.study.columns import RESULTS

Base = str | Path | Mapping[str, Any] | Callable[..., Mapping[str, Any]]
SLUG = 60  # characters of a run's name before its hash


@dataclass(frozen=True)
class Entry:
    """One run of a study: the varied keys with their values, and the configuration they lead to."""

    values: dict[str, Any]
    config: Config

    @cached_property
    def name(self) -> str:
        """What its folder is called: the values as far as there is room, and the hash."""
        pairs = (f"{key.rpartition('.')[2]}={_short(v)}" for key, v in self.values.items())
        slug = re.sub(r"[^\w.=+-]+", "-", "_".join(pairs))[:SLUG].strip("-_.")
        return f"{slug}-{fingerprint(self.config)[:12]}"


def plan(
    base: Base,
    over: Mapping[str, Sequence[Any]],
    zipped: Mapping[str, Sequence[Any]],
    directory: Path,
) -> tuple[list[Entry], str]:
    """The runs of a study in order, the last key varying fastest, and the hash of what they share.

    Raises:
        InputError: where a list is empty, an unknown key is varied, or two runs are the same.
    """
    make, shared = _maker(base, directory)
    combinations = list(_combinations(over, zipped))
    entries = [Entry(values, make(values)) for values in combinations]
    _check_some_build(entries)
    _check_distinct(entries)
    return entries, _digest([shared, list(entries[0].values), version()])


def fingerprint(config: Config) -> str:
    """What a run's results depend on: its settings, its class files and kanpinn's version."""
    settings = config.to_dict()
    return _digest([settings, source_texts(settings, config.directory), version()])


def version() -> str | None:
    """kanpinn's version, None where it is not installed."""
    try:
        return metadata.version("kanpinn")
    except metadata.PackageNotFoundError:
        return None


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _maker(base: Base, directory: Path) -> tuple[Callable[[dict[str, Any]], Config], Any]:
    """What makes a configuration of varied values, and what it starts from."""
    if isinstance(base, str | Path):
        config = Config.read(Path(base))
    elif isinstance(base, Mapping):
        config = Config.from_dict(strict(base), directory)
    else:
        return lambda values: Config.from_dict(strict(base(**values)), directory), None
    return config.vary, config.to_dict()


def _combinations(
    over: Mapping[str, Sequence[Any]], zipped: Mapping[str, Sequence[Any]]
) -> Iterator[dict[str, Any]]:
    """The product of the lists of `over` and of `zipped`, whose lists run in step."""
    for table, lists in (("over", over), ("zipped", zipped)):
        for key, values in lists.items():
            _check_list(table, key, values)
    if both := set(over) & set(zipped):
        raise InputError(f"{min(both)} is in over and in zipped: expected it in one of them")
    lengths = {key: len(values) for key, values in zipped.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"the lists of zipped must have one length, got {lengths}")
    if not over and not zipped:
        raise InputError("over is empty: expected keys with the values to vary them over")
    axes = [[{key: value} for value in values] for key, values in over.items()]
    if zipped:
        axes.append([dict(zip(zipped, row, strict=True)) for row in zip(*zipped.values())])  # noqa: B905
    for parts in itertools.product(*axes):
        yield strict({key: value for part in parts for key, value in part.items()})


def _check_list(table: str, key: str, values: Any) -> None:
    if isinstance(values, str | Mapping) or not isinstance(values, Sequence) or not len(values):
        raise InputError(f"{table}.{key} = {values!r}: expected a list of values, at least one")
    if key in RESULTS:
        raise InputError(f"{table}.{key}: the table of a study has a column of this name already")


def _check_some_build(entries: Sequence[Entry]) -> None:
    """An unknown key or a broken class spoils every run: say so before any is started."""
    first: InputError | None = None
    for entry in entries:
        try:
            entry.config.build()
            return
        except InputError as error:
            first = first or error
    assert first is not None
    raise first


def _check_distinct(entries: Sequence[Entry]) -> None:
    seen: dict[str, Entry] = {}
    for entry in entries:
        other = seen.setdefault(fingerprint(entry.config), entry)
        if other is not entry:
            raise InputError(f"two runs have the same settings: {other.values} and {entry.values}")


def _short(value: Any) -> str:
    if isinstance(value, list):
        return "-".join(map(_short, value))
    return "table" if isinstance(value, Mapping) else str(value)
