"""A problem in a domain of the plane that is no box: its equation and conditions in cut cells."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.cells.cell_geometry import CellGeometry, CellPoints
from kanpinn.cells.cell_problem import CellProblem, counted_fields, terms_for_cells
from kanpinn.cells.cell_system import CellSystem
from kanpinn.cells.cell_terms import SampledTerm
from kanpinn.cells.cut_geometry import CellCutter, CutGeometry
from kanpinn.cells.outline import Outline
from kanpinn.cells.polynomials import LocalPolynomials
from kanpinn.cells.tree import Tree
from kanpinn.geometry.planar.planar import Planar
from kanpinn.geometry.points import Batch, Points
from kanpinn.geometry.rules import gauss_legendre, gauss_product
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.terms import ResidualTerm


@dataclass(frozen=True, eq=False)
class ProblemInPlane(CellProblem):
    """The equation and the conditions of a problem in a domain of the plane.

    A cell of which only a part is in the domain is cut: it has the equation at points of that part,
    and the conditions at points of the boundary's arcs in it. Its polynomials are those of the
    bounding box of the part, and its faces are the parts of its sides in the domain.

    Args:
        domain: the domain.
        equation: the equation.
        conditions: the conditions.
        counted: the numbers of the fields whose errors count.
    """

    domain: Planar
    equation: ResidualTerm
    conditions: Sequence[ResidualTerm]
    counted: Sequence[int]

    @classmethod
    def of(cls, residuals: Residuals, domain: Planar) -> "ProblemInPlane":
        """The problem of a loss in a domain of the plane.

        Raises:
            InputError: for what cells cannot solve: an energy, or conditions that are not on whole
                pieces of the boundary.
        """
        return cls(domain, *terms_for_cells(residuals, domain), counted_fields(residuals))

    @cached_property
    def cutter(self) -> CellCutter:
        """Cuts cells by the domain's boundary."""
        return CellCutter(Outline(self.domain))

    def cells(self, tree: Tree) -> CutGeometry:
        return self.cutter.cut(tree)

    def start(self, tree: Tree) -> CutGeometry:
        most = 40  # halvings
        for _ in range(most):
            halved = self._too_large(tree)
            if not bool(halved.any()):
                return self.cells(tree)
            tree, _ = tree.split(halved)
        raise InputError(
            f"the boundary of {self.domain!r} has details that are too small for cells: two of its "
            f"corners are closer than 2^-{most} of the domain's size, or it touches itself"
        )

    def _too_large(self, tree: Tree) -> Tensor:
        """The cells to halve before a first solve, a mask (N,).

        A cell is too large if the boundary turns in it by an angle of more than 0.6, as it does in
        a cell that is wider than a hole or than the radius of curvature; if it contains more than
        one corner of the boundary; or if it has more than twice the width of a neighbour.
        """
        most = 0.6  # radians; with 1.0 solves took one or two trees more
        arcs, _ = self.cutter.outline.arcs(self.cutter.grid(tree), self.cutter.sliver)
        turns = torch.zeros(len(tree), dtype=torch.float64).index_add(0, arcs.cell, arcs.turns)
        sharp = torch.tensor(self.cutter.outline.corners)[arcs.curve]
        at_corner = torch.stack([arcs.first == 0, arcs.last == 1], dim=1) & sharp
        ends = torch.zeros(len(tree), dtype=torch.long)
        ends = ends.index_add(0, arcs.cell, at_corner.sum(dim=1))
        halved = (turns > most) | (ends > 2)
        faces, level = tree.faces, tree.level
        finer = level[faces.upper] - level[faces.lower]
        halved[faces.lower[finer > 1]] = True
        halved[faces.upper[finer < -1]] = True
        return halved

    def on(
        self, geometry: CellGeometry, polynomials: LocalPolynomials, coefficients: Tensor
    ) -> CellSystem:
        assert isinstance(geometry, CutGeometry)
        more = 3
        whole = (~geometry.is_cut).nonzero()[:, 0]
        nodes, weights = polynomials.rule(more)
        places = [CellPoints.inside(geometry, whole, nodes, weights)] if len(whole) else []
        many = 8  # so that enough are left in a cut cell
        places += self._in_cut_cells(geometry, polynomials.degree + many)
        equation = [SampledTerm(self.equation, at, polynomials, coefficients) for at in places]
        walls = []
        for term in self.conditions:
            at = self._on_arcs(geometry, term, polynomials.degree + more + 1)
            if at is not None:
                walls.append(SampledTerm(term, at, polynomials, coefficients))
        return CellSystem(geometry, polynomials, equation, walls, self.counted)

    def _in_cut_cells(self, geometry: CutGeometry, count: int) -> Iterator[CellPoints]:
        """Points of cut cells: those of a Gauss rule on the frame that are inside the domain.

        count: the number of points along each coordinate.
        """
        together = 32  # cells together, with about as many points each
        unit, weights = gauss_product(count, 2)
        local, weights = 2 * unit - 1, 4 * weights
        cells = geometry.is_cut.nonzero()[:, 0]
        if not len(cells):
            return
        coords = geometry.coords(cells, local)
        inside = self.domain.encloses(coords.flatten(0, 1)).view(coords.shape[:2])
        order = inside.sum(dim=1).argsort()
        for some in order.split(together):
            longest = int(inside[some].sum(dim=1).max())
            first = (~inside[some]).to(torch.uint8).argsort(dim=1, stable=True)[:, :longest]
            used = inside[some].gather(1, first)
            own = torch.where(used, first, first[:, :1])  # the first point fills up
            areas = (geometry.extents[cells[some]] / 2).prod(dim=1)
            at = coords[some].gather(1, own[..., None].expand(-1, -1, 2))
            points = Batch(at.flatten(0, 1), self.domain.names)
            weight = torch.where(used, weights[own] * areas[:, None], 0)
            scale = geometry.scale[cells[some]]
            yield CellPoints(cells[some], local[own], weight, points, scale)

    def _on_arcs(self, geometry: CutGeometry, term: ResidualTerm, count: int) -> CellPoints | None:
        """Gauss points of the arcs on which a condition holds, `count` on each."""
        arcs, curves = geometry.arcs, self.domain.curves
        unit, weights = gauss_legendre(count)
        cells, points, lengths = [], [], []
        for number in (i for i, curve in enumerate(curves) if curve in term.pieces):
            own = (arcs.curve == number).nonzero()[:, 0]
            first, size = arcs.first[own, None], (arcs.last - arcs.first)[own, None]
            t = (first + size * unit).flatten()
            points.append(curves[number].points_at(t))
            speed = curves[number].velocity(t).norm(dim=1).view(len(own), count)
            lengths.append(speed * size * weights)
            cells.append(arcs.cell[own])
        if not cells:
            return None
        cell, at, weight = torch.cat(cells), Points.cat(points), torch.cat(lengths)
        local = geometry.local(cell, at.coords.view(len(cell), count, 2))
        return CellPoints(cell, local, weight, Batch.made_of(at), geometry.scale[cell])
