"""The pictures of a solution: files of a run, `Solution.plot`, and cards of solutions and errors.

Files show fields, history, edges, conserved quantities and unknown parameters.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kanpinn._support.errors import InputError, one_of
from kanpinn.accuracy import Invariant
from kanpinn.accuracy.errors import Errors, Estimate
from kanpinn.plotting import style
from kanpinn.plotting.card import (
    SMALL,
    Card,
    Drawing,
    Ends,
    Place,
    card_of,
    small_axes,
    values_words,
)
from kanpinn.plotting.edges import edges_figure, edges_of
from kanpinn.plotting.evolution import evolution_figures, plot_maps, plot_times
from kanpinn.plotting.fields import (
    Sheet,
    cells_figure,
    plot_lines,
    plot_magnitude,
    plot_values,
    residual_figure,
    solution_figure,
    streamlines_figure,
)
from kanpinn.plotting.history import history_figure
from kanpinn.plotting.style import STYLE
from kanpinn.solvers.grid_fields import GridFields, fields_at_points, on_grid, plane_of
from kanpinn.solvers.solution import Solution
from kanpinn.solvers.state import UNKNOWN
from kanpinn.solvers.summary import ERROR_HEAD, ShownTable, estimate_rows, norm_rows


def unknown_figures(solution: Solution, fields: GridFields) -> Iterator[tuple[str, Figure]]:
    """Yield file names without suffix, and figures: unknowns, and interval_a of a coefficient a.

    Numbers have a row each: all steps and, where its 95% bounds are finite, a close-up of three
    times their width. Over two coordinates, a coefficient without any finite bound has no figure.
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
    """Plot an unknown number against steps, its 95% bounds shaded, the exact value dashed.

    Args:
        ax: the axes to draw in.
        solution: the solution of an inverse problem.
        name: the name of the number.
        limits: the limits of the vertical axis; by default all values are shown.

    Returns:
        The axes `ax`.
    """
    value, history = solution.estimated[name], solution.history
    if value.is_identified:
        ax.axhspan(
            value.low, value.high, color=style.BLUE, alpha=0.2, linewidth=0, label="95% interval"
        )
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

    Over one coordinate, the field is drawn with its bounds. Over two, the half-widths are drawn
    and, if the true field is known, a second panel with the error in units of the half-width:
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
    title, sheet = f"half-width of the 95% interval of ${style.symbol(name)}$", Sheet(fields.axes)
    top = float(numpy.nanmax(half)) or 1.0
    plot_values(first, sheet, half, (0.0, top), title, diverging=False)
    if error is not None:
        sizes = numpy.abs(error) / half  # above 1 the bounds do not contain the true value
        known = sizes[numpy.isfinite(sizes)]
        share = float((known <= 1).mean()) if len(known) else 1.0
        top = min(3.0, max(1.0, float(known.max(initial=0.0))))
        title = f"|error| / half-width: at most 1 on {share:.0%}"
        plot_values(more[0], sheet, sizes, (0.0, top), title, diverging=False)
    return figure


def plot_band(ax: Axes, fields: GridFields, name: str) -> Axes:
    """Plot a field over one coordinate, its 95% bounds shaded, the exact field dashed."""
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
    """Return a figure of |I(t) - I(0)| / size of each invariant I, on a logarithmic axis.

    Changes below rounding, 1e-17 of the size, are drawn there.

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
    ax.grid(axis="y", linewidth=0.4, color="#dddddd")
    style.tidy(ax)
    return figure


def figures(solution: Solution, fields: GridFields | None = None) -> Iterator[tuple[str, Figure]]:
    """Yield the figures solution, history and, for KANs, edges.

    A history with a single value has no figure. A system has a figure solution_u for each field u,
    and residuals. Unknown numbers are drawn in unknowns, the confidence intervals of a coefficient
    a in interval_a, the drift of invariants in drifts, cells in the plane in cells, flows in the
    plane in streamlines. With a time there are also snapshots, the fields over space at some times,
    and the figures of `evolution_figures`. Above two dimensions, a solution is drawn on a cut
    through the centre, along the coordinates of `plane_of`.
    """
    problem, domain = solution.problem, solution.problem.domain
    names = plane_of(domain)
    if fields is None or tuple(fields.axes) != names:
        fields = on_grid(solution, names)
    sheet, several, time = Sheet.of(domain, fields), len(fields.fields) > 1, domain.time_name
    for field in fields.fields:
        name = f"solution_{field}" if several else "solution"
        yield name, solution_figure(fields, sheet, field)
    if several or len(fields.residuals) > 1:
        yield "residuals", residual_figure(fields, sheet)
    if problem.velocity_fields is not None and time is None:
        yield "streamlines", streamlines_figure(fields, sheet, problem.velocity_fields)
    if solution.network.levels is not None and domain.dim == 2:
        yield "cells", cells_figure(solution, fields, sheet)
    if problem.unknowns:
        yield from unknown_figures(solution, fields)
    if problem.invariants is not None:
        yield "drifts", drifts_figure(solution.invariants, domain.names[-1])
    if time is not None and time == domain.names[-1] and domain.dim <= 3:
        if domain.dim > 1:
            count, nodes = (6, 1001) if domain.dim == 2 else (4, 97)
            low, high = (float(corner[-1]) for corner in domain.bounds)
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
    cut: Ends | None = None,
    at: Mapping[str, float | int] | None = None,
    time: float | int | Sequence[float | int] | numpy.ndarray | None = None,
    error: bool = False,
    nodes: int | None = None,
    ax: style.Given | Figure = None,
) -> Any:
    """Draw a solution; the arguments are those of `Solution.plot`."""
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
    places = [Place.of(domain, along, cut, {**(at or {}), **moment}) for moment in moments]
    first, shown = places[0], [_sample(solution, place, nodes, error) for place in places]
    if error and "error" not in shown[0].of(names[0]):
        raise InputError(
            "error needs an exact solution, or a reference that has values everywhere: this "
            "problem has neither"
        )
    if first.dim == 1:
        axes = style.panels(ax, len(names), 3, (4.6, 3.2))
        for panel, name in zip(axes, names, strict=True):
            _draw_lines(panel, solution, shown, name, first, error)
        return style.returned(axes)
    size, columns = Sheet.of(domain, shown[0]).size(), len(shown) if len(shown) > 1 else 3
    axes = style.panels(ax, len(names) * len(shown), columns, size).reshape(len(names), len(shown))
    for row, name in zip(axes, names, strict=True):
        plot_maps(row, solution, shown, name, [_where(fields) for fields in shown], error)
    return style.returned(axes)


def _sample(solution: Solution, place: Place, nodes: int | None, error: bool) -> GridFields:
    """Evaluate the fields and, for errors and lines, what they are compared with.

    A reference that would first have to be made is used for errors alone.
    """
    reference = solution.reference
    at_hand = solution.problem.exact is not None or (reference is not None and reference.is_ready)
    compared = error or (place.dim == 1 and at_hand)
    if place.cut is None:
        options = {"residuals": False, "compared": compared}
        return on_grid(solution, place.along, nodes, at=place.at, **options)
    return place.on_cut(
        lambda points: fields_at_points(solution, points, compared=compared),
        tuple(solution.fields),
        nodes,
    )


def _draw_lines(
    ax: Axes, solution: Solution, shown: Sequence[GridFields], name: str, place: Place, error: bool
) -> None:
    """Draw one field over one coordinate or along a cut: at one place, or at several times."""
    fields, label = shown[0], f"${style.symbol(name)}$"
    ((coordinate, x),) = fields.axes.items()
    values, time = fields.of(name), solution.problem.domain.time_name
    if len(shown) > 1 and time is not None:
        plot_times(ax, shown, name, time, error)
        ax.legend(fontsize=STYLE.small, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    elif error:
        plot_magnitude(ax, Sheet(fields.axes), values["error"], f"|error of {label}|")
    elif name in solution.problem.unknowns:
        plot_band(ax, fields, name)
    else:
        plot_lines(ax, coordinate, x, {k: v for k, v in values.items() if k != "error"}, label)
    if place.label is not None:
        ax.set_xlabel(place.label)
    if fields.fixed and len(shown) == 1:
        ax.set_title(_where(fields), fontsize=9)


def _where(fields: GridFields) -> str:
    """Return the values of the fixed coordinates, such as "at t = 0.5"; "" if there are none."""
    return style.cut_title(fields.fixed).removeprefix("cut ") if fields.fixed else ""


def card(shown: Solution | Errors | Estimate) -> Card:
    """Return the card of a solution, of its errors or of their estimate."""
    if isinstance(shown, Errors):
        return Card("Errors", tables=[ShownTable(ERROR_HEAD, norm_rows(shown))])
    if isinstance(shown, Estimate):
        lines = [("estimate", line) for line in str(shown).splitlines()]
        tables = [ShownTable(ERROR_HEAD, rows)] if (rows := estimate_rows(shown)) else []
        return Card("Estimated errors", lines, tables=tables)
    return card_of(shown, f"Solution of {type(shown.problem).__name__}", partial(_picture, shown))


def _picture(solution: Solution) -> Drawing:
    """Draw the first field: over up to two coordinates, and at the last moment in a plane."""
    domain, name = solution.problem.domain, solution.fields[0]
    at, time = {}, domain.time_name
    if time is not None and domain.dim == 3:
        at[time] = float(domain.bounds[1][domain.names.index(time)])
    place = Place.of(domain, None, None, at)
    fields = _sample(solution, place, SMALL[place.dim], error=False)
    ax = small_axes(Sheet(fields.axes, time=time))
    if place.dim == 1:
        _draw_lines(ax, solution, [fields], name, place, error=False)
    else:
        plot_maps([ax], solution, [fields], name, [_where(fields)])
    kind = "Map" if place.dim == 2 else "Line"
    held = ", ".join(f"{key} = {value:.4g}" for key, value in fields.fixed.items())
    over = " and ".join(fields.axes) + (f" at {held}" if held else "")
    return Drawing(ax, f"{kind} of {name} over {over}: {values_words(fields.values[name])}.")
