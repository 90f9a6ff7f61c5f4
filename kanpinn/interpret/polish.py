"""Least-squares fits of c f(a x + b) + d to samples of an edge, from a lattice of starts.

The data lie on t in [-1, 1]. The unknowns of a fit are its window (left, right), the arguments of f
at t = -1 and t = 1. The best c and d are eliminated, and k windows move at once by
Levenberg–Marquardt steps. Windows stay inside the domain of f; an end of a window that reaches an
end of the domain remains there.
"""

import functools
import itertools
import math
from dataclasses import dataclass

import numpy
import torch
from jaxtyping import Float
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.interpret.univariate import Univariate

Array = numpy.ndarray

ROUNDING = 4 * float(numpy.finfo(float).eps)
LEAST = 8  # different x: twice the number of parameters a, b, c, d


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples of an edge, sorted by x, and the same standardised: z at t in [-1, 1].

    x = middle + half · t and y = mean + deviation · z. The weights w sum to 1. The weighted mean of
    z is 0, that of z² is 1 (or 0 for a constant).
    """

    x: Float[Array, " n"]
    y: Float[Array, " n"]
    w: Float[Array, " n"]
    t: Float[Array, " n"]
    z: Float[Array, " n"]
    middle: float
    half: float
    mean: float
    deviation: float

    @classmethod
    def of(cls, x: Array, y: Array, w: Array) -> "Samples":
        """Return the samples at sorted x, with any positive weights."""
        w = w / w.sum()
        middle, half = float(x[0] + x[-1]) / 2, float(x[-1] - x[0]) / 2
        mean = float(w @ y)
        deviation = float(numpy.sqrt(w @ (y - mean) ** 2))
        t, z = numpy.clip((x - middle) / half, -1, 1), (y - mean) / (deviation or 1.0)
        return cls(x, y, w, t, z, middle, half, mean, deviation)

    def thinned(self, count: int) -> "Samples":
        """Return at most `count` of the samples, evenly chosen, with both ends."""
        if len(self.x) <= count:
            return self
        at = numpy.linspace(0, len(self.x) - 1, count).round().astype(int)
        return Samples.of(self.x[at], self.y[at], self.w[at])

    @property
    def rounding(self) -> float:
        """The rounding error of y."""
        return ROUNDING * float(abs(self.y).max())

    @property
    def steepest(self) -> float:
        """The largest slope of a x + b in t that the samples resolve: half the Nyquist limit."""
        return math.pi * (len(numpy.unique(self.x)) - 1) / 4


def edge(x: Tensor, y: Tensor, weights: Tensor | None) -> Samples:
    """Return the `Samples` with positive weight.

    Args:
        x: the arguments, (n,).
        y: the values, (n,).
        weights: the weights, (n,); equal ones by default.

    Raises:
        InputError: if a number is not finite, there are fewer than 8 different x, or the weights
            are negative or all zero.
    """
    given = {"x": x, "y": y, "weights": torch.ones_like(x) if weights is None else weights}
    for name, part in given.items():
        if not bool(part.isfinite().all()):
            raise InputError(f"{name} must be finite numbers, got NaN or infinity among them")
    at, values, w = (part.detach().cpu().double().numpy() for part in given.values())
    if (w < 0).any() or not w.sum() > 0:
        raise InputError(f"weights must be at least 0 and not all 0, got {w.tolist()[:3]} …")
    order = numpy.argsort(at, kind="stable")
    order = order[w[order] > 0]
    if (different := len(numpy.unique(at[order]))) < LEAST:
        raise InputError(f"x must have at least {LEAST} different values, got {different}")
    return Samples.of(at[order], values[order], w[order])


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
    """Return the lattice of windows: their centres and half-widths cover what data may need."""
    if function.free == "":
        return numpy.array([[-1.0, 1.0]])
    if function.free == "a":
        slopes = numpy.concatenate([numpy.logspace(-3, 0, 24), numpy.linspace(1.1, 60.0, 96)])
        windows = numpy.outer(slopes, [-1.0, 1.0])
        return numpy.concatenate([windows, windows[:, ::-1]])
    if function.free == "b":
        outside = 1 + _GAPS
        centres = numpy.concatenate([-outside[::-1], numpy.linspace(-1, 1, 61), outside])
        windows = centres[:, None] + [-1.0, 1.0]
    else:
        low, high = function.domain
        if function.pole is not None and function.period is not None:
            low, high = max(low, function.pole), min(high, function.pole + function.period)
        if numpy.isfinite(low) and numpy.isfinite(high):
            shares = 1 / (1 + numpy.exp(-numpy.linspace(-12, 12, 45)))
            ends = low + (high - low) * numpy.concatenate([[0.0], shares, [1.0]])
            lattice = list(itertools.combinations(ends, 2))
        elif numpy.isfinite(low) or numpy.isfinite(high):
            ends = low + _GAPS if numpy.isfinite(low) else (high - _GAPS)[::-1]
            lattice = list(itertools.combinations(ends, 2))
        elif function.period is not None:
            centres = numpy.arange(16) / 16 * function.period
            widths = numpy.arange(0.25, 60.0, 0.25)
            lattice = [(c - width, c + width) for width in widths for c in centres]
        else:
            # Windows of half-width up to 25 are close enough to find oscillations (the arguments at
            # the ends change by less than π/2 between windows); wider ones only find transitions.
            steep = (32.0, 40.0, 50.0, 64.0, 80.0, 100.0)
            wide = (*numpy.logspace(-1.5, -0.2, 10), *numpy.arange(0.6, 25.0, 0.6), *steep)
            lattice = [
                (c - w, c + w)
                for w in wide
                for c in numpy.linspace(-w - 4, w + 4, 2 * math.ceil((w + 4) / 0.75) + 1)
            ]
        windows = numpy.array(lattice)
    mirrored = [] if function.even_or_odd else [windows[:, ::-1]]
    return numpy.concatenate([windows, *mirrored])


# The directions in which a window may move, by the free parameters: its ends move oppositely (a),
# together (b) or independently (ab).
_DIRECTIONS = {
    "": numpy.zeros((0, 2)),
    "a": numpy.array([[-1.0, 1.0]]),
    "b": numpy.array([[1.0, 1.0]]),
    "ab": numpy.eye(2),
}
_EPSILON = numpy.finfo(float).eps


@dataclass(eq=False)
class Fits:
    """k fits: windows with their best c and d, and what the next step needs.

    Args:
        windows: the arguments of f at both ends of the data, (k, 2).
        c, d: the least-squares c and d for the standardised samples, (k,).
        loss: Σ w (z - c f - d)², infinite for windows that are not usable, (k,).
        largest: the largest |c f|, (k,).
        r: the residuals, (k, n).
        jacobian: the derivatives of c f by the p directions, (k, p, n).
        settled: whether the fit has ended, at a minimum of the loss or in a limit case, (k,).
    """

    windows: Array
    c: Array
    d: Array
    loss: Array
    largest: Array
    r: Array
    jacobian: Array
    settled: Array

    @property
    def exact(self) -> Array:
        """True for each fit whose residual is only rounding."""
        return self.loss <= (2 * _EPSILON) ** 2 * (1 + self.largest**2)

    @property
    def limit(self) -> Array:
        """True for each fit in which c f and d nearly cancel: only derivatives of f matter."""
        return self.largest > 1e5  # the size of c f, over the deviation of y

    def best(self, count: int) -> Float[Array, "j 2"]:
        """Return the windows of the `count` lowest losses, without infinite ones."""
        order = numpy.argsort(self.loss, kind="stable")[:count]
        return self.windows[order[numpy.isfinite(self.loss[order])]]

    def rows(self, at: Array) -> "Fits":
        """Return these fits alone."""
        return Fits(*(part[at] for part in vars(self).values()))

    def put(self, at: Array, other: "Fits") -> None:
        """Replace the fits at these positions."""
        for name, part in vars(self).items():
            part[at] = getattr(other, name)


def polish(function: Univariate, windows: Array, samples: Samples, steps: int) -> Fits:
    """Run the fits of a function from these windows (k, 2), with at most `steps` steps.

    All fits end as soon as one is exact up to rounding.

    Reference: Golub & Pereyra 1973; Kaufman 1975 for the Jacobian; Marquardt 1963.
    """
    stuck = 1e6  # damping above which a fit ends, stopped by rounding or a kink
    # A fit has converged if an undamped step would remove a smaller share of the loss.
    least_share = 1e-5
    fits = _fits(function, windows.copy(), samples)
    damping = numpy.full(len(windows), 1e-3)
    for _ in range(steps):
        if fits.settled.all() or fits.exact.any():
            break
        at = numpy.flatnonzero(~fits.settled)
        now = fits.rows(at)
        move, share = _step(function, now, samples.w, damping[at])
        trial = _fits(function, _kept(function, now.windows + move), samples)
        better = trial.loss < now.loss
        fits.put(at[better], trial.rows(better))
        damping[at] *= numpy.where(better, 0.04, 10.0)
        damping = numpy.maximum(damping, 1e-18)
        fits.settled[at] = (share < least_share) | (damping[at] > stuck) | fits.limit[at]
    fits.settled |= fits.exact
    return fits


def _fits(function: Univariate, windows: Array, samples: Samples) -> Fits:
    left, right = windows[:, :1], windows[:, 1:]
    u = left * (1 - samples.t) / 2 + right * (1 + samples.t) / 2
    with numpy.errstate(all="ignore"):
        f, slope = value_and_slope(function, u)
        mean = f @ samples.w
        centred = f - mean[:, None]
        norm = numpy.sqrt((centred**2) @ samples.w)
        unit = centred / norm[:, None]
        size = (unit * samples.z) @ samples.w
        c = size / norm
        r = samples.z - size[:, None] * unit
        loss = (r**2) @ samples.w
        largest = abs(c) * abs(f).max(1)
        # the derivatives of c f by the directions, orthogonal to f and constants
        shapes = numpy.stack([(1 - samples.t) / 2, (1 + samples.t) / 2])
        jacobian = (c[:, None] * slope)[:, None] * (_DIRECTIONS[function.free] @ shapes)
        weighted = (samples.w * unit)[:, :, None]
        for _ in range(2):  # the second pass removes rounding errors, for almost linear f
            jacobian -= (jacobian @ samples.w)[:, :, None]
            jacobian -= (jacobian @ weighted) * unit[:, None]
    usable = function.regular(windows.min(1), windows.max(1)) & numpy.isfinite(loss)
    loss = numpy.where(usable & numpy.isfinite(jacobian).all((1, 2)), loss, numpy.inf)
    settled = ~numpy.isfinite(loss) | (not function.free) | function.jumps
    return Fits(windows, c, -c * mean, loss, largest, r, jacobian, settled)


def value_and_slope(function: Univariate, u: Array) -> tuple[Array, Array]:
    """Return f and f' at u, with f' set to 0 at the ends of the domain, where it may diverge."""
    with torch.enable_grad():
        at = torch.from_numpy(u).requires_grad_()
        f = function(at)
        slope = torch.autograd.grad(f.sum(), at)[0].numpy()
    at_end = (u <= function.domain[0]) | (u >= function.domain[1])
    return f.detach().numpy(), numpy.where(at_end, 0.0, slope)


def _step(
    function: Univariate, fits: Fits, w: Array, damping: Array
) -> tuple[Float[Array, "k 2"], Float[Array, " k"]]:
    """Return each window's damped step, and the share of the loss an undamped one would remove."""
    root = numpy.sqrt(w)
    matrix = fits.jacobian * root
    # no direction moves a window's end off an end of the domain
    stuck = (fits.windows == function.domain[0]) | (fits.windows == function.domain[1])
    matrix[(stuck[:, None] & (_DIRECTIONS[function.free] != 0)).any(2)] = 0.0
    scale = numpy.sqrt((matrix**2).sum(2))
    scale[scale == 0] = 1.0
    left, values, right = numpy.linalg.svd(matrix / scale[:, :, None], full_matrices=False)
    gain = (right @ (fits.r * root)[:, :, None])[:, :, 0]
    share = (gain**2 * (values > 1e-14)).sum(1) / numpy.maximum(fits.loss, 1e-300)
    gain = gain * values / (values**2 + damping[:, None] + 1e-300)
    return ((left @ gain[:, :, None])[:, :, 0] / scale) @ _DIRECTIONS[function.free], share


def _kept(function: Univariate, new: Array) -> Array:
    """Bring windows back into the domain, by a shift if only b is free, else by clipping."""
    low, high = function.domain
    if numpy.isinf(low) and numpy.isinf(high):
        return new
    if function.free != "b":
        return numpy.clip(new, low, high)
    least, most = new.min(1, keepdims=True), new.max(1, keepdims=True)
    new = numpy.where(least < low, low + (new - least), new)
    return numpy.where(most > high, high + (new - most), new)
