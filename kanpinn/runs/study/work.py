"""The work of a worker process: one run of a study in its folder."""

import errno
import shutil
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kanpinn._support.errors import InputError
from kanpinn._support.files import FolderLock, only_one
from kanpinn._support.threads import on_threads
from kanpinn.runs.config import Config, Job
from kanpinn.runs.results import RunFolder
from kanpinn.runs.results.checkpoint import NAME as CHECKPOINT
from kanpinn.runs.results.record import PARTIAL, RECORD, read_record
from kanpinn.runs.results.trials import TRIALS
from kanpinn.runs.study.columns import columns_of, empty
from kanpinn.runs.study.plan import version
from kanpinn.runs.study.table import RUNS

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
class Outcome:
    """The outcome of a run: its columns, its warnings, and whether the disk is full."""

    columns: dict[str, Any]
    warnings: tuple[str, ...] = ()
    disk_full: bool = False


def execute(task: Task) -> Outcome:
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
        return Outcome(done, tuple(said))
    except (Exception, SystemExit) as error:  # a class file may call sys.exit
        kinds = {"eigen": "eigen", "data": "fit"}  # by a section that only such files have
        kind = next((kinds[name] for name in kinds if name in task.settings), "problem")
        columns = empty(f"failed: {message(error)}", _remains(path), kind)
        return Outcome(columns, disk_full=_disk_full(error, Path(task.study)))


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
