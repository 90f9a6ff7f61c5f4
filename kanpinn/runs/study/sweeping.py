"""The execution of a study: tasks go to an executor, their outcomes into the table."""

import contextlib
import time
import warnings
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    wait,
)
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from kanpinn._support.errors import InputError, KanpinnError
from kanpinn._support.pace import Pace
from kanpinn.runs.study.columns import ERRORS, WAITING, empty
from kanpinn.runs.study.plan import Entry, version
from kanpinn.runs.study.table import RUNS, Study, has_failed
from kanpinn.runs.study.work import Outcome, Task, execute, finished, message


@dataclass(frozen=True)
class Tally:
    """The progress of a study: counts of runs, the lowest error, elapsed and remaining time.

    Args:
        total: the number of runs of the study.
        found: runs that were finished before this call.
        done: finished runs, including those found and those that failed.
        failed: finished runs without a result.
        running: runs that a worker is executing.
        best: the lowest value in the column `error`; None if no run has one.
        seconds: the elapsed time of this call.
        left: the estimated remaining time in seconds; None if it is not known yet.
        error: the column of `best`.
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
        """Compute the tally of a study.

        Args:
            rows: all rows of the study.
            done: the indices of the rows whose runs are finished.
            found: how many of them were finished before this call.
            running: how many runs are being executed.
            seconds: the elapsed time.
            errors: the columns of errors, in the order of preference.
        """
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
    """A callable that is told of the progress of a study."""

    def __call__(self, tally: Tally) -> None:
        """Take the progress; called when a run has finished, and about twice a second."""


class Sweep:
    """The execution of a study: its rows, and the tasks that are left.

    attempts: the number of workers that may die with a run before it counts as failed.
    pause: the interval in seconds at which the runs are polled.
    share: the largest fraction of the time that is spent on writing the table.
    """

    attempts = 3
    pause = 0.5
    share = 0.02

    def __init__(
        self, folder: Path, name: str, entries: list[Entry], observers: Sequence[StudyObserver]
    ) -> None:
        self.folder, self.name, self.observers = folder, name, observers
        self.varied, self.kind = tuple(entries[0].values), entries[0].config.file.kind
        self.rows = [self._row(entry) for entry in entries]
        self.tasks = {
            index: self._task(entry)
            for index, entry in enumerate(entries)
            if self.rows[index]["status"] == WAITING
        }
        self.found = len(entries) - len(self.tasks)
        self.done = set(range(len(entries))) - set(self.tasks)
        self.started, self._pace = time.monotonic(), Pace(self.pause, self.share)
        self._pending: dict[Future, int] = {}
        self._lost = dict.fromkeys(self.tasks, 0)  # by task: how many workers have died with it
        self._said: set[str] = set()
        self._disk_full = False
        self.write()

    def run(self, executor: Executor | None) -> None:
        """Submit all tasks to the executor and collect their outcomes in the rows.

        Args:
            executor: does the tasks; may be None if there are none.

        Raises:
            InputError: if the executor takes no tasks, the table cannot be written, or the disk is
                full.
        """
        try:
            for index in self.tasks:
                self._submit(executor, index)
            while self._pending:
                self._observe()
                ready, _ = wait(self._pending, timeout=self.pause, return_when=FIRST_COMPLETED)
                for future in sorted(ready, key=self._pending.__getitem__):
                    self._collect(future, executor)
                if self._disk_full:
                    raise InputError(f"the disk of {self.folder} is full: {self._kept()}")
                if self._pace.is_due:
                    self.write()
            self._observe()
        except BaseException:  # Ctrl-C as well: the table is written before the exception goes on
            for future in self._pending:
                future.cancel()
            with contextlib.suppress(InputError):
                self.write()
            raise

    def _submit(self, executor: Executor | None, index: int) -> None:
        assert executor is not None
        try:
            self._pending[executor.submit(execute, self.tasks[index])] = index
        except RuntimeError as error:  # it has been shut down, or broke with its worker
            raise InputError(f"the executor accepts no runs ({error}): {self._kept()}") from error

    def _collect(self, future: Future, executor: Executor | None) -> None:
        """Store the outcome of a run, or submit the run again if its worker has died."""
        index = self._pending.pop(future)
        try:
            outcome = future.result()
        except CancelledError as gone:
            raise InputError(f"the executor has been shut down: {self._kept()}") from gone
        except BrokenExecutor as died:
            self._lost[index] += 1
            if self._lost[index] < self.attempts:
                self._submit(executor, index)
                return
            reason = f"its worker died {self.attempts} times ({died})"
            outcome = Outcome(empty(f"failed: {reason}", kind=self.kind))
        except KanpinnError:
            raise
        except Exception as error:  # whatever the failure, the run is a row of the table
            outcome = Outcome(empty(f"failed: {message(error)}", kind=self.kind))
        self._take(index, outcome)

    def write(self) -> Study:
        """Write the current table to the study's folder and return it.

        Raises:
            InputError: if it cannot be written.
        """
        rows = tuple(self.rows)
        study = Study(self.folder, self.name, self.varied, rows, version(), self.kind)
        try:
            with self._pace.writing():
                study.write()
        except OSError as error:
            reason = error.strerror or error
            text = f"{self.folder} cannot be written ({reason}): {self._kept()}"
            raise InputError(text) from error
        return study

    def _kept(self) -> str:
        return (
            f"{len(self.done)} of {len(self.rows)} runs are finished and kept; the study continues "
            "from there if it is repeated"
        )

    def _row(self, entry: Entry) -> dict[str, Any]:
        try:
            columns = finished(self.folder / RUNS / entry.name)
        except InputError:  # the folder is damaged; the worker will report how
            columns = None
        columns = columns or empty(kind=self.kind)
        return entry.values | _beside(entry.values, columns)

    def _task(self, entry: Entry) -> Task:
        config = entry.config
        where = str(config.directory)
        return Task(config.to_dict(), where, config.name, str(self.folder), entry.name, version())

    def _take(self, index: int, outcome: Outcome) -> None:
        self.rows[index] |= _beside(self.varied, outcome.columns)
        self._disk_full |= outcome.disk_full
        if not outcome.disk_full:
            self.done.add(index)
        for text in set(outcome.warnings) - self._said:
            self._said.add(text)
            warnings.warn(text, stacklevel=5)

    def _observe(self) -> None:
        running = sum(future.running() for future in self._pending)
        seconds = time.monotonic() - self.started
        tally = Tally.of(self.rows, self.done, self.found, running, seconds, ERRORS[self.kind])
        for observer in self.observers:
            observer(tally)


def _beside(varied: Collection[str], columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns except those that a varied key of the same name already has.

    An example is an unknown number k that is estimated while its true value k is varied.
    """
    return {name: value for name, value in columns.items() if name not in varied}
