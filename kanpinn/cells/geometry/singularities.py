"""What singular points of solutions mean for cells: the weights of their rows, and their sizes."""

from collections.abc import Callable

import torch
from torch import Tensor

from kanpinn.cells.geometry.cell_geometry import CellGeometry
from kanpinn.cells.tree import Tree

CellsOf = Callable[[Tree], CellGeometry]  # gives the cells of a tree that are in the domain


class Singularities:
    """The points at which solutions are singular: none, as in a box."""

    def weights(self, geometry: CellGeometry) -> Tensor:
        """The factors of the rows of cells, (N,)."""
        return torch.ones(len(geometry.tree), dtype=torch.float64)

    def pollution(self, geometry: CellGeometry) -> Tensor:
        """The factors by which errors are larger elsewhere than in their own cell, (N,)."""
        return torch.ones(len(geometry.tree), dtype=torch.float64)

    def divisible(self, geometry: CellGeometry) -> Tensor:
        """The cells that can be halved in spite of rounding, a mask (N,)."""
        return torch.ones(len(geometry.tree), dtype=torch.bool)

    def coordinates(self, geometry: CellGeometry, steep: Tensor) -> Tensor:
        """The coordinates in which cells are halved, if at all, a mask (N, d).

        Args:
            geometry: the cells.
            steep: the coordinates in which the solution is steep, a mask (N, d).
        """
        return steep

    def refined(
        self, geometry: CellGeometry, chosen: Tensor, left: float, cells: CellsOf
    ) -> CellGeometry:
        """The cells when some are halved, those at singular points several times at once.

        Args:
            geometry: the present cells.
            chosen: the coordinates in which cells are halved, a mask (N, d).
            left: the part of the error that is to be left.
            cells: gives the cells of a tree that are in the domain.
        """
        return cells(geometry.tree.split(chosen)[0])

    def deeper(self, geometry: CellGeometry, cells: CellsOf) -> CellGeometry:
        """The cells when those at singular points are so much smaller that errors are a quarter.

        There a higher degree does not show the error of a solution.

        Args:
            geometry: the present cells.
            cells: see `refined`.
        """
        return geometry
