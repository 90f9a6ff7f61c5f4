"""The loss that a fit minimises at each step, of all rows or of a random batch."""

from typing import cast

import torch

from kanpinn._support.distributed import share
from kanpinn.data import Table
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.sparsity import Sparsity
from kanpinn.networks.surrogate import Surrogate
from kanpinn.solvers.fit.frame import Affine
from kanpinn.solvers.fit.terms import loss_term, points_of


class FitLoss:
    """The loss of a fit on all rows of a table, or on a random batch of rows for each epoch.

    Args:
        table: the training rows.
        surrogate: is fitted to them.
        batch: the number of rows in a batch, drawn with replacement; 0 for all rows.
        seed: of the draws.
        sparsity: a further term of the loss; None for none.
    """

    def __init__(
        self,
        table: Table,
        surrogate: Surrogate,
        batch: int,
        seed: int,
        sparsity: Sparsity | None,
    ) -> None:
        self.table, self.surrogate, self.batch, self.seed = table, surrogate, batch, seed
        self.deviation = None if table.classes else cast(Affine, surrogate.output).deviation
        self.points = points_of(table, surrogate)
        self.extra = [] if sparsity is None else [sparsity.term(surrogate, self.points)]

    def whole(self) -> Residuals:
        """Return the loss on all rows."""
        term = loss_term(self.table, self.points, self.deviation)
        return Residuals(self.surrogate, [term, *self.extra])

    def residuals(self, epoch: int) -> Residuals:
        """Return the loss of an epoch, on its batch or on all rows."""
        if not self.batch:
            return self.whole()
        generator = torch.Generator().manual_seed(self.seed + 1_000_003 * epoch)
        rows = torch.randint(len(self.points), (self.batch,), generator=generator)
        points = self.points[rows.to(self.points.coords.device)]
        term = loss_term(self.table, points, self.deviation)
        return Residuals(self.surrogate, [term, *self.extra])

    def prepare(self) -> None:
        """Prepare the surrogate on the rows, for example place its grids."""
        self.surrogate.prepare(self.points[share(len(self.points))])
