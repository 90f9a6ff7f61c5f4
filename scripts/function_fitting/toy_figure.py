"""The figure of the toy functions: errors against parameters, with the paper's errors."""

import itertools
from collections.abc import Sequence

import numpy
from common.pieces import Row
from function_fitting import paper
from function_fitting.rows import reach, values
from function_fitting.toy import FORMULAS, SHAPES
from function_fitting.toy_page import PAPER_DEGREE
from function_fitting.toy_series import Series, series_of
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kanpinn.plotting.convergence import error_axis, size_axis
from kanpinn.plotting.style import GREY, MARKERS, PALETTE, STYLE, new_figure, tidy


def draw(rows: Sequence[Row]) -> Figure:
    """Draw a panel for each function: errors against parameters, with the paper's."""
    series = series_of(rows)
    names = list(dict.fromkeys(s.name for s in series))
    figure = new_figure(3.0 * len(names), 4.2)
    for ax, name in zip(numpy.ravel(figure.subplots(1, len(names))), names, strict=True):
        _panel(ax, name, [s for s in series if s.name == name], rows)
    return figure


def _panel(ax: Axes, name: str, series: Sequence[Series], rows: Sequence[Row]) -> None:
    shown = []
    for number, s in enumerate(series):
        sizes = [s.middle(g, "parameters") for g in s.grids]
        label = f"KAN k = {s.degree}" + ("" if s.order is None else f": order {s.order}")
        shown += _line(ax, sizes, [s.at(g) for g in s.grids], number, label)
    mlps = [r for r in rows if r["function"] == name and r["network"] == "MLP"]
    for number, optimizer in enumerate(dict.fromkeys(r["optimizer"] for r in mlps), len(series)):
        own = [r for r in mlps if r["optimizer"] == optimizer]
        sizes = sorted({r["parameters"] for r in own})
        each = [values(own, "test_rmse", parameters=p) for p in sizes]
        shown += _line(ax, sizes, each, number, f"MLP, {optimizer}")
    curve = paper.TOY[name]
    edges = sum(a * b for a, b in itertools.pairwise(SHAPES[name]))
    theirs = [edges * (g + PAPER_DEGREE) for g in curve.grids]
    ax.plot(theirs, curve.rmse, "*:", color=GREY, linewidth=0.8, label="paper, KAN k = 3")
    ax.axhline(curve.mlp, color=GREY, linestyle="--", linewidth=0.8, label="paper, best MLP")
    known = [row["parameters"] for row in rows if row["function"] == name]
    size_axis(ax, [*known, *theirs])
    error_axis(ax, [*shown, *curve.rmse, curve.mlp])
    ax.set_title(FORMULAS[name], fontsize=STYLE.letter)
    ax.set_xlabel("parameters", fontsize=STYLE.small)
    ax.set_ylabel("test RMSE", fontsize=STYLE.small)
    ax.legend(fontsize=STYLE.letter - 1, frameon=False, loc="upper left", bbox_to_anchor=(0, -0.16))
    tidy(ax)


def _line(
    ax: Axes, sizes: Sequence[float], each: Sequence[list[float]], number: int, label: str
) -> list[float]:
    """Draw medians and ranges; return all errors."""
    middle, limits = reach(each)
    colour, marker = PALETTE[number % len(PALETTE)], MARKERS[number % len(MARKERS)]
    ax.errorbar(
        sizes,
        middle,
        limits,
        color=colour,
        marker=marker,
        markersize=4,
        linewidth=1,
        elinewidth=0.8,
        capsize=2,
        label=label,
    )
    return [error for errors in each for error in errors]
