"""Errors over sizes, with their replicates, orders and what theory says: what a figure shows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy

from kanpinn.accuracy.orders import Fit, Theory, before_level, fit_order


@dataclass(frozen=True)
class Spread:
    """The median of some values and their range."""

    median: float
    low: float
    high: float
    count: int

    @staticmethod
    def of(values: Sequence[float | int]) -> "Spread":
        """Of at least one value."""
        low, high = float(min(values)), float(max(values))
        return Spread(float(numpy.median(values)), low, high, len(values))


@dataclass(frozen=True)
class Point:
    """One size: where it stands on the axis, and the errors of its replicates."""

    size: float
    x: Spread
    error: Spread


@dataclass(frozen=True, eq=False)
class Curve:
    """The errors of one setting, sizes ascending.

    fit: the order in x of the first `fitted` points, those before the errors level off; overall:
    of all of them. theory: orders in the sizes, where it names some.
    """

    label: str
    points: tuple[Point, ...]
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
    ) -> "Curve":
        """The curve of some errors; a size stands there once for each replicate.

        Args:
            x: what is drawn in place of the sizes: the number of parameters, seconds, ...
            order: whether one is fitted (there must be two sizes, all numbers positive).

        Raises:
            InputError: where an order is wanted of numbers that have none.
        """
        runs = list(zip(sizes, sizes if x is None else x, errors, strict=True))
        points = tuple(_point(size, runs) for size in sorted(set(sizes)))
        if not order or len(points) < 2:
            return Curve(label, points, theory=theory)
        end = before_level(sizes, errors)[-1]
        fit = _fit([run for run in runs if run[0] <= end])
        kept = sum(point.size <= end for point in points)
        return Curve(label, points, fit, _fit(runs), kept if fit else 0, theory)

    @property
    def levelled(self) -> tuple[Point, ...]:
        """The points that are left out of the fit."""
        return self.points[self.fitted :] if self.fit else ()

    def guide(self) -> list[tuple[float, float]]:
        """(x, error) of errors that start like these and fall with the best order of theory."""
        assert self.theory is not None
        start = self.points[0]
        return [
            (p.x.median, start.error.median * (p.size / start.size) ** -self.theory.best)
            for p in self.points
        ]


Run = tuple[float | int, float | int, float | int]


def _point(size: float | int, runs: Sequence[Run]) -> Point:
    own = [run for run in runs if run[0] == size]
    return Point(
        float(size), Spread.of([run[1] for run in own]), Spread.of([run[2] for run in own])
    )


def _fit(runs: Sequence[Run]) -> Fit | None:
    x, errors = [run[1] for run in runs], [run[2] for run in runs]
    return fit_order(x, errors) if len(set(x)) > 1 else None
