"""Samples of one edge function, checked and standardised for fits."""

import math
from dataclasses import dataclass

import numpy
import torch
from jaxtyping import Float
from torch import Tensor

from kanpinn._support.errors import InputError

Array = numpy.ndarray

ROUNDING = 4 * float(numpy.finfo(float).eps)
LEAST = 8  # different x: twice the number of parameters a, b, c, d


@dataclass(frozen=True, eq=False)
class Samples:
    """Standardised samples: values z at t in [-1, 1] with weights w.

    The weights sum to 1; z has weighted mean 0 and weighted mean square 1 (or 0 for a constant).
    """

    t: Float[Array, " n"]
    z: Float[Array, " n"]
    w: Float[Array, " n"]

    def thinned(self, count: int) -> "Samples":
        """Return at most `count` of the samples, evenly chosen, with both ends."""
        if len(self.t) <= count:
            return self
        at = numpy.linspace(0, len(self.t) - 1, count).round().astype(int)
        return standard(self.t[at], self.z[at], self.w[at])


@dataclass(frozen=True, eq=False)
class EdgeSamples:
    """Samples y at x, sorted by x, and the standardised `samples`.

    The two are related by x = middle + half · t and y = mean + deviation · z.
    """

    x: Float[Array, " n"]
    y: Float[Array, " n"]
    samples: Samples
    middle: float
    half: float
    mean: float
    deviation: float

    @property
    def rounding(self) -> float:
        """The rounding error of y."""
        return ROUNDING * float(abs(self.y).max())

    @property
    def steepest(self) -> float:
        """The largest slope of a x + b in t that the samples resolve: half the Nyquist limit."""
        return math.pi * (len(numpy.unique(self.x)) - 1) / 4


def edge(x: Tensor, y: Tensor, weights: Tensor | None) -> EdgeSamples:
    """Return the `EdgeSamples` of the samples with positive weight.

    Args:
        x: the arguments, (n,).
        y: the values, (n,).
        weights: the weights, (n,); equal ones by default.

    Raises:
        InputError: if a number is not finite, there are fewer than 8 different x, or the weights
            are negative or all zero.
    """
    weights = torch.ones_like(x) if weights is None else weights
    at, values, w = (
        _finite(name, part) for name, part in (("x", x), ("y", y), ("weights", weights))
    )
    if (w < 0).any() or not w.sum() > 0:
        raise InputError(f"weights must be at least 0 and not all 0, got {w.tolist()[:3]} …")
    order = numpy.argsort(at, kind="stable")
    at, values, w = (part[order][w[order] > 0] for part in (at, values, w))
    if (different := len(numpy.unique(at))) < LEAST:
        raise InputError(f"x must have at least {LEAST} different values, got {different}")
    middle, half = float(at[0] + at[-1]) / 2, float(at[-1] - at[0]) / 2
    samples = standard(numpy.clip((at - middle) / half, -1, 1), values, w)
    mean = float(samples.w @ values)
    deviation = float(numpy.sqrt(samples.w @ (values - mean) ** 2))
    return EdgeSamples(at, values, samples, middle, half, mean, deviation)


def _finite(name: str, values: Tensor) -> Array:
    if not bool(values.isfinite().all()):
        raise InputError(f"{name} must be finite numbers, got NaN or infinity among them")
    return values.detach().cpu().double().numpy()


def standard(t: Array, y: Array, w: Array) -> Samples:
    """Return samples with y standardised to mean 0 and mean square 1 (or 0 if y is constant)."""
    w = w / w.sum()
    z = y - w @ y
    return Samples(t, z / (numpy.sqrt(w @ z**2) or 1.0), w)
