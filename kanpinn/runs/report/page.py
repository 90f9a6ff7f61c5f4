"""A study as one HTML page that needs nothing but itself: tables, figures, where it comes from."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from kanpinn._support.files import write_text
from kanpinn.plotting.svg import inline_svg
from kanpinn.runs.report import origin, summary
from kanpinn.runs.report.figures import figure_of
from kanpinn.runs.report.markup import Markup, element, escaped, section, table
from kanpinn.runs.report.notes import missing
from kanpinn.runs.report.pictures import Picture, pictures
from kanpinn.runs.study.table import Study
from kanpinn.runs.study.work import RUNS

REPORT = "report.html"
BASE = "base.toml"
FILES = "The settings that the runs share, as {}, with the class files in {} beside it:"
FUNCTION = (
    "The settings were made by a Python function of the varied values, which leads to the same "
    "runs again; those of a run stand in its run.json, such as {}/run.json:"
)


def write_report(study: Study) -> Path:
    """Write report.html into the study's folder, to whose runs it links."""
    write_text(study.path / REPORT, page(study))
    return study.path / REPORT


def page(study: Study) -> str:
    """The report's HTML: styles and figures are in it, and no address outside of the folder."""
    title, found = f"Study {study.name}", origin.records(study)
    parts = dict(_sections(study, found))
    links = (element("a", name, href=f"#{key}") for key, (name, _) in parts.items())
    sections = (section(key, name, *content) for key, (name, content) in parts.items())
    maker = f"Made by kanpinn {study.version or '(not installed)'} from study.json in this folder."
    body = [
        element("h1", title),
        element("p", _state(study, found)),
        element("nav", *links, **{"aria-label": "Sections"}),
        *sections,
        element("footer", maker),
    ]
    page = Template(
        resources.files("kanpinn.runs.report").joinpath("page.html").read_text(encoding="utf-8")
    )
    return page.substitute(title=escaped(title), body="\n".join(body))


def _sections(
    study: Study, found: Sequence[tuple[dict, dict]]
) -> Iterator[tuple[str, tuple[str, list[Markup]]]]:
    drawn = list(pictures(study))
    yield "varied", ("What was varied", [summary.varied(study)])
    yield "settings", ("Results", [summary.settings(study)])
    if (orders := summary.orders(drawn)) is not None:
        yield "orders", ("Orders", [orders, _explained(drawn)])
    yield "figures", ("Figures", [*map(_figure, drawn)] or [_nothing(study)])
    if (failures := summary.failures(study)) is not None:
        yield "failures", ("Failed runs", [failures])
    yield "runs", ("All runs", [summary.runs(study)])
    if found:
        facts = origin.environment([record for _, record in found])
        yield "environment", ("Environment", [table(["what", "which"], facts, "Of the runs")])
        yield "repeat", ("How to repeat it", [*_repeat(study, found[0])])


def _state(study: Study, found: Sequence[tuple[dict, dict]]) -> str:
    """Of what the runs are, how many there are, and how they ended."""
    ends = Counter(row["status"].partition(":")[0] for row in study.rows)
    said = ", ".join(f"{count} {status}" for status, count in ends.items())
    problem = f" of {_what(found[0][1]['config'])}" if found else ""
    return f"{len(study.rows)} runs{problem}: {said}."


def _explained(drawn: list[Picture]) -> Markup:
    return element("p", max((p.caption for p in drawn if _fitted(p)), key=len))


def _figure(picture: Picture) -> Markup:
    said = " ".join(filter(None, (f"{picture.title}.", *picture.notes, picture.caption)))
    panels = "; ".join(summary.NAMES[error] for error in picture.errors)
    drawn = inline_svg(
        figure_of(picture, notes=False), picture.name, picture.title, f"{said} Panels: {panels}."
    )
    short = f"{picture.title}. {' '.join(picture.notes)}" if _fitted(picture) else said
    return element("figure", Markup(drawn), element("figcaption", short))


def _fitted(picture: Picture) -> bool:
    """Whether it has orders: the section on them tells how they are fitted."""
    return any(curve.fit for some in picture.curves.values() for curve in some)


def _nothing(study: Study) -> Markup:
    return element("p", " ".join(["There is nothing to draw yet.", *missing(study)]))


def _repeat(study: Study, found: tuple[dict, dict]) -> Iterator[Markup]:
    row, record = found
    settings, where = record["config"], f"{RUNS}/{row['run']}"
    if origin.is_file(study, row, settings):
        yield element("p", FILES.format(BASE, where))
        yield element("pre", origin.problem_toml(settings))
        yield element("p", "What is varied, as study.toml:")
        yield element("pre", origin.study_toml(study, BASE))
        yield element("p", "Then:")
        yield element("pre", "kanpinn study study.toml")
        return
    yield element("p", FUNCTION.format(where))
    lists = ", ".join(f"{name}={values!r}" for name, values in origin.study_lists(study).items())
    yield element("pre", f"kanpinn.sweep(function, {lists}, name={study.name!r})")


def _what(config: Mapping[str, Any]) -> str:
    """What is solved or fitted: a class, an equation, a file of data or a formula."""
    named = config.get("problem") or config["data"]
    keys = ("class", "equation", "path", "formula")
    return next(str(named[key]) for key in keys if key in named)
