"""The figures of a solution: fields, history, edges, conserved quantities, unknown parameters."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kanpinn.accuracy import Invariant
from kanpinn.accuracy.confidence import Estimated
from kanpinn.plotting.edges import edges_figure, edges_of
from kanpinn.plotting.evolution import evolution_figures
from kanpinn.plotting.fields import (
    cells_figure,
    outline_of,
    plot_values,
    residual_figure,
    solution_figure,
    streamlines_figure,
)
from kanpinn.plotting.history import has_course, history_figure
from kanpinn.plotting.style import (
    BLUE,
    GREY,
    MARKERS,
    PALETTE,
    STYLE,
    VERMILLION,
    new_figure,
    save,
    symbol,
    tidy,
)
from kanpinn.solvers.grid_fields import GridFields, on_grid, plane_of
from kanpinn.solvers.solution import Solution
from kanpinn.solvers.state import UNKNOWN
from kanpinn.spaces.cells.cells import Cells


def unknown_figures(solution: Solution, fields: GridFields) -> Iterator[tuple[str, Figure]]:
    """Yield file names without suffix, and figures: unknowns, and interval_a of a coefficient a.

    Over two coordinates, a coefficient without any finite bound has no figure.
    """
    if solution.problem.numbers:
        yield "unknowns", _numbers_figure(solution)
    for name in solution.problem.fields:
        if name in solution.problem.unknowns:
            figure = band_figure(fields, name)
            if figure is not None:
                yield f"interval_{name}", figure


def _numbers_figure(solution: Solution) -> Figure:
    """Return a figure with a row for each number: all steps, and a close-up of its bounds."""
    found = solution.estimated
    columns = 2 if any(map(_near, found.values())) else 1
    figure = new_figure(8.4, 2.8 * len(found))
    rows = figure.subplots(len(found), columns, squeeze=False)
    for (whole, *more), (name, one) in zip(rows, found.items(), strict=True):
        plot_unknown(whole, solution, name)
        whole.set_title(f"{_words(name)} = {one}", fontsize=8, color=GREY, loc="left")
        limits = _near(one)
        for near in more:
            if limits is None:
                near.set_axis_off()
            else:
                plot_unknown(near, solution, name, limits)
    return figure


def _near(one: Estimated) -> tuple[float, float] | None:
    """Return limits three times as wide as the 95% bounds; None without bounds of finite width."""
    width = one.high - one.low
    return (one.low - width, one.high + width) if one.is_identified and width else None


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
    one, history = solution.estimated[name], solution.history
    if one.is_identified:
        ax.axhspan(one.low, one.high, color=BLUE, alpha=0.2, linewidth=0, label="95% interval")
    if one.exact is not None:
        label = f"exact {one.exact:.6g}"
        if limits is not None and not limits[0] <= one.exact <= limits[1]:
            label += " (outside)"
        ax.axhline(one.exact, color=VERMILLION, linestyle="--", linewidth=1.0, label=label)
    values = history.column(UNKNOWN + name)
    ax.plot(history.column("step"), values, "o-", color=BLUE, markersize=3, linewidth=1.2)
    if limits is not None:
        ax.set_ylim(*limits)
    ax.set_xlabel("steps")
    ax.set_ylabel(_words(name))
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    if ax.get_legend_handles_labels()[0]:
        ax.legend(frameon=False, fontsize=8)
    return tidy(ax)


def _words(name: str) -> str:
    return name.replace("_", " ")


def band_figure(fields: GridFields, name: str) -> Figure | None:
    """Return a figure of an unknown field's 95% bounds, or of their half-widths.

    Over one coordinate, the field is drawn with its bounds. Over two, the half-widths are drawn
    and, if the true field is known, a second panel with the error in units of the half-width.

    Args:
        fields: the solution on a grid with one or two axes.
        name: the name of the unknown field.

    Returns:
        The figure; None over two coordinates if no half-width is finite.
    """
    if len(fields.axes) == 1:
        figure = new_figure(4.6, 3.2)
        plot_band(figure.subplots(), fields, name)
        return figure
    half = _half_widths(fields, name)
    if not numpy.isfinite(half).any():
        return None
    error = fields.of(name).get("error")
    figure = new_figure(4.4 if error is None else 8.8, 3.6)
    first, *more = figure.subplots(1, 1 if error is None else 2, squeeze=False)[0]
    title = f"half-width of the 95% interval of ${symbol(name)}$"
    top = float(numpy.nanmax(half)) or 1.0
    plot_values(first, fields.axes, half, (0.0, top), title, diverging=False)
    for ax in more:
        assert error is not None
        plot_relative_error(ax, fields, numpy.abs(error) / half)
    return figure


def _half_widths(fields: GridFields, name: str) -> numpy.ndarray:
    """Return the half-widths of the bounds, NaN outside the domain and where they are infinite."""
    low, high = fields.ends(name)
    half = numpy.full_like(low, numpy.nan)
    known = numpy.isfinite(low) & numpy.isfinite(high)
    half[known] = (high[known] - low[known]) / 2
    return half


def plot_relative_error(ax: Axes, fields: GridFields, sizes: numpy.ndarray) -> Axes:
    """Plot |error| / half-width; above 1, the bounds do not contain the true value.

    Values above 3 have the colour of 3. sizes: (n, m) on the grid of the fields.
    """
    known = sizes[numpy.isfinite(sizes)]
    share = float((known <= 1).mean()) if len(known) else 1.0
    top = min(3.0, max(1.0, float(known.max(initial=0.0))))
    title = f"|error| / half-width: at most 1 on {share:.0%}"
    return plot_values(ax, fields.axes, sizes, (0.0, top), title, diverging=False)


def plot_band(ax: Axes, fields: GridFields, name: str) -> Axes:
    """Plot a field over one coordinate, its 95% bounds shaded, the exact field dashed."""
    ((coordinate, x),) = fields.axes.items()
    (low, high), values = fields.ends(name), fields.of(name)
    if (known := numpy.isfinite(low) & numpy.isfinite(high)).any():
        band = ax.fill_between(x, low, high, where=known.tolist(), color=BLUE, alpha=0.2)
        band.set(linewidth=0, label="95% interval")
    ax.plot(x, values["solution"], color=BLUE, linewidth=1.4, label="estimate")
    if "exact" in values:
        ax.plot(x, values["exact"], "--", color=VERMILLION, linewidth=1.0, label="exact")
    ax.set_xlabel(f"${symbol(coordinate)}$")
    ax.set_ylabel(f"${symbol(name)}$")
    ax.legend(frameon=False, fontsize=8)
    return tidy(ax)


def drifts_figure(invariants: Mapping[str, Invariant], time: str) -> Figure:
    """Return a figure with the relative changes of all invariants since the first moment.

    Args:
        invariants: the invariants by name.
        time: the name of the time coordinate.
    """
    figure = new_figure(5.0, 3.2)
    plot_drifts(figure.subplots(), invariants, time)
    return figure


def plot_drifts(ax: Axes, invariants: Mapping[str, Invariant], time: str) -> Axes:
    """Plot |I(t) - I(0)| / size of each invariant on a logarithmic axis, and return the axes.

    Changes below rounding, 1e-17 of the size, are drawn there. The arguments are those of
    `drifts_figure`.
    """
    least = 1e-17
    for number, (name, one) in enumerate(invariants.items()):
        changes = abs(one.drifts[1:]) / (one.size or 1.0)
        ax.plot(
            one.times[1:],
            numpy.maximum(changes, least),
            color=PALETTE[number % len(PALETTE)],
            linestyle=STYLE.dashes[number % len(STYLE.dashes)],
            marker=MARKERS[number % len(MARKERS)] if len(changes) <= 30 else None,
            markersize=STYLE.marker,
            linewidth=1.2,
            label=name,
        )
    ax.set_yscale("log")
    ax.set_xlabel(f"${time}$")
    ax.set_ylabel("relative drift")
    ax.legend(frameon=False, fontsize=STYLE.letter)
    ax.grid(axis="y", linewidth=0.4, color="#dddddd")
    return tidy(ax)


def draw_figures(solution: Solution, folder: Path, fields: GridFields | None = None) -> list[Path]:
    """Draw solution.png, history.png and, for KANs, edges.png.

    A history with a single value has no figure. A system has a file solution_u.png for each field
    u, and residuals.png. Unknown numbers are drawn in unknowns.png, the confidence intervals of a
    coefficient a in interval_a.png, the drift of invariants in drifts.png, cells in the plane in
    cells.png, flows in the plane in streamlines.png. With a time there are also the figures of
    `evolution_figures`.

    Args:
        solution: the solution of a problem in any dimension; above two dimensions, it is drawn on
            a cut through the centre, along the coordinates of `plane_of`.
        folder: the folder of the files; it is created if needed.
        fields: the solution on a grid, if it has been evaluated already.

    Returns:
        The paths of the files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    domain, names = solution.problem.domain, plane_of(solution.problem.domain)
    if fields is None or tuple(fields.axes) != names:
        fields = on_grid(solution, names)
    outline = None if domain.is_box or len(names) == 1 else outline_of(domain, fields)
    time, paths = domain.time_name, []
    for field in fields.fields:
        name = f"solution_{field}" if len(fields.fields) > 1 else "solution"
        figure = solution_figure(fields, field, outline, time)
        paths.append(save(figure, folder / f"{name}.png"))
    if len(fields.fields) > 1 or len(fields.residuals) > 1:
        paths.append(save(residual_figure(fields, outline, time), folder / "residuals.png"))
    velocity = solution.problem.velocity_fields
    if velocity is not None and time is None:
        figure = streamlines_figure(fields, velocity, outline)
        paths.append(save(figure, folder / "streamlines.png"))
    if isinstance(solution.network, Cells) and domain.dim == 2:
        paths.append(save(cells_figure(solution, fields, outline, time), folder / "cells.png"))
    if solution.problem.unknowns:
        for name, figure in unknown_figures(solution, fields):
            paths.append(save(figure, folder / f"{name}.png"))
    if solution.problem.invariants is not None:
        figure = drifts_figure(solution.invariants, domain.names[-1])
        paths.append(save(figure, folder / "drifts.png"))
    if time is not None and time == domain.names[-1] and domain.dim <= 3:
        figures = evolution_figures(solution)
        paths += [save(figure, folder / f"{name}.png") for name, figure in figures]
    if has_course(solution.history):
        paths.append(save(history_figure(solution), folder / "history.png"))
    edges = edges_of(solution)
    if any(edges):
        paths.append(save(edges_figure(edges), folder / "edges.png"))
    return paths
