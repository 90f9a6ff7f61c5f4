"""`sweep`, which runs a study; the plan of a study has a run for each combination of values."""

import errno
import hashlib
import inspect
import itertools
import json
import math
import operator
import os
import re
import shutil
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cached_property, reduce
from pathlib import Path
from typing import Annotated, Any

import numpy
from filelock import FileLock
from pydantic import Field

from kanpinn._support.distributed import on_threads
from kanpinn._support.errors import InputError, KanpinnError, expecting, integer
from kanpinn._support.files import FolderLock, Pace, path_component, remove_temporaries
from kanpinn._support.interrupts import entered
from kanpinn._support.processes import Processes
from kanpinn._support.versions import version_of
from kanpinn.runs.config import Config, load_toml
from kanpinn.runs.config.models import TomlTable, read_table
from kanpinn.runs.results import RunFolder
from kanpinn.runs.results.checkpoint import NAME as CHECKPOINT
from kanpinn.runs.results.folder import TRIALS
from kanpinn.runs.results.record import PARTIAL, read_record, strict
from kanpinn.runs.results.record import RECORD as RUN_RECORD
from kanpinn.runs.results.sources import source_texts
from kanpinn.runs.study import table
from kanpinn.runs.study.executors import closing

Base = str | Path | Mapping[str, Any] | Callable[..., Mapping[str, Any]]
Values = Sequence[Any] | numpy.ndarray


@dataclass(frozen=True)
class Entry:
    """One planned run of a study: the values of the varied keys, and the configuration."""

    values: dict[str, Any]
    config: Config

    @cached_property
    def name(self) -> str:
        """The name of the run's folder: the varied values, shortened, and a hash.

        The hash covers the settings, the class files, the data files and kanpinn's version.
        """
        pairs = (f"{key.rpartition('.')[2]}={_short(v)}" for key, v in self.values.items())
        slug = re.sub(r"[^\w.=+-]+", "-", "_".join(pairs))[:60]
        slug = slug.encode()[:220].decode(errors="ignore")  # names of files have at most 255 bytes
        settings = self.config.to_dict()
        sources = source_texts(settings, self.config.directory)
        return f"{slug.strip('-_.')}-{_digest([settings, sources, version()])[:12]}"


def plan(
    base: Base, over: Mapping[str, Values], zipped: Mapping[str, Values], directory: Path
) -> tuple[list[Entry], str]:
    """Return the runs of a study in order, and the hash for the name of its folder.

    The keys of `zipped` vary fastest, then the last key of `over`. The hash covers the base, the
    names of the varied keys and kanpinn's version, but not the values.

    Args:
        base: a problem file, its sections as a dict, or a function that returns such a dict.
        over: lists of values by key; the runs are the product of these lists.
        zipped: lists of values by key, all of one length; their i-th values are used together, and
            every such combination is combined with every combination of `over`.
        directory: the folder in which class files are looked for, if the base is not a file.

    Raises:
        InputError: if a list is empty, an unknown key is varied, no run can be built, two runs have
            the same settings, or the runs are of different kinds (solve, eigenvalue problem, fit).
    """
    make, shared = _maker(base, directory)
    over = {key: _values("over", key, values) for key, values in over.items()}
    zipped = {key: _values("zipped", key, values) for key, values in zipped.items()}
    if both := set(over) & set(zipped):
        raise InputError(f"{min(both)} is in over and in zipped: expected it in one of them")
    lengths = {key: len(values) for key, values in zipped.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"the lists of zipped must have one length, got {lengths}")
    if not over and not zipped:
        raise InputError("over is empty: expected keys with the values to vary them over")
    axes: list[list[dict[str, Any]]] = [[{key: v} for v in over[key]] for key in over]
    if zipped:
        rows = zip(*zipped.values(), strict=True)
        axes.append([dict(zip(zipped, row, strict=True)) for row in rows])
    combinations = (reduce(operator.or_, parts) for parts in itertools.product(*axes))
    entries = [Entry(values, make(values)) for values in combinations]
    first: InputError | None = None
    for entry in entries:  # one run that can be built is enough: others become failed rows
        try:
            entry.config.build()
            break
        except InputError as error:
            first = first or error
    else:
        assert first is not None
        raise first
    seen: dict[str, Entry] = {}
    whole = lambda text: int(float(text)) if float(text).is_integer() else float(text)  # noqa: E731
    for entry in entries:  # 4.0 and 4 are the same setting
        settings = json.loads(json.dumps(entry.config.sections), parse_float=whole)
        other = seen.setdefault(_digest(settings), entry)
        if other is not entry:
            raise InputError(f"two runs have the same settings: {other.values} and {entry.values}")
    if len({entry.config.file.kind for entry in entries}) > 1:
        raise InputError(
            "the runs of a study must be of one kind: solves, eigenvalue problems or fits"
        )
    return entries, _digest([shared, list(entries[0].values), version()])


def version() -> str | None:
    """Return kanpinn's version, None if the package is not installed."""
    return version_of("kanpinn")


def _digest(value: Any) -> str:
    """Return the SHA-256 of a value written as JSON."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _maker(base: Base, directory: Path) -> tuple[Callable[[dict[str, Any]], Config], Any]:
    """Return a function that makes a configuration from varied values, and plain values to hash.

    The plain values are the sections of the base or, if the base is a function, its module, its
    qualified name, and its source text if available. Exceptions of that function are passed on.
    """
    if isinstance(base, str | Path | Mapping):
        if isinstance(base, Mapping):
            config = Config.from_dict(strict(base), directory)
        else:
            config = Config.read(Path(base))
        return config.vary, config.to_dict()

    def called(values: dict[str, Any]) -> Config:
        """Return the configuration of the sections that the base function returns for these values.

        Raises:
            InputError: if the function does not take the values, or does not return a dict.
        """
        try:
            inspect.signature(base).bind(**values)
        except TypeError as error:
            given = ", ".join(values)
            raise InputError(f"the base cannot be called with {given}: {error}") from None
        sections = base(**values)
        if not isinstance(sections, Mapping):
            raise InputError(f"the base returned {sections!r}: expected the sections as a dict")
        return Config.from_dict(strict(sections), directory)

    text = None
    with suppress(OSError, TypeError):
        text = inspect.getsource(base)
    return called, [getattr(base, name, None) for name in ("__module__", "__qualname__")] + [text]


def _values(lists: str, key: str, values: Any) -> list[Any]:
    """Check the values of a varied key, and return them as a list of JSON values.

    Args:
        lists: the name of the argument that has the key, "over" or "zipped", for messages.
        key: the varied key.
        values: a list, a tuple or a NumPy array.

    Raises:
        InputError: if it is no list or an empty list, if a value cannot be stored, or if a column
            of results has the name of the key.
    """
    values = values.tolist() if hasattr(values, "tolist") else values
    if isinstance(values, str | Mapping) or not isinstance(values, Sequence) or not len(values):
        raise InputError(f"{lists}.{key} = {values!r}: expected a list of values, at least one")
    if any(key in columns for columns in table.RESULTS.values()):
        raise InputError(f"{lists}.{key}: the table of a study has a column of this name already")
    for value in values:
        _check_value(f"{lists}.{key}", value)
    return strict(values)


def _check_value(at: str, value: Any) -> None:
    """Refuse a value that JSON or HDF5 cannot store, also inside lists and tables.

    Args:
        at: the path of the varied key, for messages.
    """
    match value:
        case Mapping():
            _check_value(at, list(value.values()))
        case list() | tuple():
            for part in value:
                _check_value(at, part)
        case float() | numpy.floating() if not math.isfinite(value):
            raise InputError(f"{at} = {value}: expected finite numbers")
        case str() if "\0" in value or value.encode(errors="replace").decode() != value:
            raise InputError(f"{at} = {value!r}: expected plain text")


def _short(value: Any) -> str:
    """Return a short text for a varied value, for the run folder's name: "4-8-1" for a list."""
    match value:
        case list():
            return "-".join(map(_short, value))
        case Mapping():
            return "table"
    return str(value)


LOCKS = ".locks"
FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", None)}
NO_SPACE = "No space left on device"  # HDF5 passes on the text of the error, not its number

# Warning filters, modules and the number of torch threads are global to the process, so threads
# of one worker process do their runs one after the other.
_alone = threading.Lock()


@dataclass(frozen=True)
class Task:
    """A run to do, as plain values that can be pickled for other processes and machines.

    Args:
        settings: the sections of the run's configuration.
        directory: the folder in which class files are looked for.
        name: the name of the configuration.
        study: the study's folder, to which all workers have access.
        run: the name of the run's folder in the subfolder runs/ of the study.
        version: kanpinn's version in the process that started the study.
    """

    settings: dict[str, Any]
    directory: str
    name: str
    study: str
    run: str
    version: str | None


@dataclass(frozen=True)
class RunOutcome:
    """The outcome of a run: its columns of the study's table, its warnings, and whether the disk
    is full.
    """

    columns: dict[str, Any]
    warnings: tuple[str, ...] = ()
    disk_full: bool = False


def execute(task: Task) -> RunOutcome:
    """Do a run in its folder, and return its outcome.

    A finished run is not repeated, and a run that was killed continues from its checkpoint. An
    exception of the run becomes the status "failed: …".

    Raises:
        InputError: if the worker has another version of kanpinn, or no access to the study.
    """
    if version() != task.version:
        own = f"this worker has kanpinn {version()}"
        raise InputError(f"{own}, the study was started by {task.version}")
    path = Path(task.study) / table.RUNS / task.run
    if not path.parent.is_dir():
        raise InputError(f"a worker has no access to {path.parent}, which all workers must share")
    try:
        # Lock files are not removed: one process could lock a new file of this name while another,
        # which waited, gets the lock of the removed file.
        locks = Path(task.study) / LOCKS
        locks.mkdir(exist_ok=True)
        with FileLock(locks / task.run), _alone, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            if (done := finished(path)) is None:
                _solve(task, path)
                done = finished(path)
        assert done is not None
        said = (str(w.message) for w in caught if issubclass(w.category, UserWarning))
        return RunOutcome(done, tuple(said))  # the main process of the study repeats the warnings
    except (Exception, SystemExit) as error:  # a class file may call sys.exit
        kinds = {"eigen": "eigen", "data": "fit"}  # by the section of this kind
        kind = next((kinds[name] for name in kinds if name in task.settings), "problem")
        partial = path.with_name(path.name + PARTIAL)  # the folder that a failed run leaves
        left = partial.name if partial.is_dir() else ""
        columns = table.empty(f"failed: {message(error)}", left, kind)
        return RunOutcome(columns, disk_full=_disk_full(error, Path(task.study)))


def finished(path: Path) -> dict[str, Any] | None:
    """Return the columns of the finished run in a folder, None if the folder does not exist.

    Raises:
        InputError: if the folder is damaged.
    """
    if not path.exists():
        return None
    advice = f"once {path} is moved away, the run is done again"
    try:
        with expecting(path / RUN_RECORD):
            return table.columns_of(read_record(path), path.name)
    except (OSError, InputError) as error:
        raise InputError(f"{error}: {advice}") from error


def message(error: BaseException) -> str:
    """Return the text of an exception as one line; with its type, unless it is a usual error."""
    text = " ".join(str(error).replace("\0", " ").split())
    if not isinstance(error, InputError | ArithmeticError) or not text:
        text = f"{type(error).__name__}: {text}".removesuffix(": ")
    return text.encode("utf-8", "backslashreplace").decode()


def _disk_full(error: BaseException | None, study: Path) -> bool:
    """Return True if the error or one of its causes is a full disk, or the study's disk is full.

    The causes are searched, because the removal of an incomplete file may have freed space again.
    """
    while error is not None:
        if isinstance(error, OSError) and (error.errno in FULL or NO_SPACE in str(error)):
            return True
        error = error.__cause__ or error.__context__
    with suppress(OSError):
        return shutil.disk_usage(study).free < 2**20  # bytes: too few for a run's files
    return False


def _solve(task: Task, path: Path) -> None:
    """Do a run in its folder.

    The run is resumed if the folder has a checkpoint, otherwise it starts in a new folder.

    Args:
        task: the run.
        path: the final path of the folder.
    """
    partial = path.with_name(path.name + PARTIAL)
    if (partial / CHECKPOINT).is_file() or (partial / TRIALS).is_file():
        folder = RunFolder.resume(partial)
        job = folder.config.build()
    else:
        if partial.is_dir():  # the run was killed before its first checkpoint
            lock = FolderLock(partial)
            shutil.rmtree(partial)
            del lock
        config = Config.from_dict(task.settings, Path(task.directory), task.name)
        job = config.build()  # before the folder is made: a failure leaves no folder
        folder = RunFolder.at(path, config)
    try:
        threads = folder.config.file.run.threads or job.network.threads or 1
        with on_threads(threads):  # other runs use the other cores
            result = job.run([folder.checkpoint], folder.state, folder.adopt)
            if folder.interrupted:
                raise KeyboardInterrupt
            result = job.judged(result)
        folder.finish(result, figures=False)
    except Exception as error:  # recorded in the folder first, then handled by `execute`
        if folder.begun:
            folder.fail(message(error))
        else:
            folder.discard()
        raise


@dataclass(frozen=True)
class Tally:
    """The progress of a study: counts of runs, the lowest error, elapsed and remaining time.

    Args:
        total: the number of runs of the study.
        found: the number of runs that were finished before this call of `sweep`.
        done: the number of finished runs, including found runs and failed runs.
        failed: the number of finished runs without a usable result.
        running: the number of runs that workers are executing.
        best: the lowest value in the column `error`; None if no run has a value.
        seconds: the elapsed time of this call of `sweep`.
        left: the estimated remaining time in seconds; None if it is not known yet.
        error: the name of the column whose lowest value is `best`.
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


StudyObserver = Callable[[Tally], None]  # called for each finished run, and about twice a second


class Sweep:
    """The execution of a study: the rows of its table, and the tasks that are left.

    Runs whose folders are finished already get their rows at once; the other runs are the tasks.

    Args:
        folder: the folder of the study.
        name: the name of the study.
        entries: the planned runs, in the order of the rows; at least one.
        observers: called with a `Tally` for each finished run, and about twice a second.

    Attributes:
        attempts: the number of workers that may die with a run before the run counts as failed.
        pause: the interval in seconds at which the tasks are polled.
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
        self.rows: list[dict[str, Any]] = []
        self.tasks = {}
        for index, entry in enumerate(entries):
            columns = None
            with suppress(InputError):  # the folder is damaged; the worker reports the damage
                columns = finished(folder / table.RUNS / entry.name)
            self.rows.append(dict(entry.values))
            self._fill(index, columns or table.empty(kind=self.kind))
            if self.rows[index]["status"] == table.WAITING:
                settings, where = entry.config.to_dict(), str(entry.config.directory)
                of = (entry.config.name, str(folder), entry.name, version())
                self.tasks[index] = Task(settings, where, *of)
        self.found = len(entries) - len(self.tasks)
        self.done = set(range(len(entries))) - set(self.tasks)
        self.started, self._pace = time.monotonic(), Pace(self.pause, self.share)
        self._pending: dict[futures.Future, int] = {}
        self._lost = dict.fromkeys(self.tasks, 0)  # by task: the number of workers that died
        self._said: set[str] = set()
        self._disk_full = False
        self.write()

    def run(self, executor: futures.Executor | None) -> None:
        """Submit all tasks to the executor and collect their outcomes in the rows.

        Args:
            executor: executes the tasks; may be None if no tasks are left.

        Raises:
            InputError: if the executor accepts no tasks, the table cannot be written, or the disk
                is full.
        """
        try:
            for index in self.tasks:
                self._submit(executor, index)
            while self._pending:
                self._observe(executor)
                ready, _ = futures.wait(self._pending, self.pause, futures.FIRST_COMPLETED)
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
            with suppress(InputError):
                self.write()
            raise

    def _submit(self, executor: futures.Executor | None, index: int) -> None:
        """Submit the run of a row to the executor.

        Args:
            executor: the executor.
            index: the number of the row.

        Raises:
            InputError: if the executor accepts no runs.
        """
        assert executor is not None
        try:
            self._pending[executor.submit(execute, self.tasks[index])] = index
        except RuntimeError as error:  # the executor is shut down, or broken by a dead worker
            raise InputError(f"the executor accepts no runs ({error}): {self._kept()}") from error

    def _collect(self, future: futures.Future, executor: futures.Executor | None) -> None:
        """Store the outcome of a run, or submit the run again if its worker has died.

        After several deaths of its workers, the run is stored as failed.

        Args:
            future: the future of the run, which is done.
            executor: the executor to which the run is submitted again.

        Raises:
            InputError: if the executor has been shut down, or if a worker cannot import what this
                process can.
        """
        index = self._pending.pop(future)
        try:
            outcome = future.result()
        except futures.CancelledError as gone:
            what = "the executor has been shut down, or its scheduler has ended"
            raise InputError(f"{what}: {self._kept()}") from gone
        except KanpinnError:
            raise
        except Exception as error:  # whatever the failure, the run is a row of the table
            if isinstance(error.__cause__, ImportError):  # a dask worker cannot unpickle the task
                text = f"the workers cannot import what this process can: {error.__cause__}"
                raise InputError(text) from error
            reason = message(error)
            killed = type(error).__name__ == "KilledWorker"  # by dask, also for tasks that waited
            if killed or isinstance(error, futures.BrokenExecutor):
                partial = self.folder / table.RUNS / f"{self.tasks[index].run}{PARTIAL}"
                begun = not killed or partial.exists()
                self._lost[index] += 1
                if self._lost[index] < self.attempts + (0 if begun else 5):
                    self._submit(executor, index)
                    return
                reason = f"its worker died {self._lost[index]} times ({error})"
            outcome = RunOutcome(table.empty(f"failed: {reason}", kind=self.kind))
        self._fill(index, outcome.columns)
        self._disk_full |= outcome.disk_full
        if not outcome.disk_full:
            self.done.add(index)
        for text in set(outcome.warnings) - self._said:
            self._said.add(text)
            warnings.warn(text, stacklevel=4)

    def write(self) -> table.Study:
        """Write the current table to the study's folder and return it.

        Raises:
            InputError: if the table cannot be written.
        """
        rows = tuple(self.rows)
        study = table.Study(self.folder, self.name, self.varied, rows, version(), self.kind)
        try:
            with self._pace.writing():
                study.write()
        except OSError as error:
            reason = error.strerror or error
            text = f"{self.folder} cannot be written ({reason}): {self._kept()}"
            raise InputError(text) from error
        return study

    def _kept(self) -> str:
        """Return a part of error messages: how many runs are finished, and how to continue."""
        finished = f"{len(self.done)} of {len(self.rows)} runs are finished and kept"
        return f"{finished}; the study continues from there if it is repeated"

    def _fill(self, index: int, columns: Mapping[str, Any]) -> None:
        """Put the columns of a run into its row, except columns with the name of a varied key.

        The column of an unknown parameter k of an inverse problem has the name of a varied key if
        the true value of k is varied.

        Args:
            index: the number of the row.
            columns: the values by the names of the columns.
        """
        self.rows[index] |= {k: v for k, v in columns.items() if k not in self.varied}

    def _observe(self, executor: futures.Executor | None) -> None:
        """Report the present `Tally` of the study to the observer.

        Args:
            executor: the executor of the runs; None if there is none.
        """
        running = getattr(executor, "running", None)  # a method of `DaskExecutor` alone
        busy = running() if running else sum(future.running() for future in self._pending)
        seconds, errors = time.monotonic() - self.started, table.ERRORS[self.kind]
        fresh, waiting = len(self.done) - self.found, len(self.rows) - len(self.done)
        usable = [row for row in self.rows if not table.has_failed(row)]
        error = next((e for e in errors if any(row[e] for row in usable)), errors[0])
        tally = Tally(
            total=len(self.rows),
            found=self.found,
            done=len(self.done),
            failed=sum(table.has_failed(self.rows[index]) for index in self.done),
            running=busy,
            best=min(filter(None, (row[error] for row in usable)), default=None),
            seconds=seconds,
            left=seconds / fresh * waiting if fresh else None if waiting else 0.0,
            error=error,
        )
        for observer in self.observers:
            observer(tally)


class StudyFile(TomlTable):
    """A study file, whose only section [study] names a problem file, and keys with their values.

    Args:
        base: the path of a problem file; in a study file it is relative to the study file.
        name: the name of the study, which its folder gets; by default the name of the study file.
        over: lists of values by key; the runs are the product of these lists.
        zipped: lists of values by key, all of one length; their i-th values are used together, and
            every such combination is combined with every combination of `over`.
    """

    base: Annotated[str, Field(title="the path of a problem file")]
    name: str = ""
    over: dict[str, Any] = Field(default_factory=dict)
    zipped: dict[str, Any] = Field(default_factory=dict)

    @staticmethod
    def read(path: Path) -> "StudyFile":
        """Read a study file; the `base` of the result is relative to the working directory.

        Raises:
            InputError: if the file is no study file; the message has the key, its value and the
                expected value.
        """
        path = Path(path)
        data = load_toml(path)
        if list(data) != ["study"]:
            wrong = ", ".join(key for key in data if key != "study") or "none"
            raise InputError(f"{path}: expected one section [study], got {wrong}")
        study = read_table(StudyFile, data["study"], "study")
        lists = {key: _flat(getattr(study, key), f"study.{key}.") for key in ("over", "zipped")}
        names = {"base": str(path.parent / study.base), "name": study.name or path.stem}
        return study.model_copy(update=names | lists)


def _flat(section: dict[str, Any], at: str, above: str = "") -> dict[str, Any]:
    """Return the lists of values by dotted key.

    TOML reads "network.grid" in quotes as one key, without quotes as nested tables; both count.

    Args:
        section: the table `over` or `zipped`, or a table inside it.
        at: the path of that table, for messages.
        above: the part of the dotted key that leads to `section`.

    Raises:
        InputError: if a key is given twice.
    """
    found: dict[str, Any] = {}
    for key, value in section.items():
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
    executor: futures.Executor | None = None,
    workers: int | None = None,
    observers: Sequence[StudyObserver] = (),
) -> table.Study:
    """Solve a problem for every combination of values, each run in a folder of its own.

    A finished run with the same settings, class files, data files and version of kanpinn is not
    repeated; a run that was killed continues from its last checkpoint. A run that fails is a row of
    the table. Calls with other values for the same keys share one folder, whose table has the runs
    of the last call.

    Args:
        base: a problem file, its sections as a dict, or a function of the varied values that
            returns such a dict.
        over: lists of values by key, {"network.grid": [4, 8], "run.seed": [0, 1, 2]}; the runs are
            the product of these lists. If the base is a function, the keys are its arguments.
        zipped: lists of values by key, all of one length; their i-th values are used together, and
            every such combination is combined with every combination of `over`.
        name: the name of the study; by default the name of the base's file or function.
        output: the folder in which the study's folder "name-hash" is made.
        directory: the folder in which class files are looked for, if the base is not a file.
        executor: a concurrent.futures.Executor that does the runs; its workers must have access to
            the study's folder. By default single-threaded processes on this machine do them.
        workers: the number of these processes, by default one for each core.
        observers: called with a `Tally` about twice a second and when runs have finished, such as
            `StudyProgress()`. Observers that are context managers are entered during the study.

    Returns:
        The study, with one row for each run in the order of the product.

    Raises:
        InputError: if no run can be built, two runs have the same settings, another process is
            writing the study, or the disk is full; finished runs are kept.

    Example:
        >>> from concurrent.futures import ThreadPoolExecutor
        >>> from tempfile import TemporaryDirectory
        >>> import kanpinn as kp
        >>> interval = {"type": "box", "x": [0, 1]}
        >>> base = {
        ...     "problem": {"equation": "poisson", "domain": interval, "exact": "sin(x)"},
        ...     "network": {"type": "kan", "width": [1, 1], "degree": 5},
        ... }
        >>> with TemporaryDirectory() as folder, ThreadPoolExecutor(1) as here:
        ...     study = kp.sweep(base, {"network.grid": [4, 8]}, output=folder, executor=here)
        >>> study.rows[0]["l2_relative"] > study.rows[1]["l2_relative"]
        True
    """
    entries, digest = plan(base, over, zipped or {}, Path(directory))
    named = Path(base).stem if isinstance(base, str | Path) else getattr(base, "__name__", "study")
    name = name or named
    folder = Path(output).absolute() / f"{path_component(name)}-{digest[:8]}"
    affinity = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))
    count = integer("workers", len(affinity(0)) if workers is None else workers)
    if (folder / table.RECORD).exists():
        table.Study.read(folder)  # refuses another format before anything is written
    try:
        (folder / table.RUNS).mkdir(parents=True, exist_ok=True)
        lock = FolderLock(folder)
    except OSError as error:
        raise InputError(f"no study can be written to {folder}: {error.strerror}") from error
    with ExitStack() as stack:
        stack.callback(lock.release, folder)
        remove_temporaries(folder)
        stack.enter_context(entered(observers))
        sweeping = Sweep(folder, name, entries, observers)
        if executor is not None or not sweeping.tasks:
            sweeping.run(executor)
        else:
            with closing(Processes(min(count, len(sweeping.tasks)))) as processes:
                sweeping.run(processes)
        return sweeping.write()
