"""THE loop of studies: tasks go to an executor, their outcomes into the table."""

import contextlib
import os
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from kanpinn.errors import InputError, KanpinnError, integer
from kanpinn.processes import Processes
from kanpinn.results.folder import component
from kanpinn.results.lock import FolderLock
from kanpinn.study.columns import ERRORS, WAITING, empty
from kanpinn.study.plan import Base, Entry, plan, version
from kanpinn.study.table import RECORD, Study
from kanpinn.study.work import RUNS, Outcome, Task, execute, finished

LOST = 3  # so often a run is given to another worker when its own has died
PAUSE = 0.5  # seconds between looks at the runs
SHARE = 0.02  # of the time goes into writing the table, at most


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


@runtime_checkable
class StudyObserver(Protocol):
    """Anything that follows a study."""

    def __call__(self, tally: Tally) -> None:
        """Called when a run has finished, and about twice a second."""


def sweep(
    base: Base,
    over: Mapping[str, Sequence[Any]],
    *,
    zipped: Mapping[str, Sequence[Any]] | None = None,
    name: str | None = None,
    output: str | os.PathLike[str] = "results",
    directory: str | os.PathLike[str] = ".",
    executor: Executor | None = None,
    workers: int | None = None,
    observers: Sequence[StudyObserver] = (),
) -> Study:
    """Solve a problem for every combination of values, each run in a folder of its own.

    Finished runs are known by their settings, their class files' text and kanpinn's version and
    are not done again; runs that were killed go on where they were. A run that fails is a row.

    Args:
        base: a problem file, its sections as a dict, or a function of the varied values that
            returns such a dict.
        over: keys with the values to vary them over, {"network.grid": [4, 8], "run.seed":
            [0, 1, 2]}; the runs are their product. For a function its arguments.
        zipped: keys whose lists of values run in step, one factor more of the product.
        name: of the study; by default that of the base.
        output: the study's folder is output/name-hash.
        directory: where class files are looked for, when the base is not a file.
        executor: where the runs go, any concurrent.futures.Executor whose workers see the
            study's folder; by default processes of one thread each on this machine.
        workers: how many of these, one for each core by default.
        observers: called with a `Tally`.

    Raises:
        InputError: where nothing can be run, two runs have the same settings, another process
            works at the study, or the disk is full; finished runs are kept.
    """
    entries, digest = plan(base, over, zipped or {}, Path(directory))
    name = name or _name_of(base)
    folder = Path(output).absolute() / f"{component(name)}-{digest[:8]}"
    with _opened(folder):
        sweeping = Sweep(folder, name, entries, observers)
        if executor is not None:
            sweeping.run(executor)
        elif sweeping.tasks:
            with _processes(_count(workers, len(sweeping.tasks))) as processes:
                sweeping.run(processes)
        return sweeping.write()


class Sweep:
    """A study under way: its rows, and the tasks that are left."""

    def __init__(
        self, folder: Path, name: str, entries: list[Entry], observers: Sequence[StudyObserver]
    ) -> None:
        self.folder, self.name, self.observers = folder, name, observers
        self.varied = tuple(entries[0].values)
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
        self._said: set[str] = set()
        self.write()

    def run(self, executor: Executor) -> None:
        """Give all tasks to the executor and take their outcomes as they come."""
        pending = {executor.submit(execute, task): i for i, task in self.tasks.items()}
        lost: dict[int, int] = {}
        try:
            while pending:
                self._observe(pending)
                ready, _ = wait(pending, timeout=PAUSE, return_when=FIRST_COMPLETED)
                for future in ready:
                    index = pending.pop(future)
                    error = future.exception()
                    if isinstance(error, BrokenExecutor) and lost.get(index, 0) + 1 < LOST:
                        lost[index] = lost.get(index, 0) + 1
                        pending[executor.submit(execute, self.tasks[index])] = index
                    else:
                        self._take(index, _outcome(future, error))
                self._write_now_and_then()
            self._observe(pending)
        except BaseException:
            for future in pending:
                future.cancel()
            with contextlib.suppress(OSError):
                self.write()
            raise

    def write(self) -> Study:
        """The table as it stands, written."""
        study = Study(self.folder, self.name, self.varied, tuple(self.rows), version())
        begun = time.monotonic()
        study.write()
        self._written = time.monotonic()
        self._cost = self._written - begun
        return study

    def _write_now_and_then(self) -> None:
        if time.monotonic() - self._written >= max(PAUSE, self._cost / SHARE):
            self.write()

    def _row(self, entry: Entry) -> dict[str, Any]:
        return entry.values | (finished(self.folder / RUNS / entry.name) or empty())

    def _task(self, entry: Entry) -> Task:
        config = entry.config
        where = str(config.directory)
        return Task(config.to_dict(), where, config.name, str(self.folder), entry.name, version())

    def _take(self, index: int, outcome: Outcome) -> None:
        self.rows[index] |= outcome.columns
        if outcome.disk_full:
            raise InputError(
                f"the disk of {self.folder} is full: {len(self.done)} of {len(self.rows)} runs "
                "are finished and kept; once there is room, the same study goes on"
            )
        self.done.add(index)
        for text in set(outcome.warnings) - self._said:
            self._said.add(text)
            warnings.warn(text, stacklevel=4)

    def _observe(self, pending: Mapping[Future, int]) -> None:
        running = sum(future.running() for future in pending)
        failed = [i for i in self.done if self.rows[i]["status"].startswith("failed")]
        errors = [e for e in (row[ERRORS[0]] for row in self.rows) if e is not None]
        seconds, fresh = time.monotonic() - self.started, len(self.done) - self.found
        tally = Tally(
            len(self.rows),
            self.found,
            len(self.done),
            len(failed),
            running,
            min(errors, default=None),
            seconds,
            seconds / fresh * len(pending) if fresh else None,
        )
        for observer in self.observers:
            observer(tally)


def _outcome(future: Future, error: BaseException | None) -> Outcome:
    if error is None:
        return future.result()
    if isinstance(error, KanpinnError):
        raise error
    if isinstance(error, BrokenExecutor):
        text = f"failed: its worker died {LOST} times (for want of memory?)"
    else:
        text = f"failed: {type(error).__name__}: {' '.join(str(error).split())}"
    return Outcome(empty(text))


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[None]:
    """The study's folder, made and held for this process alone."""
    try:
        (folder / RUNS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"no study can be written to {folder}: {error.strerror}") from error
    lock = FolderLock(folder)
    try:
        if (folder / RECORD).exists():
            Study.read(folder)  # refuses another format, before anything is touched
        yield
    finally:
        lock.release(folder)


@contextlib.contextmanager
def _processes(count: int) -> Iterator[Executor]:
    """Processes that end with the block: at once where the block did not run through."""
    executor = Processes(count)
    try:
        yield executor
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        raise
    executor.shutdown()


def _count(workers: int | None, tasks: int) -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(integer("workers", workers or cores or 1), tasks)


def _name_of(base: Base) -> str:
    if isinstance(base, str | Path):
        return Path(base).stem
    return "study" if isinstance(base, Mapping) else base.__name__
