"""The errors of several codes against their seconds: a table of ratios and a picture."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy
from common.script import save_figure
from marches.codes import Point
from matplotlib.figure import Figure

COLOURS = {
    "kanpinn": "#b2182b",
    "splines, scipy Radau": "#2166ac",
    "Fourier, ETDRK4": "#404040",
    "Dedalus, RK443": "#1b9e77",
}


def seconds_to(points: Sequence[Point], error: float) -> float:
    """Return the seconds to an error, between points on logarithmic scales; NaN if not reached.

    Where the coarsest solve is more accurate already its seconds count.
    """
    ordered = sorted(points, key=lambda one: one.seconds)
    best, kept = math.inf, []
    for one in ordered:  # a slower solve that is no better says nothing
        if one.error < best:
            best = one.error
            kept.append(one)
    if not kept or kept[-1].error > error:
        return math.nan
    x = [-math.log(one.error) for one in kept]
    y = [math.log(one.seconds) for one in kept]
    return float(math.exp(numpy.interp(-math.log(error), x, y)))


def ratios(points: Sequence[Point], errors: Sequence[float]) -> list[list[str]]:
    """Return a table: for each case and error the march's seconds, and the others' ratios."""
    codes = [code for code in COLOURS if any(one.code == code for one in points)]
    table = [["problem", "error", f"{codes[0]}, seconds", *(f"{c}, ratio" for c in codes[1:])]]
    for case in dict.fromkeys(one.case for one in points):
        for error in errors:
            taken = [
                seconds_to([p for p in points if p.case == case and p.code == code], error)
                for code in codes
            ]
            if not math.isnan(taken[0]):
                others = ["-" if math.isnan(t) else f"{t / taken[0]:.2g}" for t in taken[1:]]
                table.append([case, f"{error:g}", f"{taken[0]:.2f}", *others])
    return table


def markdown(table: Sequence[Sequence[str]]) -> str:
    head, *body = [f"| {' | '.join(row)} |" for row in table]
    return "\n".join([head, "|" + "---|" * len(table[0]), *body]) + "\n"


def draw(points: Sequence[Point], stem: Path, smoke: bool) -> None:
    """Draw the error of each solve against its seconds, a panel for each case."""
    names = list(dict.fromkeys(one.case for one in points))
    figure = Figure(figsize=(10.5, 6.5), layout="constrained")
    panels = figure.subplots(2, 3, squeeze=False).ravel()
    for axes, name in zip(panels, names, strict=False):
        for code, colour in COLOURS.items():
            own = [one for one in points if one.case == name and one.code == code]
            own = sorted(own, key=lambda one: one.seconds)
            axes.plot(
                [one.seconds for one in own],
                [one.error for one in own],
                color=colour,
                marker="o",
                markersize=4,
                linewidth=1.8 if code == "kanpinn" else 1.0,
                label=code,
            )
        axes.set(xscale="log", yscale="log", title=name.replace("_", " "))
        axes.set(xlabel="seconds of one core", ylabel="relative $L_2$ error at the end")
        axes.grid(alpha=0.3)
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    handles, labels = panels[0].get_legend_handles_labels()
    panels[-1].legend(handles, labels, loc="center", frameon=False)
    save_figure(figure, stem, smoke)
