"""Unknown numbers that the data hardly tell apart."""

import math
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor


@dataclass(frozen=True)
class Dependence:
    """Two unknown numbers whose errors are nearly proportional to each other.

    first, second: their names. correlation: that of their errors, near -1 or 1.
    """

    first: str
    second: str
    correlation: float

    def __str__(self) -> str:
        """Return a sentence such as "the data hardly tell a and b apart: ..."."""
        narrower = 1 / math.sqrt(max(1 - self.correlation**2, 1e-16))
        return (
            f"the data hardly tell {self.first} and {self.second} apart (correlation "
            f"{self.correlation:.6g}): if one were known, the interval of the other would be "
            f"{narrower:.2g} times as narrow"
        )


def dependences(names: list[str], spread: Tensor, least: float = 0.99) -> list[Dependence]:
    """Return the pairs of numbers whose errors have a correlation near -1 or 1.

    For two numbers, 1 - |correlation| is the smallest eigenvalue of their information matrix with a
    diagonal that is scaled to 1.

    Args:
        names: of the k numbers.
        spread: rows whose products are the covariances of the errors, (k, n).
        least: the least absolute correlation that is reported.
    """
    length = torch.linalg.vector_norm(spread, dim=1)
    unit = spread / length.clamp_min(torch.finfo(spread.dtype).tiny)[:, None]
    correlations = (unit @ unit.T).clamp(-1, 1)
    pairs = combinations(range(len(names)), 2)
    found = [(names[i], names[j], float(correlations[i, j])) for i, j in pairs]
    return [Dependence(*one) for one in found if abs(one[2]) >= least]
