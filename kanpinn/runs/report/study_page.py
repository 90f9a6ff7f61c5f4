"""The report of a study, as an HTML page and as a notebook card."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from kanpinn._support.errors import FAILED, InputError, one_of
from kanpinn._support.files import write_text
from kanpinn.plotting.card import Card, Drawing, Given, panels, returned
from kanpinn.plotting.convergence import ErrorCurve, ErrorRange
from kanpinn.plotting.style import STYLE, inline_svg, new_figure
from kanpinn.runs.report import document
from kanpinn.runs.report.document import REPORT, Figure, RunLink, Section, rendered
from kanpinn.runs.report.pictures import (
    NAMES,
    Picture,
    figure_of,
    missing,
    pictures,
    setting_labels,
    usable,
)
from kanpinn.runs.study.table import RUNS, WAITING, Row, Study, dimensions, full, has_failed
from kanpinn.solvers.summary import ShownTable

FORMS = dict.fromkeys(NAMES, "{:.2e}") | {"seconds": "{:.3g}"}
HEADS = NAMES | {"l2_relative": "rel. L²", "h1_relative": "rel. H¹"}


def varied(study: Study) -> ShownTable:
    """Return the table of the varied keys with their values."""
    rows = []
    for key in study.varied:
        values = list(dict.fromkeys(full(value) for value in study.column(key)))
        rows.append([key, str(len(values)), ", ".join(values)])
    return ShownTable(["key", "number of values", "values"], rows, "Varied keys and their values")


def settings_table(study: Study) -> ShownTable:
    """Return the table of the settings with median and range of each error over their seeds."""
    labels = setting_labels(dimensions(study), None, len(study.rows))
    head, errors = ["setting", "runs with an error"], _errors(study)
    for error in errors:
        head += [f"{NAMES[error]}, median", "range"]
    rows = []
    for label in dict.fromkeys(labels):
        own = [r for r, other in zip(study.rows, labels, strict=True) if other == label]
        done = sum(any(usable(row, error) for error in errors) for row in own)
        cells = [label or "all runs", f"{done} of {len(own)}"]
        for error in errors:
            cells += _median(own, error, "{:.2e}")
        rows.append(
            [*cells, _median(own, "parameters", "{:.0f}")[0], *_median(own, "seconds", "{:.2g}")]
        )
    head += ["parameters, median", "seconds, median", "range"]
    return ShownTable(head, rows, "Median and range over the runs of each setting")


def _median(rows: Sequence[Row], column: str, form: str) -> tuple[str, str]:
    values = [row[column] for row in rows if usable(row, column)]
    if not values:
        return "–", "–"
    spread = ErrorRange.of(values)
    return form.format(spread.median), f"{form} … {form}".format(spread.low, spread.high)


def orders_table(drawn: Sequence[Picture]) -> ShownTable | None:
    """Return the table of fitted and theoretical orders of convergence; None if none is fitted."""
    head = ["over", "setting", "error", "order, 95% confidence", "best splines", "guaranteed",
            "sizes fitted", "order over all sizes", "runs fitted"]  # fmt: skip
    rows = [row for picture in drawn for row in _orders(picture)]
    return ShownTable(head, rows, "Fitted and theoretical orders of convergence") if rows else None


def _orders(picture: Picture) -> Iterator[list[str]]:
    for error, some in picture.curves.items():
        for curve in some:
            if curve.fit is not None:
                theory = curve.theory
                best, sure = (theory.best, theory.guaranteed) if theory else ("–", "–")
                yield [
                    picture.over, curve.label or "all runs", NAMES[error], str(curve.fit),
                    f"{best}", f"{sure}", _sizes(curve), str(curve.overall or "–"),
                    str(curve.fit.count),
                ]  # fmt: skip


def _sizes(curve: ErrorCurve) -> str:
    first, last = curve.points[0].x.median, curve.points[curve.fitted - 1].x.median
    text = f"{first:g} … {last:g}"
    return f"{text} of … {curve.points[-1].x.median:g}" if curve.levelled else text


def failed_runs(study: Study) -> ShownTable | None:
    """Return the table of failure messages with their runs; None if no run failed."""
    messages: dict[str, list[str]] = {}
    for row in study.rows:
        if has_failed(row):
            messages.setdefault(row["status"], []).append(varied_values(study, row))
    rows = []
    for message, which in messages.items():
        few = which[:8]  # the runs that are named beside a message
        more = f"; and {len(which) - len(few)} more" if len(which) > len(few) else ""
        text = message.removeprefix(FAILED).lstrip(": ")
        rows.append([text, str(len(which)), "; ".join(few) + more])
    return (
        ShownTable(["message", "number of runs", "runs"], rows, "Messages of the failed runs")
        if rows
        else None
    )


def varied_values(study: Study, row: Row) -> str:
    """Return the values of a run as text, for the keys that take more than one value."""
    return ", ".join(f"{key.rpartition('.')[2]} {full(row[key])}" for key in _telling(study))


def runs_table(study: Study, above: str = "") -> ShownTable:
    """Return the table of all runs with links to their folders.

    above: the address of the study's folder relative to the page, with "/" at its end.
    """
    keys, rows = _telling(study), []
    columns = ("status", *_errors(study), "parameters", "points", "steps", "seconds")
    for number, row in enumerate(study.rows, 1):
        told = row | ({"status": row["status"].partition(":")[0]} if has_failed(row) else {})
        cells = ["–" if told[c] is None else FORMS.get(c, "{}").format(told[c]) for c in columns]
        rows.append([str(number), *(full(row[key]) for key in keys), *cells, _folder(row, above)])
    head = [HEADS.get(column, column) for column in columns]
    caption = "Each run in the order of the study, with its folder"
    return ShownTable(["run", *keys, *head, "folder"], rows, caption)


def _errors(study: Study) -> list[str]:
    """Return the columns of errors; for a fit, only those that some run has."""
    own = [e for e in study.errors if any(row[e] is not None for row in study.rows)]
    return own if study.kind == "fit" else list(study.errors)


def _folder(row: Row, above: str) -> RunLink | str:
    """Return a link to the run's folder that shows only the hash in its name, "–" without one."""
    name = row["run"]
    return (
        RunLink(name.rpartition("-")[2][:8], f"{quote(above)}{RUNS}/{quote(name)}/")
        if name
        else "–"
    )


def _telling(study: Study) -> list[str]:
    """Return the varied keys with more than one value."""
    return [key for key in study.varied if len({*map(full, study.column(key))}) > 1]


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
    found = document.records(study)
    sections = list(_sections(study, found, above))
    state = _state(study, found)
    return rendered(f"Study {study.name}", state, sections, study.version, "study.json")


def _sections(study: Study, found: Sequence[tuple[dict, dict]], above: str) -> Iterator[Section]:
    drawn = list(pictures(study))
    yield Section("varied", "Varied keys", [varied(study)])
    yield Section("settings", "Results", [settings_table(study)])
    if (orders := orders_table(drawn)) is not None:
        explained = max((p.caption for p in drawn if _fitted(p)), key=len)
        yield Section("orders", "Orders", [orders], texts=[explained])
    nothing = [] if drawn else [" ".join(["There is nothing to draw yet.", *missing(study)])]
    yield Section("figures", "Figures", figures=list(map(_figure, drawn)), texts=nothing)
    if (failures := failed_runs(study)) is not None:
        yield Section("failures", "Failed runs", [failures])
    yield Section("runs", "All runs", [runs_table(study, above)])
    if found:
        facts = document.environment([record for _, record in found])
        yield Section(
            "environment",
            "Environment",
            [ShownTable(["name", "value"], facts, "Software and hardware of the runs")],
        )
        yield Section("repeat", "How to repeat the study", listings=list(_repeat(study, found[0])))


def _state(study: Study, found: Sequence[tuple[dict, dict]]) -> str:
    """Return a sentence on the number of runs, what they solve or fit, and how they ended."""
    ends = Counter(row["status"].partition(":")[0] for row in study.rows)
    said = ", ".join(f"{count} {status}" for status, count in ends.items())
    problem = f" of {document.subject(found[0][1]['config'])}" if found else ""
    return f"{len(study.rows)} runs{problem}: {said}."


def _figure(picture: Picture) -> Figure:
    said = " ".join(filter(None, (f"{picture.title}.", *picture.notes, picture.caption)))
    panels = "; ".join(NAMES[error] for error in picture.errors)
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
    if document.is_file(study, row, settings):
        yield (
            f"The settings that the runs share, as {BASE}, with the class files in {where} beside "
            "it:",
            document.problem_toml(settings),
        )
        yield "What is varied, as study.toml:", document.study_toml(study, BASE)
        yield "Then:", "kanpinn study study.toml"
        return
    lists = ", ".join(f"{name}={values!r}" for name, values in document.study_lists(study).items())
    yield (
        "The settings were made by a Python function of the varied values, which gives the same "
        f"runs again. Those of a run are in its run.json, such as {where}/run.json:",
        f"kanpinn.sweep(function, {lists}, name={study.name!r})",
    )


def plot(study: Study, over: str | None = None, error: str | None = None, ax: Given = None) -> Any:
    """Draw a study; the arguments are those of `Study.plot`."""
    picture = _picture_over(study, over)
    if error is not None:
        one_of("error", error, picture.errors)
    axes = panels(ax, 1, 1, _size(picture))
    picture.plot(axes.item(), picture.errors[0] if error is None else error)
    return returned(axes)


def _picture_over(study: Study, over: str | None) -> Picture:
    drawn = list(pictures(study))
    if not drawn:
        raise InputError(f"{study.path}: there is nothing to draw, no run has an error yet")
    if over is None:
        return drawn[0]
    chosen = {picture.over: picture for picture in drawn if picture.over}
    if over not in chosen:
        raise InputError(f"over must be one of {', '.join(chosen) or 'none'}, got {over!r}")
    return chosen[over]


def _size(picture: Picture) -> tuple[float, float]:
    """Return the width and height of a panel with its legend, in inches."""
    line = 0.145  # of the legend
    height = 2.4 + line * picture.rows if picture.curves else 0.8 + 0.2 * picture.rows
    return 4.4, max(height, 1.4)


def card(study: Study) -> Card:
    """Return the card of a study."""
    return Card(
        title=f"Study {study.name}",
        facts=_facts(study),
        draw=lambda: _picture(study),
        tables=_tables(study),
    )


def _facts(study: Study) -> Iterator[tuple[str, str]]:
    done = sum(row["status"] != WAITING for row in study.rows)
    yield "runs", " ".join([f"{done} of {len(study.rows)} are done.", *missing(study)])
    for key, _, values in varied(study).rows:
        yield str(key), str(values)
    yield "folder", str(study.path)


def _tables(study: Study) -> Iterator[ShownTable]:
    """Yield the table of runs without their folders, or that of the settings of many runs."""
    most = 20
    if len(study.rows) > most:
        settings = settings_table(study)
        rows = [[str(cell) for cell in row] for row in settings.rows]
        more = f", {most} of {len(rows)}" if len(rows) > most else ""
        yield ShownTable(settings.head, rows[:most], settings.caption + more)
    else:
        runs = runs_table(study)
        yield ShownTable(runs.head[:-1], [[str(cell) for cell in row[:-1]] for row in runs.rows])


def _picture(study: Study) -> Drawing:
    """Draw the main error of the first picture of the report."""
    picture = _picture_over(study, None)
    ax = picture.plot(new_figure(*_size(picture)).subplots(), picture.errors[0])
    ax.tick_params(labelsize=STYLE.letter)
    return Drawing(ax, f"{picture.title}: {NAMES[picture.errors[0]]}.")
