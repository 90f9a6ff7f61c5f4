"""What a solve is made with, as it could have been written in a file."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from kanpinn.networks import KAN, Network, Windows
from kanpinn.optimizers import Optimizer
from kanpinn.sampling import Collocation


@dataclass(frozen=True)
class Choice:
    """A network's class and what it is called with, points, optimizers and weights.

    work: what it takes, in operations, by which the time of the next trial is forecast from that
    of this one.
    """

    kind: type[KAN] | type[Windows]
    arguments: Mapping[str, Any]
    points: Collocation
    optimizers: tuple[Optimizer, ...]
    weights: Mapping[str, float]
    work: float

    def network(self, seed: int, dtype: torch.dtype, device: torch.device) -> Network:
        """The network, new."""
        return self.kind(**self.arguments, seed=seed).to(device=device, dtype=dtype)

    def __str__(self) -> str:
        sizes = ", ".join(f"{name} {value}" for name, value in self.arguments.items())
        stages = ", ".join(optimizer.title.lower() for optimizer in self.optimizers)
        points = f"{self.points.interior} + {self.points.boundary} points"
        return f"{self.kind.__name__} with {sizes}, {points}, {stages}"
