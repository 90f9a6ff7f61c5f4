"""`sweep`, which runs a study, and `StudyFile`, which describes one."""

import contextlib
import os
import time
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
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
from typing import Annotated, Any, Protocol, runtime_checkable

from pydantic import Field

from kanpinn._support.errors import InputError, KanpinnError, integer
from kanpinn._support.files import FolderLock, Pace, path_component, remove_temporaries
from kanpinn._support.interrupts import entered
from kanpinn._support.processes import Processes
from kanpinn.runs.config import load_toml
from kanpinn.runs.config.models import TomlTable, read_table
from kanpinn.runs.results.record import PARTIAL
from kanpinn.runs.study.plan import (
    Base,
    Entry,
    RunOutcome,
    Task,
    Values,
    execute,
    finished,
    message,
    plan,
    version,
)
from kanpinn.runs.study.table import ERRORS, RECORD, RUNS, WAITING, Study, empty, has_failed


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
                self._observe(executor)
                ready, _ = wait(self._pending, timeout=self.pause, return_when=FIRST_COMPLETED)
                for future in sorted(ready, key=self._pending.__getitem__):
                    self._collect(future, executor)
                if self._disk_full:
                    raise InputError(f"the disk of {self.folder} is full: {self._kept()}")
                if self._pace.is_due:
                    self.write()
            self._observe(executor)
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
            what = "the executor has been shut down, or its scheduler has ended"
            raise InputError(f"{what}: {self._kept()}") from gone
        except KanpinnError:
            raise
        except Exception as error:  # whatever the failure, the run is a row of the table
            if isinstance(error.__cause__, ImportError):  # of dask, for what it sends to a worker
                text = f"the workers cannot import what this process can: {error.__cause__}"
                raise InputError(text) from error
            reason = message(error)
            killed = type(error).__name__ == "KilledWorker"  # by dask, also of what only waited
            if killed or isinstance(error, BrokenExecutor):
                begun = not killed or self._partial(index).exists()
                self._lost[index] += 1
                if self._lost[index] < self.attempts + (0 if begun else 5):
                    self._submit(executor, index)
                    return
                reason = f"its worker died {self._lost[index]} times ({error})"
            outcome = RunOutcome(empty(f"failed: {reason}", kind=self.kind))
        self._take(index, outcome)

    def _partial(self, index: int) -> Path:
        """Return the folder of a run that has begun."""
        return self.folder / RUNS / f"{self.tasks[index].run}{PARTIAL}"

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

    def _take(self, index: int, outcome: RunOutcome) -> None:
        self.rows[index] |= _beside(self.varied, outcome.columns)
        self._disk_full |= outcome.disk_full
        if not outcome.disk_full:
            self.done.add(index)
        for text in set(outcome.warnings) - self._said:
            self._said.add(text)
            warnings.warn(text, stacklevel=5)

    def _observe(self, executor: Executor | None) -> None:
        running = getattr(executor, "running", None)  # of dask, whose futures do not tell
        busy = running() if running else sum(future.running() for future in self._pending)
        for observer in self.observers:
            observer(self._tally(busy))

    def _tally(self, running: int) -> Tally:
        seconds, errors = time.monotonic() - self.started, ERRORS[self.kind]
        fresh, waiting = len(self.done) - self.found, len(self.rows) - len(self.done)
        usable = [row for row in self.rows if not has_failed(row)]
        error = next((e for e in errors if any(row[e] for row in usable)), errors[0])
        return Tally(
            total=len(self.rows),
            found=self.found,
            done=len(self.done),
            failed=sum(has_failed(self.rows[index]) for index in self.done),
            running=running,
            best=min(filter(None, (row[error] for row in usable)), default=None),
            seconds=seconds,
            left=seconds / fresh * waiting if fresh else None if waiting else 0.0,
            error=error,
        )


def _beside(varied: Collection[str], columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns except those that a varied key of the same name already has.

    An example is an unknown number k that is estimated while its true value k is varied.
    """
    return {name: value for name, value in columns.items() if name not in varied}


class StudyFile(TomlTable):
    """A study file, with one section [study]: a problem file, and the keys to vary with values.

    Args:
        base: the path of a problem file, in the file relative to the study file.
        name: the name of the study, by which its folder is named; by default that of the file.
        over: lists of values by key; the runs are the product of these lists.
        zipped: lists of values by key, all of one length; together they are one factor of the
            product, which takes their i-th values at the same time.
    """

    base: Annotated[str, Field(title="the path of a problem file")]
    name: str = ""
    over: dict[str, Any] = Field(default_factory=dict)
    zipped: dict[str, Any] = Field(default_factory=dict)

    @staticmethod
    def read(path: Path) -> "StudyFile":
        """Read a study file; `base` is then relative to the working directory.

        Raises:
            InputError: if the file is not of this form; the message names the key, its value and
                what was expected.
        """
        path = Path(path)
        data = load_toml(path)
        if list(data) != ["study"]:
            wrong = ", ".join(key for key in data if key != "study") or "none"
            raise InputError(f"{path}: expected one section [study], got {wrong}")
        table = read_table(StudyFile, data["study"], "study")
        lists = {key: _flat(getattr(table, key), f"study.{key}.") for key in ("over", "zipped")}
        names = {"base": str(path.parent / table.base), "name": table.name or path.stem}
        return table.model_copy(update=names | lists)


def _flat(table: dict[str, Any], at: str, above: str = "") -> dict[str, Any]:
    """Return the lists by dotted key, from keys with quotes ("network.grid") and without."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        path = above + key
        inner = _flat(value, at, f"{path}.") if isinstance(value, dict) else {path: value}
        if twice := found.keys() & inner.keys():
            raise InputError(f"{at}{min(twice)} is given twice, with quotes and without")
        found |= inner
    return found


def sweep(
    base: Base,
    over: Mapping[str, Values],
    *,
    zipped: Mapping[str, Values] | None = None,
    name: str | None = None,
    output: str | os.PathLike[str] = "results",
    directory: str | os.PathLike[str] = ".",
    executor: Executor | None = None,
    workers: int | None = None,
    observers: Sequence[StudyObserver] = (),
) -> Study:
    """Solve a problem for every combination of values, each run in a folder of its own.

    A finished run is recognised by its settings, the text of its class files, the hashes of its
    data files and kanpinn's version, and is not repeated; a run that was killed continues from its
    last checkpoint. A run that fails is a row of the table. Calls with other values for the same
    keys share one folder, whose table is that of the last call.

    Args:
        base: a problem file, its sections as a dict, or a function of the varied values that
            returns such a dict.
        over: lists of values by key, {"network.grid": [4, 8], "run.seed": [0, 1, 2]}; the runs are
            the product of these lists. If the base is a function, the keys are its arguments.
        zipped: lists of values by key, all of one length; together they are one more factor of the
            product, which takes their i-th values at the same time.
        name: the name of the study; by default that of the base.
        output: the study's folder is output/name-hash.
        directory: where class files are looked for, if the base is not a file.
        executor: does the runs; any concurrent.futures.Executor whose workers have access to the
            study's folder. By default single-threaded processes on this machine.
        workers: the number of these processes, by default one for each core.
        observers: called with a `Tally` about twice a second and when runs have finished, such as
            `StudyProgress()`. Those that are context managers are entered for this time.

    Returns:
        The study, with one row for each run in the order of the product.

    Raises:
        InputError: if no run can be built, two runs have the same settings, another process is
            writing the study, or the disk is full; finished runs are kept.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> import kanpinn as kp
        >>> interval = {"type": "box", "x": [0, 1]}
        >>> base = {
        ...     "problem": {"equation": "poisson", "domain": interval, "exact": "sin(x)"},
        ...     "network": {"type": "kan", "width": [1, 1], "degree": 5},
        ... }
        >>> with TemporaryDirectory() as folder:
        ...     study = kp.sweep(base, {"network.grid": [4, 8]}, output=folder, workers=1)
        >>> study.rows[0]["l2_relative"] > study.rows[1]["l2_relative"]
        True
    """
    entries, digest = plan(base, over, zipped or {}, Path(directory))
    name = name or _name_of(base)
    folder = Path(output).absolute() / f"{path_component(name)}-{digest[:8]}"
    count = integer("workers", _cores() if workers is None else workers)
    with _opened(folder), entered(observers):
        sweeping = Sweep(folder, name, entries, observers)
        if executor is not None or not sweeping.tasks:
            sweeping.run(executor)
        else:
            with _processes(min(count, len(sweeping.tasks))) as processes:
                sweeping.run(processes)
        return sweeping.write()


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[None]:
    """Create the study's folder, and lock it for this process until the block ends."""
    if (folder / RECORD).exists():
        Study.read(folder)  # refuses another format before anything is written
    try:
        (folder / RUNS).mkdir(parents=True, exist_ok=True)
        lock = FolderLock(folder)
    except OSError as error:
        raise InputError(f"no study can be written to {folder}: {error.strerror}") from error
    try:
        remove_temporaries(folder)
        yield
    finally:
        lock.release(folder)


@contextlib.contextmanager
def _processes(count: int) -> Iterator[Executor]:
    """Yield worker processes that end with the block, without waiting if the block raised."""
    executor = Processes(count)
    try:
        yield executor
    except BaseException:  # Ctrl-C as well: no process is left behind
        executor.shutdown(wait=False, cancel_futures=True)
        raise
    executor.shutdown()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _name_of(base: Base) -> str:
    match base:
        case str() | Path():
            return Path(base).stem
        case _:
            return getattr(base, "__name__", "study")
