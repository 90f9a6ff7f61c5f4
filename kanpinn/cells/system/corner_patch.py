"""The singular functions of a corner in the cells around it."""

from dataclasses import dataclass

from torch import Tensor

from kanpinn.cells.corner_functions import CornerFunctions
from kanpinn.cells.geometry.cell_geometry import CellGeometry
from kanpinn.cells.system.shared_functions import SharedFunctions, for_each_field
from kanpinn.cells.tree import Tree
from kanpinn.geometry.points import Points
from kanpinn.jets import Channels


@dataclass(frozen=True, eq=False)
class CornerPatch(SharedFunctions):
    """The singular functions of a corner in all cells of a patch around it.

    Args:
        at: the corner, (2,).
        functions: of the points minus the corner.
        boxes: the patch: the lower and upper corners of boxes in the tree's coordinates, (b, 2, 2).
        fields: the number of fields m, each of which has coefficients of its own.
    """

    at: Tensor
    functions: CornerFunctions
    boxes: Tensor
    fields: int

    @property
    def count(self) -> int:
        return self.functions.count * self.fields

    def members(self, geometry: CellGeometry) -> Tensor:
        return geometry.tree.inside(self.boxes)

    def stacked(self, points: Points, channels: Channels) -> Tensor:
        jets = self.functions.stacked(points.coords - self.at, channels)
        return for_each_field(jets, self.fields)

    def cut(self, tree: Tree) -> Tensor:
        """The cells of which only a part is in the patch, a mask (N,)."""
        rounding = 1e-9
        (low, high), (below, above) = tree.boxes[:, None].unbind(2), self.boxes.unbind(1)
        least = rounding * (above - below)
        meets = ((low < above - least) & (high > below + least)).all(dim=2)
        larger = (high - low > above - below + least).any(dim=2)
        return (meets & larger).any(dim=1)
