"""The pages of runs and studies: self-contained HTML of sections, and the card of a study."""

import base64
import contextlib
import itertools
import json
import math
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple
from urllib.parse import quote

import h5py
import tomlkit

from kanpinn._support.errors import InputError, expecting, one_of
from kanpinn._support.files import write_text
from kanpinn._support.shown import template
from kanpinn.plotting.card import Card, Drawing
from kanpinn.plotting.style import STYLE, Given, inline_svg, new_figure, panels
from kanpinn.runs.report.pictures import NAMES, Picture, figure_of, missing, pictures
from kanpinn.runs.results.folder import CONTENTS
from kanpinn.runs.results.record import PARTIAL, RECORD, read_record, run_folder
from kanpinn.runs.study import table
from kanpinn.solvers.summary import ShownTable, remarks, tables

REPORT = "report.html"


class RunLink(NamedTuple):
    """The text and the address, relative to the page, of a link to a run's folder."""

    text: str
    address: str


def environment(found: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return pairs of a name and its value for the versions and machines in records of runs.

    If the runs differ, the value lists each variant with its number of runs.
    """
    counts: dict[str, Counter[str]] = {}
    for record in found:
        facts = {**(record.get("versions") or {}), **(record.get("platform") or {})}
        facts = {name: "not installed" if one is None else one for name, one in facts.items()}
        for name in ("threads", "processes"):
            if record.get(name) is not None:
                facts[f"{name} of a run"] = record[name]
        facts["git commit"] = record.get("git") or "no repository"
        for name, value in facts.items():
            counts.setdefault(name, Counter())[str(value)] += 1
    pairs = []
    for name, values in counts.items():
        several = (f"{one} ({n} runs)" if len(values) > 1 else one for one, n in values.items())
        pairs.append((name, "; ".join(several)))
    return pairs


def study_lists(study: table.Study) -> dict[str, dict[str, list[Any]]]:
    """Return the arguments `over` and `zipped` of `sweep` that give the study's runs.

    The keys are in `over` if the rows are the product of their values, otherwise in `zipped`.
    """
    columns = {key: study.column(key) for key in study.varied}
    lists = {  # of distinct values, which may be unhashable lists and tables
        key: [one for i, one in enumerate(values) if one not in values[:i]]
        for key, values in columns.items()
    }
    given = list(zip(*columns.values(), strict=True))
    if list(itertools.product(*lists.values())) == given:
        return {"over": lists}
    return {"over": {}, "zipped": columns}


def problem_toml(settings: Mapping[str, Any]) -> str:
    """Return the sections of a configuration as the text of a problem file.

    Keys whose value is None are left out, since TOML cannot express it.
    """
    known = lambda section: {k: v for k, v in section.items() if v is not None}  # noqa: E731
    return tomlkit.dumps(json.loads(json.dumps(settings), object_hook=known))


def study_toml(study: table.Study, base: str) -> str:
    """Return the text of a study file that varies the problem file `base` into the same runs."""
    lists = {kind: lists for kind, lists in study_lists(study).items() if lists}
    return problem_toml({"study": {"base": base, "name": study.name, **lists}})


def subject(settings: Mapping[str, Any]) -> str:
    """Return the name of what is solved or fitted: a class, equation, data file or formula."""
    named = settings.get("problem") or settings.get("data") or {}
    keys = ("class", "equation", "path", "formula")
    return next((str(named[key]) for key in keys if key in named), "a run without settings")


# Runs


def value_text(value: Any) -> str:
    """Return a value of run.json as text: whole numbers in full, "–" for NaN and no number."""
    if value is None or isinstance(value, str | dict | list):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    number = float(value)
    if math.isnan(number):
        return "–"
    if math.isfinite(number) and number == int(number) and abs(number) < 1e15:
        return f"{int(number)}"
    return f"{number:.3e}" if abs(number) < 1e-2 or abs(number) >= 1e5 else f"{number:.6g}"


FOREMOST = ("loss", "l2_relative", "h1_relative", "seconds")  # columns of the history, if known


def write_run_report(run: Path, output: Path | None = None) -> Path:
    """Write a run's report, and return its path.

    It is made from run.json, result.h5 and the pictures in figures/: no code of the run is run.

    Args:
        run: the run folder, with or without ".partial", or a file in it.
        output: the file to write, by default report.html in the run folder.

    Raises:
        InputError: if there is no run folder, or its run.json is no JSON object.
    """
    folder = run_folder(run)
    path = folder / REPORT if output is None else output
    write_text(path, run_html(folder))
    return path


def run_html(folder: Path) -> str:
    """Return the report of a run folder as HTML."""
    record = read_record(folder)
    with expecting(folder / RECORD):
        settings, status = record.get("config") or {}, str(record.get("status", "–"))
        found, said = [], []
        if "success" in record:  # the result of a finished run, without the run's code
            contents = CONTENTS[table.kind_of(record)]
            known = contents.saved(record) | contents.shown(record)
            result = SimpleNamespace(status=status, **known)
            found, said = list(tables(result)), list(remarks(result))
        points = (record.get("points") or {}).items()
        seconds = (record.get("seconds") or {}).get("total")
        facts = [
            ("status", status),
            *said,
            ("seconds, without imports and figures", value_text(seconds)),
            ("unknowns (trainable numbers)", value_text(record.get("parameters"))),
            ("points", ", ".join(f"{count} {name}" for name, count in points) or "–"),
            ("steps", value_text(record.get("steps"))),
        ]
        shown = []
        for path in sorted([*folder.glob("figures/*.png"), *folder.glob("network.png")]):
            # A foreign folder may have links to other files, whose contents are not passed on.
            data = b"" if path.is_symlink() else path.read_bytes()
            if data.startswith(b"\x89PNG"):
                code = base64.b64encode(data).decode("ascii")
                shown.append({"name": path.stem, "address": f"data:image/png;base64,{code}"})
        classes = re.findall(r'"([\w.-]+\.py):', str(settings).replace("'", '"'))
        return template("kanpinn.runs.report", "run.html").render(
            folder=folder,
            record=record,
            version=(record.get("versions") or {}).get("kanpinn"),
            subject=subject(settings),
            facts=facts,
            tables=found,
            pictures=shown,
            history=_history(folder / "result.h5"),
            settings=problem_toml(settings),
            environment=environment([record]),
            classes=list(dict.fromkeys(classes)),
            command="fit" if "data" in settings else "solve",
            resumable=folder.name.endswith(PARTIAL) or status.startswith("stopped"),
        )


def _history(path: Path, rows: int = 12, columns: int = 8) -> ShownTable | None:
    """Return a table of steps that are evenly spread over the run, None if there are none."""
    try:
        with h5py.File(path) as file:
            group = file["history"]
            values = {name: group[name][()] for name in group if group[name].ndim == 1}
    except (OSError, KeyError):
        return None
    step = values.pop("step", None)
    if step is None or not len(step):
        return None
    first = [name for name in FOREMOST if name in values]
    names = [*first, *(name for name in values if name not in first)][:columns]
    last = len(step) - 1
    chosen = sorted({round(i * last / (rows - 1)) for i in range(rows)})
    cells = [[f"{step[i]:g}", *(value_text(values[n][i]) for n in names)] for i in chosen]
    caption = f"{len(chosen)} of {len(step)} recorded steps; all are in result.h5"
    return ShownTable(["step", *(name.replace("_", " ") for name in names)], cells, caption)


# Studies

FORMS = dict.fromkeys(NAMES, "{:.2e}") | {"seconds": "{:.3g}"}
HEADS = NAMES | {"l2_relative": "rel. L²", "h1_relative": "rel. H¹"}


def varied(study: table.Study) -> ShownTable:
    """Return the table of the varied keys with their values."""
    columns = {key: dict.fromkeys(map(table.full, study.column(key))) for key in study.varied}
    rows = [[key, str(len(values)), ", ".join(values)] for key, values in columns.items()]
    return ShownTable(["key", "number of values", "values"], rows, "Varied keys and their values")


def orders_table(drawn: Sequence[Picture]) -> ShownTable:
    """Return the table of fitted and theoretical orders of convergence, and how they are fitted."""
    head = ["over", "setting", "error", "order, 95% confidence", "best splines", "guaranteed",
            "sizes fitted", "order over all sizes", "runs fitted"]  # fmt: skip
    rows = []
    for picture in drawn:
        for error, curve in picture.every_curve:
            if curve.fit is None:
                continue
            theory, points = curve.theory, curve.points
            best, sure = (theory.best, theory.guaranteed) if theory else ("–", "–")
            sizes = f"{points[0].x.median:g} … {points[curve.fitted - 1].x.median:g}"
            sizes += f" of … {points[-1].x.median:g}" if curve.levelled else ""
            rows.append([
                picture.over, curve.label or "all runs", NAMES[error], str(curve.fit),
                f"{best}", f"{sure}", sizes, str(curve.overall or "–"), str(curve.fit.count),
            ])  # fmt: skip
    captions = [picture.caption for picture in drawn if picture.fitted]
    return ShownTable(head, rows, max(captions, key=len, default=""))


def runs_table(study: table.Study, above: str = "") -> ShownTable:
    """Return the table of all runs with links to their folders, which show the hash of the name.

    above: the address of the study's folder relative to the page, with "/" at its end.
    """
    keys, rows = table.telling(study), []
    errors = [e for e in study.errors if any(row[e] is not None for row in study.rows)]
    if study.kind != "fit":  # which has the scores of numbers or of classes
        errors = list(study.errors)
    columns = ("status", *errors, "parameters", "points", "steps", "seconds")
    for number, row in enumerate(study.rows, 1):
        told = row | ({"status": row["status"].partition(":")[0]} if table.has_failed(row) else {})
        cells = ["–" if told[c] is None else FORMS.get(c, "{}").format(told[c]) for c in columns]
        name = row["run"] or ""
        link = RunLink(name.rpartition("-")[2][:8], f"{quote(above)}{table.RUNS}/{quote(name)}/")
        rows.append(
            [str(number), *(table.full(row[key]) for key in keys), *cells, link if name else "–"]
        )
    head = [HEADS.get(column, column) for column in columns]
    caption = "Each run in the order of the study, with its folder"
    return ShownTable(["run", *keys, *head, "folder"], rows, caption)


def write_report(study: table.Study, output: Path | None = None) -> Path:
    """Write a study's report with links to the folders of its runs, and return its path.

    output: the file to write, by default report.html in the study's folder.
    """
    path, above = study.path / REPORT if output is None else output, ""
    if output is not None:
        above = f"{Path(os.path.relpath(study.path, path.parent)).as_posix()}/"
    write_text(path, study_html(study, above))
    return path


def study_html(study: table.Study, above: str = "") -> str:
    """Return the report as HTML.

    above: the address of the study's folder relative to the page, with "/" at its end.
    """
    found = []
    for row in study.rows:
        with contextlib.suppress(InputError, OSError):
            found.append((row, read_record(study.run(row))))
    ends = Counter(row["status"].partition(":")[0] for row in study.rows)
    said = ", ".join(f"{count} {status}" for status, count in ends.items())
    problem = f" of {subject(found[0][1]['config'])}" if found else ""
    drawn, base, varying, first = list(pictures(study)), "", "", ""
    figures = []
    for one in drawn:
        told = " ".join(filter(None, (f"{one.title}.", *one.notes, one.caption)))
        words = f"{told} Panels: {'; '.join(NAMES[error] for error in one.errors)}."
        svg = inline_svg(figure_of(one, notes=False), one.name, one.title, words)
        # The section on orders explains those of pictures that have fitted ones.
        figures.append((svg, f"{one.title}. {' '.join(one.notes)}" if one.fitted else told))
    few = 8  # the runs that are named beside a message
    messages = []
    for text, runs in table.failures(study).items():
        more = f"; and {len(runs) - few} more" if len(runs) > few else ""
        messages.append((text, str(len(runs)), "; ".join(runs[:few]) + more))
    if found:
        (row, record), lists = found[0], study_lists(study)
        first, settings = f"{table.RUNS}/{row['run']}", record["config"]
        # The varied keys are those of a problem file, or arguments of a function.
        given: Any = {}
        for key in study.varied:
            value: Any = settings
            with contextlib.suppress(KeyError, IndexError, TypeError):
                for part in re.findall(r"[\w-]+", key):
                    value = value[int(part) if part.isdecimal() else part]
                given[key] = value
        if all(given.get(key) == row[key] is not None for key in study.varied):
            base, varying = problem_toml(settings), study_toml(study, "base.toml")
        else:
            arguments = ", ".join(f"{name}={values!r}" for name, values in lists.items())
            varying = f"kanpinn.sweep(function, {arguments}, name={study.name!r})"
    return template("kanpinn.runs.report", "study.html").render(
        study=study,
        version=study.version,
        state=f"{len(study.rows)} runs{problem}: {said}.",
        varied=varied(study),
        settings=table.settings_table(study, ranges=True),
        orders=orders_table(drawn),
        figures=figures,
        missing=" ".join(missing(study)),
        failures=messages,
        runs=runs_table(study, above),
        environment=environment([record for _, record in found]),
        base=base,
        varying=varying,
        first=first,
    )


def plot(
    study: table.Study, over: str | None = None, error: str | None = None, ax: Given = None
) -> Any:
    """Draw a study; the arguments are those of `Study.plot`."""
    picture = _picture_over(study, over)
    if error is not None:
        one_of("error", error, picture.errors)
    (panel,) = panels(ax, 1, 1, _size(picture))
    return picture.plot(panel, error or picture.errors[0])


def _picture_over(study: table.Study, over: str | None) -> Picture:
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


def card(study: table.Study) -> Card:
    """Return the card of a study: its runs, or its settings if there are many runs."""
    most = 20
    if len(study.rows) > most:
        shown = table.settings_table(study, lines=most)
    else:
        runs = runs_table(study)  # without the folders
        shown = ShownTable(runs.head[:-1], [row[:-1] for row in runs.rows])
    done = sum(row["status"] != table.WAITING for row in study.rows)
    facts = [("runs", " ".join([f"{done} of {len(study.rows)} are done.", *missing(study)]))]
    facts += [(str(key), str(values)) for key, _, values in varied(study).rows]
    facts.append(("folder", str(study.path)))

    def draw() -> Drawing:
        picture = _picture_over(study, None)
        ax = picture.plot(new_figure(*_size(picture)).subplots(), picture.errors[0])
        ax.tick_params(labelsize=STYLE.letter)
        return Drawing(ax, f"{picture.title}: {NAMES[picture.errors[0]]}.")

    return Card(f"Study {study.name}", facts, draw, [shown])
