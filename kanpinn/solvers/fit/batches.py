"""Which terms of the loss a fit has at each step."""

import torch

from kanpinn._support.distributed import share
from kanpinn.data import Table
from kanpinn.loss.sparsity import Sparsity
from kanpinn.loss.terms import Term
from kanpinn.networks.surrogate import Surrogate
from kanpinn.solvers.fit.frame import Affine
from kanpinn.solvers.fit.terms import loss_term, points_of


class Terms:
    """The terms of the loss: all rows, or for each epoch a batch of them, and the sparsity."""

    def __init__(
        self,
        table: Table,
        surrogate: Surrogate,
        batch: int,
        seed: int,
        sparsity: Sparsity | None,
    ) -> None:
        self.table, self.surrogate, self.batch, self.seed = table, surrogate, batch, seed
        output = surrogate.output
        self.deviation = output.deviation if isinstance(output, Affine) else None
        self.points = points_of(table, surrogate)
        self.whole = loss_term(table, self.points, self.deviation)
        self.extra = [] if sparsity is None else [sparsity.term(surrogate, self.points)]

    def __call__(self, epoch: int) -> list[Term]:
        if not self.batch:
            return [self.whole, *self.extra]
        generator = torch.Generator().manual_seed(self.seed + 1_000_003 * epoch)
        rows = torch.randint(len(self.points), (self.batch,), generator=generator)
        points = self.points[rows.to(self.points.coords.device)]
        return [loss_term(self.table, points, self.deviation), *self.extra]

    def prepare(self) -> None:
        """Let the network adapt to the rows."""
        own = self.points[share(len(self.points))]
        self.surrogate.prepare(own)
