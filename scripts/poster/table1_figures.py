"""The figures of Table 1: C^m errors, orders of the Poisson problem, and what limits them."""

from collections.abc import Sequence

import numpy
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from poster import paper
from poster.table1_orders import Series, find
from poster.table1_studies import BEST_H1, BEST_L2, BUILT, EXACT, HARD, RANDOM, REFINED, RESIDUAL

from kanpinn.plotting.convergence import error_axis, size_axis
from kanpinn.plotting.style import GREY, MARKERS, PALETTE, STYLE, new_figure, tidy

NAMES = {"C0": "$C^0$ error", "C1": "$C^1$ error", "C2": "$C^2$ error"}
NORMS = {"L2": "$L^2$ error", "H1": "$H^1$ error"}
LETTER = 7
MANY = 9  # different grids: only powers of two have ticks
ASIDE = 0.5  # of the errors, where theory's lines are drawn


def draw_approximation(series: Sequence[Series]) -> Figure:
    """Draw the errors of one function: a panel for each m, a line for each degree."""
    figure = new_figure(10, 4.3)
    figure.suptitle(series[0].setting, fontsize=STYLE.small)
    for ax, (norm, name) in zip(figure.subplots(1, len(NAMES)), NAMES.items(), strict=True):
        shown = find(series, norm=norm)
        _panel(ax, [(f"k = {s.degree}", s, s.degree - 1) for s in shown], name)
    return figure


def draw_orders(series: Sequence[Series], seeds: int) -> Figure:
    """Draw errors of networks found from random starts, with the paper's for k = 3."""
    figure = new_figure(9.5, 4.8)
    for ax, (norm, name) in zip(figure.subplots(1, 2), NORMS.items(), strict=True):
        shown = find(series, study="found", norm=norm)
        lines = [(f"k = {s.degree}", s, number) for number, s in enumerate(shown)]
        squared = getattr(paper.KANS[10], f"{norm.lower()}_squared")
        values = [value**0.5 for value in squared]
        ax.plot(paper.GRIDS, values, "*", color=GREY, markersize=6, label="paper, k = 3, [2,10,1]")
        _panel(ax, lines, name, extra=(paper.GRIDS, values))
        ax.set_title(
            f"found from random starts, {seeds} seeds: median and range", fontsize=STYLE.small
        )
    return figure


def draw_reasons(series: Sequence[Series], degree: int = 3) -> Figure:
    """Draw, for degree 3, the effects of loss, points and boundary, and of the optimizer."""
    figure = new_figure(11.5, 5.2)
    left, middle, right = figure.subplots(1, 3)
    of = [s for s in series if s.degree == degree]
    for ax, norm, best in ((left, "L2", BEST_L2), (middle, "H1", BEST_H1)):
        chosen = [(best, best.replace("best", "best approximation")), (RESIDUAL, RESIDUAL)]
        chosen += [(HARD, HARD), ("", "residual, 10 000 random points"), (EXACT, EXACT)]
        lines = []
        for number, (setting, label) in enumerate(chosen):
            study = "structured" if setting else "sampled"
            found = find(of, study=study, setting=setting, norm=norm)
            lines += [(label, s, number) for s in found]
        _panel(ax, lines, NORMS[norm], guides=False)
        ax.set_title(f"k = {degree}, inner functions given: {NORMS[norm]}", fontsize=STYLE.small)
    labels = {RANDOM: "LM at once", REFINED: "LM, grid refined", BUILT: "constructed"}
    lines = [
        (label, s, number)
        for number, (study, label) in enumerate(labels.items())
        for s in find(of, study=study, norm="L2")
    ]
    values = [value**0.5 for value in paper.KANS[10].l2_squared]
    right.plot(paper.GRIDS, values, "*", color=GREY, markersize=6, label="paper")
    _panel(right, lines, NORMS["L2"], guides=False, extra=(paper.GRIDS, values))
    right.set_title(f"k = {degree}, the network [2,10,1]: $L^2$ error", fontsize=STYLE.small)
    return figure


Line = tuple[str, Series, int]  # label, errors, number of the style


def _panel(
    ax: Axes,
    lines: Sequence[Line],
    name: str,
    guides: bool = True,
    extra: tuple[Sequence[int], Sequence[float]] = ((), ()),
) -> None:
    for label, series, number in lines:
        _line(ax, label, series, number, guides)
    sizes = sorted({*(grid for _, s, _ in lines for grid in s.grids), *extra[0]})
    size_axis(ax, sizes if len(sizes) < MANY else [s for s in sizes if s & (s - 1) == 0])
    error_axis(ax, [error for _, s, _ in lines for error in s.errors] + list(extra[1]))
    ax.set_xlabel("grid intervals G", fontsize=STYLE.small)
    ax.set_ylabel(name, fontsize=STYLE.small)
    ax.grid(axis="y", linewidth=0.4, color="#dddddd")
    ax.legend(
        title=f"order ± 95% (best splines{', dotted' if guides else ''})",
        fontsize=LETTER,
        title_fontsize=LETTER,
        frameon=False,
        loc="upper left",
        bbox_to_anchor=(0, -0.16),
        alignment="left",
        handlelength=3.0,
        borderaxespad=0,
    )
    tidy(ax)


def _line(ax: Axes, label: str, series: Series, number: int, guide: bool) -> None:
    """Draw medians with their ranges, and the theory's order below the fitted ones."""
    colour, marker = PALETTE[number % len(PALETTE)], MARKERS[number % len(MARKERS)]
    grids = sorted(set(series.grids))
    errors = [series.at(grid) for grid in grids]
    middle = [float(numpy.median(e)) for e in errors]
    reach = [[m - min(e) for m, e in zip(middle, errors, strict=True)]]
    reach += [[max(e) - m for m, e in zip(middle, errors, strict=True)]]
    dashes = STYLE.dashes[number % len(STYLE.dashes)]
    text = label if series.fit is None else f"{label}: {series.order} ({series.theory})"
    ax.errorbar(
        grids,
        middle,
        reach,
        color=colour,
        marker=marker,
        markersize=4.5,
        linestyle=dashes,
        linewidth=1.1,
        elinewidth=0.9,
        capsize=2,
        label=text,
    )
    if series.fit is not None and series.fitted is not None and guide:
        ends = numpy.array(series.fitted, dtype=float)
        start = ASIDE * series.fit(float(ends[0]))
        ax.plot(ends, start * (ends / ends[0]) ** -series.theory, ":", color=GREY, linewidth=1.2)
