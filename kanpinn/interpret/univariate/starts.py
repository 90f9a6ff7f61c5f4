"""Starting points of the fits of c f(a x + b) + d: the best windows of a fixed lattice.

The data lie on t in [-1, 1]; a window (left, right) holds the arguments of f at t = -1 and t = 1.
"""

import functools
import itertools

import numpy
import torch
from jaxtyping import Float

from kanpinn.interpret.univariate.univariate import Univariate

Array = numpy.ndarray

NODES = numpy.linspace(-1.0, 1.0, 96)
_GAPS = numpy.concatenate([[0.0], numpy.logspace(-6, 3, 46)])


def starts(function: Univariate, z: Float[Array, " m"], steepest: float, count: int) -> Array:
    """Return the `count` best windows (k, 2), taken from different parts of the lattice.

    Args:
        function: the function f.
        z: the standardised values at `NODES`, (m,).
        steepest: the largest half-width of a window that the data resolve.
        count: the number of windows.
    """
    windows, features = _lattice(function)
    quality = (features @ z) ** 2
    if function.free == "ab":
        quality[abs(windows[:, 1] - windows[:, 0]) > 2 * steepest] = -1.0
    groups = numpy.array_split(numpy.arange(len(windows)), min(len(windows), 16 * count))
    best = numpy.array([group[quality[group].argmax()] for group in groups])
    return windows[best[numpy.argsort(-quality[best], kind="stable")[:count]]]


@functools.lru_cache(maxsize=128)
def _lattice(function: Univariate) -> tuple[Float[Array, "g 2"], Float[Array, "g m"]]:
    """Return the windows in which f is regular, and the centred, normalised values of f on each."""
    windows = _windows(function)
    windows = windows[function.regular(windows.min(1), windows.max(1))]
    u = windows[:, :1] * (1 - NODES) / 2 + windows[:, 1:] * (1 + NODES) / 2
    with torch.no_grad(), numpy.errstate(all="ignore"):
        values = function(torch.from_numpy(u)).numpy()
        size = abs(values).max(1)
        centred = values - values.mean(1, keepdims=True)
        norm = numpy.sqrt((centred**2).sum(1))
    varies = numpy.isfinite(norm) & (norm > 1e-12 * size)  # NaN compares as False
    return windows[varies], centred[varies] / norm[varies, None]


def _windows(function: Univariate) -> Float[Array, "g 2"]:
    if function.free == "":
        return numpy.array([[-1.0, 1.0]])
    if function.free == "a":
        slopes = numpy.concatenate([numpy.logspace(-3, 0, 24), numpy.linspace(1.1, 60.0, 96)])
        return _mirrored(numpy.stack([-slopes, slopes], axis=1))
    if function.free == "b":
        outside = 1 + _GAPS
        centres = numpy.concatenate([-outside[::-1], numpy.linspace(-1, 1, 61), outside])
        found = numpy.stack([centres - 1, centres + 1], axis=1)
    else:
        found = _of_two(function)
    return found if function.even_or_odd else _mirrored(found)


def _of_two(function: Univariate) -> Float[Array, "g 2"]:
    """Return the windows (left < right) of a function with both a and b free."""
    low, high = function.domain
    if function.pole is not None and function.period is not None:
        low, high = max(low, function.pole), min(high, function.pole + function.period)
    if numpy.isfinite(low) and numpy.isfinite(high):
        shares = 1 / (1 + numpy.exp(-numpy.linspace(-12, 12, 45)))
        ends = low + (high - low) * numpy.concatenate([[0.0], shares, [1.0]])
        return numpy.array(list(itertools.combinations(ends, 2)))
    if numpy.isfinite(low) or numpy.isfinite(high):
        ends = low + _GAPS if numpy.isfinite(low) else (high - _GAPS)[::-1]
        return numpy.array(list(itertools.combinations(ends, 2)))
    if function.period is not None:
        widths, centres = numpy.arange(0.25, 60.0, 0.25), numpy.arange(16) / 16 * function.period
        return _centred(widths.repeat(16), numpy.tile(centres, len(widths)))
    return _unbounded()


def _unbounded() -> Float[Array, "g 2"]:
    # Windows of half-width up to 25 are close enough to find oscillations (the arguments at the
    # ends change by less than π/2 between windows); wider ones only find single transitions.
    steep = (32.0, 40.0, 50.0, 64.0, 80.0, 100.0)
    parts = []
    for width in (*numpy.logspace(-1.5, -0.2, 10), *numpy.arange(0.6, 25.0, 0.6), *steep):
        reach = width + 4
        centres = numpy.linspace(-reach, reach, 2 * int(numpy.ceil(reach / 0.75)) + 1)
        parts.append(_centred(numpy.full_like(centres, width), centres))
    return numpy.concatenate(parts)


def _centred(widths: Float[Array, " g"], centres: Float[Array, " g"]) -> Float[Array, "g 2"]:
    return numpy.stack([centres - widths, centres + widths], axis=1)


def _mirrored(windows: Float[Array, "g 2"]) -> Float[Array, "h 2"]:
    return numpy.concatenate([windows, windows[:, ::-1]])
