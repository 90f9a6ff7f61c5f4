"""The data that formulas are read from: rows of inputs and values, and their accuracy."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.interpret.graph import Rows
from kanpinn.interpret.pruning import Pruned
from kanpinn.interpret.search import EXACT
from kanpinn.networks.surrogate import Surrogate
from kanpinn.pde.problem import Problem
from kanpinn.pde.verify import defects_of
from kanpinn.solvers.fit import Fitted
from kanpinn.solvers.solution import Solution

Result = Solution | Fitted | Pruned


@dataclass(frozen=True, eq=False)
class Source:
    """The solve or the fit from which a result came, as values to which formulas are fitted.

    Args:
        x, y: the inputs (n, d) and the values (n, m): a solution's at its points, or a fit's data.
        names: the names of the inputs.
        surrogate: the solution, or the fitted function.
        problem: the problem of a solution; None for a fit.
    """

    x: Tensor
    y: Tensor
    names: tuple[str, ...]
    surrogate: Surrogate
    problem: Problem | None

    def rows(self, seed: int) -> Rows:
        """Return at most 2000 random rows; a quarter of them is kept to judge formulas by.

        Raises:
            InputError: if a value is not finite.
        """
        most_rows, judges = 2000, 0.25  # rows that are used, and the share of them to judge by
        x, y = self.x.detach().cpu().double(), self.y.detach().cpu().double()
        if not bool(y.isfinite().all()):
            raise InputError("the result has values that are not finite")
        chosen = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:most_rows]
        x, y = x[chosen], y[chosen]
        count = max(1, int(judges * len(x)))
        return Rows(x[count:], y[count:], x[:count], y[:count], self.names)

    def accuracy(self) -> float:
        """Estimate the relative error of the values that formulas are fitted to.

        For a solution it is the largest relative defect of its equation and conditions, at most
        0.01; for a fit, whose values are the data, it is `EXACT`.
        """
        if self.problem is None:
            return EXACT
        least_accurate = 1e-2  # upper limit of the estimate
        defects = defects_of(self.problem, self.surrogate.jet)
        return min(max([EXACT, *(d.relative for d in defects)]), least_accurate)

    def misfit(self, rows: Rows) -> float:
        """Return a fit's relative error on the rows to judge by, an upper limit of the noise.

        It is 0 for a solution, whose values have no noise.
        """
        if self.problem is not None:
            return 0.0
        low = self.surrogate.low
        points = Points(rows.xv, self.names).to(low.dtype, low.device)
        return rows.relative(self.surrogate(points) - rows.yv)


def source_of(result: Result) -> Source:
    """Return the solve or the fit from which a result came, through any number of prunings.

    Raises:
        InputError: if the targets of a fit are classes.
    """
    while isinstance(result, Pruned):
        result = result.original
    if isinstance(result, Solution):
        points = result.residuals.points
        y = result.surrogate(points)
        return Source(points.coords, y, points.names, result.surrogate, result.problem)
    table = result.data.train
    if table.classes:
        raise InputError("formulas are for targets that are numbers, these are classes")
    return Source(table.inputs, table.targets, tuple(table.names), result.surrogate, None)
