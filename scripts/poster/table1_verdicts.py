"""The orders of Table 1 beside their targets."""

from collections.abc import Sequence

import numpy
from common.verdicts import Figure
from poster import paper
from poster.table1_orders import Series, find, one
from poster.table1_studies import REFINED

SLACK = 0.15  # of an order: what small grids and few of them cost


def judge(series: Sequence[Series]) -> dict[str, Figure]:
    """Return the measured orders beside their targets."""
    figures: dict[str, Figure] = {}
    for s in find(series, study="approximation"):
        name = f"{s.norm} order, k = {s.degree}, {s.setting}"
        figures[name] = _verdict(s, f"{s.theory}, k+1-m")
    for norm, slope in (("L2", paper.SLOPES[10][0]), ("H1", paper.SLOPES[10][1])):
        for s in find(series, study="found", norm=norm):
            known = f"; the paper: {slope / 2:g}" if s.degree == 3 else ""
            name = f"Poisson {norm} order, k = {s.degree}"
            figures[name] = _verdict(s, f"{s.theory}, that of the best splines{known}")
        squared = getattr(paper.KANS[10], f"{norm.lower()}_squared")
        own = one(series, study=REFINED, degree=3, norm=norm)
        if own.grids:
            figures[f"[2,10,1], k = 3, {norm}² by refined grids"] = _beside_paper(own, squared)
    return figures


def _verdict(s: Series, target: str) -> Figure:
    fit = s.fit
    value = None if fit is None else [fit.order, fit.margin]
    met = None if fit is None else fit.order + max(fit.margin or 0.0, SLACK) >= s.theory
    return {"value": value, "target": f"{target} (value: order, ±95%)", "met": met}


def _beside_paper(own: Series, squared: Sequence[float]) -> Figure:
    pairs = [
        (float(numpy.median(own.at(grid))) ** 2, theirs)
        for grid, theirs in zip(paper.GRIDS, squared, strict=True)
        if grid in own.grids
    ]
    grids = [grid for grid in paper.GRIDS if grid in own.grids]
    target = f"below the paper's {[theirs for _, theirs in pairs]} on grids {grids}"
    return {
        "value": [ours for ours, _ in pairs],
        "target": target,
        "met": all(ours < theirs for ours, theirs in pairs),
    }
