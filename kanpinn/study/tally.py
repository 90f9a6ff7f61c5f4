"""How far a study is, and who is told."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from kanpinn.study.columns import ERRORS, has_failed


@dataclass(frozen=True)
class Tally:
    """How far a study is: counts of runs, the lowest relative L2 error, seconds so far and left.

    done counts the finished ones, `found` of them from before and `failed` of them failures.
    """

    total: int
    found: int
    done: int
    failed: int
    running: int
    best: float | None
    seconds: float
    left: float | None

    @staticmethod
    def of(
        rows: Sequence[Mapping[str, Any]],
        done: Collection[int],
        found: int,
        running: int,
        seconds: float,
    ) -> "Tally":
        """From the rows of a study, and the numbers of those that are done."""
        fresh, waiting = len(done) - found, len(rows) - len(done)
        return Tally(
            len(rows),
            found,
            len(done),
            sum(has_failed(rows[index]) for index in done),
            running,
            min(filter(None, (r[ERRORS[0]] for r in rows if not has_failed(r))), default=None),
            seconds,
            seconds / fresh * waiting if fresh else None if waiting else 0.0,
        )


@runtime_checkable
class StudyObserver(Protocol):
    """Anything that follows a study."""

    def __call__(self, tally: Tally) -> None:
        """Called when a run has finished, and about twice a second."""
