"""Figures of unknowns: numbers against steps, and fields with their 95% confidence bounds."""

from collections.abc import Iterator

import numpy
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kanpinn.accuracy.confidence import Estimated
from kanpinn.plotting.fields import plot_values
from kanpinn.plotting.notation import symbol
from kanpinn.plotting.style import BLUE, GREY, VERMILLION, new_figure, tidy
from kanpinn.solvers.history import UNKNOWN
from kanpinn.solvers.regular_grid import GridFields
from kanpinn.solvers.solution import Solution


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
