"""The arcs of interfaces at which cells of two regions meet."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from kanpinn.cells.geometry.arc_points import gauss_on_arcs
from kanpinn.cells.geometry.cell_points import CellPoints
from kanpinn.cells.geometry.contacts import Contacts
from kanpinn.cells.geometry.cut_geometry import CutGeometry
from kanpinn.cells.geometry.outline import Arcs
from kanpinn.cells.polynomials import LocalPolynomials
from kanpinn.geometry.planar.divide2d import DivisionEdge
from kanpinn.geometry.rules import gauss_legendre
from kanpinn.loss.terms import ResidualTerm


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
    own, others = (_sorted(arcs, number) for number in (one, other))
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


def _sorted(arcs: Arcs, number: int) -> tuple[Tensor, Tensor, Tensor]:
    """The ends and the cells of the arcs of a curve, in order."""
    own = (arcs.curve == number).nonzero()[:, 0]
    own = own[arcs.first[own].argsort()]
    return arcs.first[own], arcs.last[own], arcs.cell[own]
