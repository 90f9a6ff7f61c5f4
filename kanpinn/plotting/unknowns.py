"""What was looked for besides the solution: numbers step by step, coefficients with their bands."""

from collections.abc import Iterator

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kanpinn.accuracy.confidence import Estimated
from kanpinn.plotting.bands import band_figure
from kanpinn.plotting.style import BLUE, GREY, VERMILLION, new_figure, tidy
from kanpinn.solvers.grid_fields import GridFields
from kanpinn.solvers.history import UNKNOWN
from kanpinn.solvers.solution import Solution


def unknown_figures(solution: Solution, fields: GridFields) -> Iterator[tuple[str, Figure]]:
    """unknowns.png of the numbers, interval_a.png of a coefficient a; names and figures."""
    if solution.problem.numbers:
        yield "unknowns", _numbers_figure(solution)
    for name in solution.problem.fields:
        if name in solution.problem.unknowns:
            figure = band_figure(fields, name)
            if figure is not None:
                yield f"interval_{name}", figure


def _numbers_figure(solution: Solution) -> Figure:
    """A row for each number: the whole search, and beside it what is near an interval."""
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
    """A search comes from far away: a range that shows the interval, where there is one."""
    width = one.high - one.low
    return (one.low - width, one.high + width) if one.is_identified and width else None


def plot_unknown(
    ax: Axes, solution: Solution, name: str, limits: tuple[float, float] | None = None
) -> Axes:
    """A number against the steps, its 95% interval shaded, the exact value dashed.

    limits: of what is shown; by default everything is.
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
