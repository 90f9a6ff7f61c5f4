"""The figure of the special functions: a column for each, with the paper's best errors."""

from collections.abc import Sequence

import numpy
from common.pieces import Row
from function_fitting import paper
from function_fitting.rows import reach, values
from function_fitting.special_page import functions_in, methods_in, samples_in
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kanpinn.plotting.convergence import error_axis
from kanpinn.plotting.style import GREY, MARKERS, PALETTE, STYLE, new_figure, tidy

APART = 0.11  # of a column, between methods
PAPER = {"kan": ("paper, KAN", "_", 12), "mlp": ("paper, MLP", "x", 5)}  # label, marker, size


def draw(rows: Sequence[Row]) -> Figure:
    """Draw medians and ranges over the seeds, a panel for each sample of points."""
    samples = samples_in(rows)
    figure = new_figure(11, 0.4 + 2.8 * len(samples))
    panels = figure.subplots(len(samples), 1, squeeze=False, sharex=True)[:, 0]
    for ax, sample in zip(panels, samples, strict=True):
        _panel(ax, [row for row in rows if row["points"] == sample], methods_in(rows))
        ax.set_title(f"points: {sample}", fontsize=STYLE.small, loc="left")
        ax.set_ylabel("test RMSE", fontsize=STYLE.small)
    first = panels[0]  # has all methods
    first.legend(fontsize=STYLE.letter, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def _panel(ax: Axes, rows: Sequence[Row], methods: Sequence[str]) -> None:
    names, own = functions_in(rows), methods_in(rows)
    places, shown = numpy.arange(len(names)), values(rows, "test_rmse")
    for number, method in enumerate(methods):
        if method not in own:
            continue
        each = [values(rows, "test_rmse", function=name, method=method) for name in names]
        middle, limits = reach(each)
        ax.errorbar(
            places + APART * (number - (len(methods) - 1) / 2),
            middle,
            limits,
            fmt=MARKERS[number % len(MARKERS)],
            color=PALETTE[number % len(PALETTE)],
            markersize=4,
            elinewidth=0.8,
            label=method,
        )
    for kind, (label, marker, size) in PAPER.items():
        theirs = [getattr(paper.SPECIAL[name], kind) for name in names]
        ax.plot(
            places, theirs, marker, color=GREY, markersize=size, markeredgewidth=1.6, label=label
        )
        shown += theirs
    error_axis(ax, shown)
    ax.set_xticks(places, names, rotation=20, ha="right")
    ax.grid(axis="y", linewidth=0.4, color="#dddddd")
    tidy(ax)
