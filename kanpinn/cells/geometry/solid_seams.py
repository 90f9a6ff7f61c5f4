"""The patches of interfaces in space at which cells of two regions meet."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from kanpinn.cells.geometry.cell_points import CellPoints
from kanpinn.cells.geometry.contacts import Contacts
from kanpinn.cells.geometry.orthonormal import orthonormal
from kanpinn.cells.geometry.solid_geometry import SolidCutter, SolidGeometry
from kanpinn.cells.polynomials import LocalPolynomials
from kanpinn.geometry.points import Batch, Points
from kanpinn.geometry.rules_in_boxes import RulesInBoxes
from kanpinn.geometry.solid.divide3d import Seam
from kanpinn.loss.terms import ResidualTerm


@dataclass(frozen=True, eq=False)
class SolidSeams:
    """Where the cells of a solid's regions meet.

    Args:
        geometry: the cells.
        cutters: those of all regions, in order.
        seams: the pieces of the interfaces.
    """

    geometry: SolidGeometry
    cutters: Sequence[SolidCutter]
    seams: Sequence[Seam]

    @cached_property
    def _boxes(self) -> Tensor:
        """The corners of the cells in physical space, (N, 2, 3)."""
        return self.geometry.physical(self.geometry.tree.boxes)

    def contacts(self, terms: Sequence[ResidualTerm], degree: int) -> Iterator[Contacts]:
        """The patches of all interfaces, in batches with similar numbers of points.

        Args:
            terms: the conditions on interfaces.
            degree: of the functions of cells.
        """
        more = 6  # the number of points along each coordinate above the degree
        together, traces = 32, LocalPolynomials(degree, 2)
        for seam in self.seams:
            own = [term for term in terms if seam.piece in term.kinks]
            pairs = torch.tensor(sorted(self._pairs(seam)), dtype=torch.long).view(-1, 2)
            rules = self._patches(seam, pairs, degree + more)
            for numbers, points, weights in rules.padded(together):
                batch = Batch.made_of(points)
                inside, outside = (
                    CellPoints.of(self.geometry, cells, batch, weights)
                    for cells in pairs[numbers].unbind(dim=1)
                )
                onto = _functions(traces, points, weights)
                yield Contacts(own, (inside, outside), traces, onto)

    def _patches(self, seam: Seam, pairs: Tensor, nodes: int) -> RulesInBoxes:
        """Rules on the patches of a piece of an interface between cells.

        Args:
            seam: the piece.
            pairs: the numbers of pairs of cells, (p, 2): that inside, then that outside.
            nodes: about the number of points along each coordinate.

        Returns:
            Points with the numbers of the pairs, and normals out of the cells inside.
        """
        inner, outer = (self.cutters[one].finder for one in (seam.inside, seam.outside))
        both = self._boxes[pairs]  # (p, 2, 2, 3)
        low, high = both[:, :, 0].amax(dim=1), both[:, :, 1].amin(dim=1)
        room = 2 * inner.sliver * (both[:, :, 1] - both[:, :, 0]).amin(dim=1)
        rules = seam.piece.in_boxes(torch.stack([low - room, high + room], dim=1), nodes)
        own = inner.bounds(rules.points, both[rules.box, 0])
        own &= outer.bounds(rules.points.turned(), both[rules.box, 1])
        return rules.some(own)

    def _pairs(self, seam: Seam) -> set[tuple[int, int]]:
        """The cells inside and outside that may meet at a piece of an interface.

        They are in the same box of the tree. Where the piece is on sides of boxes, each cell is
        asked for its neighbours at some points of it: one of the two sides is a part of the other.
        """
        inner, outer = (self._near(seam, number) for number in (seam.inside, seam.outside))
        found = self._in_same_boxes(inner, outer)
        found |= self._neighbours(seam, inner, seam.outside)
        return found | {(other, one) for one, other in self._neighbours(seam, outer, seam.inside)}

    def _near(self, seam: Seam, region: int) -> list[int]:
        """The cells of a region that a piece of an interface bounds."""
        number = self.cutters[region].solid.number_of(seam.piece)
        own = (self.geometry.tree.region == region).nonzero()[:, 0].tolist()
        return [cell for cell in own if number in self.geometry.parts[cell].sheets]

    def _in_same_boxes(self, inner: Sequence[int], outer: Sequence[int]) -> set[tuple[int, int]]:
        """The pairs of one of some cells and one of others that are in the same box."""
        tree = self.geometry.tree
        keys = torch.cat([tree.level, tree.place], dim=1).tolist()
        boxes = {tuple(keys[cell]): cell for cell in inner}
        both = ((boxes.get(tuple(keys[cell])), cell) for cell in outer)
        return {(one, other) for one, other in both if one is not None}

    def _neighbours(self, seam: Seam, cells: Sequence[int], region: int) -> set[tuple[int, int]]:
        """Cells of one region, and those of another region beyond some points of an interface.

        Args:
            seam: the piece of the interface.
            cells: the numbers of the cells, all of the same region.
            region: the other region.
        """
        if not cells:
            return set()
        few, tree = 4, self.geometry.tree
        cutter, boxes = self.cutters[int(tree.region[cells[0]])], self._boxes[cells]
        rules = cutter.finder.bounding(cutter.solid.number_of(seam.piece), boxes, few)
        widths = (boxes[:, 1] - boxes[:, 0])[rules.box]
        beyond = rules.points.coords + 2 * cutter.finder.sliver * widths * rules.normals
        low, high = self.geometry.domain.bounds
        at = (beyond - low) / (high - low) * 2 - 1
        others = tree.locate(at, torch.full((len(at),), region))
        return set(zip(torch.tensor(cells)[rules.box].tolist(), others.tolist(), strict=True))


def _functions(traces: LocalPolynomials, points: Points, weights: Tensor) -> Tensor:
    """Orthonormal functions at the points of patches times weights, (p, q, polynomials).

    They are polynomials of two coordinates in the plane across the mean normal, those of lower
    degrees first. With fewer points than functions the last functions are zero.

    Args:
        traces: the polynomials.
        points: those of the first patch first, with normals.
        weights: of the rules, (p, q); 0 for points that only fill up, which come last.
    """
    assert points.normals is not None
    coords, normals = (x.unflatten(0, weights.shape) for x in (points.coords, points.normals))
    means = (weights[..., None] * normals).sum(dim=1, keepdim=True)
    across = torch.linalg.svd(means).Vh[:, 1:]
    flat = coords @ across.mT
    low, high = flat.amin(dim=1, keepdim=True), flat.amax(dim=1, keepdim=True)
    local = (2 * flat - low - high) / (high - low).clamp_min(1e-300)
    values = traces.values(local.flatten(0, 1)).unflatten(0, weights.shape)
    return orthonormal(values, weights)
