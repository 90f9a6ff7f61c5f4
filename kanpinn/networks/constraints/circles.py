"""Inputs in which every function is periodic."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn.geometry import Domain, Points


@dataclass(frozen=True)
class Circles:
    """cos and sin of 2π (x - x_min) / L for each periodic coordinate, L its range, ξ for others.

    Every smooth function of them is periodic with all of its derivatives.

    Reference: Dong and Ni, A method for representing periodic functions (2021).
    """

    domain: Domain
    periodic: frozenset[str]

    def __call__(self, p: Points) -> Tensor:
        """(n, q), q the number of coordinates and of periodic ones."""
        low, high = (corner.to(p.coords) for corner in self.domain.bounds)
        columns = []
        for name, x in zip(p.names, ((p.coords - low) / (high - low)).split(1, dim=1), strict=True):
            if name in self.periodic:
                columns += [torch.cos(2 * math.pi * x), torch.sin(2 * math.pi * x)]
            else:
                columns.append(2 * x - 1)
        return torch.cat(columns, dim=1)
