"""Figures of what the networks remember: functions after each phase, and errors."""

from collections.abc import Sequence
from statistics import median
from typing import Any

from continual.learning import NETWORKS, OPTIMIZERS, TESTED, Result
from continual.peaks import PEAKS, points, seen, target
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kanpinn.plotting.style import BLUE, GREY, MARKERS, PALETTE, STYLE, new_figure, tidy

REACH = (-0.4, 1.4)  # of the functions that are shown; an MLP's leave it


def draw_phases(results: Sequence[Result], optimizer: str, count: int) -> Figure:
    """Draw a row for the data and one for each network's function; columns are phases."""
    chosen = [r for r in results if r.optimizer == optimizer]
    shown = [next(r for r in chosen if r.network == network) for network in NETWORKS]
    figure = new_figure(9.0, 1.35 * (1 + len(shown)))
    grid = figure.subplots(1 + len(shown), PEAKS, sharex=True, sharey=True)
    for phase, ax in enumerate(grid[0]):
        ax.set_title(f"phase {phase + 1}", fontsize=9)
        ax.plot(points(phase, count), target(points(phase, count)), ".", color=BLUE, markersize=2)
    for result, row in zip(shown, grid[1:], strict=True):
        for ax, curve in zip(row, result.curves, strict=True):
            ax.plot(seen(PEAKS, TESTED), curve, color=BLUE, linewidth=1)
    for row, name in zip(grid, ["data", *NETWORKS], strict=True):
        row[0].set_ylabel(name, fontsize=STYLE.small)
        for ax in row:
            ax.plot(seen(PEAKS, TESTED), target(seen(PEAKS, TESTED)), color=GREY, lw=0.5, zorder=0)
            tidy(ax).set(ylim=REACH, xlim=(-1, 1))
    figure.suptitle(f"{optimizer}, seed {shown[0].seed}; grey: all five peaks", fontsize=9)
    return figure


def draw_errors(results: Sequence[Result]) -> Figure:
    """Draw the RMSE over all peaks seen so far after each phase: medians and ranges over seeds."""
    figure = new_figure(9.0, 3.0)
    panels = figure.subplots(1, len(NETWORKS), sharey=True)
    for ax, network in zip(panels, NETWORKS, strict=True):
        for number, optimizer in enumerate(OPTIMIZERS):
            own = [r.rmse for r in results if (r.network, r.optimizer) == (network, optimizer)]
            _line(ax, list(zip(*own, strict=True)), optimizer, number)
        ax.set(yscale="log", xlabel="phase", xticks=range(1, PEAKS + 1))
        ax.set_title(network, fontsize=9)
        tidy(ax)
    panels[0].set_ylabel("RMSE over the peaks seen so far", fontsize=STYLE.small)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=4, fontsize=STYLE.small, frameon=False
    )
    return figure


def _line(ax: Axes, phases: Sequence[Sequence[float]], label: str, number: int) -> None:
    middle = [median(errors) for errors in phases]
    reach = [[m - min(e) for m, e in zip(middle, phases, strict=True)]]
    reach += [[max(e) - m for m, e in zip(middle, phases, strict=True)]]
    style: dict[str, Any] = {"marker": MARKERS[number], "linestyle": STYLE.dashes[number]}
    style |= {"markersize": 4, "lw": 1.1, "capsize": 2, "color": PALETTE[number]}
    ax.errorbar(range(1, PEAKS + 1), middle, reach, label=label, **style)
