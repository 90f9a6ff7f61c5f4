"""Figures of loss and errors against steps or seconds."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, MaxNLocator

from kanpinn.plotting import style
from kanpinn.plotting.style import STYLE
from kanpinn.solvers.solution import Solution
from kanpinn.solvers.state import History


class HistoryCurve(NamedTuple):
    """A column of the history that is drawn, with its label, colour, line style and marker."""

    column: str
    label: str
    colour: str
    line: str
    marker: str


CURVES = (
    HistoryCurve("loss", "loss", style.BLUE, "-", "o"),
    HistoryCurve("l2_relative", "relative $L^2$ error", style.VERMILLION, "--", "s"),
    HistoryCurve("h1_relative", "relative $H^1$ error", style.GREEN, "-.", "^"),
)
CELLS = (HistoryCurve("cells", "cells", style.BLUE, "-", "o"),)
ESTIMATE = HistoryCurve("estimated_error", "estimated relative error", style.BLUE, "-", "o")


def history_figure(solution: Solution) -> Figure | None:
    """Return a figure with the loss and the errors against steps and against seconds.

    The steps of marches and of solves in cells do not lower the loss, so the estimated error is
    shown in place of the loss. For a solve in cells a third panel shows the number of cells against
    steps. The result is None if no curve has three finite positive values, as after a single step.
    """
    history, titles = solution.history, [method.title for method in solution.optimizers]
    curves = (ESTIMATE if ESTIMATE.column in history.names else CURVES[0], *CURVES[1:])
    known = [history.column(c.column) for c in curves if c.column in history.names]
    if not any(numpy.sum(numpy.isfinite(values) & (values > 0)) > 2 for values in known):
        return None
    in_cells = "cells" in history.names
    figure = style.new_figure(9.0, 3.6)
    left, right, *more = figure.subplots(1, 2 + in_cells, sharey="none" if in_cells else "all")
    plot_history(left, history, titles, "step", curves=curves)
    plot_history(right, history, titles, "seconds", curves=curves)
    if in_cells:
        right.sharey(left)
        right.tick_params(labelleft=False)
        plot_history(more[0], history, titles, "step", curves=CELLS)
        more[0].set_ylabel("cells")
        more[0].yaxis.set_major_formatter("{x:.0f}")
        more[0].yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(2, 0.8)))
        more[0].tick_params(which="both", labelsize=STYLE.small)
    style.legend_beside(figure, left, "upper center", 3)
    return figure


def plot_history(
    ax: Axes,
    history: History,
    titles: Sequence[str] = (),
    x: str = "step",
    *,
    curves: Sequence[HistoryCurve] = CURVES,
    even: bool = False,
) -> Axes:
    """Plot loss and errors on a logarithmic axis; vertical lines mark the starts of optimizers.

    Args:
        ax: the axes to draw in.
        history: the history of a solve or a fit.
        titles: the titles of the optimizers; an optimizer with the title "" is not marked.
        x: the column of the horizontal axis, "step" or "seconds".
        curves: the columns to draw; columns that the history lacks are left out.
        even: if True, the horizontal axis is linear for any number of steps or seconds. By
            default the axis is linear if it ends at up to 40 steps, or at up to 20 times the first
            positive time.

    Returns:
        The axes `ax`.
    """
    at = history.column(x)
    for curve in curves:
        values = history.column(curve.column) if curve.column in history.names else at[:0]
        shown = numpy.isfinite(values) & (values > 0)  # the axis is logarithmic
        if not shown.any():
            continue  # no value to draw: H1 errors against a reference without derivatives
        look: dict[str, Any] = {"color": curve.colour, "label": curve.label, "linewidth": 1.4}
        look |= {"marker": curve.marker if shown.sum() <= 30 else None, "markersize": 4}
        # A line through fewer than six points would suggest values between them.
        look["linestyle"] = curve.line if len(at) > 5 else "none"
        ax.plot(at[shown], values[shown], **look)
    ax.set_yscale("log")
    # A large range of steps or seconds is logarithmic, but linear near zero.
    positive = at[at > 0]
    top = float(positive.max()) if len(positive) else 1.0
    first = float(positive.min()) if len(positive) else 1.0
    if not even and top > (40 if x == "step" else 20 * first):
        ax.set_xscale("symlog", linthresh=10 ** math.floor(math.log10(first)), linscale=0.3)
        ax.set_xlim(0, top * 1.2)
    else:
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=x == "step"))
        ax.set_xlim(-0.04 * top, top * 1.06)
    stage = history.column("stage")
    across, marked = ax.transData + ax.transAxes.inverted(), -1.0
    numbers = list(dict.fromkeys(stage[1:].astype(int).tolist()))
    for number in numbers if len(numbers) > 1 else ():
        # A stage starts where the stage before has ended; the first row is before any step.
        start = float(at[int((stage[1:] == number).argmax())])
        title = titles[number] if number < len(titles) else ""
        if number != numbers[0] and (title or number >= len(titles)):
            ax.axvline(start, color=style.GREY, linewidth=0.6, linestyle=(0, (2, 2)), zorder=0)
        place = across.transform((start, 1.0))[0]
        if title and place - marked > 0.035:  # the least distance of titles, over the axes' width
            marked = place
            # above the axes, where it covers no curve
            look = {"rotation": 55, "rotation_mode": "anchor", "color": style.GREY, "va": "bottom"}
            look |= {"ha": "left", "fontsize": STYLE.small - 1, "textcoords": "offset points"}
            look |= {"xycoords": ("data", "axes fraction"), "xytext": (-2, 2)}
            ax.annotate(title, (start, 1.0), **look)
    ax.set_xlabel("steps" if x == "step" else "seconds in the optimizers")
    return style.tidy(ax, "y")
