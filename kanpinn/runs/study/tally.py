"""How far a study is, and who is told."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from kanpinn.runs.study.columns import has_failed


@dataclass(frozen=True)
class Tally:
    """How far a study is: counts of runs, the lowest error, seconds so far and left.

    done counts the finished ones, `found` of them from before and `failed` of them failures; error
    is the column that `best` is the lowest of.
    """

    total: int
    found: int
    done: int
    failed: int
    running: int
    best: float | None
    seconds: float
    left: float | None
    error: str = "l2_relative"

    @staticmethod
    def of(
        rows: Sequence[Mapping[str, Any]],
        done: Collection[int],
        found: int,
        running: int,
        seconds: float,
        errors: Sequence[str],
    ) -> "Tally":
        """From the rows of a study, the numbers of those that are done, its columns of errors."""
        fresh, waiting = len(done) - found, len(rows) - len(done)
        usable = [row for row in rows if not has_failed(row)]
        error = next((e for e in errors if any(row[e] for row in usable)), errors[0])
        return Tally(
            len(rows),
            found,
            len(done),
            sum(has_failed(rows[index]) for index in done),
            running,
            min(filter(None, (row[error] for row in usable)), default=None),
            seconds,
            seconds / fresh * waiting if fresh else None if waiting else 0.0,
            error,
        )


@runtime_checkable
class StudyObserver(Protocol):
    """Anything that follows a study."""

    def __call__(self, tally: Tally) -> None:
        """Called when a run has finished, and about twice a second."""
