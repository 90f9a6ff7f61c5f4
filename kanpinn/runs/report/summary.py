"""The tables of a study's report: varied keys, settings, orders, failures and runs."""

from collections.abc import Iterator, Sequence
from urllib.parse import quote

from kanpinn._support.status import FAILED
from kanpinn.accuracy.orders import Fit
from kanpinn.plotting.curves import ErrorCurve, ErrorRange
from kanpinn.runs.report.curves import setting_labels, usable
from kanpinn.runs.report.dimensions import dimensions, full
from kanpinn.runs.report.document import ReportTable, RunLink
from kanpinn.runs.report.pictures import Picture
from kanpinn.runs.study.table import RUNS, Row, Study, has_failed

NAMES = {
    "l2_relative": "relative L² error",
    "h1_relative": "relative H¹ error",
    "eigenvalue_relative": "relative error of eigenvalues",
    "residual": "residual of modes",
    "test_rmse": "test RMSE",
    "validation_rmse": "validation RMSE",
    "test_cross_entropy": "test cross entropy",
    "validation_cross_entropy": "validation cross entropy",
}
FORMS = dict.fromkeys(NAMES, "{:.2e}") | {"seconds": "{:.3g}"}
HEADS = NAMES | {"l2_relative": "rel. L²", "h1_relative": "rel. H¹"}


def varied(study: Study) -> ReportTable:
    """Return the table of the varied keys with their values."""
    rows = []
    for key in study.varied:
        values = list(dict.fromkeys(full(value) for value in study.column(key)))
        rows.append([key, str(len(values)), ", ".join(values)])
    return ReportTable(["key", "number of values", "values"], rows, "Varied keys and their values")


def settings(study: Study) -> ReportTable:
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
    return ReportTable(head, rows, "Median and range over the runs of each setting")


def _median(rows: Sequence[Row], column: str, form: str) -> tuple[str, str]:
    values = [row[column] for row in rows if usable(row, column)]
    if not values:
        return "–", "–"
    spread = ErrorRange.of(values)
    return form.format(spread.median), f"{form} … {form}".format(spread.low, spread.high)


def orders(drawn: Sequence[Picture]) -> ReportTable | None:
    """Return the table of fitted and theoretical orders of convergence; None if none is fitted."""
    head = ["over", "setting", "error", "order, 95% confidence", "best splines", "guaranteed",
            "sizes fitted", "order over all sizes", "runs fitted"]  # fmt: skip
    rows = [row for picture in drawn for row in _orders(picture)]
    return ReportTable(head, rows, "Fitted and theoretical orders of convergence") if rows else None


def _orders(picture: Picture) -> Iterator[list[str]]:
    for error, some in picture.curves.items():
        for curve in some:
            if curve.fit is not None:
                theory = curve.theory
                best, sure = (theory.best, theory.guaranteed) if theory else ("–", "–")
                yield [
                    picture.over, curve.label or "all runs", NAMES[error], str(curve.fit),
                    f"{best}", f"{sure}", _sizes(curve), _overall(curve.overall),
                    str(curve.fit.count),
                ]  # fmt: skip


def _sizes(curve: ErrorCurve) -> str:
    first, last = curve.points[0].x.median, curve.points[curve.fitted - 1].x.median
    text = f"{first:g} … {last:g}"
    return f"{text} of … {curve.points[-1].x.median:g}" if curve.levelled else text


def _overall(fit: Fit | None) -> str:
    return "–" if fit is None else str(fit)


def failed_runs(study: Study) -> ReportTable | None:
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
        ReportTable(["message", "number of runs", "runs"], rows, "Messages of the failed runs")
        if rows
        else None
    )


def varied_values(study: Study, row: Row) -> str:
    """Return the values of a run as text, for the keys that take more than one value."""
    return ", ".join(f"{key.rpartition('.')[2]} {full(row[key])}" for key in _telling(study))


def runs(study: Study, above: str = "") -> ReportTable:
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
    return ReportTable(["run", *keys, *head, "folder"], rows, caption)


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
