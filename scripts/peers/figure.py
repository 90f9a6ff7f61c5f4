"""The figure: relative L2 error against seconds, both logarithmic, one line per row."""

import math
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from peers.report import Measurement

COLOURS = {
    "kanpinn": "#b2182b",
    "splines": "#808080",
    "scikit-fem": "#404040",
    "jinns": "#2166ac",
    "jaxkan": "#1b9e77",
    "pykan": "#e6550d",
    "deepxde": "#756bb1",
    "pina": "#c994c7",
}
"""One colour per peer; its rows differ in their markers."""


def draw(measurements: Sequence[Measurement], path: Path) -> None:
    """Draw all timelines and write them as a PNG."""
    figure = Figure(figsize=(9.5, 5.5), layout="constrained")
    axes = figure.add_subplot()
    rows = dict.fromkeys((m.peer, m.row) for m in measurements)
    markers = {peer: cycle("osD^v") for peer, _ in rows}
    for peer, row in rows:
        points = [m for m in measurements if m.row == row and m.l2_relative]
        _draw_row(axes, points, COLOURS.get(peer, "black"), next(markers[peer]))
    axes.set(xscale="log", yscale="log", xlabel="seconds", ylabel="relative $L_2$ error")
    axes.set_title("Poisson, $u = \\sin\\pi x\\,\\sin\\pi y^2$ on $[-1, 1]^2$")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", fontsize="small", frameon=False)
    figure.savefig(path, dpi=160)


def _draw_row(axes: Axes, points: list[Measurement], colour: str, marker: str) -> None:
    """Draw a line for each seed; only the first is in the legend."""
    for number, seed in enumerate(sorted({m.seed for m in points})):
        run = [m for m in points if m.seed == seed]
        axes.plot(
            [m.seconds for m in run],
            [math.nan if m.l2_relative is None else m.l2_relative for m in run],
            color=colour,
            marker=marker,
            markersize=3.5,
            linewidth=1.8 if run[0].peer == "kanpinn" else 1.0,
            label=None if number else run[0].row,
        )
