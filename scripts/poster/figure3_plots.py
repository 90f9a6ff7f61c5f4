"""Figure 3's own figures: dynamics, scaling laws, the fair comparison, orders."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy
from common.figures import save_figure
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from poster import paper
from poster.figure3_curves import (
    POSTER_KAN,
    POSTER_MLP,
    kans,
    mlps,
    paper_kans,
    paper_mlps,
    smooth_kans,
)
from poster.figure3_data import ERRORS, Point, Runs, Series, slope, summarise
from poster.figure3_marks import (
    entries,
    finish,
    grid_ticks,
    guides,
    hollow,
    legend_below,
    paper_entry,
    ranges,
    seeds,
)

from kanpinn.plotting.style import MARKERS, PALETTE, STYLE, new_figure

LABELS = {"l2_squared": "$L^2$ error, squared", "h1_squared": "$H^1$ error, squared"}
DYNAMICS = (  # ours, and the paper's name where it is the same network
    (POSTER_KAN, (2, 10, 1), "KAN [2,10,1]"),
    (POSTER_MLP, (2, 10, 1), "MLP [2,10,1]"),
    (POSTER_MLP, (2, 50, 50, 50, 1), None),
)
PAPER_DEEP = "MLP [2,100,100,100,1]"
ORDERS = (  # of what, found how
    (Series("fair", "KAN", "exact", 3), (2, 10, 1), "KAN [2,10,1], Levenberg–Marquardt"),
    (Series("structure", "KAN", "penalty", 3), (2, 2, 1), "KAN [2,2,1], variable projection"),
)


def draw(runs: Runs, output: Path, smoke: bool) -> None:
    """Draw and write every figure that there are runs for."""
    figures = {
        "dynamics": dynamics(runs),
        "scaling": scaling(runs),
        "fair": fair(runs),
        "orders": orders(runs),
    }
    for name, figure in figures.items():
        if figure is not None:
            save_figure(figure, output / f"poster_figure3_{name}", smoke)


def dynamics(runs: Runs) -> Figure | None:
    """Draw errors against steps: medians and ranges over seeds, the paper's with hollow marks."""
    if not any(runs.history(series, width) for series, width, _ in DYNAMICS):
        return None
    figure = new_figure(9.0, 3.9)
    for ax, error in zip(figure.subplots(1, 2), ERRORS, strict=True):
        for number, (series, width, name) in enumerate(DYNAMICS):
            _history(ax, runs, series, width, error, number)
            if name is not None:
                _paper_dynamics(ax, name, error, number)
        _paper_dynamics(ax, PAPER_DEEP, error, 3)
        ax.set(yscale="log", xlabel="steps of L-BFGS", ylabel=LABELS[error])
        finish(ax)
    legend_below(figure, [paper_entry(), *entries(figure.axes[0])])
    return figure


def _history(
    ax: Axes, runs: Runs, series: Series, width: Sequence[int], error: str, number: int
) -> None:
    found = runs.history(series, width)
    if not found:
        return
    # A run that converged early stays where it is.
    step = numpy.arange(max(int(h.step[-1]) for h in found) + 1)
    lines = numpy.array([numpy.interp(step, h.step, getattr(h, error)) for h in found])
    label = f"{series.network} [{','.join(map(str, width))}]{seeds(len(found))}"
    median = numpy.median(lines, axis=0)
    ax.plot(
        step, median, color=PALETTE[number], linestyle=STYLE.dashes[number], lw=1.3, label=label
    )
    ax.fill_between(step, lines.min(0), lines.max(0), color=PALETTE[number], alpha=0.18, lw=0)


def _paper_dynamics(ax: Axes, name: str, error: str, number: int) -> None:
    only = name == PAPER_DEEP
    style: dict[str, Any] = {"color": PALETTE[number], "marker": MARKERS[number]}
    style["label"] = f"the paper's {name}" if only else None
    if error == "l2_squared":
        hollow(ax, paper.STEPS, paper.DYNAMICS[name], **style)
    else:
        hollow(ax, paper.STEPS[-1:], [paper.FINAL_H1[name]], **style)


def scaling(runs: Runs) -> Figure | None:
    """Draw the poster's protocol: errors against the paper's N, KANs above and MLPs below."""
    if not runs.of(POSTER_KAN) and not runs.of(POSTER_MLP):
        return None
    figure = new_figure(9.0, 7.4)
    axes = figure.subplots(2, 2, sharex="row", sharey="col")
    for (above, below), error in zip(axes.T, ERRORS, strict=True):
        kans(above, runs, POSTER_KAN, error, "n")
        paper_kans(above, error, "n")
        mlps(below, runs, POSTER_MLP, error, "n")
        paper_mlps(below, error)
        guides(above, error, (8 if error == "l2_squared" else 6, 4))
        above.set_title("KANs, degree 3", fontsize=9)
        below.set_title("MLPs", fontsize=9)
        above.set_xlabel("$N$ = edges × grid intervals $G$ = 2, 4, 6, 8, 10")
        below.set_xlabel("$N$ = weights, widths 5, 10, 20, 50, …")
        for ax in (above, below):
            ax.set(xscale="log", yscale="log", ylabel=LABELS[error])
            finish(ax)
    legend_below(figure, [paper_entry(), *entries(axes[0, 0]), *entries(axes[1, 0])])
    return figure


def fair(runs: Runs) -> Figure | None:
    """Draw errors by the same optimizer for KANs and MLPs, against the trained coefficients."""
    if not any(p.series.protocol == "fair" for p in runs.points):
        return None
    figure = new_figure(9.0, 7.4)
    axes = figure.subplots(2, 2, sharey="col", sharex=True)
    titles = {"penalty": "the poster's loss", "exact": "boundary values met exactly"}
    for row, (boundary, title) in zip(axes, titles.items(), strict=True):
        for ax, error in zip(row, ERRORS, strict=True):
            kans(ax, runs, Series("fair", "KAN", boundary, 3), error, "parameters")
            mlps(ax, runs, Series("fair", "MLP", boundary, 0), error, "parameters")
            smooth_kans(ax, runs, boundary, error)
            paper_kans(ax, error, "parameters")
            ax.set(xscale="log", yscale="log", ylabel=LABELS[error])
            ax.set_title(title, fontsize=9)
            ax.set_xlabel("trained coefficients" if boundary == "exact" else "")
            finish(ax)
    shown = [entry for ax in axes.flat for entry in entries(ax)]
    legend_below(figure, [paper_entry("the paper's KANs"), *shown])
    return figure


def orders(runs: Runs) -> Figure | None:
    """Draw errors against G for degrees 3, 5 and 7 with fitted orders.

    Dotted lines have the best splines' order.
    """
    rows = [
        (found, *row)
        for row in ORDERS
        if (found := {k: p for k in (3, 5, 7) if (p := runs.of(row[0]._replace(degree=k), row[1]))})
    ]
    if not rows:
        return None
    figure = new_figure(9.0, 0.4 + 3.3 * len(rows))
    panels = figure.subplots(len(rows), 2, squeeze=False)
    for axes, (found, _, _, title) in zip(panels, rows, strict=True):
        for ax, error in zip(axes, ERRORS, strict=True):
            ax.set(xscale="log", yscale="log", ylabel=LABELS[error], xlabel="grid intervals $G$")
            ax.set_title(title, fontsize=9)
            for number, (degree, points) in enumerate(found.items()):
                _order(ax, points, degree, error, number)
            every = [p for points in found.values() for p in points]
            errors = [getattr(p, error) for p in every]
            low, high = min(errors) / 3, max(errors) * 3
            ax.set_ylim(low, high * (high / low) ** 0.3)  # room for the legend
            finish(ax)
            grid_ticks(ax, [p.grid for p in every])
            ax.legend(fontsize=STYLE.small - 0.5, frameon=False, loc="upper right")
    return figure


def _order(ax: Axes, points: list[Point], degree: int, error: str, number: int) -> None:
    """Draw one degree's errors, the fitted line, and dotted a line of the best splines' order."""
    style: dict[str, Any] = {"color": PALETTE[number], "marker": MARKERS[number]}
    rows, fit = summarise(points), slope(points, error)
    best = 2 * (degree + 1) if error == "l2_squared" else 2 * degree
    text = f"degree {degree}" + (f": order {fit} (splines {best})" if fit else "")
    ranges(ax, [row.grid for row in rows], rows, error, text, linestyle="none", **style)
    grids = numpy.array([row.grid for row in rows], dtype=float)
    if fit:
        ax.plot(grids, [fit(g) for g in grids.tolist()], color=PALETTE[number], lw=1.2)
    start = getattr(rows[0], error).median
    ax.plot(grids, start * (grids / grids[0]) ** -best, ":", color=PALETTE[number], lw=0.9)
