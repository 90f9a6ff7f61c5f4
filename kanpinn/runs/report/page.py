"""The report of a study: one self-contained HTML page of tables, figures and provenance."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from kanpinn._support.files import write_text
from kanpinn.plotting.style import inline_svg
from kanpinn.runs.report import origin, summary
from kanpinn.runs.report.document import REPORT, Figure, ReportTable, Section, rendered
from kanpinn.runs.report.figures import figure_of
from kanpinn.runs.report.pictures import Picture, missing, pictures
from kanpinn.runs.study.table import RUNS, Study

BASE = "base.toml"


def write_report(study: Study, output: Path | None = None) -> Path:
    """Write a study's report with links to the folders of its runs, and return its path.

    output: the file to write, by default report.html in the study's folder.
    """
    path = study.path / REPORT if output is None else output
    above = (
        "" if output is None else f"{Path(os.path.relpath(study.path, path.parent)).as_posix()}/"
    )
    write_text(path, study_html(study, above))
    return path


def study_html(study: Study, above: str = "") -> str:
    """Return the report as HTML.

    above: the address of the study's folder relative to the page, with "/" at its end.
    """
    found = origin.records(study)
    sections = list(_sections(study, found, above))
    state = _state(study, found)
    return rendered(f"Study {study.name}", state, sections, study.version, "study.json")


def _sections(study: Study, found: Sequence[tuple[dict, dict]], above: str) -> Iterator[Section]:
    drawn = list(pictures(study))
    yield Section("varied", "Varied keys", [summary.varied(study)])
    yield Section("settings", "Results", [summary.settings(study)])
    if (orders := summary.orders(drawn)) is not None:
        explained = max((p.caption for p in drawn if _fitted(p)), key=len)
        yield Section("orders", "Orders", [orders], texts=[explained])
    nothing = [] if drawn else [" ".join(["There is nothing to draw yet.", *missing(study)])]
    yield Section("figures", "Figures", figures=list(map(_figure, drawn)), texts=nothing)
    if (failures := summary.failed_runs(study)) is not None:
        yield Section("failures", "Failed runs", [failures])
    yield Section("runs", "All runs", [summary.runs(study, above)])
    if found:
        facts = origin.environment([record for _, record in found])
        yield Section(
            "environment",
            "Environment",
            [ReportTable(["name", "value"], facts, "Software and hardware of the runs")],
        )
        yield Section("repeat", "How to repeat the study", listings=list(_repeat(study, found[0])))


def _state(study: Study, found: Sequence[tuple[dict, dict]]) -> str:
    """Return a sentence on the number of runs, what they solve or fit, and how they ended."""
    ends = Counter(row["status"].partition(":")[0] for row in study.rows)
    said = ", ".join(f"{count} {status}" for status, count in ends.items())
    problem = f" of {origin.subject(found[0][1]['config'])}" if found else ""
    return f"{len(study.rows)} runs{problem}: {said}."


def _figure(picture: Picture) -> Figure:
    said = " ".join(filter(None, (f"{picture.title}.", *picture.notes, picture.caption)))
    panels = "; ".join(summary.NAMES[error] for error in picture.errors)
    drawn = inline_svg(
        figure_of(picture, notes=False), picture.name, picture.title, f"{said} Panels: {panels}."
    )
    short = f"{picture.title}. {' '.join(picture.notes)}" if _fitted(picture) else said
    return Figure(drawn, short)


def _fitted(picture: Picture) -> bool:
    """Return True if a picture has fitted orders, which the section on orders explains."""
    return any(curve.fit for some in picture.curves.values() for curve in some)


def _repeat(study: Study, found: tuple[dict, dict]) -> Iterator[tuple[str, str]]:
    """Yield paragraphs, each with a file or a command, that reproduce the runs."""
    row, record = found
    settings, where = record["config"], f"{RUNS}/{row['run']}"
    if origin.is_file(study, row, settings):
        yield (
            f"The settings that the runs share, as {BASE}, with the class files in {where} beside "
            "it:",
            origin.problem_toml(settings),
        )
        yield "What is varied, as study.toml:", origin.study_toml(study, BASE)
        yield "Then:", "kanpinn study study.toml"
        return
    lists = ", ".join(f"{name}={values!r}" for name, values in origin.study_lists(study).items())
    yield (
        "The settings were made by a Python function of the varied values, which gives the same "
        f"runs again. Those of a run are in its run.json, such as {where}/run.json:",
        f"kanpinn.sweep(function, {lists}, name={study.name!r})",
    )
