"""Fields over one coordinate."""

from collections.abc import Mapping

import numpy
from matplotlib.axes import Axes

from kanpinn.plotting.ranges import magnitudes_of
from kanpinn.plotting.style import BLUE, GREY, SMALL, VERMILLION, tidy
from kanpinn.plotting.symbols import symbol


def plot_lines(
    ax: Axes, name: str, x: numpy.ndarray, lines: Mapping[str, numpy.ndarray], label: str
) -> Axes:
    """Fields over one coordinate, the first drawn through, the others dashed and dotted."""
    styles = [(BLUE, "-", 1.8), (VERMILLION, "--", 1.4), (GREY, ":", 1.4)]
    for (key, values), (colour, style, width) in zip(lines.items(), styles, strict=False):
        ax.plot(x, values, style, color=colour, linewidth=width, label=key)
    if len(lines) > 1:
        ax.legend(fontsize=SMALL, frameon=False)
    ax.set(xlabel=f"${symbol(name)}$", ylabel=label, xlim=(x[0], x[-1]))
    return tidy(ax)


def plot_magnitude_line(
    ax: Axes, name: str, x: numpy.ndarray, values: numpy.ndarray, label: str
) -> Axes:
    """The absolute value of a field over one coordinate on a logarithmic scale."""
    size = numpy.abs(values)
    plot_lines(ax, name, x, {label: size}, label)
    shown = magnitudes_of(size)
    if shown is not None:
        ax.set_yscale("log")
        ax.set_ylim(shown.low / 3, shown.high * 3)
    return ax
