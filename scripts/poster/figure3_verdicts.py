"""Figure 3's measured values beside their targets."""

from common.verdicts import Figure
from poster import paper
from poster.figure3_curves import POSTER_KAN
from poster.figure3_data import ERRORS, Range, Runs, Series, slope, summarise

from kanpinn.accuracy.orders import Fit

NAMES = {"l2_squared": "L2²", "h1_squared": "H1²"}
FACTOR = 3.0
REPRODUCED = 10  # the width whose values are to be those of the paper
FAIR = {
    Series("fair", "KAN", "exact", 3): "Levenberg–Marquardt, exact boundary",
    Series("fair", "KAN", "penalty", 3): "Levenberg–Marquardt, the poster's loss",
}


def verdicts(runs: Runs) -> dict[str, Figure]:
    """Return the measured values by name; what was not run is None and not judged."""
    return _reproduced(runs) | _below(runs) | _slopes(runs)


def _reproduced(runs: Runs) -> dict[str, Figure]:
    found = _medians(runs, POSTER_KAN, REPRODUCED, "l2_squared")
    figures: dict[str, Figure] = {}
    for grid, theirs in zip(paper.GRIDS, paper.KANS[REPRODUCED].l2_squared, strict=True):
        ours = found.get(grid)
        name = f"the poster's protocol, KAN [2,{REPRODUCED},1], G = {grid}: L2²"
        figures[name] = {
            "value": ours and ours.median,
            "target": f"within a factor {FACTOR:g} of the paper's {theirs:.2e}",
            "met": ours and 1 / FACTOR <= ours.median / theirs <= FACTOR,
        }
    return figures


def _below(runs: Runs) -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    for series, title in FAIR.items():
        for width, theirs in paper.KANS.items():
            for error in ERRORS:
                found = _medians(runs, series, width, error)
                for grid, value in zip(paper.GRIDS, getattr(theirs, error), strict=True):
                    ours = found.get(grid)
                    name = f"{title}, KAN [2,{width},1], G = {grid}: {NAMES[error]}"
                    figures[name] = {
                        "value": ours and ours.median,
                        "target": f"below the paper's {value:.2e}",
                        "met": ours and ours.median < value,
                    }
    return figures


def _medians(runs: Runs, series: Series, width: int, error: str) -> dict[int, Range]:
    return {row.grid: getattr(row, error) for row in summarise(runs.of(series, (2, width, 1)))}


def _slopes(runs: Runs) -> dict[str, Figure]:
    """Judge Levenberg–Marquardt by the paper's slopes, structured KANs by the best splines'."""
    figures: dict[str, Figure] = {}
    for k in (3, 5, 7):
        for error, theirs in zip(ERRORS, paper.SLOPES[10], strict=True):
            best = 2 * (k + 1) if error == "l2_squared" else 2 * k
            known = f"best splines {best}, an L2 residual guarantees {2 * (k - 1)}"
            fit = slope(runs.of(Series("fair", "KAN", "exact", k), (2, 10, 1)), error)
            figures[f"slope against G, KAN [2,10,1], degree {k}: {NAMES[error]}"] = {
                "value": _fitted(fit),
                "target": f"above the paper's {theirs} ({known})" if k == 3 else known,
                "met": fit.order > theirs if fit and k == 3 else None,
            }
            fit = slope(runs.of(Series("structure", "KAN", "penalty", k), (2, 2, 1)), error)
            figures[f"slope against G, KAN [2,2,1] found, degree {k}: {NAMES[error]}"] = {
                "value": _fitted(fit),
                "target": f"the best splines' {best} or more, within the margin",
                "met": fit.order + (fit.margin or 0.0) >= best if fit else None,
            }
    return figures


def _fitted(fit: Fit | None) -> dict[str, float | None] | None:
    return None if fit is None else {"slope": fit.order, "margin of 95%": fit.margin}
