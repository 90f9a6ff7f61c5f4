"""Pictures of solutions in time: snapshots, components, phases, and the steps of a march."""

from collections.abc import Iterator, Mapping, Sequence
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
from torch import Tensor

from kanpinn.geometry import Points
from kanpinn.geometry.product import at_one_time
from kanpinn.jets import stack_equations
from kanpinn.plotting.fields import (
    AxisValues,
    limits_of,
    map_size,
    outline_of,
    plot_values,
    streamlines_figure,
)
from kanpinn.plotting.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    PALETTE,
    STYLE,
    VERMILLION,
    new_figure,
    number_text,
    symbol,
    tidy,
)
from kanpinn.solvers.grid_fields import GridFields, sampled
from kanpinn.solvers.solution import Solution
from kanpinn.solvers.state import History
from kanpinn.spaces.function_space import space_of
from kanpinn.tasks.march import March


def snapshots_figure(solution: Solution) -> Figure:
    """Return a figure of all fields at equidistant times, from the first to the last one.

    Args:
        solution: of a problem with a time and one or two coordinates in space. Over one coordinate
            there are six lines for each field, and dashed ones for the exact solution; over two
            coordinates four maps.
    """
    domain = solution.problem.domain
    count, nodes = (6, 1001) if domain.dim == 2 else (4, 97)
    low, high = (float(corner[-1]) for corner in domain.bounds)
    moments = numpy.linspace(low, high, count)
    grids = [fields_at(solution, moment, nodes) for moment in moments]
    labels = [f"${symbol(domain.names[-1])} = $ {number_text(moment)}" for moment in moments]
    return _lines(grids, labels) if domain.dim == 2 else _maps(solution, grids, labels)


def fields_at(solution: Solution, moment: float, nodes: int) -> GridFields:
    """Return the fields and, if known, the exact ones at one time on a grid in space.

    nodes: of the grid, along each axis.
    """
    problem = solution.problem

    def evaluate(places: Points) -> Mapping[str, Tensor]:
        points = at_one_time(places, moment, problem.domain.names[-1])
        found = dict(zip(problem.fields, solution(points).double().cpu().unbind(1), strict=True))
        if problem.exact is not None:
            exact = stack_equations(problem.exact(points), len(points), "exact")
            both = zip(problem.fields, exact.unbind(1), strict=True)
            found |= {f"exact {name}": column for name, column in both}
        return found

    return sampled(space_of(problem.domain), evaluate, tuple(problem.fields), nodes=nodes)


def _lines(grids: list[GridFields], labels: list[str]) -> Figure:
    fields = grids[0].fields
    columns = min(len(fields), 3)
    rows = -(-len(fields) // columns)
    figure = new_figure(3.8 * columns + 1.2, 2.9 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for ax, field in zip(panels, fields, strict=False):
        exact = f"exact {field}"
        drawn = [(label, grid.values[field]) for label, grid in zip(labels, grids, strict=True)]
        known = [grid.values[exact] for grid in grids if exact in grid.values]
        plot_moments(ax, grids[0].axes, drawn, {"exact": known})
        ax.set_ylabel(f"${symbol(field)}$")
    for ax in list(panels):
        ax.set_axis_off()
    _legend(figure, figure.axes[0])
    return figure


def plot_moments(
    ax: Axes,
    axes: AxisValues,
    drawn: Sequence[tuple[str, numpy.ndarray]],
    known: Mapping[str, Sequence[numpy.ndarray]],
) -> Axes:
    """Plot a function of one coordinate at several times, from dark to light.

    Args:
        ax: the axes to draw in.
        axes: the values (n,) of the coordinate, by its name.
        drawn: the text for the legend and the values (n,) of each time.
        known: values (n,) to compare with, drawn dashed, by their text.

    Returns:
        The axes `ax`.
    """
    ((name, x),) = axes.items()
    colours = colormaps["viridis"](numpy.linspace(0, 0.9, len(drawn)))
    for colour, (label, values) in zip(colours, drawn, strict=True):
        ax.plot(x, values, color=colour, linewidth=1.6, label=label)
    dashed: dict[str, Any] = {"color": BLACK, "linewidth": 0.7, "linestyle": (0, (4, 3))}
    for label, several in known.items():
        for values in several:
            ax.plot(x, values, **dashed, label=label if values is several[0] else "_")
    ax.set(xlabel=f"${symbol(name)}$", xlim=(x[0], x[-1]))
    tidy(ax)
    return ax


def _legend(figure: Figure, ax: Axes) -> None:
    """Name each kind of line once, beside the panels."""
    handles, names = ax.get_legend_handles_labels()
    once = dict(zip(names, handles, strict=True))
    figure.legend(
        once.values(), once.keys(), loc="outside right center", fontsize=STYLE.small, frameon=False
    )


def _maps(solution: Solution, grids: list[GridFields], labels: list[str]) -> Figure:
    """A row of maps for each field, or a column if they are flat, with one colour scale each."""
    space, fields = space_of(solution.problem.domain), grids[0].fields
    outline = None if space.is_box else outline_of(space, grids[0])
    shape = len(fields), len(grids)
    width, height = map_size(grids[0].axes, None)
    flat = width > 3 * height
    rows, columns = shape[::-1] if flat else shape
    figure = new_figure(columns * width, rows * height)
    panels = figure.subplots(rows, columns, squeeze=False)
    for row, field in zip(panels.T if flat else panels, fields, strict=True):
        limits = limits_of(*(grid.values[field] for grid in grids))
        for ax, grid, label in zip(row, grids, labels, strict=True):
            title = f"${symbol(field)}$ at {label}"
            plot_values(ax, grid.axes, grid.values[field], limits, title, outline=outline)
    return figure


@dataclass(frozen=True, eq=False)
class Components:
    """The components of a solution that depends on the time alone.

    Args:
        name: the name of the time.
        times: ascending, (n,).
        values: of each component, (n,), by its name.
        exact: the exact ones; empty if they are not known.
        logarithmic: whether the time covers many orders of magnitude.
    """

    name: str
    times: numpy.ndarray
    values: Mapping[str, numpy.ndarray]
    exact: Mapping[str, numpy.ndarray]
    logarithmic: bool

    @classmethod
    def of(cls, solution: Solution) -> "Components":
        """Evaluate a solution of time alone, at some moments of each window if it has windows."""
        problem, pieces = solution.problem, solution.network.pieces
        low, high = (float(corner[0]) for corner in problem.domain.bounds)
        shares = torch.linspace(0, 1, 401, dtype=torch.float64)
        if pieces is not None:
            ends = pieces[:, :, 0].double()
            inside = torch.linspace(0, 1, max(5, 2000 // len(ends)), dtype=torch.float64)
            shares = (ends[:, :1] + inside * (ends[:, 1:] - ends[:, :1])).flatten().unique()
        early = 1e-4  # a first part of this size of the whole would not be seen
        logarithmic = low == 0 and bool(shares[shares > 0].min() < early / 20)
        points = Points(low + shares[:, None] * (high - low), problem.domain.names)
        values = dict(zip(problem.fields, solution(points).double().cpu().T.numpy(), strict=True))
        exact = {}
        if problem.exact is not None:
            columns = stack_equations(problem.exact(points), len(points), "exact").T.numpy()
            exact = dict(zip(problem.fields, columns, strict=True))
        times = points.coords[:, 0].numpy()
        return cls(problem.domain.names[0], times, values, exact, logarithmic)

    @property
    def norm(self) -> Normalize:
        """The scale of colours for the time."""
        if self.logarithmic:
            return LogNorm(self.times[1], self.times[-1])
        return Normalize(self.times[0], self.times[-1])


def components_figure(found: Components) -> Figure:
    """Return a figure of all components over the time.

    Those that differ much in size have a panel each.
    """
    sizes = [numpy.abs(one).max() for one in found.values.values()]
    together = max(sizes) <= 20 * min(sizes)
    rows = 1 if together else len(sizes)
    figure = new_figure(6.4, 3.0 if together else 0.6 + 1.6 * rows)
    panels = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    for number, (name, values) in enumerate(found.values.items()):
        ax, colour = panels[number % rows], PALETTE[number % len(PALETTE)]
        ax.plot(found.times, values, color=colour, linewidth=1.5, label=f"${symbol(name)}$")
        if name in found.exact:
            thin = {"color": BLACK, "linewidth": 0.7, "linestyle": (0, (4, 3))}
            ax.plot(found.times, found.exact[name], **thin, label="exact")
        ax.set_ylabel("" if together else f"${symbol(name)}$")
        ax.yaxis.get_offset_text().set_fontsize(STYLE.small)
        tidy(ax)
    if together:
        _legend(figure, panels[0])
    if found.logarithmic:
        panels[-1].set_xscale("log")
    start = found.times[1] if found.logarithmic else found.times[0]
    panels[-1].set(xlabel=f"${symbol(found.name)}$", xlim=(start, found.times[-1]))
    return figure


def phase_figure(found: Components) -> Figure:
    """Return a figure of the path of two or three components, coloured by the time."""
    names, values = list(found.values), list(found.values.values())
    deep = len(names) == 3
    figure = new_figure(5.2, 4.2)
    ax = figure.add_subplot(projection="3d" if deep else None)
    path = numpy.stack(values, axis=1)
    pairs = numpy.stack([path[:-1], path[1:]], axis=1)
    kind = Line3DCollection if deep else LineCollection
    lines = kind(list(pairs), cmap="viridis", norm=found.norm, linewidth=1.2)
    lines.set_array((found.times[:-1] + found.times[1:]) / 2)
    ax.add_collection(lines)
    limits: dict[str, Any] = {}
    for axis, name, one in zip("xyz", names, values, strict=False):
        low, high = limits_of(one)
        margin = 0.04 * (high - low)
        limits |= {f"{axis}lim": (low - margin, high + margin), f"{axis}label": f"${symbol(name)}$"}
    ax.set(**limits)
    ax.plot(*path[:1].T, "o", color=BLUE, markersize=5, label="start")
    ax.legend(fontsize=STYLE.small, frameon=False)
    bar = figure.colorbar(lines, ax=ax, pad=0.12 if deep else 0.02)
    bar.set_label(f"${symbol(found.name)}$", rotation=0)
    bar.ax.tick_params(labelsize=STYLE.small)
    ax.tick_params(labelsize=STYLE.small)
    return figure


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


def evolution_figures(solution: Solution) -> Iterator[tuple[str, Figure]]:
    """Yield file names without suffix, and figures.

    snapshots: the fields over space at some times. For a flow in the plane: streamlines at the last
    moment. For several fields of the time alone: components, over the time, and for two or three of
    them phases, their path. For a march: steps, its windows.

    Args:
        solution: of a problem with at most two coordinates in space and, as the last, a time.
    """
    domain, history = solution.problem.domain, solution.history
    velocity = solution.problem.velocity_fields
    if domain.dim > 1:
        yield "snapshots", snapshots_figure(solution)
    elif len(solution.fields) > 1:
        found = Components.of(solution)
        yield "components", components_figure(found)
        if len(solution.fields) <= 3:
            yield "phases", phase_figure(found)
    if velocity is not None:
        space, fields = space_of(domain), fields_at(solution, float(domain.bounds[1][-1]), 129)
        outline = None if space.is_box else outline_of(space, fields)
        yield "streamlines", streamlines_figure(fields, velocity, outline)
    marches = [one for one in solution.optimizers if isinstance(one, March)]
    if marches and any(row.get("window", 0) for row in history.rows):
        allowed = None if marches[-1].windows is not None else marches[-1].tolerance / 2
        begin, time = float(domain.bounds[0][-1]), domain.names[-1]
        yield "steps", steps_figure(history, begin, time, allowed)
