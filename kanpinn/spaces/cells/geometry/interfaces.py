"""The parts of interfaces at which cells of two regions meet: arcs in the plane, patches in
space, and the fluxes there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from kanpinn.geometry.division import DivisionEdge, Seam
from kanpinn.geometry.points import Batch, Points
from kanpinn.geometry.rules import gauss_legendre
from kanpinn.geometry.rules_in_boxes import RulesInBoxes
from kanpinn.jets import Channels, Jet, Linearised, jet_of_stacked, largest_of_orders
from kanpinn.loss.terms import ResidualTerm
from kanpinn.spaces.cells.geometry.cell_geometry import CellGeometry, CellPoints
from kanpinn.spaces.cells.geometry.plane import Arcs, CutGeometry, gauss_on_arcs
from kanpinn.spaces.cells.geometry.solid import SolidCutter, SolidGeometry, orthonormal
from kanpinn.spaces.cells.polynomials import LocalPolynomials

INSIDE, OUTSIDE = 0, 1


@dataclass(frozen=True, eq=False)
class Contacts:
    """Parts of an interface between a cell inside and a cell outside of it: arcs or patches.

    A field is continuous there, and the terms prescribe its flux, or if there is none its normal
    derivative is continuous. As on faces both sides are compared with a trace for each field, and
    for each flux: polynomials of the arc's parameter, or of two coordinates along the patch.

    Args:
        terms: the conditions on the flux, each row of which belongs to a point inside and one
            outside, in this order.
        sides: the same points as those of the cells inside and of those outside; their normals
            point out.
        traces: the polynomials, which span those of lower degrees first.
        onto: functions of these degrees that are orthonormal on each part, at its points, times
            weights, (c, q, polynomials).
    """

    terms: Sequence[ResidualTerm]
    sides: tuple[CellPoints, CellPoints]
    traces: LocalPolynomials
    onto: Tensor

    def __len__(self) -> int:
        return len(self.onto)

    @property
    def points(self) -> Batch:
        """The points of all parts, (c q,)."""
        return self.sides[INSIDE].points

    @cached_property
    def channels(self) -> Channels:
        """The derivatives that the terms use, and the gradient."""
        found = Channels(self.points.names, gradient=True)
        for term in self.terms:
            found = found | term.channels
        return found

    @cached_property
    def normals(self) -> Tensor:
        """The mean unit normal of each part, (c, d)."""
        normals, weights = self.points.normals, self.sides[INSIDE].weights
        assert normals is not None
        mean = torch.einsum("cqd,cq->cd", normals.unflatten(0, weights.shape), weights)
        return mean / mean.norm(dim=1, keepdim=True)


class CoupledContacts:
    """The fluxes at parts of an interface, linearised at the present solution.

    Args:
        contacts: the parts.
        geometry: the cells.
        polynomials: the functions of a cell.
        coefficients: the present solution, (N, L, m).

    Attributes:
        points: those on both sides, (2 c q,).
        values: the parts of the jets of the present solution there, (c, q, 2, parts, m).
        slopes: the derivatives of the fluxes by the parts of the fields' jets inside and outside,
            (2, c, q, equations, parts, m).
        right: what the slopes times the parts of the solution's jets are to be, (c, q, equations).
    """

    def __init__(
        self,
        contacts: Contacts,
        geometry: CellGeometry,
        polynomials: LocalPolynomials,
        coefficients: Tensor,
    ) -> None:
        self.contacts, self.geometry, self.polynomials = contacts, geometry, polynomials
        self.values = self.jets(coefficients)
        self.points = Batch.made_of(contacts.points.on_both_sides(geometry.domain.bounds))
        self.slopes, self.right = self._linearised()

    @property
    def cells(self) -> tuple[list[int], list[int]]:
        """The cells inside and outside of each part."""
        inside, outside = self.contacts.sides
        return inside.cells.tolist(), outside.cells.tolist()

    def jets(self, coefficients: Tensor) -> Tensor:
        """The parts of the jets of a function on both sides, (c, q, 2, parts, m).

        coefficients: of the function, (N, L, m).
        """
        jets = [
            torch.stack(
                [
                    torch.einsum("qpl,lm->qpm", self.functions(side, place), coefficients[cell])
                    for place, cell in enumerate(self.cells[side])
                ]
            )
            for side in (INSIDE, OUTSIDE)
        ]
        return torch.stack(jets, dim=2)

    @property
    def jet(self) -> Jet:
        """The jet of the present solution at the points on both sides."""
        return jet_of_stacked(self.contacts.channels, self.values.flatten(0, 2))

    def _linearised(self) -> tuple[Tensor, Tensor]:
        """The slopes and the right-hand sides."""
        values, jet = self.values, self.jet
        shape = values.shape[:3]
        slopes = [values.new_zeros(*shape, 0, *values.shape[3:])]
        rights = [values.new_zeros(*shape[:2], 0)]
        for term in self.contacts.terms:
            found = Linearised.at(term.equation, self.points, jet)
            slopes.append(found.slopes.unflatten(0, shape))
            rights.append(found.right.unflatten(0, shape[:2]))
        return torch.cat(slopes, dim=3).permute(2, 0, 1, 3, 4, 5), torch.cat(rights, dim=2)

    def functions(self, side: int, place: int) -> Tensor:
        """The stacked jets of a cell's polynomials at the points of a part, (q, parts, L)."""
        at = self.contacts.sides[side]
        return self.polynomials.stacked(self.contacts.channels, at.at(place), at.scale[place])

    @cached_property
    def sizes(self) -> Tensor:
        """The largest slope by a derivative of each order, (2, c, equations, orders, m)."""
        return largest_of_orders(self.slopes.abs().amax(dim=2), self.contacts.channels)


def contacts(
    geometry: CutGeometry,
    edges: Sequence[DivisionEdge],
    terms: Sequence[ResidualTerm],
    degree: int,
    count: int,
) -> Iterator[Contacts]:
    """The arcs of all interfaces, those of each of their pieces together.

    The degree of the traces is somewhat higher than that of the cells: on an arc that is bent the
    functions of cells are no polynomials of the arc's parameter.

    Args:
        geometry: the cells.
        edges: the curves around all regions, as they are numbered in the geometry.
        terms: the conditions on interfaces.
        degree: of the functions of cells.
        count: the number of Gauss points on each arc.
    """
    unit, weights = gauss_legendre(count)
    more = 2
    traces = LocalPolynomials(degree + more, 1)
    onto = traces.values(2 * unit[:, None] - 1) * 2 * weights[:, None]
    back = {edge.seam: number for number, edge in enumerate(edges) if edge.reverse}
    for number, edge in enumerate(edges):
        if edge.seam < 0 or edge.reverse:
            continue
        first, last, inside, outside = _common(geometry.arcs, number, back[edge.seam])
        if not len(first):
            continue
        points, shares = gauss_on_arcs(edge.curve, first, last, count)
        one, other = (CellPoints.of(geometry, cells, points, shares) for cells in (inside, outside))
        own = [term for term in terms if edge.piece in term.kinks]
        roots = (shares.sum(dim=1) / 2).sqrt()
        yield Contacts(own, (one, other), traces, roots[:, None, None] * onto)


def _common(arcs: Arcs, one: int, other: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The arcs between a cell of one and a cell of the other region.

    What a sliver that belongs to no cell cuts off is left out.

    Args:
        arcs: all arcs.
        one: the number of a curve around one region.
        other: that of the same curve in the other direction, around the other region.

    Returns:
        The parameters of the arcs on the first curve, and their cells, (n,) each.
    """
    tiny = 1e-10  # of the parameter's range
    own, others = (arcs.of_curve(number) for number in (one, other))
    first, last, cell = own
    low, high, beyond = (1 - others[1]).flip(0), (1 - others[0]).flip(0), others[2].flip(0)
    ends = torch.cat([first, last, low, high]).unique()
    kept = torch.cat([torch.ones(1, dtype=torch.bool), ends.diff() > tiny])
    ends = ends[kept]
    middle = (ends[1:] + ends[:-1]) / 2
    here, there = ((torch.searchsorted(starts, middle) - 1).clamp_min(0) for starts in (first, low))
    both = (middle > first[here]) & (middle < last[here])
    both &= (middle > low[there]) & (middle < high[there])
    return ends[:-1][both], ends[1:][both], cell[here[both]], beyond[there[both]]


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
