"""The data that formulas are read from: rows of inputs and values, and their accuracy."""

import torch

from kanpinn._support.errors import InputError
from kanpinn.interpret.graphs.rows import Rows
from kanpinn.interpret.pruning.pruned import Pruned
from kanpinn.interpret.search import EXACT
from kanpinn.pde.verify import defects_of
from kanpinn.solvers.fit import Fitted
from kanpinn.solvers.solution import Solution

Result = Solution | Fitted | Pruned


def source_of(result: Result) -> Solution | Fitted:
    """Return the solve or the fit from which a result came, through any number of prunings."""
    while isinstance(result, Pruned):
        assert isinstance(result.original, Result)
        result = result.original
    return result


def rows_of(result: Solution | Fitted, seed: int) -> Rows:
    """Return the rows for formulas: a fit's training data, or a solution's values at its points.

    At most 2000 rows are chosen at random; a quarter of them is kept to judge formulas by.

    Raises:
        InputError: if the targets are classes or a value is not finite.
    """
    most_rows, judges = 2000, 0.25  # rows that are used, and the share of them to judge by
    if isinstance(result, Solution):
        points = result.residuals.points
        x, names = points.coords, points.names
        y = result.surrogate(points)
    else:
        table = result.data.train
        if table.classes:
            raise InputError("formulas are for targets that are numbers, these are classes")
        x, y, names = table.inputs, table.targets, table.names
    x, y = x.detach().cpu().double(), y.detach().cpu().double()
    if not bool(y.isfinite().all()):
        raise InputError("the result has values that are not finite")
    chosen = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:most_rows]
    x, y = x[chosen], y[chosen]
    count = max(1, int(judges * len(x)))
    return Rows(x[count:], y[count:], x[:count], y[:count], tuple(names))


def accuracy_of(result: Solution | Fitted) -> float:
    """Estimate the relative error of the values that formulas are fitted to.

    For a solution it is the largest relative defect of its equation and conditions, at most 0.01;
    for a fit, whose values are the data, it is `EXACT`.
    """
    least_accurate = 1e-2  # upper limit of the estimate
    if isinstance(result, Fitted):
        return EXACT
    defects = defects_of(result.problem, result.surrogate.jet)
    return min(max([EXACT, *(d.relative for d in defects)]), least_accurate)


def misfit_of(result: Solution | Fitted, rows: Rows) -> float:
    """Return a fit's relative error on the rows to judge by, an upper limit of the noise.

    It is 0 for a solution, whose values have no noise.
    """
    if isinstance(result, Solution):
        return 0.0
    return rows.relative(result(rows.xv) - rows.yv)
