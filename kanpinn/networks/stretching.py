"""A first layer that stretches each coordinate by a monotone spline."""

import torch
from torch import Tensor

from kanpinn.networks.basis import splines
from kanpinn.networks.kan_layer import KANLayer

DEGREE, INTERVALS = 5, 100
SAMPLES = 6  # per interval, that a stretch is fitted at


def identity(inputs: int, dtype: torch.dtype = torch.float64) -> KANLayer:
    """A layer with one edge for each input, s_i(ξ_i) = ξ_i."""
    one = torch.ones(inputs, dtype=dtype)
    layer = KANLayer(splines.uniform_knots(-one, one, INTERVALS, DEGREE), DEGREE, inputs)
    layer.kept = torch.eye(inputs, dtype=torch.bool)
    for axis in range(inputs):
        line = torch.tensor([-1.0, 1.0], dtype=torch.float64)
        set_stretch(layer, axis, line, line)
    return layer


@torch.no_grad()
def set_stretch(layer: KANLayer, axis: int, xi: Tensor, s: Tensor) -> None:
    """Let input `axis` be stretched by s(ξ), given at increasing points from -1 to 1, s from -1 to
    1; the layer's knots are even in s.
    """
    at_knots = interpolate(torch.linspace(-1, 1, layer.intervals + 1, dtype=xi.dtype), s, xi)
    at_knots[0], at_knots[-1] = -1, 1
    knots = splines.knots_from_breaks(at_knots[None], layer.degree)
    samples = interpolate(torch.linspace(-1, 1, SAMPLES * layer.intervals, dtype=xi.dtype), s, xi)
    target = interpolate(samples, xi, s)
    fitted = splines.fit(samples[:, None], target[:, None, None], knots, layer.degree)
    every = layer.knots.clone()
    every[axis] = knots[0]
    layer.knots = every
    layer.coefficients[axis] = 0
    layer.coefficients[axis, : layer.n_splines, axis] = fitted[0, :, 0].to(layer.coefficients)


def interpolate(at: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """The piecewise linear function through (x, y), x increasing, that goes on at its ends."""
    right = torch.searchsorted(x, at.contiguous()).clamp(1, len(x) - 1)
    a, b = x[right - 1], x[right]
    share = (at - a) / (b - a)
    return y[right - 1] + share * (y[right] - y[right - 1])
