"""Marks, legends and axes that Figure 3's figures share."""

from collections.abc import Sequence
from typing import Any

import numpy
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from poster.figure3_data import Summary

from kanpinn.plotting.style import GREY, STYLE, tidy

LONG = 32  # letters of an entry of which four do not stand side by side


def ranges(
    ax: Axes,
    x: Sequence[float],
    rows: Sequence[Summary],
    error: str,
    label: str,
    **style: Any,
) -> None:
    """Draw medians with bars from the least to the greatest seed; style as in `errorbar`."""
    found = [getattr(row, error) for row in rows]
    y = [r.median for r in found]
    reach = [[r.median - r.low for r in found], [r.high - r.median for r in found]]
    more: dict[str, Any] = {"markersize": 4.5, "linewidth": 1.2, "elinewidth": 0.9, "capsize": 2}
    ax.errorbar(x, y, yerr=reach if any(map(any, reach)) else None, label=label, **style, **more)


def hollow(
    ax: Axes,
    x: Sequence[float],
    y: Sequence[float],
    color: str,
    marker: str,
    label: str | None = None,
) -> None:
    """Draw the paper's values as hollow marks on a dotted line, behind ours."""
    face: dict[str, Any] = {
        "markerfacecolor": "white",
        "markersize": 5,
        "markeredgewidth": 0.9,
        "lw": 0.8,
    }
    ax.plot(x, y, color=color, marker=marker, label=label, linestyle=":", zorder=1.9, **face)


def guides(ax: Axes, error: str, orders: Sequence[int]) -> None:
    """Draw lines of these orders from one point: the best splines', and the paper's guide."""
    start = 2e-6 if error == "l2_squared" else 2e-3
    n = numpy.array([32.0, 64.0])
    for order in orders:
        y = start * (n / n[0]) ** -order
        ax.plot(n, y, color=GREY, lw=0.9)
        ax.annotate(
            f"$N^{{-{order}}}$",
            (n[-1], y[-1]),
            xytext=(3, -3),
            textcoords="offset points",
            fontsize=STYLE.small,
            color=GREY,
        )


def finish(ax: Axes) -> None:
    """Set plain numbers on a logarithmic axis of sizes, a faint grid of errors, small letters."""
    low, high = ax.get_xlim()
    if ax.get_xscale() == "log":
        near = high < 30 * low
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5) if near else (1,)))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
    ax.grid(axis="y", linewidth=0.4, color="#dddddd")
    ax.xaxis.label.set_fontsize(STYLE.small + 1)
    ax.yaxis.label.set_fontsize(STYLE.small + 1)
    tidy(ax)


def grid_ticks(ax: Axes, grids: Sequence[int]) -> None:
    """Set ticks at the grids, without those that would overlap the tick before."""
    shown: list[int] = []
    for grid in sorted(set(grids)):
        if not shown or grid > 1.15 * shown[-1]:
            shown.append(grid)
    ax.set_xticks(shown, [str(grid) for grid in shown])
    ax.minorticks_off()


def seeds(count: int) -> str:
    """Return the number of seeds for a legend's entry, an empty text for one seed."""
    return f", {count} seeds" if count > 1 else ""


def paper_entry(name: str = "the paper's") -> tuple[Any, str]:
    """Return a legend's entry for the hollow marks."""
    face: dict[str, Any] = {
        "color": GREY,
        "marker": "o",
        "markerfacecolor": "white",
        "linestyle": ":",
        "lw": 0.8,
    }
    return Line2D([], [], markersize=5, **face), f"hollow: {name}"


def entries(ax: Axes) -> list[tuple[Any, str]]:
    """Return the entries of a legend of these axes."""
    return list(zip(*ax.get_legend_handles_labels(), strict=True))


def legend_below(figure: Figure, shown: Sequence[tuple[Any, str]]) -> None:
    """Draw one legend for all axes, in which equal entries occur once."""
    labels = list(dict.fromkeys(label for _, label in shown))
    handles = [next(mark for mark, other in shown if other == label) for label in labels]
    columns = 4 if max(map(len, labels)) < LONG else 2
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=columns,
        fontsize=STYLE.small,
        frameon=False,
    )
