"""Moments of an equation's source in cells whose quadrature is not accurate for it."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from kanpinn._support.distributed import share, summed, together
from kanpinn.cells.geometry.cell_geometry import CellGeometry
from kanpinn.cells.system.cell_terms import SampledTerm
from kanpinn.cells.system.moments_in_boxes import MomentsInBoxes


@dataclass(frozen=True)
class SourceMoments:
    """The integrals of a source times the polynomials of cells, by rules on ever smaller boxes.

    A least-squares solution depends on the source by its integrals times the images of polynomials.
    The Gauss points of a cell do not give these integrals where the source is singular, as at a
    line where the solution has the exponent 3/2. Then the solution has errors everywhere, which a
    comparison with a higher degree does not show. In such cells a polynomial is added to the source
    at the points, so that their rule gives the integrals that are found by rules on the halves of
    the cell, the halves of these, and so on. Boxes are halved while that changes the solution by
    more than a tenth of the error that the cell has anyway. Cells in which the changes are spread
    evenly and hardly decrease are not halved further: such changes are rounding errors.

    Args:
        halvings: the largest number of halvings in the plane, where a line crosses 2^n boxes after
            n of them. In space half as many are made, as a surface crosses 4^n boxes.

    Attributes:
        known: the corrections of the moments of each cell that has been integrated, (2, L, e), by
            degree, region, level and place; None where none is needed. The first is extrapolated to
            infinitely many halvings. The second is changed further, by as much as the last halving
            changed the first one, for estimates of the error.
    """

    halvings: int = 6
    known: dict[tuple[int, ...], Tensor | None] = field(default_factory=dict)

    def corrections(self, geometry: CellGeometry, term: SampledTerm, limit: bool) -> Tensor | None:
        """The correction of the source at the points of whole cells, (c, q, e); None for zero.

        Args:
            geometry: the cells.
            term: the equation at the points of a rule, in the same places of each cell. Its source
                is the negative residual of zero fields.
            limit: whether the second correction in `known` is taken, for an estimate of the error.
        """
        missing = enumerate(self._in_cells(geometry, term))
        own = [(place, one[int(limit)]) for place, one in missing if one is not None]
        if not own:
            return None
        functions = term.polynomials.values(term.at.local)
        result = torch.zeros_like(term.right)
        for place, moments in own:
            result[place] = functions @ moments
        return result

    def apart(self, geometry: CellGeometry, term: SampledTerm) -> Tensor:
        """The squared L2 norms in cells of the difference of both corrections, (c,).

        The arguments are those of `corrections`.
        """
        found = torch.zeros(len(term.at.cells), dtype=torch.float64)
        for place, one in enumerate(self._in_cells(geometry, term)):
            if one is not None:
                found[place] = (one[1] - one[0]).square().sum() / term.at.scale[place].prod()
        return found

    def _in_cells(self, geometry: CellGeometry, term: SampledTerm) -> list[Tensor | None]:
        """What `known` has for each cell of a term, whose new cells are integrated first."""
        tree, cells = geometry.tree, term.at.cells
        names = torch.cat([tree.region[:, None], tree.level, tree.place], dim=1)[cells]
        keys = [(term.polynomials.degree, *name) for name in names.tolist()]
        new = [place for place, key in enumerate(keys) if key not in self.known]
        if new:
            found = self._integrated(geometry, term, torch.tensor(new))
            self.known.update(zip([keys[place] for place in new], found, strict=True))
        return [self.known[key] for key in keys]

    def _integrated(
        self, geometry: CellGeometry, term: SampledTerm, places: Tensor
    ) -> list[Tensor | None]:
        """What `known` is to have for some cells, of which each rank integrates its share.

        places: their numbers in the term, (c,).
        """
        size, equations = term.polynomials.size, term.right.shape[2]
        both = torch.zeros(len(places), 2, size, equations, dtype=torch.float64)
        own = share(len(places))
        with together():
            boxed = MomentsInBoxes.of(geometry, term, places[own])
            boxes = boxed.first()
            squares = boxed.squares(boxes.moments)
        (total,) = summed([squares])
        with together():
            halvings = self.halvings // max(1, term.polynomials.dim - 1)
            found = boxed.missing(boxes, total, halvings)
            for place, one in zip(range(len(places))[own], found, strict=True):
                if one is not None:
                    both[place] = one
        (both,) = summed([both])
        return [one if bool(one.any()) else None for one in both]
