"""A term in one cell: its rows there, and their weights."""

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from kanpinn.cells.system.cell_terms import SampledTerm


@dataclass(frozen=True, eq=False)
class PlacedTerm:
    """A term in one cell.

    Args:
        term: the term.
        place: the number of the cell in the term.
        factors: of its equations, (equations,).
    """

    term: SampledTerm
    place: int
    factors: Tensor

    @cached_property
    def weights(self) -> Tensor:
        """The roots of the weights of the equations at all points, (q, equations)."""
        return self.term.at.weights[self.place].sqrt()[:, None] * self.factors

    @cached_property
    def used(self) -> slice | Tensor:
        """The points that have a weight: a slice of the first ones or, of others, a mask (q,)."""
        mask = (self.weights != 0).any(dim=1)
        count = int(mask.sum())
        return slice(0, count) if bool(mask[:count].all()) else mask

    @cached_property
    def row_count(self) -> int:
        """The number of rows."""
        return self.weights[self.used].numel()

    def rows(self) -> Tensor:
        """The rows for the coefficients of the cell, (rows, L m)."""
        return self.term.matrix(self.place, self.weights[self.used], self.used)

    def of(self, coefficients: Tensor) -> Tensor:
        """The rows times the coefficients of n functions, (rows, n), without making the rows.

        coefficients: of the functions in the cell, (L m, n).
        """
        functions = self.term.functions(self.place)[self.used]  # (q, parts, L)
        slopes = self.term.slopes[self.place][self.used][:, :, self.term.parts]
        slopes = slopes * self.weights[self.used][..., None, None]  # (q, e, parts, m)
        each = coefficients.unflatten(0, (functions.shape[2], -1))  # (L, m, n)
        jets = (functions.flatten(0, 1) @ each.flatten(1)).view(
            *functions.shape[:2], *each.shape[1:]
        )
        return (slopes.flatten(2) @ jets.flatten(1, 2)).flatten(0, 1)

    def weighed(self, values: Tensor) -> Tensor:
        """Values of the equations times the roots of their weights, (c, rows, n).

        values: at all points of cells like this one, (c, q, equations, n); points without a weight
            are left out.
        """
        return (values[:, self.used] * self.weights[self.used][..., None]).flatten(1, 2)
