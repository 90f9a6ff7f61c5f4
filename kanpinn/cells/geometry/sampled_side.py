"""Faces between cells that are only partly in a solid, represented by points in this part."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn.cells.geometry.cell_geometry import CellGeometry
from kanpinn.cells.geometry.cell_sides import CellSide, derivatives_across
from kanpinn.cells.polynomials import LocalPolynomials
from kanpinn.geometry.rules import gauss_product
from kanpinn.geometry.solid.divide3d import SolidPart


@dataclass(frozen=True, eq=False)
class SampledFace:
    """The part of a face in a solid, if this part is not a rectangle.

    The functions on it are polynomials that are orthonormal in the weighted sum over its points.
    They are the same for both cells.

    Args:
        axis: the coordinate that is constant.
        low, high: the corners of a rectangle around the part in physical space, (3,) each.
        geometry: the cells.
        solid: the part of the solid that they are in.
        step: the distance from the face at which points on both sides of it are tested.
    """

    axis: int
    low: Tensor
    high: Tensor
    geometry: CellGeometry
    solid: SolidPart
    step: float

    def traces(self, polynomials: LocalPolynomials) -> tuple[Tensor, Tensor]:
        """The points, (q, 3), and the functions there times weights, (q, face functions).

        With fewer points than functions the last functions are zero.
        """
        more = 4  # the number of points along each coordinate above the degree
        functions = polynomials.on_face
        unit, weights = gauss_product(polynomials.degree + more, 2)
        others = [i for i in range(3) if i != self.axis]
        size = self.high - self.low
        places = torch.zeros(len(unit), 3, dtype=unit.dtype)
        places[:, others] = unit
        points = self.low + places * size
        across = torch.eye(3, dtype=unit.dtype)[self.axis] * self.step
        contains = self.solid.contains
        inside = contains(points - across) & contains(points + across)
        roots = (4 * weights[inside]).sqrt()  # as on [-1, 1]²
        values = functions.values(2 * unit[inside] - 1) * roots[:, None]
        onto = torch.zeros_like(values)
        orthogonal = torch.linalg.qr(values).Q
        onto[:, : orthogonal.shape[1]] = orthogonal * roots[:, None]
        return points[inside], onto


@dataclass(frozen=True, eq=False)
class SampledSide(CellSide):
    """The side of a cell at a sampled face.

    Args:
        axis, upper: see `CellSide`.
        cell: the number of the cell.
        face: the face.
    """

    axis: int
    upper: bool
    cell: int
    face: SampledFace

    def traces(self, polynomials: LocalPolynomials, orders: int) -> list[Tensor]:
        points, onto = self.face.traces(polynomials)
        local = self.face.geometry.local(torch.tensor([self.cell]), points[None])[0]
        return derivatives_across(polynomials, self, local, orders, onto)
