"""The pictures of a study: which there are, what they show, their notes and captions."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from matplotlib.axes import Axes

from kanpinn.plotting.convergence import THEORY, plot_curves, plot_spreads
from kanpinn.plotting.curves import ErrorCurve, legend_lines
from kanpinn.plotting.notation import wrapped
from kanpinn.runs.report.curves import MEASURED, curves, path_of, setting_labels, usable
from kanpinn.runs.report.dimensions import Dimension, dimensions, is_seed
from kanpinn.runs.study.columns import WAITING
from kanpinn.runs.study.table import Study, has_failed

MOST = 12  # curves of a picture: the number of distinct markers
TITLES = {
    "l2_relative": "relative $L^2$ error",
    "eigenvalue_relative": "relative error of eigenvalues",
    "residual": "residual of modes",
    "h1_relative": "relative $H^1$ error",
    "test_rmse": "test RMSE",
    "validation_rmse": "validation RMSE",
    "test_cross_entropy": "test cross entropy",
    "validation_cross_entropy": "validation cross entropy",
}
AXES = {  # labels of keys and columns on the x axis; {}: which component of a list varies
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

    errors: the column of each panel, which plot(axes, error) draws.
    rows: the number of legend lines below the panels, or of settings inside them.
    notes: sentences on its runs, such as how many failed. caption: how its orders are fitted.
    over: the name of the quantity on the x axis. curves: the curves of each error.
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


def pictures(study: Study) -> Iterator[Picture]:
    """Yield the pictures of a study; none if no run has an error.

    They show the errors over each size that varies, otherwise over each other numeric key, and
    otherwise for each setting; then over the measured columns.
    """
    errors = tuple(e for e in study.errors if any(usable(row, e) for row in study.rows))
    if not errors:
        return
    found = dimensions(study)
    over = _over(found)
    for path in over:
        yield _curves(study, found, path.key, errors)
    if not over:
        yield _spreads(study, found, errors)
    for column in MEASURED:
        values = {row[column] for row in study.rows if usable(row, column)}
        if found and len(values) > 1 and not (column == "points" and _counted(over)):
            yield _curves(study, found, column, errors)


def _over(found: Sequence[Dimension]) -> list[Dimension]:
    """Return the sizes, or if there are none the other numeric dimensions.

    Of dimensions that determine each other only the first is returned.
    """
    numeric = [d for d in found if d.numbers is not None]
    chosen: list[Dimension] = []
    for one in [d for d in numeric if d.fitted] or numeric:
        if not any(one.follows(other) and other.follows(one) for other in chosen):
            chosen.append(one)
    return chosen


def _counted(over: Sequence[Dimension]) -> bool:
    return any(path.key.startswith("points.") for path in over)


def _curves(
    study: Study, found: Sequence[Dimension], against: str, errors: tuple[str, ...]
) -> Picture:
    made = {error: curves(study, against, error) for error in errors}
    path = path_of(study, found, against)
    measured = against in MEASURED
    some = max(made.values(), key=len)
    over = against if measured else _plain(path)
    x = AXES[against] if measured else _axis(path, found)
    if study.kind == "fit" and against == "points":
        x = "training rows"
    return Picture(
        f"error_{_file(against, found)}",
        f"Errors against {over}",
        _explained(made, against),
        (*_replicates(study, some), *_hollow(made), *_surplus(some, MOST), *missing(study)),
        errors,
        partial(_plot, made, x, path, measured),
        max(legend_lines(own[:MOST]) for own in made.values()),
        over,
        made,
    )


def _plot(
    made: dict[str, list[ErrorCurve]],
    x: str,
    path: Dimension | None,
    measured: bool,
    ax: Axes,
    error: str,
) -> Axes:
    return plot_curves(
        ax,
        made[error][:MOST],
        x,
        TITLES[error],
        logarithmic=measured or (path is not None and path.logarithmic),
        theory=FINE if measured else THEORY,
    )


def _spreads(study: Study, found: Sequence[Dimension], errors: tuple[str, ...]) -> Picture:
    labels = setting_labels(found, None, len(study.rows))
    samples: dict[str, dict[str, list[float]]] = {error: {} for error in errors}
    for row, label in zip(study.rows, labels, strict=True):
        for error in errors:
            if usable(row, error):
                samples[error].setdefault(label, []).append(row[error])

    def plot(ax: Axes, error: str) -> Axes:
        return plot_spreads(ax, samples[error], TITLES[error])

    rows = len(set(labels)) * max(wrapped(label).count("\n") + 1 for label in labels)
    note = "Ticks: runs, dot: median, line: range."
    title = "Errors of the settings" if found else "Errors of the runs"
    return Picture(
        "error_settings" if found else "error_runs",
        title, "", (note, *missing(study)), errors, plot, rows,
    )  # fmt: skip


def _axis(path: Dimension | None, found: Sequence[Dimension]) -> str:
    assert path is not None
    others = [d.name for d in found if d is not path and d.follows(path) and d.key != path.key]
    text = AXES.get(path.key, f"{_plain(path)} {{}}")
    form = path.form if path.form.strip("[]·, ") else ""
    step = f", varied with {', '.join(others)}" if others else ""
    return " ".join(text.format(form).split()) + step


def _plain(path: Dimension | None) -> str:
    return "" if path is None else path.name.replace("_", " ")


def _file(against: str, found: Sequence[Dimension]) -> str:
    """Return a key's name for a file: its last part if that is unique, otherwise the whole key."""
    name = against.rpartition(".")[2]
    alike = {d.key for d in found if d.name == name} | ({name} & set(MEASURED))
    chosen = name if len(alike) <= 1 or against in MEASURED else against
    return re.sub(r"\W+", "_", chosen).strip("_")


def _replicates(study: Study, some: Sequence[ErrorCurve]) -> Iterator[str]:
    """Yield the note on markers and bars if a point has several runs."""
    counts = {point.error.count for curve in some for point in curve.points}
    if max(counts) > 1:
        what = "seeds" if any(map(is_seed, study.varied)) else "runs"
        number = str(max(counts)) if len(counts) == 1 else f"{min(counts)} to {max(counts)}"
        yield f"Markers: median over {number} {what}, bars: range."


def _hollow(made: Mapping[str, Sequence[ErrorCurve]]) -> Iterator[str]:
    """Yield the note on hollow markers if there are some."""
    if any(curve.levelled for some in made.values() for curve in some):
        yield "Hollow markers: errors that no longer decrease, not fitted."


def _surplus(some: Sequence[ErrorCurve], most: int) -> Iterator[str]:
    """Yield a note if not all curves are drawn."""
    if len(some) > most:
        yield f"{most} of {len(some)} settings are shown."


def missing(study: Study) -> Iterator[str]:
    """Yield notes on how many runs failed, are not done, or have no error."""
    statuses = [row["status"] for row in study.rows]
    failed = sum(map(has_failed, study.rows))
    waiting = statuses.count(WAITING)
    bare = (
        sum(not any(usable(row, e) for e in study.errors) for row in study.rows) - failed - waiting
    )
    for count, what in ((failed, "failed"), (waiting, "not done yet"), (bare, "without an error")):
        if count:
            yield f"{count} of {len(statuses)} runs {what}."


def _explained(made: Mapping[str, Sequence[ErrorCurve]], against: str) -> str:
    """Return the caption that explains the orders in the legends, "" if none is fitted."""
    every = [curve for some in made.values() for curve in some]
    if not any(curve.fit for curve in every):
        return "No order is fitted against seconds." if against == "seconds" else ""
    text = (
        "Orders: least squares on the logarithms of the mean errors"
        " (without the hollow markers), with their 95% confidence interval."
    )
    if not any(curve.levelled for curve in every):
        text = text.replace(" (without the hollow markers)", "")
    if any(curve.theory for curve in every):
        text += (
            " In brackets: k + 1 in L² and k in H¹, the orders of the best splines of degree k"
            " (dotted), and k − 1, which a residual in L² guarantees for an equation of second"
            " order if it falls at its own best rate."
        )
    return text
