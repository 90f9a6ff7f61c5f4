"""The pictures of a study: error curves over a varied key, figures, notes and captions."""

import contextlib
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kanpinn._support.errors import InputError
from kanpinn.accuracy.orders import theoretical_order
from kanpinn.networks import KAN
from kanpinn.plotting.convergence import THEORY, ErrorCurve, legend_lines, plot_curves, plot_spreads
from kanpinn.plotting.style import GREY, STYLE, new_figure, save, wrapped
from kanpinn.runs.study.table import WAITING, Dimension, Row, Study, dimensions, has_failed, is_seed

MEASURED = ("parameters", "points", "seconds")


def curves(study: Study, against: str, error: str = "l2_relative") -> list[ErrorCurve]:
    """Return the error curves of a study over a varied key or a measured column.

    There is one curve for each setting of the other keys; runs that differ in their seeds only are
    replicates. Runs that failed or lack this error are left out. A convergence order is fitted over
    sizes of networks and numbers of points; a theoretical order is given over grids only.
    `kanpinn.plotting.plot_curves(axes, curves(...))` draws the curves.

    Args:
        study: the study.
        against: a varied key with numeric values, or "parameters", "points" or "seconds".
        error: a column of the study, such as "l2_relative" or "h1_squared".

    Raises:
        InputError: if the study has no such key or column, or the key's values are not numbers.
    """
    found = dimensions(study)
    path = path_of(study, found, against)
    if error not in study.columns:
        raise InputError(
            f"{error!r} is not a column of the study: expected one of {', '.join(study.columns)}"
        )
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
            # A theoretical order is that of a KAN over its grid, where the degree is the same.
            degrees = {_degree(study, row, path.places) for row in (rows[0], rows[-1])}
            degree = degrees.pop()
            if against != "points" and not degrees and degree is not None:
                theory = theoretical_order(degree, error)
        errors = [row[error] for row in rows]
        made.append(ErrorCurve.of(label, numbers, errors, x=x, order=order, theory=theory))
    return made


def usable(row: Row, *columns: str) -> bool:
    """Return True if a run has not failed and has positive numbers in these columns."""
    return not has_failed(row) and all((row[name] or 0) > 0 for name in columns)


def path_of(study: Study, found: Sequence[Dimension], against: str) -> Dimension | None:
    """Return the dimension that varies along a curve, None if no numeric one does.

    Over a measured column it is a dimension along which this column takes different values.

    Raises:
        InputError: if `against` is neither a measured column nor a numeric key.
    """
    numeric = [dimension for dimension in found if dimension.numbers is not None]
    if against in MEASURED:  # dimensions with a fitted order first, then those with the most values
        for path in sorted(numeric, key=lambda d: (not d.fitted, -len(set(d.labels)))):
            values: dict[str, set[Any]] = {}  # of the column, by the other dimensions' setting
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
    """Return each row's label from all dimensions but the path: "degree 3, width [2, 8, 1]".

    A dimension that is determined by the path or by another dimension is left out.
    """
    others = [d for d in found if d is not path and not (path and d.follows(path))]
    for one in others[::-1]:
        if any(one.follows(other) for other in others if other is not one):
            others.remove(one)
    # The whole value of a key, unless another dimension has a part of it.
    alone = [all(d in others for d in found if d.key == one.key) for one in others]
    parts = [d.whole if whole else d.labels for d, whole in zip(others, alone, strict=True)]
    return [", ".join(dict.fromkeys(part[i] for part in parts)) for i in range(count)]


def _degree(study: Study, row: Row, places: frozenset[int]) -> int | None:
    """Return the lowest spline degree of the layers whose grids vary; None if it is not a KAN."""
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

    @property
    def every_curve(self) -> list[tuple[str, ErrorCurve]]:
        """The curves of all errors, each with its error."""
        return [(error, curve) for error, some in self.curves.items() for curve in some]

    @property
    def fitted(self) -> bool:
        """Whether a curve has a fitted order."""
        return any(curve.fit for _, curve in self.every_curve)


def pictures(study: Study) -> Iterator[Picture]:
    """Yield the pictures of a study; none if no run has an error.

    They show the errors over each size that varies, otherwise over each other numeric key, and
    otherwise for each setting; then over the measured columns.
    """
    errors = tuple(e for e in study.errors if any(usable(row, e) for row in study.rows))
    if not errors:
        return
    found = dimensions(study)
    numeric = [d for d in found if d.numbers is not None]
    over: list[Dimension] = []  # of dimensions that determine each other the first one
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
    name = against.rpartition(".")[2]  # of the file: the last part of the key if that is unique
    alike = {d.key for d in found if d.name == name} | ({name} & set(MEASURED))
    name = re.sub(r"\W+", "_", against if len(alike) > 1 and not measured else name).strip("_")

    def plot(ax: Axes, error: str) -> Axes:
        own = made[error][:MOST]
        return plot_curves(ax, own, x, TITLES[error], logarithmic=logarithmic, theory=theory)

    return Picture(
        f"error_{name}",
        f"Errors against {over}",
        _explained(made, against),
        (*notes, *missing(study)),
        errors,
        plot,
        max(legend_lines(own[:MOST]) for own in made.values()),
        over,
        made,
    )


def _spreads(study: Study, found: Sequence[Dimension], errors: tuple[str, ...]) -> Picture:
    labels = setting_labels(found, None, len(study.rows))

    def plot(ax: Axes, error: str) -> Axes:
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
    """Return the title of the axis of a varied key, and the keys that vary with it."""
    others = [d.name for d in found if d is not path and d.follows(path) and d.key != path.key]
    form = path.form if path.form.strip("[]·, ") else ""
    step = f", varied with {', '.join(others)}" if others else ""
    return " ".join(AXES.get(path.key, f"{plain} {{}}").format(form).split()) + step


def missing(study: Study) -> Iterator[str]:
    """Yield notes on how many runs failed, are not done, or have no error."""
    statuses = [row["status"] for row in study.rows]
    failed = sum(map(has_failed, study.rows))
    waiting = statuses.count(WAITING)
    bare = sum(not any(usable(row, error) for error in study.errors) for row in study.rows)
    bare -= failed + waiting
    for count, what in ((failed, "failed"), (waiting, "not done yet"), (bare, "without an error")):
        if count:
            yield f"{count} of {len(statuses)} runs {what}."


def _explained(made: Mapping[str, Sequence[ErrorCurve]], against: str) -> str:
    """Return the caption that explains the orders in the legends, "" if none is fitted."""
    every = [curve for some in made.values() for curve in some]
    if not any(curve.fit for curve in every):
        return "No order is fitted against seconds." if against == "seconds" else ""
    levelled = any(curve.levelled for curve in every)
    but = " (without the hollow markers)" if levelled else ""
    text = (
        f"Orders: least squares on the logarithms of the mean errors{but}, with their 95% "
        "confidence interval."
    )
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
        folder: where to write, created if it does not exist; by default figures/ in the study's
            folder.

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
    """Return a figure with one panel for each error side by side, and the notes below if wanted."""
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
