"""Errors against sizes, with replicates and fitted orders, and their legend entries."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy

from kanpinn.accuracy.orders import Fit, Theory, before_level, fit_order
from kanpinn.plotting.notation import NO_BREAK_SPACE, plain_text, wrapped


@dataclass(frozen=True)
class ErrorRange:
    """The median, the range and the number of some values."""

    median: float
    low: float
    high: float
    count: int

    @staticmethod
    def of(values: Sequence[float | int]) -> "ErrorRange":
        """Return the range of at least one value."""
        low, high = float(min(values)), float(max(values))
        return ErrorRange(float(numpy.median(values)), low, high, len(values))


@dataclass(frozen=True)
class CurvePoint:
    """The replicates of one size: their places on the horizontal axis, and their errors."""

    size: float
    x: ErrorRange
    error: ErrorRange


@dataclass(frozen=True, eq=False)
class ErrorCurve:
    """The errors of one setting, sizes ascending.

    fit: the fit in x to the first `fitted` points, before the errors level off. overall: the fit to
    all points. theory: the theoretical orders in the sizes, if they are known.
    """

    label: str
    points: tuple[CurvePoint, ...]
    fit: Fit | None = None
    overall: Fit | None = None
    fitted: int = 0
    theory: Theory | None = None

    @staticmethod
    def of(
        label: str,
        sizes: Sequence[float | int],
        errors: Sequence[float | int],
        *,
        x: Sequence[float | int] | None = None,
        order: bool = True,
        theory: Theory | None = None,
    ) -> "ErrorCurve":
        """Return the curve of some errors; a size is repeated for each replicate.

        Args:
            label: the name of the setting, for the legend.
            sizes: (k,).
            errors: (k,).
            x: the values to draw in place of the sizes, such as numbers of parameters, (k,).
            order: whether an order is fitted, which needs two different sizes.
            theory: the theoretical orders in the sizes.

        Raises:
            InputError: if an order is to be fitted to values that are not positive and finite.
        """
        runs = list(zip(sizes, sizes if x is None else x, errors, strict=True))
        points = tuple(_point(size, runs) for size in sorted(set(sizes)))
        if not order or len(points) < 2:
            return ErrorCurve(label, points, theory=theory)
        end = before_level(sizes, errors)[-1]
        fit = _fit([run for run in runs if run[0] <= end])
        kept = sum(point.size <= end for point in points)
        return ErrorCurve(label, points, fit, _fit(runs), kept if fit else 0, theory)

    @property
    def levelled(self) -> tuple[CurvePoint, ...]:
        """The points after the errors level off, which are left out of the fit."""
        return self.points[self.fitted :] if self.fit else ()

    def guide(self) -> list[tuple[float, float]]:
        """Return (x, error) of a line from the first point with the order of the best splines."""
        assert self.theory is not None
        start = self.points[0]
        return [
            (p.x.median, start.error.median * (p.size / start.size) ** -self.theory.best)
            for p in self.points
        ]


Run = tuple[float | int, float | int, float | int]


def _point(size: float | int, runs: Sequence[Run]) -> CurvePoint:
    own = [run for run in runs if run[0] == size]
    return CurvePoint(
        float(size), ErrorRange.of([run[1] for run in own]), ErrorRange.of([run[2] for run in own])
    )


def _fit(runs: Sequence[Run]) -> Fit | None:
    x, errors = [run[1] for run in runs], [run[2] for run in runs]
    return fit_order(x, errors) if len(set(x)) > 1 else None


def legend_lines(curves: Sequence[ErrorCurve]) -> int:
    """Return the number of text lines of the curves' legend, including its title and guide."""
    return 2 + sum(wrapped(legend_entry(curve)).count("\n") + 1 for curve in curves)


def legend_entry(curve: ErrorCurve) -> str:
    """Return a curve's legend entry, such as "degree 3: 4.1 ± 0.3 (4; 2), up to 16"."""
    label = plain_text(curve.label)
    if curve.fit is None:
        return label
    text = str(curve.fit)
    if curve.theory is not None:
        text += f" ({curve.theory})"
    if curve.levelled:
        text += f", up to {curve.points[curve.fitted - 1].x.median:g}"
    text = text.replace(" ", NO_BREAK_SPACE)
    return f"{label}: {text}" if label else text
