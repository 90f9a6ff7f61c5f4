"""The errors of the toy functions' KANs, grid by grid, and their orders."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy
from common.pieces import Row
from function_fitting.rows import values
from function_fitting.toy_runs import ROWS

import kanpinn as kp
from kanpinn.accuracy.orders import Fit, before_level

RANGE = 4  # from the finest grid of an order down: on coarser ones it is not reached yet
HELD = ("product",)  # sums and squares are splines: every grid holds the function itself


@dataclass(frozen=True)
class Series:
    """The test errors of one function's KANs of one degree, for all seeds."""

    name: str
    degree: int
    rows: tuple[Row, ...]

    @property
    def grids(self) -> list[int]:
        """The grids that at least half of the seeds have reached, ascending."""
        counts = [row["grid"] for row in self.rows]
        return [g for g in sorted(set(counts)) if 2 * counts.count(g) >= len(self.seeds)]

    @property
    def seeds(self) -> set[int]:
        """The seeds of points and networks."""
        return {row["seed"] for row in self.rows}

    def at(self, grid: int, quantity: str = "test_rmse") -> list[float]:
        """Return a quantity on one grid, one number for each seed."""
        return values(self.rows, quantity, grid=grid)

    def middle(self, grid: int, quantity: str = "test_rmse") -> float:
        """Return the median of a quantity over the seeds."""
        return float(numpy.median(self.at(grid, quantity)))

    @property
    def best(self) -> float:
        """The least median over the grids."""
        return min(self.middle(grid) for grid in self.grids)

    @property
    def is_exact(self) -> bool:
        """Whether the function lies in the KAN's space, so that its error has no order."""
        return self.name in HELD

    @property
    def order(self) -> Fit | None:
        """The order fitted to all seeds' errors, None if there is none."""
        if self.is_exact or len(self.grids) < 2:
            return None
        before = before_level(self.grids, [self.middle(g) for g in self.grids])
        fine = [int(g) for g in before if RANGE * g >= before[-1]]
        sizes = [g for g in fine for _ in self.at(g)]
        return kp.fit_order(sizes, [e for g in fine for e in self.at(g)]) if fine[1:] else None


def series_of(rows: Sequence[Row]) -> list[Series]:
    """Return the series by function and degree, without those of the paper's number of points."""
    kans = [r for r in rows if r["network"] == "KAN" and not is_short(r)]
    keys = dict.fromkeys((r["function"], r["degree"]) for r in kans)
    return [
        Series(
            name, degree, tuple(r for r in kans if (r["function"], r["degree"]) == (name, degree))
        )
        for name, degree in keys
    ]


def is_short(row: Row) -> bool:
    """Return whether the row is of the 100-D function with 1000 points."""
    return row["function"] == "hundred" and row["network"] == "KAN" and row["rows"] == ROWS
