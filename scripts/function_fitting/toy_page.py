"""The fits of the toy functions as a page and verdicts."""

from collections.abc import Sequence

import numpy
from common.pieces import Row
from common.verdicts import Figure as Verdict
from function_fitting import paper
from function_fitting.rows import markdown, spread, values
from function_fitting.toy import FORMULAS, SHAPES
from function_fitting.toy_runs import PER_PARAMETER, ROWS
from function_fitting.toy_series import RANGE, Series, is_short, series_of

MINUTE, SLOPE, PAPER_DEGREE = 60.0, 3.7, 3
ROUNDING = 1e-10  # what a function that a KAN holds must come to
HEAD = f"""# Toy functions

Test RMSE on 4000 uniform points, medians over seeds (least - greatest). KANs have {ROWS} points to
train with, or {PER_PARAMETER} for each parameter of a fit's finest grid where that is more: uniform
ones for the 100-D function, with the density of Chebyshev's nodes for the others. Orders: errors
fall as G^-p, fitted to all seeds on the finest grids before they level off, a factor of {RANGE}
in G; ± is the 95% confidence interval. Grids 8, 16, 32, 64 are a second fit beside 6, 12, 24, 48,
96: knots are inserted, and steps of two keep them even. The MLPs have two hidden layers and
points by the same rule, each optimizer about as many seconds as a KAN. Seconds: of one processor,
from the start of a fit to this grid.
"""
WHY = """
With 1000 points, the paper's number, the 100-D function has 100 (G + 3) unknowns in the inner layer
alone, less 99 constants: 501 on 3 intervals, 801 on 6, more than points from 8 on. It is
interpolation then, and the test error stops falling while the training error goes on: the plateau
of the paper's curve. The last row of its table shows it.
"""


def page(rows: Sequence[Row]) -> str:
    """Return the page in Markdown."""
    series, parts = series_of(rows), [HEAD]
    for name in dict.fromkeys(s.name for s in series):
        shape = list(SHAPES[name])
        parts += [f"## {FORMULAS[name]}, {shape}", "", *_table(name, series, rows), ""]
        parts += [*_orders(name, series), ""]
        if name == "hundred":
            parts += [WHY, ""]
    return "\n".join(parts)


def _table(name: str, series: Sequence[Series], rows: Sequence[Row]) -> list[str]:
    curve = paper.TOY[name]
    lines = [
        [
            f"KAN k = {s.degree}, G = {g}",
            f"{s.middle(g, 'parameters'):.0f}",
            spread(s.at(g)),
            f"{s.middle(g, 'train_rmse'):.1e}",
            f"{s.middle(g, 'seconds'):.1f}",
        ]
        for s in series
        if s.name == name
        for g in s.grids
    ]
    lines += _mlps([r for r in rows if r["function"] == name and r["network"] == "MLP"])
    for r in (r for r in rows if r["function"] == name and is_short(r)):
        lines.append(
            [
                f"KAN k = {r['degree']}, G = {r['grid']}, {ROWS} points",
                f"{r['parameters']}",
                f"{r['test_rmse']:.1e}",
                f"{r['train_rmse']:.1e}",
                f"{r['seconds']:.1f}",
            ]
        )
    for grid, error in zip(curve.grids, curve.rmse, strict=True):
        lines.append([f"paper's KAN k = 3, G = {grid}", "", f"{error:.1e}", "", ""])
    lines.append(["paper's best MLP", "", f"{curve.mlp:.1e}", "", ""])
    return markdown(["network", "parameters", "test RMSE", "train RMSE", "seconds"], lines)


def _mlps(rows: Sequence[Row]) -> list[list[str]]:
    """Return a line for each width and optimizer."""
    lines = []
    for width, optimizer in dict.fromkeys((r["width"], r["optimizer"]) for r in rows):
        own = [r for r in rows if (r["width"], r["optimizer"]) == (width, optimizer)]
        size, train, seconds = (
            numpy.median(values(own, q)) for q in ("parameters", "train_rmse", "seconds")
        )
        network = f"MLP, two layers of {width}, {optimizer}"
        errors = spread(values(own, "test_rmse"))
        lines.append([network, f"{size:.0f}", errors, f"{train:.1e}", f"{seconds:.1f}"])
    return lines


def _orders(name: str, series: Sequence[Series]) -> list[str]:
    lines = []
    for s in (s for s in series if s.name == name):
        if s.is_exact:
            text = "none: the KAN holds the function itself, on every grid"
        else:
            text = "too few grids" if s.order is None else f"{s.order} (theory {s.degree + 1})"
        lines.append(f"- k = {s.degree}: order {text}")
    return lines


def judge(rows: Sequence[Row]) -> dict[str, Verdict]:
    """Return errors beside the paper's, orders beside the theory's, and seconds."""
    series = series_of(rows)
    figures: dict[str, Verdict] = {}
    for name in dict.fromkeys(s.name for s in series):
        own = [s for s in series if s.name == name]
        target, best = paper.TOY[name].best, min(own, key=lambda s: s.best)
        figures[f"{name}: test RMSE"] = {
            "value": best.best,
            "target": f"<= {target:.2g}, the paper's best (here k = {best.degree})",
            "met": best.best <= target,
        }
        for s in (s for s in own if s.degree == PAPER_DEGREE):
            figures[f"{name}: order, k = 3"] = _order_verdict(s)
        if mlps := [r for r in rows if r["function"] == name and r["network"] == "MLP"]:
            figures[f"{name}: below the MLPs"] = _below(mlps, best.best)
    longest = max(float(numpy.median(s.at(g, "seconds"))) for s in series for g in s.grids)
    met = longest <= MINUTE
    text = f"<= {MINUTE:g}, processor seconds, medians"
    figures["longest fit"] = {"value": longest, "target": text, "met": met}
    return figures


def _below(mlps: Sequence[Row], error: float) -> Verdict:
    """Return the verdict on a KAN's error against the best MLP's.

    The best MLP is the width and optimizer with the least median error.
    """
    ways = dict.fromkeys((r["width"], r["optimizer"]) for r in mlps)
    each = [values(mlps, "test_rmse", width=w, optimizer=o) for w, o in ways]
    least = min(float(numpy.median(errors)) for errors in each)
    return {"value": error, "target": f"< {least:.2g}, the best MLP here", "met": error < least}


def _order_verdict(s: Series) -> Verdict:
    if s.is_exact:
        text = f"none, the KAN holds the function itself: an error <= {ROUNDING:g}"
        return {"value": s.best, "target": text, "met": s.best <= ROUNDING}
    value = None if s.order is None else s.order.order
    met = None if value is None else value >= SLOPE
    return {"value": value, "target": f">= {SLOPE:g}", "met": met}
