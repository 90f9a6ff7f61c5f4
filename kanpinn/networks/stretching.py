"""A first layer that stretches each coordinate by a monotone spline."""

import torch
from torch import Tensor

from kanpinn.networks.basis import BSplines
from kanpinn.networks.kan_layer import KANLayer


def identity(
    inputs: int, dtype: torch.dtype = torch.float64, degree: int = 5, intervals: int = 100
) -> KANLayer:
    """A layer with one edge s_i(ξ_i) = ξ_i for each input, to be changed by `set_stretch`.

    With the default degree and intervals, splines represent a stretch with an error that is small
    against that of a solution.
    """
    one = torch.ones(inputs, dtype=dtype)
    layer = KANLayer(BSplines.uniform(-one, one, intervals, degree), inputs)
    layer.kept = torch.eye(inputs, dtype=torch.bool)
    for axis in range(inputs):
        line = torch.tensor([-1.0, 1.0], dtype=torch.float64)
        set_stretch(layer, axis, line, line)
    return layer


@torch.no_grad()
def set_stretch(layer: KANLayer, axis: int, xi: Tensor, s: Tensor) -> None:
    """Stretch input `axis` of a layer by s(ξ), on grid intervals that are equal in s.

    Args:
        layer: a layer made by `identity`.
        axis: the index of the input.
        xi, s: the points of a piecewise linear s, (n,) each, increasing from -1 to 1.
    """
    at_knots = interpolate(torch.linspace(-1, 1, layer.basis.intervals + 1, dtype=xi.dtype), s, xi)
    at_knots[0], at_knots[-1] = -1, 1
    own = BSplines.uniform(-torch.ones(1), torch.ones(1), 1, layer.basis.degree).on(at_knots[None])
    per_interval = 6  # more samples than splines on an interval
    even = torch.linspace(-1, 1, per_interval * layer.basis.intervals, dtype=xi.dtype)
    samples = interpolate(even, s, xi)
    fitted = own.fit(samples[:, None], interpolate(samples, xi, s)[:, None, None])
    breaks = layer.basis.breaks.clone()
    breaks[axis] = at_knots
    layer.basis = layer.basis.on(breaks)
    layer.coefficients[axis] = 0
    layer.coefficients[axis, : layer.basis.size, axis] = fitted[0, :, 0].to(layer.coefficients)


def interpolate(at: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """The piecewise linear function through (x, y), x increasing, extrapolated linearly."""
    right = torch.searchsorted(x, at.contiguous()).clamp(1, len(x) - 1)
    a, b = x[right - 1], x[right]
    share = (at - a) / (b - a)
    return y[right - 1] + share * (y[right] - y[right - 1])
