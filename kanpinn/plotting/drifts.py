"""The drift of invariants over time."""

from collections.abc import Mapping

import numpy
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kanpinn.accuracy import Invariant
from kanpinn.plotting.style import MARKERS, PALETTE, STYLE, new_figure, tidy


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
