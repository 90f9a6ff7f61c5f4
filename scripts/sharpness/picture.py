"""Errors without a feature and with it, drawn."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from sharpness.measuring import Measured

from kanpinn.plotting.style import new_figure


def draw(found: Sequence[Measured]) -> Figure:
    """Draw a row for each way, its error's median and range; the plain way of a case is hollow."""
    figure = new_figure(7.0, 0.6 + 0.24 * len(found))
    axes = figure.subplots()
    for row, one in enumerate(found):
        plain = one.way is one.case.ways[0]
        axes.plot([min(one.errors), max(one.errors)], [row, row], color="0.6", zorder=1)
        face = "white" if plain else "C0"
        axes.plot([one.median], [row], "o", color="C0", markerfacecolor=face, zorder=2)
    axes.set_yticks(range(len(found)), [f"{m.case.feature}: {m.way.name}" for m in found])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("relative L2 error")
    return figure
