"""A field at points, as far as it is known."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn.accuracy.confidence.estimated import is_small, not_arrived


@dataclass(frozen=True, eq=False)
class Band:
    """A field's values at points, the ends of their 95% intervals, one more step's changes; (n,).

    The ends are what they would be if the search had arrived.
    """

    value: Tensor
    low: Tensor
    high: Tensor
    step: Tensor

    @property
    def half_widths(self) -> Tensor:
        """(n,), infinite where the data leave the field open."""
        return (self.high - self.low) / 2

    @property
    def arrived(self) -> bool:
        """Whether a further step is small beside the half-widths, in the root mean square."""
        half = self.half_widths
        known = half.isfinite()
        if not bool(known.any()):
            return bool(self.step.isfinite().all())
        sizes = (self.step[known], half[known], self.value[known])
        return is_small(*(float(x.square().mean().sqrt()) for x in sizes))

    @property
    def ends(self) -> tuple[Tensor, Tensor]:
        """The ends of the intervals, infinite where the search has not arrived."""
        if self.arrived:
            return self.low, self.high
        return torch.full_like(self.low, -torch.inf), torch.full_like(self.high, torch.inf)

    @property
    def spread(self) -> "Spread":
        """What there is to say of it in a line."""
        half = self.half_widths if self.arrived else torch.full_like(self.value, torch.inf)
        step = float(self.step.square().mean().sqrt())
        least, largest = float(half.min()), float(half.max())
        return Spread(least, float(half.median()), largest, step, self.arrived)


@dataclass(frozen=True)
class Spread:
    """Half-widths of a field's 95% intervals over its domain, infinite where it has not arrived.

    step: what one more Gauss–Newton step would change the field by, a root mean square.
    """

    least: float
    median: float
    largest: float
    step: float
    arrived: bool

    def __str__(self) -> str:
        """ "95% half-width 0.02 … 0.15, median 0.04"."""
        if not self.arrived:
            return not_arrived(self.step)
        if math.isinf(self.least):
            return "not determined here: to first order no datum depends on it"
        least, median, largest = (
            "∞" if math.isinf(x) else f"{x:.2g}" for x in (self.least, self.median, self.largest)
        )
        return f"95% half-width {least} … {largest}, median {median}"
