"""Output on a finished study: a compact table of its settings, its failures, and JSON."""

import json
from collections.abc import Iterable, Iterator, Sequence
from statistics import median
from typing import Any

from kanpinn._support.errors import CONVERGED, OVERFITTED
from kanpinn.cli.screen import plain_table
from kanpinn.runs.study.table import Row, Study, has_failed, is_seed, names_of, short

SIZES = {"parameters": "{:.0f}", "seconds": "{:.2f}"}
TITLES = {"l2_relative": "rel. L2", "h1_relative": "rel. H1"}


def settings_table(study: Study, lines: int = 24) -> str:
    """Return a table with a line for each setting and the medians over its runs.

    Keys with one value and seeds have no column. If there are more settings than `lines`, only the
    best ones are shown.
    """
    names, settings = _settings(study)
    notes = []
    if (count := len(settings)) > lines:
        error = _foremost(study)
        best = sorted(settings.items(), key=lambda setting: _error(setting[1], error))
        settings = dict(best[:lines])
        notes.append(f"the best {lines} of {count} settings")
    if any(len(runs) > 1 for runs in settings.values()):
        notes.append("medians over runs that differ in the seed")
    forms = dict.fromkeys(study.errors, "{:.2e}")
    if study.kind == "fit":
        forms |= {"test_accuracy": "{:.2%}", "validation_accuracy": "{:.2%}"}
    forms |= SIZES
    titles = (TITLES.get(name, name.replace("_", " ")) for name in forms)
    head = (*names, "runs", "converged", "failed", *titles)
    rows = [_cells(setting, runs, forms) for setting, runs in settings.items()]
    columns = [column for column in zip(head, *rows, strict=True) if _says_something(column)]
    text = plain_table([list(row) for row in zip(*columns, strict=True)])
    return f"{text}\n({'; '.join(notes)})" if notes else text


def _settings(study: Study) -> tuple[list[str], dict[tuple[str, ...], list[Row]]]:
    """Return short names of the varying keys, and the runs of each combination of their values."""
    labels = {key: names_of(study.column(key)) for key in study.varied if not is_seed(key)}
    labels = {key: names for key, names in labels.items() if len(set(names)) > 1}
    settings: dict[tuple[str, ...], list[Row]] = {}
    for index, row in enumerate(study.rows):
        setting = tuple(names[index] for names in labels.values())
        settings.setdefault(setting, []).append(row)
    short = [key.rpartition(".")[2] for key in labels]
    return [n if short.count(n) == 1 else k for k, n in zip(labels, short, strict=True)], settings


def _cells(setting: tuple[str, ...], runs: Sequence[Row], forms: dict[str, str]) -> tuple[str, ...]:
    lost, good = sum(map(has_failed, runs)), _converged(runs)
    medians = [_median(runs, column, form) for column, form in forms.items()]
    told = "" if good + lost == len(runs) else str(good)  # the column may be left out
    return (*setting, str(len(runs)), told, str(lost or ""), *medians)


def _converged(runs: Sequence[Row]) -> int:
    return sum(run["status"].startswith(CONVERGED) for run in runs)


def _median(runs: Sequence[Row], column: str, form: str) -> str:
    values = list(_values(runs, column))
    return form.format(median(values)) if values else "-"


def _values(runs: Iterable[Row], column: str) -> Iterator[Any]:
    return (run[column] for run in runs if not has_failed(run) and run[column] is not None)


def _foremost(study: Study) -> str:
    """Return the first column of errors that has a value, or the first one if none has."""
    return next((e for e in study.errors if any(_values(study.rows, e))), study.errors[0])


def _error(runs: Sequence[Row], error: str) -> float:
    return median(list(_values(runs, error)) or [float("inf")])


def _says_something(column: Sequence[str]) -> bool:
    return any(cell not in ("", "-") for cell in column[1:])


def json_text(study: Study) -> str:
    """Return JSON with name, folder and numbers of runs, the best run, and the failed ones.

    Runs without a usable result count as failed: those that are overfitted, too.
    """
    lost = [row for row in study.rows if has_failed(row)]
    error = _foremost(study)
    known = [r for r in study.rows if not has_failed(r) and r[error] is not None]
    summary = {
        "name": study.name,
        "folder": str(study.path),
        "runs": len(study.rows),
        "converged": _converged(study.rows),
        "failed": len(lost),
        "best": min(known, key=lambda row: row[error], default=None),
        "failures": lost,
    }
    return json.dumps(summary, indent=2, ensure_ascii=False, allow_nan=False)


def failure_lines(study: Study, most: int = 5) -> str:
    """Return lines with the number of failed runs, and each message with its first run.

    Runs that are overfitted count as failed.

    most: the largest number of messages that are shown.
    """
    first: dict[str, Row] = {}
    lost = [row for row in study.rows if has_failed(row)]
    for row in lost:
        first.setdefault(row["status"].partition(": ")[2], row)
    also = any(row["status"].startswith(OVERFITTED) for row in lost)
    verb = "have failed or are overfitted" if also else "have failed"
    lines = [f"{len(lost)} of {len(study.rows)} runs {verb}"]
    for message, row in list(first.items())[:most]:
        values = ", ".join(f"{key} = {short(row[key])}" for key in study.varied)
        lines.append(f"{message} ({values})")
    if len(first) > most:
        lines.append(f"and {len(first) - most} other messages, which are in study.csv")
    return "\n".join(lines)
