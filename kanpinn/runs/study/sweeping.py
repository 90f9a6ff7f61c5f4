"""A study under way: tasks go to an executor, their outcomes into the table."""

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
from kanpinn.runs.study.plan import Entry, version
from kanpinn.runs.study.table import ERRORS, RUNS, WAITING, Study, empty, has_failed
from kanpinn.runs.study.work import Outcome, Task, execute, finished, message


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


class Sweep:
    """A study under way: its rows, and the tasks that are left.

    attempts: how often a run is given to a worker, when each of them dies with it. pause: seconds
    between looks at the runs. share: of the time, goes into writing the table at most.
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
        self.started = self._written = time.monotonic()
        self._cost = 0.0
        self._pending: dict[Future, int] = {}
        self._lost = dict.fromkeys(self.tasks, 0)  # how often the worker of each has died
        self._said: set[str] = set()
        self._disk_full = False
        self.write()

    def run(self, executor: Executor | None) -> None:
        """Give all tasks to the executor, None if there are none; take outcomes as they come."""
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
                self._write_now_and_then()
            self._observe()
        except BaseException:  # Ctrl-C as well: what is finished is written before it goes on
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
            raise InputError(f"the executor takes no runs ({error}): {self._kept()}") from error

    def _collect(self, future: Future, executor: Executor | None) -> None:
        """Take the outcome of a run, or give the run to another worker when its own has died."""
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
        except Exception as error:  # a run that fails, with whatever, is a row of the table
            outcome = Outcome(empty(f"failed: {message(error)}", kind=self.kind))
        self._take(index, outcome)

    def write(self) -> Study:
        """The table as it stands, written.

        Raises:
            InputError: where it cannot be.
        """
        rows = tuple(self.rows)
        study = Study(self.folder, self.name, self.varied, rows, version(), self.kind)
        begun = time.monotonic()
        try:
            study.write()
        except OSError as error:
            reason = error.strerror or error
            text = f"{self.folder} cannot be written ({reason}): {self._kept()}"
            raise InputError(text) from error
        self._written = time.monotonic()
        self._cost = self._written - begun
        return study

    def _write_now_and_then(self) -> None:
        if time.monotonic() - self._written >= max(self.pause, self._cost / self.share):
            self.write()

    def _kept(self) -> str:
        return (
            f"{len(self.done)} of {len(self.rows)} runs are finished and kept, and the same study "
            "goes on from there"
        )

    def _row(self, entry: Entry) -> dict[str, Any]:
        try:
            columns = finished(self.folder / RUNS / entry.name)
        except InputError:  # its folder is damaged: what is wrong with it is said in its turn
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
    """The columns without those that are varied, such as the true value of what is estimated."""
    return {name: value for name, value in columns.items() if name not in varied}
