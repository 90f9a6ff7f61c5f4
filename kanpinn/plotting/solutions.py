"""The pictures of a solution: figures of a run, `Solution.plot`, and cards of solutions and errors.

The figures of a run show fields, history, edges, conserved quantities and unknown parameters; for
solutions in time also snapshots, components, phases, and the steps of a march.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
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

from kanpinn._support.errors import InputError, one_of
from kanpinn.accuracy import Invariant
from kanpinn.accuracy.errors import Errors, Estimate
from kanpinn.geometry import Points
from kanpinn.plotting import card as cards
from kanpinn.plotting import fields as maps
from kanpinn.plotting import style
from kanpinn.plotting.edges import edges_figure, edges_of
from kanpinn.plotting.history import history_figure
from kanpinn.plotting.style import STYLE
from kanpinn.solvers.grid_fields import KNOWN, GridFields, fields_at_points, on_grid, plane_of
from kanpinn.solvers.solution import Solution
from kanpinn.solvers.state import UNKNOWN, History
from kanpinn.solvers.summary import ERROR_HEAD, ShownTable, estimate_rows, norm_rows
from kanpinn.tasks.march import March

DASHED: dict[str, Any] = {"color": style.BLACK, "linewidth": 0.7, "linestyle": (0, (4, 3))}


def plot_times(
    ax: Axes, shown: Sequence[GridFields], name: str, time: str, error: bool = False
) -> Axes:
    """Plot a field over one coordinate at several times, from dark to light.

    The exact solution or the reference, if known, is dashed.

    Args:
        ax: the axes to draw in.
        shown: the fields at each time, over one coordinate or along a cut.
        name: the name of the field.
        time: the name of the time coordinate.
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
        row: the axes to draw in, one for each time.
        solution: the solution.
        shown: the fields at each time.
        name: the name of the field.
        titles: the end of each panel's title, after the name of the field.
        error: whether to draw the absolute values of the errors.
    """
    limits = maps.limits_of(*(fields.values[name] for fields in shown))
    label = f"|error of ${style.symbol(name)}$|" if error else f"${style.symbol(name)}$"
    for ax, fields, where in zip(row, shown, titles, strict=True):
        sheet, title = maps.Sheet.of(solution.problem.domain, fields), f"{label} {where}".strip()
        if error:
            maps.plot_magnitude(ax, sheet, fields.of(name)["error"], title)
        else:
            maps.plot_values(ax, sheet, fields.values[name], limits, title)


def components(solution: Solution) -> GridFields:
    """Evaluate a solution whose only coordinate is time, at 401 moments.

    A network in time windows is evaluated at several moments of each window instead.
    """
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
    """Return whether the axis of ascending times (n,) is logarithmic.

    The axis is logarithmic if the times begin at 0 and are much denser there than later.
    """
    early = 1e-4  # a linear axis would not show a first part with this share of the time
    return bool(times[0] == 0 and times[1] < early / 20 * times[-1])


def components_figure(shown: GridFields) -> Figure:
    """Return a figure of all fields over time, in one panel each if their sizes differ much.

    Args:
        shown: the fields, from `components`.
    """
    ((time, times),) = shown.axes.items()
    sizes = [numpy.abs(shown.values[name]).max() for name in shown.fields]
    together = max(sizes) <= 20 * min(sizes)
    rows = 1 if together else len(sizes)
    figure = style.new_figure(6.4, 3.0 if together else 0.6 + 1.6 * rows)
    panels = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    for number, name in enumerate(shown.fields):
        ax, colour = panels[number % rows], style.PALETTE[number % len(style.PALETTE)]
        values, label = shown.of(name), f"${style.symbol(name)}$"
        ax.plot(times, values["solution"], color=colour, linewidth=1.5, label=label)
        if "exact" in values:
            ax.plot(times, values["exact"], **DASHED, label="exact")
        ax.set_ylabel("" if together else label)
        ax.yaxis.get_offset_text().set_fontsize(STYLE.small)
        style.tidy(ax)
    if together:
        style.legend_beside(figure, panels[0])
    if logarithmic := is_logarithmic(times):
        panels[-1].set_xscale("log")
    panels[-1].set(xlabel=f"${style.symbol(time)}$", xlim=(times[int(logarithmic)], times[-1]))
    return figure


def phase_figure(shown: GridFields) -> Figure:
    """Return a figure of the path of two or three fields in phase space, coloured by time.

    The figure is three-dimensional for three fields. The colours are logarithmic in time if the
    moments are dense near 0 (`is_logarithmic`).

    Args:
        shown: the fields over time, their only axis.
    """
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
        low, high = maps.limits_of(values)
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
    """The n windows that a march has tried, from its history.

    Args:
        starts: the start of each window, (n,).
        accepted: whether each window was accepted, (n,).
        rows: the row of the history for each window.
    """

    starts: numpy.ndarray
    accepted: numpy.ndarray
    rows: History

    @classmethod
    def of(cls, history: History, begin: float) -> "WindowsTried":
        """Read the windows of a march from its history.

        Args:
            history: the history.
            begin: the first moment of the march.
        """
        rows = History([row for row in history.rows if "window" in row])
        reached, number = rows.column("time"), rows.column("window")
        starts = numpy.concatenate([[begin], reached[:-1]])
        accepted = numpy.diff(number, prepend=0) > 0
        return cls(starts, accepted, rows)

    @property
    def ends(self) -> numpy.ndarray:
        """The starts of the m accepted windows and the end of the last, (m + 1,)."""
        return numpy.append(self.starts[self.accepted], self.rows.column("time")[-1:])

    def plot(self, ax: Axes, column: str, label: str, colour: str, line: str) -> None:
        """Plot the positive values of a column in the accepted windows as stairs.

        Args:
            ax: the axes.
            column: the name of the column in the history.
            label: the text in the legend.
            colour: the colour of the line.
            line: its style, such as "--".
        """
        values = self.rows.column(column)[self.accepted]
        shown = numpy.where(values > 0, values, numpy.nan)
        look: dict[str, Any] = {"color": colour, "linestyle": line, "linewidth": 1.4}
        ax.stairs(shown, self.ends, baseline=None, label=label, **look)


def steps_figure(history: History, begin: float, time: str, allowed: float | None) -> Figure:
    """Return a figure of a march's windows over time: lengths, stages, errors, intervals in space.

    The errors are the relative errors of the windows, and of the solution up to each window. For a
    march with cells in space, the figure has the number of cells, not of intervals.

    Args:
        history: the history of the solve, with at least one accepted window.
        begin: the first moment.
        time: the name of the time coordinate.
        allowed: the error that each window may add; None if it is not limited.
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
        (marks,) = errors.plot(reached, rows.column("l2_relative"), "s", markersize=4)
        marks.set(label="measured up to there", color="none", markeredgecolor=style.VERMILLION)
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
    """Yield pairs of a name and a figure for a solution in time.

    "streamlines" shows a flow in the plane at the last moment. For several fields without
    coordinates in space, "components" shows them over time and, for two or three fields, "phases"
    shows their path. "steps" shows the windows of a march.

    Args:
        solution: a solution with at most two coordinates in space, and time as the last coordinate.
    """
    domain, history = solution.problem.domain, solution.history
    velocity = solution.problem.velocity_fields
    if domain.dim == 1 and len(solution.fields) > 1:
        shown = components(solution)
        yield "components", components_figure(shown)
        if len(solution.fields) <= 3:
            yield "phases", phase_figure(shown)
    if velocity is not None:
        at = {domain.names[-1]: domain.time_span[1]}
        fields = on_grid(solution, domain.names[:-1], 129, at=at, residuals=False, compared=False)
        sheet = maps.Sheet.of(domain, fields)
        yield "streamlines", maps.streamlines_figure(fields, sheet, velocity)
    marches = [method for method in solution.optimizers if isinstance(method, March)]
    if marches and any(row.get("window", 0) for row in history.rows):
        allowed = None if marches[-1].windows is not None else marches[-1].tolerance / 2
        begin, time = domain.time_span[0], domain.names[-1]
        yield "steps", steps_figure(history, begin, time, allowed)


def unknown_figures(solution: Solution, fields: GridFields) -> Iterator[tuple[str, Figure]]:
    """Yield pairs of a name and a figure: "unknowns", and "interval_a" for a coefficient field a.

    "unknowns" has a row for each unknown parameter: its values at all steps and, if its 95% bounds
    are finite, a close-up over three times the distance between the bounds. A coefficient field
    over two coordinates without any finite bound has no figure.

    Args:
        solution: the solution of an inverse problem.
        fields: the solution on a grid with one or two axes.
    """
    if solution.problem.numbers:
        closeups = [one.is_identified and one.high > one.low for one in solution.estimated.values()]
        columns = 1 + any(closeups)
        figure = style.new_figure(8.4, 2.8 * len(closeups))
        rows = figure.subplots(len(closeups), columns, squeeze=False)
        for (whole, *near), (name, value) in zip(rows, solution.estimated.items(), strict=True):
            plot_unknown(whole, solution, name)
            title = f"{name.replace('_', ' ')} = {value}"
            whole.set_title(title, fontsize=8, color=style.GREY, loc="left")
            width = value.high - value.low
            for ax in near:
                if value.is_identified and width:
                    plot_unknown(ax, solution, name, (value.low - width, value.high + width))
                else:
                    ax.set_axis_off()
        yield "unknowns", figure
    for name in solution.problem.fields:
        if name in solution.problem.unknowns:
            interval = band_figure(fields, name)
            if interval is not None:
                yield f"interval_{name}", interval


def plot_unknown(
    ax: Axes, solution: Solution, name: str, limits: tuple[float, float] | None = None
) -> Axes:
    """Plot an unknown parameter against steps, its 95% bounds shaded, the exact value dashed.

    Args:
        ax: the axes to draw in.
        solution: the solution of an inverse problem.
        name: the name of the parameter.
        limits: the limits of the vertical axis; by default all values are shown.

    Returns:
        The axes `ax`.
    """
    value, history = solution.estimated[name], solution.history
    if value.is_identified:
        band = ax.axhspan(value.low, value.high, color=style.BLUE, alpha=0.2)
        band.set(linewidth=0, label="95% interval")
    if value.exact is not None:
        label = f"exact {value.exact:.6g}"
        if limits is not None and not limits[0] <= value.exact <= limits[1]:
            label += " (outside)"
        ax.axhline(value.exact, color=style.VERMILLION, linestyle="--", linewidth=1.0, label=label)
    values = history.column(UNKNOWN + name)
    ax.plot(history.column("step"), values, "o-", color=style.BLUE, markersize=3, linewidth=1.2)
    if limits is not None:
        ax.set_ylim(*limits)
    ax.set(xlabel="steps", ylabel=name.replace("_", " "))
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    if ax.get_legend_handles_labels()[0]:
        ax.legend(frameon=False, fontsize=8)
    return style.tidy(ax)


def band_figure(fields: GridFields, name: str) -> Figure | None:
    """Return a figure of an unknown field's 95% bounds, or of their half-widths.

    Over one coordinate, the field is drawn with its bounds. Over two, the half-widths are drawn; if
    the true field is known, a second panel has the error in units of the half-width, in which
    values above 3 have the colour of 3.

    Args:
        fields: the solution on a grid with one or two axes.
        name: the name of the unknown field.

    Returns:
        The figure; None over two coordinates if no half-width is finite.
    """
    if len(fields.axes) == 1:
        figure = style.new_figure(4.6, 3.2)
        plot_band(figure.subplots(), fields, name)
        return figure
    low, high = fields.ends(name)
    half = numpy.full_like(low, numpy.nan)
    known = numpy.isfinite(low) & numpy.isfinite(high)
    half[known] = (high[known] - low[known]) / 2
    if not known.any():
        return None
    error = fields.of(name).get("error")
    figure = style.new_figure(4.4 if error is None else 8.8, 3.6)
    first, *more = figure.subplots(1, 1 if error is None else 2, squeeze=False)[0]
    title = f"half-width of the 95% interval of ${style.symbol(name)}$"
    sheet, top = maps.Sheet(fields.axes), float(numpy.nanmax(half)) or 1.0
    maps.plot_values(first, sheet, half, (0.0, top), title, diverging=False)
    if error is not None:
        sizes = numpy.abs(error) / half  # above 1 the bounds do not contain the true value
        known = sizes[numpy.isfinite(sizes)]
        share = float((known <= 1).mean()) if len(known) else 1.0
        top = min(3.0, max(1.0, float(known.max(initial=0.0))))
        title = f"|error| / half-width: at most 1 on {share:.0%}"
        maps.plot_values(more[0], sheet, sizes, (0.0, top), title, diverging=False)
    return figure


def plot_band(ax: Axes, fields: GridFields, name: str) -> Axes:
    """Plot a field over one coordinate; return the axes.

    The 95% intervals are shaded where they are finite. The exact field is dashed, if there is one.

    Args:
        ax: the axes.
        fields: the fields on a grid with one axis.
        name: the name of the field.
    """
    ((coordinate, x),) = fields.axes.items()
    (low, high), values = fields.ends(name), fields.of(name)
    if (known := numpy.isfinite(low) & numpy.isfinite(high)).any():
        band = ax.fill_between(x, low, high, where=known.tolist(), color=style.BLUE, alpha=0.2)
        band.set(linewidth=0, label="95% interval")
    ax.plot(x, values["solution"], color=style.BLUE, linewidth=1.4, label="estimate")
    if "exact" in values:
        ax.plot(x, values["exact"], "--", color=style.VERMILLION, linewidth=1.0, label="exact")
    ax.set_xlabel(f"${style.symbol(coordinate)}$")
    ax.set_ylabel(f"${style.symbol(name)}$")
    ax.legend(frameon=False, fontsize=8)
    return style.tidy(ax)


def drifts_figure(invariants: Mapping[str, Invariant], time: str) -> Figure:
    """Return a figure of the relative drift |I(t) - I(0)| / size of each invariant I over time.

    The vertical axis is logarithmic; drifts below 1e-17, the rounding error, are drawn at 1e-17.

    Args:
        invariants: the invariants by name.
        time: the name of the time coordinate.
    """
    least = 1e-17
    figure = style.new_figure(5.0, 3.2)
    ax = figure.subplots()
    for number, (name, invariant) in enumerate(invariants.items()):
        changes = abs(invariant.drifts[1:]) / (invariant.size or 1.0)
        look = style.style_of(number) | ({"marker": None} if len(changes) > 30 else {})
        look |= {"markersize": STYLE.marker, "linewidth": 1.2, "label": name}
        ax.plot(invariant.times[1:], numpy.maximum(changes, least), **look)
    ax.set(yscale="log", xlabel=f"${time}$", ylabel="relative drift")
    ax.legend(frameon=False, fontsize=STYLE.letter)
    style.tidy(ax, "y")
    return figure


def figures(solution: Solution, fields: GridFields | None = None) -> Iterator[tuple[str, Figure]]:
    """Yield pairs of a name and a figure for a solution.

    The names are "solution", or "solution_u" for each field u of a system; "residuals" for a
    system; "history" after several steps; "edges" for KANs; "unknowns" for unknown parameters, and
    "interval_a" for the confidence intervals of a coefficient field a; "drifts" for
    the relative changes of invariants over time; "cells" for cells in the plane; "streamlines" for
    flows in the plane. For solutions in time, "snapshots" has the fields over space at some times,
    and the figures of `evolution_figures` follow. Above two dimensions, a solution is drawn on a
    cut through the centre, along the coordinates of `plane_of`.

    Args:
        solution: the solution.
        fields: the solution on a grid, if it has been evaluated already.
    """
    problem, domain = solution.problem, solution.problem.domain
    names = plane_of(domain)
    if fields is None or tuple(fields.axes) != names:
        fields = on_grid(solution, names)
    sheet, several, time = maps.Sheet.of(domain, fields), len(fields.fields) > 1, domain.time_name
    for field in fields.fields:
        name = f"solution_{field}" if several else "solution"
        yield name, maps.solution_figure(fields, sheet, field)
    if several or len(fields.residuals) > 1:
        yield "residuals", maps.residual_figure(fields, sheet)
    if problem.velocity_fields is not None and time is None:
        yield "streamlines", maps.streamlines_figure(fields, sheet, problem.velocity_fields)
    if solution.network.levels is not None and domain.dim == 2:
        yield "cells", maps.cells_figure(solution, fields, sheet)
    if problem.unknowns:
        yield from unknown_figures(solution, fields)
    if problem.invariants is not None:
        yield "drifts", drifts_figure(solution.invariants, domain.names[-1])
    if time is not None and time == domain.names[-1] and domain.dim <= 3:
        if domain.dim > 1:
            count, nodes = (6, 1001) if domain.dim == 2 else (4, 97)
            low, high = domain.time_span
            figure = style.new_figure(1, 1)
            plot(solution, time=numpy.linspace(low, high, count), nodes=nodes, ax=figure)
            yield "snapshots", figure
        yield from evolution_figures(solution)
    if (course := history_figure(solution)) is not None:
        yield "history", course
    edges = edges_of(solution)
    if any(edges):
        yield "edges", edges_figure(edges)


def plot(
    solution: Solution,
    field: str | None = None,
    *,
    along: str | Sequence[str] | None = None,
    cut: cards.Ends | None = None,
    at: Mapping[str, float | int] | None = None,
    time: float | int | Sequence[float | int] | numpy.ndarray | None = None,
    error: bool = False,
    nodes: int | None = None,
    ax: style.Given | Figure = None,
) -> Any:
    """Draw a solution; the arguments are those of `Solution.plot`.

    Here `ax` may also be an empty figure, in which the axes are made.
    """
    domain, names = solution.problem.domain, solution.fields
    if field is not None:
        one_of("field", field, names)
        names = (field,)
    moments: list[Mapping[str, float]] = [{}]
    if time is not None:
        if domain.time_name is None:
            raise InputError(f"time is for problems with a coordinate t, got time = {time!r}")
        times = numpy.atleast_1d(numpy.asarray(time, dtype=float))
        if times.ndim != 1 or not len(times):
            raise InputError(f"time must be a number or a list of numbers, got {time!r}")
        moments = [{domain.time_name: float(moment)} for moment in times]
    places = [cards.Place.of(domain, along, cut, {**(at or {}), **moment}) for moment in moments]
    first, shown = places[0], [_sample(solution, place, nodes, error) for place in places]
    if error and "error" not in shown[0].of(names[0]):
        raise InputError("error needs an exact solution, or a reference with values everywhere")
    if first.dim == 1:
        axes = style.panels(ax, len(names), 3, (4.6, 3.2))
        for panel, name in zip(axes, names, strict=True):
            _draw_lines(panel, solution, shown, name, first, error)
        return style.returned(axes)
    size, columns = maps.Sheet.of(domain, shown[0]).size(), len(shown) if len(shown) > 1 else 3
    axes = style.panels(ax, len(names) * len(shown), columns, size).reshape(len(names), len(shown))
    for row, name in zip(axes, names, strict=True):
        plot_maps(row, solution, shown, name, [_where(fields) for fields in shown], error)
    return style.returned(axes)


def _sample(solution: Solution, place: cards.Place, nodes: int | None, error: bool) -> GridFields:
    """Evaluate the fields of a solution at a place.

    For errors and for lines, the exact solution or the reference is evaluated, too. A reference
    that is not computed yet is computed for errors only.

    Args:
        solution: the solution.
        place: the part of the domain that is shown.
        nodes: the number of grid points along each axis; None for the default number.
        error: whether the error is shown.
    """
    reference = solution.reference
    at_hand = solution.problem.exact is not None or (reference is not None and reference.is_ready)
    compared = error or (place.dim == 1 and at_hand)
    if place.cut is None:
        options = {"residuals": False, "compared": compared}
        return on_grid(solution, place.along, nodes, at=place.at, **options)
    evaluate = lambda points: fields_at_points(solution, points, compared=compared)  # noqa: E731
    return place.on_cut(evaluate, tuple(solution.fields), nodes)


def _draw_lines(
    ax: Axes,
    solution: Solution,
    shown: Sequence[GridFields],
    name: str,
    place: cards.Place,
    error: bool,
) -> None:
    """Draw a field over one coordinate or along a cut.

    Args:
        ax: the axes to draw in.
        solution: the solution.
        shown: the fields at one moment, or at several times.
        name: the name of the field.
        place: the coordinate or the cut.
        error: whether to draw the absolute values of the errors.
    """
    fields, label = shown[0], f"${style.symbol(name)}$"
    ((coordinate, x),) = fields.axes.items()
    values, time = fields.of(name), solution.problem.domain.time_name
    if len(shown) > 1 and time is not None:
        plot_times(ax, shown, name, time, error)
        ax.legend(fontsize=STYLE.small, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    elif error:
        maps.plot_magnitude(ax, maps.Sheet(fields.axes), values["error"], f"|error of {label}|")
    elif name in solution.problem.unknowns:
        plot_band(ax, fields, name)
    else:
        maps.plot_lines(ax, coordinate, x, {k: v for k, v in values.items() if k != "error"}, label)
    if place.label is not None:
        ax.set_xlabel(place.label)
    if fields.fixed and len(shown) == 1:
        ax.set_title(_where(fields), fontsize=9)


def _where(fields: GridFields) -> str:
    """Return the fixed coordinates as text, such as "at t = 0.5"; "" if no coordinate is fixed."""
    return style.cut_title(fields.fixed).removeprefix("cut ") if fields.fixed else ""


def card(shown: Solution | Errors | Estimate) -> cards.Card:
    """Return the card that notebooks show for a solution, for its errors, or for an estimate."""
    if isinstance(shown, Errors):
        return cards.Card("Errors", tables=[ShownTable(ERROR_HEAD, norm_rows(shown))])
    if isinstance(shown, Estimate):
        lines = [("estimate", line) for line in str(shown).splitlines()]
        tables = [ShownTable(ERROR_HEAD, rows)] if (rows := estimate_rows(shown)) else []
        return cards.Card("Estimated errors", lines, tables=tables)
    title = f"Solution of {type(shown.problem).__name__}"
    return cards.card_of(shown, title, partial(_picture, shown))


def _picture(solution: Solution) -> cards.Drawing:
    """Draw the first field over the one or two coordinates that `Place.of` chooses.

    With two coordinates in space, a field in time is drawn at the last moment.
    """
    domain, name = solution.problem.domain, solution.fields[0]
    at, time = {}, domain.time_name
    if time is not None and domain.dim == 3:
        at[time] = float(domain.bounds[1][domain.names.index(time)])
    place = cards.Place.of(domain, None, None, at)
    fields = _sample(solution, place, cards.SMALL[place.dim], error=False)
    ax = cards.small_axes(maps.Sheet(fields.axes, time=time))
    if place.dim == 1:
        _draw_lines(ax, solution, [fields], name, place, error=False)
    else:
        plot_maps([ax], solution, [fields], name, [_where(fields)])
    kind = "Map" if place.dim == 2 else "Line"
    held = ", ".join(f"{key} = {value:.4g}" for key, value in fields.fixed.items())
    over = " and ".join(fields.axes) + (f" at {held}" if held else "")
    values = cards.values_words(fields.values[name])
    return cards.Drawing(ax, f"{kind} of {name} over {over}: {values}.")
