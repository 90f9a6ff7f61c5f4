"""Where the numbers of a study come from: machines and versions, and how to have them again."""

import contextlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kanpinn._support.errors import InputError
from kanpinn.runs.results.record import read_record
from kanpinn.runs.study.table import Row, Study

BARE = re.compile(r"[A-Za-z0-9_-]+")  # keys that need no quotes


def records(study: Study) -> list[tuple[Row, dict[str, Any]]]:
    """The run.json of each run that has one."""
    found = []
    for row in study.rows:
        with contextlib.suppress(InputError, OSError):
            found.append((row, read_record(study.run(row))))
    return found


def environment(found: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Versions and machines by name; where runs differ, each with the number of its runs."""
    counts: dict[str, dict[str, int]] = {}
    for record in found:
        for name, value in _facts(record):
            of = counts.setdefault(name, {})
            of[value] = of.get(value, 0) + 1
    return [(name, _counted(values)) for name, values in counts.items()]


def _facts(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for group in ("versions", "platform"):
        for name, value in (record.get(group) or {}).items():
            yield name, "not installed" if value is None else str(value)
    for name, title in (("threads", "threads of a run"), ("processes", "processes of a run")):
        if record.get(name) is not None:
            yield title, str(record[name])
    yield "git commit", str(record.get("git") or "no repository")


def _counted(values: Mapping[str, int]) -> str:
    if len(values) == 1:
        return next(iter(values))
    return "; ".join(f"{value} ({count} runs)" for value, count in values.items())


def study_lists(study: Study) -> dict[str, dict[str, list[Any]]]:
    """The varied keys as they are given to a study: as a product where they are one, else zipped.

    All runs in step are the same runs in the same order.
    """
    columns = {key: study.column(key) for key in study.varied}
    lists = {key: _distinct(values) for key, values in columns.items()}
    product: list[tuple[Any, ...]] = [()]
    for values in lists.values():
        product = [(*some, value) for some in product for value in values]
    given = list(zip(*columns.values(), strict=True))
    return {"over": lists} if product == given else {"over": {}, "zipped": columns}


def _distinct(values: Sequence[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found


def is_file(study: Study, row: Row, settings: Mapping[str, Any]) -> bool:
    """Whether the varied keys are those of a problem file, not the arguments of a function."""
    return all(_found(settings, key) == row[key] is not None for key in study.varied)


def _found(settings: Any, key: str) -> Any:
    with contextlib.suppress(KeyError, IndexError, TypeError):
        for part in re.findall(r"[\w-]+", key):
            settings = settings[int(part) if isinstance(settings, list) else part]
        return settings
    return None


def problem_toml(settings: Mapping[str, Any]) -> str:
    """The sections of a configuration as a problem file."""
    parts = []
    for name, section in settings.items():
        tables = section if isinstance(section, list) else [section]
        head = f"[[{name}]]" if isinstance(section, list) else f"[{name}]"
        parts += ["\n".join([head, *_lines(table)]) for table in tables]
    return "\n\n".join(parts) + "\n"


def study_toml(study: Study, base: str) -> str:
    """A study's file that leads to the same runs from the problem file `base`."""
    text = f"[study]\nbase = {json.dumps(base)}\nname = {json.dumps(study.name)}\n"
    for kind, lists in study_lists(study).items():
        if lists:
            lines = [f"{json.dumps(key)} = {_value(values)}" for key, values in lists.items()]
            text += "\n".join(["", f"[study.{kind}]", *lines, ""])
    return text


def _lines(table: Mapping[str, Any]) -> list[str]:
    return [f"{_key(key)} = {_value(v)}" for key, v in table.items() if v is not None]


def _key(key: str) -> str:
    return key if BARE.fullmatch(key) else json.dumps(key, ensure_ascii=False)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{ {', '.join(_lines(value))} }}" if value else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value, ensure_ascii=False)
