"""Curves of errors against the size of KANs and MLPs, ours and the paper's."""

from typing import Any

from matplotlib.axes import Axes
from poster import paper
from poster.figure3_data import Runs, Series, summarise
from poster.figure3_marks import hollow, ranges, seeds

from kanpinn.plotting.style import GREY, MARKERS, PALETTE, STYLE

POSTER_KAN = Series("poster", "KAN", "penalty", 3)
POSTER_MLP = Series("poster", "MLP", "penalty", 0)
WIDTHS = {width: number for number, width in enumerate(paper.WIDTHS)}  # their colours
DEPTHS = {depth: number + 3 for number, depth in enumerate((2, 3, 4, 5))}


def kans(ax: Axes, runs: Runs, series: Series, error: str, size: str) -> None:
    """Draw a curve for each width; size is "n" (the paper's N) or "parameters"."""
    for width, number in WIDTHS.items():
        rows = summarise(runs.of(series, (2, width, 1)))
        if rows:
            label = f"KAN [2,{width},1]{seeds(rows[0].l2_squared.seeds)}"
            x = [getattr(row, size) for row in rows]
            ranges(ax, x, rows, error, label, linestyle="-", **_style(number))


def smooth_kans(ax: Axes, runs: Runs, boundary: str, error: str) -> None:
    """Draw the KANs of degree 7: [2,10,1] with exact boundary values, else the found ones."""
    for series, width, how in (
        (Series("fair", "KAN", boundary, 7), (2, 10, 1), ""),
        (Series("structure", "KAN", boundary, 7), (2, 2, 1), ", variable projection"),
    ):
        rows = summarise(runs.of(series, width))
        if rows:
            name = f"KAN [{','.join(map(str, width))}], degree 7{how}"
            x = [row.parameters for row in rows]
            label = name + seeds(rows[0].l2_squared.seeds)
            ranges(ax, x, rows, error, label, linestyle=STYLE.dashes[2], color=GREY, marker="*")


def mlps(ax: Axes, runs: Runs, series: Series, error: str, size: str) -> None:
    """Draw a curve for each depth."""
    for depth, number in DEPTHS.items():
        rows = [r for r in summarise(runs.of(series)) if len(r.width) == depth + 1]
        if rows:
            label = f"MLP, depth {depth}{seeds(rows[0].l2_squared.seeds)}"
            x = [getattr(row, size) for row in rows]
            ranges(ax, x, rows, error, label, linestyle=STYLE.dashes[1], **_style(number))


def paper_kans(ax: Axes, error: str, size: str) -> None:
    """Draw the paper's KANs, whose edges have G + 4 coefficients.

    They consist of a spline of degree 3 and a silu term.
    """
    more = 4 if size == "parameters" else 0
    for width, values in paper.KANS.items():
        x = [paper.edges([2, width, 1]) * (grid + more) for grid in paper.GRIDS]
        hollow(ax, x, getattr(values, error), **_style(WIDTHS[width]))


def paper_mlps(ax: Axes, error: str) -> None:
    """Draw the paper's MLPs against N.

    Of H1 only the least error over the widths is known, without the width.
    """
    if error == "l2_squared":
        for depth, values in paper.MLP_L2.items():
            n = [paper.edges([2, *[w] * (depth - 1), 1]) for w in paper.MLP_WIDTHS]
            hollow(ax, n, values, **_style(DEPTHS[depth]))
        return
    for depth, value in paper.MLP_BEST_H1.items():
        ax.axhline(value, color=PALETTE[DEPTHS[depth]], lw=0.8, ls=":")
        ax.annotate(
            f"paper's best, depth {depth}",
            (0.995, value),
            xycoords=("axes fraction", "data"),
            xytext=(0, 1.5),
            textcoords="offset points",
            ha="right",
            fontsize=STYLE.small - 1.5,
            color=GREY,
        )


def _style(number: int) -> dict[str, Any]:
    return {"color": PALETTE[number], "marker": MARKERS[number]}
