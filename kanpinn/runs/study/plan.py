"""The plan of a study, all combinations of the varied values, and the work at one of its runs."""

import errno
import hashlib
import inspect
import itertools
import json
import math
import re
import shutil
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy

from kanpinn._support.distributed import on_threads
from kanpinn._support.errors import InputError
from kanpinn._support.files import FolderLock, only_one
from kanpinn.runs.config import Config, Job
from kanpinn.runs.results import RunFolder
from kanpinn.runs.results.checkpoint import NAME as CHECKPOINT
from kanpinn.runs.results.folder import TRIALS
from kanpinn.runs.results.record import PARTIAL, RECORD, read_record, strict
from kanpinn.runs.results.sources import source_texts
from kanpinn.runs.study.table import RESULTS, RUNS, columns_of, empty

Base = str | Path | Mapping[str, Any] | Callable[..., Mapping[str, Any]]
Values = Sequence[Any] | numpy.ndarray


@dataclass(frozen=True)
class Entry:
    """One run of a study: the values of the varied keys, and the resulting configuration."""

    values: dict[str, Any]
    config: Config

    @cached_property
    def name(self) -> str:
        """The name of the run's folder: the varied values, shortened, and the fingerprint."""
        pairs = (f"{key.rpartition('.')[2]}={_short(v)}" for key, v in self.values.items())
        slug = re.sub(r"[^\w.=+-]+", "-", "_".join(pairs))[:60]
        while len(slug.encode()) > 220:  # file names have at most 255 bytes, hash included
            slug = slug[:-1]
        return f"{slug.strip('-_.')}-{fingerprint(self.config)[:12]}"


def plan(
    base: Base,
    over: Mapping[str, Values],
    zipped: Mapping[str, Values],
    directory: Path,
) -> tuple[list[Entry], str]:
    """Return the runs of a study in order, and the hash that its folder is named by.

    The last key of `over` varies fastest, the keys of `zipped` faster still. The hash is of the
    base, the names of the varied keys and kanpinn's version, not of the values.

    Args:
        base: a problem file, its sections as a dict, or a function that returns such a dict.
        over: lists of values by key, combined as a product.
        zipped: lists of values by key, of one length, which together are one factor.
        directory: where class files are looked for, if the base is not a file.

    Raises:
        InputError: if a list is empty, an unknown key is varied, two runs have the same settings,
            or the runs are of different kinds (solve, eigenvalue problem, fit).
    """
    make, shared = _maker(base, directory)
    combinations = list(_combinations(over, zipped))
    entries = [Entry(values, make(values)) for values in combinations]
    _check_some_build(entries)
    _check_distinct(entries)
    if len({entry.config.file.kind for entry in entries}) > 1:
        raise InputError(
            "the runs of a study must be of one kind: solves, eigenvalue problems or fits"
        )
    return entries, _digest([shared, list(entries[0].values), version()])


def fingerprint(config: Config) -> str:
    """Return the hash of a run's settings, class files, data files and kanpinn's version."""
    settings = config.to_dict()
    return _digest([settings, source_texts(settings, config.directory), version()])


def version() -> str | None:
    """Return kanpinn's version, None if the package is not installed."""
    try:
        return metadata.version("kanpinn")
    except metadata.PackageNotFoundError:
        return None


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _maker(base: Base, directory: Path) -> tuple[Callable[[dict[str, Any]], Config], Any]:
    """Return a function from varied values to a configuration, and the base as plain values."""
    match base:
        case str() | Path():
            config = Config.read(Path(base))
        case Mapping():
            config = Config.from_dict(strict(base), directory)
        case _:
            return lambda values: _called(base, values, directory), _identity(base)
    return config.vary, config.to_dict()


def _identity(base: Callable[..., Any]) -> list[str | None]:
    """Return a function's module, its qualified name and its source text if that is available."""
    try:
        text = inspect.getsource(base)
    except (OSError, TypeError):
        text = None
    return [getattr(base, "__module__", None), getattr(base, "__qualname__", None), text]


def _called(
    base: Callable[..., Mapping[str, Any]], values: dict[str, Any], directory: Path
) -> Config:
    """Return the configuration of a function's sections; its own exceptions are passed on."""
    try:
        inspect.signature(base).bind(**values)
    except TypeError as error:
        raise InputError(f"the base cannot be called with {', '.join(values)}: {error}") from None
    sections = base(**values)
    if not isinstance(sections, Mapping):
        raise InputError(f"the base returned {sections!r}: expected the sections as a dict")
    return Config.from_dict(strict(sections), directory)


def _combinations(
    over: Mapping[str, Values], zipped: Mapping[str, Values]
) -> Iterator[dict[str, Any]]:
    """Yield the product of the lists of `over` and the rows of `zipped`."""
    over = {key: _values("over", key, values) for key, values in over.items()}
    zipped = {key: _values("zipped", key, values) for key, values in zipped.items()}
    if both := set(over) & set(zipped):
        raise InputError(f"{min(both)} is in over and in zipped: expected it in one of them")
    lengths = {key: len(values) for key, values in zipped.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"the lists of zipped must have one length, got {lengths}")
    if not over and not zipped:
        raise InputError("over is empty: expected keys with the values to vary them over")
    axes = [[{key: value} for value in values] for key, values in over.items()]
    if zipped:
        axes.append([dict(zip(zipped, row, strict=True)) for row in zip(*zipped.values())])  # noqa: B905
    for parts in itertools.product(*axes):
        yield {key: value for part in parts for key, value in part.items()}


def _values(table: str, key: str, values: Any) -> list[Any]:
    """Return the checked values of a key as JSON values; a NumPy array counts as a list."""
    values = values.tolist() if hasattr(values, "tolist") else values
    if isinstance(values, str | Mapping) or not isinstance(values, Sequence) or not len(values):
        raise InputError(f"{table}.{key} = {values!r}: expected a list of values, at least one")
    if any(key in columns for columns in RESULTS.values()):
        raise InputError(f"{table}.{key}: the table of a study has a column of this name already")
    for value in values:
        _check_value(f"{table}.{key}", value)
    return strict(values)


def _check_value(at: str, value: Any) -> None:
    """Refuse values that JSON or HDF5 cannot hold, including those inside lists and tables."""
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


def _check_some_build(entries: Sequence[Entry]) -> None:
    """Raise the first error if no run can be built, as with an unknown key or a broken class."""
    first: InputError | None = None
    for entry in entries:
        try:
            entry.config.build()
            return
        except InputError as error:
            first = first or error
    assert first is not None
    raise first


def _check_distinct(entries: Sequence[Entry]) -> None:
    seen: dict[str, Entry] = {}
    for entry in entries:
        other = seen.setdefault(_digest(_canonical(entry.config.to_dict())), entry)
        if other is not entry:
            raise InputError(f"two runs have the same settings: {other.values} and {entry.values}")


def _canonical(value: Any) -> Any:
    """Return the settings with whole floats as integers, so that 4.0 and 4 compare as equal."""
    match value:
        case Mapping():
            return {key: _canonical(item) for key, item in value.items()}
        case list() | tuple():
            return [_canonical(item) for item in value]
        case float() if value.is_integer():
            return int(value)
    return value


def _short(value: Any) -> str:
    match value:
        case list():
            return "-".join(map(_short, value))
        case Mapping():
            return "table"
    return str(value)


LOCKS = ".locks"
FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", None)}
NO_SPACE = "No space left on device"  # HDF5 gives the text of the error, not its number

# Warning filters, modules and the number of torch threads are global to the process, so threads
# of one worker process do their runs one after the other.
_alone = threading.Lock()


@dataclass(frozen=True)
class Task:
    """A run to do, as plain values that can be pickled for other processes and machines.

    settings: the sections of its configuration, and `directory`, where class files are looked for.
    study: the study's folder, to which all workers have access.
    run: the name of the run's folder in the study's runs/.
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
    """The outcome of a run: its columns, its warnings, and whether the disk is full."""

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
        raise InputError(
            f"this worker has kanpinn {version()}, the study was started by {task.version}"
        )
    path = Path(task.study) / RUNS / task.run
    if not path.parent.is_dir():
        raise InputError(
            f"a worker has no access to {path.parent}: expected a folder that all workers share"
        )
    try:
        locks = Path(task.study) / LOCKS
        locks.mkdir(exist_ok=True)
        with only_one(locks / task.run), _alone, _remembering() as said:
            if (done := finished(path)) is None:
                _solve(task, path)
                done = finished(path)
        assert done is not None
        return RunOutcome(done, tuple(said))
    except (Exception, SystemExit) as error:  # a class file may call sys.exit
        kinds = {"eigen": "eigen", "data": "fit"}  # by a section that only such files have
        kind = next((kinds[name] for name in kinds if name in task.settings), "problem")
        columns = empty(f"failed: {message(error)}", _remains(path), kind)
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
        return columns_of(read_record(path), path.name)
    except (OSError, InputError) as error:
        raise InputError(f"{error}: {advice}") from error
    except (AttributeError, KeyError, TypeError) as error:
        raise InputError(
            f"{path / RECORD} is not the record of a finished run: {advice}"
        ) from error


def message(error: BaseException) -> str:
    """Return the text of an exception as one line, with its type unless kanpinn expects it."""
    text = " ".join(str(error).replace("\0", " ").split())
    if not isinstance(error, InputError | ArithmeticError) or not text:
        text = f"{type(error).__name__}: {text}".removesuffix(": ")
    return text.encode("utf-8", "backslashreplace").decode()


def _disk_full(error: BaseException | None, study: Path) -> bool:
    """Return True if the error or one of its causes is a full disk, or the disk is almost full.

    The causes count because removing an incomplete file can free space again.
    """
    while error is not None:
        if isinstance(error, OSError) and (error.errno in FULL or NO_SPACE in str(error)):
            return True
        error = error.__cause__ or error.__context__
    with suppress(OSError):
        return shutil.disk_usage(study).free < 2**20  # bytes: too few for a run's files
    return False


def _remains(path: Path) -> str:
    """Return the name of the ".partial" folder that a failed run has left, "" if there is none."""
    partial = path.name + PARTIAL
    return partial if path.with_name(partial).is_dir() else ""


def _solve(task: Task, path: Path) -> None:
    folder, job = _open(task, path)
    try:
        with on_threads(folder.config.threads_of(job) or 1):  # other runs use the other cores
            result = job.run([folder.checkpoint], folder.state, folder.adopt)
        if folder.interrupted:
            raise KeyboardInterrupt
        folder.finish(result, figures=False)
    except Exception as error:  # recorded in the folder first, then handled by `execute`
        if folder.begun:
            folder.fail(message(error))
        else:
            folder.discard()
        raise


def _open(task: Task, path: Path) -> tuple[RunFolder, Job]:
    """Return the run's folder, resumed if it has a checkpoint and otherwise new, and its job."""
    partial = path.with_name(path.name + PARTIAL)
    if (partial / CHECKPOINT).is_file() or (partial / TRIALS).is_file():
        folder = RunFolder.resume(partial)
        return folder, folder.config.build()
    if partial.is_dir():  # the run was killed before its first checkpoint
        lock = FolderLock(partial)
        shutil.rmtree(partial)
        del lock
    config = Config.from_dict(task.settings, Path(task.directory), task.name)
    job = config.build()  # before the folder is made: if this fails, none is left
    return RunFolder.at(path, config), job


@contextmanager
def _remembering() -> Iterator[list[str]]:
    """Collect the block's UserWarnings as texts, which the main process of the study repeats.

    The list is filled when the block ends.
    """
    texts: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield texts
    texts += [str(w.message) for w in caught if issubclass(w.category, UserWarning)]
