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
class SharedInCells:
    """The functions of several kinds that the cells of a tree share.

    Args:
        kinds: those of each kind.
        members: the cells that have them, (kinds, N).
        fields: the number m of fields.
    """

    kinds: Sequence[SharedFunctions]
    members: Tensor
    fields: int

    @classmethod
    def of(
        cls, functions: Sequence[SharedFunctions], geometry: CellGeometry, fields: int
    ) -> "SharedInCells":
        """Some functions in some cells."""
        none = torch.zeros(0, len(geometry.tree), dtype=torch.bool)
        members = torch.cat([none, *(one.members(geometry)[None] for one in functions)])
        return cls(functions, members, fields)

    def __len__(self) -> int:
        return len(self.kinds)

    @property
    def sizes(self) -> list[int]:
        """The number of functions of each kind."""
        return [one.count for one in self.kinds]

    def sum(self, numbers: Sequence[Tensor]) -> "SharedSum | None":
        """The sums of the functions; None without any.

        numbers: the coefficients of those of each kind, (count,) each; none where they are zero.
        """
        return SharedSum(self, numbers) if numbers else None


@dataclass(frozen=True, eq=False)
class SharedSum:
    """The sums of shared functions in all cells.

    Args:
        functions: the functions.
        numbers: the coefficients of those of each kind, (count,) each.
    """

    functions: SharedInCells
    numbers: Sequence[Tensor]

    def stacked(self, at: CellPoints, channels: Channels) -> Tensor:
        """The stacked jets of the sums at points of cells, (c, q, parts, m)."""
        (cells, each), most = at.weights.shape, 2**20  # numbers of functions at once
        fields, kinds = self.functions.fields, (self.functions.kinds, self.functions.members)
        parts = len(derivatives_of_parts(channels))
        found = at.weights.new_zeros(cells, each, parts, fields)
        for functions, members, numbers in zip(*kinds, self.numbers, strict=True):
            own = members[at.cells].nonzero()[:, 0]
            if not len(own) or not bool(numbers.any()):
                continue
            together = max(1, most // (each * parts * fields * functions.count))
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
