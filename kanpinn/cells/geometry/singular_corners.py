"""Corners of a domain in the plane at which solutions are singular, and the cells around them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kanpinn.cells.geometry.cell_geometry import CellGeometry
from kanpinn.cells.geometry.plane_corners import PlaneCorner
from kanpinn.cells.geometry.singularities import CellsOf, Singularities
from kanpinn.cells.tree import Tree


@dataclass(frozen=True, eq=False)
class SingularCorners(Singularities):
    """The corners at which solutions behave like r^λ with an exponent λ < 2.

    Where cells have the singular functions below a degree, that degree takes the place of λ.

    The second derivatives of r^λ are not square integrable for λ < 1, and then the least-squares
    functional has no minimum close to the solution. Therefore the rows of each cell are multiplied
    by the power β of its distance from the nearest corner. For cells of the width h at a corner the
    error far away from it is h^(2λ) for β ≥ 1, and h^(2(λ + β - 1)) for smaller β. On four
    domains with λ from 0.54 to 0.81 errors were least for β from 1.25 to 1.75.

    Args:
        points: the corners, (c, 2).
        exponents: λ of each, (c,).
        power: β.
        contraction: the largest part of the error that is left when cells at a corner are halved.
        least: the smallest one. In the plane solves on trees in between take little time, and show
            how small cells have to be.
        near: the distance from a corner, in units of a cell's width, below which cells around a
            smaller cell at the corner are halved.
        bits: the largest number of halvings of the domain's width, limited by rounding.

    Reference: Cox and Fix, On the accuracy of least squares methods in the presence of corner
    singularities (1984), for the weights; Babuška and Guo, The h-p version of the finite element
    method (1986), for cells that become smaller by a constant factor towards a corner.
    """

    points: Tensor
    exponents: Tensor
    power: float = 1.25
    contraction: float = 1e-2
    least: float = 1e-2
    near: float = 0.5
    bits: int = 29

    @classmethod
    def of(cls, found: Sequence[PlaneCorner]) -> "SingularCorners":
        """Those of some corners of a domain that need weights or small cells."""
        largest = 1.9  # a right angle has 2, up to rounding
        needy = [one for one in found if one.exponent < largest]
        return cls(
            torch.tensor([one.at for one in needy], dtype=torch.float64).view(-1, 2),
            torch.tensor([one.exponent for one in needy], dtype=torch.float64),
        )

    def with_functions(self, points: Sequence[Tensor], top: float) -> "SingularCorners":
        """The same corners, at some of which cells have the singular functions.

        Args:
            points: the corners with these functions, (2,) each.
            top: the degree below which cells have all of them.
        """
        exponents = self.exponents.clone()
        for one in points:
            exponents[(self.points == one).all(dim=1)] = top
        return replace(self, exponents=exponents)

    def beside(self, found: Sequence[tuple[tuple[float, float], float]]) -> "SingularCorners":
        """These corners, and further points with their exponents."""
        if not found:
            return self
        points = torch.tensor([point for point, _ in found], dtype=torch.float64)
        exponents = torch.tensor([exponent for _, exponent in found], dtype=torch.float64)
        return replace(
            self,
            points=torch.cat([self.points, points]),
            exponents=torch.cat([self.exponents, exponents]),
        )

    def weights(self, geometry: CellGeometry) -> Tensor:
        """The factors of the rows of cells, (N,): powers of two, so that many are the same."""
        corners = geometry.physical(geometry.frames)
        gaps = (corners[:, :, None] - self.points).abs().amax(dim=1)  # (N, c, 2), to the far side
        distances = gaps.norm(dim=2) / geometry.half.max()
        distances = distances[:, self.exponents < 2]  # without those that have singular functions
        ones = torch.ones(len(distances), 1, dtype=distances.dtype)
        nearest = torch.cat([ones, distances], dim=1).amin(dim=1)
        return 2.0 ** (self.power * nearest.log2()).round()

    def _gaps(self, tree: Tree, geometry: CellGeometry) -> Tensor:
        """The distances of the boxes of a tree from corners, in units of their widths, (N, c)."""
        low, _ = geometry.domain.bounds
        at = (self.points - low) / geometry.half - 1
        below, above = (tree.boxes[:, i, None] for i in (0, 1))
        gaps = torch.maximum(below - at, at - above).clamp_min(0) / tree.widths[:, None]
        return gaps.amax(dim=2)

    def touched(self, geometry: CellGeometry) -> Tensor:
        """Which cells are at which corners, a mask (N, c)."""
        rounding = 1e-6
        return self._gaps(geometry.tree, geometry) <= rounding

    def pollution(self, geometry: CellGeometry) -> Tensor:
        """The factors by which errors are larger elsewhere than in the cell of their origin, (N,).

        A cell of the width h at a corner has an error like h^(λ+1), and causes one like h^(2λ).
        """
        parts = geometry.tree.widths.amax(dim=1)
        growth = parts[:, None] ** (self.exponents - 1).clamp_max(0)
        ones = torch.ones_like(parts[:, None])
        return torch.cat([ones, torch.where(self.touched(geometry), growth, 1)], dim=1).amax(dim=1)

    def finest(self, tree: Tree) -> int:
        """The level of the smallest cells at corners."""
        return self.bits - math.ceil(math.log2(max(tree.roots)))

    def coordinates(self, geometry: CellGeometry, steep: Tensor) -> Tensor:
        alike = ~geometry.whole_cells | self.touched(geometry).any(dim=1)
        return steep | alike[:, None]

    def divisible(self, geometry: CellGeometry) -> Tensor:
        smallest = geometry.tree.level.amin(dim=1) >= self.finest(geometry.tree)
        return ~(smallest & self.touched(geometry).any(dim=1))

    @property
    def _rates(self) -> Tensor:
        """The powers of the width of cells at corners in their part of the error, (c,)."""
        return 2 * (self.exponents + min(self.power, 1.0) - 1)

    def refined(
        self, geometry: CellGeometry, chosen: Tensor, left: float, cells: CellsOf
    ) -> CellGeometry:
        touched, deepest = self.touched(geometry), self._deepest(geometry)
        left = max(self.least, min(self.contraction, left))
        times = (-math.log2(left) / self._rates).ceil().long()
        marked = (touched & chosen.any(dim=1, keepdim=True)).any(dim=0)
        tree, _ = geometry.tree.split(chosen)
        goal = torch.where(marked, deepest + times, 0).clamp_max(self.finest(tree))
        return self._towards(cells(tree), goal, self.near, cells)

    def _deepest(self, geometry: CellGeometry) -> Tensor:
        """The level of the smallest cells at each corner, (c,)."""
        level = geometry.tree.level.amin(dim=1, keepdim=True)
        return torch.where(self.touched(geometry), level, 0).amax(dim=0)

    def deeper(self, geometry: CellGeometry, cells: CellsOf) -> CellGeometry:
        deepest, spare = self._deepest(geometry), 2
        times = (2 / self._rates).ceil().long()
        goal = (deepest + times).clamp_max(self.finest(geometry.tree) + spare)
        return self._towards(geometry, goal, 1e-6, cells)

    def _towards(
        self, geometry: CellGeometry, goal: Tensor, near: float, cells: CellsOf
    ) -> CellGeometry:
        """The cells when those that are near corners are halved up to a level.

        Args:
            geometry: the present cells.
            goal: the level of the cells at each corner, (c,).
            near: see the class.
            cells: as for `refined`.
        """
        while True:
            tree = geometry.tree
            close = self._gaps(tree, geometry) <= near
            coarse = close[..., None] & (tree.level[:, None] < goal[:, None])
            if not bool(coarse.any()):
                return geometry
            geometry = cells(tree.split(coarse.any(dim=1))[0])
