"""The misfit of data by a solution in cells."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn.loss.numbered import MisfitModel


@dataclass(frozen=True, eq=False)
class CellFit(MisfitModel):
    """The misfit of data by the solution in cells for some numbers.

    numbers: the coefficients of the numbers, (K,). fields: the solution, (N, L, m). directions: its
    derivatives by the numbers, (N, L, K m), all fields of one number after the other.
    """

    numbers: Tensor
    fields: Tensor
    directions: Tensor

    def moved(self, change: Tensor) -> Tensor:
        """The solution for changed numbers to first order, (N, L, m); change: (K,)."""
        by_number = self.directions.unflatten(2, (len(change), -1))
        return self.fields + torch.einsum("nlkm,k->nlm", by_number, change)
