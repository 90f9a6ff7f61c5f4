"""Functions in cells, polynomials and functions that cells share: their norms and means."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn.cells.geometry.cell_points import CellPoints
from kanpinn.cells.polynomials import LocalPolynomials
from kanpinn.cells.system.cell_functions import integrals, nearest_polynomials, square_integrals
from kanpinn.cells.system.shared_functions import SharedInCells


@dataclass(frozen=True, eq=False)
class CellField:
    """A function: polynomials in all cells, and functions that cells share.

    coefficients: (N, L, m). numbers: the coefficients of the shared functions, (count,) of each
    kind; none where they are zero.
    """

    coefficients: Tensor
    numbers: Sequence[Tensor] = ()

    def minus(self, other: "CellField") -> "CellField":
        """The difference from another function on the same cells."""
        pairs = zip(self.numbers, other.numbers, strict=True)
        return CellField(self.coefficients - other.coefficients, [a - b for a, b in pairs])


@dataclass(frozen=True, eq=False)
class CellNorms:
    """Norms and means of functions in cells.

    Args:
        places: points of a quadrature rule in groups of cells; each cell is in one group, once.
        polynomials: the functions of each cell.
        counted: the numbers of the fields that count in norms.
        shared: functions that cells share.
    """

    places: Sequence[CellPoints]
    polynomials: LocalPolynomials
    counted: Sequence[int]
    shared: SharedInCells

    def of_cells(self, one: CellField) -> Tensor:
        """The L2 norms of the counted fields together over each cell's part of the domain, (N,)."""
        squares = torch.empty(len(one.coefficients), dtype=one.coefficients.dtype)
        counted, shared = list(self.counted), self.shared.sum(one.numbers)
        for at in self.places:
            own = square_integrals(at, self.polynomials, one.coefficients, counted, shared)
            squares[at.cells] = own
        return squares.sqrt()

    def total(self, one: CellField) -> float:
        """The L2 norm of the counted fields over the domain."""
        return float(self.of_cells(one).square().sum().sqrt())

    def nearest(self, one: CellField, lower: LocalPolynomials) -> Tensor:
        """The polynomials of a lower degree that are nearest in L2 in each cell, (N, L, m)."""
        found = torch.zeros_like(one.coefficients[:, : lower.size])
        for at in self.places:
            found[at.cells] = nearest_polynomials(at, self.polynomials, one.coefficients, lower)
        return found

    def means(self, one: CellField) -> Tensor:
        """The means of the fields over the domain, (m,)."""
        shared = self.shared.sum(one.numbers)
        parts = [integrals(at, self.polynomials, one.coefficients, shared) for at in self.places]
        return torch.cat(parts).sum(dim=0) / sum(float(at.weights.sum()) for at in self.places)

    def without_means(self, one: CellField, fields: Sequence[int]) -> CellField:
        """The function minus the means of some fields; fields: their numbers."""
        found, unit = one.coefficients.clone(), 2 ** (self.polynomials.dim / 2)
        for field in fields:
            found[:, 0, field] -= self.means(one)[field] * unit
        return CellField(found, one.numbers)
