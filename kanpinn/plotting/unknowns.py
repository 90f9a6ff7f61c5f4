"""What was looked for besides the solution: numbers step by step, coefficients with their bands."""

from collections.abc import Iterator

import numpy
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kanpinn.fields import GridFields
from kanpinn.history import UNKNOWN
from kanpinn.plotting.panels import plot_values
from kanpinn.plotting.style import BLUE, GREY, VERMILLION, new_figure, tidy
from kanpinn.plotting.symbols import symbol
from kanpinn.solution import Solution


def unknown_figures(solution: Solution, fields: GridFields) -> Iterator[tuple[str, Figure]]:
    """unknowns.png of the numbers, interval_a.png of a coefficient a; names and figures."""
    if solution.problem.numbers:
        yield "unknowns", _numbers_figure(solution)
    for name in solution.problem.fields:
        if name in solution.problem.unknowns:
            yield f"interval_{name}", _field_figure(solution, fields, name)


def _numbers_figure(solution: Solution) -> Figure:
    found = solution.estimated
    figure = new_figure(8.4, 2.8 * len(found))
    panels = figure.subplots(len(found), 2, squeeze=False)
    for (whole, near), (name, one) in zip(panels, found.items(), strict=True):
        plot_unknown(whole, solution, name)
        plot_unknown(near, solution, name)
        if one.is_identified and (width := one.high - one.low):
            near.set_ylim(one.low - width, one.high + width)  # a search comes from far away
    return figure


def plot_unknown(ax: Axes, solution: Solution, name: str) -> Axes:
    """A number against the steps, its 95% interval shaded, the exact value dashed."""
    one, history = solution.estimated[name], solution.history
    if one.is_identified:
        ax.axhspan(one.low, one.high, color=BLUE, alpha=0.2, linewidth=0, label="95% interval")
    if one.exact is not None:
        ax.axhline(one.exact, color=VERMILLION, linestyle="--", linewidth=1.0, label="exact")
    values = history.column(UNKNOWN + name)
    ax.plot(history.column("step"), values, "o-", color=BLUE, markersize=3, linewidth=1.2)
    ax.set_xlabel("steps")
    ax.set_ylabel(name.replace("_", " "))
    ax.set_title(str(one), fontsize=8, color=GREY)
    ax.legend(frameon=False, fontsize=8)
    return tidy(ax)


def _field_figure(solution: Solution, fields: GridFields, name: str) -> Figure:
    axes = list(fields.axes.values())
    grid = torch.cartesian_prod(*map(torch.from_numpy, axes)).reshape(-1, len(axes))
    columns, free = [], iter(grid.unbind(1))
    for coordinate in solution.problem.domain.names:
        known = fields.fixed.get(coordinate)
        columns.append(next(free) if known is None else torch.full_like(grid[:, 0], known))
    low, high = solution.interval(torch.stack(columns, dim=1), field=name)
    shape = [len(axis) for axis in axes]
    ends = [end.double().cpu().numpy().reshape(shape) for end in (low, high)]
    values = fields.of(name)
    if len(axes) == 1:
        return _band_figure(fields, name, values, ends)
    half = (ends[1] - ends[0]) / 2
    half[~numpy.isfinite(fields.values[name])] = numpy.nan
    figure = new_figure(4.4, 3.6)
    top = float(numpy.nanmax(half[numpy.isfinite(half)], initial=0.0)) or 1.0
    title = f"half-width of the 95% interval of ${symbol(name)}$"
    plot_values(figure.subplots(), fields.axes, half, (0.0, top), title, diverging=False)
    return figure


def _band_figure(
    fields: GridFields, name: str, values: dict[str, numpy.ndarray], ends: list[numpy.ndarray]
) -> Figure:
    ((coordinate, x),) = fields.axes.items()
    figure = new_figure(4.6, 3.2)
    ax = figure.subplots()
    ax.fill_between(x, ends[0], ends[1], color=BLUE, alpha=0.2, linewidth=0, label="95% interval")
    ax.plot(x, values["solution"], color=BLUE, linewidth=1.4, label="estimate")
    if "exact" in values:
        ax.plot(x, values["exact"], "--", color=VERMILLION, linewidth=1.0, label="exact")
    ax.set_xlabel(f"${symbol(coordinate)}$")
    ax.set_ylabel(f"${symbol(name)}$")
    ax.legend(frameon=False, fontsize=8)
    tidy(ax)
    return figure
