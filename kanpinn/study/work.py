"""What a worker does: one run of a study, in its folder."""

import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from kanpinn.config import Config, blaming
from kanpinn.errors import InputError
from kanpinn.results import RunFolder
from kanpinn.results.lock import Locked, only_one
from kanpinn.results.reading import PARTIAL, RECORD, read_record
from kanpinn.study.columns import columns_of, empty
from kanpinn.study.plan import version

RUNS, LOCKS = "runs", ".locks"
ROOM = 2**20  # bytes: with less left on the disk, a failure is the disk's


@dataclass(frozen=True)
class Task:
    """A run to do, as plain values: it travels to other processes and machines.

    study: the study's folder, which they share; run: the name of the run's folder in it.
    """

    settings: dict[str, Any]
    directory: str
    name: str
    study: str
    run: str
    version: str | None


@dataclass(frozen=True)
class Outcome:
    """The run's columns, the warnings on the way, and whether the disk has no room left."""

    columns: dict[str, Any]
    warnings: tuple[str, ...] = ()
    disk_full: bool = False


def execute(task: Task) -> Outcome:
    """Solve a task in its folder: nothing is done twice, and a run that was killed goes on.

    An exception becomes the status "failed: …": a run that cannot be solved is a result.
    """
    if version() != task.version:
        raise InputError(
            f"this worker has kanpinn {version()}, the study was started by {task.version}"
        )
    path = Path(task.study) / RUNS / task.run
    try:
        locks = Path(task.study) / LOCKS
        locks.mkdir(exist_ok=True)
        with only_one(locks / task.run), _remembering() as said:
            if (done := finished(path)) is None:
                _solve(task, path)
                done = finished(path)
        assert done is not None
        return Outcome(done, tuple(said))
    except Exception as error:
        text = " ".join(str(error).split()) or type(error).__name__
        known = isinstance(error, InputError | ArithmeticError)
        message = text if known else f"{type(error).__name__}: {text}"
        full = shutil.disk_usage(task.study).free < ROOM
        return Outcome(empty(f"failed: {message}", _remains(path)), disk_full=full)


def finished(path: Path) -> dict[str, Any] | None:
    """The columns of a run that is finished, None where it is not."""
    if not (path / RECORD).is_file():
        return None
    return columns_of(read_record(path), path.name)


def _remains(path: Path) -> str:
    """The name of the folder of a run that broke off, where it has left one."""
    partial = path.name + PARTIAL
    return partial if path.with_name(partial).is_dir() else ""


def _solve(task: Task, path: Path) -> None:
    folder = _open(task, path)
    try:
        with _threads(folder.config.run.threads or 1):
            job = folder.config.build()
            with blaming(type(job.problem).__name__, *job.sources):
                solution = job.solve([folder.checkpoint], folder.state)
        if folder.interrupted:
            raise KeyboardInterrupt
        folder.finish(solution, job, figures=False)
    except Exception as error:
        if folder.begun:
            folder.fail(" ".join(str(error).split()))
        else:
            folder.discard()
        raise


def _open(task: Task, path: Path) -> RunFolder:
    """The run's folder, as it was left or new."""
    partial = path.with_name(path.name + PARTIAL)
    if partial.is_dir():
        try:
            return RunFolder.resume(partial)
        except Locked:
            raise
        except InputError:  # killed before there was anything to go on from
            shutil.rmtree(partial)
    config = Config.from_dict(task.settings, Path(task.directory), task.name)
    return RunFolder.at(path, task.name, config)


@contextmanager
def _remembering() -> Iterator[list[str]]:
    """Warnings as texts: the study's own process says them, each once."""
    texts: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield texts
    texts += [str(w.message) for w in caught if issubclass(w.category, UserWarning)]


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """So many threads inside: oversubscribed cores are slow."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
