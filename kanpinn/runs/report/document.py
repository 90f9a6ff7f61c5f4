"""One self-contained HTML page of sections, and the provenance of runs and studies."""

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import tomlkit

from kanpinn._support.errors import InputError
from kanpinn._support.shown import template
from kanpinn.runs.results.record import read_record
from kanpinn.runs.study.table import Row, Study
from kanpinn.solvers.summary import ShownTable

REPORT = "report.html"


class RunLink(NamedTuple):
    """The text and the address, relative to the page, of a link to a run's folder."""

    text: str
    address: str


@dataclass(frozen=True, eq=False)
class Figure:
    """A drawing as an SVG element, and the caption below it."""

    svg: str
    caption: str


@dataclass(frozen=True, eq=False)
class Image:
    """A picture in the page itself, and the caption below it.

    address: the picture as a "data:" address. alternative: the text for those who cannot see it.
    """

    address: str
    alternative: str
    caption: str


@dataclass(frozen=True, eq=False)
class Section:
    """A section of the page with an anchor, `key`; empty lists are not shown.

    texts: paragraphs. listings: pairs of an introducing paragraph and a file's text or a command.
    """

    key: str
    title: str
    tables: Sequence[ShownTable] = ()
    figures: Sequence[Figure] = ()
    images: Sequence[Image] = ()
    texts: Sequence[str] = ()
    listings: Sequence[tuple[str, str]] = field(default=())


def rendered(
    title: str, state: str, sections: Sequence[Section], version: str | None, source: str
) -> str:
    """Return a page as HTML with inline styles and pictures, and links within its folder only.

    The template page.html escapes every text but the figures' SVG.

    Args:
        title: the heading of the page.
        state: a sentence on the whole below it.
        sections: what follows.
        version: the version of kanpinn, None if it was not installed.
        source: the file that the page is made from, for its last line.
    """
    return template("kanpinn.runs.report", "page.html").render(
        title=title,
        state=state,
        sections=sections,
        version=version or "(not installed)",
        source=source,
    )


def records(study: Study) -> list[tuple[Row, dict[str, Any]]]:
    """Return pairs of a row and its run.json, for the runs that have one."""
    found = []
    for row in study.rows:
        with contextlib.suppress(InputError, OSError):
            found.append((row, read_record(study.run(row))))
    return found


def environment(found: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return pairs of a name and its value for the versions and machines in records of runs.

    If the runs differ, the value lists each variant with its number of runs.
    """
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
    """Return the arguments `over` and `zipped` of `sweep` that give the study's runs.

    The keys are in `over` if the rows are the product of their values, otherwise in `zipped`.
    """
    columns = {key: study.column(key) for key in study.varied}
    lists = {key: _distinct(values) for key, values in columns.items()}
    product: list[tuple[Any, ...]] = [()]
    for values in lists.values():
        product = [(*some, value) for some in product for value in values]
    given = list(zip(*columns.values(), strict=True))
    return {"over": lists} if product == given else {"over": {}, "zipped": columns}


def _distinct(values: Sequence[Any]) -> list[Any]:
    """Return the distinct values in order; they may be unhashable lists and tables."""
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found


def is_file(study: Study, row: Row, settings: Mapping[str, Any]) -> bool:
    """Return True if the varied keys are those of a problem file, not arguments of a function."""
    return all(_found(settings, key) == row[key] is not None for key in study.varied)


def _found(settings: Any, key: str) -> Any:
    """Return the value of a key such as "optimizer[0].steps", None if there is none."""
    with contextlib.suppress(KeyError, IndexError, TypeError):
        for part in re.findall(r"[\w-]+", key):
            settings = settings[int(part) if part.isdecimal() else part]
        return settings
    return None


def problem_toml(settings: Mapping[str, Any]) -> str:
    """Return the sections of a configuration as the text of a problem file."""
    return tomlkit.dumps(_without_none(settings))


def study_toml(study: Study, base: str) -> str:
    """Return the text of a study file that varies the problem file `base` into the same runs."""
    lists = {kind: lists for kind, lists in study_lists(study).items() if lists}
    return tomlkit.dumps(_without_none({"study": {"base": base, "name": study.name, **lists}}))


def _without_none(value: Any) -> Any:
    """Return the tables without the keys whose value is None, which TOML cannot express."""
    match value:
        case Mapping():
            return {key: _without_none(one) for key, one in value.items() if one is not None}
        case list():
            return [_without_none(one) for one in value]
    return value


def subject(settings: Mapping[str, Any]) -> str:
    """Return the name of what is solved or fitted: a class, equation, data file or formula."""
    named = settings.get("problem") or settings.get("data") or {}
    keys = ("class", "equation", "path", "formula")
    return next((str(named[key]) for key in keys if key in named), "a run without settings")
