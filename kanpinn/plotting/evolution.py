"""Pictures of solutions in time: snapshots, components, phases, and the steps of a march."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from mpl_toolkits.mplot3d.art3d import Line3DCollection  # type: ignore[import-untyped]

from kanpinn.geometry import Points
from kanpinn.plotting import style
from kanpinn.plotting.fields import (
    Sheet,
    limits_of,
    plot_magnitude,
    plot_values,
    streamlines_figure,
)
from kanpinn.plotting.style import STYLE
from kanpinn.solvers.grid_fields import KNOWN, GridFields, fields_at_points, on_grid
from kanpinn.solvers.solution import Solution
from kanpinn.solvers.state import History
from kanpinn.tasks.march import March

DASHED: dict[str, Any] = {"color": style.BLACK, "linewidth": 0.7, "linestyle": (0, (4, 3))}


def plot_times(
    ax: Axes, shown: Sequence[GridFields], name: str, time: str, error: bool = False
) -> Axes:
    """Plot a field over one coordinate at several times, from dark to light.

    What the solution is compared with is dashed.

    Args:
        ax: the axes to draw in.
        shown: the fields at each time, over one coordinate or along a cut.
        name: the name of the field.
        time: the name of the time.
        error: whether to draw the absolute values of the errors.

    Returns:
        The axes `ax`.
    """
    ((coordinate, x),) = shown[0].axes.items()
    colours = colormaps["viridis"](numpy.linspace(0, 0.9, len(shown)))
    for colour, fields in zip(colours, shown, strict=True):
        values = fields.of(name)
        curve = numpy.abs(values["error"]) if error else values["solution"]
        label = f"${style.symbol(time)} = $ {style.number_text(fields.fixed[time])}"
        ax.plot(x, curve, color=colour, linewidth=1.6, label=label)
    for number, fields in enumerate([] if error else shown):
        for known, curve in fields.of(name).items():
            if known in KNOWN:
                ax.plot(x, curve, **DASHED, label="_" if number else known)
    label = f"${style.symbol(name)}$"
    ax.set(xlabel=f"${style.symbol(coordinate)}$", xlim=(x[0], x[-1]))
    ax.set_ylabel(f"|error of {label}|" if error else label)
    if error:
        ax.set_yscale("log")
    return style.tidy(ax)


def plot_maps(
    row: Iterable[Axes],
    solution: Solution,
    shown: Sequence[GridFields],
    name: str,
    titles: Sequence[str],
    error: bool = False,
) -> None:
    """Plot a field over two coordinates, a panel for each time, with one scale of colours.

    Args:
        row: the axes to draw in.
        solution: the solution.
        shown: the fields at each time.
        name: the name of the field.
        titles: what follows the name in the title of each panel.
        error: whether to draw the absolute values of the errors.
    """
    limits, label = limits_of(*(fields.values[name] for fields in shown)), f"${style.symbol(name)}$"
    label = f"|error of {label}|" if error else label
    for ax, fields, where in zip(row, shown, titles, strict=True):
        sheet, title = Sheet.of(solution.problem.domain, fields), f"{label} {where}".strip()
        if error:
            plot_magnitude(ax, sheet, fields.of(name)["error"], title)
        else:
            plot_values(ax, sheet, fields.values[name], limits, title)


def components(solution: Solution) -> GridFields:
    """Evaluate a solution of time alone, at some moments of each window if it has windows."""
    problem, pieces = solution.problem, solution.network.pieces
    low, high = (float(corner[0]) for corner in problem.domain.bounds)
    shares = torch.linspace(0, 1, 401, dtype=torch.float64)
    if pieces is not None:
        ends = pieces[:, :, 0].double()
        inside = torch.linspace(0, 1, max(5, 2000 // len(ends)), dtype=torch.float64)
        shares = (ends[:, :1] + inside * (ends[:, 1:] - ends[:, :1])).flatten().unique()
    points = Points(low + shares[:, None] * (high - low), problem.domain.names)
    values = fields_at_points(solution, points, compared=problem.exact is not None)
    times = {problem.domain.names[0]: points.coords[:, 0].numpy()}
    return GridFields(times, {k: v.numpy() for k, v in values.items()}, {}, solution.fields)


def is_logarithmic(times: numpy.ndarray) -> bool:
    """Whether ascending times (n,) from 0 cover orders of magnitude that would not be seen."""
    early = 1e-4  # a first part of this size of the whole would not be seen
    return bool(times[0] == 0 and times[1] < early / 20 * times[-1])


def components_figure(shown: GridFields) -> Figure:
    """Return a figure of all components over the time.

    Those that differ much in size have a panel each. shown: as `components` gives them.
    """
    ((time, times),) = shown.axes.items()
    sizes = [numpy.abs(shown.values[name]).max() for name in shown.fields]
    together = max(sizes) <= 20 * min(sizes)
    rows = 1 if together else len(sizes)
    figure = style.new_figure(6.4, 3.0 if together else 0.6 + 1.6 * rows)
    panels = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    for number, name in enumerate(shown.fields):
        ax, colour = panels[number % rows], style.PALETTE[number % len(style.PALETTE)]
        values = shown.of(name)
        ax.plot(
            times, values["solution"], color=colour, linewidth=1.5, label=f"${style.symbol(name)}$"
        )
        if "exact" in values:
            ax.plot(times, values["exact"], **DASHED, label="exact")
        ax.set_ylabel("" if together else f"${style.symbol(name)}$")
        ax.yaxis.get_offset_text().set_fontsize(STYLE.small)
        style.tidy(ax)
    if together:
        style.legend_beside(figure, panels[0])
    if logarithmic := is_logarithmic(times):
        panels[-1].set_xscale("log")
    panels[-1].set(xlabel=f"${style.symbol(time)}$", xlim=(times[int(logarithmic)], times[-1]))
    return figure


def phase_figure(shown: GridFields) -> Figure:
    """Return a figure of the path of two or three components, coloured by the time."""
    ((time, times),) = shown.axes.items()
    deep = len(shown.fields) == 3
    figure = style.new_figure(5.2, 4.2)
    ax = figure.add_subplot(projection="3d" if deep else None)
    path = numpy.stack([shown.values[name] for name in shown.fields], axis=1)
    pairs = numpy.stack([path[:-1], path[1:]], axis=1)
    kind = Line3DCollection if deep else LineCollection
    logarithmic = is_logarithmic(times)
    norm = (LogNorm if logarithmic else Normalize)(times[int(logarithmic)], times[-1])
    lines = kind(list(pairs), cmap="viridis", norm=norm, linewidth=1.2)
    lines.set_array((times[:-1] + times[1:]) / 2)
    ax.add_collection(lines)
    for axis, name, values in zip("xyz", shown.fields, path.T, strict=False):
        low, high = limits_of(values)
        margin = 0.04 * (high - low)
        limits = {f"{axis}lim": (low - margin, high + margin)}
        ax.set(**limits, **{f"{axis}label": f"${style.symbol(name)}$"})
    ax.plot(*path[:1].T, "o", color=style.BLUE, markersize=5, label="start")
    ax.legend(fontsize=STYLE.small, frameon=False)
    bar = figure.colorbar(lines, ax=ax, pad=0.12 if deep else 0.02)
    bar.set_label(f"${style.symbol(time)}$", rotation=0)
    bar.ax.tick_params(labelsize=STYLE.small)
    ax.tick_params(labelsize=STYLE.small)
    return figure


@dataclass(frozen=True, eq=False)
class WindowsTried:
    """The windows of a march, from its history.

    Args:
        starts: of all windows that were tried, (n,).
        accepted: which of them were accepted, (n,).
        rows: the rows of the history.
    """

    starts: numpy.ndarray
    accepted: numpy.ndarray
    rows: History

    @classmethod
    def of(cls, history: History, begin: float) -> "WindowsTried":
        """Read the windows of a march that began at a time."""
        rows = History([row for row in history.rows if "window" in row])
        reached, number = rows.column("time"), rows.column("window")
        starts = numpy.concatenate([[begin], reached[:-1]])
        accepted = numpy.diff(number, prepend=0) > 0
        return cls(starts, accepted, rows)

    @property
    def ends(self) -> numpy.ndarray:
        """The ends of the m accepted windows, (m + 1,)."""
        return numpy.append(self.starts[self.accepted], self.rows.column("time")[-1:])

    def plot(self, ax: Axes, column: str, label: str, colour: str, line: str) -> None:
        """Plot the values of a column in the accepted windows as stairs."""
        values = self.rows.column(column)[self.accepted]
        shown = numpy.where(values > 0, values, numpy.nan)
        look: dict[str, Any] = {"color": colour, "linestyle": line, "linewidth": 1.4}
        ax.stairs(shown, self.ends, baseline=None, label=label, **look)


def steps_figure(history: History, begin: float, time: str, allowed: float | None) -> Figure:
    """Return a figure of lengths, stages, intervals and errors of a march's windows over the time.

    The errors are relative: of the windows, and of the solution up to them. For a march with cells
    in space, their number takes the place of that of intervals.

    Args:
        history: that of the solve, with at least one accepted window.
        begin: the first moment.
        time: the name of the time.
        allowed: the error that each window may add; None where it is not limited.
    """
    windows = WindowsTried.of(history, begin)
    rows, ends = windows.rows, windows.ends
    parts = "cells" if "cells" in rows.names else "intervals"
    has_intervals = rows.column(parts).max() > 0
    figure = style.new_figure(9.0, 5.6) if has_intervals else style.new_figure(11.0, 3.2)
    panels = figure.subplots(2, 2) if has_intervals else figure.subplots(1, 3)
    lengths, stages, errors, *others = panels.flat
    windows.plot(lengths, "length", "accepted", style.BLUE, "-")
    if (refused := ~windows.accepted).any():
        at, tried = windows.starts[refused], rows.column("length")[refused]
        lengths.plot(at, tried, "x", color=style.GREY, markersize=4, label="refused")
    lengths.set(yscale="log", ylabel="length of the windows")
    lengths.legend(fontsize=STYLE.letter, frameon=False)
    windows.plot(stages, "stages", "stages", style.BLUE, "-")
    windows.plot(stages, "newton", "Newton steps", style.VERMILLION, "--")
    stages.set_ylabel("in each window")
    stages.legend(fontsize=STYLE.letter, frameon=False, ncols=2)
    windows.plot(errors, "window_error", "of a window in time", style.BLUE, "-")
    in_space = "space_error" if "space_error" in rows.names else "spline_error"
    if numpy.nanmax(rows.column(in_space)) > 0:
        windows.plot(errors, in_space, "of a window in space", style.GREEN, "-.")
    reached, known = rows.column("time"), windows.accepted
    estimated = rows.column("estimated_error")[known]
    line: dict[str, Any] = {"color": style.VERMILLION, "linewidth": 1.2}
    errors.plot(reached[known], estimated, label="estimated up to there", **line)
    if "l2_relative" in rows.names:
        look: dict[str, Any] = {
            "color": "none",
            "markeredgecolor": style.VERMILLION,
            "markersize": 4,
        }
        measured = rows.column("l2_relative")
        errors.plot(reached, measured, "s", label="measured up to there", **look)
    if allowed is not None:
        line = {"color": style.GREY, "linewidth": 0.8, "linestyle": (0, (3, 3))}
        errors.axhline(allowed, label="allowed for a window", **line)
    errors.set(yscale="log", ylabel="relative $L^2$ error")
    low, high = errors.get_ylim()
    errors.set_ylim(low * (low / high) ** 0.35, high)  # leaves room for the legend
    errors.legend(fontsize=STYLE.letter, frameon=False, ncols=2, loc="lower center")
    for ax in others:
        windows.plot(ax, parts, f"{parts} in space", style.GREEN, "-")
        ax.set_ylabel(f"{parts} in space")
    for ax in (stages, *others):
        ax.set_ylim(0, 1.25 * ax.get_ylim()[1])  # leaves room for the legend
        ax.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    early = begin == 0 and ends[1] < 1e-4 * ends[-1]  # windows that a linear axis would not show
    for ax in panels.flat:
        ax.set_xlim(ends[1] / 2 if early else ends[0], ends[-1])
        if early:
            ax.set_xscale("log")
        ax.set_xlabel(f"${style.symbol(time)}$")
        style.tidy(ax)
    return figure


def evolution_figures(solution: Solution) -> Iterator[tuple[str, Figure]]:
    """Yield file names without suffix, and figures.

    For a flow in the plane: streamlines at the last moment. For several fields of the time alone:
    components, over the time, and for two or three of them phases, their path. For a march: steps,
    its windows.

    Args:
        solution: of a problem with at most two coordinates in space and, as the last, a time.
    """
    domain, history = solution.problem.domain, solution.history
    velocity = solution.problem.velocity_fields
    if domain.dim == 1 and len(solution.fields) > 1:
        shown = components(solution)
        yield "components", components_figure(shown)
        if len(solution.fields) <= 3:
            yield "phases", phase_figure(shown)
    if velocity is not None:
        at = {domain.names[-1]: float(domain.bounds[1][-1])}
        fields = on_grid(solution, domain.names[:-1], 129, at=at, residuals=False, compared=False)
        yield "streamlines", streamlines_figure(fields, Sheet.of(domain, fields), velocity)
    marches = [method for method in solution.optimizers if isinstance(method, March)]
    if marches and any(row.get("window", 0) for row in history.rows):
        allowed = None if marches[-1].windows is not None else marches[-1].tolerance / 2
        begin, time = float(domain.bounds[0][-1]), domain.names[-1]
        yield "steps", steps_figure(history, begin, time, allowed)
