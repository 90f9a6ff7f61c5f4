"""What a fit says beside what the data say."""

import numpy
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kanpinn.data import Table
from kanpinn.plotting.ranges import limits_of
from kanpinn.plotting.style import BLUE, GREY, SMALL, VERMILLION, new_figure, tidy
from kanpinn.solvers.fit import Fitted

TARGETS = 4  # of more the first ones are shown
ROWS = 4000  # that are drawn, at most
CELLS = 14  # classes up to which the shares are written into the matrix
DARK = 0.5  # shares from which on they are written in white


def agreement_figure(fitted: Fitted) -> Figure:
    """Predicted values and their errors against the targets, a row of panels for each target."""
    names = fitted.data.train.outputs[:TARGETS]
    figure = new_figure(7.6, 3.0 * len(names) + 0.3)
    panels = figure.subplots(len(names), 2, squeeze=False)
    drawn = {part: _drawn(fitted, table) for part, table in _shown(fitted).items()}
    for index, (name, (left, right)) in enumerate(zip(names, panels, strict=True)):
        columns = {part: (y[:, index], u[:, index]) for part, (y, u) in drawn.items()}
        plot_agreement(left, columns)
        left.set(xlabel=f"{_plain(name)}, data", ylabel=f"{_plain(name)}, fitted")
        plot_agreement(right, {part: (y, u - y) for part, (y, u) in columns.items()}, error=True)
        right.set(xlabel=f"{_plain(name)}, data", ylabel="fitted - data")
    handles = panels[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper center", ncols=3, frameon=False, fontsize=SMALL)
    return figure


def plot_agreement(
    ax: Axes, columns: dict[str, tuple[numpy.ndarray, numpy.ndarray]], error: bool = False
) -> Axes:
    """Points for each part, targets (n,) and values or errors (n,); a line where they agree."""
    low, high = limits_of(*(target for target, _ in columns.values()))
    ends = (0.0, 0.0) if error else (low, high)
    ax.plot((low, high), ends, color=GREY, linewidth=0.8, zorder=0)
    styles = ((BLUE, "o", 2.0), (VERMILLION, "s", 2.5))
    for (part, (x, y)), (colour, marker, size) in zip(columns.items(), styles, strict=False):
        ax.plot(x, y, marker, color=colour, markersize=size, label=part, markeredgewidth=0)
    return tidy(ax)


def _shown(fitted: Fitted) -> dict[str, Table]:
    """The rows to train with and those that were not seen, as far as there are such."""
    parts = fitted.data.parts
    return {part: parts[part] for part in ("train", "test") if part in parts}


def _drawn(fitted: Fitted, table: Table) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Targets and fitted values of some of the rows, evenly chosen."""
    some = table[:: -(-len(table) // ROWS)] if len(table) > ROWS else table
    return some.targets.numpy(), fitted(some.inputs).double().cpu().numpy()


def confusion_figure(fitted: Fitted) -> Figure:
    """The confusion matrix of the test rows, or else of those to train with."""
    part, table = list(_shown(fitted).items())[-1]
    classes = fitted.data.train.classes
    size = max(3.6, 0.42 * len(classes) + 1.6)
    figure = new_figure(size + 0.6, size)
    ax = figure.subplots()
    counts = confusion(table.targets.numpy(), fitted.predict(table.inputs).cpu().numpy(), classes)
    plot_confusion(ax, counts, classes)
    ax.set_title(f"{part}: {counts.trace() / len(table):.2%} of {len(table)} rows", fontsize=9)
    return figure


def confusion(
    actual: numpy.ndarray, predicted: numpy.ndarray, classes: tuple[str, ...]
) -> numpy.ndarray:
    """How often each class is taken for which, (classes, classes)."""
    counts = numpy.zeros((len(classes), len(classes)), dtype=int)
    numpy.add.at(counts, (actual, predicted), 1)
    return counts


def plot_confusion(ax: Axes, counts: numpy.ndarray, classes: tuple[str, ...]) -> Axes:
    """The shares of each class's rows that are taken for each class; counts as text."""
    totals = counts.sum(axis=1, keepdims=True)
    shares = numpy.divide(counts, totals, out=numpy.zeros(counts.shape), where=totals > 0)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if len(classes) <= CELLS:
        for (row, column), count in numpy.ndenumerate(counts):
            colour = "white" if shares[row, column] > DARK else "black"
            shown = str(count) if count else ""
            ax.text(column, row, shown, ha="center", va="center", fontsize=7, color=colour)
    places = range(len(classes))
    ax.set_xticks(places, [_plain(c) for c in classes], rotation=90 if _long(classes) else 0)
    ax.set_yticks(places, [_plain(c) for c in classes])
    ax.set(xlabel="fitted", ylabel="data")
    ax.tick_params(labelsize=SMALL)
    return ax


def _long(classes: tuple[str, ...]) -> bool:
    return max(map(len, classes)) > 3


def _plain(name: str) -> str:
    """A name as text: Matplotlib takes what stands between dollars for mathematics."""
    return name.replace("$", r"\$")
