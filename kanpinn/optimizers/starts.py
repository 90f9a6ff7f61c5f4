"""Initial functions for Newton's method, for equations that cannot be linearised at zero."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

Start = Callable[[Tensor], Tensor]  # points (n, d) in [-1, 1]^d → values of m fields (n, m)


def other_starts(dim: int, fields: int) -> Iterator[Start]:
    """Yield the function 1 + |x|²/2, and smooth random functions around 1, around 0 and around -1.

    They are starts of Newton's method. The first function is convex, for the Monge–Ampère equation.
    The functions around 1 are positive, for equations such as Δu = log u. The gradients of all
    functions do not vanish in whole regions, for equations such as ∇·(|∇u|² ∇u) = f.

    Args:
        dim: the number of coordinates d.
        fields: the number of fields m.
    """
    yield lambda x: (1 + x.square().sum(dim=1, keepdim=True) / 2).expand(-1, fields)
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
            """Return the values of the initial function at points x scaled to [-1, 1]^d, (n, m)."""
            return offset + torch.sin(x @ kappa.to(x) + phases.to(x)) @ shares.to(x)

        yield start
