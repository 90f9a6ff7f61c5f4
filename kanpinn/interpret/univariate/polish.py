"""Least-squares fits of c f(a x + b) + d: c and d are eliminated, a and b by Levenberg–Marquardt.

k fits run at once. The unknowns of a fit are its window (left, right), the arguments a x + b at the
two ends of the data (see starts.py). Windows are kept inside the domain of f, and an end of a
window that reaches an end of the domain stays there.
"""

from dataclasses import dataclass

import numpy
import torch
from jaxtyping import Bool, Float

from kanpinn.interpret.univariate.samples import Samples
from kanpinn.interpret.univariate.univariate import Univariate

Array = numpy.ndarray

# The directions in which a window may move, by the free parameters: its ends move oppositely (a),
# together (b) or independently (ab).
_DIRECTIONS = {
    "": numpy.zeros((0, 2)),
    "a": numpy.array([[-1.0, 1.0]]),
    "b": numpy.array([[1.0, 1.0]]),
    "ab": numpy.eye(2),
}
_EPSILON = numpy.finfo(float).eps


@dataclass(frozen=True, eq=False)
class Fits:
    """The results of k fits: windows with their best c and d.

    Args:
        windows: the arguments of f at both ends of the data, (k, 2).
        c, d: the least-squares c and d for the standardised samples.
        loss: Σ w (z - c f - d)², infinite for windows that are not usable.
        limit: whether c f and d nearly cancel, so that only the first derivatives of f matter.
        settled: whether the fit has ended, at a minimum of the loss or in a limit case.
    """

    windows: Float[Array, "k 2"]
    c: Float[Array, " k"]
    d: Float[Array, " k"]
    loss: Float[Array, " k"]
    limit: Bool[Array, " k"]
    settled: Bool[Array, " k"]

    def best(self, count: int) -> Float[Array, "j 2"]:
        """Return the windows of the `count` lowest losses, without infinite ones."""
        order = numpy.argsort(self.loss, kind="stable")[:count]
        return self.windows[order[numpy.isfinite(self.loss[order])]]


@dataclass(eq=False)
class _State:
    """The state of k fits, with what the next step needs.

    `r` are the residuals (k, n), `jacobian` (k, p, n) the derivatives of c f by the p directions,
    and `largest` the largest |c f| of each fit.
    """

    windows: Array
    c: Array
    d: Array
    loss: Array
    largest: Array
    r: Array
    jacobian: Array

    @property
    def exact(self) -> Array:
        """True for each fit whose residual is only rounding."""
        return self.loss <= (2 * _EPSILON) ** 2 * (1 + self.largest**2)

    @property
    def limit(self) -> Array:
        """True for each fit in which c f and d nearly cancel."""
        return self.largest > 1e5  # the size of c f, over the deviation of y

    def rows(self, at: Array) -> "_State":
        """Return the state of these fits alone."""
        return _State(*(part[at] for part in vars(self).values()))

    def put(self, at: Array, other: "_State") -> None:
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
    state = _state(function, windows.copy(), samples)
    damping = numpy.full(len(windows), 1e-3)
    settled = ~numpy.isfinite(state.loss) | (not function.free) | function.jumps
    for _ in range(steps):
        if settled.all() or state.exact.any():
            break
        at = numpy.flatnonzero(~settled)
        now = state.rows(at)
        move, share = _step(function, now, samples.w, damping[at])
        trial = _state(function, _kept(function, now.windows + move), samples)
        better = trial.loss < now.loss
        state.put(at[better], trial.rows(better))
        damping[at] *= numpy.where(better, 0.04, 10.0)
        damping = numpy.maximum(damping, 1e-18)
        settled[at] = (share < least_share) | (damping[at] > stuck) | state.limit[at]
    return Fits(state.windows, state.c, state.d, state.loss, state.limit, settled | state.exact)


def _state(function: Univariate, windows: Array, samples: Samples) -> _State:
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
        jacobian = _jacobian(function, samples, c[:, None] * slope, unit)
    usable = function.regular(windows.min(1), windows.max(1)) & numpy.isfinite(loss)
    loss = numpy.where(usable & numpy.isfinite(jacobian).all((1, 2)), loss, numpy.inf)
    return _State(windows, c, -c * mean, loss, largest, r, jacobian)


def value_and_slope(function: Univariate, u: Array) -> tuple[Array, Array]:
    """Return f and f' at u, with f' set to 0 at the ends of the domain, where it may diverge."""
    with torch.enable_grad():
        at = torch.from_numpy(u).requires_grad_()
        f = function(at)
        slope = torch.autograd.grad(f.sum(), at)[0].numpy()
    at_end = (u <= function.domain[0]) | (u >= function.domain[1])
    return f.detach().numpy(), numpy.where(at_end, 0.0, slope)


def _jacobian(function: Univariate, samples: Samples, slope: Array, unit: Array) -> Array:
    """Return the derivatives (k, p, n) of c f by the directions, orthogonal to f and constants."""
    shapes = numpy.stack([(1 - samples.t) / 2, (1 + samples.t) / 2])
    columns = slope[:, None] * (_DIRECTIONS[function.free] @ shapes)
    weighted = (samples.w * unit)[:, :, None]
    for _ in range(2):  # a second pass removes the rounding errors of the first for almost linear f
        columns -= (columns @ samples.w)[:, :, None]
        columns -= (columns @ weighted) * unit[:, None]
    return columns


def _step(
    function: Univariate, state: _State, w: Array, damping: Array
) -> tuple[Float[Array, "k 2"], Float[Array, " k"]]:
    """Return each window's damped step, and the share of the loss an undamped one would remove."""
    root = numpy.sqrt(w)
    matrix = state.jacobian * root
    matrix[~_movable(function, state.windows)] = 0.0
    scale = numpy.sqrt((matrix**2).sum(2))
    scale[scale == 0] = 1.0
    left, values, right = numpy.linalg.svd(matrix / scale[:, :, None], full_matrices=False)
    gain = (right @ (state.r * root)[:, :, None])[:, :, 0]
    share = (gain**2 * (values > 1e-14)).sum(1) / numpy.maximum(state.loss, 1e-300)
    gain = gain * values / (values**2 + damping[:, None] + 1e-300)
    return ((left @ gain[:, :, None])[:, :, 0] / scale) @ _DIRECTIONS[function.free], share


def _movable(function: Univariate, windows: Array) -> Bool[Array, "k p"]:
    """Return a mask of the directions that do not move a window's end off an end of the domain."""
    stuck = (windows == function.domain[0]) | (windows == function.domain[1])
    return ~((stuck[:, None] & (_DIRECTIONS[function.free] != 0)).any(2))


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
