"""Summaries of a problem's rows: medians and ranges over seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from scoreboards.published import Published, best
from scoreboards.rows import AUTO, HAND, Row
from scoreboards.targets import DIRICHLET, TARGETS, VARIANT, Target

TIGHTEST = 1e-13
"""The smallest error that automatic solves are asked for, and measured against."""
CLEAR = 10.0  # times a reference's own error: below, errors against it are not true ones


@dataclass(frozen=True)
class Spread:
    """Median, smallest and largest of the seeds that have a value."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float | None]) -> "Spread | None":
        known = [value for value in values if value is not None]
        return cls(median(known), min(known), max(known)) if known else None

    def __str__(self) -> str:
        if self.low == self.high:
            return f"{self.median:.1e}"
        return f"{self.median:.1e} ({self.low:.1e} … {self.high:.1e})"


def seconds_text(seconds: float) -> str:
    """Return two digits, or all before the point: "2.5 s", "240 s"."""
    return f"{seconds:.2g} s" if seconds < 99.5 else f"{seconds:.0f} s"


@dataclass(frozen=True)
class Runs:
    """The rows of one problem in one mode, by seed."""

    rows: tuple[Row, ...]

    def spread(self, name: str) -> Spread | None:
        return Spread.of([getattr(row, name) for row in self.rows])

    def part(self, name: str) -> Spread | None:
        return Spread.of([row.part_errors.get(name) for row in self.rows])

    @property
    def part_names(self) -> list[str]:
        """The names of fields or eigenvalues."""
        return list(dict.fromkeys(name for row in self.rows for name in row.part_errors))

    @property
    def unknown_names(self) -> list[str]:
        return list(dict.fromkeys(name for row in self.rows for name in row.found))

    def effectivity(self, norm: str) -> Spread | None:
        """Return estimated over true errors ("l2" or "h1"), where the latter are well known."""
        return Spread.of([_ratio(row, norm) for row in self.rows])

    @property
    def failed(self) -> bool:
        return any(row.failed or row.error is None for row in self.rows)


def _ratio(row: Row, norm: str) -> float | None:
    pairs = {"l2": (row.estimate, row.error), "h1": (row.estimate_h1, row.h1)}
    estimate, true = pairs[norm]
    blurred = row.error is not None and row.error < CLEAR * (row.reference_error or 0.0)
    return None if estimate is None or not true or blurred else estimate / true


@dataclass(frozen=True)
class Summary:
    """A problem's line of the table; bound: the largest error that is allowed."""

    problem: str
    hand: Runs
    auto: Runs
    target: Target
    bound: float | None

    @property
    def published(self) -> Published:
        return best(self.problem)

    @property
    def auto_error(self) -> float | None:
        """The automatic error over the hand-set one, or over 1e-13 where that is less."""
        own, other = self.auto.spread("error"), self.hand.spread("error")
        return own.median / max(other.median, TIGHTEST) if own and other else None

    @property
    def auto_seconds(self) -> float | None:
        """The automatic seconds over the hand-set ones."""
        own, other = self.auto.spread("seconds"), self.hand.spread("seconds")
        return own.median / other.median if own and other else None


def summarize(rows: Sequence[Row], order: Sequence[str]) -> list[Summary]:
    """Return a summary for each problem that has hand-set rows."""
    base = _runs(rows, DIRICHLET, HAND).spread("error")
    found = []
    for problem in order:
        target = TARGETS.get(problem, Target())
        hand, auto = (_runs(rows, problem, mode) for mode in (HAND, AUTO))
        if hand.rows:
            variant = VARIANT * base.median if base else None
            bound = variant if target.variant else target.error
            found.append(Summary(problem, hand, auto, target, bound))
    return found


def _runs(rows: Sequence[Row], problem: str, mode: str) -> Runs:
    own = (row for row in rows if (row.problem, row.mode) == (problem, mode))
    return Runs(tuple(sorted(own, key=lambda row: row.seed)))
