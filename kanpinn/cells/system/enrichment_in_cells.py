"""The known functions of a problem in all cells."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn.cells.geometry.cell_geometry import CellGeometry
from kanpinn.cells.system.shared_functions import SharedFunctions, for_each_field
from kanpinn.geometry.points import Points
from kanpinn.jets import Channels
from kanpinn.networks.enrichment import Enrichment, VectorEnrichment


@dataclass(frozen=True, eq=False)
class EnrichmentInCells(SharedFunctions):
    """The known functions of a problem, in all cells.

    Args:
        layer: the functions.
        fields: the number of fields.
    """

    layer: Enrichment
    fields: int

    @property
    def count(self) -> int:
        return self.layer.coefficients.numel()

    def members(self, geometry: CellGeometry) -> Tensor:
        return torch.ones(len(geometry.tree), dtype=torch.bool)

    def stacked(self, points: Points, channels: Channels) -> Tensor:
        found = self.layer.known.jet(points, channels).stacked()  # (n, parts, count)
        if isinstance(self.layer, VectorEnrichment):
            return found.unflatten(2, (-1, self.fields)).transpose(2, 3)
        return for_each_field(found, self.fields)
