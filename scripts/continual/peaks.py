"""Five Gaussian peaks on [-1, 1], whose data are given one peak after the other."""

from collections.abc import Sequence

import torch
from torch import Tensor

PEAKS = 5
HALF = 1 / PEAKS  # of a phase's interval
CENTRES = tuple(2 / PEAKS * (i - PEAKS / 2 + 0.5) for i in range(PEAKS))
SHARPNESS = 300.0


def target(x: Tensor) -> Tensor:
    """Return Σ exp(-300 (x - c)²) over the peaks."""
    return sum((torch.exp(-SHARPNESS * (x - c) ** 2) for c in CENTRES), torch.zeros_like(x))


def points(phase: int, count: int) -> Tensor:
    """Return evenly spaced points (count, 1) on the interval of one peak, with both ends.

    phase: the number of the peak, from 0.
    """
    middle, share = CENTRES[phase], torch.linspace(-1, 1, count, dtype=torch.float64)
    return (middle + HALF * share)[:, None]


def seen(phases: int | Sequence[int], count: int) -> Tensor:
    """Return the points of the first so many phases, or of the given phases."""
    chosen = range(phases) if isinstance(phases, int) else phases
    return torch.cat([points(phase, count) for phase in chosen])
