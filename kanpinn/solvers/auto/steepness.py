"""How local or oscillatory the solutions of an equation are, from the sizes of its terms."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from kanpinn.cells.adaptive.waves import waves_along
from kanpinn.geometry.sampling import sample
from kanpinn.jets import Channels, coefficients_along, slopes_by_parts, zero_jet
from kanpinn.pde.evaluate import find_channels
from kanpinn.pde.problem import Problem


@dataclass(frozen=True)
class Steepness:
    """The sizes of an equation's terms of lower order, relative to those of second order.

    Args:
        waves: the largest √(c₀/c₂) L, the phase of waves over the domain's width L.
        mean_waves: the mean of √(c₀/c₂) L over the domain.
        convection: c₁ L / c₂, the width L in units of that of an outflow layer.
    """

    waves: float = 0.0
    mean_waves: float = 0.0
    convection: float = 0.0

    @property
    def is_steep(self) -> bool:
        """Whether a network without cells hardly resolves the solutions."""
        many = 15.0
        return self.waves > many or self.convection > many**2

    @classmethod
    @torch.no_grad()
    def of(cls, problem: Problem) -> "Steepness":
        """The sizes at fields that vanish, the largest of all equations and of some points.

        Both are zero if the highest order of derivatives is not 2, or the equation is not finite.
        """
        few = 64
        p, fields = sample(problem.domain, few, "sobol"), len(problem.fields)

        def residual(channels: Channels) -> Tensor:
            return problem.equation(p, zero_jet(channels, p.coords, fields))

        channels, _ = find_channels(residual, p.names)
        zero = zero_jet(channels, p.coords, fields)
        _, slopes = slopes_by_parts(partial(problem.equation, p), zero)
        if channels.derivative_order != 2:
            return cls()
        parts, axes = torch.stack([one.stacked() for one in slopes], dim=1), range(channels.dim)
        first, second = (
            max(float(coefficients_along(parts, channels, axis, r).abs().max()) for axis in axes)
            for r in (1, 2)
        )
        waves = torch.stack([waves_along(parts, channels, axis) for axis in axes]).amax(dim=0)
        low, high = problem.domain.bounds
        width = float((high - low).max())
        if not (0 < second < float("inf") and float(waves.max()) + first < float("inf")):
            return cls()
        waves = waves * width
        return cls(float(waves.max()), float(waves.mean()), first * width / second)
