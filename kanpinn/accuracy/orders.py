"""Orders of convergence: fitted to errors, with confidence intervals, and from theory."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy
from scipy.special import stdtrit

from kanpinn._support.errors import InputError


@dataclass(frozen=True)
class Fit:
    """A fit error ≈ constant·size^-order.

    Args:
        order: the fitted order.
        margin: the half-width of the 95% confidence interval of the order; None if it cannot be
            estimated, as for one error at each of two sizes.
        centre: a point of the fitted line: the geometric mean of the sizes, and the geometric mean
            of the errors.
        count: the number of errors.
    """

    order: float
    margin: float | None
    centre: tuple[float, float]
    count: int

    def __call__(self, size: float | int) -> float:
        """Return the fitted error at a size."""
        return self.centre[1] * (size / self.centre[0]) ** -self.order

    def __str__(self) -> str:
        """Return the order and its margin, "4.1 ± 0.3"; two decimals if the margin is small."""
        digits = 2 if self.margin is not None and self.margin < 0.095 else 1
        text = f"{self.order:.{digits}f}".replace("-", "−")
        return text if self.margin is None else f"{text} ± {self.margin:.{digits}f}"


@dataclass(frozen=True)
class Theory:
    """Theoretical orders of convergence of spline errors, in the number G of grid intervals.

    Args:
        best: the order of the error of the best approximation by splines.
        guaranteed: the order of the error that follows, for an equation of second order, if the
            residual converges in L2 like the residual of the best approximation.
    """

    best: int
    guaranteed: int

    def __str__(self) -> str:
        """Return the orders as text, such as "4; 2"."""
        return f"{self.best}; {self.guaranteed}"


def fit_order(sizes: Sequence[float | int], errors: Sequence[float | int]) -> Fit:
    """Fit log error = log C - p log size by least squares, with one mean error for each size.

    A size may occur several times, for replicates such as seeds; then the geometric mean of the
    errors of this size is fitted. The 95% confidence interval of p is Student's t interval from the
    scatter of these means about the line (n - 2 degrees of freedom for n sizes). If each of m
    replicates has an error for every size, in the same order, there is a second interval, from the
    m slopes of the replicates. The wider interval is used, because errors of one replicate are
    correlated.

    Args:
        sizes: k sizes, such as the numbers of grid intervals.
        errors: the k errors, one for each entry of `sizes`.

    Raises:
        InputError: if there are fewer than two different sizes, or values without a logarithm.

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
    """Return the 97.5% quantile of Student's t with `freedom` degrees of freedom."""
    return float(stdtrit(freedom, 0.975))


def theoretical_order(degree: int | Sequence[int], error: str) -> Theory:
    """Return the theoretical orders of an error norm of a spline network with lowest degree k.

    The orders hold for the number G of grid intervals, and also for the number of parameters, which
    is proportional to G for a fixed width and large G.

    Args:
        degree: the degree of all layers, or a degree for each layer.
        error: the name of the error norm: "l2…" with the best order k + 1, or "h1…" with the best
            order k; names that end in "_squared" have twice the orders.
    """
    k = degree if isinstance(degree, int) else min(degree)
    norm, _, kind = error.partition("_")
    factor = 2 if kind == "squared" else 1
    best = k + 1 if norm == "l2" else k
    return Theory(factor * best, factor * (k - 1))


def before_level(sizes: Sequence[float | int], errors: Sequence[float | int]) -> list[float | int]:
    """Return the sizes at which errors have not levelled off, ascending.

    Errors follow no order once they are dominated by rounding or by the optimizer. The sizes are
    split into smaller sizes, to which a line is fitted, and larger sizes, which are left out. All
    means and lines are in logarithms. The errors of the larger sizes have levelled off if two
    conditions hold: their mean falls by less than a quarter of the decrease that the line predicts,
    and their mean lies above the line with 99% confidence (Student's t), as far as the scatter can
    be estimated. If several splits satisfy the conditions, the result is the split with the least
    sum of squared deviations, from the line at the smaller sizes and from the mean at the larger
    sizes. The result has at least three sizes, or two if at least two sizes are left out.

    Args:
        sizes, errors: as for `fit_order`.

    Raises:
        InputError: as for `fit_order`, but a single size is enough.
    """
    x, y = _logarithms(sizes, errors)
    each, ascending = numpy.asarray(sizes), sorted(set(sizes))
    choices = [(math.inf, ascending)]
    for kept in range(2, len(ascending)):
        levelled = len(ascending) - kept
        if kept >= 3 or levelled >= 2:
            head = each <= ascending[kept - 1]
            if _levels_off(x, y, head):
                rest = _Line.through(x[head], y[head]).squares + _squares(y[~head])
                choices.append((rest, ascending[:kept]))
    return min(choices, key=lambda choice: choice[0])[1]


@dataclass(frozen=True)
class _Line:
    """A least-squares line through n points.

    Args:
        slope: the slope of the line.
        x: the mean of the points' first coordinates.
        y: the mean of the points' second coordinates.
        spread: the sum of squared deviations of the first coordinates from their mean.
        squares: the sum of squared deviations of the second coordinates from the line.
        count: the number n of points.
    """

    slope: float
    x: float
    y: float
    spread: float
    squares: float
    count: int

    @staticmethod
    def through(x: numpy.ndarray, y: numpy.ndarray) -> "_Line":
        """Return the least-squares line through the points with coordinates x and y, (n,) each.

        Raises:
            InputError: if all x are equal.
        """
        about = x - x.mean()
        spread = float(about @ about)
        if not (x != x[0]).any():
            raise InputError(f"an order needs two different sizes, got {math.exp(x[0]):g} alone")
        slope = float(about @ (y - y.mean())) / spread  # exactly zero for equal errors
        rest = y - y.mean() - slope * about
        return _Line(slope, float(x.mean()), float(y.mean()), spread, float(rest @ rest), len(x))

    def __call__(self, x: float) -> float:
        """Return the second coordinate of the line's point with the first coordinate x."""
        return self.y + self.slope * (x - self.x)


def _levels_off(x: numpy.ndarray, y: numpy.ndarray, head: numpy.ndarray) -> bool:
    """Return whether the errors of the larger sizes have levelled off, see `before_level`.

    Args:
        x: the logarithms of the sizes, (n,).
        y: the logarithms of the errors, (n,).
        head: a mask of the smaller sizes, (n,).
    """
    line, end = _Line.through(x[head], y[head]), float(x[head].max())
    at, reached = float(x[~head].mean()), float(y[~head].mean())
    predicted = line(end) - line(at)
    if predicted <= 0 or line(end) - reached >= 0.25 * predicted:
        return False
    tails = [y[~head & (x == size)] for size in set(x[~head].tolist())]
    freedom = line.count - 2 + sum(len(tail) - 1 for tail in tails)
    if freedom < 2:
        return True
    scatter = (line.squares + sum(map(_squares, tails))) / freedom
    apart = 1 / int((~head).sum()) + 1 / line.count + (at - line.x) ** 2 / line.spread
    return reached - line(at) > float(stdtrit(freedom, 0.99)) * math.sqrt(scatter * apart)


def _squares(y: numpy.ndarray) -> float:
    """Return the sum of squared deviations from the mean."""
    return float(numpy.square(y - y.mean()).sum())


def _logarithms(
    sizes: Sequence[float | int], errors: Sequence[float | int]
) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Return the logarithms of k sizes and of their k errors, (k,) each.

    Raises:
        InputError: if there are not as many errors as sizes, or a number is not positive and
            finite.
    """
    if len(sizes) != len(errors) or not len(sizes):
        raise InputError(f"expected as many sizes as errors, got {len(sizes)} and {len(errors)}")
    for name, values in (("sizes", sizes), ("errors", errors)):
        if wrong := [v for v in values if not (v > 0 and math.isfinite(v))]:
            raise InputError(f"{name} must be positive and finite, got {wrong[0]!r}")
    x, y = (numpy.log(numpy.asarray(v, dtype=numpy.float64)) for v in (sizes, errors))
    return x, y
