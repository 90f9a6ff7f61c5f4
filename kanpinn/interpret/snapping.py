"""The choice of a function for one edge of a network: fits of the whole library, and their ranking.

A fit is c f(a x + b) + d by least squares, from a lattice of starts, to samples of the edge. The
arguments x of the samples are mapped to t in [-1, 1]. The unknowns of a fit are its window
(left, right), which are the arguments of f at t = -1 and t = 1 and replace a and b; the best c and
d are eliminated. k windows are changed at once by Levenberg–Marquardt steps. Windows stay inside
the domain of f; an end of a window that reaches an end of the domain remains there.
"""

import functools
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy
import torch
from jaxtyping import Float
from torch import Tensor

from kanpinn._support.errors import InputError, nearest, number
from kanpinn.interpret.univariate import LIBRARY, Parameters, Symbolic, Univariate, functions

Array = numpy.ndarray

ROUNDING = 4 * float(numpy.finfo(float).eps)
LEAST = 8  # the least number of different x: twice the number of parameters a, b, c, d


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples (x, y) of an edge, sorted by x, and standardised samples (t, z), t in [-1, 1].

    x = middle + half · t and y = mean + deviation · z. The weights w sum to 1. The weighted mean of
    z is 0, and the weighted mean of z² is 1, or 0 for a constant.

    Attributes:
        x, y: the arguments and values of the n samples.
        w: the weights.
        t, z: the standardised arguments and values.
        middle, half, mean, deviation: the constants of the two maps.
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
        """Return the samples for sorted x, values y and any positive weights w, (n,) each."""
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
        """The largest slope, with respect to t, of the argument of f at which fits start.

        With n different x, evenly spaced, samples of sin(s t) resolve slopes s up to the Nyquist
        limit π (n - 1) / 2. The result is half of this limit.
        """
        return math.pi * (len(numpy.unique(self.x)) - 1) / 4


def edge(x: Tensor, y: Tensor, weights: Tensor | None) -> Samples:
    """Return the samples of an edge, without samples of weight 0.

    Args:
        x: the arguments, (n,).
        y: the values, (n,).
        weights: the weights, (n,); None for equal weights.

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
    """Return starts of a fit: the windows in which a function f correlates best with given values.

    A window (left, right) has the arguments of f at the first and the last sample. The windows,
    (count, 2), come from different parts of the lattice of windows.

    Args:
        function: the function f.
        z: the standardised values at `NODES`, (m,).
        steepest: the largest half-width of a window that the samples resolve.
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
    """Return the windows of the lattice in which f is regular, and the values of f at `NODES`.

    Returns:
        The g windows (left, right), (g, 2), and the values of f in each window, (g, m), shifted and
        scaled to the mean 0 and the norm 1.
    """
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
    """Return a lattice of windows (left, right), dense enough to start fits to any data."""
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
            # Windows of half-width up to 25 are dense enough to find oscillations (the arguments at
            # the ends change by less than π/2 between windows); wider windows find only steep
            # transitions.
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
    """k fits c f(a x + b) + d of one function f, and quantities for the next step.

    Args:
        windows: the arguments of f at both ends of the samples, (k, 2).
        c, d: the least-squares c and d for the standardised samples, (k,) each.
        loss: Σ w (z - c f - d)², (k,); infinite for windows in which f is not regular.
        largest: the largest |c f| over the samples, (k,).
        r: the residuals, (k, n).
        jacobian: the derivatives of c f by the p directions of `_DIRECTIONS`, (k, p, n).
        settled: True for each fit that has ended at a minimum of the loss or in a limit case, (k,).
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
        """True for each fit, (k,), in which the terms c f and d are huge and nearly cancel."""
        return self.largest > 1e5  # the size of c f, in standard deviations of y

    def best(self, count: int) -> Float[Array, "j 2"]:
        """Return the j ≤ `count` windows with the lowest losses, without infinite losses."""
        order = numpy.argsort(self.loss, kind="stable")[:count]
        return self.windows[order[numpy.isfinite(self.loss[order])]]

    def rows(self, at: Array) -> "Fits":
        """Return the fits at the positions `at` only, a mask (k,) or indices."""
        return Fits(*(part[at] for part in vars(self).values()))

    def put(self, at: Array, other: "Fits") -> None:
        """Replace the fits at the positions `at`, a mask or indices, by the fits in `other`."""
        for name, part in vars(self).items():
            part[at] = getattr(other, name)


def polish(function: Univariate, windows: Array, samples: Samples, steps: int) -> Fits:
    """Fit a function to samples from k starts at once, and return the k fits.

    All fits end as soon as one is exact up to rounding. A fit that still changes at this time, or
    after the largest number of steps, is not `settled`.

    Args:
        function: the function f.
        windows: the windows from which the fits start, (k, 2).
        samples: the samples.
        steps: the largest number of steps.

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
    """Return the fits of a function for k given windows, with the best c and d for each window.

    A window has the arguments of the function at the first and the last sample.

    Args:
        function: the function f.
        windows: the windows (left, right), (k, 2).
        samples: the samples.
    """
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
    """Return f(u) and f'(u); f' is set to 0 at the ends of the domain, where it may diverge."""
    with torch.enable_grad():
        at = torch.from_numpy(u).requires_grad_()
        f = function(at)
        slope = torch.autograd.grad(f.sum(), at)[0].numpy()
    at_end = (u <= function.domain[0]) | (u >= function.domain[1])
    return f.detach().numpy(), numpy.where(at_end, 0.0, slope)


def _step(
    function: Univariate, fits: Fits, w: Array, damping: Array
) -> tuple[Float[Array, "k 2"], Float[Array, " k"]]:
    """Return the damped Levenberg–Marquardt step of each window.

    Args:
        function: the function f.
        fits: the k fits.
        w: the weights of the samples, (n,).
        damping: the damping of each fit, (k,).

    Returns:
        The steps of the windows, (k, 2), and the shares of the losses that undamped steps would
        remove, (k,).
    """
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
    """Move windows (k, 2) back into the domain of f: shift them if only b is free, else clip."""
    low, high = function.domain
    if numpy.isinf(low) and numpy.isinf(high):
        return new
    if function.free != "b":
        return numpy.clip(new, low, high)
    least, most = new.min(1, keepdims=True), new.max(1, keepdims=True)
    new = numpy.where(least < low, low + (new - least), new)
    return numpy.where(most > high, high + (new - most), new)


@dataclass(frozen=True)
class Candidate:
    """A fit y ≈ c f(a x + b) + d, with redundant parameters fixed (`Univariate.canonical`).

    Args:
        curve: the formula c f(a x + b) + d.
        unexplained: 1 - R², the mean square residual over the variance; a float R² near 1 would
            have too few digits.
        score: the score of the fit, defined in `snap`; the lowest score is the best.
        uncertainty: bounds on the changes of a, b, c and d if the edge has an error as large as
            the residual; 0 for fixed parameters.
        note: a remark on a fault of the fit; "" without a fault.
    """

    curve: Symbolic
    unexplained: float
    score: float
    uncertainty: Parameters
    note: str = ""

    @property
    def function(self) -> Univariate:
        """The function f."""
        return self.curve.function

    @property
    def r2(self) -> float:
        """The coefficient of determination R²."""
        return 1 - self.unexplained


@dataclass(frozen=True)
class Snapping:
    """All candidates for one edge, best first.

    Args:
        candidates: the fits, sorted by score.
        refused: the functions that could not be fitted, {name: reason}.
    """

    candidates: tuple[Candidate, ...]
    refused: Mapping[str, str]

    @property
    def best(self) -> Candidate:
        """The candidate with the lowest score.

        Raises:
            InputError: if every function was refused.
        """
        if not self.candidates:
            reasons = "; ".join(f"{name}: {why}" for name, why in self.refused.items())
            raise InputError(f"none of the functions fits the edge ({reasons})")
        return self.candidates[0]

    def of(self, name: str) -> Candidate:
        """Return the candidate of a function, by the name of the function.

        Raises:
            InputError: if the function was refused or was not fitted.
        """
        found = {candidate.function.name: candidate for candidate in self.candidates}
        if name in self.refused:
            raise InputError(f"{name} could not be fitted: {self.refused[name]}")
        if name not in found:
            raise InputError(f"{name!r} is no candidate{nearest(name, found)}")
        return found[name]


NOT_CONVERGED = "not converged: the error was still falling when the steps ended"
LIMIT = "a limit case: c f(a x + b) and d nearly cancel"
STEEP = "steeper than the samples resolve"
AT_END = "the data reach the end of its domain"


@dataclass(frozen=True, eq=False)
class Rating:
    """Turns fits of functions to the samples of one edge into candidates with a score.

    Args:
        edge: the samples of the edge.
        accuracy: the error of the edge itself, relative to the standard deviation of its values; a
            reduction of the error below it hardly improves the score.
        price: the powers of ten by which the mean square residual must fall to make up for one more
            unit of complexity.
    """

    edge: Samples
    accuracy: float
    price: float

    def constant(self, function: Univariate) -> Candidate:
        """Return the candidate of the function 0, for which y ≈ d."""
        edge = self.edge
        error = max(edge.deviation, edge.rounding)
        unexplained = 1.0 if edge.deviation > edge.rounding else 0.0
        score = self._score(unexplained, function.complexity)
        curve = Symbolic(function, 1.0, 0.0, 0.0, edge.mean)
        return Candidate(curve, unexplained, score, (0.0, 0.0, 0.0, error))

    def candidate(self, function: Univariate, fits: Fits) -> Candidate | None:
        """Return the candidate for a function from the first of `fits`.

        Args:
            function: the function f.
            fits: fits of f or, if f has a twin, of the twin.

        Returns:
            The candidate; None if f or f' is not finite at a sample, which rounding of a and b can
            cause.
        """
        parameters = self._parameters(function, fits)
        a, b, c, _ = parameters
        f, slope = value_and_slope(function, a * self.edge.x + b)
        if not (numpy.isfinite(f).all() and numpy.isfinite(slope).all()):
            return None
        unexplained = self._left_over(function, parameters) / self.edge.deviation**2
        uncertainty = self._uncertainty(function, c, f, slope, unexplained)
        left, right = fits.windows[0]
        ends, note = (function.twin.of if function.twin else function).domain, ""
        if not fits.settled[0]:
            note = NOT_CONVERGED
        elif fits.limit[0]:
            note = LIMIT
        elif function.free == "ab" and abs(right - left) > 4 * self.edge.steepest:
            note = STEEP
        elif function.free and numpy.isin(fits.windows[0], ends).any():
            note = AT_END
        strained = note in (NOT_CONVERGED, LIMIT, STEEP)
        score = self._score(unexplained, function.complexity + strained)
        return Candidate(Symbolic(function, *parameters), unexplained, score, uncertainty, note)

    def _parameters(self, function: Univariate, fits: Fits) -> Parameters:
        """Return the parameters a, b, c and d of a function on the edge.

        Args:
            function: the function f.
            fits: a single fit of f to the standardised samples.
        """
        edge, (left, right) = self.edge, fits.windows[0]
        a = (right - left) / 2 / edge.half
        b = (left + right) / 2 - a * edge.middle
        c, d = edge.deviation * fits.c[0], edge.mean + edge.deviation * fits.d[0]
        a, b, c, d = (float(value) for value in (a, b, c, d))
        if function.twin:
            a, b, c, d = function.twin.parameters(a, b, c, d)
        a, b, c, d = function.canonical(a, b, c, d)
        # If a x + b misses an end of the domain by rounding, the data may reach the end exactly:
        # near the branch point of a square root an error ε in the argument is √ε in the value.
        choices = [b]
        for x, end in itertools.product(map(float, edge.x[[0, -1]]), function.domain):
            if abs(a * x + b - end) <= 1e-13 * (abs(a * x) + abs(b)):
                choices.append(end - a * x)
        left_over = [self._left_over(function, (a, choice, c, d)) for choice in choices]
        return a, choices[int(numpy.argmin(left_over))], c, d

    def _left_over(self, function: Univariate, parameters: Parameters) -> float:
        """Return the weighted mean square of y - c f(a x + b) - d, or infinity."""
        a, b, c, d = parameters
        f, _ = value_and_slope(function, a * self.edge.x + b)
        left_over = float(self.edge.w @ (self.edge.y - c * f - d) ** 2)
        return left_over if math.isfinite(left_over) else math.inf

    def _score(self, unexplained: float, complexity: float | int) -> float:
        """Return the score of a fit, which is lower for a better fit and a simpler function.

        Args:
            unexplained: the mean square residual, relative to the variance of the samples.
            complexity: the complexity of the function.
        """
        return math.log10(unexplained + self.accuracy**2) + self.price * complexity

    def _uncertainty(
        self, function: Univariate, c: float, f: Array, slope: Array, left: float
    ) -> Parameters:
        """Return bounds on the changes of a, b, c and d, as in `Candidate.uncertainty`.

        The bounds are the row norms of the pseudoinverse of the Jacobian, times the edge's error.
        If f jumps, the bound of b is half the largest distance between two samples around a jump.

        Args:
            function: the function f.
            c: the parameter c.
            f, slope: the values of f and f' at the samples, (n,) each.
            left: 1 - R².
        """
        edge = self.edge
        columns = {"a": c * slope * edge.x, "b": c * slope, "c": f, "d": numpy.ones_like(f)}
        free = [name for name in columns if name in function.free + "cd"]
        matrix = numpy.sqrt(edge.w)[:, None] * numpy.stack([columns[n] for n in free], 1)
        norms = abs(matrix).max(axis=0)  # squares may overflow
        norms[norms == 0] = 1.0
        error = max(math.sqrt(left) * edge.deviation, edge.rounding)
        with numpy.errstate(over="ignore"):  # infinite if the parameter is not determined
            inverse = numpy.linalg.pinv(matrix / norms, rcond=1e-15) / norms[:, None]
            sizes = dict(zip(free, numpy.linalg.norm(inverse, axis=1) * error, strict=True))
        if function.jumps:  # the jump lies anywhere between two samples
            sizes["b"] = float(numpy.diff(edge.x)[numpy.diff(f) != 0].max()) / 2
        a, b, c, d = (float(sizes.get(name, 0.0)) for name in columns)
        return a, b, c, d


def snap(
    x: Float[Tensor, " n"],
    y: Float[Tensor, " n"],
    names: Sequence[str | Univariate] | None = None,
    *,
    weights: Float[Tensor, " n"] | None = None,
    accuracy: float | int = 1e-8,
    price: float | int = 1.0,
) -> Snapping:
    """Fit c f(a x + b) + d to one edge function for each function f of the library, and rank them.

    The score is log₁₀(1 - R² + accuracy²) + price · complexity; the lowest score is the best. One
    more unit of complexity must thus reduce the mean square residual by `price` powers of ten, and
    a reduction below `accuracy` does not count. One unit of complexity is added for a fit that did
    not converge, is a limit case or is steeper than the samples resolve (`Candidate.note`).

    Parameters that would put a pole or a branch point of f inside the range of x are excluded. A
    constant edge has only the function 0 as a candidate, whatever the names are. The samples must
    resolve the edge.

    Args:
        x: the arguments of the edge, (n,).
        y: the values of the edge, (n,).
        names: names of the library's functions, or `Univariate` objects; None for all functions.
        weights: the weights of the samples, (n,); None for equal weights.
        accuracy: the error of the edge itself, relative to the standard deviation of y.
        price: the powers of ten that a unit of complexity costs.

    Returns:
        The candidates, best first, and the functions that could not be fitted.

    Raises:
        InputError: if a sample is not finite, x has fewer than 8 different values, the weights are
            negative or all zero, or an option is out of range.

    Example:
        >>> import torch
        >>> from kanpinn.interpret import snap
        >>> x = torch.linspace(-1, 1, 100, dtype=torch.float64)
        >>> found = snap(x, 2 * torch.sin(3 * x), ["sin", "x^2", "exp"])
        >>> found.candidates[0].function.name
        'sin'
    """
    chosen = functions(names)
    number("accuracy", accuracy, above=True)
    number("price", price)
    samples = edge(x, y, weights)
    rating = Rating(samples, float(accuracy), float(price))
    if samples.deviation <= samples.rounding:
        reason = f"the edge is the constant {samples.mean:.6g}"
        refused = {f.name: reason for f in chosen if f.name != "0"}
        return Snapping((rating.constant(LIBRARY["0"]),), refused)
    fits: dict[Univariate, Fits] = {}
    candidates: list[Candidate] = []
    refused = {}
    for function in chosen:
        model = function.twin.of if function.twin else function
        if model.name != "0" and model not in fits:
            fits[model] = _fit(model, samples)
        if model.name == "0":
            candidates.append(rating.constant(function))
        elif candidate := rating.candidate(function, fits[model]):
            candidates.append(candidate)
        else:
            refused[function.name] = "it has a pole in the data, or within rounding of them"
    # Twins (sin and cos) fit equally well up to rounding: the fit with the smaller |b| is first.
    candidates.sort(key=lambda c: (round(c.score, 6), abs(c.curve.b)))
    return Snapping(tuple(candidates), refused)


def _fit(function: Univariate, samples: Samples) -> Fits:
    """Return the best fit of a function, as `Fits` with k = 1.

    The best fit is found in three rounds with 12, 2 and 1 fits and increasing numbers of samples.
    The first round starts from the best windows of the lattice.
    """
    first, second = 128, 1000  # numbers of samples in the first two rounds
    if function.jumps:  # the best step function jumps halfway between two samples
        below, lifted = numpy.cumsum(samples.w)[:-1], numpy.cumsum(samples.w * samples.z)[:-1]
        gain = lifted**2 / (below * (1 - below))
        gain[numpy.diff(samples.t) == 0] = -1.0
        k = int(gain.argmax())
        at = (samples.t[k] + samples.t[k + 1]) / 2
        return polish(function, numpy.array([[-1 - at, 1 - at]]), samples, 0)
    few = samples.thinned(first)
    windows = starts(function, numpy.interp(NODES, few.t, few.z), samples.steepest, 12)
    windows = polish(function, windows, few, 12).best(2)
    windows = polish(function, windows, samples.thinned(second), 40).best(1)
    return polish(function, windows, samples, 20)
