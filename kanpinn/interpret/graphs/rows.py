"""The data that graphs are fitted to, and the data that they are judged by."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn.interpret.graphs.graph import Graph, relative_error
from kanpinn.interpret.graphs.refit import covering


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of data to fit formulas to, and separate rows to judge them by.

    Args:
        x, y: the rows to fit to, (n, d) and (n, m).
        xv, yv: the rows to judge by, (k, d) and (k, m).
        names: the names of the inputs.
    """

    x: Tensor
    y: Tensor
    xv: Tensor
    yv: Tensor
    names: tuple[str, ...]

    def error(self, graph: Graph) -> float:
        """Return the relative error of a graph on the rows to judge by.

        Splines are extended first, since these rows may lie outside the range of the others.
        """
        return relative_error(covering(graph, self.xv), self.xv, self.yv)

    def relative(self, difference: Tensor) -> float:
        """Return ‖difference‖ / ‖yv - mean(yv)‖ for a difference to yv, (k, m)."""
        norm = torch.linalg.norm
        return float(norm(difference) / norm(self.yv - self.yv.mean(dim=0)))
