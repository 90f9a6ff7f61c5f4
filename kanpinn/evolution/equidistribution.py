"""Coordinates in which a function varies evenly: equidistribution of a monitor."""

from collections.abc import Callable

import torch
from torch import Tensor

from kanpinn.networks.stretching import interpolate

SPOTS = 1001  # at which a monitor is known along a coordinate
FLOOR = 0.5  # of a monitor's mean, that is added to it: no place goes without points
BLUR = 0.1  # of s ∈ [-1, 1]: the stretch changes its slope no faster


def equidistributed(
    xi: Tensor, monitor: Tensor, floor: float = FLOOR, blur: float = BLUR
) -> Tensor:
    """s(ξ) from -1 to 1 with ds/dξ ∝ monitor + floor · mean, its logarithm smoothed in s.

    xi: increasing from -1 to 1, where the monitor (≥ 0) is given.

    Reference: de Boor, Good approximation by splines with variable knots (1974); Huang and Russell,
    Adaptive moving mesh methods (2011), chapter 2.
    """
    mean = torch.trapezoid(monitor, xi) / 2
    if not (torch.isfinite(monitor).all() and mean > 0):
        return xi.clone()
    density = monitor + floor * mean
    s = _running(xi, density)
    even = torch.linspace(-1, 1, 2 * len(xi) - 1, dtype=xi.dtype)
    smooth = _blurred(interpolate(even, s, density.log()), blur / float(even[1] - even[0]))
    return _running(xi, interpolate(s, even, smooth).exp())


def _running(xi: Tensor, density: Tensor) -> Tensor:
    """The integral of a density from the first point on, scaled to run from -1 to 1."""
    total = torch.cat([xi.new_zeros(1), torch.cumulative_trapezoid(density, xi)])
    return 2 * total / total[-1] - 1


def _blurred(values: Tensor, width: float) -> Tensor:
    from scipy.ndimage import gaussian_filter1d

    for w in (width, width / 2):
        values = torch.from_numpy(gaussian_filter1d(values.numpy(), w, mode="nearest"))
    return values


def monitor(second: Callable[[Tensor], Tensor], spots: Tensor, others: Tensor) -> Tensor:
    """max |∂²u|^½ along one coordinate over the others.

    second: |∂²u| (n, m) by that coordinate for all fields at points whose first column is the
    coordinate, the rest a row of `others`; spots: (K,), others: (J, d - 1).
    """
    rows = torch.cat(
        [spots.repeat_interleave(len(others))[:, None], others.repeat(len(spots), 1)], dim=1
    )
    found = second(rows).abs().sqrt().amax(dim=1)
    return found.view(len(spots), -1).amax(dim=1)
