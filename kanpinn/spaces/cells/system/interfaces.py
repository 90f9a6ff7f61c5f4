"""The parts of interfaces at which cells of two regions meet: arcs in the plane, patches in
space, and the fluxes there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from kanpinn.geometry.division import InterfacePiece
from kanpinn.geometry.points import Batch, Points
from kanpinn.geometry.rules import gauss_legendre
from kanpinn.geometry.rules_in_boxes import RulesInBoxes
from kanpinn.jets import Channels, Jet, Linearised, jet_of_stacked, largest_of_orders
from kanpinn.loss.terms import ResidualTerm
from kanpinn.spaces.cells.geometry.cell_geometry import CellGeometry, CellPoints
from kanpinn.spaces.cells.geometry.plane import Arcs, CutGeometry, gauss_on_arcs
from kanpinn.spaces.cells.geometry.solid import SolidGeometry, orthonormal
from kanpinn.spaces.cells.polynomials import LocalPolynomials
from kanpinn.spaces.cells.system.functions import CellField

INSIDE, OUTSIDE = 0, 1


@dataclass(frozen=True, eq=False)
class Interface:
    """Parts of an interface between two cells, inside and outside of it: arcs or patches.

    A field is continuous there, and the terms prescribe its flux, or if there is none its normal
    derivative is continuous. The fluxes are linearised at the present solution. As on faces both
    sides are compared with a trace for each field, and for each flux: polynomials of the arc's
    parameter, or of two coordinates along the patch.

    Args:
        terms: the conditions on the flux, each row of which belongs to a point inside and one
            outside, in this order.
        sides: the same points as those of the cells inside and of those outside; their normals
            point out.
        traces: the polynomials, which span those of lower degrees first.
        onto: functions of these degrees that are orthonormal on each part, at its points, times
            weights, (c, q, polynomials).
        geometry: the cells.
        about: the present solution.
    """

    terms: Sequence[ResidualTerm]
    sides: tuple[CellPoints, CellPoints]
    traces: LocalPolynomials
    onto: Tensor
    geometry: CellGeometry
    about: CellField

    @cached_property
    def channels(self) -> Channels:
        """The derivatives that the terms use, and the gradient."""
        found = Channels(self.geometry.domain.names, gradient=True)
        for term in self.terms:
            found = found | term.channels
        return found

    @cached_property
    def points(self) -> Batch:
        """The points of all parts on both sides, (2 c q,)."""
        bounds = self.geometry.domain.bounds
        return Batch.made_of(self.sides[INSIDE].points.on_both_sides(bounds))

    @cached_property
    def normals(self) -> tuple[Tensor, Tensor]:
        """The unit normals at the points of each part, (c, q, d), and their means, (c, d)."""
        normals, weights = self.sides[INSIDE].points.normals, self.sides[INSIDE].weights
        assert normals is not None
        normals = normals.unflatten(0, weights.shape)
        mean = torch.einsum("cqd,cq->cd", normals, weights)
        return normals, mean / mean.norm(dim=1, keepdim=True)

    def jets(self, function: CellField) -> Tensor:
        """The parts of the jets of a function on both sides, (c, q, 2, parts, m)."""
        return torch.stack([function.jets(at, self.channels) for at in self.sides], dim=2)

    @property
    def jet(self) -> Jet:
        """The jet of the present solution at the points on both sides."""
        return jet_of_stacked(self.channels, self.jets(self.about).flatten(0, 2))

    @cached_property
    def _linearised(self) -> tuple[Tensor, Tensor]:
        jet, (parts, each) = self.jet, self.sides[INSIDE].weights.shape
        stacked = jet.stacked()
        slopes = [stacked.new_zeros(parts, each, 2, 0, *stacked.shape[1:])]
        right = [stacked.new_zeros(parts, each, 0)]
        for term in self.terms:
            found = Linearised.at(term.equation, self.points, jet)
            slopes.append(found.slopes.unflatten(0, (parts, each, 2)))
            right.append(found.right.unflatten(0, (parts, each)))
        return torch.cat(slopes, dim=3).permute(2, 0, 1, 3, 4, 5), torch.cat(right, dim=2)

    @property
    def slopes(self) -> Tensor:
        """The derivatives of the fluxes by the parts of the fields' jets inside and outside.

        (2, c, q, equations, parts, m).
        """
        return self._linearised[0]

    @property
    def right(self) -> Tensor:
        """The slopes times the parts of the solution's jets, as prescribed, (c, q, equations)."""
        return self._linearised[1]

    def functions(self, side: int, place: int) -> Tensor:
        """The stacked jets of a cell's polynomials at the points of a part, (q, parts, L)."""
        at = self.sides[side]
        return self.about.polynomials.stacked(self.channels, at.at(place), at.scale[place])

    @cached_property
    def sizes(self) -> Tensor:
        """The largest slope by a derivative of each order, (2, c, equations, orders, m)."""
        return largest_of_orders(self.slopes.abs().amax(dim=2), self.channels)


def arcs_between_cells(
    geometry: CutGeometry,
    terms: Sequence[ResidualTerm],
    about: CellField,
    count: int,
) -> Iterator[Interface]:
    """The arcs of all interfaces in the plane, those of each of their pieces together.

    The degree of the traces is somewhat higher than that of the cells: on an arc that is bent the
    functions of cells are no polynomials of the arc's parameter.

    Args:
        geometry: the cells.
        terms: the conditions on interfaces.
        about: the present solution.
        count: the number of Gauss points on each arc.
    """
    unit, weights = gauss_legendre(count)
    more = 2
    traces = LocalPolynomials(about.polynomials.degree + more, 1)
    onto = traces.values(2 * unit[:, None] - 1) * 2 * weights[:, None]
    back = {edge.interface: number for number, edge in enumerate(geometry.edges) if edge.reverse}
    for number, edge in enumerate(geometry.edges):
        if edge.interface < 0 or edge.reverse:
            continue
        first, last, *both = _common(geometry.arcs, number, back[edge.interface])
        if len(first):
            points, shares = gauss_on_arcs(edge.curve, first, last, count)
            inside, outside = (CellPoints.of(geometry, cells, points, shares) for cells in both)
            own = [term for term in terms if edge.piece in term.kinks]
            roots = (shares.sum(dim=1) / 2).sqrt()[:, None, None]
            yield Interface(own, (inside, outside), traces, roots * onto, geometry, about)


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
class PatchesBetweenCells:
    """The patches at which the cells of a solid's regions meet.

    geometry: the cells.
    """

    geometry: SolidGeometry

    @cached_property
    def _boxes(self) -> Tensor:
        """The corners of the cells in physical space, (N, 2, 3)."""
        return self.geometry.physical(self.geometry.tree.boxes)

    def of(
        self, pieces: Sequence[InterfacePiece], terms: Sequence[ResidualTerm], about: CellField
    ) -> Iterator[Interface]:
        """The patches of all interfaces, in batches with similar numbers of points.

        Args:
            pieces: those of the interfaces.
            terms: the conditions on interfaces.
            about: the present solution.
        """
        more = 6  # the number of points along each coordinate above the degree
        together, traces = 32, LocalPolynomials(about.polynomials.degree, 2)
        for piece in pieces:
            own = [term for term in terms if piece.piece in term.kinks]
            pairs = torch.tensor(sorted(self._pairs(piece)), dtype=torch.long).view(-1, 2)
            rules = self._patches(piece, pairs, traces.degree + more)
            for numbers, points, weights in rules.padded(together):
                batch = Batch.made_of(points)
                inside, outside = (
                    CellPoints.of(self.geometry, cells, batch, weights)
                    for cells in pairs[numbers].unbind(dim=1)
                )
                onto = _functions(traces, points, weights)
                yield Interface(own, (inside, outside), traces, onto, self.geometry, about)

    def _patches(self, piece: InterfacePiece, pairs: Tensor, nodes: int) -> RulesInBoxes:
        """Rules on the patches of a piece of an interface between cells.

        Args:
            piece: the piece.
            pairs: the numbers of pairs of cells, (p, 2): that inside, then that outside.
            nodes: about the number of points along each coordinate.

        Returns:
            Points with the numbers of the pairs, and normals out of the cells inside.
        """
        inner, outer = (self.geometry.cutters[one] for one in (piece.inside, piece.outside))
        both = self._boxes[pairs]  # (p, 2, 2, 3)
        low, high = both[:, :, 0].amax(dim=1), both[:, :, 1].amin(dim=1)
        room = 2 * inner.sliver * (both[:, :, 1] - both[:, :, 0]).amin(dim=1)
        rules = piece.piece.in_boxes(torch.stack([low - room, high + room], dim=1), nodes)
        own = inner.bounds(rules.points, both[rules.box, 0])
        own &= outer.bounds(rules.points.turned(), both[rules.box, 1])
        return rules.some(own)

    def _pairs(self, piece: InterfacePiece) -> set[tuple[int, int]]:
        """The cells inside and outside that may meet at a piece of an interface.

        They are in the same box of the tree. Where the piece is on sides of boxes, each cell is
        asked for its neighbours at some points of it: one of the two sides is a part of the other.
        """
        tree, near = self.geometry.tree, []
        for region in (piece.inside, piece.outside):
            sheet = self.geometry.cutters[region].solid.number_of(piece.piece)
            own = (tree.region == region).nonzero()[:, 0].tolist()
            near.append([cell for cell in own if sheet in self.geometry.parts[cell].sheets])
        keys = list(map(tuple, torch.cat([tree.level, tree.place], dim=1).tolist()))
        boxes = {keys[cell]: cell for cell in near[INSIDE]}
        found = {(boxes[keys[cell]], cell) for cell in near[OUTSIDE] if keys[cell] in boxes}
        found |= self._neighbours(piece, near[INSIDE], piece.outside)
        beyond = self._neighbours(piece, near[OUTSIDE], piece.inside)
        return found | {(inside, outside) for outside, inside in beyond}

    def _neighbours(
        self, piece: InterfacePiece, cells: Sequence[int], region: int
    ) -> set[tuple[int, int]]:
        """Cells of one region, and those of another region beyond some points of an interface.

        Args:
            piece: the piece of the interface.
            cells: the numbers of the cells, all of the same region.
            region: the other region.
        """
        if not cells:
            return set()
        few, tree = 4, self.geometry.tree
        cutter, boxes = self.geometry.cutters[int(tree.region[cells[0]])], self._boxes[cells]
        rules = cutter.bounding(cutter.solid.number_of(piece.piece), boxes, few)
        widths = (boxes[:, 1] - boxes[:, 0])[rules.box]
        beyond = rules.points.coords + 2 * cutter.sliver * widths * rules.normals
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
