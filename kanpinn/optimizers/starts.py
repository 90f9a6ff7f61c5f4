"""Starts of Newton's method for equations that have no linearisation about zero."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

Start = Callable[[Tensor], Tensor]  # (n, d) in [-1, 1]^d → values (n, m)


def other_starts(dim: int, fields: int) -> Iterator[Start]:
    """Yield smooth random functions around 1, 0 and -1, in whose place an equation may be regular.

    Functions around one are positive, for equations such as Δu = log u. Nowhere but on surfaces do
    gradients vanish, for equations such as ∇·(|∇u|² ∇u) = f.

    Args:
        dim: the number of coordinates d.
        fields: the number of fields m.
    """
    waves = 4
    generator = torch.Generator().manual_seed(0)
    for offset in (1.0, 0.0, -1.0):
        kappa = torch.randn(dim, waves, generator=generator, dtype=torch.float64)
        phases = 2 * math.pi * torch.rand(waves, generator=generator, dtype=torch.float64)
        shares = torch.rand(waves, fields, generator=generator, dtype=torch.float64) / waves

        def start(
            x: Tensor,
            kappa: Tensor = kappa,
            phases: Tensor = phases,
            shares: Tensor = shares,
            offset: float = offset,
        ) -> Tensor:
            return offset + torch.sin(x @ kappa.to(x) + phases.to(x)) @ shares.to(x)

        yield start
