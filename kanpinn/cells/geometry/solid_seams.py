"""The patches of interfaces in space at which cells of two regions meet."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from kanpinn.cells.geometry.cell_points import CellPoints
from kanpinn.cells.geometry.contacts import Contacts
from kanpinn.cells.geometry.solid_geometry import SolidCutter, SolidGeometry
from kanpinn.cells.polynomials import LocalPolynomials
from kanpinn.geometry.points import Batch, Points
from kanpinn.geometry.solid.divide3d import Seam
from kanpinn.loss.terms import ResidualTerm


@dataclass(frozen=True, eq=False)
class SeamPatch:
    """The part of an interface between two cells.

    Args:
        inside, outside: the numbers of the cells.
        points: of a rule on the part, with normals out of the cell inside.
        weights: of the rule, (n,).
    """

    inside: int
    outside: int
    points: Points
    weights: Tensor

    def onto(self, traces: LocalPolynomials) -> Tensor:
        """Orthonormal functions at the points times weights, (n, polynomials).

        They are polynomials of two coordinates in the plane across the mean normal, those of lower
        degrees first. With fewer points than functions the last functions are zero.
        """
        normals, found = self.points.normals, self.weights.new_zeros(len(self.weights), traces.size)
        assert normals is not None
        mean = self.weights @ normals
        across = torch.linalg.svd(mean[None]).Vh[1:]
        flat = self.points.coords @ across.T
        low, high = flat.amin(dim=0), flat.amax(dim=0)
        local = (2 * flat - low - high) / (high - low).clamp_min(1e-300)
        roots = self.weights.sqrt()[:, None]
        orthonormal = torch.linalg.qr(traces.values(local) * roots).Q
        found[:, : orthonormal.shape[1]] = orthonormal * roots
        return found


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
        together, traces = 32, LocalPolynomials(degree, 2)
        for seam in self.seams:
            own = [term for term in terms if seam.piece in term.kinks]
            found = sorted(self._patches(seam, degree), key=lambda one: len(one.weights))
            for start in range(0, len(found), together):
                yield self._batch(found[start : start + together], own, traces)

    def _patches(self, seam: Seam, degree: int) -> Iterator[SeamPatch]:
        """The patches of a piece of an interface; degree: of the functions of cells."""
        more = 6  # the number of points along each coordinate above the degree
        finders = [self.cutters[one].finder for one in (seam.inside, seam.outside)]
        for inside, outside in sorted(self._pairs(seam)):
            both = self._boxes[[inside, outside]]
            low, high = both[:, 0].amax(dim=0), both[:, 1].amin(dim=0)
            room = 2 * finders[0].sliver * (both[:, 1] - both[:, 0]).amin(dim=0)
            points, weights = seam.piece.in_box(low - room, high + room, degree + more)
            own = finders[0].bounds(points, *both[0]) & finders[1].bounds(points.turned(), *both[1])
            if bool(own.any()):
                yield SeamPatch(inside, outside, points[own], weights[own])

    def _pairs(self, seam: Seam) -> set[tuple[int, int]]:
        """The cells inside and outside that may meet at a piece of an interface.

        They are in the same box of the tree. Where the piece is on sides of boxes, each cell is
        asked for its neighbours at some points of it: one of the two sides is a part of the other.
        """
        inner, outer = (self._near(seam, number) for number in (seam.inside, seam.outside))
        found = self._in_same_boxes(inner, outer)
        for cell in inner:
            found |= {(cell, other) for other in self._neighbours(seam, cell, seam.outside)}
        for cell in outer:
            found |= {(other, cell) for other in self._neighbours(seam, cell, seam.inside)}
        return found

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

    def _neighbours(self, seam: Seam, cell: int, region: int) -> list[int]:
        """The cells of another region beyond some points of a piece of an interface in a cell."""
        few, tree = 4, self.geometry.tree
        cutter = self.cutters[int(tree.region[cell])]
        first, last = self._boxes[cell]
        points, _ = cutter.finder.bounding(cutter.solid.number_of(seam.piece), first, last, few)
        assert points.normals is not None
        beyond = points.coords + 2 * cutter.finder.sliver * (last - first) * points.normals
        low, high = self.geometry.domain.bounds
        at = (beyond - low) / (high - low) * 2 - 1
        return tree.locate(at, torch.full((len(at),), region)).unique().tolist()

    def _batch(
        self, patches: Sequence[SeamPatch], terms: Sequence[ResidualTerm], traces: LocalPolynomials
    ) -> Contacts:
        """Some patches, filled up by points of weight 0 to the same number of points."""
        longest = max(len(one.weights) for one in patches)
        weights = torch.zeros(len(patches), longest, dtype=torch.float64)
        onto = torch.zeros(len(patches), longest, traces.size, dtype=torch.float64)
        filled = []
        for place, one in enumerate(patches):
            count = len(one.weights)
            weights[place, :count], onto[place, :count] = one.weights, one.onto(traces)
            filled.append(one.points[torch.arange(longest).where(torch.arange(longest) < count, 0)])
        points = Batch.made_of(Points.cat(filled))
        sides = (
            CellPoints.of(self.geometry, torch.tensor(cells), points, weights)
            for cells in ([one.inside for one in patches], [one.outside for one in patches])
        )
        inside, outside = sides
        return Contacts(terms, (inside, outside), traces, onto)
