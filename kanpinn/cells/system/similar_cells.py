"""Cells whose rows have the same matrix up to a factor, such as equal shapes of different sizes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from kanpinn.cells.system.placed_term import PlacedTerm


class EqualCells(NamedTuple):
    """Cells whose rows have the same matrix; size: the first of its sizes, see `RowSizes`."""

    cells: list[int]
    size: float


@dataclass(frozen=True)
class RowSizes:
    """The sizes of all parts of a cell's rows: the first one, and the ratios of the others to it.

    Where all derivatives in the equation of a field are of one order, as in Poisson's equation, and
    weights are powers of a distance, as at corners, the rows of a cell of another size differ only
    by a factor. Then the ratios are the same, and these cells need only one elimination.

    Args:
        ratios: the binary logarithms of the sizes over the first one, as rounded multiples of a
            small unit.
        first: the first size.
    """

    ratios: tuple[int, ...]
    first: float

    @classmethod
    def of(cls, terms: Sequence[PlacedTerm], factors: Sequence[Tensor]) -> "RowSizes":
        """The sizes of the rows of a cell.

        Args:
            terms: its terms, all of them with points in the same places of each cell.
            factors: by which derivatives of each order and field are multiplied at each of its
                faces, those of its functions and those of the traces, (2, j, m).
        """
        parts = [_of_term(term) for term in terms] + [one.flatten() for one in factors]
        sizes = torch.cat(parts)
        unit = 2.0**-20  # far larger than rounding errors
        ratios = (sizes / sizes[0]).clamp_min(1e-300).log2() / unit
        return cls(tuple(ratios.round().long().tolist()), float(sizes[0]))


def _of_term(placed: PlacedTerm) -> Tensor:
    """The sizes of the rows of a term by derivatives of each order that it has, (n,)."""
    term, place = placed.term, placed.place
    there = (term.sizes[place] > 0).any(dim=(0, 2)).nonzero()[:, 0]  # the orders
    powers = term.at.scale[place] ** there[:, None]  # (orders, d)
    root = term.at.weights[place].sum().sqrt()
    return (root * placed.factors[:, None, None] * powers).flatten()
