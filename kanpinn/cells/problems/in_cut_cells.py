"""Problems in cells that a boundary cuts: the first cells are small enough for the boundary."""

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.cells.geometry.cell_geometry import CellGeometry
from kanpinn.cells.problems.cell_problem import CellProblem
from kanpinn.cells.tree import Tree
from kanpinn.geometry.domain import Domain


class ProblemInCutCells(CellProblem):
    """The equation and the conditions of a problem, for cells of which some are cut by a boundary.

    domain: the domain. most: the largest number of halvings before the first solve. tiny: what is
    said of the boundary's details where that is not enough, a text with the place {most}.
    """

    domain: Domain
    most: ClassVar[int]
    tiny: ClassVar[str]

    @abstractmethod
    def too_large(self, tree: Tree) -> Tensor:
        """The cells that are too large for the boundary in them, a mask (N,)."""

    def start(self, tree: Tree) -> CellGeometry:
        for _ in range(self.most):
            large = self.too_large(tree)
            for patch in self.patches:
                large = large | patch.cut(tree)
            halved = tree.everywhere(large) | beside_smaller(tree)
            if not bool(halved.any()):
                return self.cells(tree)
            tree, _ = tree.split(halved)
        raise InputError(
            f"the boundary of {self.domain!r} has details that are too small for cells: "
            f"{self.tiny.format(most=self.most)}, or it touches itself"
        )


def beside_smaller(tree: Tree) -> Tensor:
    """The coordinates in which cells have more than twice a neighbour's width, a mask (N, d)."""
    faces, level = tree.faces, tree.level
    finer = level[faces.upper] - level[faces.lower]
    found = torch.zeros_like(level).index_add(0, faces.lower, (finer > 1).long())
    return found.index_add(0, faces.upper, (finer < -1).long()) > 0
