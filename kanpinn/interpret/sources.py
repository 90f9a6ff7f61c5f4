"""The data that formulas are read from: rows of inputs and values, and their accuracy."""

import torch

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.interpret.graph import Rows, misfit
from kanpinn.interpret.pruning import Pruned
from kanpinn.interpret.search import EXACT
from kanpinn.pde.verify import defects_of
from kanpinn.solvers.fit import Fitted
from kanpinn.solvers.solution import Solution

Result = Solution | Fitted | Pruned


def origin_of(result: Result) -> Solution | Fitted:
    """Return the solve or the fit from which a result came, through any number of prunings."""
    while isinstance(result, Pruned):
        result = result.original
    return result


def rows_of(result: Solution | Fitted, seed: int) -> Rows:
    """Return at most 2000 random rows; a quarter of them is kept to judge formulas by.

    They are a solution's values at its points, or the data of a fit.

    Raises:
        InputError: if a value is not finite, or the targets of a fit are classes.
    """
    most_rows, judges = 2000, 0.25  # rows that are used, and the share of them to judge by
    if isinstance(result, Solution):
        points = result.residuals.points
        x, y, names = points.coords, result.surrogate(points), points.names
    else:
        table = result.data.train
        if table.classes:
            raise InputError("formulas are for targets that are numbers, these are classes")
        x, y, names = table.inputs, table.targets, tuple(table.names)
    x, y = x.detach().cpu().double(), y.detach().cpu().double()
    if not bool(y.isfinite().all()):
        raise InputError("the result has values that are not finite")
    chosen = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:most_rows]
    x, y = x[chosen], y[chosen]
    count = max(1, int(judges * len(x)))
    return Rows(x[count:], y[count:], x[:count], y[:count], names)


def accuracy_of(result: Solution | Fitted, rows: Rows) -> tuple[float, float]:
    """Return estimates of the relative error of the values, and of the noise in them.

    The error of a solution is the largest relative defect of its equation and conditions, at most
    0.01; that of a fit, whose values are the data, is `EXACT`. A solution has no noise. The noise
    of a fit is at most its relative error on the rows to judge by.
    """
    if isinstance(result, Solution):
        defects = defects_of(result.problem, result.surrogate.jet)
        return min(max([EXACT, *(d.relative for d in defects)]), 1e-2), 0.0
    low = result.surrogate.low
    points = Points(rows.xv, rows.names).to(low.dtype, low.device)
    return EXACT, misfit(result.surrogate(points), rows.yv)
