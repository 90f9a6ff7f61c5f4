"""The misfit of data by a solution in cells."""

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from kanpinn.linalg.triangle import TriangularFactor
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

    def state_dict(self) -> dict[str, Any]:
        """The state, for a checkpoint."""
        state = {one.name: getattr(self, one.name) for one in fields(self)}
        return state | {"model": self.model.factor}

    @classmethod
    def of_state(cls, state: dict[str, Any]) -> "CellFit":
        """The fit whose state `state_dict` has returned."""
        return cls(**state | {"model": TriangularFactor(state["model"])})
