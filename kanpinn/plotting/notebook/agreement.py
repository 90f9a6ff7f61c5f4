"""What a notebook shows of a fit, and `Fitted.plot`."""

from collections.abc import Iterator
from typing import Any

from matplotlib.axes import Axes

from kanpinn._support.errors import InputError, one_of
from kanpinn.plotting.fits import (
    drawn_rows,
    plot_agreement,
    plot_confusion_of,
    shown_parts,
)
from kanpinn.plotting.notation import plain_text
from kanpinn.plotting.notebook.card import Card, CardTable, Drawing, Fact
from kanpinn.plotting.notebook.panels import Given, panels, returned
from kanpinn.plotting.notebook.words import network_words, run_facts
from kanpinn.plotting.style import STYLE, new_figure
from kanpinn.solvers import tables
from kanpinn.solvers.fit import Fitted


def plot(
    fitted: Fitted, target: str | None = None, *, error: bool = False, ax: Given = None
) -> Any:
    """Draw a fit against its data; the arguments are those of `Fitted.plot`."""
    train = fitted.data.train
    if train.classes:
        if target is not None or error:
            raise InputError("target and error are for numbers: this fit is one of classes")
        size = max(3.6, 0.42 * len(train.classes) + 1.6)
        axes = panels(ax, 1, 1, (size + 0.6, size))
        plot_confusion_of(axes.item(), fitted)
        return returned(axes)
    if target is not None:
        one_of("target", target, train.outputs)
    names = train.outputs if target is None else (target,)
    axes = panels(ax, len(names), 3, (3.8, 3.2))
    for one, name in zip(axes, names, strict=True):
        _draw_agreement(one, fitted, name, error)
    return returned(axes)


def _draw_agreement(ax: Axes, fitted: Fitted, target: str, error: bool) -> None:
    """Draw one target's fitted values, or their errors, of training and test rows."""
    index, columns = fitted.data.train.outputs.index(target), {}
    for part, table in shown_parts(fitted).items():
        data, values = (both[:, index] for both in drawn_rows(fitted, table))
        columns[part] = (data, values - data) if error else (data, values)
    plot_agreement(ax, columns, error)
    name = plain_text(target)
    ax.set(xlabel=f"{name}, data", ylabel="fitted - data" if error else f"{name}, fitted")
    ax.legend(fontsize=STYLE.small, frameon=False)


def card(fitted: Fitted) -> Card:
    """Return the card of a fit."""
    return Card(
        title=f"Fit of {', '.join(fitted.data.train.outputs)}",
        facts=_facts(fitted),
        draw=lambda: _picture(fitted),
        tables=_tables(fitted),
    )


def _facts(fitted: Fitted) -> Iterator[Fact]:
    yield from run_facts(fitted)
    train = fitted.data.train
    yield "inputs", ", ".join(train.names)
    if train.classes:
        yield "classes", ", ".join(train.classes)
    yield "network", network_words(fitted)


def _tables(fitted: Fitted) -> Iterator[CardTable]:
    head, *rows = tables.score_rows(fitted)
    yield CardTable(head, rows)


def _picture(fitted: Fitted) -> Drawing:
    """Draw the first target's values, or the confusion matrix of classes."""
    train = fitted.data.train
    ax, part = new_figure(3.2, 2.8).subplots(), list(shown_parts(fitted))[-1]
    if train.classes:
        plot_confusion_of(ax, fitted)
        words = f"Confusion matrix of the {part} rows: fitted classes against those of the data."
    else:
        _draw_agreement(ax, fitted, train.outputs[0], error=False)
        words = f"Fitted values of {train.outputs[0]} against the data, with a line of agreement."
    return Drawing(ax, words)
