"""Faces between cells that are only partly in a solid, represented by points in this part."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from kanpinn.cells.geometry.cell_geometry import CellGeometry
from kanpinn.cells.geometry.cell_sides import CellSide, derivatives_across
from kanpinn.cells.geometry.orthonormal import orthonormal
from kanpinn.cells.geometry.solid_parts import on_rectangles
from kanpinn.cells.polynomials import LocalPolynomials
from kanpinn.geometry.rules import gauss_product
from kanpinn.geometry.solid.divide3d import SolidPart

Key = tuple[int, bool, LocalPolynomials, int]


@dataclass(frozen=True, eq=False)
class SampledFaces:
    """The parts of faces in a solid, where these parts are not rectangles.

    The functions on a face are polynomials that are orthonormal in the weighted sum over its
    points. They are the same for both cells.

    Args:
        numbers: those of the faces, (s,).
        geometry: the cells.
        solids: the parts of the solid, one for each region.
        steps: the distance from each face at which points on both sides of it are tested, (s,).
        found: the traces that have not been asked for since they were computed.
    """

    numbers: Tensor
    geometry: CellGeometry
    solids: Sequence[SolidPart]
    steps: Tensor
    found: dict[Key, list[Tensor]] = field(default_factory=dict)

    def traces(
        self, row: int, upper: bool, polynomials: LocalPolynomials, orders: int
    ) -> list[Tensor]:
        """The traces of a cell at a face, see `CellSide.traces`.

        Those of several faces are computed together, which is several times as fast. They are kept
        until they are asked for, which is mostly soon.

        Args:
            row: the number of the face among these.
            upper: whether it is at the upper end of the cell.
            polynomials, orders: see `CellSide.traces`.
        """
        together = 32
        key = row, upper, polynomials, orders
        if key not in self.found:
            first = row - row % together
            rows = torch.arange(first, min(first + together, len(self.numbers)))
            axes = self.geometry.faces.axis[self.numbers[rows]]
            for one in axes.unique().tolist():
                some = rows[axes == one]
                every = self._together(some, one, upper, polynomials, orders)
                for place, number in enumerate(some.tolist()):
                    own = [trace[place] for trace in every]
                    self.found[number, upper, polynomials, orders] = own
        return self.found.pop(key)

    def _together(
        self, rows: Tensor, axis: int, upper: bool, polynomials: LocalPolynomials, orders: int
    ) -> list[Tensor]:
        """The traces at several faces across the same axis, (s, L, face functions) each."""
        more = 4  # the number of points along each coordinate above the degree
        faces, geometry, numbers = self.geometry.faces, self.geometry, self.numbers[rows]
        unit, weights = gauss_product(polynomials.degree + more, 2)
        low, high = geometry.physical(faces.corners[numbers]).unbind(dim=1)
        points = on_rectangles(unit, low, high)
        inside = self._inside(points, rows, axis)
        first = (~inside).to(torch.uint8).argsort(dim=1, stable=True)  # those inside come first
        weights = torch.where(inside, 4 * weights, 0).gather(1, first)  # as on [-1, 1]²
        values = polynomials.on_face.values(2 * unit - 1)[first]
        points = points.gather(1, first[..., None].expand(-1, -1, 3))
        local = geometry.local((faces.lower if upper else faces.upper)[numbers], points)
        onto = orthonormal(values, weights)
        return derivatives_across(polynomials, axis, local, orders, onto)

    def _inside(self, points: Tensor, rows: Tensor, axis: int) -> Tensor:
        """Which points on faces have the solid on both sides, a mask (s, q).

        Args:
            points: on each face, (s, q, 3).
            rows: the numbers of the faces, (s,).
            axis: that across the faces.
        """
        regions = self.geometry.tree.region[self.geometry.faces.lower[self.numbers[rows]]]
        inside = torch.ones(points.shape[:2], dtype=torch.bool)
        for region, solid in enumerate(self.solids):
            own = regions == region
            for sign in (-1, 1):
                beside = points[own]
                beside[:, :, axis] += sign * self.steps[rows[own], None]
                inside[own] &= solid.contains(beside.flatten(0, 1)).view(beside.shape[:2])
        return inside


@dataclass(frozen=True, eq=False)
class SampledSide(CellSide):
    """The side of a cell at a sampled face.

    Args:
        axis, upper: see `CellSide`.
        row: the number of the face among the sampled ones.
        faces: the sampled faces.
    """

    axis: int
    upper: bool
    row: int
    faces: SampledFaces

    def traces(self, polynomials: LocalPolynomials, orders: int) -> list[Tensor]:
        return self.faces.traces(self.row, self.upper, polynomials, orders)
