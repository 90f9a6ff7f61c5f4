"""The steps of a march over the time: windows, stages, intervals, and their errors."""

from dataclasses import dataclass

import numpy
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kanpinn.plotting.notation import symbol
from kanpinn.plotting.style import BLUE, GREEN, GREY, STYLE, VERMILLION, new_figure, tidy
from kanpinn.solvers.history import History


@dataclass(frozen=True, eq=False)
class WindowsTried:
    """The windows of a march, from its history.

    Args:
        starts, lengths: of all windows that were tried, (n,).
        accepted: which of them were accepted, (n,).
        rows: the rows of the history, for other columns.
    """

    starts: numpy.ndarray
    lengths: numpy.ndarray
    accepted: numpy.ndarray
    rows: History

    @classmethod
    def of(cls, history: History, begin: float) -> "WindowsTried":
        """Read the windows of a march that began at a time."""
        rows = History([row for row in history.rows if "window" in row])
        reached, number = rows.column("time"), rows.column("window")
        starts = numpy.concatenate([[begin], reached[:-1]])
        accepted = numpy.diff(number, prepend=0) > 0
        return cls(starts, rows.column("length"), accepted, rows)

    def stairs(self, name: str) -> tuple[numpy.ndarray, numpy.ndarray]:
        """The values of a column in the windows, (m,), and the ends of these, (m + 1,)."""
        ends = numpy.append(self.starts[self.accepted], self.rows.column("time")[-1:])
        return self.rows.column(name)[self.accepted], ends


def steps_figure(history: History, begin: float, time: str, allowed: float | None) -> Figure:
    """Return a figure of lengths, stages, intervals and errors of a march's windows over the time.

    For a march with cells in space, their number takes the place of that of intervals.

    Args:
        history: that of the solve, with at least one accepted window.
        begin: the first moment.
        time: the name of the time.
        allowed: the error that each window may add; None where it is not limited.
    """
    found = WindowsTried.of(history, begin)
    parts = "cells" if "cells" in found.rows.names else "intervals"
    has_intervals = found.rows.column(parts).max() > 0
    figure = new_figure(9.0, 5.6) if has_intervals else new_figure(11.0, 3.2)
    panels = figure.subplots(2, 2) if has_intervals else figure.subplots(1, 3)
    lengths, stages, errors, *others = panels.flat
    plot_lengths(lengths, found)
    _stairs(stages, found, "stages", "stages", BLUE, "-")
    _stairs(stages, found, "newton", "Newton steps", VERMILLION, "--")
    stages.set_ylabel("in each window")
    stages.legend(fontsize=STYLE.letter, frameon=False, ncols=2)
    plot_window_errors(errors, found, allowed)
    for ax in others:
        _stairs(ax, found, parts, f"{parts} in space", GREEN, "-")
        ax.set_ylabel(f"{parts} in space")
    for ax in (stages, *others):
        ax.set_ylim(0, 1.25 * ax.get_ylim()[1])  # leaves room for the legend
        ax.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    _, ends = found.stairs("stages")
    early = begin == 0 and ends[1] < 1e-4 * ends[-1]  # windows that a linear axis would not show
    for ax in panels.flat:
        ax.set_xlim(ends[1] / 2 if early else ends[0], ends[-1])
        if early:
            ax.set_xscale("log")
        ax.set_xlabel(f"${symbol(time)}$")
        tidy(ax)
    return figure


def plot_lengths(ax: Axes, found: WindowsTried) -> Axes:
    """Plot the lengths of the windows, and crosses for those that were refused."""
    _stairs(ax, found, "length", "accepted", BLUE, "-")
    refused = ~found.accepted
    if refused.any():
        at, tried = found.starts[refused], found.lengths[refused]
        ax.plot(at, tried, "x", color=GREY, markersize=4, label="refused")
    ax.set_yscale("log")
    ax.set_ylabel("length of the windows")
    ax.legend(fontsize=STYLE.letter, frameon=False)
    return ax


def plot_window_errors(ax: Axes, found: WindowsTried, allowed: float | None = None) -> Axes:
    """Plot the relative errors of the windows, and of the solution up to them.

    Args:
        ax: the axes to draw in.
        found: the windows.
        allowed: the error that each window may add, drawn as a line.
    """
    _stairs(ax, found, "window_error", "of a window in time", BLUE, "-")
    in_space = "space_error" if "space_error" in found.rows.names else "spline_error"
    if numpy.nanmax(found.rows.column(in_space)) > 0:
        _stairs(ax, found, in_space, "of a window in space", GREEN, "-.")
    reached = found.rows.column("time")
    ax.plot(
        reached[found.accepted],
        found.rows.column("estimated_error")[found.accepted],
        color=VERMILLION,
        linewidth=1.2,
        label="estimated up to there",
    )
    if "l2_relative" in found.rows.names:
        ax.plot(
            reached,
            found.rows.column("l2_relative"),
            "s",
            color="none",
            markeredgecolor=VERMILLION,
            markersize=4,
            label="measured up to there",
        )
    if allowed is not None:
        ax.axhline(
            allowed, color=GREY, linewidth=0.8, linestyle=(0, (3, 3)), label="allowed for a window"
        )
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    ax.set_ylim(low * (low / high) ** 0.35, high)  # leaves room for the legend
    ax.legend(fontsize=STYLE.letter, frameon=False, ncols=2, loc="lower center")
    ax.set_ylabel("relative $L^2$ error")
    return ax


def _stairs(ax: Axes, found: WindowsTried, column: str, label: str, colour: str, line: str) -> None:
    values, ends = found.stairs(column)
    shown = numpy.where(values > 0, values, numpy.nan)
    ax.stairs(shown, ends, baseline=None, color=colour, linestyle=line, linewidth=1.4, label=label)
