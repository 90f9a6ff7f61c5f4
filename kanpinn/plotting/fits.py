"""The figures of a fit, its card, and `Fitted.plot`."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kanpinn._support.errors import InputError, one_of
from kanpinn.data import Table
from kanpinn.optimizers import Refine
from kanpinn.plotting import style
from kanpinn.plotting.card import Card, Drawing, card_of
from kanpinn.plotting.edges import edges_figure, edges_of
from kanpinn.plotting.fields import limits_of
from kanpinn.plotting.history import HistoryCurve, plot_history
from kanpinn.plotting.style import STYLE
from kanpinn.solvers.fit import Fitted, criterion
from kanpinn.solvers.grid_fields import GridFields

PARTS = {
    "train": (style.BLUE, "-", "o"),
    "validation": (style.GREEN, "-.", "^"),
    "test": (style.VERMILLION, "--", "s"),
}
LABELS = {"rmse": "root mean square error", "cross_entropy": "cross entropy"}


def figures(fitted: Fitted, _: GridFields | None = None) -> Iterator[tuple[str, Figure]]:
    """Yield pairs of a name and a figure: history, agreement or confusion, and edges.

    "agreement" has a row for each of the first four targets; a fit of classes has "confusion"
    instead. Only KANs have "edges".
    """
    if fitted.history.rows:
        yield "history", scores_figure(fitted)
    if fitted.data.train.classes:
        figure = style.new_figure(1, 1)
        plot(fitted, ax=figure)
        yield "confusion", figure
    else:
        names = fitted.data.train.outputs[:4]
        figure = style.new_figure(7.6, 3.0 * len(names) + 0.3)
        rows = figure.subplots(len(names), 2, squeeze=False)
        for name, (left, right) in zip(names, rows, strict=True):
            plot_agreement(left, fitted, name)
            plot_agreement(right, fitted, name, error=True)
        style.legend_beside(figure, rows[0, 0], "upper center", 3)
        yield "agreement", figure
    edges = edges_of(fitted)
    if any(edges):
        yield "edges", edges_figure(edges)


def scores_figure(fitted: Fitted) -> Figure:
    """Return a figure of the score of each part of the data against steps, with optimizers marked.

    A second panel has the score against seconds or, for classes, the accuracy against steps.
    """
    titles, grid = [], None  # "" for a refinement, "grid 8" for the optimizer right after it
    for method in fitted.optimizers:
        title = method.title if grid is None else f"grid {grid}"
        titles.append("" if isinstance(method, Refine) else title)
        grid = method.grid if isinstance(method, Refine) else None
    even = "" in titles
    score = criterion(fitted.data.train)
    figure = style.new_figure(9.0, 3.8)
    left, right = figure.subplots(1, 2)
    plot_history(left, fitted.history, titles, curves=_curves(score), even=even)
    left.set_ylabel(LABELS[score])
    if (column := f"validation_{score}") in fitted.history.names:
        values = fitted.history.column(column)
        best = int(values.argmin()) if not (values != values).all() else 0
        at = fitted.history.column("step")[best], values[best]  # the state that is kept
        left.plot(*at, "o", markersize=9, fillstyle="none", color=style.BLACK, label="kept")
    if fitted.data.train.classes:
        plot_history(right, fitted.history, titles, curves=_curves("accuracy"), even=even)
        right.set_yscale("linear")
        right.set_ylabel("accuracy")
    else:
        plot_history(right, fitted.history, titles, "seconds", curves=_curves(score), even=even)
        right.sharey(left)
    style.legend_beside(figure, left, "lower center", 4)
    return figure


def _curves(score: str) -> list[HistoryCurve]:
    """Return the curves of a score during a fit, one for each part of the data."""
    return [HistoryCurve(f"{part}_{score}", part, *look) for part, look in PARTS.items()]


def shown_parts(fitted: Fitted) -> dict[str, Table]:
    """Return the training rows and, if there are any, the test rows, by the name of the part."""
    parts = fitted.data.parts
    return {part: parts[part] for part in ("train", "test") if part in parts}


def plot_confusion(ax: Axes, fitted: Fitted) -> Axes:
    """Plot the confusion matrix of the test rows or, without test rows, of the training rows.

    A colour shows the share of the rows of an actual class. For up to 14 classes, the counts are
    written into the matrix.
    """
    part, table = list(shown_parts(fitted).items())[-1]
    classes = fitted.data.train.classes
    counts = confusion(table.targets.numpy(), fitted.predict(table.inputs).cpu().numpy(), classes)
    totals = counts.sum(axis=1, keepdims=True)
    shares = numpy.divide(counts, totals, out=numpy.zeros(counts.shape), where=totals > 0)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if len(classes) <= 14:
        for (row, column), count in numpy.ndenumerate(counts):
            colour = "white" if shares[row, column] > 0.5 else "black"
            shown = str(count) if count else ""
            ax.text(column, row, shown, ha="center", va="center", fontsize=7, color=colour)
    places, names = range(len(classes)), [style.plain_text(name) for name in classes]
    ax.set_xticks(places, names, rotation=90 if max(map(len, classes)) > 3 else 0)
    ax.set_yticks(places, names)
    ax.set(xlabel="fitted", ylabel="data")
    ax.set_title(f"{part}: {counts.trace() / len(table):.2%} of {len(table)} rows", fontsize=9)
    ax.tick_params(labelsize=STYLE.small)
    return ax


def confusion(
    actual: numpy.ndarray, predicted: numpy.ndarray, classes: tuple[str, ...]
) -> numpy.ndarray:
    """Return the confusion matrix, (c, c): the counts by actual (first) and predicted class.

    Args:
        actual, predicted: the class numbers of n rows, (n,) each.
        classes: the names of the c classes.
    """
    counts = numpy.zeros((len(classes), len(classes)), dtype=int)
    numpy.add.at(counts, (actual, predicted), 1)
    return counts


def plot(
    fitted: Fitted,
    target: str | None = None,
    *,
    error: bool = False,
    ax: style.Given | Figure = None,
) -> Any:
    """Draw a fit against its data; the arguments are those of `Fitted.plot`.

    Here `ax` may also be an empty figure, in which the axes are made.
    """
    train = fitted.data.train
    if train.classes:
        if target is not None or error:
            raise InputError("target and error are for numbers: this fit is one of classes")
        size = max(3.6, 0.42 * len(train.classes) + 1.6)
        axes = style.panels(ax, 1, 1, (size + 0.6, size))
        plot_confusion(axes.item(), fitted)
        return style.returned(axes)
    if target is not None:
        one_of("target", target, train.outputs)
    names = train.outputs if target is None else (target,)
    axes = style.panels(ax, len(names), 3, (3.8, 3.2))
    for panel, name in zip(axes, names, strict=True):
        plot_agreement(panel, fitted, name, error)
        panel.legend(fontsize=STYLE.small, frameon=False)
    return style.returned(axes)


def plot_agreement(ax: Axes, fitted: Fitted, target: str, error: bool = False) -> Axes:
    """Plot the fitted values of a target, or their errors, against the data.

    At most 4000 rows of training data and of test data are drawn, evenly spaced, with a line of
    exact agreement.

    Args:
        ax: the axes to draw in.
        fitted: the result of a fit to numbers.
        target: the name of the target.
        error: whether to draw errors in place of values.

    Returns:
        The axes `ax`.
    """
    most, index, columns = 4000, fitted.data.train.outputs.index(target), {}
    for part, table in shown_parts(fitted).items():
        rows = table[:: -(-len(table) // most)] if len(table) > most else table
        data = rows.targets[:, index].numpy()
        values = fitted(rows.inputs)[:, index].double().cpu().numpy()
        columns[part] = (data, values - data) if error else (data, values)
    low, high = limits_of(*(data for data, _ in columns.values()))
    exact = (0.0, 0.0) if error else (low, high)
    ax.plot((low, high), exact, color=style.GREY, linewidth=0.8, zorder=0)
    styles = ((style.BLUE, "o", 2.0), (style.VERMILLION, "s", 2.5))
    for (part, (x, y)), (colour, marker, size) in zip(columns.items(), styles, strict=False):
        ax.plot(x, y, marker, color=colour, markersize=size, label=part, markeredgewidth=0)
    name = style.plain_text(target)
    ax.set(xlabel=f"{name}, data", ylabel="fitted - data" if error else f"{name}, fitted")
    return style.tidy(ax)


def card(fitted: Fitted) -> Card:
    """Return the card that notebooks show for a fit."""
    title = f"Fit of {', '.join(fitted.data.train.outputs)}"
    return card_of(fitted, title, partial(_picture, fitted))


def _picture(fitted: Fitted) -> Drawing:
    """Draw the agreement of the first target or, for classes, the confusion matrix."""
    train, part = fitted.data.train, list(shown_parts(fitted))[-1]
    target = None if train.classes else train.outputs[0]
    words = f"Fitted values of {target} against the data, with a line of agreement."
    if target is None:
        words = f"Confusion matrix of the {part} rows: fitted classes against those of the data."
    return Drawing(plot(fitted, target, ax=style.new_figure(3.2, 2.8).subplots()), words)
