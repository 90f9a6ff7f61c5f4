"""Orders of convergence: fitted to errors with their confidence, and those that theory names."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy
from scipy.special import stdtrit

from kanpinn._support.errors import InputError

CONFIDENCE = 0.95
LEVEL = 0.25  # of the foretold fall: errors that fall less have levelled off
SURE = 0.99  # confidence with which they must lie above the line


@dataclass(frozen=True)
class Fit:
    """error ≈ constant·size^-order.

    order ± margin is the 95% confidence interval; margin is None where two sizes leave none.
    centre: the geometric means of sizes and errors, through which the fit runs. count: of errors.
    """

    order: float
    margin: float | None
    centre: tuple[float, float]
    count: int

    def __call__(self, size: float | int) -> float:
        """The fitted error."""
        return self.centre[1] * (size / self.centre[0]) ** -self.order

    def __str__(self) -> str:
        """The order with as many decimals as its margin gives sense to, "4.1 ± 0.3"."""
        fine = self.margin is not None and self.margin < 0.095
        digits = 2 if fine else 1
        text = f"{self.order:.{digits}f}".replace("-", "−")
        return text if self.margin is None else f"{text} ± {self.margin:.{digits}f}"


@dataclass(frozen=True)
class Theory:
    """Orders in the grid's intervals G of errors of a spline of degree k.

    best: of the best approximation by splines. guaranteed: what a residual in L2 that converges
    like the best one guarantees, for an equation of second order.
    """

    best: int
    guaranteed: int

    def __str__(self) -> str:
        """ "4; 2"."""
        return f"{self.best}; {self.guaranteed}"


def fit_order(sizes: Sequence[float | int], errors: Sequence[float | int]) -> Fit:
    """Least squares on logarithms, log error = log C - p log size, one mean error for each size.

    A size may stand there several times, for replicates such as seeds; their errors' geometric mean
    counts. The 95% confidence interval of p is Student's t for the scatter of these means about the
    line (n - 2 degrees of freedom for n sizes). Where each of m replicates has all sizes, in the
    same order, that of their m slopes is taken if it is wider: errors of one seed are correlated.

    Raises:
        InputError: for fewer than two different sizes, or for values that have no logarithm.

    >>> str(fit_order([4, 8, 16], [1e-2, 6.2e-4, 4.1e-5]))
    '4.0 ± 0.3'
    """
    x, y = _logarithms(sizes, errors)
    groups = [y[x == size] for size in sorted(set(x.tolist()))]
    line = _Line.through(numpy.unique(x), numpy.array([group.mean() for group in groups]))
    margins = []
    if line.count > 2:
        scatter = math.sqrt(line.squares / (line.count - 2) / line.spread)
        margins.append(_quantile(line.count - 2) * scatter)
    replicates = len(groups[0])
    if replicates > 1 and all(len(group) == replicates for group in groups):
        slopes = [_Line.through(numpy.unique(x), each).slope for each in numpy.stack(groups, 1)]
        deviation = float(numpy.std(slopes, ddof=1)) / math.sqrt(replicates)
        margins.append(_quantile(replicates - 1) * deviation)
    centre = (math.exp(line.x), math.exp(line.y))
    return Fit(-line.slope, max(margins, default=None), centre, len(x))


def _quantile(freedom: int) -> float:
    """Student's, for two sides."""
    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2))


def observed_order(sizes: Sequence[float | int], errors: Sequence[float | int]) -> float:
    """The exponent p of error ≈ C·size^-p by least squares on the logarithms."""
    return fit_order(sizes, errors).order


def theoretical_order(degree: int | Sequence[int], error: str) -> Theory:
    """What theory says of an error of a network of splines: its lowest degree k decides.

    error: "l2…" (best k + 1) or "h1…" (best k), "…_squared" for twice that. With the width fixed,
    the number of parameters grows like G in the end, so they are orders in that as well.
    """
    k = degree if isinstance(degree, int) else min(degree)
    norm, _, kind = error.partition("_")
    factor = 2 if kind == "squared" else 1
    best = k + 1 if norm == "l2" else k
    return Theory(factor * best, factor * (k - 1))


def before_level(sizes: Sequence[float | int], errors: Sequence[float | int]) -> list[float | int]:
    """The sizes up to which errors fall, ascending; all of them where they do not level off.

    At rounding, or where an optimizer gives up, errors follow no order. The largest sizes are left
    out where the mean of their errors falls by less than a quarter (in logarithms) of what the fit
    to the other sizes foretells, and lies above it with 99% confidence where scatter can be
    estimated (Student's t). Of several such ends the one after which the rest fits best is taken.
    Three sizes stay, or two where two or more have levelled off.

    Raises:
        InputError: as for `fit_order`, but one size is enough.
    """
    x, y = _logarithms(sizes, errors)
    each, ascending = numpy.asarray(sizes), sorted(set(sizes))
    found = [(math.inf, ascending)]
    for kept in range(2, len(ascending)):
        levelled = len(ascending) - kept
        if kept >= 3 or levelled >= 2:
            head = each <= ascending[kept - 1]
            if _levels_off(x, y, head):
                rest = _Line.through(x[head], y[head]).squares + _squares(y[~head])
                found.append((rest, ascending[:kept]))
    return min(found, key=lambda one: one[0])[1]


@dataclass(frozen=True)
class _Line:
    """A least-squares line through (x, y), with the sums of squares about means and about it."""

    slope: float
    x: float
    y: float
    spread: float
    squares: float
    count: int

    @staticmethod
    def through(x: numpy.ndarray, y: numpy.ndarray) -> "_Line":
        about = x - x.mean()
        spread = float(about @ about)
        if not (x != x[0]).any():
            raise InputError(f"an order needs two different sizes, got {math.exp(x[0]):g} alone")
        slope = float(about @ (y - y.mean())) / spread
        rest = y - y.mean() - slope * about
        return _Line(slope, float(x.mean()), float(y.mean()), spread, float(rest @ rest), len(x))

    def __call__(self, x: float) -> float:
        return self.y + self.slope * (x - self.x)


def _levels_off(x: numpy.ndarray, y: numpy.ndarray, head: numpy.ndarray) -> bool:
    line, end = _Line.through(x[head], y[head]), float(x[head].max())
    at, reached = float(x[~head].mean()), float(y[~head].mean())
    foretold = line(end) - line(at)
    if foretold <= 0 or line(end) - reached >= LEVEL * foretold:
        return False
    tails = [y[~head & (x == size)] for size in set(x[~head].tolist())]
    freedom = line.count - 2 + sum(len(tail) - 1 for tail in tails)
    if freedom < 2:
        return True
    scatter = (line.squares + sum(map(_squares, tails))) / freedom
    apart = 1 / int((~head).sum()) + 1 / line.count + (at - line.x) ** 2 / line.spread
    return reached - line(at) > float(stdtrit(freedom, SURE)) * math.sqrt(scatter * apart)


def _squares(y: numpy.ndarray) -> float:
    return float(numpy.square(y - y.mean()).sum())


def _logarithms(
    sizes: Sequence[float | int], errors: Sequence[float | int]
) -> tuple[numpy.ndarray, numpy.ndarray]:
    if len(sizes) != len(errors) or not len(sizes):
        raise InputError(f"expected as many sizes as errors, got {len(sizes)} and {len(errors)}")
    for name, values in (("sizes", sizes), ("errors", errors)):
        if wrong := [v for v in values if not (v > 0 and math.isfinite(v))]:
            raise InputError(f"{name} must be positive and finite, got {wrong[0]!r}")
    x, y = (numpy.log(numpy.asarray(v, dtype=numpy.float64)) for v in (sizes, errors))
    return x, y
