"""What of a result is read: rows of values, and a network's own edges."""

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
    """The solve or the fit, whatever has been pruned of its network since."""
    while isinstance(result, Pruned):
        assert isinstance(result.original, Result)
        result = result.original
    return result


def rows_of(result: Solution | Fitted, seed: int) -> Rows:
    """What formulas are fitted to: the data of a fit, the values of a solution at its points."""
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
    """The relative error of the values, of a solution by what it leaves of its equation."""
    least_accurate = 1e-2  # relative error of values from which nothing exact is read
    if isinstance(result, Fitted):
        return EXACT
    defects = defects_of(result.problem, result.surrogate.jet)
    return min(max([EXACT, *(d.relative for d in defects)]), least_accurate)


def misfit_of(result: Solution | Fitted, rows: Rows) -> float:
    """The relative error that a fit leaves, all of which may be noise; 0 of a solution's values."""
    if isinstance(result, Solution):
        return 0.0
    return rows.relative(result(rows.xv) - rows.yv)
