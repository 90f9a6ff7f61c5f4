"""Known functions that many cells share, and their sums."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from kanpinn.cells.geometry.cell_geometry import CellGeometry
from kanpinn.cells.geometry.cell_points import CellPoints
from kanpinn.geometry.points import Points
from kanpinn.jets import Channels, derivatives_of_parts


class SharedFunctions(Protocol):
    """Known functions in some cells, each with one coefficient for all of them."""

    @property
    def count(self) -> int:
        """The number of functions."""

    def members(self, geometry: CellGeometry) -> Tensor:
        """The cells that have the functions, a mask (N,); elsewhere they are zero."""

    def stacked(self, points: Points, channels: Channels) -> Tensor:
        """The stacked jets of all functions at points of these cells, (n, parts, m, count)."""


@dataclass(frozen=True, eq=False)
class SharedSum:
    """The sums of shared functions in all cells.

    Args:
        functions: of several kinds.
        members: the cells that have those of each kind, (kinds, N).
        numbers: the coefficients of those of each kind, (count,) each.
        fields: the number m of fields.
    """

    functions: Sequence[SharedFunctions]
    members: Tensor
    numbers: Sequence[Tensor]
    fields: int

    def stacked(self, at: CellPoints, channels: Channels) -> Tensor:
        """The stacked jets of the sums at points of cells, (c, q, parts, m)."""
        (cells, each), most = at.weights.shape, 2**20  # numbers of functions at once
        parts = len(derivatives_of_parts(channels))
        found = at.weights.new_zeros(cells, each, parts, self.fields)
        for functions, members, numbers in zip(
            self.functions, self.members, self.numbers, strict=True
        ):
            own = members[at.cells].nonzero()[:, 0]
            if not len(own) or not bool(numbers.any()):
                continue
            together = max(1, most // (each * parts * self.fields * functions.count))
            for some in own.split(together):
                jets = functions.stacked(at.some(some).points, channels) @ numbers
                found[some] += jets.unflatten(0, (len(some), each))
        return found


def for_each_field(jets: Tensor, fields: int) -> Tensor:
    """The jets of scalar functions in each of m fields, (n, parts, m, count m).

    jets: of the functions, (n, parts, count). The fields of each function stand side by side.
    """
    unit = torch.eye(fields, dtype=jets.dtype)
    return torch.einsum("npk,mf->npmkf", jets, unit).flatten(3)
