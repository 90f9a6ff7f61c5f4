"""Self-contained HTML pages on runs and studies, the pictures of a study, and its notebook card.

A picture of a study shows error curves over a varied key, with notes and a caption.
"""

import base64
import contextlib
import inspect
import itertools
import json
import math
import os
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple
from urllib.parse import quote

import h5py
import tomlkit
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kanpinn._support.errors import InputError, expecting, one_of
from kanpinn._support.files import write_text
from kanpinn._support.shown import template
from kanpinn.accuracy.orders import theoretical_order
from kanpinn.networks import KAN
from kanpinn.plotting.card import Card, Drawing
from kanpinn.plotting.convergence import THEORY, ErrorCurve, legend_lines, plot_curves, plot_spreads
from kanpinn.plotting.style import GREY, STYLE, Given, inline_svg, new_figure, panels, save, wrapped
from kanpinn.runs.results.folder import CONTENTS
from kanpinn.runs.results.record import PARTIAL, RECORD, read_record, run_folder
from kanpinn.runs.study import table
from kanpinn.runs.study.table import WAITING, Dimension, Row, Study, dimensions, has_failed, is_seed
from kanpinn.solvers.summary import ShownTable, remarks, tables

MEASURED = ("parameters", "points", "seconds")


def curves(study: Study, against: str, error: str = "l2_relative") -> list[ErrorCurve]:
    """Return the error curves of a study over a varied key or a measured column.

    There is one curve for each setting of the other keys; runs that differ in their seeds only are
    replicates. Runs that failed or have no value of this error are left out. A convergence order is
    fitted if the key is a size of the network or a number of points; a theoretical order is given
    for grids only. `kanpinn.plotting.plot_curves(axes, curves(...))` draws the curves.

    Args:
        study: the study.
        against: a varied key with numeric values, or "parameters", "points" or "seconds".
        error: a column of the study, such as "l2_relative" or "h1_squared".

    Raises:
        InputError: if the study has no such key or column, or the key's values are not numbers.
    """
    found = dimensions(study)
    path = path_of(study, found, against)
    study.column(error)  # refuses other names
    needed = (error, against) if against in MEASURED else (error,)
    settings: dict[str, list[int]] = {}
    for i, label in enumerate(setting_labels(found, path, len(study.rows))):
        if usable(study.rows[i], *needed):
            settings.setdefault(label, []).append(i)
    order = path is not None and path.fitted and against != "seconds"
    made = []
    for label, indices in settings.items():
        rows = [study.rows[i] for i in indices]
        numbers = [path.numbers[i] for i in indices] if path and path.numbers else [1.0] * len(rows)
        x = [row[against] for row in rows] if against in MEASURED else numbers
        theory = None
        if order and path is not None and path.name == "grid" and study.kind != "fit":
            # The theoretical order is that of a KAN over its grid, if all runs have one degree.
            degrees = {_degree(study, row, path.places) for row in (rows[0], rows[-1])}
            degree = degrees.pop()
            if against != "points" and not degrees and degree is not None:
                theory = theoretical_order(degree, error)
        errors = [row[error] for row in rows]
        made.append(ErrorCurve.of(label, numbers, errors, x=x, order=order, theory=theory))
    return made


def usable(row: Row, *columns: str) -> bool:
    """Return True if a run has not failed and has positive numbers in the given columns."""
    return not has_failed(row) and all((row[name] or 0) > 0 for name in columns)


def path_of(study: Study, found: Sequence[Dimension], against: str) -> Dimension | None:
    """Return the dimension (a varied size) along which the points of an error curve are joined.

    For a varied key this is the key's first numeric dimension. For a measured column it is a
    numeric dimension along which the column takes different values while the other dimensions are
    fixed; dimensions over which an order is fitted come first, then those with the most values.
    None if the measured column has no such dimension.

    Args:
        study: the study.
        found: the dimensions of the study: its varied keys, or components of their lists.
        against: a varied key, or one of the measured columns "parameters", "points", "seconds".

    Raises:
        InputError: if `against` is neither a measured column nor a key with a numeric dimension.
    """
    numeric = [dimension for dimension in found if dimension.numbers is not None]
    if against in MEASURED:  # dimensions with a fitted order first, then with the most values
        for path in sorted(numeric, key=lambda d: (not d.fitted, -len(set(d.labels)))):
            values: dict[str, set[Any]] = {}  # values of the column, by setting
            labels = setting_labels(found, path, len(study.rows))
            for row, label in zip(study.rows, labels, strict=True):
                if usable(row, against):
                    values.setdefault(label, set()).add(row[against])
            if any(len(one) > 1 for one in values.values()):
                return path
        return None
    for path in numeric:
        if path.key == against:
            return path
    expected = ", ".join([*(d.key for d in numeric), *MEASURED])
    raise InputError(f"there is no curve against {against!r}: expected one of {expected}")


def setting_labels(found: Sequence[Dimension], path: Dimension | None, count: int) -> list[str]:
    """Return the label of each row's setting, such as "degree 3, width [2, 8, 1]".

    The label names all dimensions except `path`, and except dimensions whose values are determined
    by `path` or by another dimension.

    Args:
        found: the dimensions of the study.
        path: the dimension that varies along a curve; None for labels with all dimensions.
        count: the number of rows.
    """
    others = [d for d in found if d is not path and not (path and d.follows(path))]
    for one in others[::-1]:
        if any(one.follows(other) for other in others if other is not one):
            others.remove(one)
    # The whole value of a key is shown, unless another dimension shows a part of it.
    alone = [all(d in others for d in found if d.key == one.key) for one in others]
    parts = [d.whole if whole else d.labels for d, whole in zip(others, alone, strict=True)]
    return [", ".join(dict.fromkeys(part[i] for part in parts)) for i in range(count)]


def _degree(study: Study, row: Row, places: frozenset[int]) -> int | None:
    """Return the lowest spline degree of a KAN's layers whose grids vary; None for other networks.

    Args:
        study: the study.
        row: a run of the study.
        places: the indices of the layers whose grids vary.
    """
    with contextlib.suppress(InputError, OSError):
        network = study.config(row)["network"]
        if network["type"] == "kan":
            default = inspect.signature(KAN).parameters["degree"].default
            degree = network.get("degree", default)
            if isinstance(degree, int):
                return degree
            own = [degree[i] for i in places if i < len(degree)]
            return min(own if isinstance(network.get("grid"), list) else degree)
    return None


MOST = 12  # curves of a picture: the number of distinct markers
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
TITLES = NAMES | {"l2_relative": "relative $L^2$ error", "h1_relative": "relative $H^1$ error"}
AXES = {  # labels of keys and columns on the x axis; {} is replaced by the component that varies
    "network.grid": "grid {} (intervals)",
    "points.interior": "interior collocation points",
    "points.boundary": "boundary collocation points",
    "loss.interior": "loss weight of the interior",
    "loss.boundary": "loss weight of the boundary",
    "data.rows": "rows",
    "parameters": "parameters",
    "points": "collocation points",
    "seconds": "time of the solve [s]",
}
FINE = f"{THEORY}, for fine grids"


@dataclass(frozen=True, eq=False)
class Picture:
    """One figure of a study: a panel for each error.

    Args:
        name: the name of the figure's files, without suffix.
        title: the title of the figure.
        caption: how the orders are fitted.
        notes: sentences on the runs, such as how many failed.
        errors: the column of the study that each panel shows.
        plot: a function of axes and an error, which draws a panel and returns the axes.
        rows: the number of legend lines below the panels or, without curves, of settings in a
            panel.
        over: the name of the quantity on the x axis.
        curves: the curves of each error.
    """

    name: str
    title: str
    caption: str
    notes: tuple[str, ...]
    errors: tuple[str, ...]
    plot: Callable[[Axes, str], Axes]
    rows: int
    over: str = ""
    curves: Mapping[str, list[ErrorCurve]] = field(default_factory=dict)

    @property
    def every_curve(self) -> list[tuple[str, ErrorCurve]]:
        """All curves as pairs (error, curve), where `error` is the column that the curve shows."""
        return [(error, curve) for error, some in self.curves.items() for curve in some]

    @property
    def fitted(self) -> bool:
        """True if any curve has a fitted order of convergence."""
        return any(curve.fit for _, curve in self.every_curve)


def pictures(study: Study) -> Iterator[Picture]:
    """Yield the pictures of a study; none if no run has an error.

    There is a picture for each size of the network and each number of points that varies; if none
    varies, a picture for each numeric key; if no key is numeric, one picture with a row for each
    setting. Pictures over the measured columns follow.
    """
    errors = tuple(e for e in study.errors if any(usable(row, e) for row in study.rows))
    if not errors:
        return
    found = dimensions(study)
    numeric = [d for d in found if d.numbers is not None]
    over: list[Dimension] = []  # of dimensions that determine each other, the first
    for one in [d for d in numeric if d.fitted] or numeric:
        if not any(one.follows(other) and other.follows(one) for other in over):
            over.append(one)
    for path in over:
        yield _curves(study, found, path.key, errors)
    if not over:
        yield _spreads(study, found, errors)
    chosen = any(path.key.startswith("points.") for path in over)
    for column in MEASURED if found else ():
        values = {row[column] for row in study.rows if usable(row, column)}
        if len(values) > 1 and not (column == "points" and chosen):
            yield _curves(study, found, column, errors)


def _curves(
    study: Study, found: Sequence[Dimension], against: str, errors: tuple[str, ...]
) -> Picture:
    """Return the picture of the errors of a study's runs as curves.

    Args:
        study: the study.
        found: the dimensions of the study that vary.
        against: what the x axis shows: a dimension, or a measured number such as "seconds".
        errors: the names of the error norms.
    """
    made = {error: curves(study, against, error) for error in errors}
    path, measured = path_of(study, found, against), against in MEASURED
    some = max(made.values(), key=len)
    over = against if measured or path is None else path.name.replace("_", " ")
    x = AXES[against] if measured or path is None else _axis(path, over, found)
    if study.kind == "fit" and against == "points":
        x = "training rows"
    logarithmic = measured or (path is not None and path.logarithmic)
    theory = FINE if measured else THEORY
    notes = []
    counts = {point.error.count for curve in some for point in curve.points}
    if max(counts) > 1:
        what = "seeds" if any(map(is_seed, study.varied)) else "runs"
        number = str(max(counts)) if len(counts) == 1 else f"{min(counts)} to {max(counts)}"
        notes.append(f"Markers: median over {number} {what}, bars: range.")
    if any(curve.levelled for every in made.values() for curve in every):
        notes.append("Hollow markers: errors that no longer decrease, not fitted.")
    if len(some) > MOST:
        notes.append(f"{MOST} of {len(some)} settings are shown.")
    name = against.rpartition(".")[2]  # the file's name: the last part of the key, if unique
    alike = {d.key for d in found if d.name == name} | ({name} & set(MEASURED))
    name = re.sub(r"\W+", "_", against if len(alike) > 1 and not measured else name).strip("_")

    def plot(ax: Axes, error: str) -> Axes:
        """Draw the curves of an error norm on axes, and return the axes."""
        own = made[error][:MOST]
        return plot_curves(ax, own, x, TITLES[error], logarithmic=logarithmic, theory=theory)

    lines = max(legend_lines(own[:MOST]) for own in made.values())
    words = f"Errors against {over}", _explained(made, against), (*notes, *missing(study))
    return Picture(f"error_{name}", *words, errors, plot, lines, over, made)


def _spreads(study: Study, found: Sequence[Dimension], errors: tuple[str, ...]) -> Picture:
    """Return the picture of the errors of all runs, grouped by setting, as ticks with their range.

    Args:
        study: the study.
        found: the dimensions of the study that vary.
        errors: the names of the error norms.
    """
    labels = setting_labels(found, None, len(study.rows))

    def plot(ax: Axes, error: str) -> Axes:
        """Draw the errors of the runs in one norm on axes, and return the axes."""
        samples: dict[str, list[float]] = {}
        for row, label in zip(study.rows, labels, strict=True):
            if usable(row, error):
                samples.setdefault(label, []).append(row[error])
        return plot_spreads(ax, samples, TITLES[error])

    rows = len(set(labels)) * max(wrapped(label).count("\n") + 1 for label in labels)
    note = "Ticks: runs, dot: median, line: range."
    what = "settings" if found else "runs"
    notes = (note, *missing(study))
    return Picture(f"error_{what}", f"Errors of the {what}", "", notes, errors, plot, rows)


def _axis(path: Dimension, plain: str, found: Sequence[Dimension]) -> str:
    """Return the label of the x axis: a varied key, with the keys that vary together with it.

    Args:
        path: the dimension on the axis.
        plain: the key in words, for keys without an entry in `AXES`.
        found: all dimensions of the study.
    """
    others = [d.name for d in found if d is not path and d.follows(path) and d.key != path.key]
    form = path.form if path.form.strip("[]·, ") else ""
    step = f", varied with {', '.join(others)}" if others else ""
    return " ".join(AXES.get(path.key, f"{plain} {{}}").format(form).split()) + step


def missing(study: Study) -> Iterator[str]:
    """Yield sentences with the numbers of runs that failed, are not done, or have no error."""
    statuses = [row["status"] for row in study.rows]
    failed = sum(map(has_failed, study.rows))
    waiting = statuses.count(WAITING)
    bare = sum(not any(usable(row, error) for error in study.errors) for row in study.rows)
    bare -= failed + waiting
    for count, what in ((failed, "failed"), (waiting, "not done yet"), (bare, "without an error")):
        if count:
            yield f"{count} of {len(statuses)} runs {what}."


def _explained(made: Mapping[str, Sequence[ErrorCurve]], against: str) -> str:
    """Return the caption that explains the orders in the legends.

    If no order is fitted, the caption of a picture over the seconds says so; the captions of other
    pictures are empty.

    Args:
        made: the curves of each error.
        against: the quantity on the horizontal axis, such as "seconds".
    """
    every = [curve for some in made.values() for curve in some]
    if not any(curve.fit for curve in every):
        return "No order is fitted against seconds." if against == "seconds" else ""
    but = " (without the hollow markers)" if any(curve.levelled for curve in every) else ""
    fit = f"least squares on the logarithms of the mean errors{but}"
    text = f"Orders: {fit}, with their 95% confidence interval."
    if any(curve.theory for curve in every):
        text += (
            " In brackets: k + 1 in L² and k in H¹, the orders of the best splines of degree k"
            " (dotted), and k − 1, which a residual in L² guarantees for an equation of second"
            " order if it falls at its own best rate."
        )
    return text


FIGURES = "figures"


def draw_study(study: Study, folder: Path | None = None) -> list[Path]:
    """Draw the figures of a study, each as PNG and PDF, and return the paths of the files.

    Args:
        study: the study to draw.
        folder: the folder of the files, created if it does not exist; by default figures/ in the
            study's folder.

    Raises:
        InputError: if no run has an error yet.
    """
    folder = study.path / FIGURES if folder is None else folder
    paths = []
    for picture in pictures(study):
        folder.mkdir(parents=True, exist_ok=True)
        figure = figure_of(picture)
        paths += [save(figure, folder / f"{picture.name}.{kind}") for kind in ("png", "pdf")]
    if not paths:
        raise InputError(f"{study.path}: there is nothing to draw, no run has an error yet")
    return paths


def figure_of(picture: Picture, notes: bool = True) -> Figure:
    """Return a Matplotlib figure of a picture, with a panel for each error, side by side.

    Args:
        picture: the curves or spreads of errors, with their texts.
        notes: whether the picture's notes are written below the panels.
    """
    text = textwrap.wrap(" ".join(picture.notes), 120) if notes else []
    line, panel = 0.145, 2.2  # inches: a line of text, a panel with curves
    height = line * len(text)
    height += panel + line * picture.rows if picture.curves else 0.6 + 0.2 * picture.rows
    figure = new_figure(7.0, max(height, 1.2))  # the width of two columns of a journal
    grid = figure.subplots(1, len(picture.errors), squeeze=False, sharey=not picture.curves)
    for ax, error in zip(grid.flat, picture.errors, strict=True):
        picture.plot(ax, error).tick_params(labelsize=STYLE.letter)
    if text:
        figure.supxlabel("\n".join(text), x=0.01, ha="left", fontsize=STYLE.letter, color=GREY)
    return figure


REPORT = "report.html"


class RunLink(NamedTuple):
    """A link to a run's folder: its text, and its address relative to the page."""

    text: str
    address: str


def environment(found: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return the versions and machines in records of runs, as pairs of a name and a value.

    If the runs differ, the value lists each version or machine with its number of runs.
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
    """Return the arguments `over` and `zipped` with which `sweep` would make the study's runs.

    All keys are in `over` if the rows are the product of their values, otherwise in `zipped`.
    """
    columns = {key: study.column(key) for key in study.varied}
    lists = {  # of distinct values; these may be lists and tables, which have no hash
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
    """Return the text of a study file with the runs of a study.

    Args:
        study: the study.
        base: the path of the problem file.
    """
    lists = {kind: lists for kind, lists in study_lists(study).items() if lists}
    return problem_toml({"study": {"base": base, "name": study.name, **lists}})


def subject(settings: Mapping[str, Any]) -> str:
    """Return the class or equation that is solved, or the data file or formula that is fitted."""
    named = settings.get("problem") or settings.get("data") or {}
    keys = ("class", "equation", "path", "formula")
    return next((str(named[key]) for key in keys if key in named), "a run without settings")


# Runs


def value_text(value: Any) -> str:
    """Return a value of run.json as text: whole numbers in full, "–" for NaN and for no number.

    Truth values become "yes" and "no".
    """
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


FOREMOST = ("loss", "l2_relative", "h1_relative", "seconds")  # columns that come first


def write_run_report(run: Path, output: Path | None = None) -> Path:
    """Write the report of a run, and return the path of the report.

    The report is made from run.json, result.h5 and the pictures in figures/; no Python code in the
    run folder is executed.

    Args:
        run: the run folder, with or without ".partial", or a file in it.
        output: the file to write, by default report.html in the run folder.

    Raises:
        InputError: if there is no run folder, or its run.json does not hold a JSON object.
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
        if "success" in record:  # a finished run: its result is read without executing its code
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
            ("parameters (trainable numbers)", value_text(record.get("parameters"))),
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
    """Return a table of recorded steps, evenly spread over the run, from result.h5.

    Args:
        path: the path of result.h5.
        rows: the largest number of steps.
        columns: the largest number of quantities beside the step.

    Returns:
        The table; None if the file or its history is missing.
    """
    try:
        with h5py.File(path) as file:
            group = file["history"]
            values = {name: group[name][()] for name in group if group[name].ndim == 1}
    except (OSError, KeyError):
        return None
    step = values.pop("step", None)
    if step is None or not len(step):
        return None
    names = [name for name in dict.fromkeys((*FOREMOST, *values)) if name in values][:columns]
    last = len(step) - 1
    chosen = sorted({round(i * last / (rows - 1)) for i in range(rows)})
    cells = [[f"{step[i]:g}", *(value_text(values[n][i]) for n in names)] for i in chosen]
    caption = f"{len(chosen)} of {len(step)} recorded steps; all are in result.h5"
    return ShownTable(["step", *(name.replace("_", " ") for name in names)], cells, caption)


# Studies

FORMS = dict.fromkeys(NAMES, "{:.2e}") | {"seconds": "{:.3g}"}
HEADS = NAMES | {"l2_relative": "rel. L²", "h1_relative": "rel. H¹"}


def varied(study: table.Study) -> ShownTable:
    """Return the table, for a report, of the varied keys of a study with their values."""
    columns = {key: dict.fromkeys(map(table.full, study.column(key))) for key in study.varied}
    rows = [[key, str(len(values)), ", ".join(values)] for key, values in columns.items()]
    return ShownTable(["key", "number of values", "values"], rows, "Varied keys and their values")


def orders_table(drawn: Sequence[Picture]) -> ShownTable:
    """Return the table of fitted and theoretical orders of convergence, with a caption on the fit.

    Args:
        drawn: the pictures whose curves have the orders.
    """
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
    """Return the table, for a report, of all runs of a study.

    The text of a link to a run's folder is the hash in its name.

    Args:
        study: the study.
        above: the address of the study's folder relative to the page, with "/" at its end.
    """
    keys, rows = table.telling(study), []
    errors = [e for e in study.errors if any(row[e] is not None for row in study.rows)]
    if study.kind != "fit":  # a fit has either the scores of numbers or those of classes
        errors = list(study.errors)
    columns = ("status", *errors, "parameters", "points", "steps", "seconds")
    for number, row in enumerate(study.rows, 1):
        told = row | ({"status": row["status"].partition(":")[0]} if table.has_failed(row) else {})
        cells = ["–" if told[c] is None else FORMS.get(c, "{}").format(told[c]) for c in columns]
        name = row["run"] or ""
        link = RunLink(name.rpartition("-")[2][:8], f"{quote(above)}{table.RUNS}/{quote(name)}/")
        settings = [table.full(row[key]) for key in keys]
        rows.append([str(number), *settings, *cells, link if name else "–"])
    head = [HEADS.get(column, column) for column in columns]
    caption = "Each run in the order of the study, with its folder"
    return ShownTable(["run", *keys, *head, "folder"], rows, caption)


def write_report(study: table.Study, output: Path | None = None) -> Path:
    """Write the report of a study, with links to its runs' folders, and return the report's path.

    Args:
        study: the study.
        output: the file to write, by default report.html in the study's folder.
    """
    path, above = study.path / REPORT if output is None else output, ""
    if output is not None:
        above = f"{Path(os.path.relpath(study.path, path.parent)).as_posix()}/"
    write_text(path, study_html(study, above))
    return path


def study_html(study: table.Study, above: str = "") -> str:
    """Return the report on a study as HTML.

    Args:
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
        # The caption of a picture with fitted orders is in the section on orders.
        figures.append((svg, f"{one.title}. {' '.join(one.notes)}" if one.fitted else told))
    few = 8  # the largest number of runs that are named beside a message
    messages = []
    for text, runs in table.failures(study).items():
        more = f"; and {len(runs) - few} more" if len(runs) > few else ""
        messages.append((text, str(len(runs)), "; ".join(runs[:few]) + more))
    if found:
        (row, record), lists = found[0], study_lists(study)
        first, settings = f"{table.RUNS}/{row['run']}", record["config"]
        # The varied keys are keys of a problem file, or arguments of a function.
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
    """Draw the errors of a study on axes of Matplotlib, and return the axes.

    Args:
        study: the study.
        over: the quantity on the horizontal axis: a varied key by its short name, or "parameters",
            "points" or "seconds"; by default that of the report's first figure.
        error: the column of the errors; by default the first one with a value.
        ax: the axes; by default those of a new figure.
    """
    picture = _picture_over(study, over)
    if error is not None:
        one_of("error", error, picture.errors)
    (panel,) = panels(ax, 1, 1, _size(picture))
    return picture.plot(panel, error or picture.errors[0])


def _picture_over(study: table.Study, over: str | None) -> Picture:
    """Return the picture of a study whose x axis is `over`; by default the first picture.

    Raises:
        InputError: if no run has an error yet, or if there is no picture over `over`.
    """
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
    line = 0.145  # inches: the height of a line of the legend
    height = 2.4 + line * picture.rows if picture.curves else 0.8 + 0.2 * picture.rows
    return 4.4, max(height, 1.4)


def card(study: table.Study) -> Card:
    """Return the card that notebooks show for a study: a picture, and a table of runs or settings.

    The table has a row for each run or, if there are more than 20 runs, for each setting.
    """
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
        """Draw the first picture of the study, with its description."""
        picture = _picture_over(study, None)
        ax = picture.plot(new_figure(*_size(picture)).subplots(), picture.errors[0])
        ax.tick_params(labelsize=STYLE.letter)
        return Drawing(ax, f"{picture.title}: {NAMES[picture.errors[0]]}.")

    return Card(f"Study {study.name}", facts, draw, [shown])
