"""The data that graphs are fitted to and judged by."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn.interpret.graphs.graph import Graph, relative_error
from kanpinn.interpret.graphs.refit import covering


@dataclass(frozen=True, eq=False)
class Rows:
    """Data to fit formulas to, x (n, d) and y (n, m), and others to judge them by."""

    x: Tensor
    y: Tensor
    xv: Tensor
    yv: Tensor
    names: tuple[str, ...]

    def error(self, graph: Graph) -> float:
        """The relative error on the rows to judge by, some of which may lie a little outside."""
        return relative_error(covering(graph, self.xv), self.xv, self.yv)

    def relative(self, difference: Tensor) -> float:
        """The norm of a difference to yv, relative to what that has beside its mean."""
        norm = torch.linalg.norm
        return float(norm(difference) / norm(self.yv - self.yv.mean(dim=0)))
